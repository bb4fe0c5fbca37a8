//! Checkpoints: the state of all operators at one boundary, by shard.
//!
//! A *boundary* is the first epoch of a checkpoint that was asked for. The state *at* it is the effect
//! of all records of earlier epochs and of no others. Several may be under way at once; each operator
//! is a [`Participant`] and leaves its state at one after another, when its input frontier has reached
//! it. Until then it keeps what lies behind the boundary apart. A checkpoint is whole when all
//! participants of all workers have left theirs.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::fingerprint::Fingerprint;
use crate::error::{Error, Problem};
use crate::io::{Commit, Position, Staged};
use crate::time::epoch::FOREVER;

/// The state of a job at one boundary: what a stopped job hands out and another one starts from,
/// on any number of workers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The checkpoint's number; 0 in a snapshot of nothing.
    pub(crate) number: u64,
    /// The highest number that a checkpoint of the job has had, where there were later ones.
    pub(crate) given: u64,
    /// Whether the job goes back to it: what stands behind it may have been committed.
    pub(crate) goes_back: bool,
    /// The boundary.
    pub(crate) epoch: u64,
    /// By port and partition: how far it has been read.
    pub(crate) partitions: BTreeMap<(String, String), PartitionEnd>,
    /// By operator and part: the state.
    pub(crate) parts: Parts,
    /// By operator: what its state is, so that another operator does not take it for its own.
    pub(crate) fingerprints: BTreeMap<String, Fingerprint>,
    /// By sink: what its slots have staged.
    pub(crate) staged: BTreeMap<String, Vec<Vec<u8>>>,
    /// Whether the job stopped or ended there.
    pub(crate) is_last: bool,
}

impl Bytes {
    pub(crate) fn read(&self, stored: Option<&ReadStored>) -> Result<Cow<'_, [u8]>, Problem> {
        match (self, stored) {
            (Bytes::Here(bytes), _) => Ok(Cow::Borrowed(bytes)),
            (Bytes::Stored(stored), Some(read)) => read(stored).map(Cow::Owned),
            (Bytes::Stored(stored), None) => Err(Problem::new(format!(
                "`{}` is in a store that is not at hand",
                stored.object
            ))),
        }
    }
}

impl Snapshot {
    /// How many bytes the state of the operators has.
    pub(crate) fn bytes(&self) -> u64 {
        let parts = self.parts.values().map(|part| match part {
            Bytes::Here(bytes) => bytes.len() as u64,
            Bytes::Stored(_) => 0,
        });
        parts.sum()
    }

    /// How many bytes the sinks have left.
    pub(crate) fn staged_bytes(&self) -> u64 {
        let staged = self.staged.values().flatten();
        staged.map(|slot| slot.len() as u64).sum()
    }

    /// What is committed of a sink, or was.
    pub(crate) fn commit(&self, sink: &str) -> Commit {
        let staged = self.staged.get(sink).cloned().unwrap_or_default();
        let mut commit = Commit::new(self.number, staged);
        commit.goes_back = self.goes_back;
        match self.is_last {
            true => commit.last(),
            false => commit,
        }
    }
}

/// By operator and part: state.
pub(crate) type Parts = BTreeMap<(String, Part), Bytes>;

/// How far a partition has been read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PartitionEnd {
    pub(crate) position: Position,
    pub(crate) ended: bool,
}

/// A part of the state of an operator, written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Bytes {
    /// In memory.
    Here(Vec<u8>),
    /// In a store.
    Stored(Stored),
}

/// Where a store has a part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stored {
    pub(crate) object: String,
    /// Where in the object it begins.
    pub(crate) at: u64,
    pub(crate) bytes: u64,
    pub(crate) checksum: u64,
}

/// Reads what is stored.
pub(crate) type ReadStored = Arc<dyn Fn(&Stored) -> Result<Vec<u8>, Problem> + Send + Sync>;

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
#[derive(Clone)]
pub(crate) struct Checkpoints(Arc<Shared>);

struct Shared {
    start: Snapshot,
    read: Option<ReadStored>,
    workers: usize,
    /// The last boundary that was asked for; 0 while none was.
    last: AtomicU64,
    gathering: Mutex<Gathering>,
    /// Notified when a checkpoint is whole or due, and when the job ends.
    changed: Condvar,
    /// How many bytes sinks keep in memory until a checkpoint is complete.
    held: AtomicU64,
    /// How many of them no boundary covers yet.
    unstaged: AtomicU64,
    /// Whether somebody takes checkpoints while the job runs, and so lets them go.
    is_kept: AtomicBool,
}

/// How many bytes sinks may keep in memory before nothing more is read.
const HELD_MAX: u64 = 8 << 20;

/// At how many bytes that no boundary covers a checkpoint is asked for.
const UNSTAGED_ENOUGH: u64 = HELD_MAX / 2;

