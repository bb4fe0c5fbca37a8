//! Rows that are forgotten when the watermark has come to a time of theirs.
//!
//! Definition. Each record says until when what it leaves is kept, and a row is kept until the last of these times.
//! A record at that time or behind it finds no row, whether the watermark has come there or not: so what it finds
//! depends on the records of its key, and not on when the operator is told of a watermark. A record is overtaken when
//! the watermark has reached the time until which what it leaves would be kept.
//!
//! At the end of input nothing more is forgotten: rows stay that no watermark has come to, and that is the same in
//! every mode, as the last watermark is that of the lane that has come furthest.
//!
//! A row has one timer, which is not moved when the row is kept for longer: it is set anew when it falls due.
//! Those of a table that tells what has changed at a batch's close wait for it.

use serde::{Deserialize, Serialize};

use super::keyed::{self, Emit, FULL, Logic, SAVED_ROWS, Saves};
use super::operator::logic::Counts;
use super::timers::Timers;
use crate::engine::Emission;
use crate::engine::flow::Flow;
use crate::error::Problem;
use crate::graph::context::Context;
use crate::graph::node::{Port, Render};
use crate::graph::{Key, Record, Stamp};
use crate::state::WriteShard;
use crate::state::hash::hash_of;
use crate::state::rows::{Cursor, Place, Rows};
use crate::time::EventTime;

/// What is kept for a key until some time, and what is told of it.
pub(super) trait Expire: 'static {
    /// What is known of a record's time.
    type At: Stamp;
    type Key: Key;
    type In: Record;
    type State: Record;
    /// What travels beside a record that is emitted.
    type Stamp: Stamp;
    type Out: 'static;

    /// Whether what is told of a key takes the place of what was told of it before. Else it is told with the record
    /// that it is about, by [`start`](Expire::start) and [`extend`](Expire::extend).
    const IS_TABLE: bool;
    /// Whether a record finds nothing of its key from the time on until which that is kept.
    const BEGINS_ANEW: bool = true;

    /// The time of a record, and the one until which what it leaves is kept.
    fn times(&self, at: Self::At, record: &Self::In) -> (EventTime, EventTime);

    /// Takes in the first record of a key.
    fn start(
        &self,
        key: &Self::Key,
        at: Self::At,
        record: Self::In,
        out: &mut Out<Self>,
    ) -> Self::State;

    /// Takes in another one. Of a table: tells whether there is anything new to tell of the key; of others: `true`.
    fn extend(
        &self,
        key: &Self::Key,
        state: &mut Self::State,
        at: Self::At,
        record: Self::In,
        out: &mut Out<Self>,
    ) -> bool;

    /// Whether there is anything in what is kept: a row that was deleted is kept until its time, too, so that a key
    /// has one timer however often it comes and goes.
    fn is_there(&self, _state: &Self::State) -> bool {
        true
    }

    /// Whether a record is taken in though it comes too late to begin anything.
    fn takes_in(&self, _state: &Self::State, _at: Self::At, _watermark: EventTime) -> bool {
        false
    }

    /// Whether a record counts as overtaken where it comes too late: what is a part of one may leave that to another.
    fn counts(&self, _at: Self::At, _key: &Self::Key) -> bool {
        true
    }

    /// Is told the watermark, before a record of the key is taken in.
    fn pass(
        &self,
        _key: &Self::Key,
        _state: &mut Self::State,
        _watermark: EventTime,
        _out: &mut Out<Self>,
    ) {
    }

    /// Of a table: tells what is kept of a key.
    fn tell(&self, _key: &Self::Key, _state: &mut Self::State, _out: &mut Out<Self>) {}

    /// The same of all that is kept, whatever was told of it before.
    fn tell_all(&self, key: &Self::Key, state: &mut Self::State, out: &mut Out<Self>) {
        self.tell(key, state, out);
    }

    /// Of a table: tells what there is to tell of a key that is forgotten.
    fn tell_last(
        &self,
        _key: &Self::Key,
        _state: &mut Self::State,
        _told: Told,
        _out: &mut Out<Self>,
    ) {
    }
}

/// Where what is emitted goes.
pub(super) type Out<E> = Vec<(<E as Expire>::Stamp, <E as Expire>::Out)>;

/// What was told of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Told {
    Nothing,
    /// What it was before it changed.
    Before,
    /// What it is.
    All,
}

