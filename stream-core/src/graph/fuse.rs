//! Stateless stages as one loop.
//!
//! A [`Step`] is what a stage does with one record. Steps compose by type into a [`Chain`], so the
//! compiler sees a whole chain as one loop. A stage that was added by a method of its own is a
//! chain of one step: a row of those still costs one timely operator, but hands batches from step
//! to step.

use std::fmt::{self, Display};
use std::marker::PhantomData;
use std::ops::ControlFlow;

use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

use super::context::Context;
use super::handles::{EventTimed, Keyed, Kind, Stream};
use super::node::{Graph, Port, Render, stage};
use super::spec::{NodeSpec, PortSpec};
use crate::engine::batch::Segment;
use crate::engine::flow::{Each, Flow, Open, Pull};
use crate::engine::guard::Guard;
use crate::engine::lane::Progress;
use crate::state::record::Stamp;
use crate::time::EventTime;

/// What a stateless stage does with one record: it hands on none, one or many. `S` is what travels
/// beside the record.
pub trait Step<A, S: Stamp>: 'static {
    /// What the step hands on.
    type Out: 'static;

    /// Whether the step may hand on more records than it takes.
    #[doc(hidden)]
    const EXPANDS: bool = false;

    /// Takes one record and hands on what becomes of it.
    fn step(&self, stamp: S, record: A, next: &mut impl FnMut(Self::Out));

    /// Takes the records of a batch and puts what becomes of them into an empty one, or exchanges
    /// the two. A step on its own does this where it is faster than record by record.
    #[doc(hidden)]
    #[inline]
    fn batch(&self, records: &mut Vec<(S, A)>, made: &mut Vec<(S, Self::Out)>) {
        made.reserve(records.len());
        for (stamp, record) in records.drain(..) {
            self.step(stamp, record, &mut |record| made.push((stamp, record)));
        }
    }
}

/// Stateless stages that run as one loop over the records; see
/// [`Stream::fuse`](super::Stream::fuse).
///
/// Its methods are those of a stream. Each adds its stage to the graph at once, so the graph does
/// not show what is fused.
#[must_use = "a chain that nobody ends computes nothing"]
pub struct Chain<T, K: Kind, P, O = T> {
    /// The stream that the chain reads.
    input: Port<K::Stamp, T>,
    /// The stage that was added last.
    last: PortSpec,
    step: P,
    /// What comes out of it.
    out: PhantomData<fn() -> O>,
}

impl<T, K: Kind, P, O> fmt::Debug for Chain<T, K, P, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Chain").field(&self.input).finish()
    }
}

impl<T: 'static, K: Kind> Chain<T, K, Pass> {
    pub(super) fn open(input: Port<K::Stamp, T>) -> Self {
        Chain {
            last: input.spec(),
            input,
            step: Pass(()),
            out: PhantomData,
        }
    }
}

// What a step must be is asked of it where the chain ends. So a closure that does not fit is told once,
// where it stands, and the methods behind it are still there.
impl<T: 'static, K: Kind, P, O: 'static> Chain<T, K, P, O> {
    /// As [`Stream::map`].
    pub fn map<B: 'static, F>(self, f: F) -> Chain<T, K, Then<P, Map<F>>, B>
    where
        F: Fn(O) -> B + 'static,
    {
        self.then("map", Map(f))
    }

    /// As [`Stream::map_with_time`].
    pub fn map_with_time<B: 'static, F>(self, f: F) -> Chain<T, K, Then<P, MapWithTime<F>>, B>
    where
        K: EventTimed,
        F: Fn(O, EventTime) -> B + 'static,
    {
        self.then("map_with_time", MapWithTime(f))
    }

    /// As [`Stream::filter`].
    pub fn filter<F>(self, f: F) -> Chain<T, K, Then<P, Filter<F>>, O>
    where
        F: Fn(&O) -> bool + 'static,
    {
        self.then("filter", Filter(f))
    }

    /// As [`Stream::filter_map`].
    pub fn filter_map<B: 'static, F>(self, f: F) -> Chain<T, K, Then<P, FilterMap<F>>, B>
    where
        F: Fn(O) -> Option<B> + 'static,
    {
        self.then("filter_map", FilterMap(f))
    }

    /// As [`Stream::flat_map`].
    pub fn flat_map<I, F>(self, f: F) -> Chain<T, K, Then<P, FlatMap<F>>, I::Item>
    where
        I: IntoIterator<Item: 'static>,
        F: Fn(O) -> I + 'static,
    {
        self.then("flat_map", FlatMap(f))
    }

