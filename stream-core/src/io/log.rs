//! A partitioned log in memory, for tests and demonstrations: [`MemoryLog`].

use std::fmt;
use std::sync::{Arc, Mutex};

use super::lock;
use super::memory::{index, numbered};
use super::source::{
    Boundedness, Chunk, Opening, Position, ReadStatus, Reader, Source, SourceInfo, Waker,
};
use crate::error::Problem;

/// A partitioned log that can be appended to while jobs read it, and read again from any position.
///
/// It keeps every record for as long as a handle or a reader lives. Clones are handles of the same
/// log: one goes to the job, the other appends.
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
    partitions: Arc<[Mutex<Partition<T>>]>,
}

struct Partition<T> {
    records: Vec<T>,
    closed: bool,
    /// The waker of every reader, by the reader's own number.
    readers: Vec<(u64, Waker)>,
    next_reader: u64,
}

impl<T> MemoryLog<T> {
    /// Makes an empty log with the given number of partitions.
    pub fn new(partitions: usize) -> Self {
        let empty = || Partition {
            records: Vec::new(),
            closed: false,
            readers: Vec::new(),
            next_reader: 0,
        };
        MemoryLog {
            partitions: (0..partitions).map(|_| Mutex::new(empty())).collect(),
        }
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
        let Some(log) = self.partitions.get(partition) else {
            let detail = format!(
                "it has {} partitions, and the first is 0",
                self.partitions.len()
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
        for partition in self.partitions.iter() {
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
}

impl<T> Clone for MemoryLog<T> {
    fn clone(&self) -> Self {
        MemoryLog {
            partitions: self.partitions.clone(),
        }
    }
}

impl<T> fmt::Debug for MemoryLog<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryLog({} partitions)", self.partitions.len())
    }
}

impl<T: Clone + Send + 'static> Source<T> for MemoryLog<T> {
    fn info(&self) -> SourceInfo {
        SourceInfo {
            kind: "memory-log",
            detail: format!("{} partitions", self.partitions.len()),
            boundedness: Boundedness::UntilClosed,
            repeatable: true,
        }
    }

    fn partitions(&self) -> Result<Vec<String>, Problem> {
        numbered(self.partitions.len())
    }

    fn open(&self, partition: usize, opening: Opening) -> Result<Box<dyn Reader<T>>, Problem> {
        let mut log = lock(&self.partitions[partition]);
        let next = index(partition, &opening.from, log.records.len())?;
        let number = log.next_reader;
        log.next_reader += 1;
        log.readers.push((number, opening.waker));
        Ok(Box::new(Tail {
            log: self.clone(),
            partition,
            number,
            next,
        }))
    }
}

/// A reader of one partition; it takes its waker out of the log when it goes.
struct Tail<T> {
    log: MemoryLog<T>,
    partition: usize,
    number: u64,
    next: usize,
}

impl<T: Clone> Reader<T> for Tail<T> {
    fn read(&mut self, max: usize, into: &mut Chunk<T>) -> Result<ReadStatus, Problem> {
        let log = lock(&self.log.partitions[self.partition]);
        let rest = &log.records[self.next..];
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
        let mut log = lock(&self.log.partitions[self.partition]);
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
        assert!(lock(&log.partitions[0]).readers.is_empty());
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
