//! A user's operator on the core of all keyed ones.
//!
//! A key has a row as long as it has a state or timers. Timers stand in the row, where they are saved with the
//! state, and in a calendar for all keys, which is made anew from the rows. One that was cancelled stays in
//! the calendar until it falls due, and finds no row that has it.
//!
//! **In order.** Where the records of a key come in the order of event time, a record tells that all older ones
//! of its key are in. So the timers up to its time are called before it, whether the watermark has come to
//! them or not: records and timers of a key follow one another in one order in every mode.
//!
//! **The end.** When the input has ended, all keys are walked through: the timers of each are called in their
//! order, then `end`, and the row is gone. It is saved piece by piece as sessions are.

use serde::{Deserialize, Serialize};

use super::cx::Timers as KeyTimers;
use super::{Cx, KeyedOperator};
use crate::codec;
use crate::error::Problem;
use crate::observe::{Counter, Counters};
use crate::ops::keyed::{Emit, FULL, Logic, SAVED_ROWS, Saves};
use crate::ops::timers::{AHEAD, Timers};
use crate::state::WriteShard;
use crate::state::hash::hash_of;
use crate::state::noted::{Noted, Save};
use crate::time::EventTime;

/// How wide the buckets of the calendar are, in microseconds.
const BUCKET: i64 = 1_000_000;

/// A table of so many buckets fits no near cache.
const FAR: usize = 1 << 15;

/// What is kept for a key.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Row<S> {
    state: S,
    timers: KeyTimers,
}

impl<S: PartialEq> Row<S> {
    #[inline]
    fn is_idle(&self, none: &S) -> bool {
        self.timers.is_nothing() && self.state == *none
    }

    #[cfg(test)]
    pub(super) fn state(&self) -> &S {
        &self.state
    }

    #[cfg(test)]
    pub(super) fn timers(&self) -> usize {
        self.timers.all().len()
    }
}

/// What an operator counts for the report.
pub(crate) struct Counts {
    /// Keys that have a row.
    pub(crate) keys: Counter,
    /// Records that are older than the watermark.
    pub(crate) overtaken: Counter,
}

impl Counts {
    /// Those of an operator.
    pub(crate) fn of(counters: &Counters, operator: &str) -> Self {
        Counts {
            keys: counters.counter(operator, "keys"),
            overtaken: counters.counter(operator, "overtaken"),
        }
    }
}

pub(crate) struct Own<O: KeyedOperator> {
    calls: Calls<O>,
    is_in_order: bool,
    counts: Counts,
    /// Records whose rows have been asked for; none between two calls.
    ahead: Vec<(u64, Timed<O>)>,
    /// The bucket of the table at which the walk at the end goes on.
    walked: usize,
    saving: Save,
}

/// The operator, and what it is called with.
struct Calls<O: KeyedOperator> {
    operator: O,
    cx: Cx<O::Out>,
    timers: Timers,
    /// The state that a key has which has no row.
    none: O::State,
}

/// A record with its event time and its key.
type Timed<O> = (
    EventTime,
    <O as KeyedOperator>::Key,
    <O as KeyedOperator>::In,
);

type Table<O> = Noted<<O as KeyedOperator>::Key, Row<<O as KeyedOperator>::State>>;

impl<O: KeyedOperator> Calls<O> {
    /// Calls the operator for a key at a time.
    #[inline(always)]
    fn call(
        &mut self,
        hash: u64,
        row: &mut Row<O::State>,
        time: EventTime,
        call: impl FnOnce(&O, &mut O::State, &mut Cx<O::Out>),
    ) {
        let Calls {
            operator,
            cx,
            timers,
            ..
        } = self;
        cx.time = time;
        if !row.timers.is_nothing() {
            std::mem::swap(&mut cx.timers, &mut row.timers);
        }
        call(operator, &mut row.state, cx);
        if !cx.timers.is_nothing() {
            cx.timers.shrink();
            std::mem::swap(&mut cx.timers, &mut row.timers);
        }
        while let Some(at) = cx.set.pop() {
            timers.set(at, hash);
        }
    }

