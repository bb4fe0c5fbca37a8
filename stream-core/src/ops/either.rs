//! `either`: two streams with the same key as one, for an operator with two inputs.

use serde::{Deserialize, Serialize};

use super::operator::Feed;
use super::union::both;
use crate::engine::flow::Flow;
use crate::graph::context::Context;
use crate::graph::fuse::{Map, through};
use crate::graph::node::{Port, Render, stage};
use crate::graph::{Graph, Key, Keyed, Kind, Lasting, PortSpec, Record, Stamp, TimedAs};
use crate::time::EventTime;

/// A record of one of two streams.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Either<L, R> {
    /// Of the stream that [`either`](Keyed::either) is called on.
    Left(L),
    /// Of the other one.
    Right(R),
}

impl<Q: 'static, T: 'static, K: Kind> Keyed<Q, T, K> {
    /// Puts two streams with keys of one type together: what an operator with two inputs takes.
    ///
    /// A watermark is that of the stream that has come less far. How the records of the two are
    /// interleaved is not said; behind [`in_order`](Keyed::in_order) it is by event time, and at one time
    /// those of the first stream come first.
    ///
    /// ```
    /// use stream_core::prelude::*;
    ///
    /// /// The readings above the limit that holds at their time.
    /// struct AboveLimit;
    ///
    /// impl KeyedOperator for AboveLimit {
    ///     type Key = u8;
    ///     type In = Either<(i64, u8, u32), (i64, u8, u32)>;
    ///     type State = u32;
    ///     type Out = (u8, u32);
    ///
    ///     fn record(&self, sensor: &u8, input: Self::In, limit: &mut u32, cx: &mut Cx<(u8, u32)>) {
    ///         match input {
    ///             Either::Left((_, _, new)) => *limit = new,
    ///             Either::Right((_, _, value)) if value > *limit => cx.emit((*sensor, value)),
    ///             Either::Right(_) => {}
    ///         }
    ///     }
    /// }
    ///
    /// #[pipeline]
    /// fn above(limits: Stream<(i64, u8, u32)>, readings: Stream<(i64, u8, u32)>) -> Timed<(u8, u32)> {
    ///     let (new, late) = limits.event_time(|limit| EventTime::secs(limit.0), Lateness::secs(5));
    ///     late.discard();
    ///     let (read, too_late) = readings.event_time(|read| EventTime::secs(read.0), Lateness::secs(5));
    ///     too_late.discard();
    ///     let above = new
    ///         .key_by(|limit| limit.1)
    ///         .either(read.key_by(|read| read.1))
    ///         .in_order()
    ///         .apply(AboveLimit);
    ///     above
    /// }
    ///
    /// let test = above::test().limits([(0, 7, 50), (10, 7, 60)]);
    /// let rows = test.readings([(1, 7, 55), (9, 7, 45), (10, 7, 55), (12, 7, 65)]).rows();
    /// assert_eq!(rows.above, [(7, 55), (7, 65)]);
    /// ```
    pub fn either<U, L>(self, other: Keyed<Q, U, L>) -> Keyed<Q, Either<T, U>, K::Exchanged>
    where
        Q: Key,
        T: Record,
        U: Record,
        K: Lasting,
        L: Lasting + TimedAs<K>,
    {
        let both = Both::new(self.port, other.port);
        let graph = both.left.graph().clone();
        let spec = stage("either", both.specs());
        Keyed::from_port(graph.add(spec, Box::new(both)))
    }
}

/// Two ports whose records have keys of one type.
pub(super) struct Both<S, Q, T, U> {
    left: Port<S, (Q, T)>,
    right: Port<S, (Q, U)>,
}

impl<S: Stamp, Q: 'static, T: 'static, U: 'static> Both<S, Q, T, U> {
    pub(super) fn new(left: Port<S, (Q, T)>, right: Port<S, (Q, U)>) -> Self {
        Both { left, right }
    }

    pub(super) fn specs(&self) -> Vec<PortSpec> {
        vec![self.left.spec(), self.right.spec()]
    }

    fn flow<'s>(self, node: usize, context: &mut Context<'s>) -> Flow<'s> {
        let [left, right] = [self.left.spec(), self.right.spec()].map(|port| context.take(port));
        let id = context.id(node);
        let to_left = |(key, record): (Q, T)| (key, Either::<T, U>::Left(record));
        let to_right = |(key, record): (Q, U)| (key, Either::<T, U>::Right(record));
        let flows = [
            through::<S, _, _>(left, Map(to_left), id),
            through::<S, _, _>(right, Map(to_right), id),
        ];
        both(flows, id)
    }
}

impl<S: Stamp, Q: 'static, T: 'static, U: 'static> Render for Both<S, Q, T, U> {
    fn render<'s>(self: Box<Self>, node: usize, context: &mut Context<'s>) {
        let flow = self.flow(node, context);
        context.put(node, 0, flow);
    }
}

impl<Q: 'static, T: 'static, U: 'static> Feed<(Q, Either<T, U>)> for Both<EventTime, Q, T, U> {
    fn graph(&self) -> &Graph {
        self.left.graph()
    }

    fn take<'s>(self, node: usize, context: &mut Context<'s>) -> Flow<'s> {
        self.flow(node, context)
    }
}
