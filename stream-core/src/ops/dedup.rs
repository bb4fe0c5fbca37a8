//! `dedup`: of records that lie close together, the first.
//!
//! Definition. The records of a key are taken in the order of event time, those of one time in that of the
//! bytes they are written as. The first is kept, and then each that lies `within` or more behind the last one
//! that was kept. So a record that is kept at t stands for `[t, t + within)`.
//!
//! A record is held until the watermark has passed it, for until then an older one may come. Of those of one
//! time only the first is held, and none that one which was kept stands for. Behind `in_order` none is held.

use std::cmp::Ordering;
use std::marker::PhantomData;

use super::by_time::ByTime;
use super::operator::stage_of;
use super::{Cx, KeyedOperator, Overtaken};
use crate::error::Problem;
use crate::graph::node::stage;
use crate::graph::{Class, EventTimed, Key, Keyed, Kind, Lasting, Record, Timed};
use crate::time::{EventTime, Gap};

impl<Q: 'static, T: 'static, K: Kind> Keyed<Q, T, K> {
    /// Keeps of the records of each key the first, and then each that lies `within` or more behind the last
    /// one that was kept, in event time. Records of one time are ordered by the bytes that they are
    /// written as.
    ///
    /// It is the same in every mode: a record is held until the watermark has passed it, but not behind
    /// [`in_order`](Keyed::in_order), which has held it already. A key is forgotten `within` behind the last
    /// record that was kept. The time is a [`Gap`] or a [`Duration`](std::time::Duration); 0 is refused when
    /// the job starts.
    ///
    /// ```
    /// use stream_core::prelude::*;
    ///
    /// #[pipeline]
    /// fn alerts(seconds: Stream<i64>) -> Timed<i64> {
    ///     let (timed, late) = seconds.event_time(|s| EventTime::secs(*s), Lateness::secs(9));
    ///     late.discard();
    ///     let alerts = timed.key_by(|_| "all".to_string()).dedup(Gap::secs(10));
    ///     alerts
    /// }
    ///
    /// // 13 lies within 10 seconds of 4, and 14 does not.
    /// let rows = alerts::test().seconds([5, 4, 13, 14, 20]).rows();
    /// assert_eq!(rows.alerts, [4, 14]);
    /// ```
    pub fn dedup(self, within: impl Into<Gap>) -> Timed<T>
    where
        Q: Key,
        T: Record,
        K: EventTimed + Lasting,
    {
        self.dedup_with_overtaken(within).0
    }

    /// As [`dedup`](Keyed::dedup), and hands over the records that were overtaken, with their event times and
    /// keys, whether or not they would have been kept.
    ///
    /// ```
    /// use stream_core::prelude::*;
    ///
    /// #[pipeline]
    /// fn alerts(seconds: Stream<i64>) -> (Timed<i64>, Stream<EventTime, Mixed>) {
    ///     let (timed, late) = seconds.event_time(|s| EventTime::secs(*s), Lateness::secs(9));
    ///     late.discard();
    ///     let (alerts, overtaken) = timed.key_by(|_| ()).dedup_with_overtaken(Gap::secs(10));
    ///     let missed = overtaken.map(|(time, _, _)| time);
    ///     (alerts, missed)
    /// }
    ///
    /// let rows = alerts::test().seconds([5, 4, 13, 14, 20]).rows();
    /// assert_eq!((rows.alerts, rows.missed), (vec![4, 14], vec![]));
    /// ```
    pub fn dedup_with_overtaken(self, within: impl Into<Gap>) -> (Timed<T>, Overtaken<Q, T>)
    where
        Q: Key,
        T: Record,
        K: EventTimed + Lasting,
    {
        let within = within.into();
        if within.as_micros() == 0 {
            self.port.problem(
                Problem::new("`dedup` has a time of 0")
                    .detail("every record would be kept")
                    .hint("give it the time in which a record stands for others: `Gap::mins(5)`"),
            );
        }
        let spec = stage("dedup", vec![self.port.spec()])
            .class(Class::Exact)
            .hands_over("dedup_with_overtaken")
            .with("within", within);
        let operator = Dedup {
            within: within.as_micros().max(1),
            holds: !K::IS_IN_ORDER,
            records: PhantomData,
        };
        stage_of::<Dedup<Q, T>, K>(self.port, spec, operator)
    }
}

struct Dedup<Q, T> {
    within: i64,
    /// Whether records do not come in order, and must be held.
    holds: bool,
    records: PhantomData<fn() -> (Q, T)>,
}

/// When the last record that was kept stops to stand for others, and the records that are held, one a time.
type State<T> = (Option<EventTime>, ByTime<T>);