/// What is kept for a key.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Row<A> {
    until: EventTime,
    /// When its timer falls due.
    timer: EventTime,
    told: Told,
    /// Whether its time has come, and that is still to be told.
    is_over: bool,
    state: A,
}

impl Told {
    /// What is told of a row that was changed.
    pub(super) fn changed(self) -> Told {
        match self {
            Told::Nothing => Told::Nothing,
            Told::Before | Told::All => Told::Before,
        }
    }
}

type Kept<E> = Rows<<E as Expire>::Key, Row<<E as Expire>::State>>;

pub(super) struct Expiring<E> {
    expire: E,
    emission: Emission,
    watermark: EventTime,
    timers: Timers,
    counts: Counts,
    /// How far the walk has come that tells all rows.
    walked: Cursor,
    /// What a row could not be written for before it was removed.
    failed: Option<Problem>,
}

/// Renders such rows behind a flow. `record` makes of what comes the time, the key and what is taken in; rows
/// stay for about `length` microseconds.
pub(super) fn render<'s, T: 'static, E: Expire>(
    context: &mut Context<'s>,
    node: usize,
    flow: Flow<'s>,
    record: impl Fn(E::At, T) -> (E::At, E::Key, E::In) + 'static,
    length: i64,
    expire: E,
) {
    let emission = match E::IS_TABLE {
        true => context.local.mode.table_emission(),
        false => Emission::AtOnce,
    };
    let id = context.id(node);
    let counts = Counts::of(&context.local.counters, id);
    let logic = logic(expire, emission, counts, length);
    keyed::render(context, node, flow, record, emission, logic);
}

/// The logic of such rows.
pub(super) fn logic<E: Expire>(
    expire: E,
    emission: Emission,
    counts: Counts,
    length: i64,
) -> Expiring<E> {
    Expiring {
        expire,
        emission,
        watermark: EventTime::MIN,
        timers: Timers::new(length / BUCKETS),
        counts,
        walked: Cursor::default(),
        failed: None,
    }
}

/// A stage whose records are made what is taken in one by one.
pub(super) struct Rendering<S, Q, T, R, E> {
    pub(super) input: Port<S, (Q, T)>,
    pub(super) project: R,
    /// About how long rows stay, in microseconds.
    pub(super) length: i64,
    pub(super) expire: E,
}

impl<S, Q, T, R, E> Render for Rendering<S, Q, T, R, E>
where
    S: Stamp,
    Q: Key,
    T: 'static,
    R: Fn(T) -> E::In + 'static,
    E: Expire<At = S, Key = Q>,
{
    fn render<'s>(self: Box<Self>, node: usize, context: &mut Context<'s>) {
        let flow = context.take(self.input.spec());
        let project = self.project;
        let record = move |at: S, (key, record): (Q, T)| (at, key, project(record));
        render(context, node, flow, record, self.length, self.expire);
    }
}

/// How many buckets of timers the time is divided into that a row stays, at least.
const BUCKETS: i64 = 32;

impl<E: Expire> Expiring<E> {
    fn take(
        &mut self,
        rows: &mut Kept<E>,
        (at, key, record): (E::At, E::Key, E::In),
        (time, until): (EventTime, EventTime),
        out: &mut Out<E>,
    ) {
        let hash = hash_of(&key);
        let found = rows.place_in(rows.segment_of(hash), hash, &key);
        let place = match found {
            Some(place) => place,
            None => return self.take_first(rows, hash, (at, key, until, record), out),
        };
        if let Some(row) = rows.at(place) {
            // What would be kept until behind the end of time is kept.
            let has_ended = row.is_over || time >= row.until && row.until < EventTime::MAX;
            let begins_anew = E::BEGINS_ANEW && has_ended;
            if std::mem::take(&mut row.is_over) {
                row.timer = until;
                self.timers.set(until, hash);
            }
            let is_news = if begins_anew {
                row.state = self.expire.start(&key, at, record, out);
                row.until = until;
                true
            } else {
                self.expire.pass(&key, &mut row.state, self.watermark, out);
                row.until = row.until.max(until);
                self.expire.extend(&key, &mut row.state, at, record, out)
            };
            if !is_news {
                return rows.note_changed(hash);
            }
            row.told = row.told.changed();
        }
        self.note(rows, place, hash);
    }

