//! Sliding windows: `[n·step + offset, n·step + offset + size)` for every integer n, so that a record lies in
//! several.
//!
//! Time is cut into *panes* of the greatest common divisor of size and step, from the offset on, and a key keeps one value a pane. A
//! record goes into one pane, however many windows it lies in. When a window is complete the panes in it are
//! merged, and a pane is given up with the last window that it lies in. So what is kept grows with the panes that
//! have records, and not with the windows.
//!
//! A key has a timer for the first window that is still to be emitted. Windows without records are none. A record
//! whose last window is complete is overtaken; one that has missed some of its windows counts in the others.
//!
//! They are saved piece by piece, as sessions are.

use std::collections::VecDeque;
use std::marker::PhantomData;

use serde::{Deserialize, Serialize};

use super::Overtaken;
use super::by_time::end_of;
use super::keyed::{Emit, FULL, Logic, SAVED_ROWS, Saves};
use super::timers::{AHEAD, Timers};
use super::window::{Assign, Counts, Fold, Frame, Functions, Windowed, Windows};
use super::window::{begin_of, with_offset};
use crate::codec;
use crate::error::Problem;
use crate::graph::{EventTimed, Key, Keyed, Kind, Lasting, NodeSpec, Record, Timed};
use crate::state::WriteShard;
use crate::state::hash::hash_of;
use crate::state::noted::{Noted, Save};
use crate::time::{EventTime, Size};

/// Windows of one size that begin one step after another; made by [`Keyed::sliding`](crate::graph::Keyed::sliding).
#[derive(Clone, Copy, Debug)]
pub struct SlidingWindows {
    pub(super) size: i64,
    pub(super) step: i64,
    /// Less than the step.
    pub(super) offset: i64,
}

impl<Q: 'static, T: 'static, K: Kind> Keyed<Q, T, K> {
    /// Gathers the records of each key into windows of one size that begin at multiples of `step` since 1970, or
    /// so much later as [`offset`](Windows::offset) says, so that each record lies in `size / step` windows. Size and step are [`Size`]s or
    /// [`Duration`](std::time::Duration)s; a step that is 0, or longer than the size, is refused when the
    /// job starts. A window without records is not emitted.
    ///
    /// A record costs one fold, and a window one merge for each pane in it: a pane is as long as the
    /// greatest common divisor of size and step.
    ///
    /// ```
    /// use stream_core::{EventTime, Lateness, Size, graph::Stream, testing};
    ///
    /// let pipeline = |seconds: Stream<i64>| {
    ///     let (timed, _) = seconds.event_time(|s| EventTime::secs(*s), Lateness::secs(0));
    ///     let windows = timed.key_by(|_| ()).sliding(Size::secs(10), Size::secs(5));
    ///     windows.count().map(|window| (window.start, window.value))
    /// };
    /// let rows = testing::rows(pipeline, [1, 6]);
    /// let at = EventTime::secs;
    /// assert_eq!(rows, [(at(-5), 1), (at(0), 2), (at(5), 1)]);
    /// ```
    pub fn sliding(
        self,
        size: impl Into<Size>,
        step: impl Into<Size>,
    ) -> Windows<Q, T, SlidingWindows>
    where
        K: EventTimed + Lasting,
    {
        let (size, step) = (size.into(), step.into());
        if step.as_micros() == 0 || step.as_micros() > size.as_micros() {
            self.port.problem(
                Problem::new(format!("sliding windows of {size} have a step of {step}"))
                    .detail("records would lie in no window, or in windows without end")
                    .hint("give them a step of the size at most: `sliding(Size::mins(10), Size::mins(1))`"),
            );
        }
        let size = size.as_micros().max(1);
        let step = step.as_micros().clamp(1, size);
        let offset = 0;
        Windows::new(self.port, SlidingWindows { size, step, offset })
    }
}

