//! `raw`: timely's own operators in the midst of a pipeline.
//!
//! ```text
//!            ┌───────┐ records                ┌────────────┐ records ┌────────┐
//!  lanes ──► │ enter │ ═════════════════════► │ the user's │ ══════► │ leave  │ ──► segments
//!            │       │ progress of each lane, └────────────┘         │        │
//!            └───────┘ to every worker ────────────────────────────► └────────┘
//! ```
//!
//! What comes out is one lane a worker. It ends when every lane that went in has ended, and the frontier of what
//! comes out has passed the epoch in which the last one did.

use std::marker::PhantomData;

use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;

use crate::engine::batch::Segment;
use crate::engine::flow::{Flow, epoch_of, least};
use crate::engine::lane::{Lane, LaneMap, Lanes, Progress};
use crate::graph::context::Context;
use crate::graph::node::{Port, Render, stage};
use crate::graph::{Class, Kind, Mixed, Stream};
use crate::state::record::Stamp;
use crate::time::epoch::FOREVER;

/// Records on their way through timely's operators. Their time is the engine's epoch: it increases, and means
/// nothing else.
pub type Records<'s, T> = StreamVec<'s, u64, T>;

/// Timely's own operators on a stream.
pub trait Raw<T: 'static> {
    /// Builds timely's operators on the records, on each worker once.
    ///
    /// ```
    /// use stream_core::prelude::*;
    /// use stream_core::raw::Raw;
    /// use stream_core::raw::timely::dataflow::operators::vec::Map;
    ///
    /// #[pipeline]
    /// fn doubled(numbers: Stream<u64>) -> Stream<u64, Mixed> {
    ///     let doubled = numbers.raw(|numbers| numbers.map(|number| 2 * number));
    ///     doubled
    /// }
    ///
    /// assert_eq!(doubled::test().numbers([1, 2, 3]).rows().doubled, [2, 4, 6]);
    /// ```
    fn raw<B: 'static>(
        self,
        build: impl for<'s> Fn(Records<'s, T>) -> Records<'s, B> + 'static,
    ) -> Stream<B, Mixed>;
}

impl<T: 'static, K: Kind> Raw<T> for Stream<T, K> {
    fn raw<B: 'static>(
        self,
        build: impl for<'s> Fn(Records<'s, T>) -> Records<'s, B> + 'static,
    ) -> Stream<B, Mixed> {
        let graph = self.port.graph().clone();
        let spec = stage("raw", vec![self.port.spec()])
            .class(Class::ExactIfOrderFree)
            .exchanged();
        let render = RawStep {
            input: self.port,
            build,
            made: PhantomData,
        };
        Stream::from_port(graph.add(spec, Box::new(render)))
    }
}

struct RawStep<S, T, B, F> {
    input: Port<S, T>,
    build: F,
    made: PhantomData<fn() -> B>,
}

/// What a lane promises, for one worker.
type Promise = (u64, Lane, Progress);

impl<S, T, B, F> Render for RawStep<S, T, B, F>
where
    S: Stamp,
    T: 'static,
    B: 'static,
    F: for<'s> Fn(Records<'s, T>) -> Records<'s, B> + 'static,
{
    fn render<'s>(self: Box<Self>, node: usize, context: &mut Context<'s>) {
        let flow = context.take(self.input.spec());
        let (records, promises) = enter::<S, T>(context, node, flow);
        let made = (self.build)(records);
        leave(context, node, made, promises);
    }
}

/// Takes records out of their segments, and tells every worker what their lanes promise.
fn enter<'s, S: Stamp, T: 'static>(
    context: &Context<'s>,
    node: usize,
    flow: Flow<'s>,
) -> (Records<'s, T>, StreamVec<'s, u64, Promise>) {
    let (mut builder, guard) = context.operator(node);
    let mut input = context.input(&mut builder, flow);
    let (records, records_edge) = builder.new_output();
    let (promises, promises_edge) = builder.new_output();
    let mut records = OutputBuilder::<_, CapacityContainerBuilder<Vec<T>>>::from(records);
    let mut promises = OutputBuilder::<_, CapacityContainerBuilder<_>>::from(promises);
    let workers = context.local.peers as u64;
    let mut told = LaneMap::default();
    builder.build(move |_| {
        move |_| {
            let _entered = guard.enter();
            let (mut records, mut promises) = (records.activate(), promises.activate());
            input.for_each(|capability, segment| {
                if segment.count() > 0 {
                    let own = segment.records::<(S, T)>().drain(..);
                    let own = own.map(|(_, record)| record);
                    records.session(capability).give_iterator(own);
                }
                let (lane, progress) = (segment.lane, segment.progress);
                if told.insert(lane.name, progress) != Some(progress) {
                    let all = (0..workers).map(|worker| (worker, lane, progress));
                    promises.session(capability).give_iterator(all);
                }
            });
        }
    });
    (records_edge, promises_edge)
}

/// Puts what was made into segments of a lane of its own.
fn leave<'s, B: 'static>(
    context: &mut Context<'s>,
    node: usize,
    made: Records<'s, B>,
    promises: StreamVec<'s, u64, Promise>,
) {
    let (mut builder, guard) = context.operator(node);
    let mut made = builder.new_input(made, Pipeline);
    let by_target = Exchange::new(|promise: &Promise| promise.0);
    let mut promises = builder.new_input(promises, by_target);
    let (mut output, edge) = context.output(&mut builder, node, 0);
    let worker = context.local.index;
    let own = Lane::new(node, context.id(node), worker, &worker.to_string());
    let (mut lanes, mut is_announced) = (Lanes::default(), false);
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
                // Lanes that have not come yet take it back.
                let have_ended = lanes.least() == Progress::End;
                end = have_ended.then(|| capability.delayed(&epoch_of(&capability), 0));
            });
            made.for_each(|capability, records| {
                let with_stamp = records.drain(..).map(|record| ((), record));
                let records: Vec<((), B)> = with_stamp.collect();
                let count = records.len();
                let mut segment =
                    Segment::with(own, Progress::Open, Some(Box::new(records)), count);
                output.send(&capability, &mut segment);
            });
            let frontier = frontiers.iter().map(least).min().unwrap_or(FOREVER);
            if let Some(capability) = end.take_if(|end| *end.time() < frontier) {
                output.send(&capability, &mut Segment::new(own, Progress::End));
            }
        }
    });
    context.put(node, 0, Flow::Edge(edge));
}