    /// Whether a record that comes too late to begin anything is taken in all the same.
    #[cold]
    fn takes_in(&self, rows: &mut Kept<E>, (at, key, _): &(E::At, E::Key, E::In)) -> bool {
        let hash = hash_of(key);
        let place = rows.place_in(rows.segment_of(hash), hash, key);
        let row = place.and_then(|place| rows.at(place));
        let takes_in = |state: &_| self.expire.takes_in(state, *at, self.watermark);
        row.is_some_and(|row| !row.is_over && takes_in(&row.state))
    }

    #[inline(never)]
    fn take_first(
        &mut self,
        rows: &mut Kept<E>,
        hash: u64,
        (at, key, until, record): (E::At, E::Key, EventTime, E::In),
        out: &mut Out<E>,
    ) {
        let state = self.expire.start(&key, at, record, out);
        if !E::IS_TABLE && !self.expire.is_there(&state) {
            return;
        }
        let row = Row {
            until,
            timer: until,
            told: Told::Nothing,
            is_over: false,
            state,
        };
        self.timers.set(until, hash);
        self.counts.keys.add(1);
        let place = rows.insert(hash, key, row);
        self.note(rows, place, hash);
    }

    /// Notes that a row was changed.
    #[inline]
    fn note(&self, rows: &mut Kept<E>, place: Place, hash: u64) {
        match E::IS_TABLE && self.emission != Emission::End {
            true => rows.mark(place, hash),
            false => rows.note_changed(hash),
        }
    }

    /// Tells so many of the rows that were changed. Tells whether there are more.
    fn tell_changed(&self, rows: &mut Kept<E>, max: usize, out: &mut Out<E>) -> bool {
        rows.settle_marked(max, |key, row| {
            if row.is_over {
                self.tell_last(key, row, out);
                return false;
            }
            self.expire.tell(key, &mut row.state, out);
            row.told = Told::All;
            true
        })
    }

    /// Tells what there is to tell of a row that is removed.
    fn tell_last(&self, key: &E::Key, row: &mut Row<E::State>, out: &mut Out<E>) {
        self.counts.keys.sub(1);
        // That it was deleted may not have been told yet.
        if row.told == Told::Before || self.expire.is_there(&row.state) {
            self.expire.tell_last(key, &mut row.state, row.told, out);
        }
    }

    /// Looks at the row that set a timer for a time: it is over, or sets its timer anew. A timer that nobody has
    /// any more is that of a row that is gone.
    fn ring(
        &mut self,
        rows: &mut Kept<E>,
        time: EventTime,
        hash: u64,
        out: &mut Out<E>,
    ) -> Result<(), Problem> {
        let Some(place) = rows.find(hash, |row| row.timer == time && !row.is_over) else {
            return Ok(());
        };
        let Some(row) = rows.at(place) else {
            return Ok(());
        };
        if row.until > self.watermark {
            row.timer = row.until;
            self.timers.set(row.until, hash);
            return Ok(());
        }
        rows.save_before_place(place, hash)?;
        if E::IS_TABLE && self.emission == Emission::BatchClose {
            if let Some(row) = rows.at(place) {
                row.is_over = true;
            }
            rows.mark(place, hash);
        } else if let Some((key, mut row)) = rows.remove_at(place, hash) {
            self.tell_last(&key, &mut row, out);
        }
        Ok(())
    }
}

impl<E: Expire> Logic for Expiring<E> {
    type Record = (E::At, E::Key, E::In);
    type State = Kept<E>;
    type Stamp = E::Stamp;
    type Out = E::Out;

    const IS_TABLE: bool = E::IS_TABLE;

    #[inline]
    fn hash((_, key, _): &Self::Record) -> u64 {
        hash_of(key)
    }

    fn empty(&self) -> Self::State {
        Rows::new()
    }

    fn fold_all(
        &mut self,
        rows: &mut Self::State,
        records: impl Iterator<Item = Self::Record>,
        emit: &mut Emit<Self>,
    ) {
        for record in records {
            let times = self.expire.times(record.0, &record.2);
            if times.1 <= self.watermark && !self.takes_in(rows, &record) {
                if !self.expire.counts(record.0, &record.1) {
                    continue;
                }
                self.counts.overtaken.add(1);
                if emit.wants_overtaken {
                    emit.overtaken.push(((), record));
                }
                continue;
            }
            self.take(rows, record, times, &mut emit.records);
        }
        if E::IS_TABLE && self.emission == Emission::AtOnce {
            self.tell_changed(rows, usize::MAX, &mut emit.records);
        }
    }

    fn due(&self) -> EventTime {
        self.timers.due()
    }

