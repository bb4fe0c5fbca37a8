//! Window joins: records of two streams that have one key and lie in one window.
//!
//! Definition. A left record and a right one of its key are a pair in each window that both lie in. Windows are
//! those of both streams together: a session is made of the records of either.
//!
//! The pairs of a window leave when it is complete. Until then its records are kept, those of each side by
//! themselves, so that what is kept grows with the records and not with the pairs. Of a window of n left
//! records and m right ones n × m pairs leave. They leave piece by piece: a left record is removed when its pairs
//! have left, so the part that was emitted is gone from the state.

use std::marker::PhantomData;

use super::either::Both;
use super::keyed::FULL;
use super::window::{Assign, Fold, Rendering, Windowed, Windows};
use super::{Either, Overtaken};
use crate::graph::{Class, EventTimed, Key, Keyed, Lasting, Record, Timed};
use crate::time::EventTime;

/// Windows of any kind.
#[expect(
    private_bounds,
    reason = "how windows are assigned is the engine's own"
)]
impl<Q: 'static, T: 'static, W: Assign> Windows<Q, T, W> {
    /// Joins two streams by key and window: gives each pair of a record of this stream and one of the other that
    /// lie in one window, when the window is complete. The watermark is that of the stream that has come less far.
    /// A record that finds no other is in no pair. A session is made of the records of both streams.
    ///
    /// It is the same in every mode. All records of a window are kept until it is complete. Of n records of one key
    /// and m of the other stream in one window n × m pairs are emitted, a piece at a time; of sliding windows and
    /// sessions all pairs of one key and window at once. Records of sliding windows are paired anew in each window
    /// that they both lie in. Where the distance of two records matters and not the window,
    /// [`interval_join`](Keyed::interval_join) is meant.
    ///
    /// ```
    /// use stream_core::prelude::*;
    ///
    /// /// Second, shop, and an amount or a campaign.
    /// type Row = (i64, u32, u32);
    ///
    /// /// Each sale with each campaign of its shop in the same minute.
    /// #[pipeline]
    /// fn reached(sales: Stream<Row>, campaigns: Stream<Row>) -> Timed<(u32, u32)> {
    ///     let (sold, late) = sales.event_time(|row| EventTime::secs(row.0), Lateness::secs(5));
    ///     late.discard();
    ///     let (shown, too_late) = campaigns.event_time(|row| EventTime::secs(row.0), Lateness::secs(5));
    ///     too_late.discard();
    ///     let by_shop = shown.key_by(|row| row.1);
    ///     let reached = sold
    ///         .key_by(|row| row.1)
    ///         .tumbling(Size::mins(1))
    ///         .window_join(by_shop)
    ///         .map(|window| (window.value.0.2, window.value.1.2));
    ///     reached
    /// }
    ///
    /// let test = reached::test().sales([(3, 7, 20), (9, 7, 30), (61, 7, 40)]);
    /// let mut rows = test.campaigns([(1, 7, 1), (59, 8, 2), (60, 7, 3)]).rows();
    /// rows.reached.sort();
    /// assert_eq!(rows.reached, [(20, 1), (30, 1), (40, 3)]);
    /// ```
    pub fn window_join<U, L>(self, other: Keyed<Q, U, L>) -> Timed<Windowed<Q, (T, U)>>
    where
        Q: Key,
        T: Record,
        U: Record,
        L: EventTimed + Lasting,
    {
        self.window_join_with_overtaken(other).0
    }

