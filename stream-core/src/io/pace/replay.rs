//! Records at the pace of their event time.
//!
//! With zero (z, s) (the first event time that any partition reads, and when), a record of event
//! time t comes at `s + (t − z) / speed` on the job's clock, or as soon as the record before it in
//! its partition has come, whichever is later.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use super::{check, micros};
use crate::error::Problem;
use crate::io::lock;
use crate::io::revise::{Revised, Revision};
use crate::io::source::{Chunk, Opening, Position, ReadStatus, Reader, Source, SourceInfo};
use crate::time::{Clock, EventTime};

/// A source at the pace of its records; made by
/// [`SourceExt::replay`](crate::io::SourceExt::replay).
#[derive(Debug)]
pub struct Replay<S, F> {
    source: Arc<S>,
    speed: f64,
    event_time: Arc<F>,
    /// One for each job that reads the source.
    zero: Mutex<Zero>,
}

/// The event time that stands for a time on the job's clock.
type Zero = Arc<OnceLock<(EventTime, Duration)>>;

impl<S, F> Replay<S, F> {
    pub(in crate::io) fn new(source: S, speed: f64, event_time: F) -> Self {
        Replay {
            source: Arc::new(source),
            speed,
            event_time: Arc::new(event_time),
            zero: Mutex::default(),
        }
    }

    /// Another source, or another speed, with the same event time.
    fn like<R>(&self, source: Arc<R>, speed: f64) -> Replay<R, F> {
        Replay {
            source,
            speed,
            event_time: self.event_time.clone(),
            zero: Mutex::default(),
        }
    }
}

impl<T, S, F> Source<T> for Replay<S, F>
where
    T: 'static,
    S: Source<T>,
    F: Fn(&T) -> EventTime + Send + Sync + 'static,
{
    fn info(&self) -> SourceInfo {
        self.source.info()
    }

    fn partitions(&self) -> Result<Vec<String>, Problem> {
        check("replay", self.speed, &self.source.info())?;
        *lock(&self.zero) = Zero::default();
        self.source.partitions()
    }

    fn open(&self, partition: usize, opening: Opening) -> Result<Box<dyn Reader<T>>, Problem> {
        Ok(Box::new(ReplayReader {
            speed: self.speed,
            event_time: self.event_time.clone(),
            zero: lock(&self.zero).clone(),
            clock: opening.clock.clone(),
            source: self.source.open(partition, opening)?,
            one: Chunk::default(),
            held: None,
            ended: false,
        }))
    }

    fn inner(&self) -> Option<&dyn Source<T>> {
        Some(&*self.source)
    }

    fn revised(&self, revision: &Revision) -> Revised<dyn Source<T>> {
        match revision {
            Revision::Replay(speed) => Some(Ok(Arc::new(self.like(self.source.clone(), *speed)))),
            _ => {
                let around = |source| Arc::new(self.like(Arc::new(source), self.speed)) as _;
                Some(self.source.revised(revision)?.map(around))
            }
        }
    }
}

struct ReplayReader<T, F> {
    source: Box<dyn Reader<T>>,
    speed: f64,
    event_time: Arc<F>,
    zero: Zero,
    clock: Clock,
    one: Chunk<T>,
    held: Option<Held<T>>,
    ended: bool,
}

/// A record whose time has not come.
struct Held<T> {
    record: T,
    due: Duration,
    position: Position,
}

impl<T, F: Fn(&T) -> EventTime> ReplayReader<T, F> {
    /// Reads one record ahead; a bad one has no time to wait for.
    fn read_ahead(&mut self, into: &mut Chunk<T>) -> Result<ReadStatus, Problem> {
        let position = self.source.position()?;
        let status = self.source.read(1, &mut self.one)?;
        self.ended = status == ReadStatus::Ended;
        into.add_bytes(self.one.bytes);
        into.bad.append(&mut self.one.bad);
        into.absent.append(&mut self.one.absent);
        if let Some(((), record)) = self.one.records.pop() {
            let due = self.due((self.event_time)(&record));
            self.held = Some(Held {
                record,
                due,
                position,
            });
        }
        self.one.clear();
        Ok(status)
    }

    fn due(&self, time: EventTime) -> Duration {
        let (zero, start) = self.zero.get_or_init(|| (time, self.clock.elapsed()));
        let since = i128::from(time.as_micros()) - i128::from(zero.as_micros());
        start.saturating_add(micros(since as f64 / self.speed))
    }
}

impl<T, F: Fn(&T) -> EventTime> Reader<T> for ReplayReader<T, F> {
    fn read(&mut self, max: usize, into: &mut Chunk<T>) -> Result<ReadStatus, Problem> {
        let full = into.len() + max;
        while into.len() < full {
            if let Some(held) = self.held.take_if(|held| held.due <= self.clock.elapsed()) {
                into.push(held.record);
            } else if let Some(held) = &self.held {
                return Ok(ReadStatus::Until(held.due));
            } else if self.ended {
                break;
            } else {
                let status = self.read_ahead(into)?;
                let waits = matches!(status, ReadStatus::Waiting | ReadStatus::Until(_));
                if waits && self.held.is_none() {
                    return Ok(status);
                }
            }
        }
        let ended = self.ended && self.held.is_none();
        Ok(if ended {
            ReadStatus::Ended
        } else {
            ReadStatus::More
        })
    }

    fn position(&self) -> Result<Position, Problem> {
        match &self.held {
            Some(held) => Ok(held.position.clone()),
            None => self.source.position(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::{SourceExt, partitions};
    use crate::testing::contract;

    #[test]
    fn a_replayed_source_keeps_the_contract_of_sources() {
        let expected = vec![vec![100, 105, 90, 400], vec![], vec![i64::MIN, i64::MAX]];
        let make = || partitions(expected.clone()).replay(3.0, |secs| EventTime::secs(*secs));
        contract::source(make, &expected);
    }

    #[test]
    fn partitions_share_one_zero() {
        let source = partitions(vec![vec![100, 110], vec![104, 90]]);
        let source = source.replay(2.0, |secs| EventTime::secs(*secs));
        source.partitions().unwrap();
        let clock = Clock::by_hand();
        let opening = Opening {
            clock: clock.clone(),
            ..contract::opening()
        };
        let mut readers = [0, 1].map(|number| source.open(number, opening.clone()).unwrap());
        let mut read = |number: usize| {
            let mut chunk = Chunk::default();
            let status = readers[number].read(9, &mut chunk).unwrap();
            (
                chunk.records().copied().collect::<Vec<_>>(),
                status,
                readers[number].position().unwrap().read::<u64>().unwrap(),
            )
        };
        let until = |secs| ReadStatus::Until(Duration::from_secs(secs));

        assert_eq!(read(0), (vec![100], until(5), 1));
        assert_eq!(read(1), (vec![], until(2), 0));
        clock.advance(Duration::from_secs(2));
        assert_eq!(read(1), (vec![104, 90], ReadStatus::Ended, 2));
        assert_eq!(read(0), (vec![], until(5), 1));
        clock.advance(Duration::from_secs(3));
        assert_eq!(read(0), (vec![110], ReadStatus::Ended, 2));
    }
}