/// Sliding windows.
impl<Q: 'static, T: 'static> Windows<Q, T, SlidingWindows> {
    /// Lets the windows begin so much later than at multiples of their step since 1970: at
    /// `n·step + offset` for every integer n. The offset is a [`Size`] or a
    /// [`Duration`](std::time::Duration); of one that is longer than the step only what is left behind whole
    /// steps counts.
    ///
    /// ```
    /// use stream_core::{EventTime, Lateness, Size, graph::Stream, testing};
    ///
    /// let pipeline = |seconds: Stream<i64>| {
    ///     let (timed, _) = seconds.event_time(|s| EventTime::secs(*s), Lateness::secs(0));
    ///     let windows = timed.key_by(|_| ()).sliding(Size::secs(10), Size::secs(5));
    ///     windows.offset(Size::secs(2)).count().map(|window| (window.start, window.value))
    /// };
    /// let rows = testing::rows(pipeline, [1, 6]);
    /// let at = EventTime::secs;
    /// assert_eq!(rows, [(at(-8), 1), (at(-3), 2), (at(2), 1)]);
    /// ```
    pub fn offset(self, offset: impl Into<Size>) -> Self {
        let offset = offset.into().as_micros();
        self.with(|windows| SlidingWindows {
            offset: offset % windows.step,
            ..windows
        })
    }

    /// Counts the records of each window.
    pub fn count(self) -> Timed<Windowed<Q, u64>>
    where
        Q: Key,
        T: Record,
    {
        self.counted()
    }

    /// Folds the records of each window into one value, as [`Keyed::fold`] does for a table. `merge` adds
    /// the value of later records: those of a window were folded in parts.
    ///
    /// The result is the same in every mode if the closures are pure, the order of the records
    /// does not matter to them, and `merge` joins two values as if their records had been folded
    /// together.
    ///
    /// ```
    /// use stream_core::{EventTime, Lateness, Size, graph::Stream, testing};
    ///
    /// let pipeline = |seconds: Stream<i64>| {
    ///     let (timed, _) = seconds.event_time(|s| EventTime::secs(*s), Lateness::secs(0));
    ///     let windows = timed.key_by(|_| ()).sliding(Size::secs(10), Size::secs(5));
    ///     let sums = windows.fold(|| 0, |sum, s| *sum += s, |sum, later| *sum += later);
    ///     sums.map(|window| window.value)
    /// };
    /// assert_eq!(testing::rows(pipeline, [1, 6]), [1, 6, 7]);
    /// ```
    pub fn fold<A: Record>(
        self,
        init: impl Fn() -> A + 'static,
        step: impl Fn(&mut A, T) + 'static,
        merge: impl Fn(&mut A, A) + 'static,
    ) -> Timed<Windowed<Q, A>>
    where
        Q: Key,
        T: Record,
    {
        self.fold_with_overtaken(init, step, merge).0
    }

    /// As [`fold`](Windows::fold), and hands over the records that came after the last of their windows had
    /// been emitted, with their event times and keys.
    pub fn fold_with_overtaken<A: Record>(
        self,
        init: impl Fn() -> A + 'static,
        step: impl Fn(&mut A, T) + 'static,
        merge: impl Fn(&mut A, A) + 'static,
    ) -> (Timed<Windowed<Q, A>>, Overtaken<Q, T>)
    where
        Q: Key,
        T: Record,
    {
        self.folded(Functions { init, step, merge })
    }
}

impl Assign for SlidingWindows {
    const KIND: &'static str = "sliding";
    type Logic<Q: Key, P: Record, A: Record, F: Fold<P, A>> = Sliding<Q, P, A, F>;

    fn describe(&self, spec: NodeSpec) -> NodeSpec {
        let [size, step] = [self.size, self.step].map(|micros| Size::micros(micros.unsigned_abs()));
        with_offset(
            spec.with("size", format!("{size} every {step}")),
            self.offset,
        )
    }

    fn logic<Q: Key, P: Record, A: Record, F: Fold<P, A>>(
        self,
        fold: F,
        counts: Counts,
    ) -> Sliding<Q, P, A, F> {
        let pane = greatest_common_divisor(self.size, self.step);
        Sliding {
            windows: self,
            pane,
            pane_offset: self.offset % pane,
            fold,
            frame: Frame::new(counts),
            timers: Timers::new(self.step),
            walked: 0,
            saving: Save::default(),
            records: PhantomData,
        }
    }
}

