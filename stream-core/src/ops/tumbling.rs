//! Tumbling windows: `[n·size + offset, (n + 1)·size + offset)` for every integer n, also before 1970; and how
//! all windows are kept that never meet, those of a [calendar](super::calendar) too.
//!
//! Open windows stand in the order of their start, each a table from keys to values, so what is
//! complete at a watermark is a prefix. A row is removed as it is emitted, so that wherever emission
//! breaks off, what is left is what is still to come; and since a record of a complete window is
//! overtaken, nothing is added to it meanwhile.
//!
//! They are saved piece by piece, a window after another: a row is written before a record changes it, and
//! before it is removed. So in a shard, rows of one window may stand in several places.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::slice;

use hashbrown::hash_table::Entry as Slot;

use super::Overtaken;
use super::keyed::{Emit, FULL, Logic, SAVED_ROWS, Saves};
use super::window::{Assign, Counts, Disjoint, Fold, Frame, Functions, Windowed, Windows};
use super::window::{begin_of, with_offset};
use crate::codec;
use crate::error::Problem;
use crate::graph::{EventTimed, Key, Keyed, Kind, Lasting, NodeSpec, Record, Timed};
use crate::state::by_shard::ByShard;
use crate::state::hash::hash_of;
use crate::state::noted::Noted;
use crate::state::{SHARDS, WriteShard};
use crate::time::{EventTime, Size};

/// Windows of one size, one after the other; made by [`Keyed::tumbling`](crate::graph::Keyed::tumbling).
#[derive(Clone, Copy, Debug)]
pub struct TumblingWindows {
    pub(super) size: i64,
    /// Less than the size.
    pub(super) offset: i64,
}

impl<Q: 'static, T: 'static, K: Kind> Keyed<Q, T, K> {
    /// Divides event time into windows of one size that begin at multiples of it since 1970, or so much
    /// later as [`offset`](Windows::offset) says. The size is a [`Size`] or a [`Duration`](std::time::Duration); 0 is refused when the job starts.
    ///
    /// ```
    /// use stream_core::{EventTime, Lateness, Size, graph::Stream, testing};
    ///
    /// let pipeline = |seconds: Stream<i64>| {
    ///     let (timed, _) = seconds.event_time(|s| EventTime::secs(*s), Lateness::secs(0));
    ///     let counts = timed.key_by(|_| "all".to_string()).tumbling(Size::secs(10)).count();
    ///     counts.map(|window| (window.start, window.value))
    /// };
    /// let rows = testing::rows(pipeline, [1, 9, 10]);
    /// assert_eq!(rows, [(EventTime::secs(0), 2), (EventTime::secs(10), 1)]);
    /// ```
    pub fn tumbling(self, size: impl Into<Size>) -> Windows<Q, T, TumblingWindows>
    where
        K: EventTimed + Lasting,
    {
        let size = size.into();
        if size.as_micros() == 0 {
            self.port.problem(
                Problem::new("a tumbling window has size 0")
                    .hint("give it a length: `Size::secs(10)`"),
            );
        }
        let size = size.as_micros().max(1);
        Windows::new(self.port, TumblingWindows { size, offset: 0 })
    }
}

impl<Q: 'static, T: 'static> Windows<Q, T, TumblingWindows> {
    /// Lets the windows begin so much later than at multiples of their size since 1970T00:00:00Z: at
    /// `n·size + offset` for every integer n. The offset is a [`Size`] or a
    /// [`Duration`](std::time::Duration); of one that is longer than the size only what is left behind whole
    /// sizes counts.
    ///
    /// Days that begin at 22:00 UTC, weeks that begin on Monday (1970 began on a Thursday):
    ///
    /// ```
    /// use stream_core::{EventTime, Lateness, Size, graph::Stream, testing};
    ///
    /// let pipeline = |times: Stream<EventTime>| {
    ///     let (timed, _) = times.event_time(|time| *time, Lateness::secs(0));
    ///     let keyed = timed.key_by(|_| ());
    ///     let days = keyed.clone().tumbling(Size::days(1)).offset(Size::hours(22)).count();
    ///     let weeks = keyed.tumbling(Size::days(7)).offset(Size::days(4)).count();
    ///     days.union(weeks).map(|window| window.start.to_string())
    /// };
    /// let rows = testing::rows(pipeline, ["2026-11-26T08:00:00Z".parse()?]);
    /// assert_eq!(rows, ["2026-11-23T00:00:00Z", "2026-11-25T22:00:00Z"]);
    /// # Ok::<(), stream_core::time::ParseEventTimeError>(())
    /// ```
    pub fn offset(self, offset: impl Into<Size>) -> Self {
        let offset = offset.into().as_micros();
        self.with(|TumblingWindows { size, .. }| TumblingWindows {
            size,
            offset: offset % size,
        })
    }
}