/// What a slot of a sink has prepared.
pub(crate) struct Prepared {
    pub(crate) staged: Staged,
    /// How many bytes it keeps in memory until the checkpoint is complete.
    pub(crate) held: u64,
}

/// How much the writer of a slot keeps in memory, as it has told last.
#[derive(Debug, Default)]
pub(crate) struct Held(u64);

impl Held {
    /// Counts what has come to it.
    pub(crate) fn grow(&mut self, to: u64, participant: &Participant) {
        if to != self.0 {
            participant.hold(to.saturating_sub(self.0));
            self.0 = to;
        }
    }

    /// What a checkpoint takes of it, where so much is left.
    pub(crate) fn take(&mut self, left: u64) -> u64 {
        std::mem::replace(&mut self.0, left).saturating_sub(left)
    }
}

#[derive(Debug, Default)]
struct Gathering {
    participants: usize,
    /// How many workers have all their participants.
    rendered: usize,
    /// Whether all workers have gone.
    is_closed: bool,
    /// How many checkpoints were asked for.
    asked: u64,
    /// By boundary: what has been left there.
    under_way: BTreeMap<u64, Left>,
}

impl Gathering {
    /// Takes the first checkpoint, if everybody has left its part of it; not the last one.
    fn take_whole(&mut self, workers: usize) -> Option<Left> {
        let participants = self.participants;
        let first = self.under_way.first_entry()?;
        let has_all = self.rendered == workers && first.get().participants == participants;
        (has_all && !first.get().snapshot.is_last).then(|| first.remove())
    }

    /// The boundary at an epoch, a new one if nobody has asked for it before.
    fn boundary(&mut self, epoch: u64, is_last: bool, start: &Snapshot) -> Boundary {
        let left = self.under_way.entry(epoch).or_insert_with(|| {
            self.asked += 1;
            let mut left = Left::default();
            left.snapshot.epoch = epoch;
            left.snapshot.is_last = is_last;
            left.snapshot.number = start.number.max(start.given) + self.asked;
            left
        });
        let number = left.snapshot.number;
        Boundary { epoch, number }
    }
}

/// What a wait for a checkpoint has brought.
pub(crate) enum Waited {
    Whole(Box<Left>),
    /// All workers have gone.
    Closed,
    Nothing,
}

/// What participants have left at a boundary.
#[derive(Debug, Default)]
pub(crate) struct Left {
    pub(crate) snapshot: Snapshot,
    /// By sink and slot.
    staged: BTreeMap<(String, usize), Staged>,
    /// How many bytes of that are kept in memory until the checkpoint is complete.
    pub(crate) held: u64,
    /// The operators that have left only the shards that have changed since the checkpoint before.
    changes_of: BTreeSet<String>,
    participants: usize,
}

impl Left {
    /// Adds the shards that have not changed since the checkpoint before.
    pub(crate) fn add_the_rest(&mut self, before: &Parts) {
        for operator in std::mem::take(&mut self.changes_of) {
            let first = (operator.clone(), Part::Shard(0));
            let shards = before
                .range(first..)
                .take_while(|((of, part), _)| *of == operator && matches!(part, Part::Shard(_)));
            for (key, bytes) in shards {
                let parts = &mut self.snapshot.parts;
                parts.entry(key.clone()).or_insert_with(|| bytes.clone());
            }
        }
    }

    /// Does what the sinks have left to be done.
    pub(crate) fn finish(&mut self) -> Result<(), Error> {
        for ((sink, _), staged) in std::mem::take(&mut self.staged) {
            let failed = |problem| Error::Sink {
                port: sink.clone(),
                problem,
            };
            let bytes = staged.finish().map_err(failed)?;
            self.snapshot.staged.entry(sink).or_default().push(bytes);
        }
        Ok(())
    }
}

impl Checkpoints {
    /// From a checkpoint on, of which parts may have to be read from a store.
    pub(crate) fn new(start: Snapshot, read: Option<ReadStored>, workers: usize) -> Self {
        Checkpoints(Arc::new(Shared {
            start,
            read,
            workers,
            last: AtomicU64::new(0),
            gathering: Mutex::default(),
            changed: Condvar::new(),
            held: AtomicU64::new(0),
            unstaged: AtomicU64::new(0),
            is_kept: AtomicBool::new(false),
        }))
    }

    /// The checkpoint that the job starts from.
    pub(crate) fn start(&self) -> &Snapshot {
        &self.0.start
    }

