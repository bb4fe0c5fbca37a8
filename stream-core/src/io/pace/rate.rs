//! So many records a second.
//!
//! With `n` partitions and `r` records a second, record `i` of partition `p` (both from 0) comes
//! `(i · n + p) / r` seconds after the opening: the partitions take turns. Of a source without end these
//! are the earliest times: where a partition had nothing more, it counts anew from when it is read again, so
//! that a pause is not made up for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::{check, micros};
use crate::error::Problem;
use crate::io::revise::{Revised, Revision};
use crate::io::source::{
    Boundedness, Chunk, Opening, Planned, Position, ReadStatus, Reader, Source, SourceInfo,
};
use crate::time::Clock;

/// A source at a steady rate; made by [`SourceExt::rate`](crate::io::SourceExt::rate).
#[derive(Debug)]
pub struct Rate<S> {
    source: S,
    per_second: f64,
    partitions: AtomicUsize,
}

impl<S> Rate<S> {
    pub(crate) fn new(source: S, per_second: f64) -> Self {
        Rate {
            source,
            per_second,
            partitions: AtomicUsize::new(1),
        }
    }
}

impl<T: 'static, S: Source<T>> Source<T> for Rate<S> {
    fn info(&self) -> SourceInfo {
        self.source.info()
    }

    fn partitions(&self) -> Result<Vec<String>, Problem> {
        check("rate", self.per_second, &self.source.info())?;
        let partitions = self.source.partitions()?;
        self.partitions.store(partitions.len(), Ordering::Relaxed);
        Ok(partitions)
    }

    fn open(&self, partition: usize, opening: Opening) -> Result<Box<dyn Reader<T>>, Problem> {
        let clock = opening.clock.clone();
        Ok(Box::new(RateReader {
            per_micro: self.per_second / 1e6,
            partition: partition as f64,
            partitions: self.partitions.load(Ordering::Relaxed) as f64,
            given: 0,
            start: clock.elapsed(),
            has_waited: false,
            catches_up: self.source.info().boundedness == Boundedness::Bounded,
            clock,
            source: self.source.open(partition, opening)?,
        }))
    }

    fn inner(&self) -> Option<&dyn Source<T>> {
        Some(&self.source)
    }

    fn revised(&self, revision: &Revision) -> Revised<dyn Source<T>> {
        let around = |source| Rate::new(source, self.per_second);
        Some(
            self.source
                .revised(revision)?
                .map(|source| Arc::new(around(source)) as _),
        )
    }
}

struct RateReader<T> {
    source: Box<dyn Reader<T>>,
    clock: Clock,
    start: Duration,
    per_micro: f64,
    partition: f64,
    partitions: f64,
    given: u64,
    /// Whether records that wait have waited for the rate alone.
    catches_up: bool,
    /// Whether there was nothing more when it was read last, of a source that does not catch up.
    has_waited: bool,
}

impl<T> Reader<T> for RateReader<T> {
    fn read(&mut self, max: usize, into: &mut Chunk<T>) -> Result<ReadStatus, Problem> {
        let now = self.clock.elapsed();
        if std::mem::take(&mut self.has_waited) {
            (self.start, self.given) = (now, 0);
        }
        let turn = self.given as f64 * self.partitions + self.partition;
        let next = self.start.saturating_add(micros(turn / self.per_micro));
        if now < next {
            return Ok(ReadStatus::Until(next));
        }
        let turns = (now - self.start).as_micros() as f64 * self.per_micro - turn;
        let due = (turns / self.partitions) as usize + 1; // `as` saturates
        let before = into.len();
        let status = self.source.read(max.min(due), into)?;
        let count = into.len() - before;
        self.given += count as u64;
        if self.catches_up {
            into.planned = Some(Planned {
                first: next,
                micros_between: self.partitions / self.per_micro,
                count,
            });
        }
        self.has_waited = !self.catches_up && status == ReadStatus::Waiting;
        Ok(status)
    }

    fn position(&self) -> Result<Position, Problem> {
        self.source.position()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::{MemoryLog, SourceExt, partitions};
    use crate::testing::contract;

    #[test]
    fn a_rated_source_keeps_the_contract_of_sources() {
        let expected = vec![(0..50).collect::<Vec<u32>>(), vec![], vec![7]];
        for rate in [0.3, 7.0, 1e9] {
            contract::source(|| partitions(expected.clone()).rate(rate), &expected);
        }
    }

    /// A log that nobody closes.
    struct Endless(MemoryLog<u32>);

    impl Source<u32> for Endless {
        fn info(&self) -> SourceInfo {
            SourceInfo {
                boundedness: Boundedness::Unbounded,
                ..self.0.info()
            }
        }

        fn partitions(&self) -> Result<Vec<String>, Problem> {
            self.0.partitions()
        }

        fn open(
            &self,
            partition: usize,
            opening: Opening,
        ) -> Result<Box<dyn Reader<u32>>, Problem> {
            self.0.open(partition, opening)
        }
    }

    #[test]
    fn a_pause_of_a_source_without_end_is_not_made_up_for() {
        let log = MemoryLog::new(1);
        let source = Endless(log.clone()).rate(2.0);
        source.partitions().unwrap();
        let clock = Clock::by_hand();
        let opening = Opening {
            clock: clock.clone(),
            ..contract::opening()
        };
        let mut reader = source.open(0, opening).unwrap();
        let mut read = || {
            let mut chunk = Chunk::default();
            let status = reader.read(9, &mut chunk).unwrap();
            (chunk.records().count(), status)
        };
        assert_eq!(read(), (0, ReadStatus::Waiting));
        clock.advance(Duration::from_secs(60));
        log.append(0, 0..9).unwrap();
        assert_eq!(read(), (1, ReadStatus::More));
        assert_eq!(read().0, 0);
        clock.advance(Duration::from_secs(1));
        assert_eq!(read(), (2, ReadStatus::More));
    }

    #[test]
    fn partitions_take_turns_and_catch_up() {
        let source = partitions(vec![vec!['a', 'b', 'c', 'd'], vec!['x', 'y']]).rate(4.0);
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
            (chunk.records().collect::<String>(), status)
        };
        let until = |millis| ReadStatus::Until(Duration::from_millis(millis));

        assert_eq!(read(0), ("a".to_owned(), ReadStatus::More));
        assert_eq!(read(0), (String::new(), until(500)));
        assert_eq!(read(1), (String::new(), until(250)));
        clock.advance(Duration::from_millis(1_000));
        assert_eq!(read(0), ("bc".to_owned(), ReadStatus::More));
        assert_eq!(read(0), (String::new(), until(1_500)));
        assert_eq!(read(1), ("xy".to_owned(), ReadStatus::Ended));
    }
}
