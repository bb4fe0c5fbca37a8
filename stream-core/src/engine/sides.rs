//! Inputs that are read to their end before others begin: what a stream is looked up in.
//!
//! An input has been read when its lanes have ended on every worker, and the batch of what they sent last is through:
//! then a table that is made of it has told all that it will ever tell.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::time::epoch::Align;

/// By input, as the number of its node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sides(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    sides: BTreeMap<usize, Side>,
    /// What is read before an input.
    before: BTreeMap<usize, BTreeSet<usize>>,
}

#[derive(Debug)]
struct Side {
    /// On how many workers it has not ended.
    workers: AtomicUsize,
    /// The first epoch behind the batch in which it sent anything last.
    end: AtomicU64,
}

impl Sides {
    pub(crate) fn new(before: BTreeMap<usize, BTreeSet<usize>>, workers: usize) -> Self {
        let side = |node: &usize| {
            let side = Side {
                workers: AtomicUsize::new(workers),
                end: AtomicU64::new(0),
            };
            (*node, side)
        };
        let sides = before.values().flatten().map(side).collect();
        Sides(Arc::new(Inner { sides, before }))
    }

    /// Notes that an input has ended on a worker, in an epoch. Tells whether others wait for it, and it has on all.
    pub(crate) fn has_ended(&self, node: usize, epoch: u64) -> bool {
        let Some(side) = self.0.sides.get(&node) else {
            return false;
        };
        let end = Align::Batch.end(Align::Batch.run(epoch));
        side.end.fetch_max(end, Ordering::AcqRel);
        side.workers.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// Whether an input may be read by a worker that knows of these epochs that they are through.
    pub(crate) fn lets_begin(&self, node: usize, acknowledged: u64) -> bool {
        let mut before = self.0.before.get(&node).into_iter().flatten();
        before.all(|node| {
            let side = &self.0.sides[node];
            side.workers.load(Ordering::Acquire) == 0
                && side.end.load(Ordering::Acquire) <= acknowledged
        })
    }
}
