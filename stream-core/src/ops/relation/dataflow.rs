//! From updates to collections of differential dataflow, and back.

use differential_dataflow::VecCollection;
use timely::dataflow::StreamVec;
use timely::dataflow::operators::Concat;

use super::{Row, Update};
use crate::graph::PortSpec;
use crate::graph::context::Context;
use crate::ops::passage::{self, Entered, Promise};
use crate::time::epoch::Align;

/// A relation inside differential dataflow.
pub(super) type Collection<'s, T, D> = VecCollection<'s, T, D, isize>;

/// The last epoch of the batch that an epoch belongs to.
fn batch_of(epoch: u64) -> u64 {
    Align::Batch.end(Align::Batch.run(epoch)) - 1
}

/// The inputs of a node, as they are entered one after another.
#[doc(hidden)]
#[allow(missing_debug_implementations, reason = "only the library sees one")]
pub struct Inputs<'a, 's> {
    context: &'a mut Context<'s>,
    node: usize,
    entered: usize,
    promises: Option<StreamVec<'s, u64, Promise>>,
}

impl<'a, 's> Inputs<'a, 's> {
    pub(super) fn new(context: &'a mut Context<'s>, node: usize) -> Self {
        Inputs {
            context,
            node,
            entered: 0,
            promises: None,
        }
    }

    /// Enters a relation.
    pub(super) fn enter<T: Row>(&mut self, port: PortSpec) -> Collection<'s, u64, T> {
        let flow = self.context.take(port);
        let make = |time, updates: &mut Vec<((), Update<T>)>, made: &mut Vec<(T, u64, isize)>| {
            let updates = updates.drain(..);
            made.extend(updates.map(|((), (row, count))| (row, time, count)));
        };
        let from = (self.entered, flow);
        let Entered { records, promises } =
            passage::enter(self.context, self.node, from, batch_of, make);
        self.entered += 1;
        self.promises = Some(match self.promises.take() {
            None => promises,
            Some(others) => others.concat(promises),
        });
        VecCollection::new(records)
    }

    /// Leaves what was made of them at the node's output.
    pub(super) fn leave<T: Row>(self, made: Collection<'s, u64, T>) {
        let promises = self.promises.expect("a node has an input");
        let divide = |_,
                      updates: &mut Vec<(T, u64, isize)>,
                      send: &mut dyn FnMut(u64, Vec<Update<T>>)| {
            // Most often they have one time.
            updates.sort_by_key(|(_, time, _)| *time);
            let mut updates = updates.drain(..).peekable();
            while let Some((row, time, count)) = updates.next() {
                let mut same = Vec::with_capacity(updates.len() + 1);
                same.push((row, count));
                while let Some((row, _, count)) = updates.next_if(|(_, other, _)| *other == time) {
                    same.push((row, count));
                }
                send(time, same);
            }
        };
        passage::leave(self.context, self.node, made.inner, promises, divide);
    }
}
