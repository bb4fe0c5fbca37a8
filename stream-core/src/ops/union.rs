//! `union`: two streams as one. No operator of its own: it is a part of whatever reads it.

use std::ops::ControlFlow;

use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

use crate::engine::flow::{Each, Flow, Open, Pull};
use crate::engine::lane::UnionPort;
use crate::graph::context::Context;
use crate::graph::node::{Port, Render, stage};
use crate::graph::{Kind, PortSpec, Stream};
use crate::state::record::Stamp;

impl<T: 'static, K: Kind> Stream<T, K> {
    /// Puts the records of two streams into one. A lane of either stays a lane of its own.
    ///
    /// ```
    /// # stream_core::testing::doc(|numbers| {
    /// let all = numbers.clone().union(numbers.map(|n| n + 10));
    /// # all }, [1, 2], [1, 2, 11, 12]);
    /// ```
    pub fn union(self, other: Stream<T, K>) -> Stream<T, K> {
        Stream::from_port(union(self.port, other.port))
    }
}

pub(super) fn union<S: Stamp, T: 'static>(left: Port<S, T>, right: Port<S, T>) -> Port<S, T> {
    let graph = left.graph().clone();
    let spec = stage("union", vec![left.spec(), right.spec()]);
    graph.add(spec, Box::new(Union([left.spec(), right.spec()])))
}

struct Union([PortSpec; 2]);

impl Render for Union {
    fn render<'s>(self: Box<Self>, node: usize, context: &mut Context<'s>) {
        let flows = self.0.map(|port| context.take(port));
        let flow = both(flows, context.id(node));
        context.put(node, 0, flow);
    }
}

/// Two flows as one, in the stage with this id.
pub(super) fn both<'s>(flows: [Flow<'s>; 2], id: &str) -> Flow<'s> {
    let ways = [0, 1].map(|port| UnionPort::new(id, port));
    Flow::Lazy(Box::new(Both { ways, flows }))
}

struct Both<F> {
    ways: [UnionPort; 2],
    flows: [F; 2],
}

impl<'s> Open<'s> for Both<Flow<'s>> {
    fn open(self: Box<Self>, builder: &mut OperatorBuilder<'s, u64>) -> Box<dyn Pull> {
        let Both { ways, flows } = *self;
        Box::new(BothPull {
            ways,
            pulls: flows.map(|flow| flow.open(builder)),
            first: 0,
        })
    }
}

struct BothPull {
    ways: [UnionPort; 2],
    pulls: [Box<dyn Pull>; 2],
    /// The side that is pulled first: the one that broke off, for those behind may be in the midst
    /// of its segment, and must be handed no other before it.
    first: usize,
}

impl Pull for BothPull {
    fn pull(&mut self, each: Each<'_>) -> ControlFlow<()> {
        for side in [self.first, 1 - self.first] {
            let way = self.ways[side];
            self.first = side;
            self.pulls[side].pull(&mut |capability, segment| {
                // A segment that is kept is handed over again, as it came.
                let lane = segment.lane;
                segment.lane = lane.through(way);
                let taken = each(capability, segment);
                segment.lane = lane;
                taken
            })?;
        }
        ControlFlow::Continue(())
    }
}
