//! Operators of a user's own: the traits, and how they are applied to a stream.
//!
//! A [`KeyedOperator`] stands on the same core as windows do (`logic.rs` is the adapter), and gets for
//! nothing what that does: the exchange, state by shard, snapshots, watermarks, lanes, late records. It is
//! told of records and of timers, and of nothing else: of no batch, no epoch and no worker, so that it has
//! nothing to depend on that a mode decides.

mod cx;
#[cfg(test)]
pub(super) mod driven;
pub(crate) mod in_order;
pub(crate) mod logic;

use std::marker::PhantomData;

pub use self::cx::Cx;
pub(super) use self::cx::pop_front_if;
use self::logic::Own;
use super::keyed;
use crate::engine::Emission;
use crate::engine::flow::Flow;
use crate::graph::context::Context;
use crate::graph::fuse::Step;
use crate::graph::node::{Port, Render, stage};
use crate::graph::{
    Class, EventTimed, Graph, Key, Keyed, Kind, Lasting, Mixed, NodeSpec, Record, Stamp, Stream,
    Timed,
};
use crate::time::EventTime;

/// What works on the records of each key, with a state and with timers in event time.
///
/// ```
/// use std::time::Duration;
/// use serde::{Deserialize, Serialize};
/// use stream_core::prelude::*;
///
/// #[derive(Clone, Serialize, Deserialize)]
/// struct Reading { sensor: u32, at: EventTime, celsius: f64 }
///
/// /// Tells when a sensor has been above a limit for so long.
/// struct TooHot { limit: f64, hold: Duration }
///
/// impl KeyedOperator for TooHot {
///     type Key = u32;
///     type In = Reading;
///     type State = bool; // whether it is hot, and that is not told yet
///     type Out = (u32, EventTime);
///
///     fn record(&self, _: &u32, reading: Reading, hot: &mut bool, cx: &mut Cx<Self::Out>) {
///         if reading.celsius < self.limit {
///             cx.cancel_timers();
///             *hot = false;
///         } else if !*hot {
///             cx.set_timer(reading.at + self.hold);
///             *hot = true;
///         }
///     }
///
///     fn timer(&self, sensor: &u32, at: EventTime, _: &mut bool, cx: &mut Cx<Self::Out>) {
///         cx.emit((*sensor, at));
///     }
/// }
///
/// #[pipeline]
/// fn alerts(readings: Stream<Reading>) -> Timed<(u32, EventTime)> {
///     let (timed, late) = readings.event_time(|reading| reading.at, Lateness::secs(5));
///     late.discard();
///     let alerts = timed
///         .key_by(|reading| reading.sensor)
///         .in_order()
///         .apply(TooHot { limit: 90.0, hold: Duration::from_secs(10) });
///     alerts
/// }
///
/// let reading = |at, celsius| Reading { sensor: 7, at: EventTime::secs(at), celsius };
/// let readings = [reading(0, 95.0), reading(4, 80.0), reading(5, 99.0), reading(20, 99.0)];
/// assert_eq!(alerts::test().readings(readings).rows().alerts, [(7, EventTime::secs(15))]);
/// ```
///
/// # What it may rely on
/// The methods are called for one key at a time, on the worker that owns it. Records of a key come in the
/// order of their lane; behind [`in_order`](Keyed::in_order) they come in the order of event time, with the
/// timers in their places between them, and then the output is the same in every mode whatever the operator
/// does. Without it the output is the same in every mode only if it does not depend on how records and timers
/// of different lanes and times are interleaved. [`check_modes`](crate::testing::check_modes) finds out.
///
/// # What it must not do
/// Keep anything but in its state: no `Cell`, no clock, no random number. What is not in the state is in no
/// snapshot, and differs from run to run.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no operator that works by key",
    label = "what is applied to a stream with keys implements `KeyedOperator`",
    note = "an `Operator` works on single records: it is applied before `.key_by(…)`"
)]
pub trait KeyedOperator: 'static {
    /// The key.
    type Key: Key;
    /// The records.
    type In: Record;
    /// What is kept for a key. A key is forgotten when its state is the default one and it has no timers. A type
    /// of your own says `#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]`.
    type State: Record + Default + PartialEq;
    /// What is emitted.
    type Out: 'static;

    /// Takes in a record.
    fn record(
        &self,
        key: &Self::Key,
        record: Self::In,
        state: &mut Self::State,
        cx: &mut Cx<Self::Out>,
    );

    /// Is called when a timer falls due: all records are in that are on time and older than it. Behind
    /// [`in_order`](Keyed::in_order) it is called before the records of its own time. So a record at just the moment
    /// of a deadline is too late; where it is to be in time, set the timer a microsecond behind the deadline.
    fn timer(
        &self,
        key: &Self::Key,
        at: EventTime,
        state: &mut Self::State,
        cx: &mut Cx<Self::Out>,
    ) {
        let _ = (key, at, state, cx);
    }

    /// Is called at the end of input, for each key that has a state by then, behind its last timer. The time is
    /// [`EventTime::MAX`]. A job that is stopped has not come to the end.
    fn end(&self, key: &Self::Key, state: &mut Self::State, cx: &mut Cx<Self::Out>) {
        let _ = (key, state, cx);
    }
}

