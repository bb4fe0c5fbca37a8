//! The way out of segments, into containers of timely's own operators, and back.
//!
//! ```text
//!            ┌───────┐ records                ┌───────────┐ records ┌────────┐
//!  lanes ──► │ enter │ ═════════════════════► │  timely's │ ══════► │ leave  │ ──► segments
//!            │       │ progress of each lane, └───────────┘         │        │
//!            └───────┘ to every worker ───────────────────────────► └────────┘
//! ```
//!
//! What comes out is one lane a worker. It ends when every lane that went in has ended, and the frontier of what
//! comes out has passed the epoch in which the last one did.
//!
//! What is repeated when a job goes on comes before the first epoch of the run, and announces no lane.

use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;

use crate::engine::batch::Segment;
use crate::engine::flow::{Flow, epoch_of, least};
use crate::engine::lane::{Lane, LaneMap, Lanes, Progress, UnionPort};
use crate::graph::context::Context;
use crate::time::epoch::FOREVER;

/// What a lane promises, for one worker.
pub(super) type Promise = (u64, Lane, Progress);

/// A flow that has left its segments.
pub(super) struct Entered<'s, T> {
    pub(super) records: StreamVec<'s, u64, T>,
    /// For [`leave`].
    pub(super) promises: StreamVec<'s, u64, Promise>,
}

/// Takes the records of an input of a node out of their segments, and tells every worker what their lanes
/// promise. `time` says in which epoch records of an epoch go on, which is none before it; `make` what is made of
/// them there.
pub(super) fn enter<'s, A: 'static, T: 'static>(
    context: &Context<'s>,
    node: usize,
    (port, flow): (usize, Flow<'s>),
    time: impl Fn(u64) -> u64 + 'static,
    make: impl Fn(u64, &mut Vec<A>, &mut Vec<T>) + 'static,
) -> Entered<'s, T> {
    // Two inputs may have a lane in common.
    let way = UnionPort::new(context.id(node), port);
    let (mut builder, guard) = context.operator(node);
    let mut input = context.input(&mut builder, flow);
    let (records, records_edge) = builder.new_output();
    let (promises, promises_edge) = builder.new_output();
    let mut records = OutputBuilder::<_, CapacityContainerBuilder<Vec<T>>>::from(records);
    let mut promises = OutputBuilder::<_, CapacityContainerBuilder<_>>::from(promises);
    let workers = context.local.peers as u64;
    let first = context.local.epochs.first();
    let mut told = LaneMap::default();
    let mut made = Vec::new();
    builder.build(move |_| {
        move |_| {
            let _entered = guard.enter();
            let (mut records, mut promises) = (records.activate(), promises.activate());
            input.for_each(|capability, segment| {
                let epoch = epoch_of(capability);
                let time = time(epoch);
                if segment.count() > 0 {
                    make(time, segment.records::<A>(), &mut made);
                    let later = capability.delayed(&time, 0);
                    records.session(&later).give_iterator(made.drain(..));
                }
                if epoch < first {
                    return;
                }
                let mut tell = |epoch, lane: Lane, progress| {
                    let all = (0..workers).map(|worker| (worker, lane.through(way), progress));
                    let then = capability.delayed(&epoch, 1);
                    promises.session(&then).give_iterator(all);
                };
                let (lane, progress) = (segment.lane, segment.progress);
                let before = told.insert(lane.name, progress);
                // A lane is announced at once, and ends behind its records.
                if before.is_none() {
                    tell(epoch, lane, Progress::Open);
                }
                if before.unwrap_or(Progress::Open) != progress {
                    tell(time, lane, progress);
                }
            });
        }
    });
    Entered {
        records: records_edge,
        promises: promises_edge,
    }
}

/// Puts what was made into segments, and these at the first output of a node. `divide` says of the records of
/// an epoch in which epochs they are sent, which is none before it.
pub(super) fn leave<'s, B: 'static, C: 'static>(
    context: &mut Context<'s>,
    node: usize,
    made: StreamVec<'s, u64, B>,
    promises: StreamVec<'s, u64, Promise>,
    divide: impl Fn(u64, &mut Vec<B>, &mut dyn FnMut(u64, Vec<C>)) + 'static,
) {
    let (mut builder, guard) = context.operator(node);
    let mut made = builder.new_input(made, Pipeline);
    let by_target = Exchange::new(|promise: &Promise| promise.0);
    let mut promises = builder.new_input(promises, by_target);
    let (mut output, edge) = context.output(&mut builder, node, 0);
    let worker = context.local.index;
    let own = Lane::new(node, context.id(node), worker, &worker.to_string());
    let (mut lanes, mut is_announced) = (Lanes::default(), false);
    // The last epoch in which anything was promised: promises of several workers come in no order.
    let mut last = 0;
    let mut end: Option<Capability<u64>> = None;
    builder.build(move |_| {
        move |frontiers| {
            let _entered = guard.enter();
            let mut output = output.activate();
            promises.for_each(|capability, promises| {
                if !std::mem::replace(&mut is_announced, true) {
                    output.send(&capability, &mut Segment::new(own, Progress::Open));
                }
                for (_, lane, progress) in promises.drain(..) {
                    lanes.note(lane, progress);
                }
                last = epoch_of(&capability).max(last);
                // Lanes that have not come yet take it back.
                let have_ended = lanes.least() == Progress::End;
                end = have_ended.then(|| capability.delayed(&last, 0));
            });
            made.for_each(|capability, records| {
                divide(epoch_of(&capability), records, &mut |epoch, records| {
                    let count = records.len();
                    let records = records.into_iter().map(|record| ((), record));
                    let records: Vec<((), C)> = records.collect();
                    let mut segment =
                        Segment::with(own, Progress::Open, Some(Box::new(records)), count);
                    output.send(&capability.delayed(&epoch, 0), &mut segment);
                });
            });
            let frontier = frontiers.iter().map(least).min().unwrap_or(FOREVER);
            if let Some(capability) = end.take_if(|end| *end.time() < frontier) {
                output.send(&capability, &mut Segment::new(own, Progress::End));
            }
        }
    });
    context.put(node, 0, Flow::Edge(edge));
}
