//! `union`: two streams as one. No operator of its own: it is a part of whatever reads it.

use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

use crate::graph::Stamp;
use crate::graph::node::{Port, Render, stage};
use crate::graph::render::{Context, Each, Flow, Open, Pull};

pub(crate) fn union<S: Stamp, T: 'static>(left: Port<S, T>, right: Port<S, T>) -> Port<S, T> {
    let graph = left.graph().clone();
    let spec = stage("union", vec![left.spec(), right.spec()]);
    graph.add(spec, Union([left, right]))
}

struct Union<S, T>([Port<S, T>; 2]);

impl<S: Stamp, T: 'static> Render for Union<S, T> {
    fn render<'s>(self: Box<Self>, node: usize, context: &mut Context<'s>) {
        let flows = self.0.map(|port| context.take(&port));
        context.put(node, 0, Flow::Lazy(Box::new(Both { node, flows })));
    }
}

struct Both<F> {
    node: usize,
    flows: [F; 2],
}

impl<'s, S: Stamp, T: 'static> Open<'s, S, T> for Both<Flow<'s, S, T>> {
    fn open(self: Box<Self>, builder: &mut OperatorBuilder<'s, u64>) -> Box<dyn Pull<S, T>> {
        let Both { node, flows } = *self;
        Box::new(BothPull {
            node,
            pulls: flows.map(|flow| flow.open(builder)),
        })
    }
}

struct BothPull<S, T> {
    node: usize,
    pulls: [Box<dyn Pull<S, T>>; 2],
}

impl<S, T> Pull<S, T> for BothPull<S, T> {
    fn pull(&mut self, each: Each<'_, S, T>) {
        for (port, pull) in self.pulls.iter_mut().enumerate() {
            pull.pull(&mut |capability, segment| {
                segment.lane = segment.lane.through(self.node, port);
                each(capability, segment);
            });
        }
    }
}
