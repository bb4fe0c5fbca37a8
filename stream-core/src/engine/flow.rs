//! Edges between operators, and what can still become a part of one.
//!
//! # How a chain becomes one operator
//! What a step leaves for the next is a [`Flow`]: an edge that exists, or something that can still be opened
//! inside another operator ([`Open`]). To open is to add the inputs it needs to that operator's
//! builder and to give back a [`Pull`], which hands over batches. A stateless stage opens to a pull
//! that pulls from the one before; a union to one that pulls from both.

use timely::container::NoopBuilder;
use timely::dataflow::Stream;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::channels::pushers::Output;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::generic::{OutputBuilder, OutputBuilderSession};
use timely::dataflow::operators::{CapabilityTrait, InputCapability};
use timely::progress::frontier::MutableAntichain;

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
}

struct EdgePull<F>(F);

impl<F: FnMut(Each<'_>)> Pull for EdgePull<F> {
    fn pull(&mut self, each: Each<'_>) {
        (self.0)(each);
    }
}