fn greatest_common_divisor(a: i64, b: i64) -> i64 {
    match b {
        0 => a,
        _ => greatest_common_divisor(b, a % b),
    }
}

impl SlidingWindows {
    /// The end of the first window that a moment lies in.
    fn first_end(self, time: EventTime) -> EventTime {
        // The last window that ends at this moment or before it is followed by the one that is meant.
        self.aligned(time, self.size, self.step)
    }

    /// The end of the last window that a moment lies in.
    fn last_end(self, time: EventTime) -> EventTime {
        self.aligned(time, 0, self.size)
    }

    /// The last beginning or end of a window up to a moment, and so much more. Those that are meant lie `from` behind
    /// the beginnings.
    #[inline]
    fn aligned(self, time: EventTime, from: i64, more: i64) -> EventTime {
        let [time, step] = [time.as_micros(), self.step];
        let near = || {
            let from = self.offset.checked_add(from)?;
            let before = time.checked_sub(from)?.div_euclid(step).checked_mul(step)?;
            before.checked_add(from)?.checked_add(more)
        };
        near().map_or_else(
            || {
                let [time, step, more] = [time, step, more].map(i128::from);
                let from = i128::from(self.offset) + i128::from(from);
                clamped((time - from).div_euclid(step) * step + from + more)
            },
            EventTime::micros,
        )
    }
}

/// A moment, or the end of time that is nearer.
fn clamped(micros: i128) -> EventTime {
    let micros = micros.clamp(i64::MIN.into(), i64::MAX.into());
    EventTime::micros(micros as i64)
}

/// What is kept for a key.
#[derive(Serialize, Deserialize)]
pub(crate) struct Panes<A> {
    /// The end of the first window that is still to be emitted: that of the timer.
    next: EventTime,
    /// By their beginnings.
    panes: VecDeque<(EventTime, A)>,
}

pub(crate) struct Sliding<Q, P, A, F> {
    windows: SlidingWindows,
    /// How long a pane is, and how much later than at a multiple of that it begins.
    pane: i64,
    pane_offset: i64,
    fold: F,
    frame: Frame,
    timers: Timers,
    /// The bucket of the table at which the walk at the end of time goes on.
    walked: usize,
    saving: Save,
    records: PhantomData<fn(Q, P) -> A>,
}

type Table<Q, A> = Noted<Q, Panes<A>>;

impl<Q: Key, P: Record, A: Record, F: Fold<P, A>> Sliding<Q, P, A, F> {
    /// Takes in one record.
    #[inline(always)]
    fn fold(
        &mut self,
        table: &mut Table<Q, A>,
        (time, key, record): (EventTime, Q, P),
        emit: &mut Emit<Self>,
    ) {
        if self.is_overtaken(time) {
            return self.frame.overtaken((time, key, record), emit);
        }
        let hash = hash_of(&key);
        let begin = begin_of(time, self.pane, self.pane_offset);
        let Some((_, row)) = table.rows.find_mut(hash, |(other, _)| *other == key) else {
            return self.start(table, hash, begin, (key, record));
        };
        // Nearly always it falls into one of the last panes of its key, or behind them.
        let place = end_of(&row.panes, |other| other <= begin);
        if let Some((other, value)) = place.checked_sub(1).and_then(|at| row.panes.get_mut(at))
            && *other == begin
        {
            self.fold.extend(value, record);
            return;
        }
        let value = self.fold.start(record);
        row.panes.insert(place, (begin, value));
        if place == 0 {
            let next = self.next_of(begin);
            if next < row.next {
                row.next = next;
                self.timers.set(next, hash);
            }
        }
    }

    /// Takes in a record of a key that has none.
    #[inline(never)]
    fn start(
        &mut self,
        table: &mut Table<Q, A>,
        hash: u64,
        begin: EventTime,
        (key, record): (Q, P),
    ) {
        let next = self.next_of(begin);
        self.timers.set(next, hash);
        self.frame.counts.open.add(1);
        let panes = VecDeque::from([(begin, self.fold.start(record))]);
        let new = (key, Panes { next, panes });
        if self.saving.is_under_way() {
            return table.insert_new(hash, new);
        }
        let rows = &mut table.rows;
        rows.insert_unique(hash, new, |(key, _)| hash_of(key));
    }

