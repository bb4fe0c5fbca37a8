//! Interval joins: records of two streams that have one key and lie close together in event time.
//!
//! Definition. A left record at t and a right one of its key are a pair if the right one lies in
//! `[t - before, t + after]`. The event time of a pair is the later of the two.
//!
//! A pair is emitted once, when the second of the two comes, whichever that is. Its event time is not behind
//! the watermark, for that of the second is not.
//!
//! A record is kept until the watermark has passed the last moment at which one that makes a pair with it can
//! lie: `t + after` for a left one, `t + before` for a right one. If it has made no pair by then it leaves
//! alone, where that is asked for, with that moment as its event time.
//!
//! Where it is not asked for nobody can tell when a record is forgotten. So a key has no timer for each: what the
//! watermark has passed goes when a record of the key comes, and at the last moment of the last one that was there
//! when it was called last.

use std::marker::PhantomData;

use super::by_time::ByTime;
use super::either::Both;
use super::operator::stage_of;
use super::{Cx, Either, KeyedOperator, Overtaken};
use crate::graph::node::stage;
use crate::graph::{Class, EventTimed, Key, Keyed, Kind, Lasting, OnTime, Record, Timed};
use crate::time::{EventTime, Gap};

impl<Q: 'static, T: 'static, K: Kind> Keyed<Q, T, K> {
    /// Joins two streams by key and event time: gives each pair in which the record of the other stream lies
    /// at most `before` before that of this one, and at most `after` behind it. The event time of a pair is
    /// the later of the two.
    ///
    /// It is the same in every mode, and holds nothing back: a pair leaves when the second of the two has come,
    /// whichever that is. A record is forgotten when the watermark says that none can come which makes a pair
    /// with it. The watermark is that of the stream that has come less far, so what is ahead of the other is
    /// kept. The times are [`Gap`]s or [`Duration`](std::time::Duration)s, and may be 0.
    ///
    /// ```
    /// use stream_core::prelude::*;
    ///
    /// /// Second and number of an order.
    /// type Row = (i64, u32);
    ///
    /// #[pipeline]
    /// fn paid(orders: Stream<Row>, payments: Stream<Row>) -> Timed<(Row, Row)> {
    ///     let (ordered, late) = orders.event_time(|row| EventTime::secs(row.0), Lateness::secs(5));
    ///     late.discard();
    ///     let (on_time, too_late) = payments.event_time(|row| EventTime::secs(row.0), Lateness::secs(5));
    ///     too_late.discard();
    ///     let by_order = on_time.key_by(|row| row.1);
    ///     let paid = ordered
    ///         .key_by(|row| row.1)
    ///         .interval_join(by_order, Gap::secs(0), Gap::mins(10));
    ///     paid
    /// }
    ///
    /// let test = paid::test().orders([(1, 7), (2, 8)]).payments([(5, 7), (601, 7), (603, 8)]);
    /// assert_eq!(test.rows().paid, [((1, 7), (5, 7)), ((1, 7), (601, 7))]);
    /// ```
    pub fn interval_join<U, L>(
        self,
        other: Keyed<Q, U, L>,
        before: impl Into<Gap>,
        after: impl Into<Gap>,
    ) -> Timed<(T, U)>
    where
        Q: Key,
        T: Record,
        U: Record,
        K: EventTimed + Lasting,
        L: EventTimed + Lasting,
    {
        self.interval_join_with_overtaken(other, before, after).0
    }

