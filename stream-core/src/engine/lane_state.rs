//! State by lane, which is found again by the lane's name.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::lane::{LaneMap, LaneName};
use crate::error::Problem;
use crate::state::codec;
use crate::state::snapshot::{Part, Snapshots};

/// State by lane, of an operator that stands before the first exchange.
pub(crate) struct LaneState<V> {
    now: LaneMap<V>,
    /// What was restored of lanes that have not passed here yet; most of them pass other workers,
    /// which write them.
    restored: BTreeMap<LaneName, V>,
    /// The state at the boundary, once a record from behind it has come.
    at_boundary: Option<LaneMap<V>>,
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
            now: LaneMap::default(),
            restored: BTreeMap::new(),
            at_boundary: None,
            saved: false,
            snapshots,
            operator,
            worker,
        }
    }

    /// The state of a lane. From now on it is this worker's to write.
    pub(crate) fn get(&mut self, lane: LaneName) -> Option<&V> {
        if let Some(value) = self.restored.remove(&lane) {
            if let Some(at_boundary) = &mut self.at_boundary {
                at_boundary.insert(lane, value.clone());
            }
            self.now.insert(lane, value);
        }
        self.now.get(&lane)
    }

    /// Changes the state of a lane, because of records of an epoch.
    pub(crate) fn set(&mut self, epoch: u64, lane: LaneName, value: V) {
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
        let in_order: BTreeMap<_, _> = state.iter().collect();
        let bytes = codec::encode(&in_order)?;
        self.snapshots
            .write(&self.operator, Part::Worker(self.worker), bytes);
        Ok(())
    }
}