    /// Whether the last window that a moment lies in is complete.
    #[inline]
    fn is_overtaken(&self, time: EventTime) -> bool {
        time < self.frame.watermark && self.frame.is_complete(self.windows.last_end(time))
    }

    /// The end of the first window that is still to be emitted of those that a pane lies in.
    fn next_of(&self, begin: EventTime) -> EventTime {
        let watermark = self.frame.watermark;
        let first_open = self
            .windows
            .first_end(watermark.max(EventTime::MIN.plus(1)));
        self.windows.first_end(begin).max(first_open)
    }

    /// Emits the next window of a key, gives up the panes that lie in no further one, and tells when the one
    /// behind it ends.
    fn emit_next(&self, key: &Q, row: &mut Panes<A>, emit: &mut Emit<Self>) {
        let end = row.next;
        let start = end.minus(self.windows.size);
        let inside = row
            .panes
            .iter()
            .filter(|(begin, _)| *begin >= start && *begin < end);
        let mut inside = inside.map(|(_, value)| value);
        if let Some(mut value) = inside.next().cloned() {
            inside.for_each(|later| self.fold.merge(&mut value, later.clone()));
            let complete = Windowed {
                key: key.clone(),
                start,
                end,
                value,
            };
            self.fold.emit_whole(complete, &mut emit.records);
        }
        let SlidingWindows { size, step, .. } = self.windows;
        while let Some((begin, _)) = row.panes.front()
            && match end < EventTime::MAX {
                true => *begin < end.plus(step - size), // where the next window begins
                false => self.windows.last_end(*begin) <= end,
            }
        {
            row.panes.pop_front();
        }
        if let Some((begin, _)) = row.panes.front() {
            let next = end.plus(step);
            row.next = match *begin < next {
                true => next,
                false => self.windows.first_end(*begin).max(next),
            };
        }
    }

    /// Looks at the key that has set a timer for a time, if it still has.
    fn ring(&mut self, table: &mut Table<Q, A>, time: EventTime, hash: u64, emit: &mut Emit<Self>) {
        let has_set_it = |(key, row): &(Q, Panes<A>)| row.next == time && hash_of(key) == hash;
        if self.saving.is_under_way()
            && let Some(bucket) = table.rows.find_bucket_index(hash, has_set_it)
        {
            self.saving.before_bucket(table, bucket, hash);
        }
        let Ok(mut entry) = table.rows.find_entry(hash, has_set_it) else {
            return;
        };
        let (key, row) = entry.get_mut();
        self.emit_next(key, row, emit);
        match row.panes.is_empty() {
            true => {
                entry.remove();
                self.frame.counts.open.sub(1);
            }
            false => self.timers.set(row.next, hash),
        }
    }

    /// Emits all windows that are left, bucket after bucket, until there is enough.
    fn walk(&mut self, table: &mut Table<Q, A>, emit: &mut Emit<Self>) -> bool {
        self.timers.clear();
        while !table.rows.is_empty() {
            if self.walked >= table.rows.num_buckets() {
                self.walked = 0;
            }
            if self.saving.is_under_way()
                && let Some(row) = table.rows.get_bucket(self.walked)
            {
                let hash = hash_of(&row.0);
                self.saving.before_bucket(table, self.walked, hash);
            }
            if let Ok(mut entry) = table.rows.get_bucket_entry(self.walked) {
                let (key, row) = entry.get_mut();
                while !row.panes.is_empty() && emit.records.len() < FULL {
                    self.emit_next(key, row, emit);
                }
                if !row.panes.is_empty() {
                    return true;
                }
                entry.remove();
                self.frame.counts.open.sub(1);
            }
            self.walked += 1;
        }
        false
    }
}

impl<Q: Key, P: Record, A: Record, F: Fold<P, A>> Logic for Sliding<Q, P, A, F> {
    type Record = (EventTime, Q, P);
    type State = Table<Q, A>;
    type Stamp = EventTime;
    type Out = Windowed<Q, F::Value>;