/// What works on one record at a time, without a state: `flat_map` with a name.
///
/// ```
/// use stream_core::prelude::*;
///
/// /// Takes text apart.
/// struct Words { shortest: usize }
///
/// impl Operator for Words {
///     type In = String;
///     type Out = String;
///
///     fn record(&self, line: String, emit: &mut impl FnMut(String)) {
///         let long = |word: &&str| word.len() >= self.shortest;
///         line.split(' ').filter(long).map(String::from).for_each(emit);
///     }
/// }
///
/// #[pipeline]
/// fn words(lines: Stream<String>) -> Stream<String> {
///     let words = lines.apply(Words { shortest: 3 });
///     words
/// }
///
/// let rows = words::test().lines(["a rose is a rose".to_string()]).rows();
/// assert_eq!(rows.words, ["rose", "rose"]);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no operator that works on single records",
    label = "what is applied to a stream without keys implements `Operator`",
    note = "a `KeyedOperator` is applied behind `.event_time(…)` and `.key_by(…)`"
)]
pub trait Operator: 'static {
    /// The records.
    type In: 'static;
    /// What is emitted.
    type Out: 'static;

    /// Takes a record, and emits what becomes of it.
    fn record(&self, record: Self::In, emit: &mut impl FnMut(Self::Out));
}

/// A handle that an operator can be applied to; what `#[operator]` writes its methods on.
#[diagnostic::on_unimplemented(
    message = "the operator `{O}` cannot be applied to `{Self}`",
    label = "a `KeyedOperator` is applied behind `.key_by(|record| …)`",
    note = "a `KeyedOperator` works on a stream with event time and a key: `.event_time(…)`, then \
            `.key_by(…)`; its `Key` and `In` are the types of these",
    note = "an `Operator` works on a stream whose records are its `In`"
)]
pub trait Apply<O>: Sized {
    /// What comes out.
    type Output;

    /// Applies an operator under a name of its own, which its id ends in.
    #[doc(hidden)]
    fn apply_as(self, kind: &'static str, operator: O) -> Self::Output;
}

impl<O: KeyedOperator, K: EventTimed + Lasting> Apply<O> for Keyed<O::Key, O::In, K> {
    type Output = Timed<O::Out>;

    fn apply_as(self, kind: &'static str, operator: O) -> Timed<O::Out> {
        keyed(self, kind, operator).0
    }
}

#[diagnostic::do_not_recommend]
impl<O: Operator, K: Kind> Apply<O> for Stream<O::In, K> {
    type Output = Stream<O::Out, K>;

    fn apply_as(self, kind: &'static str, operator: O) -> Stream<O::Out, K> {
        self.stateless(kind, ByRecord(operator))
    }
}

impl<Q: 'static, T: 'static, K: Kind> Keyed<Q, T, K> {
    /// Works on the records of each key with a [`KeyedOperator`]. What it emits has the event time of the
    /// record or the timer that it is emitted for.
    ///
    /// Records that were *overtaken* (they are of a lane that joined late, and older than the watermark) are
    /// counted in the report, and not given to the operator.
    pub fn apply<O>(self, operator: O) -> Timed<O::Out>
    where
        O: KeyedOperator<Key = Q, In = T>,
        K: EventTimed + Lasting,
    {
        keyed(self, "apply", operator).0
    }

