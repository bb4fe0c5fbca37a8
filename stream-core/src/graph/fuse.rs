//! Stateless stages as one loop.
//!
//! A [`Step`] is what a stage does with one record. Steps compose by type into a [`Chain`], so the
//! compiler sees a whole chain as one loop. A stage that was added by a method of its own is a
//! chain of one step: a row of those still costs one timely operator, but hands batches from step
//! to step.

use std::marker::PhantomData;

use timely::dataflow::operators::InputCapability;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

use super::Stamp;
use super::node::{Port, Render};
use super::render::{Context, Flow, Open, Pull, Segment};

/// What a stateless stage does with one record: it hands on none, one or many.
pub trait Step<A>: 'static {
    /// What the step hands on.
    type Out: 'static;

    /// Takes one record and hands on what becomes of it.
    fn step(&self, record: A, next: &mut impl FnMut(Self::Out));

    /// Takes the records of a batch and puts what becomes of them into an empty one, or exchanges
    /// the two. A step on its own does this where it is faster than record by record.
    #[doc(hidden)]
    #[inline]
    fn batch<S: Copy>(&self, records: &mut Vec<(S, A)>, made: &mut Vec<(S, Self::Out)>) {
        made.reserve(records.len());
        for (stamp, record) in records.drain(..) {
            self.step(record, &mut |record| made.push((stamp, record)));
        }
    }
}

/// Stateless stages that run as one loop over the records; see
/// [`Stream::fuse`](super::Stream::fuse).
pub struct Chain<A, P> {
    pub(super) step: P,
    pub(super) kinds: Vec<&'static str>,
    record: PhantomData<fn(A)>,
}

impl<A: 'static> Chain<A, Pass> {
    pub(super) fn head() -> Self {
        Chain {
            step: Pass(()),
            kinds: Vec::new(),
            record: PhantomData,
        }
    }
}

impl<A: 'static, P: Step<A>> Chain<A, P> {
    /// As [`Stream::map`](super::Stream::map).
    pub fn map<B: 'static, F: Fn(P::Out) -> B + 'static>(self, f: F) -> Chain<A, Then<P, Map<F>>> {
        self.then("map", Map(f))
    }

    /// As [`Stream::filter`](super::Stream::filter).
    pub fn filter<F: Fn(&P::Out) -> bool + 'static>(self, f: F) -> Chain<A, Then<P, Filter<F>>> {
        self.then("filter", Filter(f))
    }

    /// As [`Stream::filter_map`](super::Stream::filter_map).
    pub fn filter_map<B: 'static, F: Fn(P::Out) -> Option<B> + 'static>(
        self,
        f: F,
    ) -> Chain<A, Then<P, FilterMap<F>>> {
        self.then("filter_map", FilterMap(f))
    }

    /// As [`Stream::flat_map`](super::Stream::flat_map).
    pub fn flat_map<I, F>(self, f: F) -> Chain<A, Then<P, FlatMap<F>>>
    where
        I: IntoIterator<Item: 'static>,
        F: Fn(P::Out) -> I + 'static,
    {
        self.then("flat_map", FlatMap(f))
    }

    /// As [`Stream::inspect`](super::Stream::inspect).
    pub fn inspect<F: Fn(&P::Out) + 'static>(self, f: F) -> Chain<A, Then<P, Inspect<F>>> {
        self.then("inspect", Inspect(f))
    }

    fn then<Q: Step<P::Out>>(mut self, kind: &'static str, step: Q) -> Chain<A, Then<P, Q>> {
        self.kinds.push(kind);
        Chain {
            step: Then(self.step, step),
            kinds: self.kinds,
            record: PhantomData,
        }
    }
}

/// The step that hands on what it is given: the head of every chain.
pub struct Pass(());

impl<A: 'static> Step<A> for Pass {
    type Out = A;

    #[inline]
    fn step(&self, record: A, next: &mut impl FnMut(A)) {
        next(record);
    }
}

/// One step after another.
pub struct Then<P, Q>(P, Q);

impl<A, P: Step<A>, Q: Step<P::Out>> Step<A> for Then<P, Q> {
    type Out = Q::Out;

    #[inline]
    fn step(&self, record: A, next: &mut impl FnMut(Q::Out)) {
        self.0.step(record, &mut |record| self.1.step(record, next));
    }
}

