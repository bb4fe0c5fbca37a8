//! Sends records at their planned times, whatever becomes of them (open loop), or all at once.

use std::error::Error;
use std::fs;
use std::num::NonZeroU64;
use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::producer::BaseProducer;

use super::client::{self, now_us};
use super::model::{Input, Plan};

/// From this rate on a producer lingers for a millisecond, which frees half a core.
const RATE_TO_LINGER: u64 = 10_000;
/// How long a pause is at least; what falls due meanwhile is sent together.
const PAUSE_MIN: Duration = Duration::from_micros(100);

/// How long records wait for others, to be sent together, at so many a second.
pub(super) fn linger_ms(rate: Option<u64>) -> u32 {
    match rate {
        Some(rate) if rate < RATE_TO_LINGER => 0,
        Some(_) => 1,
        None => 20,
    }
}

pub(super) struct Load {
    producer: BaseProducer,
    topic: String,
    text: Vec<u8>,
}

impl Load {
    /// Connects, and finds out where the partitions are.
    pub(super) fn new(
        bootstrap: &str,
        topic: &str,
        rate: Option<u64>,
    ) -> Result<Self, Box<dyn Error>> {
        let producer = client::producer(bootstrap, topic, linger_ms(rate), true)?;
        Ok(Load {
            producer,
            topic: topic.to_owned(),
            text: Vec::with_capacity(128),
        })
    }

    /// Sends these records, each when it is due, and waits until the broker has them. Gives the share of the
    /// time in which it was kept from a core by others, which tells how busy the machine is.
    pub(super) fn send(&mut self, plan: Plan, seqs: Range<u64>) -> Result<f64, Box<dyn Error>> {
        let (begun, kept_before) = (Instant::now(), kept_from_core());
        // The kernel may else wake a sleeper 50 us late, to save power.
        rustix::thread::set_current_timer_slack(NonZeroU64::new(1))?;
        let mut seq = seqs.start;
        while seq < seqs.end {
            let reached_us = now_us();
            while seq < seqs.end && plan.due_us(seq) <= reached_us {
                self.send_one(Input::new(seq, plan))?;
                seq += 1;
            }
            self.producer.poll(Duration::ZERO);
            if seq < seqs.end {
                let ahead_us = plan.due_us(seq) - now_us();
                thread::sleep(Duration::from_micros(ahead_us.max(0) as u64).max(PAUSE_MIN));
            }
        }
        let kept = kept_from_core() - kept_before;
        let share = kept.as_secs_f64() / begun.elapsed().as_secs_f64();
        client::flush(&self.producer)?;
        Ok(share)
    }

    fn send_one(&mut self, input: Input) -> Result<(), Box<dyn Error>> {
        use std::io::Write;
        self.text.clear();
        write!(self.text, "{}", input.user)?;
        let key = self.text.len();
        serde_json::to_writer(&mut self.text, &input)?;
        let (key, payload) = self.text.split_at(key);
        Ok(client::send(&self.producer, &self.topic, key, payload)?)
    }
}

/// How long this thread has been ready to run without a core to run on; 0 where the kernel does not count it.
fn kept_from_core() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let kept_ns = text.split_ascii_whitespace().nth(1).map(str::parse);
    Duration::from_nanos(kept_ns.and_then(Result::ok).unwrap_or(0))
}
