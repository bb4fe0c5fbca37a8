//! Where the records of the rows come from and go: a source that makes each record when it is read,
//! so that no input lies in memory, and a sink that keeps nothing but a digest.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use stream_core::Problem;
use stream_core::io::{
    Boundedness, Chunk, Opening, Position, ReadStatus, Reader, Sink, SinkInfo, Slot, Source,
    SourceInfo, Staged, Writer,
};

use crate::measure::Digest;

/// A source whose records follow from their partition and their number in it.
pub(super) struct Made<F> {
    pub(super) partitions: u64,
    /// Of each partition.
    pub(super) records: u64,
    /// How many records a read gives at most.
    pub(super) read_records_max: usize,
    pub(super) make: F,
}

impl<F> Made<F> {
    /// One partition, read in chunks as large as the engine likes.
    pub(super) fn one(records: u64, make: F) -> Self {
        Made {
            partitions: 1,
            records,
            read_records_max: usize::MAX,
            make,
        }
    }
}

impl<T, F> Source<T> for Made<F>
where
    T: 'static,
    F: Fn(u64, u64) -> T + Clone + Send + Sync + 'static,
{
    fn info(&self) -> SourceInfo {
        SourceInfo {
            kind: "made",
            detail: format!("{} of {} records", self.partitions, self.records),
            boundedness: Boundedness::Bounded,
            repeatable: true,
        }
    }

    fn partitions(&self) -> Result<Vec<String>, Problem> {
        Ok((0..self.partitions).map(|name| name.to_string()).collect())
    }

    fn open(&self, partition: usize, opening: Opening) -> Result<Box<dyn Reader<T>>, Problem> {
        Ok(Box::new(MadeReader {
            partition: partition as u64,
            next: opening.from.read()?,
            end: self.records,
            read_records_max: self.read_records_max,
            make: self.make.clone(),
        }))
    }
}

struct MadeReader<F> {
    partition: u64,
    next: u64,
    end: u64,
    read_records_max: usize,
    make: F,
}

impl<T, F: Fn(u64, u64) -> T> Reader<T> for MadeReader<F> {
    fn read(&mut self, max: usize, into: &mut Chunk<T>) -> Result<ReadStatus, Problem> {
        let end = self
            .end
            .min(self.next + max.min(self.read_records_max) as u64);
        into.extend((self.next..end).map(|number| (self.make)(self.partition, number)));
        self.next = end;
        Ok(if end == self.end {
            ReadStatus::Ended
        } else {
            ReadStatus::More
        })
    }

    fn position(&self) -> Result<Position, Problem> {
        Position::of(&self.next)
    }
}

/// A sink that adds up the hashes of the rows, and throws the rows away.
pub(super) struct Tally<T> {
    hash: fn(&T) -> u64,
    /// How long each write of the last worker takes longer than it would.
    pause: Duration,
    total: Arc<Mutex<Digest>>,
}

impl<T> Clone for Tally<T> {
    fn clone(&self) -> Self {
        Tally {
            hash: self.hash,
            pause: self.pause,
            total: self.total.clone(),
        }
    }
}

impl<T> Tally<T> {
    pub(super) fn new(hash: fn(&T) -> u64) -> Self {
        Tally {
            hash,
            pause: Duration::ZERO,
            total: Arc::default(),
        }
    }

    /// Makes the writer of the last worker slow. Where there are several, the others go on reading.
    pub(super) fn slow(self, pause: Duration) -> Self {
        Tally { pause, ..self }
    }

    /// What has been written by workers that are through.
    pub(super) fn digest(&self) -> Digest {
        let total = self.total.lock().unwrap_or_else(PoisonError::into_inner);
        total.clone()
    }
}

impl<T: 'static> Sink<T> for Tally<T> {
    fn info(&self) -> SinkInfo {
        SinkInfo {
            kind: "tally",
            detail: String::new(),
            atomic: true,
        }
    }

    fn open(&self, slot: Slot) -> Result<Box<dyn Writer<T>>, Problem> {
        let is_last = slot.index + 1 == slot.count;
        Ok(Box::new(TallyWriter {
            digest: Digest::default(),
            pause: is_last.then_some(self.pause),
            sink: self.clone(),
        }))
    }
}

struct TallyWriter<T> {
    digest: Digest,
    pause: Option<Duration>,
    sink: Tally<T>,
}

impl<T> Writer<T> for TallyWriter<T> {
    fn write(&mut self, records: &mut Vec<T>) -> Result<(), Problem> {
        for record in records.iter() {
            self.digest.add((self.sink.hash)(record));
        }
        if let Some(pause) = self.pause.filter(|pause| !pause.is_zero()) {
            thread::sleep(pause); // with the records still alive
        }
        records.clear();
        Ok(())
    }

    fn prepare(&mut self, _: u64) -> Result<Staged, Problem> {
        let total = &self.sink.total;
        let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
        total.merge(std::mem::take(&mut self.digest));
        Ok(Staged::nothing())
    }
}