/// Tumbling windows, and those of a calendar.
#[expect(
    private_bounds,
    reason = "how windows are assigned is the engine's own"
)]
impl<Q: 'static, T: 'static, W: Disjoint> Windows<Q, T, W> {
    /// Counts the records of each window.
    pub fn count(self) -> Timed<Windowed<Q, u64>>
    where
        Q: Key,
        T: Record,
    {
        self.counted()
    }

    /// Folds the records of each window into one value, as [`Keyed::fold`] does for a table.
    ///
    /// The result is the same in every mode if the closures are pure and the order of the records
    /// does not matter to them: first and last are to be told by event time, not by arrival.
    ///
    /// ```
    /// use stream_core::{EventTime, Lateness, Size, graph::Stream, testing};
    ///
    /// let pipeline = |seconds: Stream<i64>| {
    ///     let (timed, _) = seconds.event_time(|s| EventTime::secs(*s), Lateness::secs(0));
    ///     let tens = timed.key_by(|_| "all".to_string()).tumbling(Size::secs(10));
    ///     let sums = tens.fold(|| 0, |sum, second| *sum += second);
    ///     sums.map(|window| (window.start, window.value))
    /// };
    /// let rows = testing::rows(pipeline, [1, 9, 10]);
    /// assert_eq!(rows, [(EventTime::secs(0), 10), (EventTime::secs(10), 10)]);
    /// ```
    pub fn fold<A: Record>(
        self,
        init: impl Fn() -> A + 'static,
        step: impl Fn(&mut A, T) + 'static,
    ) -> Timed<Windowed<Q, A>>
    where
        Q: Key,
        T: Record,
    {
        self.fold_with_overtaken(init, step).0
    }

    /// As [`fold`](Windows::fold), and hands over the records that came after their window had
    /// been emitted, with their event times and keys.
    ///
    /// That happens only to records of a lane that joined the job late, for the watermark never
    /// passes an on-time record of a lane that it knows. They are counted in the report.
    pub fn fold_with_overtaken<A: Record>(
        self,
        init: impl Fn() -> A + 'static,
        step: impl Fn(&mut A, T) + 'static,
    ) -> (Timed<Windowed<Q, A>>, Overtaken<Q, T>)
    where
        Q: Key,
        T: Record,
    {
        let merge = |_: &mut A, _: A| unreachable!("these windows never meet");
        self.folded(Functions { init, step, merge })
    }
}

impl Assign for TumblingWindows {
    const KIND: &'static str = "tumbling";
    type Logic<Q: Key, P: Record, A: Record, F: Fold<P, A>> = Tumbling<Q, P, A, F, Self>;

    fn describe(&self, spec: NodeSpec) -> NodeSpec {
        let spec = spec.with("size", Size::micros(self.size.unsigned_abs()));
        with_offset(spec, self.offset)
    }

    fn logic<Q: Key, P: Record, A: Record, F: Fold<P, A>>(
        self,
        fold: F,
        counts: Counts,
    ) -> Tumbling<Q, P, A, F, Self> {
        Tumbling::new(self, fold, counts)
    }
}

impl Disjoint for TumblingWindows {
    #[inline]
    fn around(&self, time: EventTime) -> (EventTime, EventTime) {
        let start = begin_of(time, self.size, self.offset);
        (start, start.plus(self.size))
    }
}

impl<Q, P, A, F, W> Tumbling<Q, P, A, F, W> {
    pub(super) fn new(windows: W, fold: F, counts: Counts) -> Self {
        Tumbling {
            windows,
            fold,
            frame: Frame::new(counts),
            due: EventTime::MAX,
            walked: 0,
            saving: None,
            records: PhantomData,
        }
    }
}

