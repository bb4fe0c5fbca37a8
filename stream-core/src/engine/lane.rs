//! Lanes: one ordered sequence each, named by source, partition and the union ports it passed.
//!
//! Every batch on an edge belongs to one lane and carries the lane's [`Progress`] in band, so that
//! what is known of a lane keeps its place among the lane's records up to the first exchange.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

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

/// What stands for the partition in the lane of a source that opens partitions as they appear.
const DISCOVERY: u32 = u32::MAX;

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

    /// The lane of a source on a worker that opens partitions as they appear. It has no records; until it ends,
    /// others may begin.
    pub(crate) fn of_discovery(origin: usize, id: &str, worker: usize) -> Self {
        Lane {
            origin: origin as u32,
            partition: DISCOVERY,
            name: LaneName::new(id, &format!("discovery\0{worker}")),
        }
    }

    /// Whether it is such a lane.
    pub(crate) fn is_of_discovery(self) -> bool {
        self.partition == DISCOVERY
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

/// Something by lane. A name is a hash already.
pub(crate) type LaneMap<V> = HashMap<LaneName, V, BuildHasherDefault<NameHasher>>;

/// Takes a lane's name as it is.
#[derive(Default)]
pub(crate) struct NameHasher(u64);

impl Hasher for NameHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = hash_of(bytes); // a name is one number, so this is never called
    }

    fn write_u64(&mut self, name: u64) {
        self.0 = name;
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Progress {
    /// Nothing yet.
    #[default]
    Open,
    /// None that is on time is older than this.
    At(EventTime),
    /// There will be none.
    End,
}

/// The least progress of many lanes: the watermark, once every lane has announced itself.
///
/// A note costs the logarithm of the number of lanes, and the least is at hand.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lanes {
    known: LaneMap<Progress>,
    /// How many lanes have come so far.
    counts: BTreeMap<Progress, usize>,
    /// The sources that may open further lanes.
    discovering: BTreeSet<LaneName>,
    /// The furthest that any lane has promised.
    furthest: Option<EventTime>,
}

impl Lanes {
    /// Notes a lane's progress; it never goes back.
    pub(crate) fn note(&mut self, lane: Lane, progress: Progress) {
        if lane.is_of_discovery() {
            match progress {
                Progress::End => self.discovering.remove(&lane.name),
                Progress::Open | Progress::At(_) => self.discovering.insert(lane.name),
            };
            return;
        }
        if let Progress::At(time) = progress {
            self.furthest = self.furthest.max(Some(time));
        }
        let before = self.known.get(&lane.name).copied();
        if before.is_some_and(|before| before >= progress) {
            return;
        }
        self.known.insert(lane.name, progress);
        *self.counts.entry(progress).or_default() += 1;
        if let Some(Entry::Occupied(mut count)) = before.map(|before| self.counts.entry(before)) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }

    /// The furthest that any lane has promised, if any has: behind the end of all lanes it depends on their
    /// records alone.
    pub(crate) fn furthest(&self) -> Progress {
        self.furthest.map_or(Progress::Open, Progress::At)
    }

    /// Takes over what was the furthest before: lanes that had ended by then do not promise it again.
    pub(crate) fn goes_on_from(&mut self, furthest: Progress) {
        if let Progress::At(time) = furthest {
            self.furthest = self.furthest.max(Some(time));
        }
    }

    /// What holds for all lanes: `Open` while one has promised nothing, `End` when all have ended. Where others
    /// may begin when all have ended, it is what was promised last.
    pub(crate) fn least(&self) -> Progress {
        let least = self.counts.first_key_value();
        match least.map_or(Progress::Open, |(progress, _)| *progress) {
            Progress::End if !self.discovering.is_empty() => self.furthest(),
            least => least,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn while_lanes_may_begin_the_end_of_all_is_no_end() {
        let mut lanes = Lanes::default();
        let (one, two) = (Lane::new(0, "in", 0, "one"), Lane::new(0, "in", 1, "two"));
        let (here, there) = (
            Lane::of_discovery(0, "in", 0),
            Lane::of_discovery(0, "in", 1),
        );
        lanes.note(here, Progress::Open);
        lanes.note(there, Progress::Open);
        assert_eq!(lanes.least(), Progress::Open);
        lanes.note(one, Progress::Open);
        lanes.note(one, Progress::End);
        assert_eq!(lanes.least(), Progress::Open, "nothing was promised");
        let seven = Progress::At(EventTime::secs(7));
        for progress in [Progress::Open, seven, Progress::End] {
            lanes.note(two, progress);
        }
        lanes.note(there, Progress::End);
        assert_eq!(lanes.least(), seven);
        lanes.note(here, Progress::End);
        assert_eq!(lanes.least(), Progress::End);
    }

    #[test]
    fn the_least_of_the_lanes_is_that_of_a_scan() {
        for seed in 0..50 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let (mut lanes, mut scanned) = (Lanes::default(), BTreeMap::new());
            assert_eq!(lanes.least(), Progress::Open);
            for _ in 0..200 {
                let partition = rng.usize(0..7);
                let lane = Lane::new(0, "in", partition, &partition.to_string());
                let progress = match rng.u8(0..20) {
                    0 => Progress::Open,
                    1 => Progress::End,
                    n => Progress::At(EventTime::secs(n.into())),
                };
                lanes.note(lane, progress);
                let known = scanned.entry(lane).or_insert(progress);
                *known = progress.max(*known);
                assert_eq!(
                    Some(lanes.least()),
                    scanned.values().copied().min(),
                    "{seed}"
                );
            }
        }
    }
}
