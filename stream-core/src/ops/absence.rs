//! `absence`: tells when no record of a key has come for so long.
//!
//! Definition. A record at t is followed by an absence if no other of its key lies in `[t, t + after)`, those
//! of one time taken as one. It is told once, with the event time `t + after`. So the absences of a key are the
//! ends of its sessions with that gap, and the last record of a key is followed by one at the end of input.
//!
//! Records are not held: what is kept of a key are the spans of records that lie less than `after` apart, as
//! the first and last time of each. Mostly that is one.

use std::collections::VecDeque;
use std::marker::PhantomData;

use super::operator::{pop_front_if, stage_of};
use super::{Cx, KeyedOperator, Overtaken};
use crate::error::Problem;
use crate::graph::node::stage;
use crate::graph::{Class, EventTimed, Key, Keyed, Kind, Lasting, Record, Timed};
use crate::time::{EventTime, Gap};

impl<Q: 'static, T: 'static, K: Kind> Keyed<Q, T, K> {
    /// Tells when no record of a key has come for so long in event time, a timeout: the key, and the time of
    /// its last record. The event time of that is `after` behind the last record. A record at just that
    /// time comes too late, as for a session with that gap.
    ///
    /// It is the same in every mode. It is told when the watermark has come so far, and at the end of input of
    /// every key that is left; then the key is forgotten. So a key is told of again only when there was
    /// another record of it. The time is a [`Gap`] or a [`Duration`](std::time::Duration); 0 is refused when
    /// the job starts.
    ///
    /// ```
    /// use stream_core::prelude::*;
    ///
    /// #[pipeline]
    /// fn silent(beats: Stream<(i64, u8)>) -> Timed<(u8, EventTime)> {
    ///     let (timed, late) = beats.event_time(|beat| EventTime::secs(beat.0), Lateness::secs(9));
    ///     late.discard();
    ///     let silent = timed.key_by(|beat| beat.1).absence(Gap::secs(10));
    ///     silent
    /// }
    ///
    /// let rows = silent::test().beats([(1, 7), (9, 7), (19, 7)]).rows();
    /// assert_eq!(rows.silent, [(7, EventTime::secs(9)), (7, EventTime::secs(19))]);
    /// ```
    pub fn absence(self, after: impl Into<Gap>) -> Timed<(Q, EventTime)>
    where
        Q: Key,
        T: Record,
        K: EventTimed + Lasting,
    {
        self.absence_with_overtaken(after).0
    }

    /// As [`absence`](Keyed::absence), and hands over the records that were overtaken, with their event times
    /// and keys. One of them may lie where an absence was told.
    ///
    /// ```
    /// use stream_core::prelude::*;
    ///
    /// #[pipeline]
    /// fn silent(beats: Stream<(i64, u8)>) -> (Timed<u8>, Stream<(EventTime, u8), Mixed>) {
    ///     let (timed, late) = beats.event_time(|beat| EventTime::secs(beat.0), Lateness::secs(9));
    ///     late.discard();
    ///     let by_key = timed.key_by(|beat| beat.1);
    ///     let (told, overtaken) = by_key.absence_with_overtaken(Gap::secs(10));
    ///     let silent = told.map(|(key, _)| key);
    ///     let missed = overtaken.map(|(time, key, _)| (time, key));
    ///     (silent, missed)
    /// }
    ///
    /// let rows = silent::test().beats([(1, 7), (9, 7), (19, 7)]).rows();
    /// assert_eq!((rows.silent, rows.missed), (vec![7, 7], vec![]));
    /// ```
    pub fn absence_with_overtaken(
        self,
        after: impl Into<Gap>,
    ) -> (Timed<(Q, EventTime)>, Overtaken<Q, T>)
    where
        Q: Key,
        T: Record,
        K: EventTimed + Lasting,
    {
        let after = after.into();
        if after.as_micros() == 0 {
            self.port.problem(
                Problem::new("`absence` has a time of 0")
                    .detail("every record would be followed by one")
                    .hint("give it the time after which a key is missed: `Gap::mins(5)`"),
            );
        }
        let spec = stage("absence", vec![self.port.spec()])
            .class(Class::Exact)
            .hands_over("absence_with_overtaken")
            .with("after", after);
        let operator = Absence {
            after: after.as_micros().max(1),
            records: PhantomData,
        };
        stage_of::<Absence<Q, T>, K>(self.port, spec, operator)
    }
}

