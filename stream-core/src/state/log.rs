//! The log of a store, and what follows from it: where the next run of the job starts.
//!
//! Each checkpoint stands behind those before it, until the log says that the job went back to an
//! earlier one. Those behind that can be gone on from until a run has begun there: from then on the
//! sinks have nothing of them any more. A number that was given to a checkpoint is given to no other.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::manifest::Manifest;
use super::sealed::{self, Kind, damaged};
use crate::error::Problem;

/// The name of an entry's object.
pub(super) fn entry_name(number: u64) -> String {
    format!("log/{number:012}")
}

/// The number of an entry, where it is one.
pub(super) fn number_of(name: &str) -> Option<u64> {
    name.strip_prefix("log/")?.parse().ok()
}

pub(super) fn now() -> String {
    Timestamp::now().strftime("%FT%T%.3fZ").to_string()
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Entry {
    Opened(Opened),
    Checkpoint(Box<Manifest>),
    WentBack(WentBack),
    Dropped(Dropped),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Opened {
    pub(super) generation: u64,
    pub(super) job: String,
    pub(super) workers: usize,
    pub(super) from: Option<u64>,
    pub(super) at: String,
}

/// The next run goes on from an earlier checkpoint, or has begun to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct WentBack {
    pub(super) generation: u64,
    pub(super) to: u64,
    /// The highest number that a checkpoint has had.
    pub(super) behind: u64,
    /// The stages whose state is forgotten there.
    pub(super) dropped: BTreeSet<String>,
    /// Whether a run has begun there.
    pub(super) has_begun: bool,
    pub(super) at: String,
}

/// The state of stages is forgotten in the checkpoint that the next run goes on from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Dropped {
    pub(super) generation: u64,
    pub(super) stages: BTreeSet<String>,
    pub(super) at: String,
}

/// An entry as it is written. No two are the same, so whoever reads one knows whether it is his.
#[derive(Serialize)]
pub(super) struct Written<'a> {
    /// Drawn from the randomness of the system.
    id: String,
    #[serde(flatten)]
    entry: &'a Entry,
}

impl<'a> Written<'a> {
    pub(super) fn new(entry: &'a Entry) -> Self {
        let [one, other] = [(); 2].map(|()| RandomState::new().hash_one(entry.generation()));
        Written {
            id: format!("{one:016x}{other:016x}"),
            entry,
        }
    }
}

/// What is read of it.
#[derive(Deserialize)]
struct ReadEntry {
    #[serde(flatten)]
    entry: Entry,
}

impl Entry {
    fn generation(&self) -> u64 {
        match self {
            Entry::Opened(opened) => opened.generation,
            Entry::Checkpoint(manifest) => manifest.generation,
            Entry::WentBack(back) => back.generation,
            Entry::Dropped(dropped) => dropped.generation,
        }
    }

    pub(super) fn read(name: &str, object: &[u8]) -> Result<Self, Problem> {
        let body = sealed::open(name, Kind::Entry, object)?;
        let read = serde_json::from_slice(body).map(|ReadEntry { entry }| entry);
        read.map_err(|error| damaged(name, &error.to_string()))
    }
}

/// The entries of a log.
pub(super) struct Log {
    pub(super) entries: BTreeMap<u64, Result<Entry, Problem>>,
    /// The number of the last one; 0 where there is none.
    pub(super) last: u64,
}

/// Where a job stands.
#[derive(Clone, Debug, Default)]
pub(super) struct Course {
    /// By the numbers of their entries: the checkpoints that can be gone on from.
    pub(super) checkpoints: BTreeMap<u64, Manifest>,
    /// The number of the checkpoint that the next run starts from.
    pub(super) start: Option<u64>,
    /// Whether there were others behind it.
    pub(super) goes_back: bool,
    /// The stages whose state it has forgotten.
    pub(super) dropped: BTreeSet<String>,
    /// The highest number that a checkpoint may have had.
    pub(super) given: u64,
    /// The first entry that cannot be read and stands behind all that say where the job starts: it may
    /// be that of a later checkpoint.
    pub(super) damaged: Option<u64>,
}

impl Course {
    /// A checkpoint, by its number.
    pub(super) fn checkpoint(&self, number: u64) -> Option<&Manifest> {
        self.checkpoints
            .values()
            .find(|manifest| manifest.number == number)
    }

