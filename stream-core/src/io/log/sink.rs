//! The transactional sink of a log: [`LogSink`].

use std::collections::BTreeMap;
use std::fmt;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{MemoryLog, Partition};
use crate::codec;
use crate::error::Problem;
use crate::io::lock;
use crate::io::sink::{Commit, Sink, SinkInfo, Slot, Staged, Writer};

/// Writes to a [`MemoryLog`] by transactions, made by [`MemoryLog::transactional`].
///
/// It is the smallest complete example of an exactly-once sink, for who writes one of their own:
/// * A writer *prepares* a checkpoint by handing its records to the log as a transaction, which no reader
///   sees. What it [stages](Staged), and so what is kept with the checkpoint, is the transaction's number.
/// * A *commit* appends the records of the checkpoint's transactions, and notes the checkpoint as the
///   sink's *marker*, in one atomic step. A commit that the marker has reached changes nothing.
/// * To *recover* is to commit once more, and to drop the transactions that are left: no checkpoint
///   names them.
/// * A job that *goes back* cuts the log where the marker of that checkpoint was set. It is refused when
///   others have appended behind it, for their records would go as well.
///
/// The log takes the place of a message log's broker: it lives as long as the process, through any
/// number of runs of the job.
pub struct LogSink<T> {
    log: MemoryLog<T>,
    id: String,
    /// Whether the job keeps its state: the checkpoints of one that does not all have the same number.
    keeps_state: AtomicBool,
}

/// What a log keeps of those that write to it by transactions.
pub(super) struct Producers<T> {
    by_id: BTreeMap<String, Producer<T>>,
    /// How many transactions there were.
    transactions: u64,
}

/// One that writes by transactions.
struct Producer<T> {
    /// By number: those that are prepared and not committed.
    pending: BTreeMap<u64, Transaction<T>>,
    /// By checkpoint, in their order: what has been committed.
    markers: Vec<Marker>,
}

/// What a slot has prepared for a checkpoint.
struct Transaction<T> {
    partition: usize,
    records: Vec<T>,
}

/// Says that a checkpoint is committed.
struct Marker {
    checkpoint: u64,
    /// By partition: how far it went by then.
    ends: Vec<End>,
}

/// How far a partition goes.
#[derive(Clone, Copy, Default)]
struct End {
    /// How many records it holds.
    records: usize,
    /// How many of them were committed by the marker's sink.
    own: usize,
}

impl<T> Default for Producers<T> {
    fn default() -> Self {
        Producers {
            by_id: BTreeMap::new(),
            transactions: 0,
        }
    }
}

impl<T> Producers<T> {
    fn producer(&mut self, id: &str) -> &mut Producer<T> {
        self.by_id.entry(id.to_owned()).or_insert(Producer {
            pending: BTreeMap::new(),
            markers: Vec::new(),
        })
    }
}

impl<T> LogSink<T> {
    pub(super) fn new(log: MemoryLog<T>, id: &str) -> Self {
        LogSink {
            log,
            id: id.to_owned(),
            keeps_state: AtomicBool::new(false),
        }
    }

    /// Works on the producer and all partitions at once, so that nobody sees half of a step.
    fn atomically<R>(
        &self,
        step: impl FnOnce(&mut Producer<T>, &mut [&mut Partition<T>]) -> Result<R, Problem>,
    ) -> Result<R, Problem> {
        let mut producers = lock(&self.log.shared.producers);
        let partitions = self.log.shared.partitions.iter();
        let mut partitions: Vec<_> = partitions.map(lock).collect();
        let mut partitions: Vec<_> = partitions.iter_mut().map(|locked| &mut **locked).collect();
        step(producers.producer(&self.id), &mut partitions)
    }

    fn problem(&self, what: fmt::Arguments<'_>) -> Problem {
        Problem::new(format!("`{}` cannot {what} in the log", self.id))
    }

    /// Commits a checkpoint, unless its marker says that this was done.
    fn commit_once(&self, commit: &Commit) -> Result<(), Problem> {
        let keeps_state = self.keeps_state.load(Ordering::Relaxed);
        let checkpoint = commit.checkpoint;
        let staged = commit.staged.iter().filter(|bytes| !bytes.is_empty());
        let numbers: Vec<u64> = staged
            .map(|bytes| codec::decode(bytes))
            .collect::<Result<_, _>>()?;
        self.atomically(|producer, partitions| {
            if keeps_state && producer.marker() >= Some(checkpoint) {
                return Ok(());
            }
            let problem = || self.problem(format_args!("commit checkpoint {checkpoint}"));
            let is_lost = |number: &u64| !producer.pending.contains_key(number);
            if keeps_state && numbers.iter().any(is_lost) {
                return Err(problem()
                    .detail("the log does not hold what was prepared for it")
                    .hint(
                        "a log in memory ends with its process: start afresh, with a state of its own",
                    ));
            }
            if partitions.iter().any(|partition| partition.closed) {
                return Err(problem()
                    .detail("the log is closed")
                    .hint("close it when the jobs that write to it have ended"));
            }
            let mut own = producer.own(partitions.len());
            for number in &numbers {
                if let Some(transaction) = producer.pending.remove(number) {
                    let partition = &mut *partitions[transaction.partition];
                    own[transaction.partition] += transaction.records.len();
                    partition.records.extend(transaction.records);
                    partition.wake();
                }
            }
            if keeps_state {
                let lengths = partitions.iter().map(|partition| partition.records.len());
                let ends = lengths.zip(own).map(|(records, own)| End { records, own });
                let ends = ends.collect();
                producer.markers.push(Marker { checkpoint, ends });
            }
            Ok(())
        })
    }