    /// As [`interval_join`](Keyed::interval_join), and hands over the records of both streams that were
    /// overtaken, with their event times and keys. They are in no pair.
    ///
    /// ```
    /// use stream_core::prelude::*;
    ///
    /// /// Second and number of an order.
    /// type Row = (i64, u32);
    ///
    /// #[pipeline]
    /// fn paid(orders: Stream<Row>, payments: Stream<Row>) -> (Timed<(Row, Row)>, Stream<Either<Row, Row>, Mixed>) {
    ///     let (ordered, late) = orders.event_time(|row| EventTime::secs(row.0), Lateness::secs(5));
    ///     late.discard();
    ///     let (on_time, too_late) = payments.event_time(|row| EventTime::secs(row.0), Lateness::secs(5));
    ///     too_late.discard();
    ///     let by_order = on_time.key_by(|row| row.1);
    ///     let (paid, overtaken) = ordered
    ///         .key_by(|row| row.1)
    ///         .interval_join_with_overtaken(by_order, Gap::secs(0), Gap::mins(10));
    ///     let missed = overtaken.map(|(_, _, row)| row);
    ///     (paid, missed)
    /// }
    ///
    /// let rows = paid::test().orders([(1, 7), (2, 8)]).payments([(5, 7), (603, 8)]).rows();
    /// assert_eq!((rows.paid, rows.missed), (vec![((1, 7), (5, 7))], vec![]));
    /// ```
    pub fn interval_join_with_overtaken<U, L>(
        self,
        other: Keyed<Q, U, L>,
        before: impl Into<Gap>,
        after: impl Into<Gap>,
    ) -> (Timed<(T, U)>, Overtaken<Q, Either<T, U>>)
    where
        Q: Key,
        T: Record,
        U: Record,
        K: EventTimed + Lasting,
        L: EventTimed + Lasting,
    {
        joined::<_, _, _, K, L, Inner>(self, "interval_join", other, before, after)
    }

    /// As [`interval_join`](Keyed::interval_join), and gives the records of this stream that make no pair,
    /// with `None`. They leave when the watermark says that none can come, and their event time is `after`
    /// behind their own.
    ///
    /// ```
    /// use stream_core::prelude::*;
    ///
    /// type Row = (i64, u32);
    ///
    /// #[pipeline]
    /// fn answers(asked: Stream<Row>, told: Stream<Row>) -> Timed<(u32, Option<i64>)> {
    ///     let (questions, late) = asked.event_time(|row| EventTime::secs(row.0), Lateness::secs(5));
    ///     late.discard();
    ///     let (replies, too_late) = told.event_time(|row| EventTime::secs(row.0), Lateness::secs(5));
    ///     too_late.discard();
    ///     let by_number = replies.key_by(|row| row.1);
    ///     let answers = questions
    ///         .key_by(|row| row.1)
    ///         .left_interval_join(by_number, Gap::secs(0), Gap::secs(10))
    ///         .map(|(question, reply)| (question.1, reply.map(|reply| reply.0)));
    ///     answers
    /// }
    ///
    /// let rows = answers::test().asked([(1, 7), (2, 8)]).told([(5, 7), (13, 8)]).rows();
    /// assert_eq!(rows.answers, [(7, Some(5)), (8, None)]);
    /// ```
    pub fn left_interval_join<U, L>(
        self,
        other: Keyed<Q, U, L>,
        before: impl Into<Gap>,
        after: impl Into<Gap>,
    ) -> Timed<(T, Option<U>)>
    where
        Q: Key,
        T: Record,
        U: Record,
        K: EventTimed + Lasting,
        L: EventTimed + Lasting,
    {
        self.left_interval_join_with_overtaken(other, before, after)
            .0
    }