    /// The same.
    ///
    /// # Errors
    /// When there is none, with those that there are.
    pub(super) fn expect(&self, number: u64) -> Result<&Manifest, Problem> {
        self.checkpoint(number).ok_or_else(|| {
            let numbers = self.checkpoints.values();
            let numbers: Vec<_> = numbers.map(|kept| kept.number.to_string()).collect();
            let problem = Problem::new(format!("checkpoint {number} is not kept"));
            match &numbers[..] {
                [] => problem.hint("there is none to go on from"),
                numbers => problem.hint(format!("there are {}", numbers.join(", "))),
            }
        })
    }

    /// Goes to a checkpoint as it was kept.
    pub(super) fn go_to(&mut self, number: u64) -> Result<(), Problem> {
        self.expect(number)?;
        let newest = self.checkpoints.values().map(|kept| kept.number).max();
        let is_there = self.start == Some(number) && newest == Some(number);
        self.goes_back |= !is_there || self.damaged.is_some();
        self.start = Some(number);
        Ok(())
    }

    /// Forgets the state of stages in the checkpoint where the next run starts.
    pub(super) fn drop_stages(&mut self, stages: &[String]) -> Result<(), Problem> {
        let Some(start) = self.start else {
            return Err(
                Problem::new("there is no state to drop").detail("the job has no checkpoint yet")
            );
        };
        let manifest = self.expect(start)?;
        stages
            .iter()
            .try_for_each(|stage| manifest.expect_stage(stage))?;
        self.dropped.extend(stages.iter().cloned());
        Ok(())
    }

    /// The entry that says where the job goes back to.
    pub(super) fn went_back(&self, generation: u64, has_begun: bool) -> Entry {
        Entry::WentBack(WentBack {
            generation,
            to: self.start.unwrap_or(0),
            behind: self.given,
            dropped: self.dropped.clone(),
            has_begun,
            at: now(),
        })
    }

    /// Says that what stands behind the start can be gone on from no more.
    pub(super) fn begin(&mut self) {
        let start = self.start.unwrap_or(0);
        self.checkpoints.retain(|_, kept| kept.number <= start);
    }
}

impl Log {
    pub(super) fn course(&self) -> Course {
        let mut course = Course::default();
        for (number, entry) in &self.entries {
            match entry {
                Ok(Entry::Opened(_)) => {}
                Ok(Entry::Checkpoint(manifest)) => {
                    course.start = Some(manifest.number);
                    course.goes_back = false;
                    course.dropped.clear();
                    course.damaged = None;
                    course.given = course.given.max(manifest.number);
                    course.checkpoints.insert(*number, (**manifest).clone());
                }
                Ok(Entry::WentBack(back)) => {
                    course.start = Some(back.to);
                    course.goes_back = true;
                    course.dropped.clone_from(&back.dropped);
                    course.damaged = None;
                    course.given = course.given.max(back.behind);
                    if back.has_begun {
                        course.begin();
                    }
                }
                Ok(Entry::Dropped(dropped)) => {
                    course.dropped.extend(dropped.stages.iter().cloned());
                }
                Err(_) => {
                    course.damaged.get_or_insert(*number);
                }
            }
        }
        if course.damaged.is_some() {
            // An entry's number is higher than that of any checkpoint before it.
            course.given = course.given.max(self.last);
        }
        course
    }

    /// What is wrong with an entry that cannot be read.
    pub(super) fn take_damage(&mut self, number: u64) -> Option<Problem> {
        self.entries.remove(&number)?.err()
    }

    pub(super) fn generation(&self) -> u64 {
        let generations = self.entries.values().flatten().map(Entry::generation);
        generations.max().unwrap_or(0)
    }

    /// The run that has opened it last.
    pub(super) fn holder(&self) -> Option<&Opened> {
        let entries = self.entries.values().rev().flatten();
        entries.into_iter().find_map(|entry| match entry {
            Entry::Opened(opened) => Some(opened),
            _ => None,
        })
    }

    pub(super) fn job(&self) -> Option<&str> {
        self.entries
            .values()
            .flatten()
            .find_map(|entry| match entry {
                Entry::Opened(opened) => Some(opened.job.as_str()),
                _ => None,
            })
    }
}
