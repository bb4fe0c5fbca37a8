//! Edges between operators, and what can still become a part of one.
//!
//! # How a chain becomes one operator
//! What a step leaves for the next is a [`Flow`]: an edge that exists, or something that can still be opened
//! inside another operator ([`Open`]). To open is to add the inputs it needs to that operator's
//! builder and to give back a [`Pull`], which hands over batches. A stateless stage opens to a pull
//! that pulls from the one before; a union to one that pulls from both, from one until it keeps nothing.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use timely::container::NoopBuilder;
use timely::dataflow::Stream;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::channels::pushers::Output;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::generic::{OutputBuilder, OutputBuilderSession};
use timely::dataflow::operators::{CapabilityTrait, InputCapability};
use timely::progress::frontier::MutableAntichain;
use timely::scheduling::Activator;

use super::batch::{Cloner, Segment};
use crate::time::epoch::FOREVER;

/// A timely stream of segments.
pub(crate) type Edge<'s> = Stream<'s, u64, Segment>;

/// Hands a segment on without a builder in between.
pub(crate) struct SegmentOutput {
    output: OutputBuilder<u64, NoopBuilder<Segment>>,
    cloner: Option<Cloner>,
}

impl SegmentOutput {
    pub(crate) fn new(output: Output<u64, Segment>, cloner: Option<Cloner>) -> Self {
        SegmentOutput {
            output: OutputBuilder::from(output),
            cloner,
        }
    }

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

/// The least epoch of a frontier; [`FOREVER`] when nothing can come any more.
pub(crate) fn least(frontier: &MutableAntichain<u64>) -> u64 {
    frontier.frontier().first().copied().unwrap_or(FOREVER)
}

/// The epoch that a message was sent in.
pub(crate) fn epoch_of(capability: &InputCapability<u64>) -> u64 {
    *capability
        .least()
        .expect("every message of this engine is sent in an epoch")
}

/// Hands over what has arrived, segment by segment.
pub(crate) trait Pull {
    /// Calls `each` with each segment. A segment for which it breaks off is not done with: it is
    /// kept, with the right to send in its epoch, and handed over again by the next pull, before any
    /// other: until then `each` may be in the midst of it. Tells whether anything was kept.
    fn pull(&mut self, each: Each<'_>) -> ControlFlow<()>;
}

/// What is done with each segment, and the right to send in its epoch.
pub(crate) type Each<'a> =
    &'a mut dyn FnMut(&InputCapability<u64>, &mut Segment) -> ControlFlow<()>;

/// What an operator reads: all of it, with the chain in front, in pieces that are bounded.
pub(crate) struct Input {
    pull: Box<dyn Pull>,
    activator: Activator,
}

impl Input {
    pub(crate) fn new(pull: Box<dyn Pull>, activator: Activator) -> Self {
        Input { pull, activator }
    }

    /// Hands over what there is for now. The reader may take a segment's records or leave them.
    /// Where there is more, the operator is activated again.
    pub(crate) fn for_each(&mut self, mut each: impl FnMut(&InputCapability<u64>, &mut Segment)) {
        let pulled = self.pull.pull(&mut |capability, segment| {
            each(capability, segment);
            ControlFlow::Continue(())
        });
        if pulled.is_break() {
            self.activator.activate();
        }
    }
}

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
                Box::new(EdgePull {
                    arrived: move |take: Take<'_>| input.for_each(take),
                    kept: VecDeque::new(),
                })
            }
            Flow::Lazy(open) => open.open(builder),
        }
    }
}

/// What takes a segment that has arrived.
type Take<'a> = &'a mut dyn FnMut(InputCapability<u64>, &mut Segment);

struct EdgePull<F> {
    arrived: F,
    /// What was not done with.
    kept: VecDeque<(InputCapability<u64>, Segment)>,
}

impl<F: FnMut(Take<'_>)> Pull for EdgePull<F> {
    fn pull(&mut self, each: Each<'_>) -> ControlFlow<()> {
        while let Some((capability, segment)) = self.kept.front_mut() {
            each(capability, segment)?;
            self.kept.pop_front();
        }
        let kept = &mut self.kept;
        (self.arrived)(&mut |capability, segment| {
            if kept.is_empty() && each(&capability, segment).is_continue() {
                segment.drop_records();
            } else {
                kept.push_back((capability, std::mem::take(segment)));
            }
        });
        match self.kept.is_empty() {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    }
}