    /// As [`left_interval_join`](Keyed::left_interval_join), and hands over the records of both streams that
    /// were overtaken, with their event times and keys. They leave neither in a pair nor alone.
    ///
    /// ```
    /// use stream_core::prelude::*;
    ///
    /// type Row = (i64, u32);
    ///
    /// #[pipeline]
    /// fn compared(ours: Stream<Row>, theirs: Stream<Row>) -> (Timed<(Row, Option<Row>)>, Stream<EventTime, Mixed>) {
    ///     let (mine, late) = ours.event_time(|row| EventTime::secs(row.0), Lateness::secs(5));
    ///     late.discard();
    ///     let (other, too_late) = theirs.event_time(|row| EventTime::secs(row.0), Lateness::secs(5));
    ///     too_late.discard();
    ///     let by_number = other.key_by(|row| row.1);
    ///     let (compared, overtaken) = mine
    ///         .key_by(|row| row.1)
    ///         .left_interval_join_with_overtaken(by_number, Gap::secs(3), Gap::secs(3));
    ///     let missed = overtaken.map(|(time, _, _)| time);
    ///     (compared, missed)
    /// }
    ///
    /// let rows = compared::test().ours([(1, 7)]).theirs([(4, 7)]).rows();
    /// assert_eq!((rows.compared, rows.missed), (vec![((1, 7), Some((4, 7)))], vec![]));
    /// ```
    pub fn left_interval_join_with_overtaken<U, L>(
        self,
        other: Keyed<Q, U, L>,
        before: impl Into<Gap>,
        after: impl Into<Gap>,
    ) -> (Timed<(T, Option<U>)>, Overtaken<Q, Either<T, U>>)
    where
        Q: Key,
        T: Record,
        U: Record,
        K: EventTimed + Lasting,
        L: EventTimed + Lasting,
    {
        joined::<_, _, _, K, L, Left>(self, "left_interval_join", other, before, after)
    }

    /// As [`interval_join`](Keyed::interval_join), and gives the records of both streams that make no
    /// pair, with `None`. They leave when the watermark says that none can come; the event time of those of this
    /// stream is `after` behind their own, and of those of the other stream `before` behind theirs.
    ///
    /// ```
    /// use stream_core::prelude::*;
    ///
    /// type Row = (i64, u32);
    /// type Seconds = (Option<i64>, Option<i64>);
    ///
    /// #[pipeline]
    /// fn compared(ours: Stream<Row>, theirs: Stream<Row>) -> Timed<Seconds> {
    ///     let (mine, late) = ours.event_time(|row| EventTime::secs(row.0), Lateness::secs(5));
    ///     late.discard();
    ///     let (other, too_late) = theirs.event_time(|row| EventTime::secs(row.0), Lateness::secs(5));
    ///     too_late.discard();
    ///     let by_number = other.key_by(|row| row.1);
    ///     let compared = mine
    ///         .key_by(|row| row.1)
    ///         .full_interval_join(by_number, Gap::secs(3), Gap::secs(3))
    ///         .map(|(mine, other)| (mine.map(|row| row.0), other.map(|row| row.0)));
    ///     compared
    /// }
    ///
    /// let mut rows = compared::test().ours([(1, 7), (2, 8)]).theirs([(4, 7), (6, 8)]).rows();
    /// rows.compared.sort();
    /// assert_eq!(rows.compared, [(None, Some(6)), (Some(1), Some(4)), (Some(2), None)]);
    /// ```
    pub fn full_interval_join<U, L>(
        self,
        other: Keyed<Q, U, L>,
        before: impl Into<Gap>,
        after: impl Into<Gap>,
    ) -> Timed<(Option<T>, Option<U>)>
    where
        Q: Key,
        T: Record,
        U: Record,
        K: EventTimed + Lasting,
        L: EventTimed + Lasting,
    {
        self.full_interval_join_with_overtaken(other, before, after)
            .0
    }

    /// As [`full_interval_join`](Keyed::full_interval_join), and hands over the records of both streams that
    /// were overtaken, with their event times and keys. They leave neither in a pair nor alone.
    ///
    /// ```
    /// use stream_core::prelude::*;
    ///
    /// type Row = (i64, u32);
    ///
    /// #[pipeline]
    /// fn compared(ours: Stream<Row>, theirs: Stream<Row>) -> (Timed<(Option<Row>, Option<Row>)>, Stream<EventTime, Mixed>) {
    ///     let (mine, late) = ours.event_time(|row| EventTime::secs(row.0), Lateness::secs(5));
    ///     late.discard();
    ///     let (other, too_late) = theirs.event_time(|row| EventTime::secs(row.0), Lateness::secs(5));
    ///     too_late.discard();
    ///     let by_number = other.key_by(|row| row.1);
    ///     let (compared, overtaken) = mine
    ///         .key_by(|row| row.1)
    ///         .full_interval_join_with_overtaken(by_number, Gap::secs(3), Gap::secs(3));
    ///     let missed = overtaken.map(|(time, _, _)| time);
    ///     (compared, missed)
    /// }
    ///
    /// let rows = compared::test().ours([(1, 7)]).theirs([(4, 7)]).rows();
    /// assert_eq!((rows.compared, rows.missed), (vec![(Some((1, 7)), Some((4, 7)))], vec![]));
    /// ```
    #[expect(
        clippy::type_complexity,
        reason = "two streams, each with a short name"
    )]
    pub fn full_interval_join_with_overtaken<U, L>(
        self,
        other: Keyed<Q, U, L>,
        before: impl Into<Gap>,
        after: impl Into<Gap>,
    ) -> (Timed<(Option<T>, Option<U>)>, Overtaken<Q, Either<T, U>>)
    where
        Q: Key,
        T: Record,
        U: Record,
        K: EventTimed + Lasting,
        L: EventTimed + Lasting,
    {
        joined::<_, _, _, K, L, Full>(self, "full_interval_join", other, before, after)
    }
}