    /// Cuts the log where it was when a checkpoint was committed.
    fn go_back(&self, checkpoint: u64) -> Result<(), Problem> {
        self.atomically(|producer, partitions| {
            let problem = || {
                self.problem(format_args!("go back to checkpoint {checkpoint}"))
                    .hint("go on from the last checkpoint, or start afresh with another log")
            };
            let own = producer.own(partitions.len());
            producer
                .check_way_back(checkpoint, partitions, &own)
                .map_err(|detail| problem().detail(detail))?;
            producer
                .markers
                .retain(|marker| marker.checkpoint <= checkpoint);
            if let Some(marker) = producer.markers.last() {
                for (partition, end) in partitions.iter_mut().zip(&marker.ends) {
                    partition.cut(end.records);
                }
            }
            Ok(())
        })
    }
}

impl<T> Producer<T> {
    /// The checkpoint that was committed last.
    fn marker(&self) -> Option<u64> {
        self.markers.last().map(|marker| marker.checkpoint)
    }

    /// By partition: how many records were committed up to the last marker.
    fn own(&self, partitions: usize) -> Vec<usize> {
        match self.markers.last() {
            Some(marker) => marker.ends.iter().map(|end| end.own).collect(),
            None => vec![0; partitions],
        }
    }

    /// Says why the log cannot be cut where a checkpoint was committed, if it cannot.
    fn check_way_back(
        &self,
        checkpoint: u64,
        partitions: &[&mut Partition<T>],
        own: &[usize],
    ) -> Result<(), String> {
        let mut markers = self.markers.iter();
        let Some(marker) = markers.find(|marker| marker.checkpoint == checkpoint) else {
            return Err("nothing is known of that checkpoint".to_owned());
        };
        for (number, (end, own)) in marker.ends.iter().zip(own).enumerate() {
            if partitions[number].records.len() - end.records != own - end.own {
                return Err(format!(
                    "others have appended to partition {number} behind it"
                ));
            }
        }
        Ok(())
    }
}

impl<T> fmt::Debug for LogSink<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogSink({})", self.id)
    }
}

impl<T: Send + 'static> Sink<T> for LogSink<T> {
    fn info(&self) -> SinkInfo {
        SinkInfo {
            kind: "memory-log",
            detail: self.id.clone(),
            atomic: true,
        }
    }

    fn recover(&self, last: Option<&Commit>) -> Result<(), Problem> {
        self.keeps_state.store(true, Ordering::Relaxed);
        if let Some(last) = last {
            self.commit_once(last)?;
            if last.goes_back {
                self.go_back(last.checkpoint)?;
            }
        }
        self.atomically(|producer, _| {
            producer.pending.clear();
            if last.is_none() {
                producer.markers.clear(); // another job counts from 1 again
            }
            Ok(())
        })
    }

    fn open(&self, slot: Slot) -> Result<Box<dyn Writer<T>>, Problem> {
        let partitions = self.log.shared.partitions.len();
        let partition = slot.index.checked_rem(partitions).ok_or_else(|| {
            self.problem(format_args!("write"))
                .detail("it has no partition")
                .hint("give it one: `MemoryLog::new(1)`")
        })?;
        Ok(Box::new(LogWriter {
            log: self.log.clone(),
            id: self.id.clone(),
            partition,
            records: Vec::new(),
        }))
    }

    fn commit(&self, commit: &Commit) -> Result<(), Problem> {
        self.commit_once(commit)
    }

    fn abort(&self) {
        let mut producers = lock(&self.log.shared.producers);
        producers.producer(&self.id).pending.clear();
    }
}

/// Gathers the records of a slot for a transaction.
struct LogWriter<T> {
    log: MemoryLog<T>,
    id: String,
    partition: usize,
    records: Vec<T>,
}

impl<T> Writer<T> for LogWriter<T> {
    fn write(&mut self, records: &mut Vec<T>) -> Result<(), Problem> {
        self.records.append(records);
        Ok(())
    }

    /// Stages a transaction without records, too: so a log that has lost it is found out.
    fn prepare(&mut self, _checkpoint: u64) -> Result<Staged, Problem> {
        let transaction = Transaction {
            partition: self.partition,
            records: mem::take(&mut self.records),
        };
        let mut producers = lock(&self.log.shared.producers);
        producers.transactions += 1;
        let number = producers.transactions;
        let producer = producers.producer(&self.id);
        producer.pending.insert(number, transaction);
        Ok(Staged::bytes(codec::encode(&number)?))
    }
}