struct Absence<Q, T> {
    after: i64,
    records: PhantomData<fn() -> (Q, T)>,
}

/// The first and the last time of each span, the oldest span first.
type Spans = VecDeque<(EventTime, EventTime)>;

impl<Q, T> Absence<Q, T> {
    /// Whether the one lies so far before the other that they are of two spans.
    fn is_apart(&self, before: EventTime, behind: EventTime) -> bool {
        let [before, behind] = [before, behind].map(EventTime::as_micros);
        before < behind && behind.abs_diff(before) >= self.after.unsigned_abs()
    }

    fn next(&self, spans: &Spans) -> Option<EventTime> {
        spans.front().map(|(_, last)| last.plus(self.after))
    }
}

impl<Q: Key, T: Record> KeyedOperator for Absence<Q, T> {
    type Key = Q;
    type In = T;
    type State = Spans;
    type Out = (Q, EventTime);

    fn record(&self, _: &Q, _: T, spans: &mut Spans, cx: &mut Cx<Self::Out>) {
        let time = cx.time();
        let begin = spans.partition_point(|(_, last)| self.is_apart(*last, time));
        let end = spans.partition_point(|(first, _)| !self.is_apart(time, *first));
        let joined = spans.drain(begin..end);
        let span = joined.fold((time, time), |(first, last), other| {
            (first.min(other.0), last.max(other.1))
        });
        spans.insert(begin, span);
        cx.wake(self.next(spans));
    }

    fn timer(&self, key: &Q, at: EventTime, spans: &mut Spans, cx: &mut Cx<Self::Out>) {
        while let Some((_, last)) = pop_front_if(spans, |(_, last)| last.plus(self.after) <= at) {
            cx.emit_at(last.plus(self.after), (key.clone(), last));
        }
        cx.wake(self.next(spans));
    }

    fn end(&self, key: &Q, spans: &mut Spans, cx: &mut Cx<Self::Out>) {
        for (_, last) in spans.drain(..) {
            cx.emit_at(last.plus(self.after), (key.clone(), last));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::operator::driven::Driven;

    #[test]
    fn spans_are_joined_and_a_key_is_forgotten_when_it_is_told_of() {
        let mut driven = Driven::new(Absence {
            after: 10,
            records: PhantomData,
        });
        let spans = |driven: &Driven<Absence<u8, ()>>| driven.state(&7).map(VecDeque::len);
        let last = |micros| (7, EventTime::micros(micros));
        driven.take(5, 7, ());
        driven.take(24, 7, ());
        assert_eq!(spans(&driven), Some(2));
        driven.take(15, 7, ()); // at just 10 behind 5
        assert_eq!(spans(&driven), Some(2));
        assert_eq!(driven.advance(EventTime::micros(14)), []);
        assert_eq!(driven.advance(EventTime::micros(15)), [(15, last(5))]);
        assert_eq!(driven.advance(EventTime::micros(33)), []);
        assert_eq!((spans(&driven), driven.keys()), (Some(1), 1));
        assert_eq!(driven.advance(EventTime::micros(34)), [(34, last(24))]);
        assert_eq!(driven.keys(), 0);
        driven.take(40, 7, ());
        assert_eq!(driven.advance(EventTime::MAX), [(50, last(40))]);
        assert_eq!(driven.keys(), 0);
    }

    #[test]
    fn a_hot_key_is_one_span() {
        let mut driven = Driven::new(Absence {
            after: 10,
            records: PhantomData,
        });
        for time in 0..1_000 {
            driven.take(time, 7, ());
            assert_eq!(driven.advance(EventTime::micros(time - 5)), []);
            assert_eq!(driven.state(&7).map(VecDeque::len), Some(1));
        }
        let told = (7, EventTime::micros(999));
        assert_eq!(driven.advance(EventTime::micros(1_009)), [(1_009, told)]);
    }

    #[cfg(feature = "proptest")]
    #[test]
    fn it_is_the_same_however_it_is_cut() {
        let check = || {
            let make = || Absence {
                after: 7,
                records: PhantomData,
            };
            crate::testing::OperatorCheck::new(
                make,
                |record: &(u8, i64)| record.0,
                |record| EventTime::micros(record.1),
            )
            .lateness(crate::time::Lateness::micros(5))
        };
        check().run((0..2_u8, -9..15_i64));
        check().in_order().run((0..2_u8, -9..15_i64));
    }
}