    #[inline]
    fn hash((_, key, _): &(EventTime, Q, P)) -> u64 {
        hash_of(key)
    }

    fn empty(&self) -> Self::State {
        Noted::default()
    }

    fn fold_all(
        &mut self,
        table: &mut Self::State,
        records: impl Iterator<Item = Self::Record>,
        emit: &mut Emit<Self>,
    ) {
        for record in records {
            self.fold(table, record, emit);
        }
    }

    fn due(&self) -> EventTime {
        self.timers.due()
    }

    fn begin_advance(&mut self, watermark: EventTime) {
        self.frame.watermark = watermark;
    }

    fn advance(&mut self, table: &mut Self::State, emit: &mut Emit<Self>) -> bool {
        if self.frame.watermark == EventTime::MAX {
            return self.walk(table, emit);
        }
        for _ in 0..FULL {
            let Some((time, hash)) = self.timers.pop(self.frame.watermark) else {
                return false;
            };
            if let Some(soon) = self.timers.soon(AHEAD) {
                table.prefetch(soon);
            }
            self.ring(table, time, hash, emit);
            if emit.records.len() >= FULL {
                break;
            }
        }
        self.timers.due() <= self.frame.watermark
    }
}

impl<Q: Key, P: Record, A: Record, F: Fold<P, A>> Saves for Sliding<Q, P, A, F> {
    fn begin_save(&mut self, _: &mut Self::State, _: bool) -> bool {
        self.saving.begin();
        true
    }

    fn save(&mut self, table: &mut Self::State, write: WriteShard<'_>) -> Result<bool, Problem> {
        self.saving.piece(table, SAVED_ROWS, write)
    }

    fn save_before_change(
        &mut self,
        table: &mut Self::State,
        records: &[Self::Record],
    ) -> Result<usize, Problem> {
        let keys = records.iter().map(|(_, key, _)| key);
        self.saving.before_change(table, keys)
    }

    fn load(&mut self, table: &mut Self::State, bytes: &[u8]) -> Result<(), Problem> {
        for (key, row) in codec::decode::<Vec<(Q, Panes<A>)>>(bytes)? {
            let hash = hash_of(&key);
            self.timers.set(row.next, hash);
            self.frame.counts.open.add(1);
            let rows = &mut table.rows;
            rows.insert_unique(hash, (key, row), |(key, _)| hash_of(key));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_windows_of_a_moment_are_those_that_hold_it() {
        for (size, step) in [(10, 5), (10, 3), (7, 7), (9, 1), (9, 2)] {
            for (offset, time) in
                (0..step).flat_map(|offset| (-30..30).map(move |time| (offset, time)))
            {
                let windows = SlidingWindows { size, step, offset };
                let starts = (-100..100).map(|n| n * step + offset);
                let ends = starts.filter(|start| (*start..start + size).contains(&time));
                let ends: Vec<_> = ends.map(|start| EventTime::micros(start + size)).collect();
                let moment = EventTime::micros(time);
                let found = (windows.first_end(moment), windows.last_end(moment));
                assert_eq!(Some(&found.0), ends.first(), "{windows:?} {time}");
                assert_eq!(Some(&found.1), ends.last(), "{windows:?} {time}");
            }
        }
    }

    #[test]
    fn windows_reach_to_the_ends_of_time() {
        let windows = SlidingWindows {
            size: 10,
            step: 3,
            offset: 2,
        };
        assert_eq!(windows.last_end(EventTime::MAX), EventTime::MAX);
        assert!(windows.first_end(EventTime::MIN) > EventTime::MIN);
        assert!(windows.last_end(EventTime::MIN) < EventTime::MIN.plus(20));
    }

    #[test]
    fn a_pane_is_the_greatest_common_divisor() {
        for (size, step, pane) in [(10, 4, 2), (10, 5, 5), (9, 2, 1), (7, 7, 7)] {
            assert_eq!(greatest_common_divisor(size, step), pane);
        }
    }
}
