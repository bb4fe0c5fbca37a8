//! The longest time for which a growing table holds everything up.
//!
//! What is measured: in per-record mode on one worker, the source's reader gives 1,024 new keys a
//! read, and then nothing before the worker has come round to it again. Between the end of a read
//! and the beginning of the next the worker has routed and counted such a chunk, written its 1,024
//! changes, and done what goes with it (frontiers, wake-ups). The longest of these gaps is the
//! value, once by the clock, in which the time slices of other programs are, and once in CPU time
//! of the worker's thread, in which they are not.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use stream_core::graph::Graph;
use stream_core::io::{
    Boundedness, Chunk, Opening, Position, ReadStatus, Reader, Source, SourceInfo,
};
use stream_core::ops::Change;
use stream_core::time::Clock;
use stream_core::{Job, Mode, Problem};

use super::cases::scattered;
use super::ports::Tally;
use super::row::{Cost, Value, Values, check};
use crate::measure::mix;

/// How many records a read gives.
const READ_RECORDS: usize = 1_024;

/// Counts so many keys, each once.
pub(super) fn stall(keys: u64) -> Values {
    let source = Keys {
        keys,
        longest: Arc::default(),
    };
    let longest = source.longest.clone();
    let hash = |change: &Change<u64, u64>| mix(change.key, change.value.unwrap_or(0));
    let tally = Tally::new(hash);
    let job = Job::new("stall", |graph: &Graph| {
        let counts = graph.input::<u64>("in").key_by(|key| *key).count();
        graph.output("out", counts.changes());
    })
    .source("in", source)
    .sink("out", tally.clone());
    Cost::of(|| job.run(Mode::PerRecord))?;
    check(
        &tally.digest(),
        (0..keys).map(|number| mix(scattered(number), 1)),
    )?;
    let longest = *longest.lock().unwrap_or_else(PoisonError::into_inner);
    let us = |time: Duration| time.as_secs_f64() * 1e6;
    Ok(vec![
        Value::new("us at most", us(longest.wall)),
        Value::new("cpu us at most", us(longest.cpu)),
    ])
}

/// The longest gaps so far.
#[derive(Clone, Copy, Default)]
struct Longest {
    wall: Duration,
    cpu: Duration,
}

/// A source of keys that looks at the clock between its reads.
struct Keys {
    keys: u64,
    longest: Arc<Mutex<Longest>>,
}

impl Source<u64> for Keys {
    fn info(&self) -> SourceInfo {
        SourceInfo {
            kind: "keys",
            detail: format!("{} keys", self.keys),
            boundedness: Boundedness::Bounded,
            repeatable: true,
        }
    }

    fn partitions(&self) -> Result<Vec<String>, Problem> {
        Ok(vec!["0".to_owned()])
    }

    fn open(&self, _: usize, opening: Opening) -> Result<Box<dyn Reader<u64>>, Problem> {
        Ok(Box::new(KeyReader {
            next: opening.from.read()?,
            end: self.keys,
            clock: opening.clock,
            last: None,
            longest: self.longest.clone(),
        }))
    }
}

struct KeyReader {
    next: u64,
    end: u64,
    clock: Clock,
    /// When the last read ended.
    last: Option<(Instant, Duration)>,
    longest: Arc<Mutex<Longest>>,
}

/// Now, by the clock and in CPU time of this thread.
fn now() -> (Instant, Duration) {
    let cpu = clock_gettime(ClockId::ThreadCPUTime);
    let cpu = Duration::new(cpu.tv_sec.unsigned_abs(), cpu.tv_nsec as u32);
    (Instant::now(), cpu)
}

impl Reader<u64> for KeyReader {
    fn read(&mut self, max: usize, into: &mut Chunk<u64>) -> Result<ReadStatus, Problem> {
        if let Some((last, last_cpu)) = self.last {
            let (now, cpu) = now();
            let mut longest = self.longest.lock().unwrap_or_else(PoisonError::into_inner);
            longest.wall = longest.wall.max(now - last);
            longest.cpu = longest.cpu.max(cpu.saturating_sub(last_cpu));
        }
        let end = self.end.min(self.next + max.min(READ_RECORDS) as u64);
        into.extend((self.next..end).map(scattered));
        self.next = end;
        self.last = Some(now());
        Ok(if end == self.end {
            ReadStatus::Ended
        } else {
            // A time that has come already, but that the worker looks at in its next turn only:
            // else several chunks would be read in one.
            ReadStatus::Until(self.clock.elapsed())
        })
    }

    fn position(&self) -> Result<Position, Problem> {
        Position::of(&self.next)
    }
}