    /// Calls the timers of a key up to a time, in their order.
    fn call_timers(&mut self, hash: u64, key: &O::Key, row: &mut Row<O::State>, until: EventTime) {
        while let Some(at) = row.timers.pop_due(until) {
            self.call(hash, row, at, |operator, state, cx| {
                operator.timer(key, at, state, cx);
            });
        }
    }
}

impl<O: KeyedOperator> Own<O> {
    pub(crate) fn new(operator: O, is_in_order: bool, counts: Counts) -> Self {
        Own {
            calls: Calls {
                operator,
                cx: Cx::new(),
                timers: Timers::new(BUCKET),
                none: O::State::default(),
            },
            is_in_order,
            counts,
            ahead: Vec::new(),
            walked: 0,
            saving: Save::default(),
        }
    }

    fn watermark(&self) -> EventTime {
        self.calls.cx.watermark
    }

    /// Takes in a record.
    #[inline(always)]
    fn take(&mut self, table: &mut Table<O>, hash: u64, (time, key, record): Timed<O>) {
        let Some((key, row)) = table.rows.find_mut(hash, |(other, _)| *other == key) else {
            return self.take_first(table, hash, (time, key, record));
        };
        if self.is_in_order {
            self.calls.call_timers(hash, key, row, time);
        }
        self.calls.call(hash, row, time, |operator, state, cx| {
            operator.record(key, record, state, cx);
        });
        if row.is_idle(&self.calls.none) {
            self.forget(table, hash);
        }
    }

    /// The same of many for a table that fits no near cache: rows are asked for some records ahead.
    #[inline(never)]
    fn take_ahead(
        &mut self,
        table: &mut Table<O>,
        mut records: impl Iterator<Item = (u64, Timed<O>)>,
    ) {
        let mut ahead = std::mem::take(&mut self.ahead);
        loop {
            ahead.extend(records.by_ref().take(AHEAD));
            if ahead.is_empty() {
                break;
            }
            ahead.iter().for_each(|(hash, _)| table.prefetch(*hash));
            for (hash, record) in ahead.drain(..) {
                self.take(table, hash, record);
            }
        }
        self.ahead = ahead;
    }

    /// Removes the row that has become idle: no other one is.
    #[inline(never)]
    fn forget(&mut self, table: &mut Table<O>, hash: u64) {
        let none = &self.calls.none;
        if let Ok(entry) = table.rows.find_entry(hash, |(_, row)| row.is_idle(none)) {
            entry.remove();
            self.counts.keys.sub(1);
        }
    }

    /// Takes in a record of a key that has no row.
    #[inline(never)]
    fn take_first(&mut self, table: &mut Table<O>, hash: u64, (time, key, record): Timed<O>) {
        let mut row = Row::default();
        self.calls
            .call(hash, &mut row, time, |operator, state, cx| {
                operator.record(&key, record, state, cx);
            });
        if row.is_idle(&self.calls.none) {
            return;
        }
        self.counts.keys.add(1);
        match self.saving.is_under_way() {
            true => table.insert_new(hash, (key, row)),
            false => {
                let rows = &mut table.rows;
                rows.insert_unique(hash, (key, row), |(key, _)| hash_of(key));
            }
        }
    }

    /// Calls the timers of the key that has set this one, if it still has.
    fn ring(&mut self, table: &mut Table<O>, at: EventTime, hash: u64) {
        let has_set_it =
            |(key, row): &(O::Key, Row<O::State>)| row.timers.contains(at) && hash_of(key) == hash;
        if self.saving.is_under_way()
            && let Some(bucket) = table.rows.find_bucket_index(hash, has_set_it)
        {
            self.saving.before_bucket(table, bucket, hash);
        }
        let Ok(mut entry) = table.rows.find_entry(hash, has_set_it) else {
            return;
        };
        let (key, row) = entry.get_mut();
        self.calls.call_timers(hash, key, row, at);
        if row.is_idle(&self.calls.none) {
            entry.remove();
            self.counts.keys.sub(1);
        }
    }