/// The pairs, and the records that were overtaken.
type Joined<Q, T, U, O> = (Timed<O>, Overtaken<Q, Either<T, U>>);

fn joined<Q: Key, T: Record, U: Record, K: EventTimed, L: EventTimed, S: Shape<T, U>>(
    left: Keyed<Q, T, K>,
    kind: &'static str,
    right: Keyed<Q, U, L>,
    before: impl Into<Gap>,
    after: impl Into<Gap>,
) -> Joined<Q, T, U, S::Out> {
    let (before, after) = (before.into(), after.into());
    let both = Both::new(left.port, right.port);
    let spec = stage(kind, both.specs())
        .class(Class::Exact)
        .hands_over(format!("{kind}_with_overtaken"))
        .with("before", before)
        .with("after", after);
    let operator = IntervalJoin {
        before: before.as_micros(),
        after: after.as_micros(),
        records: PhantomData,
    };
    stage_of::<IntervalJoin<Q, T, U, S>, OnTime>(both, spec, operator)
}

/// Which records leave, and as what.
trait Shape<T, U>: 'static {
    /// Whether left records leave that make no pair, and right ones.
    const ALONE: [bool; 2];
    type Out: 'static;
    fn pair(left: T, right: U) -> Self::Out;
    /// A left record that makes no pair.
    fn left(left: T) -> Option<Self::Out>;
    /// A right one.
    fn right(right: U) -> Option<Self::Out>;
}

struct Inner;
struct Left;
struct Full;

impl<T: 'static, U: 'static> Shape<T, U> for Inner {
    const ALONE: [bool; 2] = [false, false];
    type Out = (T, U);

    fn pair(left: T, right: U) -> Self::Out {
        (left, right)
    }

    fn left(_: T) -> Option<Self::Out> {
        None
    }

    fn right(_: U) -> Option<Self::Out> {
        None
    }
}

impl<T: 'static, U: 'static> Shape<T, U> for Left {
    const ALONE: [bool; 2] = [true, false];
    type Out = (T, Option<U>);

    fn pair(left: T, right: U) -> Self::Out {
        (left, Some(right))
    }

    fn left(left: T) -> Option<Self::Out> {
        Some((left, None))
    }

    fn right(_: U) -> Option<Self::Out> {
        None
    }
}

impl<T: 'static, U: 'static> Shape<T, U> for Full {
    const ALONE: [bool; 2] = [true, true];
    type Out = (Option<T>, Option<U>);

    fn pair(left: T, right: U) -> Self::Out {
        (Some(left), Some(right))
    }

    fn left(left: T) -> Option<Self::Out> {
        Some((Some(left), None))
    }

    fn right(right: U) -> Option<Self::Out> {
        Some((None, Some(right)))
    }
}

struct IntervalJoin<Q, T, U, S> {
    before: i64,
    after: i64,
    records: PhantomData<fn() -> (Q, T, U, S)>,
}

/// The records of one side, with whether each has made a pair.
type Side<T> = ByTime<(T, bool)>;