    /// As [`Stream::inspect`].
    pub fn inspect<F>(self, f: F) -> Chain<T, K, Then<P, Inspect<F>>, O>
    where
        F: Fn(&O) + 'static,
    {
        self.then("inspect", Inspect(f))
    }

    /// As [`Stream::key_by`]; it ends the chain.
    pub fn key_by<Q: 'static>(self, f: impl Fn(&O) -> Q + 'static) -> Keyed<Q, O, K>
    where
        P: Step<T, K::Stamp, Out = O>,
    {
        let key = move |record: O| (f(&record), record);
        let keyed: Chain<T, K, _, (Q, O)> = self.then("key_by", Map(key));
        Keyed::from_port(keyed.end().port)
    }

    /// As [`Stream::named`], for the stage that was added last.
    pub fn named(self, name: impl Display) -> Self {
        let graph = self.input.graph();
        graph.rename(self.last.node, &name.to_string());
        self
    }

    /// Ends the chain: what comes out of its last stage is a stream again.
    pub fn end(mut self) -> Stream<O, K>
    where
        P: Step<T, K::Stamp, Out = O>,
    {
        let graph = self.input.graph().clone();
        if self.last == self.input.spec() {
            self.last = graph.push_stage(stage("pass", vec![self.last]));
        }
        let node = self.last.node;
        let render = stateless::<K::Stamp, T, P>(self.input.spec(), self.step);
        graph.set_render(node, render);
        Stream::from_port(graph.port(node, 0))
    }

    pub(super) fn graph(&self) -> &Graph {
        self.input.graph()
    }

    /// The stage that was added last.
    pub(super) fn last(&self) -> PortSpec {
        self.last
    }

    fn then<Q, B>(self, kind: &'static str, step: Q) -> Chain<T, K, Then<P, Q>, B> {
        let spec = stage(kind, vec![self.last]);
        self.then_stage(spec, step)
    }

    /// Adds a stage that reads the last one.
    pub(super) fn then_stage<Q, B>(self, spec: NodeSpec, step: Q) -> Chain<T, K, Then<P, Q>, B> {
        Chain {
            last: self.graph().push_stage(spec),
            input: self.input,
            step: Then(self.step, step),
            out: PhantomData,
        }
    }
}

/// The step that hands on what it is given: the head of every chain.
#[derive(Debug)]
pub struct Pass(());

impl<A: 'static, S: Stamp> Step<A, S> for Pass {
    type Out = A;

    #[inline]
    fn step(&self, _: S, record: A, next: &mut impl FnMut(A)) {
        next(record);
    }
}

/// One step after another.
#[derive(Debug)]
pub struct Then<P, Q>(P, Q);

impl<A, S: Stamp, P: Step<A, S>, Q: Step<P::Out, S>> Step<A, S> for Then<P, Q> {
    type Out = Q::Out;
    const EXPANDS: bool = P::EXPANDS || Q::EXPANDS;

    #[inline]
    fn step(&self, stamp: S, record: A, next: &mut impl FnMut(Q::Out)) {
        let (first, second) = (&self.0, &self.1);
        first.step(stamp, record, &mut |record| {
            second.step(stamp, record, next);
        });
    }
}

/// The steps hold closures, so only their names are shown.
macro_rules! debug_by_name {
    ($($name:ident)*) => {$(
        impl<F> fmt::Debug for $name<F> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($name))
            }
        }
    )*};
}
debug_by_name!(Map MapWithTime Filter FilterMap FlatMap Inspect);

/// The step of `map`.
pub struct Map<F>(pub(crate) F);

impl<A, S: Stamp, B: 'static, F: Fn(A) -> B + 'static> Step<A, S> for Map<F> {
    type Out = B;

    #[inline]
    fn step(&self, _: S, record: A, next: &mut impl FnMut(B)) {
        next((self.0)(record));
    }

    #[inline]
    fn batch(&self, records: &mut Vec<(S, A)>, made: &mut Vec<(S, B)>) {
        let records = records.drain(..);
        made.extend(records.map(|(stamp, record)| (stamp, (self.0)(record))));
    }
}

/// The step of `map_with_time`.
pub struct MapWithTime<F>(pub(super) F);

impl<A, B: 'static, F: Fn(A, EventTime) -> B + 'static> Step<A, EventTime> for MapWithTime<F> {
    type Out = B;

