//! `union`: two streams as one. No operator of its own: it is a part of whatever reads it.

use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

use crate::graph::context::{Context, Each, Flow, Open, Pull};
use crate::graph::node::{Port, Render, stage};
use crate::graph::{PortSpec, Stamp};

pub(crate) fn union<S: Stamp, T: 'static>(left: Port<S, T>, right: Port<S, T>) -> Port<S, T> {
    let graph = left.graph().clone();
    let spec = stage("union", vec![left.spec(), right.spec()]);
    graph.add(spec, Box::new(Union([left.spec(), right.spec()])))
}

struct Union([PortSpec; 2]);

impl Render for Union {
    fn render<'s>(self: Box<Self>, node: usize, context: &mut Context<'s>) {
        let flows = self.0.map(|port| context.take(port));
        context.put(node, 0, Flow::Lazy(Box::new(Both { node, flows })));
    }
}

struct Both<F> {
    node: usize,
    flows: [F; 2],
}

impl<'s> Open<'s> for Both<Flow<'s>> {
    fn open(self: Box<Self>, builder: &mut OperatorBuilder<'s, u64>) -> Box<dyn Pull> {
        let Both { node, flows } = *self;
        Box::new(BothPull {
            node,
            pulls: flows.map(|flow| flow.open(builder)),
        })
    }
}

struct BothPull {
    node: usize,
    pulls: [Box<dyn Pull>; 2],
}

impl Pull for BothPull {
    fn pull(&mut self, each: Each<'_>) {
        for (port, pull) in self.pulls.iter_mut().enumerate() {
            pull.pull(&mut |capability, segment| {
                segment.lane = segment.lane.through(self.node, port);
                each(capability, segment);
            });
        }
    }
}
