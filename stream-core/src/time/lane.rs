//! Lanes: one ordered sequence each, named by source, partition and the union ports it passed.
//!
//! Every batch on an edge belongs to one lane and carries the lane's [`Progress`] in band, so that
//! what is known of a lane keeps its place among the lane's records up to the first exchange.

use serde::{Deserialize, Serialize};

use super::EventTime;

/// One ordered sequence of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Lane {
    /// The number of the node that the lane begins at: a source, or an operator after an exchange.
    pub(crate) origin: u32,
    /// The source's partition, or the operator's worker.
    pub(crate) partition: u32,
    /// The union ports that the lane has passed, mixed into one number; 0 before the first.
    pub(crate) path: u64,
}

impl Lane {
    pub(crate) fn new(origin: usize, partition: usize) -> Self {
        Lane {
            origin: origin as u32,
            partition: partition as u32,
            path: 0,
        }
    }

    /// The lane behind a union's port. Two ways by which one lane reaches an edge give two lanes.
    pub(crate) fn through(self, union: usize, port: usize) -> Self {
        let step = ((union as u64) << 32) | (port as u64 + 1);
        Lane {
            path: crate::state::hash::mix(self.path ^ step),
            ..self
        }
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
