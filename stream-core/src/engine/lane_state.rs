//! State by lane, which is found again by the lane's name.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::lane::{LaneMap, LaneName};
use crate::codec;
use crate::error::Problem;
use crate::state::checkpoint::{Checkpoints, Part, Participant};

/// State by lane, of an operator that stands before the first exchange.
pub(crate) struct LaneState<V> {
    now: LaneMap<V>,
    /// What was restored of lanes that have not passed here yet; most of them pass other workers,
    /// which write them.
    restored: BTreeMap<LaneName, V>,
    /// By boundary that is still to be passed: what lanes had there that have changed behind it.
    before: BTreeMap<u64, LaneMap<Option<V>>>,
    participant: Participant,
    operator: String,
    worker: usize,
}

impl<V: Clone + Serialize + DeserializeOwned> LaneState<V> {
    /// No state.
    pub(crate) fn new(checkpoints: &Checkpoints, operator: &str, worker: usize) -> Self {
        LaneState {
            now: LaneMap::default(),
            restored: BTreeMap::new(),
            before: BTreeMap::new(),
            participant: checkpoints.join(),
            operator: operator.to_owned(),
            worker,
        }
    }

    /// Reads the state of all lanes; only those that pass this worker will be asked for.
    pub(crate) fn restore(&mut self, checkpoints: &Checkpoints) -> Result<(), Problem> {
        for (id, part) in checkpoints.start().parts.keys() {
            if let (true, Part::Worker(_)) = (*id == self.operator, part)
                && let Some(bytes) = checkpoints.read(id, *part)?
            {
                self.restored.append(&mut codec::decode(&bytes)?);
            }
        }
        Ok(())
    }

    /// The state of a lane. From now on it is this worker's to write.
    pub(crate) fn get(&mut self, lane: LaneName) -> Option<&V> {
        if let Some(value) = self.restored.remove(&lane) {
            self.now.insert(lane, value);
        }
        self.now.get(&lane)
    }

    /// Sets the state of a lane, in an epoch. Epochs increase within a lane, and only there.
    pub(crate) fn set(&mut self, epoch: u64, lane: LaneName, value: V) {
        for boundary in self.participant.open(epoch) {
            let before = self.before.entry(boundary.epoch).or_default();
            let now = || self.now.get(&lane).cloned();
            before.entry(lane).or_insert_with(now);
        }
        self.now.insert(lane, value);
    }

    /// Writes the state at every boundary that the frontier has passed.
    pub(crate) fn passed(&mut self, frontier: u64) -> Result<(), Problem> {
        while let Some(boundary) = self.participant.due(frontier) {
            let before = self.before.remove(&boundary.epoch).unwrap_or_default();
            let unchanged = self
                .now
                .iter()
                .filter(|(lane, _)| !before.contains_key(lane));
            let changed = before
                .iter()
                .filter_map(|(lane, value)| Some((lane, value.as_ref()?)));
            let in_order: BTreeMap<_, _> = unchanged.chain(changed).collect();
            let bytes = codec::encode(&in_order)?;
            let part = Part::Worker(self.worker);
            self.participant
                .write(boundary, &self.operator, part, bytes);
            self.participant.leave(boundary);
        }
        Ok(())
    }
}
