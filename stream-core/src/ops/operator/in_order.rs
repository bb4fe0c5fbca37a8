//! `in_order`: the records of each key in the order of event time.
//!
//! Definition. The records of a key are sorted by event time, those of one time by how they are written (the
//! bytes of their encoding), so that the order is theirs and not that of their coming. A record is held until
//! the watermark has passed its time, for then no older one that is on time can come.

use std::marker::PhantomData;

use super::{Cx, KeyedOperator, Overtaken, stage_of};
use crate::codec;
use crate::graph::node::stage;
use crate::graph::{Class, EventTimed, InOrder, Key, Keyed, Kind, Lasting, OnTime, Record};
use crate::ops::by_time::ByTime;
use crate::time::EventTime;

impl<Q: 'static, T: 'static, K: Kind> Keyed<Q, T, K> {
    /// Puts the records of each key into the order of event time; those of one time are ordered by what is in
    /// them, by the bytes that they are written as, for nothing else is the same in whatever lanes they come.
    ///
    /// A record is held until the watermark has passed it, that is for the lateness that `event_time` allows. Behind it
    /// [`scan`](Keyed::scan) and [`apply`](Keyed::apply) give the same in every mode, in whatever lanes the
    /// records of a key come.
    ///
    /// ```
    /// use stream_core::{EventTime, Lateness, graph::Stream, testing};
    ///
    /// let pipeline = |seconds: Stream<i64>| {
    ///     let (timed, _) = seconds.event_time(|s| EventTime::secs(*s), Lateness::secs(9));
    ///     let gaps = timed.key_by(|_| ()).in_order().scan(
    ///         || None,
    ///         |last: &mut Option<i64>, second| last.replace(second).map(|last| second - last),
    ///     );
    ///     gaps.filter_map(|(_, gap)| gap)
    /// };
    /// assert_eq!(testing::rows(pipeline, [1, 9, 4, 20]), [3, 5, 11]);
    /// ```
    pub fn in_order(self) -> Keyed<Q, T, InOrder>
    where
        Q: Key,
        T: Record,
        K: EventTimed + Lasting,
    {
        self.in_order_with_overtaken().0
    }

    /// As [`in_order`](Keyed::in_order), and hands over the records that were overtaken, with their event
    /// times and keys. Nothing is overtaken by an operator behind it.
    ///
    /// ```
    /// use stream_core::prelude::*;
    ///
    /// #[pipeline]
    /// fn sorted(seconds: Stream<i64>) -> (Timed<i64>, Stream<i64, Mixed>) {
    ///     let (timed, late) = seconds.event_time(|s| EventTime::secs(*s), Lateness::secs(9));
    ///     late.discard();
    ///     let (ordered, overtaken) = timed.key_by(|_| ()).in_order_with_overtaken();
    ///     let sorted = ordered.scan(|| (), |_, second| second).map(|(_, second)| second);
    ///     let missed = overtaken.map(|(_, _, second)| second);
    ///     (sorted, missed)
    /// }
    ///
    /// // There is one lane, and its watermark passes none of its own records.
    /// let rows = sorted::test().seconds([1, 9, 4, 20]).rows();
    /// assert_eq!((rows.sorted, rows.missed), (vec![1, 4, 9, 20], vec![]));
    /// ```
    pub fn in_order_with_overtaken(self) -> (Keyed<Q, T, InOrder>, Overtaken<Q, T>)
    where
        Q: Key,
        T: Record,
        K: EventTimed + Lasting,
    {
        let spec = stage("in_order", vec![self.port.spec()])
            .class(Class::Exact)
            .hands_over("in_order_with_overtaken");
        let (ordered, overtaken) = stage_of::<Order<Q, T>, OnTime>(self.port, spec, Order::new());
        (Keyed::from_port(ordered.port), overtaken)
    }
}

impl<Q: 'static, T: 'static, K: Kind> Keyed<Q, T, K> {
    /// Says that the records of each key come in the order of event time already, as those do that an operator
    /// behind [`in_order`](Keyed::in_order) emits, as long as they keep their key. Nothing is held then, and
    /// records of one time keep the order in which they were emitted.
    ///
    /// If that is not so, what comes behind is not the same in every mode, and
    /// [`check_modes`](crate::testing::check_modes) finds out.
    ///
    /// ```
    /// use stream_core::{EventTime, Lateness, graph::Stream, testing};
    ///
    /// let pipeline = |seconds: Stream<i64>| {
    ///     let (timed, _) = seconds.event_time(|s| EventTime::secs(*s), Lateness::secs(9));
    ///     let ordered = timed.key_by(|second| second % 2).in_order();
    ///     let numbered = ordered.scan(|| 0, |next, second| { *next += 1; (second, *next) });
    ///     let again = numbered.key_by(|(parity, _)| *parity).assume_in_order();
    ///     again.scan(|| 0, |last, (_, (_, number))| std::mem::replace(last, number))
    /// };
    /// assert_eq!(testing::rows(pipeline, [8, 4, 6]), [(0, 0), (0, 1), (0, 2)]);
    /// ```
    pub fn assume_in_order(self) -> Keyed<Q, T, InOrder>
    where
        K: EventTimed + Lasting,
    {
        Keyed::from_port(self.port)
    }
}

pub(crate) struct Order<Q, T>(PhantomData<fn() -> (Q, T)>);

impl<Q, T> Order<Q, T> {
    pub(crate) fn new() -> Self {
        Order(PhantomData)
    }
}

impl<Q: Key, T: Record> KeyedOperator for Order<Q, T> {
    type Key = Q;
    type In = T;
    type State = ByTime<T>;
    type Out = (Q, T);

    fn record(&self, _: &Q, record: T, held: &mut ByTime<T>, cx: &mut Cx<(Q, T)>) {
        let time = cx.time();
        held.insert(time, record);
        cx.wake(Some(time.plus(1)));
    }

    fn timer(&self, key: &Q, at: EventTime, held: &mut ByTime<T>, cx: &mut Cx<(Q, T)>) {
        emit(held, |time| time < at, key, cx);
        cx.wake(held.time(0).map(|time| time.plus(1)));
    }

    fn end(&self, key: &Q, held: &mut ByTime<T>, cx: &mut Cx<(Q, T)>) {
        emit(held, |_| true, key, cx);
    }
}

/// Emits the records whose time is one of these.
fn emit<Q: Key, T: Record>(
    held: &mut ByTime<T>,
    is_meant: impl Fn(EventTime) -> bool,
    key: &Q,
    cx: &mut Cx<(Q, T)>,
) {
    while let Some((time, record)) = held.pop_if(&is_meant) {
        if held.time(0) != Some(time) {
            cx.emit_at(time, (key.clone(), record));
            continue;
        }
        let mut same = vec![record];
        while let Some((_, record)) = held.pop_if(|other| other == time) {
            same.push(record);
        }
        same.sort_by_cached_key(|record| codec::encode(record).ok());
        for record in same {
            cx.emit_at(time, (key.clone(), record));
        }
    }
}