type State<T, U> = (Side<T>, Side<U>);

impl<Q, T, U, S: Shape<T, U>> IntervalJoin<Q, T, U, S> {
    /// When there is something to be done: the first record of a side can be forgotten, or the last one, where none
    /// of them leaves alone.
    fn next(&self, (lefts, rights): &State<T, U>) -> Option<EventTime> {
        let [left, right] = S::ALONE;
        let left = first_or_last(lefts, left).map(|time| time.plus(self.after));
        let right = first_or_last(rights, right).map(|time| time.plus(self.before));
        let last = left.into_iter().chain(right).min();
        last.map(|last| last.plus(1))
    }

    /// Forgets the records for which the last moment is one of these.
    fn forget(
        &self,
        (lefts, rights): &mut State<T, U>,
        is_over: impl Fn(EventTime) -> bool,
        cx: &mut Cx<S::Out>,
    ) {
        leave(lefts, self.after, &is_over, S::left, cx);
        leave(rights, self.before, &is_over, S::right, cx);
    }
}

fn first_or_last<T>(side: &Side<T>, first: bool) -> Option<EventTime> {
    match first {
        true => side.time(0),
        false => side.last_time(),
    }
}

/// Forgets the records of a side, and emits those that have made no pair.
fn leave<T, O>(
    side: &mut Side<T>,
    span: i64,
    is_over: impl Fn(EventTime) -> bool,
    alone: impl Fn(T) -> Option<O>,
    cx: &mut Cx<O>,
) {
    while let Some((time, (record, is_paired))) = side.pop_if(|time| is_over(time.plus(span))) {
        if !is_paired && let Some(row) = alone(record) {
            cx.emit_at(time.plus(span), row);
        }
    }
}

impl<Q: Key, T: Record, U: Record, S: Shape<T, U>> KeyedOperator for IntervalJoin<Q, T, U, S> {
    type Key = Q;
    type In = Either<T, U>;
    type State = State<T, U>;
    type Out = S::Out;

    fn record(&self, _: &Q, record: Self::In, state: &mut Self::State, cx: &mut Cx<S::Out>) {
        let (time, watermark) = (cx.time(), cx.watermark());
        self.forget(state, |last| last < watermark, cx);
        let (lefts, rights) = &mut *state;
        let mut is_paired = false;
        match record {
            Either::Left(left) => {
                let [from, to] = [time.minus(self.before), time.plus(self.after)];
                for (other, (right, has_paired)) in rights.between(from, to) {
                    cx.emit_at(time.max(*other), S::pair(left.clone(), right.clone()));
                    [is_paired, *has_paired] = [true; 2];
                }
                lefts.insert(time, (left, is_paired));
            }
            Either::Right(right) => {
                let [from, to] = [time.minus(self.after), time.plus(self.before)];
                for (other, (left, has_paired)) in lefts.between(from, to) {
                    cx.emit_at(time.max(*other), S::pair(left.clone(), right.clone()));
                    [is_paired, *has_paired] = [true; 2];
                }
                rights.insert(time, (right, is_paired));
            }
        }
        cx.wake(self.next(state));
    }

    fn timer(&self, _: &Q, at: EventTime, state: &mut Self::State, cx: &mut Cx<S::Out>) {
        self.forget(state, |last| last < at, cx);
        cx.wake(self.next(state));
    }

