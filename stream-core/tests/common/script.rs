//! A source that does what its script says, step by step.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use stream_core::Problem;
use stream_core::io::{
    BadRecord, BadRecords, Boundedness, Chunk, Opening, Position, ReadStatus, Reader, Source,
    SourceInfo,
};

use super::Gate;

/// What a reader does next. The partition ends behind its last step.
#[derive(Clone)]
pub(crate) enum Step<T> {
    Give(T),
    Bad(BadRecord),
    /// Waits until the gate is open.
    Wait(Gate),
    /// Waits until this time on the job's clock.
    Until(Duration),
    Fail,
    Panic,
}

/// A source by script, one script a partition. Positions count steps.
pub(crate) struct Script<T> {
    partitions: Arc<Vec<Vec<Step<T>>>>,
    bad_records: BadRecords,
    boundedness: Boundedness,
    /// How many steps one call takes at most.
    chunk: usize,
    /// What each record counts in bytes.
    bytes: u64,
    fails_at_partitions: bool,
    fails_at_open: bool,
    given: Arc<AtomicU64>,
}

/// Clones are read apart, and count together what they give.
impl<T> Clone for Script<T> {
    fn clone(&self) -> Self {
        Script {
            partitions: self.partitions.clone(),
            bad_records: self.bad_records.clone(),
            given: self.given.clone(),
            ..*self
        }
    }
}

impl<T> Script<T> {
    pub(crate) fn new(partitions: Vec<Vec<Step<T>>>) -> Self {
        Script {
            partitions: Arc::new(partitions),
            bad_records: BadRecords::Fail,
            boundedness: Boundedness::Bounded,
            chunk: usize::MAX,
            bytes: 0,
            fails_at_partitions: false,
            fails_at_open: false,
            given: Arc::default(),
        }
    }

    pub(crate) fn of(steps: Vec<Step<T>>) -> Self {
        Script::new(vec![steps])
    }

    pub(crate) fn bad_records(self, bad_records: BadRecords) -> Self {
        Script {
            bad_records,
            ..self
        }
    }

    pub(crate) fn unbounded(self) -> Self {
        let boundedness = Boundedness::Unbounded;
        Script {
            boundedness,
            ..self
        }
    }

    pub(crate) fn chunk(self, chunk: usize) -> Self {
        Script { chunk, ..self }
    }

    pub(crate) fn bytes(self, bytes: u64) -> Self {
        Script { bytes, ..self }
    }

    pub(crate) fn fails_at_partitions(self) -> Self {
        Script {
            fails_at_partitions: true,
            ..self
        }
    }

    pub(crate) fn fails_at_open(self) -> Self {
        Script {
            fails_at_open: true,
            ..self
        }
    }

    /// How many records have been given, by all readers.
    pub(crate) fn given(&self) -> Arc<AtomicU64> {
        self.given.clone()
    }
}

fn broken(at: &str) -> Problem {
    Problem::new(format!("the source broke at {at}")).hint("mend it")
}

impl<T: Clone + Send + Sync + 'static> Source<T> for Script<T> {
    fn info(&self) -> SourceInfo {
        SourceInfo {
            kind: "script",
            detail: String::new(),
            boundedness: self.boundedness,
            repeatable: true,
        }
    }

    fn partitions(&self) -> Result<Vec<String>, Problem> {
        if self.fails_at_partitions {
            return Err(broken("partitions"));
        }
        Ok((0..self.partitions.len())
            .map(|n| format!("p{n}"))
            .collect())
    }

    fn open(&self, partition: usize, opening: Opening) -> Result<Box<dyn Reader<T>>, Problem> {
        if self.fails_at_open {
            return Err(broken("open"));
        }
        Ok(Box::new(ScriptReader {
            partitions: self.partitions.clone(),
            partition,
            next: opening.from.read()?,
            chunk: self.chunk,
            bytes: self.bytes,
            opening,
            given: self.given.clone(),
        }))
    }

    fn bad_records(&self) -> BadRecords {
        self.bad_records.clone()
    }
}

struct ScriptReader<T> {
    partitions: Arc<Vec<Vec<Step<T>>>>,
    partition: usize,
    next: usize,
    chunk: usize,
    bytes: u64,
    opening: Opening,
    given: Arc<AtomicU64>,
}

impl<T: Clone> Reader<T> for ScriptReader<T> {
    fn read(&mut self, max: usize, into: &mut Chunk<T>) -> Result<ReadStatus, Problem> {
        for _ in 0..max.min(self.chunk) {
            match self.partitions[self.partition].get(self.next) {
                None => return Ok(ReadStatus::Ended),
                Some(Step::Give(record)) => {
                    into.push(record.clone());
                    into.add_bytes(self.bytes);
                    self.given.fetch_add(1, Ordering::Relaxed);
                }
                Some(Step::Bad(record)) => into.push_bad(record.clone()),
                Some(Step::Wait(gate)) if !gate.is_open() => {
                    gate.wake(&self.opening.waker);
                    return Ok(ReadStatus::Waiting);
                }
                Some(Step::Until(time)) if self.opening.clock.elapsed() < *time => {
                    return Ok(ReadStatus::Until(*time));
                }
                Some(Step::Wait(_) | Step::Until(_)) => {}
                Some(Step::Fail) => return Err(broken("a record")),
                Some(Step::Panic) => panic!("the reader slipped"),
            }
            self.next += 1;
        }
        Ok(ReadStatus::More)
    }

    fn position(&self) -> Result<Position, Problem> {
        Position::of(&self.next)
    }
}
