//! Checkpoints: the state of all operators at one boundary, by shard.
//!
//! A *boundary* is the first epoch of a checkpoint that was asked for. The state *at* it is the effect
//! of all records of earlier epochs and of no others. Several may be under way at once; each operator
//! is a [`Participant`] and leaves its state at one after another, when its input frontier has reached
//! it. Until then it keeps what lies behind the boundary apart. A checkpoint is whole when all
//! participants of all workers have left theirs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::fingerprint::Fingerprint;
use crate::error::Problem;
use crate::io::{Commit, Position, Staged};
use crate::time::epoch::FOREVER;

/// The state of a job at one boundary: what a stopped job hands out and another one starts from,
/// on any number of workers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The checkpoint's number; 0 in a snapshot of nothing.
    pub(crate) number: u64,
    /// The boundary.
    pub(crate) epoch: u64,
    /// By port and partition: how far it has been read.
    pub(crate) partitions: BTreeMap<(String, String), PartitionEnd>,
    /// By operator and part: the state.
    pub(crate) parts: BTreeMap<(String, Part), Vec<u8>>,
    /// By operator: what its state is, so that another operator does not take it for its own.
    pub(crate) fingerprints: BTreeMap<String, Fingerprint>,
    /// By sink: what its slots have staged.
    pub(crate) staged: BTreeMap<String, Vec<Vec<u8>>>,
    /// Whether the job stopped or ended there.
    pub(crate) is_last: bool,
}

impl Snapshot {
    /// What is committed of a sink, or was.
    pub(crate) fn commit(&self, sink: &str) -> Commit {
        let staged = self.staged.get(sink).cloned().unwrap_or_default();
        let commit = Commit::new(self.number, staged);
        match self.is_last {
            true => commit.last(),
            false => commit,
        }
    }
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

/// A boundary, and the number of the checkpoint that was asked for there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Boundary {
    pub(crate) epoch: u64,
    pub(crate) number: u64,
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
    /// How many checkpoints were asked for.
    asked: u64,
    /// By boundary: what has been left there.
    under_way: BTreeMap<u64, Left>,
}

impl Gathering {
    /// The boundary at an epoch, a new one if nobody has asked for it before.
    fn boundary(&mut self, epoch: u64, start: &Snapshot) -> Boundary {
        let left = self.under_way.entry(epoch).or_insert_with(|| {
            self.asked += 1;
            let mut left = Left::default();
            left.snapshot.epoch = epoch;
            left.snapshot.number = start.number + self.asked;
            left
        });
        let number = left.snapshot.number;
        Boundary { epoch, number }
    }
}

/// What participants have left at a boundary.
#[derive(Debug, Default)]
pub(crate) struct Left {
    pub(crate) snapshot: Snapshot,
    /// By sink and slot.
    staged: BTreeMap<(String, usize), Staged>,
    participants: usize,
}

impl Left {
    /// Does what the sinks have left to be done.
    pub(crate) fn finish(&mut self) -> Result<(), (String, Problem)> {
        for ((sink, _), staged) in std::mem::take(&mut self.staged) {
            let bytes = staged.finish().map_err(|problem| (sink.clone(), problem))?;
            self.snapshot.staged.entry(sink).or_default().push(bytes);
        }
        Ok(())
    }
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
        self.gathering().boundary(boundary, self.start());
        self.0.last.store(boundary, Ordering::Release);
    }

    /// The end of all input, where every sink is committed and no operator has anything to leave.
    pub(crate) fn end(&self) -> Boundary {
        self.gathering().boundary(FOREVER, self.start())
    }

    /// Takes what was left at the last boundary.
    pub(crate) fn take_last(&self) -> Option<Left> {
        self.gathering().under_way.pop_last().map(|(_, left)| left)
    }

    /// What was left at a boundary, if all have left there.
    #[cfg(test)]
    pub(crate) fn left(&self, boundary: u64) -> Option<Snapshot> {
        let gathering = self.gathering();
        let left = gathering.under_way.get(&boundary)?;
        (left.participants == gathering.participants).then(|| left.snapshot.clone())
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
    /// The last boundary that it has left its state at, or has begun to.
    left: u64,
}

impl Participant {
    /// The first boundary that it has still to leave its state at, or to begin to, up to an epoch.
    #[inline]
    pub(crate) fn due(&self, until: u64) -> Option<Boundary> {
        self.open(until).next()
    }

    /// All boundaries that it has still to leave its state at, up to an epoch.
    #[inline]
    pub(crate) fn open(&self, until: u64) -> impl Iterator<Item = Boundary> + use<> {
        let last = self.checkpoints.0.last.load(Ordering::Acquire);
        let open = (last > self.left).then(|| self.asked(until.min(last)));
        open.into_iter().flatten()
    }

    #[cold]
    fn asked(&self, until: u64) -> Vec<Boundary> {
        let gathering = self.checkpoints.gathering();
        let behind = gathering.under_way.range(self.left.saturating_add(1)..);
        let open = behind.take_while(|(epoch, _)| **epoch <= until);
        let open = open.map(|(epoch, left)| Boundary {
            epoch: *epoch,
            number: left.snapshot.number,
        });
        open.collect()
    }

    /// Leaves a part of an operator's state.
    pub(crate) fn write(&self, boundary: Boundary, operator: &str, part: Part, bytes: Vec<u8>) {
        self.with(boundary, |left| {
            let key = (operator.to_owned(), part);
            left.snapshot.parts.insert(key, bytes);
        });
    }

    /// Leaves how far a partition has been read.
    pub(crate) fn write_partition(
        &self,
        boundary: Boundary,
        port: &str,
        partition: &str,
        end: PartitionEnd,
    ) {
        let key = (port.to_owned(), partition.to_owned());
        self.with(boundary, |left| {
            left.snapshot.partitions.insert(key, end);
        });
    }

    /// Leaves what a slot of a sink has staged.
    pub(crate) fn stage(&self, boundary: Boundary, sink: &str, slot: usize, staged: Staged) {
        self.with(boundary, |left| {
            left.staged.insert((sink.to_owned(), slot), staged);
        });
    }

    /// Says that what is left at a boundary is under way, so that it is due no more.
    pub(crate) fn begin(&mut self, boundary: Boundary) {
        self.left = boundary.epoch;
    }

    /// Says that all is left at a boundary.
    pub(crate) fn leave(&mut self, boundary: Boundary) {
        self.left = boundary.epoch;
        self.with(boundary, |left| left.participants += 1);
    }

    fn with(&self, boundary: Boundary, change: impl FnOnce(&mut Left)) {
        if let Some(left) = self
            .checkpoints
            .gathering()
            .under_way
            .get_mut(&boundary.epoch)
        {
            change(left);
        }
    }
}