    #[inline]
    fn step(&self, time: EventTime, record: A, next: &mut impl FnMut(B)) {
        next((self.0)(record, time));
    }
}

/// The step of `filter`.
pub struct Filter<F>(pub(crate) F);

impl<A: 'static, S: Stamp, F: Fn(&A) -> bool + 'static> Step<A, S> for Filter<F> {
    type Out = A;

    #[inline]
    fn step(&self, _: S, record: A, next: &mut impl FnMut(A)) {
        if (self.0)(&record) {
            next(record);
        }
    }

    #[inline]
    fn batch(&self, records: &mut Vec<(S, A)>, made: &mut Vec<(S, A)>) {
        std::mem::swap(records, made);
        made.retain(|(_, record)| (self.0)(record));
    }
}

/// The step of `filter_map`.
pub struct FilterMap<F>(pub(crate) F);

impl<A, S: Stamp, B: 'static, F: Fn(A) -> Option<B> + 'static> Step<A, S> for FilterMap<F> {
    type Out = B;

    #[inline]
    fn step(&self, _: S, record: A, next: &mut impl FnMut(B)) {
        if let Some(record) = (self.0)(record) {
            next(record);
        }
    }
}

/// The step of `flat_map`.
pub struct FlatMap<F>(pub(crate) F);

impl<A, S: Stamp, I: IntoIterator<Item: 'static>, F: Fn(A) -> I + 'static> Step<A, S>
    for FlatMap<F>
{
    type Out = I::Item;
    const EXPANDS: bool = true;

    #[inline]
    fn step(&self, _: S, record: A, next: &mut impl FnMut(I::Item)) {
        for record in (self.0)(record) {
            next(record);
        }
    }
}

/// The step of `inspect`.
pub struct Inspect<F>(pub(super) F);

impl<A: 'static, S: Stamp, F: Fn(&A) + 'static> Step<A, S> for Inspect<F> {
    type Out = A;

    #[inline]
    fn step(&self, _: S, record: A, next: &mut impl FnMut(A)) {
        (self.0)(&record);
        next(record);
    }
}

/// A step with the types of its records erased.
pub(super) trait Batches {
    /// Takes records of a segment and puts what becomes of them into the other, until they are all
    /// taken or a piece is full; tells whether there are more.
    fn run(&self, from: &mut Segment, into: &mut Segment) -> bool;
}

struct Typed<S, A, P> {
    step: P,
    records: PhantomData<fn(S, A)>,
}

impl<S: Stamp, A: 'static, P: Step<A, S>> Batches for Typed<S, A, P> {
    fn run(&self, from: &mut Segment, into: &mut Segment) -> bool {
        let records = from.records::<(S, A)>();
        let made = into.records::<(S, P::Out)>();
        made.clear();
        match P::EXPANDS {
            true => self.run_piece(records, made),
            false => self.step.batch(records, made),
        }
        let count = made.len();
        into.set_count(count);
        P::EXPANDS && !from.records::<(S, A)>().is_empty()
    }
}

impl<S: Stamp, A: 'static, P: Step<A, S>> Typed<S, A, P> {
    /// Takes records until what becomes of them is a piece.
    fn run_piece(&self, records: &mut Vec<(S, A)>, made: &mut Vec<(S, P::Out)>) {
        let size = std::mem::size_of::<(S, P::Out)>().max(1);
        let enough = PIECE.min(PIECE_BYTES / size).max(1);
        let mut rest = std::mem::take(records).into_iter();
        while made.len() < enough
            && let Some((stamp, record)) = rest.next()
        {
            let mut next = |next| made.push((stamp, next));
            self.step.step(stamp, record, &mut next);
        }
        *records = rest.collect();
    }
}

/// How many records a stage that makes many of one hands on at once, or rather few more.
const PIECE: usize = 4_096;
/// The same in bytes, as records lie in memory.
const PIECE_BYTES: usize = 1 << 20;
/// How many such pieces are made before other operators have their turn.
const PIECES: usize = 16;

/// Renders a chain: lazily, as a part of the operator that reads it.
pub(super) struct Stateless {
    input: PortSpec,
    step: Box<dyn Batches>,
}

pub(crate) fn stateless<S: Stamp, A: 'static, P: Step<A, S>>(
    input: PortSpec,
    step: P,
) -> Box<dyn Render> {
    let records = PhantomData::<fn(S, A)>;
    stateless_of(input, Box::new(Typed { step, records }))
}