    /// Calls the timers that are due, until there is enough. Tells whether there are more.
    fn ring_due(&mut self, table: &mut Table<O>, watermark: EventTime) -> bool {
        for _ in 0..FULL {
            let Some((at, hash)) = self.calls.timers.pop(watermark) else {
                return false;
            };
            if let Some(soon) = self.calls.timers.soon(AHEAD) {
                table.prefetch(soon);
            }
            self.ring(table, at, hash);
            if self.calls.cx.out.len() >= FULL {
                break;
            }
        }
        self.calls.timers.due() <= watermark
    }

    /// Ends key after key, until there is enough.
    fn end(&mut self, table: &mut Table<O>) -> bool {
        self.calls.timers.clear();
        self.calls.cx.has_ended = true;
        while !table.rows.is_empty() {
            if self.calls.cx.out.len() >= FULL {
                return true;
            }
            if self.walked >= table.rows.num_buckets() {
                self.walked = 0;
            }
            if self.saving.is_under_way()
                && let Some(row) = table.rows.get_bucket(self.walked)
            {
                let hash = hash_of(&row.0);
                self.saving.before_bucket(table, self.walked, hash);
            }
            if let Ok(entry) = table.rows.get_bucket_entry(self.walked) {
                let ((key, mut row), _) = entry.remove();
                self.counts.keys.sub(1);
                let hash = hash_of(&key);
                self.calls.call_timers(hash, &key, &mut row, EventTime::MAX);
                if row.state != self.calls.none {
                    self.calls
                        .call(hash, &mut row, EventTime::MAX, |operator, state, cx| {
                            operator.end(&key, state, cx);
                        });
                }
            }
            self.walked += 1;
        }
        false
    }
}

impl<O: KeyedOperator> Logic for Own<O> {
    type Record = Timed<O>;
    type State = Table<O>;
    type Stamp = EventTime;
    type Out = O::Out;

    #[inline]
    fn hash((_, key, _): &Timed<O>) -> u64 {
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
        std::mem::swap(&mut self.calls.cx.out, &mut emit.records);
        let watermark = self.watermark();
        let (overtaken, wants_overtaken) = (&mut emit.overtaken, emit.wants_overtaken);
        let mut older = 0;
        let on_time = records.filter_map(|record| {
            if record.0 >= watermark {
                return Some((hash_of(&record.1), record));
            }
            older += 1;
            if wants_overtaken {
                overtaken.push(((), record));
            }
            None
        });
        match table.rows.num_buckets() < FAR {
            true => on_time.for_each(|(hash, record)| self.take(table, hash, record)),
            false => self.take_ahead(table, on_time),
        }
        self.counts.overtaken.add(older);
        std::mem::swap(&mut self.calls.cx.out, &mut emit.records);
    }

    fn due(&self) -> EventTime {
        self.calls.timers.due()
    }

    fn begin_advance(&mut self, watermark: EventTime) {
        self.calls.cx.watermark = watermark;
    }

    fn advance(&mut self, table: &mut Self::State, emit: &mut Emit<Self>) -> bool {
        std::mem::swap(&mut self.calls.cx.out, &mut emit.records);
        let watermark = self.watermark();
        let has_more = match watermark == EventTime::MAX {
            true => self.end(table),
            false => self.ring_due(table, watermark),
        };
        std::mem::swap(&mut self.calls.cx.out, &mut emit.records);
        has_more
    }
}

impl<O: KeyedOperator> Saves for Own<O> {
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
        for (key, row) in codec::decode::<Vec<(O::Key, Row<O::State>)>>(bytes)? {
            let hash = hash_of(&key);
            for at in row.timers.all() {
                self.calls.timers.set(at, hash);
            }
            self.counts.keys.add(1);
            let rows = &mut table.rows;
            rows.insert_unique(hash, (key, row), |(key, _)| hash_of(key));
        }
        Ok(())
    }
}
