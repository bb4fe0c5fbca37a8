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

use std::any::TypeId;
use std::collections::BTreeMap;
use std::rc::Rc;

use timely::container::{Accountable, NoopBuilder};
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::InputCapability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::{Scope, Stream};

use super::Stamp;
use super::node::{Graph, Port};
use super::spec::{GraphSpec, PortSpec};
use crate::run::guard::Guard;
use crate::run::worker::Local;
use crate::time::lane::{Lane, Progress};

/// A piece of one lane in one slice: what travels on an edge up to an exchange.
///
/// The progress holds behind the records. A segment without records still carries it, so every
/// segment counts as one thing more than its records, and none is ever empty to timely.
#[derive(Clone)]
pub(crate) struct Segment<S, T> {
    pub(crate) lane: Lane,
    pub(crate) progress: Progress,
    pub(crate) records: Vec<(S, T)>,
}

impl<S, T> Segment<S, T> {
    pub(crate) fn new(lane: Lane, progress: Progress, records: Vec<(S, T)>) -> Self {
        Segment {
            lane,
            progress,
            records,
        }
    }
}

impl<S, T> Default for Segment<S, T> {
    fn default() -> Self {
        Segment::new(Lane::new(0, 0), Progress::Open, Vec::new())
    }
}

impl<S, T> Accountable for Segment<S, T> {
    fn record_count(&self) -> i64 {
        self.records.len() as i64 + 1
    }
}

/// A timely stream of segments.
pub(crate) type Edge<'s, S, T> = Stream<'s, u64, Segment<S, T>>;

/// Hands a segment on without a builder in between.
pub(crate) type SegmentOutput<S, T> = OutputBuilder<u64, NoopBuilder<Segment<S, T>>>;

/// The epoch that a message was sent in.
pub(crate) fn epoch_of(capability: &InputCapability<u64>) -> u64 {
    *capability
        .least()
        .expect("every message of this engine is sent in an epoch")
}

/// Hands over what has arrived, batch by batch. The consumer may take a segment's records or leave
/// them; the pull clears what is left.
pub(crate) trait Pull<S, T> {
    fn pull(&mut self, each: Each<'_, S, T>);
}

/// What is done with each segment, and the right to send in its epoch.
pub(crate) type Each<'a, S, T> = &'a mut dyn FnMut(&InputCapability<u64>, &mut Segment<S, T>);

/// Something that becomes a part of whichever operator reads it.
pub(crate) trait Open<'s, S, T> {
    fn open(self: Box<Self>, builder: &mut OperatorBuilder<'s, u64>) -> Box<dyn Pull<S, T>>;
}

/// What a step leaves for the next.
pub(crate) enum Flow<'s, S, T> {
    /// An edge between two operators.
    Edge(Edge<'s, S, T>),
    /// A part of the operator to come.
    Lazy(Box<dyn Open<'s, S, T> + 's>),
}

impl<'s, S: Stamp, T: 'static> Flow<'s, S, T> {
    /// Makes this a part of the operator that is being built.
    pub(crate) fn open(self, builder: &mut OperatorBuilder<'s, u64>) -> Box<dyn Pull<S, T>> {
        match self {
            Flow::Edge(edge) => {
                let mut input = builder.new_input(edge, Pipeline);
                Box::new(EdgePull(move |each: Each<'_, S, T>| {
                    input.for_each(|capability, segment| {
                        each(&capability, segment);
                        segment.records.clear();
                    });
                }))
            }
            Flow::Lazy(open) => open.open(builder),
        }
    }

    /// Makes an edge of this, with an operator of its own where there is none yet.
    fn into_edge(self, node: usize, context: &Context<'s>) -> Edge<'s, S, T> {
        let lazy = match self {
            Flow::Edge(edge) => return edge,
            lazy => lazy,
        };
        let (mut builder, guard) = context.operator(node);
        let mut pull = lazy.open(&mut builder);
        let (output, edge) = builder.new_output();
        let mut output = SegmentOutput::from(output);
        builder.build(move |_| {
            move |_| {
                let _entered = guard.enter();
                let mut output = output.activate();
                pull.pull(&mut |capability, segment| {
                    output
                        .session_with_builder(capability)
                        .give_container(segment);
                });
            }
        });
        edge
    }
}

struct EdgePull<F>(F);

impl<S, T, F: FnMut(Each<'_, S, T>)> Pull<S, T> for EdgePull<F> {
    fn pull(&mut self, each: Each<'_, S, T>) {
        (self.0)(each);
    }
}

/// What rendering has at hand.
pub(crate) struct Context<'s> {
    pub(crate) scope: Scope<'s, u64>,
    pub(crate) local: Rc<Local>,
    graph: Graph,
    spec: Rc<GraphSpec>,
    slots: BTreeMap<PortSpec, Box<dyn Slot<'s> + 's>>,
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

    /// Leaves the output of a node for those that read it.
    pub(crate) fn put<S: Stamp, T: 'static>(
        &mut self,
        node: usize,
        port: usize,
        flow: Flow<'s, S, T>,
    ) {
        let spec = PortSpec { node, port };
        let many = self.readers.get(&spec).copied().unwrap_or(0) > 1;
        let flow = if many {
            Flow::Edge(flow.into_edge(node, self))
        } else {
            flow
        };
        self.slots.insert(spec, Box::new(Filled(flow)));
    }

    /// Takes what was left at a port; an edge that others read too is cloned.
    pub(crate) fn take<S: Stamp, T: 'static>(&mut self, port: &Port<S, T>) -> Flow<'s, S, T> {
        let spec = port.spec();
        let slot = self
            .slots
            .remove(&spec)
            .expect("inputs are rendered before their readers");
        let flow: Flow<'s, S, T> = take_slot(slot);
        let readers = self.readers.get_mut(&spec).expect("a reader was counted");
        *readers -= 1;
        if let (1.., Flow::Edge(edge)) = (*readers, &flow) {
            let clone = self
                .graph
                .cloner::<S, T>(spec)
                .expect("two handles came from a clone");
            let rest = Flow::<S, T>::Edge(clone(edge));
            self.slots.insert(spec, Box::new(Filled(rest)));
        }
        flow
    }
}

/// The erasure of a [`Flow`] in one scope.
trait Slot<'s> {
    fn record_type(&self) -> TypeId;
}

struct Filled<'s, S, T>(Flow<'s, S, T>);

impl<'s, S: 'static, T: 'static> Slot<'s> for Filled<'s, S, T> {
    fn record_type(&self) -> TypeId {
        TypeId::of::<(S, T)>()
    }
}

#[allow(unsafe_code)]
fn take_slot<'s, S: 'static, T: 'static>(slot: Box<dyn Slot<'s> + 's>) -> Flow<'s, S, T> {
    assert_eq!(
        slot.record_type(),
        TypeId::of::<(S, T)>(),
        "an edge is read as the type it has"
    );
    // SAFETY: `Filled` is the only implementor of `Slot<'s>`. Its lifetime is the `'s` of the trait
    // object's type, which is invariant there, and its `S` and `T` were just compared.
    let filled = unsafe { Box::from_raw(Box::into_raw(slot).cast::<Filled<'s, S, T>>()) };
    filled.0
}
