//! `as_of_join`: each record with what holds at its time.
//!
//! Definition. A left record at t is joined with the latest right one of its key at t or before; of right ones
//! of one time with the one whose encoding is the greatest. Without any it is joined with none.
//!
//! A left record is held until the watermark has passed it, for until then a right one may come that is later,
//! and still not behind it. Of the right ones those before the last that the watermark has passed are
//! forgotten: no record that is on time asks for them. The last one of each key stays until the end of input.

use std::cmp::Ordering;
use std::marker::PhantomData;

use super::by_time::ByTime;
use super::either::Both;
use super::operator::stage_of;
use super::{Cx, Either, KeyedOperator, Overtaken};
use crate::graph::node::stage;
use crate::graph::{Class, EventTimed, Key, Keyed, Kind, Lasting, OnTime, Record, Timed, TimedAs};
use crate::time::{EventTime, Gap};

impl<Q: 'static, T: 'static, K: Kind> Keyed<Q, T, K> {
    /// Joins each record with the latest one of the other stream that has its key and lies at its event time
    /// or before it, or with none. Of records of the other stream that have one time the last counts, by the
    /// bytes that they are written as. The event time is that of the record.
    ///
    /// It is the same in every mode: a record is held until the watermark has passed it, which is that of the
    /// stream that has come less far. Of the other stream the last record of each key before the watermark is
    /// kept, to the end of input, and all behind it. If it has a [`ttl`](Keyed::ttl), a record of it holds for less
    /// than that, and is kept no longer: behind it there is none, until the next.
    ///
    /// ```
    /// use stream_core::prelude::*;
    ///
    /// /// Second, currency, and an amount or a rate.
    /// type Row = (i64, String, u64);
    ///
    /// #[pipeline]
    /// fn converted(payments: Stream<Row>, rates: Stream<Row>) -> Timed<(i64, Option<u64>)> {
    ///     let (paid, late) = payments.event_time(|row| EventTime::secs(row.0), Lateness::secs(5));
    ///     late.discard();
    ///     let (rated, too_late) = rates.event_time(|row| EventTime::secs(row.0), Lateness::secs(5));
    ///     too_late.discard();
    ///     let converted = paid
    ///         .key_by(|row| row.1.clone())
    ///         .as_of_join(rated.key_by(|row| row.1.clone()))
    ///         .map(|(paid, rate)| (paid.0, rate.map(|rate| rate.2 * paid.2)));
    ///     converted
    /// }
    ///
    /// let row = |(second, value)| (second, "EUR".to_string(), value);
    /// let test = converted::test().payments([(4, 100), (10, 100), (14, 100)].map(row));
    /// let rows = test.rates([(5, 2), (10, 3), (20, 4)].map(row)).rows();
    /// assert_eq!(rows.converted, [(4, None), (10, Some(300)), (14, Some(300))]);
    /// ```
    pub fn as_of_join<U, L>(self, other: Keyed<Q, U, L>) -> Timed<(T, Option<U>)>
    where
        Q: Key,
        T: Record,
        U: Record,
        K: EventTimed + Lasting,
        L: TimedAs<K>,
    {
        self.as_of_join_with_overtaken(other).0
    }

