//! Rendering: from nodes to timely operators, on one worker.
//!
//! # How streams pass between steps
//! A timely stream carries the lifetime `'s` of its scope, so it is not `'static` and cannot pass
//! through `dyn Any`. A step leaves its outputs in the [`Context`] behind an object-safe trait that
//! has the lifetime, [`Slot<'s>`]; the next step takes them out by one downcast that compares the
//! `TypeId` of the record ([`take_slot`]), the only `unsafe` of the crate.
//!
//! # How a chain becomes one operator
//! What lies in a slot is a [`Flow`]: an edge that exists, or something that can still be opened
//! inside another operator ([`Open`]). To open is to add the inputs it needs to that operator's
//! builder and to give back a [`Pull`], which hands over batches. A stateless stage opens to a pull
//! that pulls from the one before; a union to one that pulls from both.

use std::collections::BTreeMap;
use std::rc::Rc;

use timely::container::NoopBuilder;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::generic::{OutputBuilder, OutputBuilderSession};
use timely::dataflow::operators::{CapabilityTrait, InputCapability};
use timely::dataflow::{Scope, Stream};

use super::node::Graph;
use super::spec::{GraphSpec, PortSpec};
use crate::engine::batch::{Cloner, Segment};
use crate::engine::guard::Guard;
use crate::job::worker::Local;

/// A timely stream of segments.
pub(crate) type Edge<'s> = Stream<'s, u64, Segment>;

/// Hands a segment on without a builder in between.
pub(crate) struct SegmentOutput {
    output: OutputBuilder<u64, NoopBuilder<Segment>>,
    cloner: Option<Cloner>,
}

impl SegmentOutput {
    pub(crate) fn activate(&mut self) -> SegmentSession<'_> {
        SegmentSession {
            session: self.output.activate(),
            cloner: self.cloner,
        }
    }
}

pub(crate) struct SegmentSession<'a> {
    session: OutputBuilderSession<'a, u64, NoopBuilder<Segment>>,
    cloner: Option<Cloner>,
}

impl SegmentSession<'_> {
    /// Sends a segment, and leaves an empty one.
    pub(crate) fn send<C: CapabilityTrait<u64>>(&mut self, capability: &C, segment: &mut Segment) {
        segment.set_cloner(self.cloner);
        self.session
            .session_with_builder(capability)
            .give_container(segment);
    }
}

/// The epoch that a message was sent in.
pub(crate) fn epoch_of(capability: &InputCapability<u64>) -> u64 {
    *capability
        .least()
        .expect("every message of this engine is sent in an epoch")
}

/// Hands over what has arrived, batch by batch. The consumer may take a segment's records or leave
/// them; the pull clears what is left.
pub(crate) trait Pull {
    fn pull(&mut self, each: Each<'_>);
}

/// What is done with each segment, and the right to send in its epoch.
pub(crate) type Each<'a> = &'a mut dyn FnMut(&InputCapability<u64>, &mut Segment);

/// Something that becomes a part of whichever operator reads it.
pub(crate) trait Open<'s> {
    fn open(self: Box<Self>, builder: &mut OperatorBuilder<'s, u64>) -> Box<dyn Pull>;
}

/// What a step leaves for the next.
pub(crate) enum Flow<'s> {
    /// An edge between two operators.
    Edge(Edge<'s>),
    /// A part of the operator to come.
    Lazy(Box<dyn Open<'s> + 's>),
}

impl<'s> Flow<'s> {
    /// Makes this a part of the operator that is being built.
    pub(crate) fn open(self, builder: &mut OperatorBuilder<'s, u64>) -> Box<dyn Pull> {
        match self {
            Flow::Edge(edge) => {
                let mut input = builder.new_input(edge, Pipeline);
                Box::new(EdgePull(move |each: Each<'_>| {
                    input.for_each(|capability, segment| {
                        each(&capability, segment);
                        segment.drop_records();
                    });
                }))
            }
            Flow::Lazy(open) => open.open(builder),
        }
    }

    /// Makes an edge of this, with an operator of its own where there is none yet.
    fn into_edge(self, port: PortSpec, context: &Context<'s>) -> Edge<'s> {
        let lazy = match self {
            Flow::Edge(edge) => return edge,
            lazy => lazy,
        };
        let (mut builder, guard) = context.operator(port.node);
        let mut pull = lazy.open(&mut builder);
        let (mut output, edge) = context.output(&mut builder, port.node, port.port);
        builder.build(move |_| {
            move |_| {
                let _entered = guard.enter();
                let mut output = output.activate();
                pull.pull(&mut |capability, segment| output.send(capability, segment));
            }
        });
        edge
    }
}

struct EdgePull<F>(F);

impl<F: FnMut(Each<'_>)> Pull for EdgePull<F> {
    fn pull(&mut self, each: Each<'_>) {
        (self.0)(each);
    }
}

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

    /// Adds an output to an operator: that of a port of a node.
    pub(crate) fn output(
        &self,
        builder: &mut OperatorBuilder<'s, u64>,
        node: usize,
        port: usize,
    ) -> (SegmentOutput, Edge<'s>) {
        let (output, edge) = builder.new_output();
        let cloner = self.graph.cloner(PortSpec { node, port });
        let output = SegmentOutput {
            output: OutputBuilder::from(output),
            cloner,
        };
        (output, edge)
    }

    /// Leaves the output of a node for those that read it.
    pub(crate) fn put(&mut self, node: usize, port: usize, flow: Flow<'s>) {
        let spec = PortSpec { node, port };
        let many = self.readers.get(&spec).copied().unwrap_or(0) > 1;
        let flow = if many {
            Flow::Edge(flow.into_edge(spec, self))
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
}
