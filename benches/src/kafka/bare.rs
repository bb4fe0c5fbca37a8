//! The bare reference: a loop over the client's calls that does what the contract says and nothing else. It
//! keeps no state, survives no crash, has no threads of its own, and cannot write exactly once.

use std::error::Error;
use std::time::Duration;

use rdkafka::producer::{BaseProducer, Producer};

use super::batch::Batches;
use super::client;
use super::model::{Input, Priced, Summed, USERS, Workload};
use super::{Mode, topic};

/// The subcommand that runs it.
pub(crate) const BARE: &str = "kafka-bare";

/// What the bare program is told, by the environment as any other.
#[derive(clap::Args)]
pub(crate) struct BareOptions {
    #[arg(long, env = "BOOTSTRAP")]
    bootstrap: String,
    #[arg(long, env = "WORKLOAD")]
    workload: Workload,
    #[arg(long, env = "MODE")]
    mode: Mode,
    /// How long records wait for others, to be sent together.
    #[arg(long, env = "LINGER_MS", default_value_t = 0)]
    linger_ms: u32,
}

pub(crate) fn run(options: &BareOptions) -> Result<(), Box<dyn Error>> {
    if options.mode == Mode::Eo {
        return Err("the bare program writes at least once only: MODE=alo".into());
    }
    let config = client::consumer(&options.bootstrap, options.mode);
    let mut batches = Batches::new(&config, topic::IN)?;
    let mut writer = Writer {
        producer: client::producer(&options.bootstrap, topic::OUT, options.linger_ms, false)?,
        workload: options.workload,
        sums: vec![0; USERS as usize],
        text: Vec::with_capacity(256),
    };
    loop {
        let mut answer = Ok(());
        batches.poll(Duration::from_millis(100), |key, payload| {
            if answer.is_ok() {
                answer = writer.write(key, payload);
            }
        })?;
        answer?;
        if writer.producer.in_flight_count() > 0 {
            writer.producer.poll(Duration::ZERO);
        }
    }
}

struct Writer {
    producer: BaseProducer,
    workload: Workload,
    /// By user.
    sums: Vec<u64>,
    text: Vec<u8>,
}

impl Writer {
    fn write(&mut self, key: &[u8], payload: &[u8]) -> Result<(), Box<dyn Error>> {
        self.text.clear();
        match self.workload {
            Workload::S => {
                let input: Input = serde_json::from_slice(payload)?;
                if input.is_dropped() {
                    return Ok(());
                }
                serde_json::to_writer(&mut self.text, &Priced::from(input))?;
            }
            Workload::K => {
                let Input {
                    user,
                    amount,
                    seq,
                    due_us,
                    ..
                } = serde_json::from_slice(payload)?;
                let sum = &mut self.sums[user as usize];
                *sum += amount;
                serde_json::to_writer(
                    &mut self.text,
                    &Summed {
                        user,
                        sum: *sum,
                        seq,
                        due_us,
                    },
                )?;
            }
            Workload::B => self.text.extend_from_slice(payload),
        }
        Ok(client::send(&self.producer, topic::OUT, key, &self.text)?)
    }
}