    fn begin_advance(&mut self, watermark: EventTime) {
        self.watermark = watermark;
    }

    fn advance(&mut self, rows: &mut Self::State, emit: &mut Emit<Self>) -> bool {
        // The end of input is no time.
        if self.watermark == EventTime::MAX {
            return false;
        }
        for _ in 0..FULL {
            let Some((time, hash)) = self.timers.pop(self.watermark) else {
                return false;
            };
            if let Err(problem) = self.ring(rows, time, hash, &mut emit.records) {
                self.failed = Some(problem);
            }
        }
        self.timers.due() <= self.watermark
    }

    fn close(&mut self, rows: &mut Self::State, emit: &mut Emit<Self>) -> bool {
        self.tell_changed(rows, FULL, &mut emit.records)
    }

    fn emit_all(&mut self, rows: &mut Self::State, emit: &mut Emit<Self>) -> bool {
        rows.note_all_changed();
        let (expire, out) = (&self.expire, &mut emit.records);
        // A checkpoint from before may be written meanwhile. Then what stands in it was told of no row, so it must not
        // say more than that something may have been.
        rows.walk(&mut self.walked, FULL, |key, row| {
            expire.tell_all(key, &mut row.state, out);
            row.told = Told::Before;
        })
    }
}

impl<E: Expire> Saves for Expiring<E> {
    fn begin_save(&mut self, rows: &mut Self::State, everything: bool) -> bool {
        rows.begin_save(everything);
        everything
    }

    fn save(&mut self, rows: &mut Self::State, write: WriteShard<'_>) -> Result<bool, Problem> {
        self.failed.take().map_or(Ok(()), Err)?;
        rows.save(SAVED_ROWS, write)
    }

    fn save_before_change(
        &mut self,
        rows: &mut Self::State,
        records: &[Self::Record],
    ) -> Result<usize, Problem> {
        rows.save_before_change(records.iter().map(|(_, key, _)| key))
    }

