//! Snapshots: the state of all operators at one boundary, by shard, in memory.
//!
//! A boundary is the first epoch of a checkpoint. The state *at* it is the effect of all records
//! of earlier epochs and of no others. An operator writes its state when its input frontier has
//! reached the boundary; until then it keeps what lies behind the boundary apart.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::fingerprint::Fingerprint;
use crate::io::Position;

/// The state of a job at one boundary: what a stopped job hands out and another one starts from,
/// on any number of workers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The boundary; 0 in a snapshot of nothing.
    pub(crate) epoch: u64,
    /// By port and partition: how far it has been read.
    pub(crate) partitions: BTreeMap<(String, String), PartitionEnd>,
    /// By operator and part: the state.
    pub(crate) parts: BTreeMap<(String, Part), Vec<u8>>,
    /// By operator: what its state is, so that another operator does not take it for its own.
    pub(crate) fingerprints: BTreeMap<String, Fingerprint>,
}

/// How far a partition has been read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PartitionEnd {
    pub(crate) position: Position,
    pub(crate) ended: bool,
}

/// A part of an operator's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// The state of the keys of a shard.
    Shard(usize),
    /// What every worker knows alike.
    Common,
    /// What one worker knows of its own lanes; after a restore every worker reads all of them.
    Worker(usize),
}

/// Where the operators of all workers read the state to start from, and leave theirs.
#[derive(Clone, Debug)]
pub(crate) struct Snapshots(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    start: Snapshot,
    /// 0 until a snapshot is asked for.
    boundary: AtomicU64,
    taken: Mutex<Snapshot>,
}

impl Snapshots {
    pub(crate) fn new(start: Snapshot) -> Self {
        Snapshots(Arc::new(Shared {
            start,
            boundary: AtomicU64::new(0),
            taken: Mutex::default(),
        }))
    }

    /// The snapshot that the job starts from.
    pub(crate) fn start(&self) -> &Snapshot {
        &self.0.start
    }

    /// Asks for a snapshot at a boundary. To be called before any worker can send in its epoch.
    pub(crate) fn ask(&self, boundary: u64) {
        self.0.boundary.store(boundary, Ordering::Release);
        self.taken().epoch = boundary;
    }

    /// The boundary that a snapshot was asked for at.
    pub(crate) fn boundary(&self) -> Option<u64> {
        match self.0.boundary.load(Ordering::Acquire) {
            0 => None,
            boundary => Some(boundary),
        }
    }

    /// Leaves a part of an operator's state.
    pub(crate) fn write(&self, operator: &str, part: Part, bytes: Vec<u8>) {
        self.taken()
            .parts
            .insert((operator.to_owned(), part), bytes);
    }

    /// Reads a part of an operator's state.
    pub(crate) fn read(&self, operator: &str, part: Part) -> Option<&[u8]> {
        self.start()
            .parts
            .get(&(operator.to_owned(), part))
            .map(Vec::as_slice)
    }

    /// Notes how far a partition has been read.
    pub(crate) fn write_partition(&self, port: &str, partition: &str, end: PartitionEnd) {
        self.taken()
            .partitions
            .insert((port.to_owned(), partition.to_owned()), end);
    }

    /// How far a partition has been read.
    pub(crate) fn read_partition(&self, port: &str, partition: &str) -> Option<PartitionEnd> {
        self.start()
            .partitions
            .get(&(port.to_owned(), partition.to_owned()))
            .copied()
    }

    /// Takes the snapshot that was asked for, once all workers have left their parts.
    pub(crate) fn take(&self) -> Option<Snapshot> {
        self.boundary().map(|_| std::mem::take(&mut *self.taken()))
    }

    fn taken(&self) -> MutexGuard<'_, Snapshot> {
        // A panic ends the job, and what lies here is then not used.
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
