//! Lanes: one ordered sequence each, named by source, partition and the union ports it passed.
//!
//! Every batch on an edge belongs to one lane and carries the lane's [`Progress`] in band, so that
//! what is known of a lane keeps its place among the lane's records up to the first exchange.

use serde::{Deserialize, Serialize};

use crate::state::hash::{hash_of, mix};
use crate::time::EventTime;

/// One ordered sequence of records.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub(crate) struct Lane {
    /// The number of the node that the lane begins at: a source, or an operator after an exchange.
    pub(crate) origin: u32,
    /// The source's partition, or the operator's worker.
    pub(crate) partition: u32,
    /// The lane's name, by which its state is found in a snapshot.
    pub(crate) name: LaneName,
}

/// A hash of the id of the stage that a lane begins at, of the partition's name, and of the ids and
/// ports of the unions on the way. Nodes and partitions may change their numbers from one run to the
/// next; this stays.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub(crate) struct LaneName(u64);

impl Lane {
    /// The lane of a partition: that of a source, or one that a worker is of an operator.
    pub(crate) fn new(origin: usize, id: &str, partition: usize, name: &str) -> Self {
        Lane {
            origin: origin as u32,
            partition: partition as u32,
            name: LaneName::new(id, name),
        }
    }

    /// The lane behind a union's port. Two ways by which one lane reaches an edge give two lanes.
    pub(crate) fn through(self, way: UnionPort) -> Self {
        let name = self.name.through(way);
        Lane { name, ..self }
    }
}

impl LaneName {
    /// The name of a partition's lane where it begins.
    pub(crate) fn new(id: &str, partition: &str) -> Self {
        LaneName(hash_of(&(id, partition)))
    }

    /// The name behind a union's port.
    pub(crate) fn through(self, way: UnionPort) -> Self {
        LaneName(mix(self.0 ^ way.0))
    }
}

/// One of the ports of a union, by a hash of the union's id.
#[derive(Clone, Copy)]
pub(crate) struct UnionPort(u64);

impl UnionPort {
    pub(crate) fn new(union: &str, port: usize) -> Self {
        UnionPort(hash_of(&(union, port as u64)))
    }
}

/// What is promised of the records that follow in a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Progress {
    /// Nothing yet.
    Open,
    /// None that is on time is older than this.
    At(EventTime),
    /// There will be none.
    End,
}

/// The least progress of many lanes: the watermark, once every lane has announced itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lanes {
    known: std::collections::BTreeMap<Lane, Progress>,
}

impl Lanes {
    /// Notes a lane's progress; it never goes back.
    pub(crate) fn note(&mut self, lane: Lane, progress: Progress) {
        let entry = self.known.entry(lane).or_insert(progress);
        *entry = (*entry).max(progress);
    }

    /// What holds for all lanes: `Open` while one has promised nothing, `End` when all have ended.
    pub(crate) fn least(&self) -> Progress {
        self.known.values().copied().min().unwrap_or(Progress::Open)
    }
}