    /// As [`as_of_join`](Keyed::as_of_join), and hands over the records of both streams that were overtaken,
    /// with their event times and keys. A left one is in no row then, and a right one holds for none.
    ///
    /// ```
    /// use stream_core::prelude::*;
    ///
    /// /// Second and value.
    /// type Row = (i64, u64);
    ///
    /// #[pipeline]
    /// fn priced(sales: Stream<Row>, prices: Stream<Row>) -> (Timed<(Row, Option<Row>)>, Stream<Row, Mixed>) {
    ///     let (sold, late) = sales.event_time(|row| EventTime::secs(row.0), Lateness::secs(5));
    ///     late.discard();
    ///     let (set, too_late) = prices.event_time(|row| EventTime::secs(row.0), Lateness::secs(5));
    ///     too_late.discard();
    ///     let by_unit = set.key_by(|_| ());
    ///     let (priced, overtaken) = sold.key_by(|_| ()).as_of_join_with_overtaken(by_unit);
    ///     let missed = overtaken.map(|(_, _, row)| match row {
    ///         Either::Left(sale) => sale,
    ///         Either::Right(price) => price,
    ///     });
    ///     (priced, missed)
    /// }
    ///
    /// let rows = priced::test().sales([(4, 100), (10, 100)]).prices([(5, 2)]).rows();
    /// assert_eq!(rows.priced, [((4, 100), None), ((10, 100), Some((5, 2)))]);
    /// assert_eq!(rows.missed, []);
    /// ```
    pub fn as_of_join_with_overtaken<U, L>(
        self,
        other: Keyed<Q, U, L>,
    ) -> (Timed<(T, Option<U>)>, Overtaken<Q, Either<T, U>>)
    where
        Q: Key,
        T: Record,
        U: Record,
        K: EventTimed + Lasting,
        L: TimedAs<K>,
    {
        let ttl = other.ttl.map(|ttl| ttl.gap);
        let both = Both::new(self.port, other.port);
        let spec = stage("as_of_join", both.specs())
            .class(Class::Exact)
            .hands_over("as_of_join_with_overtaken");
        let spec = match ttl {
            Some(ttl) => spec.with("ttl", ttl),
            None => spec.grows(),
        };
        let operator = AsOf::new(ttl);
        stage_of::<AsOf<Q, T, U>, OnTime>(both, spec, operator)
    }
}

struct AsOf<Q, T, U> {
    /// For how long a right record holds, in microseconds, if that is said.
    ttl: Option<i64>,
    records: PhantomData<fn() -> (Q, T, U)>,
}

/// The left records that are held, and the right ones, one a time.
type State<T, U> = (ByTime<T>, ByTime<U>);

impl<Q: Key, T: Record, U: Record> KeyedOperator for AsOf<Q, T, U> {
    type Key = Q;
    type In = Either<T, U>;
    type State = State<T, U>;
    type Out = (T, Option<U>);

    fn record(&self, _: &Q, record: Self::In, state: &mut Self::State, cx: &mut Cx<Self::Out>) {
        let (lefts, rights) = state;
        match record {
            Either::Left(left) => lefts.insert(cx.time(), left),
            Either::Right(right) => rights.insert_one(cx.time(), right, Ordering::Greater),
        }
        cx.wake(self.next(state));
    }

    fn timer(&self, _: &Q, at: EventTime, state: &mut Self::State, cx: &mut Cx<Self::Out>) {
        self.join(state, |time| time < at, cx);
        state.1.forget_before_last(at);
        while state.1.pop_if(|time| self.has_ended(time, at)).is_some() {}
        cx.wake(self.next(state));
    }

    fn end(&self, _: &Q, state: &mut Self::State, cx: &mut Cx<Self::Out>) {
        self.join(state, |_| true, cx);
    }
}

impl<Q: Key, T: Record, U: Record> AsOf<Q, T, U> {
    fn new(ttl: Option<Gap>) -> Self {
        AsOf {
            ttl: ttl.map(|ttl| ttl.as_micros().max(1)),
            records: PhantomData,
        }
    }

    /// When a right record has ceased to hold.
    fn end(&self, time: EventTime) -> EventTime {
        self.ttl.map_or(EventTime::MAX, |ttl| time.plus(ttl))
    }

    /// Whether a right record holds no more at a moment. One that would hold until behind the end of time always does.
    fn has_ended(&self, since: EventTime, at: EventTime) -> bool {
        let end = self.end(since);
        end <= at && end < EventTime::MAX
    }

    /// Joins the left records whose time is one of these.
    fn join(
        &self,
        (lefts, rights): &mut State<T, U>,
        is_meant: impl Fn(EventTime) -> bool,
        cx: &mut Cx<(T, Option<U>)>,
    ) {
        while let Some((time, left)) = lefts.pop_if(&is_meant) {
            let last = rights.last_until(time);
            let holds = last.filter(|(since, _)| !self.has_ended(*since, time));
            cx.emit_at(time, (left, holds.map(|(_, right)| right.clone())));
        }
    }