impl<Q: Key, T: Record> Dedup<Q, T> {
    /// Decides about the held records whose time is one of these, the oldest first, and about those that the last one
    /// of them which is kept stands for.
    fn release(
        &self,
        (until, held): &mut State<T>,
        is_meant: impl Fn(EventTime) -> bool,
        cx: &mut Cx<T>,
    ) {
        while let Some((time, record)) = held.pop_if(&is_meant) {
            let stands_until = time.plus(self.within);
            *until = Some(stands_until);
            cx.emit_at(time, record);
            while held.pop_if(|time| time < stands_until).is_some() {}
        }
    }
}

impl<Q: Key, T: Record> KeyedOperator for Dedup<Q, T> {
    type Key = Q;
    type In = T;
    type State = State<T>;
    type Out = T;

    fn record(&self, _: &Q, record: T, state: &mut State<T>, cx: &mut Cx<T>) {
        let (until, held) = state;
        let time = cx.time();
        if until.is_some_and(|until| time < until) {
            return;
        }
        held.insert_one(time, record, Ordering::Less);
        if !self.holds {
            self.release(state, |_| true, cx);
        }
        cx.wake(next(state));
    }

    fn timer(&self, _: &Q, at: EventTime, state: &mut State<T>, cx: &mut Cx<T>) {
        self.release(state, |time| time < at, cx);
        state.0 = state.0.filter(|until| *until > at);
        cx.wake(next(state));
    }

    fn end(&self, _: &Q, state: &mut State<T>, cx: &mut Cx<T>) {
        self.release(state, |_| true, cx);
    }
}

/// When there is something to be done.
fn next<T>((until, held): &State<T>) -> Option<EventTime> {
    let first = held.time(0).map(|time| time.plus(1));
    first.into_iter().chain(*until).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::operator::driven::Driven;

    #[test]
    fn a_record_is_held_until_it_is_passed_and_its_key_forgotten_with_its_time() {
        let mut driven = Driven::new(Dedup {
            within: 10,
            holds: true,
            records: PhantomData,
        });
        let held = |driven: &Driven<Dedup<u8, i64>>| driven.state(&7).map(|state| state.1.len());
        let at = EventTime::micros;
        for record in [5, 2, 2, 15] {
            assert_eq!(driven.take(record, 7, record), []);
        }
        assert_eq!(held(&driven), Some(3), "one a time");
        assert_eq!(driven.advance(at(2)), []);
        assert_eq!(driven.advance(at(3)), [(2, 2)]);
        assert_eq!(held(&driven), Some(1), "none that one stands for");
        assert_eq!(driven.take(4, 7, 4), []);
        assert_eq!(held(&driven), Some(1), "none that is decided");
        assert_eq!(driven.advance(at(15)), []);
        assert_eq!(driven.advance(at(16)), [(15, 15)]);
        assert_eq!((held(&driven), driven.keys()), (Some(0), 1));
        assert_eq!(driven.advance(at(24)), []);
        assert_eq!(driven.keys(), 1);
        assert_eq!(driven.advance(at(25)), []);
        assert_eq!(driven.keys(), 0);
        driven.take(25, 7, 25);
        assert_eq!(driven.advance(EventTime::MAX), [(25, 25)]);
        assert_eq!(driven.keys(), 0);
    }

    #[test]
    fn a_record_at_the_watermark_is_not_passed() {
        let mut driven = Driven::new(Dedup {
            within: 1,
            holds: true,
            records: PhantomData,
        });
        driven.take(5, 7, 50);
        driven.take(6, 7, 61);
        assert_eq!(driven.advance(EventTime::micros(6)), [(5, 50)]);
        driven.take(6, 7, 60);
        assert_eq!(driven.advance(EventTime::micros(7)), [(6, 60)]);
    }

    #[test]
    fn the_last_moment_there_is_is_kept_at_the_end() {
        let mut driven = Driven::new(Dedup {
            within: 10,
            holds: true,
            records: PhantomData,
        });
        driven.take(i64::MAX, 7, 1);
        assert_eq!(driven.advance(EventTime::MAX), [(i64::MAX, 1)]);
    }

    #[cfg(feature = "proptest")]
    #[test]
    fn it_is_the_same_however_it_is_cut() {
        let check = |holds| {
            let make = move || Dedup {
                within: 7,
                holds,
                records: PhantomData,
            };
            crate::testing::OperatorCheck::new(
                make,
                |record: &(u8, i64, u8)| record.0,
                |record| EventTime::micros(record.1),
            )
            .lateness(crate::time::Lateness::micros(5))
            .oracle(|by_key| {
                let mut kept = Vec::<(u8, i64, u8)>::new();
                for record in by_key.values().flatten() {
                    let is_near = |other: &(u8, i64, u8)| record.1 - other.1 < 7;
                    if !kept
                        .iter()
                        .any(|other| other.0 == record.0 && is_near(other))
                    {
                        kept.push(*record);
                    }
                }
                kept
            })
        };
        check(true).run((0..2_u8, -9..15_i64, 0..3_u8));
        check(false).in_order().run((0..2_u8, -9..15_i64, 0..3_u8));
    }
}