    /// As [`window_join`](Windows::window_join), and hands over the records of both streams that came after
    /// their window had been emitted, with their event times and keys.
    ///
    /// ```
    /// use stream_core::prelude::*;
    ///
    /// type Row = (i64, u32);
    ///
    /// #[pipeline]
    /// fn met(ours: Stream<Row>, theirs: Stream<Row>) -> (Timed<(i64, i64)>, Stream<EventTime, Mixed>) {
    ///     let (mine, late) = ours.event_time(|row| EventTime::secs(row.0), Lateness::secs(5));
    ///     late.discard();
    ///     let (other, too_late) = theirs.event_time(|row| EventTime::secs(row.0), Lateness::secs(5));
    ///     too_late.discard();
    ///     let by_place = other.key_by(|row| row.1);
    ///     let minutes = mine.key_by(|row| row.1).tumbling(Size::mins(1));
    ///     let (pairs, overtaken) = minutes.window_join_with_overtaken(by_place);
    ///     let met = pairs.map(|window| (window.value.0.0, window.value.1.0));
    ///     let missed = overtaken.map(|(time, _, _)| time);
    ///     (met, missed)
    /// }
    ///
    /// let rows = met::test().ours([(3, 7), (61, 7)]).theirs([(59, 7), (62, 8)]).rows();
    /// assert_eq!((rows.met, rows.missed), (vec![(3, 59)], vec![]));
    /// ```
    #[expect(
        clippy::type_complexity,
        reason = "two streams, each with a short name"
    )]
    pub fn window_join_with_overtaken<U, L>(
        self,
        other: Keyed<Q, U, L>,
    ) -> (Timed<Windowed<Q, (T, U)>>, Overtaken<Q, Either<T, U>>)
    where
        Q: Key,
        T: Record,
        U: Record,
        L: EventTimed + Lasting,
    {
        let Windows { input, assign } = self;
        let both = Both::new(input, other.port);
        let rendering = Rendering {
            inputs: both.specs(),
            class: Class::Exact,
            fold: "window_join",
        };
        let pairs = Pairs(PhantomData);
        rendering.push(both, assign, |record| record, pairs)
    }
}

/// All pairs of what two sides have.
struct Pairs<T, U>(PhantomData<fn(T, U)>);

impl<T: Record, U: Record> Pairs<T, U> {
    fn add((lefts, rights): &mut (Vec<T>, Vec<U>), record: Either<T, U>) {
        match record {
            Either::Left(left) => lefts.push(left),
            Either::Right(right) => rights.push(right),
        }
    }
}

impl<T: Record, U: Record> Fold<Either<T, U>, (Vec<T>, Vec<U>)> for Pairs<T, U> {
    type Value = (T, U);

    #[inline]
    fn start(&self, record: Either<T, U>) -> (Vec<T>, Vec<U>) {
        let mut sides = (Vec::new(), Vec::new());
        Self::add(&mut sides, record);
        sides
    }

    #[inline]
    fn extend(&self, sides: &mut (Vec<T>, Vec<U>), record: Either<T, U>) -> bool {
        Self::add(sides, record);
        true
    }

    fn merge(&self, (lefts, rights): &mut (Vec<T>, Vec<U>), later: (Vec<T>, Vec<U>)) {
        lefts.extend(later.0);
        rights.extend(later.1);
    }

    fn finish(&self, _: (Vec<T>, Vec<U>)) -> (T, U) {
        unreachable!("pairs are taken out of a window one after another")
    }

    /// Emits the pairs of one left record after another, until there is enough.
    fn emit<Q: Key>(
        &self,
        mut window: Windowed<Q, (Vec<T>, Vec<U>)>,
        out: &mut Vec<(EventTime, Windowed<Q, (T, U)>)>,
    ) -> Option<Windowed<Q, (Vec<T>, Vec<U>)>> {
        let (lefts, rights) = &mut window.value;
        if rights.is_empty() {
            return None;
        }
        while let Some(left) = lefts.pop() {
            let (start, end) = (window.start, window.end);
            out.extend(rights.iter().map(|right| {
                let row = Windowed {
                    key: window.key.clone(),
                    start,
                    end,
                    value: (left.clone(), right.clone()),
                };
                (end.minus(1), row)
            }));
            if out.len() >= FULL {
                break;
            }
        }
        (!lefts.is_empty()).then_some(window)
    }
}