/// The step of `map`.
pub struct Map<F>(pub(super) F);

impl<A, B: 'static, F: Fn(A) -> B + 'static> Step<A> for Map<F> {
    type Out = B;

    #[inline]
    fn step(&self, record: A, next: &mut impl FnMut(B)) {
        next((self.0)(record));
    }

    #[inline]
    fn batch<S: Copy>(&self, records: &mut Vec<(S, A)>, made: &mut Vec<(S, B)>) {
        let records = records.drain(..);
        made.extend(records.map(|(stamp, record)| (stamp, (self.0)(record))));
    }
}

/// The step of `filter`.
pub struct Filter<F>(pub(super) F);

impl<A: 'static, F: Fn(&A) -> bool + 'static> Step<A> for Filter<F> {
    type Out = A;

    #[inline]
    fn step(&self, record: A, next: &mut impl FnMut(A)) {
        if (self.0)(&record) {
            next(record);
        }
    }

    #[inline]
    fn batch<S: Copy>(&self, records: &mut Vec<(S, A)>, made: &mut Vec<(S, A)>) {
        std::mem::swap(records, made);
        made.retain(|(_, record)| (self.0)(record));
    }
}

/// The step of `filter_map`.
pub struct FilterMap<F>(pub(super) F);

impl<A, B: 'static, F: Fn(A) -> Option<B> + 'static> Step<A> for FilterMap<F> {
    type Out = B;

    #[inline]
    fn step(&self, record: A, next: &mut impl FnMut(B)) {
        if let Some(record) = (self.0)(record) {
            next(record);
        }
    }
}

/// The step of `flat_map`.
pub struct FlatMap<F>(pub(super) F);

impl<A, I: IntoIterator<Item: 'static>, F: Fn(A) -> I + 'static> Step<A> for FlatMap<F> {
    type Out = I::Item;

    #[inline]
    fn step(&self, record: A, next: &mut impl FnMut(I::Item)) {
        for record in (self.0)(record) {
            next(record);
        }
    }
}

/// The step of `inspect`.
pub struct Inspect<F>(pub(super) F);

impl<A: 'static, F: Fn(&A) + 'static> Step<A> for Inspect<F> {
    type Out = A;

    #[inline]
    fn step(&self, record: A, next: &mut impl FnMut(A)) {
        (self.0)(&record);
        next(record);
    }
}

/// Renders a chain: lazily, as a part of the operator that reads it.
pub(super) struct Stateless<S, A, P> {
    pub(super) input: Port<S, A>,
    pub(super) step: P,
}

impl<S: Stamp, A: 'static, P: Step<A>> Render for Stateless<S, A, P> {
    fn render<'s>(self: Box<Self>, node: usize, context: &mut Context<'s>) {
        let upstream = context.take(&self.input);
        let stage = Stage {
            upstream,
            step: self.step,
        };
        context.put(node, 0, Flow::<S, P::Out>::Lazy(Box::new(stage)));
    }
}

struct Stage<U, P> {
    upstream: U,
    step: P,
}

impl<'s, S: Stamp, A: 'static, P: Step<A>> Open<'s, S, P::Out> for Stage<Flow<'s, S, A>, P> {
    fn open(self: Box<Self>, builder: &mut OperatorBuilder<'s, u64>) -> Box<dyn Pull<S, P::Out>> {
        let upstream = self.upstream.open(builder);
        Box::new(StagePull {
            upstream,
            step: self.step,
            made: Segment::default(),
        })
    }
}

struct StagePull<S, A, P: Step<A>> {
    upstream: Box<dyn Pull<S, A>>,
    step: P,
    made: Segment<S, P::Out>,
}

impl<S: Stamp, A: 'static, P: Step<A>> Pull<S, P::Out> for StagePull<S, A, P> {
    fn pull(&mut self, each: &mut dyn FnMut(&InputCapability<u64>, &mut Segment<S, P::Out>)) {
        let StagePull {
            upstream,
            step,
            made,
        } = self;
        upstream.pull(&mut |capability, segment| {
            made.lane = segment.lane;
            made.progress = segment.progress;
            made.records.clear();
            step.batch(&mut segment.records, &mut made.records);
            each(capability, made);
        });
    }
}
