//! The shuffle: records go to the worker that owns their key's shard, and what lanes promise to all.

use std::rc::Rc;

use timely::container::{CapacityContainerBuilder, NoopBuilder};
use timely::dataflow::operators::generic::OutputBuilder;

use super::Logic;
use crate::engine::batch::Segment;
use crate::engine::flow::Flow;
use crate::engine::lane::{Lane, LaneMap, Progress};
use crate::engine::parcel::Parcel;
use crate::graph::context::Context;
use crate::state::hash::shard_of;
use crate::state::record::Stamp;
use crate::state::{SHARDS, owner};

/// Puts the records of a segment into parcels, one for each worker that owns any of them.
pub(super) type Pack = dyn Fn(&mut Segment, usize, &mut dyn FnMut(Parcel));

/// The pack of an operator.
pub(super) fn pack<S: Stamp, T: 'static, L: Logic>(
    to_record: Rc<impl Fn(S, T) -> L::Record + 'static>,
) -> Box<Pack> {
    Box::new(move |segment, workers, send| {
        let records = segment.records::<(S, T)>();
        let share = records.len() / workers + records.len() / 8 + 1;
        let mut parts: Vec<Vec<L::Record>> = (0..workers).map(|_| Vec::new()).collect();
        for (stamp, record) in records.drain(..) {
            let record = to_record(stamp, record);
            let part = &mut parts[owner(shard_of(L::hash(&record), SHARDS), workers)];
            if part.capacity() == 0 {
                part.reserve(share);
            }
            part.push(record);
        }
        for (worker, part) in parts.into_iter().enumerate() {
            if !part.is_empty() {
                send(Parcel::new(worker, part));
            }
        }
    })
}

/// What a lane promises, for one worker.
pub(super) type Promise = (u64, Lane, Progress);

pub(super) type Parcels<'s> = timely::dataflow::Stream<'s, u64, Parcel>;
pub(super) type Promises<'s> = timely::dataflow::StreamVec<'s, u64, Promise>;

/// Ends the stateless chain: records on one edge, what the lanes promise on another.
pub(super) fn shuffle<'s>(
    context: &Context<'s>,
    node: usize,
    flow: Flow<'s>,
    pack: Box<Pack>,
) -> (Parcels<'s>, Promises<'s>) {
    let (mut builder, guard) = context.operator(node);
    let mut input = context.input(&mut builder, flow);
    let (records, records_edge) = builder.new_output();
    let (promises, promises_edge) = builder.new_output();
    let mut records = OutputBuilder::<_, NoopBuilder<Parcel>>::from(records);
    let mut promises = OutputBuilder::<_, CapacityContainerBuilder<_>>::from(promises);
    let workers = context.local.peers;
    let mut told = LaneMap::default();
    builder.build(move |_| {
        move |_| {
            let _entered = guard.enter();
            let (mut records, mut promises) = (records.activate(), promises.activate());
            input.for_each(|capability, segment| {
                if segment.count() > 0 {
                    pack(segment, workers, &mut |mut parcel| {
                        records
                            .session_with_builder(capability)
                            .give_container(&mut parcel);
                    });
                }
                let (lane, progress) = (segment.lane, segment.progress);
                if told.insert(lane.name, progress) != Some(progress) {
                    let all = (0..workers as u64).map(|worker| (worker, lane, progress));
                    promises.session(capability).give_iterator(all);
                }
            });
        }
    });
    (records_edge, promises_edge)
}