    /// Reads a part of an operator's state.
    pub(crate) fn read(
        &self,
        operator: &str,
        part: Part,
    ) -> Result<Option<Cow<'_, [u8]>>, Problem> {
        let parts = &self.start().parts;
        let found = parts.get(&(operator.to_owned(), part));
        found
            .map(|bytes| bytes.read(self.0.read.as_ref()))
            .transpose()
    }

    /// Whether the job goes on from a checkpoint that has read a port.
    pub(crate) fn has_read(&self, port: &str) -> bool {
        let first = (port.to_owned(), String::new());
        let mut read = self.start().partitions.range(first..);
        read.next().is_some_and(|((of, _), _)| of == port)
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
        self.gathering().boundary(boundary, false, self.start());
        self.0.last.store(boundary, Ordering::Release);
    }

    /// The same for a boundary where the job stops.
    pub(crate) fn ask_last(&self, boundary: u64) {
        self.gathering().boundary(boundary, true, self.start());
        self.0.last.store(boundary, Ordering::Release);
    }

    /// Adds the partitions that the job has read before and has no more, so that they are not read once more should
    /// they come back.
    pub(crate) fn carry_over(&self, snapshot: &mut Snapshot) {
        for (partition, end) in &self.start().partitions {
            let known = snapshot.partitions.entry(partition.clone());
            known.or_insert_with(|| end.clone());
        }
    }

    /// The end of all input, where every sink is committed and no operator has anything to leave.
    pub(crate) fn end(&self) -> Boundary {
        self.gathering().boundary(FOREVER, true, self.start())
    }

    /// Says that a worker has all its participants.
    pub(crate) fn rendered(&self) {
        self.gathering().rendered += 1;
    }

    /// Says that checkpoints are taken while the job runs.
    pub(crate) fn keep(&self) {
        self.0.is_kept.store(true, Ordering::Release);
    }

    /// Whether sinks keep so much in memory that nothing more may be read.
    pub(crate) fn is_full(&self) -> bool {
        self.0.is_kept.load(Ordering::Acquire) && self.0.held.load(Ordering::Acquire) >= HELD_MAX
    }

    /// Whether sinks keep so much that a checkpoint is due, for it lets them go.
    pub(crate) fn is_due(&self) -> bool {
        self.0.unstaged.load(Ordering::Acquire) >= UNSTAGED_ENOUGH
    }

    /// Says that sinks keep no more what a checkpoint has covered.
    pub(crate) fn release(&self, bytes: u64) {
        self.0.held.fetch_sub(bytes, Ordering::AcqRel);
    }

    /// How many checkpoints are under way.
    pub(crate) fn under_way(&self) -> usize {
        self.gathering().under_way.len()
    }

    /// Waits until the first checkpoint under way is whole, and takes it, until all workers have gone,
    /// or for a time. The last one is left where it is.
    pub(crate) fn wait(&self, time: Duration) -> Waited {
        let mut gathering = self.gathering();
        for has_waited in [false, true] {
            if let Some(left) = gathering.take_whole(self.0.workers) {
                return Waited::Whole(Box::new(left));
            }
            if gathering.is_closed {
                return Waited::Closed;
            }
            if !has_waited {
                let waited = self.0.changed.wait_timeout(gathering, time);
                (gathering, _) = waited.unwrap_or_else(PoisonError::into_inner);
            }
        }
        Waited::Nothing
    }

    /// Says that all workers have gone.
    pub(crate) fn close(&self) {
        self.gathering().is_closed = true;
        self.0.changed.notify_all();
    }

    /// Takes what was left at the first boundary that is under way.
    pub(crate) fn take_first(&self) -> Option<Left> {
        self.gathering().under_way.pop_first().map(|(_, left)| left)
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
            left.snapshot.parts.insert(key, Bytes::Here(bytes));
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

    /// Leaves what a slot of a sink has prepared.
    pub(crate) fn stage(&self, boundary: Boundary, sink: &str, slot: usize, prepared: Prepared) {
        let Prepared { staged, held } = prepared;
        self.checkpoints
            .0
            .unstaged
            .fetch_sub(held, Ordering::AcqRel);
        self.with(boundary, |left| {
            left.staged.insert((sink.to_owned(), slot), staged);
            left.held += held;
        });
    }

    /// Says that a sink keeps more in memory, until a checkpoint of it is complete.
    pub(crate) fn hold(&self, bytes: u64) {
        let shared = &self.checkpoints.0;
        shared.held.fetch_add(bytes, Ordering::AcqRel);
        let before = shared.unstaged.fetch_add(bytes, Ordering::AcqRel);
        if before < UNSTAGED_ENOUGH && before + bytes >= UNSTAGED_ENOUGH {
            shared.changed.notify_all();
        }
    }

    /// Whether the checkpoint before is at hand, so that what has not changed since need not be left.
    pub(crate) fn knows_the_rest(&self) -> bool {
        self.checkpoints.0.read.is_some()
    }

    /// Says that of an operator only those shards are left that have changed.
    pub(crate) fn leave_the_rest(&self, boundary: Boundary, operator: &str) {
        self.with(boundary, |left| {
            left.changes_of.insert(operator.to_owned());
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
        self.checkpoints.0.changed.notify_all();
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