/// What is kept of windows that never meet.
pub(crate) struct Tumbling<Q, P, A, F, W> {
    windows: W,
    fold: F,
    frame: Frame,
    /// No window that is left ends before this.
    due: EventTime,
    /// The bucket at which the walk through the first window goes on, if it is complete.
    walked: usize,
    saving: Option<Saving>,
    records: PhantomData<fn(Q, P) -> A>,
}

type Window<Q, A> = Noted<Q, A>;

/// A save that is under way.
struct Saving {
    written: ByShard,
    /// The window that the walk has come to. All windows before it are written.
    start: i64,
}

/// What it costs to look at one more window, in rows that are written.
const WINDOW_ROWS: usize = 4;

impl Saving {
    /// Writes a row of a window.
    fn write<T: serde::Serialize>(
        &mut self,
        start: i64,
        hash: u64,
        row: &T,
    ) -> Result<usize, Problem> {
        let rows = slice::from_ref(&row); // an array would have no length
        self.written.push(hash, &(start, rows))
    }

    /// Whether rows of a window may still have to be written.
    fn is_ahead(&self, start: i64) -> bool {
        start >= self.start
    }
}

impl<Q, P, A, F, W: Disjoint> Tumbling<Q, P, A, F, W> {
    /// Where the window that starts so ends.
    fn end(&self, start: i64) -> EventTime {
        self.windows.around(EventTime::micros(start)).1
    }
}

impl<Q: Key, P: Record, A: Record, F: Fold<P, A>, W: Disjoint> Tumbling<Q, P, A, F, W> {
    /// Takes in one record.
    #[inline]
    fn fold(
        &mut self,
        state: &mut <Self as Logic>::State,
        hash: u64,
        (time, key, record): (EventTime, Q, P),
        emit: &mut Emit<Self>,
    ) {
        let (start, end) = self.windows.around(time);
        let start = start.as_micros();
        if self.frame.is_complete(end) {
            return self.frame.overtaken((time, key, record), emit);
        }
        self.due = self.due.min(end);
        let window = state.entry(start).or_default();
        if let Some(saving) = &self.saving
            && saving.is_ahead(start)
        {
            // No bucket may be moved without its bit, as `entry` might.
            match window.rows.find_mut(hash, |(other, _)| *other == key) {
                Some((_, value)) => {
                    self.fold.extend(value, record);
                }
                None => {
                    window.insert_new(hash, (key, self.fold.start(record)));
                    self.frame.counts.open.add(1);
                }
            }
            return;
        }
        match window
            .rows
            .entry(hash, |(other, _)| *other == key, |(key, _)| hash_of(key))
        {
            Slot::Occupied(mut slot) => {
                self.fold.extend(&mut slot.get_mut().1, record);
            }
            Slot::Vacant(slot) => {
                slot.insert((key, self.fold.start(record)));
                self.frame.counts.open.add(1);
            }
        }
    }

    /// Empties a window that is complete, bucket after bucket, until there is enough.
    fn empty_window(&mut self, start: i64, window: &mut Window<Q, A>, emit: &mut Emit<Self>) {
        emit.records.reserve(FULL.min(window.rows.len()));
        let mut saving = self.saving.take_if(|saving| saving.is_ahead(start));
        let (number, start, end) = (start, EventTime::micros(start), self.end(start));
        while !window.rows.is_empty() && emit.records.len() < FULL {
            // Coming round again, should the table have been built anew.
            if self.walked >= window.rows.num_buckets() {
                self.walked = 0;
            }
            if let Some(saving) = &mut saving
                && let Some(row) = window.take_unwritten(self.walked)
                && let Err(problem) = saving.write(number, hash_of(&row.0), row)
            {
                saving.written.fail(problem);
            }
            if let Ok(entry) = window.rows.get_bucket_entry(self.walked) {
                let ((key, value), place) = entry.remove();
                let complete = Windowed {
                    key,
                    start,
                    end,
                    value,
                };
                if let Some(rest) = self.fold.emit(complete, &mut emit.records) {
                    place.insert((rest.key, rest.value));
                    break;
                }
                self.frame.counts.open.sub(1);
            }
            self.walked += 1;
        }
        self.saving = saving.or(self.saving.take());
    }
}

