//! Snapshots: the state of all operators at one boundary, by shard, in memory.
//!
//! A boundary is the first epoch of a checkpoint. The state *at* it is the effect of all records
//! of earlier epochs and of no others. An operator writes its state when its input frontier has
//! reached the boundary; until then it keeps what lies behind the boundary apart.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::codec;
use crate::error::Problem;
use crate::graph::GraphSpec;
use crate::io::Position;
use crate::time::lane::Lane;

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
}

impl Snapshot {
    /// Gives the state of stages that were renamed to their new names.
    pub(crate) fn rename(&mut self, spec: &GraphSpec) {
        for node in &spec.nodes {
            let Some(was) = &node.was else { continue };
            let has = |id: &String| self.parts.keys().any(|(operator, _)| operator == id);
            if has(&node.id) || !has(was) {
                continue;
            }
            let parts = std::mem::take(&mut self.parts);
            let rename = |operator| {
                if operator == *was {
                    node.id.clone()
                } else {
                    operator
                }
            };
            self.parts = parts
                .into_iter()
                .map(|((op, part), bytes)| ((rename(op), part), bytes))
                .collect();
        }
    }

    /// Says what of this snapshot a job with these stages and partitions would lose.
    pub(crate) fn check<'a>(
        &self,
        spec: &GraphSpec,
        partitions: impl Fn(&str) -> Option<&'a [String]>,
    ) -> Result<(), Problem> {
        let misfit = || Problem::new("the snapshot does not fit the job");
        for ((port, name), end) in &self.partitions {
            match partitions(port).and_then(|names| names.iter().position(|other| other == name)) {
                Some(index) if index == end.index => {}
                None if end.ended => {}
                None => {
                    let detail = format!("source `{port}` has no partition `{name}` any more");
                    return Err(misfit().detail(detail));
                }
                Some(index) => {
                    let place = format!("number {}, not {}", index + 1, end.index + 1);
                    let detail = format!("partition `{name}` of source `{port}` is now {place}");
                    return Err(misfit().detail(detail));
                }
            }
        }
        let unknown =
            |(operator, _): &&(String, Part)| !spec.nodes.iter().any(|node| node.id == *operator);
        match self.parts.keys().find(unknown) {
            Some((operator, _)) => Err(misfit().detail(format!(
                "it has state of a stage `{operator}`, which is gone"
            ))),
            None => Ok(()),
        }
    }
}

/// How far a partition has been read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PartitionEnd {
    pub(crate) position: Position,
    pub(crate) ended: bool,
    /// The partition's number, by which the state of its lanes is found.
    pub(crate) index: usize,
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

/// State by lane, of an operator that stands before the first exchange.
pub(crate) struct LaneState<V> {
    now: BTreeMap<Lane, V>,
    /// What was restored of lanes that have not passed here yet; most of them pass other workers,
    /// which write them.
    restored: BTreeMap<Lane, V>,
    /// The state at the boundary, once a record from behind it has come.
    at_boundary: Option<BTreeMap<Lane, V>>,
    saved: bool,
    snapshots: Snapshots,
    operator: String,
    worker: usize,
}

impl<V: Clone + Serialize + DeserializeOwned> LaneState<V> {
    /// Reads the state of all lanes; only those that pass this worker will be asked for.
    pub(crate) fn restore(
        snapshots: &Snapshots,
        operator: &str,
        worker: usize,
    ) -> Result<Self, Problem> {
        let mut state = LaneState::new(snapshots, operator, worker);
        for ((id, part), bytes) in &snapshots.start().parts {
            if let (true, Part::Worker(_)) = (id == operator, part) {
                state.restored.append(&mut codec::decode(bytes)?);
            }
        }
        Ok(state)
    }

    /// No state.
    pub(crate) fn new(snapshots: &Snapshots, operator: &str, worker: usize) -> Self {
        let (snapshots, operator) = (snapshots.clone(), operator.to_owned());
        LaneState {
            now: BTreeMap::new(),
            restored: BTreeMap::new(),
            at_boundary: None,
            saved: false,
            snapshots,
            operator,
            worker,
        }
    }

    /// The state of a lane. From now on it is this worker's to write.
    pub(crate) fn get(&mut self, lane: Lane) -> Option<&V> {
        if let Some(value) = self.restored.remove(&lane) {
            if let Some(at_boundary) = &mut self.at_boundary {
                at_boundary.insert(lane, value.clone());
            }
            self.now.insert(lane, value);
        }
        self.now.get(&lane)
    }

    /// Changes the state of a lane, because of records of an epoch.
    pub(crate) fn set(&mut self, epoch: u64, lane: Lane, value: V) {
        let boundary = self.snapshots.boundary();
        let is_behind = boundary.is_some_and(|boundary| epoch >= boundary);
        if is_behind && self.at_boundary.is_none() {
            self.at_boundary = Some(self.now.clone());
        }
        self.now.insert(lane, value);
    }

    /// Writes the state once the frontier has reached the boundary.
    pub(crate) fn passed(&mut self, frontier: u64) -> Result<(), Problem> {
        if self.saved
            || self
                .snapshots
                .boundary()
                .is_none_or(|boundary| frontier < boundary)
        {
            return Ok(());
        }
        self.saved = true;
        let state = self.at_boundary.as_ref().unwrap_or(&self.now);
        let bytes = codec::encode(state)?;
        self.snapshots
            .write(&self.operator, Part::Worker(self.worker), bytes);
        Ok(())
    }
}