/// Adds a stage of one step behind a port.
pub(crate) fn add_stage<S: Stamp, A: 'static, P: Step<A, S>>(
    input: &Port<S, A>,
    kind: &'static str,
    step: P,
) -> Port<S, P::Out> {
    let spec = stage(kind, vec![input.spec()]);
    let render = stateless::<S, A, P>(input.spec(), step);
    input.graph().add(spec, render)
}

fn stateless_of(input: PortSpec, step: Box<dyn Batches>) -> Box<dyn Render> {
    Box::new(Stateless { input, step })
}

impl Render for Stateless {
    fn render<'s>(self: Box<Self>, node: usize, context: &mut Context<'s>) {
        let upstream = context.take(self.input);
        let flow = behind(upstream, self.step, context.id(node));
        context.put(node, 0, flow);
    }
}

/// A flow behind a step of the stage with this id.
pub(crate) fn through<'s, S: Stamp, A: 'static, P: Step<A, S>>(
    flow: Flow<'s>,
    step: P,
    id: &str,
) -> Flow<'s> {
    let records = PhantomData::<fn(S, A)>;
    behind(flow, Box::new(Typed { step, records }), id)
}

/// A flow of which each record becomes another, and what travels beside it, too.
pub(crate) fn restamped<'s, S, A, R, B>(
    flow: Flow<'s>,
    f: impl Fn(S, A) -> (R, B) + 'static,
    id: &str,
) -> Flow<'s>
where
    S: Stamp,
    A: 'static,
    R: Stamp,
    B: 'static,
{
    let records = PhantomData::<fn(S, A) -> (R, B)>;
    behind(flow, Box::new(Restamp { f, records }), id)
}

struct Restamp<F, R> {
    f: F,
    records: PhantomData<R>,
}

impl<S: Stamp, A: 'static, R: Stamp, B: 'static, F: Fn(S, A) -> (R, B)> Batches
    for Restamp<F, fn(S, A) -> (R, B)>
{
    fn run(&self, from: &mut Segment, into: &mut Segment) -> bool {
        let records = from.records::<(S, A)>().drain(..);
        let made = into.records::<(R, B)>();
        made.clear();
        made.extend(records.map(|(stamp, record)| (self.f)(stamp, record)));
        let count = made.len();
        into.set_count(count);
        false
    }
}

fn behind<'s>(upstream: Flow<'s>, step: Box<dyn Batches>, id: &str) -> Flow<'s> {
    Flow::Lazy(Box::new(Stage {
        upstream,
        step,
        guard: Guard::new(id),
    }))
}

struct Stage<U> {
    upstream: U,
    step: Box<dyn Batches>,
    guard: Guard,
}

impl<'s> Open<'s> for Stage<Flow<'s>> {
    fn open(self: Box<Self>, builder: &mut OperatorBuilder<'s, u64>) -> Box<dyn Pull> {
        let upstream = self.upstream.open(builder);
        Box::new(StagePull {
            upstream,
            step: self.step,
            guard: self.guard,
            made: Segment::default(),
            waits: Waits::Nothing,
        })
    }
}

struct StagePull {
    upstream: Box<dyn Pull>,
    step: Box<dyn Batches>,
    guard: Guard,
    made: Segment,
    waits: Waits,
}

/// What was made of a segment and has not been taken yet.
#[derive(PartialEq)]
enum Waits {
    Nothing,
    /// More is to be made of the segment.
    Piece,
    Last,
}

impl Pull for StagePull {
    fn pull(&mut self, each: Each<'_>) -> ControlFlow<()> {
        let StagePull {
            upstream,
            step,
            guard,
            made,
            waits,
        } = self;
        let mut pieces = PIECES;
        upstream.pull(&mut |capability, segment| {
            loop {
                if *waits == Waits::Nothing {
                    let entered = guard.enter();
                    let has_rest = step.run(segment, made);
                    drop(entered);
                    made.lane = segment.lane;
                    // What the lane promises holds behind all of its records.
                    (*waits, made.progress) = match has_rest {
                        true => (Waits::Piece, Progress::Open),
                        false => (Waits::Last, segment.progress),
                    };
                }
                each(capability, made)?;
                if std::mem::replace(waits, Waits::Nothing) == Waits::Last {
                    return ControlFlow::Continue(());
                }
                pieces -= 1;
                if pieces == 0 {
                    return ControlFlow::Break(());
                }
            }
        })
    }
}
