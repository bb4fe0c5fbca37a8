//! A partitioned log in memory, for tests and demonstrations: [`MemoryLog`].

mod sink;

use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex};

pub use self::sink::LogSink;
use self::sink::Producers;
use super::lock;
use super::memory::{index, numbered, told};
use super::source::{
    Boundedness, Chunk, Opening, Position, ReadStatus, Reader, Source, SourceInfo, Waker,
};
use crate::error::Problem;

/// A partitioned log that can be appended to while jobs read it, and read again from any position.
///
/// It keeps every record for as long as a handle or a reader lives. Clones are handles of the same
/// log: one goes to the job, the other appends. Jobs write to it by
/// [transactions](MemoryLog::transactional), so that each record is in it exactly once.
///
/// ```
/// use stream_core::io::MemoryLog;
///
/// let log = MemoryLog::new(2);
/// log.append(0, ["a", "b"])?;
/// log.append(1, ["c"])?;
/// log.close();
/// stream_core::testing::contract::source(|| log.clone(), &[vec!["a", "b"], vec!["c"]]);
/// # Ok::<(), stream_core::Problem>(())
/// ```
pub struct MemoryLog<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    partitions: Vec<Mutex<Partition<T>>>,
    /// Those that write by transactions. Locked before any partition; partitions in their order.
    producers: Mutex<Producers<T>>,
}

struct Partition<T> {
    records: Vec<T>,
    closed: bool,
    /// The waker of every reader, by the reader's own number.
    readers: Vec<(u64, Waker)>,
    next_reader: u64,
    /// How many records were left each time that the partition was cut.
    cuts: Vec<usize>,
}

impl<T> MemoryLog<T> {
    /// Makes an empty log with the given number of partitions.
    pub fn new(partitions: usize) -> Self {
        let empty = || Partition {
            records: Vec::new(),
            closed: false,
            readers: Vec::new(),
            next_reader: 0,
            cuts: Vec::new(),
        };
        let shared = Shared {
            partitions: (0..partitions).map(|_| Mutex::new(empty())).collect(),
            producers: Mutex::default(),
        };
        MemoryLog {
            shared: Arc::new(shared),
        }
    }

    /// A sink that writes to the log by transactions: its records are appended at once when a job has
    /// succeeded, or at each of its checkpoints, and each is there exactly once however often the
    /// job is started again. Worker 0 writes to the first partition, worker 1 to the second, and so on,
    /// from the first again where there are more workers: where the order of a key's records matters,
    /// through runs with other numbers of workers too, give the log one partition.
    ///
    /// The id tells the job's sink from all others that write to the log; the next run of the job must
    /// have the same one.
    ///
    /// ```
    /// use stream_core::run::StateStore;
    /// use stream_core::{Job, Mode, io};
    ///
    /// let (numbers, doubles) = (io::MemoryLog::<u64>::new(1), io::MemoryLog::<u64>::new(1));
    /// let store = StateStore::memory();
    /// let job = || {
    ///     Job::new("double", |graph| graph.output("out", graph.input::<u64>("in").map(|n| 2 * n)))
    ///         .source("in", numbers.clone())
    ///         .sink("out", doubles.transactional("double"))
    ///         .state(store.clone())
    /// };
    /// numbers.append(0, [1, 2])?;
    /// numbers.close();
    /// job().run(Mode::PerRecord)?;
    /// job().run(Mode::PerRecord)?; // finds nothing more to do
    /// assert_eq!(doubles.records(), [[2, 4]]);
    ///
    /// // What is committed is the next job's source.
    /// doubles.close();
    /// let (sink, rows) = io::collect::<u64>();
    /// Job::new("copy", |graph| graph.output("out", graph.input::<u64>("in")))
    ///     .source("in", doubles)
    ///     .sink("out", sink)
    ///     .run(Mode::Batch)?;
    /// assert_eq!(rows.take(), [2, 4]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn transactional(&self, id: &str) -> LogSink<T> {
        LogSink::new(self.clone(), id)
    }

    /// Copies the records of each partition, as they are at one moment.
    pub fn records(&self) -> Vec<Vec<T>>
    where
        T: Clone,
    {
        let partitions: Vec<_> = self.shared.partitions.iter().map(lock).collect();
        partitions.iter().map(|log| log.records.clone()).collect()
    }

    /// Takes the records of each partition out; for checks, which read a log once.
    pub(crate) fn take(&self) -> Vec<Vec<T>> {
        let mut partitions: Vec<_> = self.shared.partitions.iter().map(lock).collect();
        let logs = partitions.iter_mut();
        logs.map(|log| mem::take(&mut log.records)).collect()
    }

    /// Appends records to a partition and wakes its readers.
    ///
    /// # Errors
    /// When there is no such partition, or the log is closed.
    pub fn append(
        &self,
        partition: usize,
        records: impl IntoIterator<Item = T>,
    ) -> Result<(), Problem> {
        let what = || format!("cannot append to partition {partition} of the log");
        let Some(log) = self.shared.partitions.get(partition) else {
            let detail = format!(
                "it has {} partitions, and the first is 0",
                self.shared.partitions.len()
            );
            return Err(Problem::new(what()).detail(detail));
        };
        let mut log = lock(log);
        if log.closed {
            return Err(Problem::new(what()).detail("the log is closed"));
        }
        log.records.extend(records);
        log.wake();
        Ok(())
    }

    /// Closes the log: its readers end behind the last record.
    pub fn close(&self) {
        for partition in self.shared.partitions.iter() {
            let mut log = lock(partition);
            log.closed = true;
            log.wake();
        }
    }
}

