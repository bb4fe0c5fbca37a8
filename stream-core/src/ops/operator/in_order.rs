//! `in_order`: the records of each key in the order of event time.
//!
//! Definition. The records of a key are sorted by event time, those of one time by how they are written (the
//! bytes of their encoding), so that the order is theirs and not that of their coming. A record is held until
//! the watermark has passed its time, for then no older one that is on time can come.

use std::collections::VecDeque;
use std::marker::PhantomData;

use serde::{Deserialize, Serialize};

use super::{Cx, KeyedOperator, Overtaken, stage_of};
use crate::codec;
use crate::graph::node::stage;
use crate::graph::{Class, EventTimed, InOrder, Key, Keyed, Kind, Lasting, OnTime, Record};
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

/// Records that are held, in the order of time, those of one time as they came.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Held<T>(VecDeque<(EventTime, T)>);

impl<T> Default for Held<T> {
    fn default() -> Self {
        Held(VecDeque::new())
    }
}

/// All that is asked is whether there are any.
impl<T> PartialEq for Held<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0.is_empty() && other.0.is_empty()
    }
}

impl<Q: Key, T: Record> KeyedOperator for Order<Q, T> {
    type Key = Q;
    type In = T;
    type State = Held<T>;
    type Out = (Q, T);

    fn record(&self, _: &Q, record: T, Held(held): &mut Held<T>, cx: &mut Cx<(Q, T)>) {
        let time = cx.time();
        let place = held.partition_point(|(other, _)| *other <= time);
        if place == 0 {
            cx.move_timers(time.plus(1));
        }
        held.insert(place, (time, record));
    }

    fn timer(&self, key: &Q, at: EventTime, held: &mut Held<T>, cx: &mut Cx<(Q, T)>) {
        held.emit_before(at, key, cx);
        if let Some((time, _)) = held.0.front() {
            cx.set_timer(time.plus(1));
        }
    }

    fn end(&self, key: &Q, held: &mut Held<T>, cx: &mut Cx<(Q, T)>) {
        held.emit_before(EventTime::MAX, key, cx);
        // What lies at the end of time has nothing before it that could still come.
        held.emit(EventTime::MAX, key, cx);
    }
}

impl<T: Record> Held<T> {
    /// Emits all records that are older than a time.
    fn emit_before<Q: Key>(&mut self, before: EventTime, key: &Q, cx: &mut Cx<(Q, T)>) {
        while let Some((time, _)) = self.0.front()
            && *time < before
        {
            self.emit(*time, key, cx);
        }
    }

    /// Emits the first records, which are of this time.
    fn emit<Q: Key>(&mut self, time: EventTime, key: &Q, cx: &mut Cx<(Q, T)>) {
        let same = self.0.partition_point(|(other, _)| *other <= time);
        let mut same: Vec<_> = self.0.drain(..same).map(|(_, record)| record).collect();
        if same.len() > 1 {
            same.sort_by_cached_key(|record| codec::encode(record).ok());
        }
        for record in same {
            cx.emit_at(time, (key.clone(), record));
        }
    }
}