impl<Q: Key, P: Record, A: Record, F: Fold<P, A>, W: Disjoint> Logic for Tumbling<Q, P, A, F, W> {
    type Record = (EventTime, Q, P);
    type State = BTreeMap<i64, Noted<Q, A>>;
    type Stamp = EventTime;
    type Out = Windowed<Q, F::Value>;

    #[inline]
    fn hash((_, key, _): &(EventTime, Q, P)) -> u64 {
        hash_of(key)
    }

    fn empty(&self) -> Self::State {
        BTreeMap::new()
    }

    fn fold_all(
        &mut self,
        state: &mut Self::State,
        records: impl Iterator<Item = Self::Record>,
        emit: &mut Emit<Self>,
    ) {
        for record in records {
            self.fold(state, hash_of(&record.1), record, emit);
        }
    }

    fn due(&self) -> EventTime {
        self.due
    }

    fn begin_advance(&mut self, watermark: EventTime) {
        self.frame.watermark = watermark;
    }

    fn advance(&mut self, state: &mut Self::State, emit: &mut Emit<Self>) -> bool {
        while let Some(mut first) = state.first_entry() {
            let start = *first.key();
            self.due = self.end(start);
            if !self.frame.is_complete(self.due) {
                return false;
            }
            self.empty_window(start, first.get_mut(), emit);
            if !first.get().rows.is_empty() {
                return true;
            }
            first.remove();
            self.walked = 0;
        }
        self.due = EventTime::MAX;
        false
    }
}

impl<Q: Key, P: Record, A: Record, F: Fold<P, A>, W: Disjoint> Saves for Tumbling<Q, P, A, F, W> {
    fn begin_save(&mut self, _: &mut Self::State, _: bool) -> bool {
        self.saving = Some(Saving {
            written: ByShard::default(),
            start: i64::MIN,
        });
        true
    }

    fn save(&mut self, state: &mut Self::State, write: WriteShard<'_>) -> Result<bool, Problem> {
        let Some(saving) = &mut self.saving else {
            return Ok(false);
        };
        saving.written.check()?;
        let mut left = SAVED_ROWS;
        for (start, window) in state.range_mut(saving.start..) {
            saving.start = *start;
            left = left.saturating_sub(WINDOW_ROWS);
            let is_all = if window.rows.len() < SHARDS {
                window.save(&mut left, &mut |hash, row| saving.write(*start, hash, row))?
            } else {
                let mut rows = ByShard::default();
                let is_all = window.save(&mut left, &mut |hash, row| rows.push(hash, row))?;
                saving.written.push_with(start, rows)?;
                is_all
            };
            if !is_all {
                return Ok(true);
            }
        }
        let saved = self.saving.take().map(|saving| saving.written);
        saved.map_or(Ok(()), |saved| saved.finish(write))?;
        Ok(false)
    }

    fn save_before_change(
        &mut self,
        state: &mut Self::State,
        records: &[Self::Record],
    ) -> Result<usize, Problem> {
        let mut written = 0;
        for (time, key, _) in records {
            let start = self.windows.around(*time).0.as_micros();
            let Some(saving) = self.saving.as_mut().filter(|saving| saving.is_ahead(start)) else {
                continue;
            };
            let hash = hash_of(key);
            let window = state.get_mut(&start);
            if let Some(row) = window.and_then(|window| window.take_unwritten_of(hash, key)) {
                saving.write(start, hash, row)?;
                written += 1;
            }
        }
        Ok(written)
    }

    fn load(&mut self, state: &mut Self::State, bytes: &[u8]) -> Result<(), Problem> {
        for (start, keys) in codec::decode::<Vec<(i64, Vec<(Q, A)>)>>(bytes)? {
            self.due = self.due.min(self.end(start));
            self.frame.counts.open.add(keys.len());
            let window = state.entry(start).or_default();
            for (key, value) in keys {
                window
                    .rows
                    .insert_unique(hash_of(&key), (key, value), |(key, _)| hash_of(key));
            }
        }
        Ok(())
    }
}
