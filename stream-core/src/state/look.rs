//! What a store has, for people: nothing is changed.

use std::collections::BTreeSet;

use super::StateStore;
use super::checkpoint::Stored;
use super::log::{Entry, entry_name};
use super::manifest::Manifest;
use super::sealed::{self, Kind, damaged};
use crate::error::Problem;

/// What a store has.
#[derive(Debug)]
pub(crate) struct Look {
    /// The name of the job, where it is known.
    pub(crate) job: Option<String>,
    /// In the order in which they were made.
    pub(crate) items: Vec<Item>,
    /// The number of the checkpoint that the next run starts from.
    pub(crate) start: Option<u64>,
    /// The stages whose state it has forgotten.
    pub(crate) dropped: BTreeSet<String>,
    /// The entry that may be that of a later checkpoint, and cannot be read.
    pub(crate) damaged: Option<String>,
}

#[derive(Debug)]
pub(crate) enum Item {
    Checkpoint {
        manifest: Box<Manifest>,
        /// What is wrong with the state that it needs.
        damage: Option<Problem>,
    },
    /// An entry of the log, which may be that of a checkpoint.
    Damaged { object: String, problem: Problem },
}

impl Look {
    /// The checkpoints, with what is wrong with them.
    pub(crate) fn checkpoints(&self) -> impl Iterator<Item = (&Manifest, Option<&Problem>)> {
        self.items.iter().filter_map(|item| match item {
            Item::Checkpoint { manifest, damage } => Some((&**manifest, damage.as_ref())),
            Item::Damaged { .. } => None,
        })
    }
}

impl StateStore {
    /// Looks at what there is. What checkpoints need is read, if it is asked for, and what is wrong
    /// with it is told with them.
    pub(crate) fn look(&self, reads: bool) -> Result<Look, Problem> {
        let log = self.log()?;
        let course = log.course();
        let job = log.job().map(str::to_owned);
        let mut items = Vec::new();
        for (number, entry) in log.entries {
            match entry {
                Ok(Entry::Checkpoint(manifest)) if course.checkpoints.contains_key(&number) => {
                    let damage = match reads {
                        true => self.damage(&manifest)?,
                        false => None,
                    };
                    items.push(Item::Checkpoint { manifest, damage });
                }
                Ok(_) => {}
                Err(problem) => items.push(Item::Damaged {
                    object: entry_name(number),
                    problem,
                }),
            }
        }
        Ok(Look {
            job,
            items,
            start: course.start,
            dropped: course.dropped,
            damaged: course.damaged.map(entry_name),
        })
    }

    /// Whether a run can start from a checkpoint, and forget the state of stages.
    pub(crate) fn allows(
        &self,
        from: Option<u64>,
        dropped: &[String],
    ) -> Result<Result<(), Problem>, Problem> {
        let mut course = self.log()?.course();
        let goes = from.map_or(Ok(()), |from| course.go_to(from));
        Ok(goes.and_then(|()| match dropped {
            [] => Ok(()),
            dropped => course.drop_stages(dropped),
        }))
    }

    /// Reads a part of what a checkpoint has.
    pub(crate) fn part(&self, stored: &Stored) -> Result<Vec<u8>, Problem> {
        self.read_part(stored)?
    }

    /// Reads what a checkpoint needs.
    fn damage(&self, manifest: &Manifest) -> Result<Option<Problem>, Problem> {
        let names: BTreeSet<_> = manifest.objects().collect();
        for name in names {
            let Some(object) = self.objects.get(name, None)? else {
                return Ok(Some(damaged(name, "it is not there")));
            };
            if let Err(problem) = sealed::open(name, Kind::State, &object) {
                return Ok(Some(problem));
            }
        }
        Ok(None)
    }
}
