//! Checkpoints: the state of all operators at one boundary, by shard.
//!
//! A *boundary* is the first epoch of a checkpoint that was asked for. The state *at* it is the effect
//! of all records of earlier epochs and of no others. Several may be under way at once; each operator
//! is a [`Participant`] and leaves its state at one after another, when its input frontier has reached
//! it. Until then it keeps what lies behind the boundary apart. A checkpoint is whole when all
//! participants of all workers have left theirs.

use std::collections::BTreeMap;
use std::ops::Bound;
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
pub(crate) struct Checkpoints(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    start: Snapshot,
    /// The last boundary that was asked for; 0 while none was.
    last: AtomicU64,
    gathering: Mutex<Gathering>,
}

#[derive(Debug, Default)]
struct Gathering {
    participants: usize,
    /// By boundary: what has been left there.
    under_way: BTreeMap<u64, Left>,
}

/// What participants have left at a boundary.
#[derive(Debug, Default)]
struct Left {
    snapshot: Snapshot,
    participants: usize,
}

impl Checkpoints {
    pub(crate) fn new(start: Snapshot) -> Self {
        Checkpoints(Arc::new(Shared {
            start,
            last: AtomicU64::new(0),
            gathering: Mutex::default(),
        }))
    }

    /// The checkpoint that the job starts from.
    pub(crate) fn start(&self) -> &Snapshot {
        &self.0.start
    }

    /// Reads a part of an operator's state.
    pub(crate) fn read(&self, operator: &str, part: Part) -> Option<&[u8]> {
        let parts = &self.start().parts;
        parts.get(&(operator.to_owned(), part)).map(Vec::as_slice)
    }

    /// How far a partition had been read.
    pub(crate) fn read_partition(&self, port: &str, partition: &str) -> Option<&PartitionEnd> {
        let key = (port.to_owned(), partition.to_owned());
        self.start().partitions.get(&key)
    }

    /// Adds one who leaves something at every boundary.
    pub(crate) fn join(&self) -> Participant {
        self.gathering().participants += 1;
        Participant {
            checkpoints: self.clone(),
            left: self.0.start.epoch,
        }
    }

    /// Asks for a checkpoint at a boundary behind all others. To be called before any worker can send
    /// in its epoch.
    pub(crate) fn ask(&self, boundary: u64) {
        let mut gathering = self.gathering();
        let left = gathering.under_way.entry(boundary).or_default();
        left.snapshot.epoch = boundary;
        self.0.last.store(boundary, Ordering::Release);
    }

    /// Takes the checkpoint at the last boundary, if one was asked for and everybody has left its part.
    pub(crate) fn take_last(&self) -> Option<Snapshot> {
        let mut gathering = self.gathering();
        let participants = gathering.participants;
        let last = gathering.under_way.last_entry()?;
        (last.get().participants == participants).then(|| last.remove().snapshot)
    }

    fn gathering(&self) -> MutexGuard<'_, Gathering> {
        // A panic ends the job, and what lies here is then not used.
        let gathering = &self.0.gathering;
        gathering.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One who leaves its state at every boundary, in their order: an operator on one worker.
#[derive(Debug)]
pub(crate) struct Participant {
    checkpoints: Checkpoints,
    /// The last boundary that it has left its state at.
    left: u64,
}

impl Participant {
    /// The first boundary that it has still to leave its state at, up to an epoch.
    #[inline]
    pub(crate) fn due(&self, until: u64) -> Option<u64> {
        self.open(until).next()
    }

    /// All boundaries that it has still to leave its state at, up to an epoch.
    #[inline]
    pub(crate) fn open(&self, until: u64) -> impl Iterator<Item = u64> + use<> {
        let has_some = self.checkpoints.0.last.load(Ordering::Acquire) > self.left;
        let open = has_some.then(|| self.asked(until));
        open.into_iter().flatten()
    }

    #[cold]
    fn asked(&self, until: u64) -> Vec<u64> {
        let behind = (
            Bound::Excluded(self.left),
            Bound::Included(until.max(self.left + 1)),
        );
        let gathering = self.checkpoints.gathering();
        let asked = gathering
            .under_way
            .range(behind)
            .map(|(boundary, _)| *boundary);
        asked.filter(|boundary| *boundary <= until).collect()
    }

    /// Leaves a part of an operator's state.
    pub(crate) fn write(&self, boundary: u64, operator: &str, part: Part, bytes: Vec<u8>) {
        self.with(boundary, |left| {
            left.snapshot
                .parts
                .insert((operator.to_owned(), part), bytes);
        });
    }

    /// Leaves how far a partition has been read.
    pub(crate) fn write_partition(
        &self,
        boundary: u64,
        port: &str,
        partition: &str,
        end: PartitionEnd,
    ) {
        let key = (port.to_owned(), partition.to_owned());
        self.with(boundary, |left| {
            left.snapshot.partitions.insert(key, end);
        });
    }

    /// Says that all is left at a boundary.
    pub(crate) fn leave(&mut self, boundary: u64) {
        self.left = boundary;
        self.with(boundary, |left| left.participants += 1);
    }

    fn with(&self, boundary: u64, change: impl FnOnce(&mut Left)) {
        if let Some(left) = self.checkpoints.gathering().under_way.get_mut(&boundary) {
            change(left);
        }
    }
}