    fn end(&self, _: &Q, state: &mut Self::State, cx: &mut Cx<S::Out>) {
        self.forget(state, |_| true, cx);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::operator::driven::Driven;

    type Join<S> = IntervalJoin<u8, i64, i64, S>;

    fn driven<S: Shape<i64, i64>>() -> Driven<Join<S>> {
        Driven::new(IntervalJoin {
            before: 3,
            after: 5,
            records: PhantomData,
        })
    }

    fn kept<S: Shape<i64, i64>>(driven: &Driven<Join<S>>) -> Option<(usize, usize)> {
        let state = driven.state(&7);
        state.map(|(lefts, rights)| (lefts.len(), rights.len()))
    }

    #[test]
    fn a_record_stays_until_none_can_come_that_makes_a_pair_with_it_and_its_key_is_called() {
        let mut driven = driven::<Inner>();
        let at = EventTime::micros;
        assert_eq!(driven.take(10, 7, Either::Left(10)), []);
        assert_eq!(driven.take(20, 7, Either::Right(20)), []);
        driven.advance(at(15));
        assert_eq!(kept(&driven), Some((1, 1)));
        assert_eq!(driven.take(15, 7, Either::Right(15)), [(15, (10, 15))]);
        driven.advance(at(16));
        assert_eq!(kept(&driven), Some((0, 2)));
        driven.advance(at(18));
        assert_eq!(kept(&driven), Some((0, 2)));
        driven.advance(at(19));
        assert_eq!(kept(&driven), Some((0, 2)), "not for its own sake");
        // The record at hand is the earlier one of the second pair.
        assert_eq!(driven.take(23, 7, Either::Left(23)), [(23, (23, 20))]);
        assert_eq!(kept(&driven), Some((1, 1)), "when another one comes");
        assert_eq!(driven.take(19, 7, Either::Left(19)), [(20, (19, 20))]);
        driven.advance(at(24));
        assert_eq!(kept(&driven), Some((2, 0)), "at its last moment");
        driven.advance(at(28));
        assert_eq!(kept(&driven), Some((2, 0)));
        driven.advance(at(29));
        assert_eq!((kept(&driven), driven.keys()), (None, 0));
    }

    #[test]
    fn a_record_at_the_watermark_may_still_make_a_pair() {
        let mut driven = driven::<Left>();
        driven.take(10, 7, Either::Left(10));
        driven.take(11, 7, Either::Left(11));
        let alone = (15, (10, None));
        assert_eq!(driven.advance(EventTime::micros(16)), [alone]);
        let pair = (16, (11, Some(16)));
        assert_eq!(driven.take(16, 7, Either::Right(16)), [pair]);
        driven.take(17, 7, Either::Right(17));
        driven.advance(EventTime::micros(20));
        let pair = (20, (20, Some(17)));
        assert_eq!(driven.take(20, 7, Either::Left(20)), [pair]);
    }

    #[test]
    fn what_makes_no_pair_leaves_at_its_last_moment() {
        let mut driven = driven::<Full>();
        driven.take(10, 7, Either::Left(10));
        driven.take(30, 7, Either::Right(30));
        driven.take(40, 7, Either::Left(40));
        assert_eq!(driven.advance(EventTime::micros(15)), []);
        let left = |time| (Some(time), None);
        assert_eq!(driven.advance(EventTime::micros(16)), [(15, left(10))]);
        assert_eq!(kept(&driven), Some((1, 1)));
        assert_eq!(driven.advance(EventTime::micros(33)), []);
        let right = (33, (None, Some(30)));
        assert_eq!(driven.advance(EventTime::micros(34)), [right]);
        assert_eq!(driven.advance(EventTime::MAX), [(45, left(40))]);
        assert_eq!(driven.keys(), 0);
    }

    #[cfg(feature = "proptest")]
    #[test]
    fn it_is_the_same_however_it_is_cut() {
        fn run<S: Shape<i64, i64, Out: std::fmt::Debug>>() {
            use proptest::strategy::Strategy;

            let time = |record: &Either<i64, i64>| match record {
                Either::Left(time) | Either::Right(time) => *time,
            };
            let records = (0..2_u8, -9..15_i64).prop_map(|(side, time)| match side {
                0 => Either::Left(time),
                _ => Either::Right(time),
            });
            let make = || IntervalJoin::<u8, i64, i64, S> {
                before: 3,
                after: 5,
                records: PhantomData,
            };
            let at = move |record: &_| EventTime::micros(time(record));
            let check = crate::testing::OperatorCheck::new(make, |_| 7, at);
            let lateness = crate::time::Lateness::micros(5);
            check.lateness(lateness).run(records);
        }
        run::<Inner>();
        run::<Left>();
        run::<Full>();
    }
}