impl<T> Partition<T> {
    fn wake(&self) {
        self.readers.iter().for_each(|(_, waker)| waker.wake());
    }

    /// Takes back what stands behind the first records.
    fn cut(&mut self, records: usize) {
        if self.records.len() > records {
            self.records.truncate(records);
            self.cuts.push(records);
            self.wake();
        }
    }
}

impl<T> Clone for MemoryLog<T> {
    fn clone(&self) -> Self {
        MemoryLog {
            shared: self.shared.clone(),
        }
    }
}

impl<T> fmt::Debug for MemoryLog<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryLog({} partitions)", self.shared.partitions.len())
    }
}

impl<T: Clone + Send + 'static> Source<T> for MemoryLog<T> {
    fn info(&self) -> SourceInfo {
        SourceInfo {
            kind: "memory-log",
            detail: format!("{} partitions", self.shared.partitions.len()),
            boundedness: Boundedness::UntilClosed,
            repeatable: true,
        }
    }

    fn partitions(&self) -> Result<Vec<String>, Problem> {
        numbered(self.shared.partitions.len())
    }

    fn open(&self, partition: usize, opening: Opening) -> Result<Box<dyn Reader<T>>, Problem> {
        let mut log = lock(&self.shared.partitions[partition]);
        let next = index(partition, &opening.from, log.records.len())?;
        let number = log.next_reader;
        log.next_reader += 1;
        log.readers.push((number, opening.waker));
        let cuts = log.cuts.len();
        Ok(Box::new(Tail {
            log: self.clone(),
            partition,
            number,
            next,
            cuts,
        }))
    }

    fn told(&self, position: &Position) -> Option<String> {
        told(position)
    }
}

/// A reader of one partition; it takes its waker out of the log when it goes.
struct Tail<T> {
    log: MemoryLog<T>,
    partition: usize,
    number: u64,
    next: usize,
    /// How often the partition had been cut when the reader was opened or has read last.
    cuts: usize,
}

impl<T: Clone> Reader<T> for Tail<T> {
    fn read(&mut self, max: usize, into: &mut Chunk<T>) -> Result<ReadStatus, Problem> {
        let log = lock(&self.log.shared.partitions[self.partition]);
        let cuts = log.cuts.get(self.cuts..).unwrap_or_default();
        if let Some(left) = cuts.iter().min().filter(|left| **left < self.next) {
            let (partition, next) = (self.partition, self.next);
            return Err(Problem::new(format!(
                "partition {partition} of the log was cut to {left} records, and {next} had been read"
            ))
            .detail("a job that writes to it went back to an earlier checkpoint")
            .hint("let the job that reads it go back as well"));
        }
        self.cuts = log.cuts.len();
        let rest = log.records.get(self.next..).unwrap_or_default();
        let taken = rest.len().min(max);
        into.extend(rest[..taken].iter().cloned());
        self.next += taken;
        Ok(match (taken == rest.len(), log.closed) {
            (false, _) => ReadStatus::More,
            (true, false) => ReadStatus::Waiting,
            (true, true) => ReadStatus::Ended,
        })
    }

    fn position(&self) -> Result<Position, Problem> {
        Position::of(&self.next)
    }
}

impl<T> Drop for Tail<T> {
    fn drop(&mut self) {
        let mut log = lock(&self.log.shared.partitions[self.partition]);
        log.readers.retain(|(number, _)| *number != self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::testing::contract;

    #[test]
    fn a_log_that_grows_while_it_is_read_keeps_the_contract_of_sources() {
        let expected = vec![(0..50).collect::<Vec<u32>>(), vec![7]];
        let make = || {
            let log = MemoryLog::new(2);
            let writer = log.clone();
            thread::spawn(move || {
                for record in 0..50 {
                    writer.append(0, [record]).unwrap();
                    thread::yield_now();
                }
                writer.append(1, [7]).unwrap();
                writer.close();
            });
            log
        };
        contract::source(make, &expected);
    }

    #[test]
    fn a_reader_that_has_gone_leaves_no_waker_behind() {
        let log = MemoryLog::<u8>::new(1);
        drop(log.open(0, contract::opening()).unwrap());
        assert!(lock(&log.shared.partitions[0]).readers.is_empty());
    }

    #[test]
    fn appending_where_nothing_can_be_is_a_problem() {
        let log = MemoryLog::new(1);
        let problem = log.append(1, ["x"]).unwrap_err().to_string();
        let expected = "cannot append to partition 1 of the log: it has 1 partitions, and the \
                        first is 0";
        assert_eq!(problem, expected);
        log.close();
        let problem = log.append(0, ["x"]).unwrap_err().to_string();
        assert_eq!(
            problem,
            "cannot append to partition 0 of the log: the log is closed"
        );
    }
}
