//! Rendering: from nodes to timely operators, on one worker.
//!
//! A step takes the flows of its inputs out of the [`Context`] and leaves those of its outputs
//! there. All edges have one type, so nothing is cast on the way.

use std::collections::BTreeMap;
use std::rc::Rc;

use timely::dataflow::Scope;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

use super::node::Graph;
use super::spec::{GraphSpec, PortSpec};
use crate::engine::flow::{Edge, Flow, Input, SegmentOutput};
use crate::engine::guard::Guard;
use crate::engine::local::Local;

/// What rendering has at hand.
pub(crate) struct Context<'s> {
    pub(crate) scope: Scope<'s, u64>,
    pub(crate) local: Rc<Local>,
    graph: Graph,
    spec: Rc<GraphSpec>,
    slots: BTreeMap<PortSpec, Flow<'s>>,
    /// By port: how many stages that reach an output read it.
    readers: BTreeMap<PortSpec, usize>,
}

/// Renders every stage that reaches an output.
pub(crate) fn render<'s>(scope: Scope<'s, u64>, graph: &Graph, local: &Rc<Local>) {
    let spec = Rc::new(graph.spec());
    let reachable = spec.reachable();
    let mut readers = BTreeMap::new();
    for (node, _) in spec
        .nodes
        .iter()
        .zip(&reachable)
        .filter(|(_, reachable)| **reachable)
    {
        node.inputs
            .iter()
            .for_each(|input| *readers.entry(*input).or_insert(0) += 1);
    }
    let (graph, local, slots) = (graph.clone(), local.clone(), BTreeMap::new());
    let mut context = Context {
        scope,
        local,
        graph,
        spec,
        slots,
        readers,
    };
    for (index, node) in context.graph.take_nodes().into_iter().enumerate() {
        if let (true, Some(step)) = (reachable[index], node.render) {
            // Rendering opens sources and sinks and reads state: that is users' code, too.
            let _entered = Guard::new(context.id(index)).enter();
            step.render(index, &mut context);
        }
    }
}

impl<'s> Context<'s> {
    /// The id of a node.
    pub(crate) fn id(&self, node: usize) -> &str {
        &self.spec.nodes[node].id
    }

    /// Tells whether an output of a node is read by a stage that reaches an output.
    pub(crate) fn is_read(&self, node: usize, port: usize) -> bool {
        self.readers.contains_key(&PortSpec { node, port })
    }

    /// Begins an operator, and gives the guard that names it while it runs.
    pub(crate) fn operator(&self, node: usize) -> (OperatorBuilder<'s, u64>, Guard) {
        let id = self.id(node).to_owned();
        let guard = Guard::new(&id);
        (OperatorBuilder::new(id, self.scope), guard)
    }

    /// Makes a flow an input of the operator that is being built.
    pub(crate) fn input(&self, builder: &mut OperatorBuilder<'s, u64>, flow: Flow<'s>) -> Input {
        let pull = flow.open(builder);
        let activator = self.scope.activator_for(builder.operator_info().address);
        Input::new(pull, activator)
    }

    /// Adds an output to an operator: that of a port of a node.
    pub(crate) fn output(
        &self,
        builder: &mut OperatorBuilder<'s, u64>,
        node: usize,
        port: usize,
    ) -> (SegmentOutput, Edge<'s>) {
        let (output, edge) = builder.new_output();
        let cloner = self.graph.cloner(PortSpec { node, port });
        (SegmentOutput::new(output, cloner), edge)
    }

    /// Leaves the output of a node for those that read it.
    pub(crate) fn put(&mut self, node: usize, port: usize, flow: Flow<'s>) {
        let spec = PortSpec { node, port };
        let many = self.readers.get(&spec).copied().unwrap_or(0) > 1;
        let flow = if many {
            Flow::Edge(self.edge_of(flow, spec))
        } else {
            flow
        };
        self.slots.insert(spec, flow);
    }

    /// Takes what was left at a port; an edge that others read too is cloned.
    pub(crate) fn take(&mut self, spec: PortSpec) -> Flow<'s> {
        let flow = self
            .slots
            .remove(&spec)
            .expect("inputs are rendered before their readers");
        let readers = self.readers.get_mut(&spec).expect("a reader was counted");
        *readers -= 1;
        if let (1.., Flow::Edge(edge)) = (*readers, &flow) {
            let rest = Flow::Edge(edge.clone());
            self.slots.insert(spec, rest);
        }
        flow
    }

    /// Makes an edge of a flow, with an operator of its own where there is none yet.
    fn edge_of(&self, flow: Flow<'s>, port: PortSpec) -> Edge<'s> {
        let lazy = match flow {
            Flow::Edge(edge) => return edge,
            lazy => lazy,
        };
        let (mut builder, guard) = self.operator(port.node);
        let mut input = self.input(&mut builder, lazy);
        let (mut output, edge) = self.output(&mut builder, port.node, port.port);
        builder.build(move |_| {
            move |_| {
                let _entered = guard.enter();
                let mut output = output.activate();
                input.for_each(|capability, segment| output.send(capability, segment));
            }
        });
        edge
    }
}