    /// When there is something to be done: the first right record goes when the second is passed, or when it has
    /// ceased to hold.
    fn next(&self, (lefts, rights): &State<T, U>) -> Option<EventTime> {
        let passed = lefts.time(0).into_iter().chain(rights.time(1));
        let passed = passed.map(|time| time.plus(1));
        let ends = self.ttl.and_then(|_| rights.time(0));
        passed.chain(ends.map(|time| self.end(time))).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::operator::driven::Driven;

    #[test]
    fn of_the_right_side_the_last_before_the_watermark_stays() {
        let mut driven = Driven::new(AsOf::<u8, String, i64>::new(None));
        let kept = |driven: &Driven<AsOf<u8, String, i64>>| {
            let state = driven.state(&7);
            state.map(|(lefts, rights)| (lefts.len(), rights.len()))
        };
        let at = EventTime::micros;
        for (time, right) in [(1, 10), (3, 30), (3, 31), (8, 80), (3, 30)] {
            assert_eq!(driven.take(time, 7, Either::Right(right)), []);
        }
        for (time, left) in [(8, "c"), (0, "a"), (5, "b")] {
            assert_eq!(driven.take(time, 7, Either::Left(left.to_owned())), []);
        }
        assert_eq!(kept(&driven), Some((3, 3)), "one right record a time");
        let row = |left: &str, right| (left.to_owned(), right);
        assert_eq!(driven.advance(at(1)), [(0, row("a", None))]);
        assert_eq!(driven.advance(at(3)), []);
        assert_eq!(kept(&driven), Some((2, 3)));
        assert_eq!(driven.advance(at(4)), []);
        assert_eq!(kept(&driven), Some((2, 2)));
        assert_eq!(driven.advance(at(8)), [(5, row("b", Some(31)))]);
        assert_eq!(kept(&driven), Some((1, 2)));
        assert_eq!(driven.advance(at(9)), [(8, row("c", Some(80)))]);
        assert_eq!(kept(&driven), Some((0, 1)));
        driven.take(20, 7, Either::Left("d".to_owned()));
        assert_eq!(driven.advance(EventTime::MAX), [(20, row("d", Some(80)))]);
        assert_eq!(driven.keys(), 0);
    }

    #[test]
    fn a_right_record_with_a_ttl_ceases_to_hold() {
        let mut driven = Driven::new(AsOf::<u8, u8, u8>::new(Some(Gap::micros(5))));
        driven.take(10, 7, Either::Right(10));
        for time in [9, 14, 15, 16] {
            driven.take(time, 7, Either::Left(time as u8));
        }
        driven.take(16, 7, Either::Right(16));
        let rows = driven.advance(EventTime::micros(17));
        let holds: Vec<_> = rows.into_iter().map(|(_, row)| row).collect();
        let expected = [(9, None), (14, Some(10)), (15, None), (16, Some(16))];
        assert_eq!(holds, expected);
        assert_eq!(driven.keys(), 1);
        assert_eq!(driven.advance(EventTime::micros(21)), []);
        assert_eq!(driven.keys(), 0);
    }

    #[test]
    fn a_record_at_the_watermark_is_not_passed() {
        let mut driven = Driven::new(AsOf::<u8, u8, u8>::new(None));
        driven.take(5, 7, Either::Left(5));
        driven.take(6, 7, Either::Left(6));
        assert_eq!(driven.advance(EventTime::micros(6)), [(5, (5, None))]);
        driven.take(6, 7, Either::Right(60));
        assert_eq!(driven.advance(EventTime::micros(7)), [(6, (6, Some(60)))]);
    }

    #[cfg(feature = "proptest")]
    #[test]
    fn it_is_the_same_however_it_is_cut() {
        use proptest::strategy::Strategy;

        type Row = (u8, i64, u8);
        let row = |record: &Either<Row, Row>| match record {
            Either::Left(row) | Either::Right(row) => *row,
        };
        let records = (0..2_u8, -9..15_i64, 0..4_u8).prop_map(|row| match row.2 {
            0..2 => Either::Left(row),
            _ => Either::Right(row),
        });
        crate::testing::OperatorCheck::new(
            || AsOf::<u8, Row, Row>::new(Some(Gap::micros(4))),
            move |record| row(record).0,
            move |record| EventTime::micros(row(record).1),
        )
        .lateness(crate::time::Lateness::micros(5))
        .run(records);
    }
}