    /// As [`apply`](Keyed::apply), and hands over the records that were overtaken, with their event times
    /// and keys.
    pub fn apply_with_overtaken<O>(self, operator: O) -> (Timed<O::Out>, Overtaken<Q, T>)
    where
        O: KeyedOperator<Key = Q, In = T>,
        K: EventTimed + Lasting,
    {
        keyed(self, "apply", operator)
    }
}

impl<T: 'static, K: Kind> Stream<T, K> {
    /// Works on each record with an [`Operator`].
    pub fn apply<O>(self, operator: O) -> Stream<O::Out, K>
    where
        O: Operator<In = T>,
    {
        self.apply_as("apply", operator)
    }
}

/// An operator as a step of a fused loop.
struct ByRecord<O>(O);

impl<O: Operator, S: Stamp> Step<O::In, S> for ByRecord<O> {
    type Out = O::Out;
    const EXPANDS: bool = true;

    #[inline]
    fn step(&self, _: S, record: O::In, next: &mut impl FnMut(O::Out)) {
        self.0.record(record, next);
    }
}

/// The records that a stage could not take in, each with its event time and its key: they are of a lane that joined
/// late, and older than the watermark of the stage.
pub type Overtaken<Q, T> = Stream<(EventTime, Q, T), Mixed>;

/// What an operator emits, and what was overtaken.
type Emitted<O> = (
    Timed<<O as KeyedOperator>::Out>,
    Overtaken<<O as KeyedOperator>::Key, <O as KeyedOperator>::In>,
);

/// Adds the stage of an operator.
fn keyed<O: KeyedOperator, K: EventTimed>(
    input: Keyed<O::Key, O::In, K>,
    kind: &'static str,
    operator: O,
) -> Emitted<O> {
    let class = match K::IS_IN_ORDER {
        true => Class::Exact,
        false => Class::ExactIfOrderFree,
    };
    let spec = stage(kind, vec![input.port.spec()])
        .class(class)
        .hands_over("apply_with_overtaken");
    stage_of::<O, K>(input.port, spec, operator)
}

/// What the records of an operator are taken from: a port, or two.
pub(super) trait Feed<T>: 'static {
    fn graph(&self) -> &Graph;
    fn take<'s>(self, node: usize, context: &mut Context<'s>) -> Flow<'s>;
}

impl<T: 'static> Feed<T> for Port<EventTime, T> {
    fn graph(&self) -> &Graph {
        Port::graph(self)
    }

    fn take<'s>(self, _: usize, context: &mut Context<'s>) -> Flow<'s> {
        context.take(self.spec())
    }
}

/// Adds the stage of an operator, as the spec says.
pub(super) fn stage_of<O: KeyedOperator, K: EventTimed>(
    input: impl Feed<(O::Key, O::In)>,
    spec: NodeSpec,
    operator: O,
) -> Emitted<O> {
    let graph = input.graph().clone();
    let spec = spec.keeps::<O::Key, O::State>().exchanged();
    let render = OwnStep::<_, O, K> {
        input,
        operator,
        kind: PhantomData,
    };
    let node = graph.push(spec, Some(Box::new(render)));
    (
        Stream::from_port(graph.port(node, 0)),
        Stream::from_port(graph.port(node, 1)),
    )
}

struct OwnStep<I, O, K> {
    input: I,
    operator: O,
    kind: PhantomData<K>,
}

impl<I: Feed<(O::Key, O::In)>, O: KeyedOperator, K: EventTimed> Render for OwnStep<I, O, K> {
    fn render<'s>(self: Box<Self>, node: usize, context: &mut Context<'s>) {
        let flow = self.input.take(node, context);
        let id = context.id(node);
        let counts = logic::Counts::of(&context.local.counters, id);
        let logic = Own::new(self.operator, K::IS_IN_ORDER, counts);
        let to_record = |time: EventTime, (key, record): (O::Key, O::In)| (time, key, record);
        keyed::render(context, node, flow, to_record, Emission::AtOnce, logic);
    }
}
