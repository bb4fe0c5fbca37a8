//! Partitions that appear while a job runs.
//!
//! ```text
//!  Discovery::look ──► add: in a new epoch ──► each worker, as it comes to that epoch: opens those it owns
//!    a thread           of which all are told
//! ```
//!
//! All workers agree on the epoch in which a partition's lane begins: it is a new one, told before anything can
//! be sent there. So a checkpoint has the partition's position exactly if its boundary stands behind that
//! epoch.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::epochs::Epochs;

/// The partitions of a source that looks for more while the job runs.
#[derive(Clone)]
pub(crate) struct Discovered(Arc<Shared>);

struct Shared {
    partitions: Mutex<Partitions>,
    /// How many have appeared.
    count: AtomicUsize,
}

struct Partitions {
    /// Those that were there at the start, too.
    names: BTreeSet<String>,
    appeared: Vec<Appeared>,
}

/// A partition that has appeared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Appeared {
    /// Its number: they go on from those of the partitions that were there at the start.
    pub(crate) number: usize,
    pub(crate) name: String,
    /// The epoch in which its lane begins.
    pub(crate) begin: u64,
}

impl Discovered {
    /// Where these are there at the start.
    pub(crate) fn new(names: &[String]) -> Self {
        Discovered(Arc::new(Shared {
            partitions: Mutex::new(Partitions {
                names: names.iter().cloned().collect(),
                appeared: Vec::new(),
            }),
            count: AtomicUsize::new(0),
        }))
    }

    /// Adds those of the partitions that are new, all in one epoch. Tells whether there were any; none
    /// begins once the sources are to stop.
    pub(crate) fn add(&self, found: Vec<String>, epochs: &Epochs) -> bool {
        let mut known = self.partitions();
        let mut new: Vec<_> = found
            .into_iter()
            .filter(|name| !known.names.contains(name))
            .collect();
        let mut seen = BTreeSet::new();
        new.retain(|name| seen.insert(name.clone()));
        if new.is_empty() {
            return false;
        }
        epochs.cut_for(|begin| {
            for name in new {
                let number = known.names.len();
                known.names.insert(name.clone());
                known.appeared.push(Appeared {
                    number,
                    name,
                    begin,
                });
            }
            self.0.count.store(known.appeared.len(), Ordering::Release);
        })
    }

    /// Those that begin up to an epoch, but for so many that are known already.
    pub(crate) fn until(&self, epoch: u64, known: usize) -> Vec<Appeared> {
        if self.0.count.load(Ordering::Acquire) == known {
            return Vec::new();
        }
        let partitions = self.partitions();
        let new = partitions.appeared.iter().skip(known);
        new.take_while(|new| new.begin <= epoch).cloned().collect()
    }

    fn partitions(&self) -> MutexGuard<'_, Partitions> {
        let partitions = &self.0.partitions;
        partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Mode;
    use crate::time::epoch;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn what_is_new_begins_in_an_epoch_of_its_own() {
        let epochs = Epochs::new(Mode::PerRecord, 0, 1);
        let discovered = Discovered::new(&names(&["a", "b"]));
        assert!(!discovered.add(names(&["b", "a"]), &epochs));
        assert_eq!(epochs.current(), epoch::FIRST);
        assert!(discovered.add(names(&["c", "b", "d", "c"]), &epochs));
        let begin = epochs.current();
        assert!(begin > epoch::FIRST);
        assert_eq!(discovered.until(begin - 1, 0), []);
        let told = discovered.until(begin, 0);
        let told: Vec<_> = told.iter().map(|new| (new.number, &*new.name)).collect();
        assert_eq!(told, [(2, "c"), (3, "d")]);
        assert_eq!(discovered.until(begin, 2), []);
    }

    #[test]
    fn nothing_begins_behind_a_stop() {
        let epochs = Epochs::new(Mode::PerRecord, 0, 1);
        let discovered = Discovered::new(&names(&["a"]));
        epochs.cut_to_stop(|_| ());
        assert!(!discovered.add(names(&["b"]), &epochs));
        assert_eq!(discovered.until(u64::MAX, 0), []);
    }
}