    fn load(&mut self, rows: &mut Self::State, bytes: &[u8]) -> Result<(), Problem> {
        rows.load_each(bytes, |hash, row| {
            self.timers.set(row.timer, hash);
            self.counts.keys.add(1);
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::graph::{Change, Graph};
    use crate::observe::Counters;
    use crate::ops::{Entry, Windowed};
    use crate::run::{BatchCut, StateStore};
    use crate::time::{Gap, Lateness, Leap, Size};
    use crate::{Job, Mode, io};

    /// What comes in one run, which a boundary may stand before.
    pub(in crate::ops) type Run<R> = Vec<Step<R>>;

    /// A record, or the watermark behind some.
    pub(in crate::ops) enum Step<R> {
        Take(R),
        Pass(EventTime),
    }

    struct Driven<E: Expire> {
        logic: Expiring<E>,
        state: Kept<E>,
        emission: Emission,
    }

    /// Goes through runs of steps as an operator does, and through crashes, from which it goes on in another mode. Gives
    /// what is told of each key at last.
    pub(in crate::ops) fn drive<E, Q, V>(
        rng: &mut fastrand::Rng,
        make: impl Fn() -> E,
        runs: &[Run<(E::At, E::Key, E::In)>],
    ) -> BTreeMap<Q, V>
    where
        E: Expire<Out = Change<Q, V>>,
        E::In: Clone,
        Q: Ord + Clone + 'static,
        V: Clone + 'static,
    {
        let fresh = |emission| {
            let counters = Counters::default();
            let counts = Counts::of(&counters, "stage");
            let logic = logic(make(), emission, counts, 9);
            Driven {
                state: logic.empty(),
                logic,
                emission,
            }
        };
        let modes = [Emission::AtOnce, Emission::BatchClose, Emission::End];
        let mut driven = fresh(modes[rng.usize(0..3)]);
        let mut emit = Emit::<Expiring<E>>::new(false);
        // What a save that is under way says: the run that comes next, what had been told by then, the watermark.
        let mut saving: Option<(usize, usize, EventTime, bool)> = None;
        let mut run = 0;
        let mut crashes = rng.usize(0..6);
        loop {
            let crashes_now = crashes > 0 && rng.usize(0..4) == 0;
            if let Some((next, told, watermark, is_withheld)) = saving
                && (crashes_now || rng.bool())
            {
                let mut saved = Vec::new();
                let mut write = |_, bytes: Vec<u8>| {
                    saved.push(bytes);
                    Ok(())
                };
                while driven.logic.save(&mut driven.state, &mut write).unwrap() {}
                saving = None;
                if crashes_now {
                    crashes -= 1;
                    emit.records.truncate(told);
                    run = next;
                    driven = fresh(modes[rng.usize(0..3)]);
                    driven.logic.begin_advance(watermark);
                    for bytes in saved {
                        driven.logic.load(&mut driven.state, &bytes).unwrap();
                    }
                    if is_withheld && driven.emission != Emission::End {
                        while driven.logic.emit_all(&mut driven.state, &mut emit) {}
                    }
                    continue;
                }
            }
            if run == runs.len() && crashes > 0 && saving.is_some() {
                crashes -= 1; // it may crash behind the end, too
                continue;
            }
            if run >= runs.len() {
                break;
            }
            if saving.is_none() && rng.bool() {
                let is_withheld = driven.emission == Emission::End;
                saving = Some((run, emit.records.len(), driven.logic.watermark, is_withheld));
                driven.logic.begin_save(&mut driven.state, true);
            }
            let Driven {
                logic,
                state,
                emission,
            } = &mut driven;
            for step in &runs[run] {
                match step {
                    Step::Take((at, key, record)) => {
                        let record = [(*at, key.clone(), record.clone())];
                        logic.save_before_change(state, &record).unwrap();
                        logic.fold_all(state, record.into_iter(), &mut emit);
                    }
                    Step::Pass(watermark) => {
                        logic.begin_advance(*watermark);
                        while logic.advance(state, &mut emit) {}
                    }
                }
            }
            if *emission == Emission::BatchClose {
                while logic.close(state, &mut emit) {}
            }
            run += 1;
            if run == runs.len() {
                logic.begin_advance(EventTime::MAX);
                while logic.advance(state, &mut emit) {}
                if *emission == Emission::End {
                    while logic.emit_all(state, &mut emit) {}
                }
            }
        }
        let mut last = BTreeMap::new();
        for (_, change) in emit.records {
            match change.value {
                Some(value) => last.insert(change.key, value),
                None => last.remove(&change.key),
            };
        }
        last
    }

    /// Checkpoints are made all the time, and in tests a save takes many pieces, between which rows are forgotten.
    #[test]
    fn what_is_forgotten_during_saves_is_forgotten_once() {
        const KEYS: i64 = 2_000;
        const RECORDS: i64 = 40_000;
        let cut = BatchCut {
            records: Some(3_000),
            ..BatchCut::default()
        };
        for mode in [Mode::PerRecord, Mode::MicroBatch(cut), Mode::Batch] {
            for workers in [1, 2] {
                let (counts_sink, counts) = io::collect::<Entry<i64, u64>>();
                let (days_sink, days) =
                    io::collect::<Change<(i64, EventTime), Windowed<i64, u64>>>();
                let job = Job::new("forgets", |graph: &Graph| {
                    // From the midst on half of the keys are silent.
                    let key = |n: &i64| n % if *n < RECORDS / 2 { KEYS } else { KEYS / 2 };
                    let numbers = graph.input::<i64>("in");
                    let (timed, _) =
                        numbers.event_time(|n| EventTime::micros(*n), Lateness::micros(0));
                    let timed = timed.key_by(key);
                    let days = timed.clone().tumbling(Size::micros(5_000)).early();
                    graph.output("counts", timed.ttl(Gap::micros(5_000)).count());
                    graph.output("days", days.count());
                });
                job.source("in", io::vec((0..RECORDS).collect::<Vec<i64>>()))
                    .sink("counts", counts_sink)
                    .sink("days", days_sink)
                    .workers(workers)
                    .max_leap(Leap::ANY)
                    .state(StateStore::memory())
                    .checkpoint_interval(Duration::from_millis(1))
                    .run(mode)
                    .unwrap();
                let mut counts = counts.take();
                counts.sort_unstable();
                let expected = (0..KEYS / 2).map(|key| Entry { key, value: 30 });
                assert_eq!(counts, expected.collect::<Vec<_>>(), "{mode}");
                let last: BTreeMap<_, _> = days
                    .take()
                    .into_iter()
                    .map(|row| (row.key, row.value.map_or(0, |window| window.value)))
                    .collect();
                assert_eq!(last.values().sum::<u64>(), RECORDS as u64, "{mode}");
                assert_eq!(last.len() as i64, 4 * KEYS + 4 * KEYS / 2, "{mode}");
            }
        }
    }
}
