//! Session windows: records of a key that lie less than a gap apart.
//!
//! Definition. A record at t is a window `[t, t + gap)`. Windows of a key that overlap are one
//! window. So a session is `[first, last + gap)`, a distance of exactly the gap begins a new one,
//! and a record between two sessions may join them.
//!
//! A session is complete when the watermark has reached its end. It is removed as it is emitted, so
//! that wherever emission breaks off, what is left is what is still to come. Until it is removed it
//! takes in what belongs to it.
//!
//! Each session has a timer, which lies a gap after one of its records. It is not moved when the
//! session grows: when it falls due too early, it is set anew. At the end of time all sessions are
//! complete, and the table is walked in place of the timers.
//!
//! They are saved piece by piece: the sessions of a key are written before a record changes them, or a
//! timer does, or takes one of them away.

use std::marker::PhantomData;
use std::ops::RangeInclusive;

use super::Overtaken;
use super::keyed::{Emit, FULL, Logic, SAVED_ROWS, Saves};
use super::sessions_of_key::{Session, Sessions};
use super::timers::Timers;
use super::window::{Assign, Counts, Fold, Frame, Functions, Windowed, Windows};
use crate::codec;
use crate::error::Problem;
use crate::graph::{EventTimed, Key, Keyed, Kind, Lasting, NodeSpec, Record, Timed};
use crate::state::WriteShard;
use crate::state::hash::hash_of;
use crate::state::noted::{Noted, Save};
use crate::time::{EventTime, Gap};

/// How many buckets of timers a gap is divided into, at least.
const BUCKETS_A_GAP: i64 = 32;

/// Windows that end after a silence; made by [`Keyed::session`](crate::graph::Keyed::session).
#[derive(Clone, Copy, Debug)]
pub struct SessionWindows {
    pub(super) gap: i64,
}

impl<Q: 'static, T: 'static, K: Kind> Keyed<Q, T, K> {
    /// Gathers records of a key that lie less than `gap` apart into one window, which ends `gap`
    /// after its last record. A distance of exactly `gap` begins a new window. The gap is a [`Gap`]
    /// or a [`Duration`](std::time::Duration); 0 is refused when the job starts.
    ///
    /// ```
    /// use std::time::Duration;
    /// use stream_core::{EventTime, graph::Stream, testing};
    ///
    /// let pipeline = |seconds: Stream<i64>| {
    ///     let (timed, _) = seconds.event_time(|s| EventTime::secs(*s), Duration::ZERO);
    ///     let gap = Duration::from_secs(5);
    ///     let sessions = timed.key_by(|_| "all".to_string()).session(gap).count();
    ///     sessions.map(|window| (window.start, window.value))
    /// };
    /// let rows = testing::rows(pipeline, [1, 5, 10]);
    /// assert_eq!(rows, [(EventTime::secs(1), 2), (EventTime::secs(10), 1)]);
    /// ```
    pub fn session(self, gap: impl Into<Gap>) -> Windows<Q, T, SessionWindows>
    where
        K: EventTimed + Lasting,
    {
        let gap = gap.into();
        if gap.as_micros() == 0 {
            self.port.problem(
                Problem::new("a session window has gap 0")
                    .detail("every record would be a session of its own")
                    .hint("give it a silence that ends a session: `Gap::mins(30)`"),
            );
        }
        let gap = gap.as_micros().max(1);
        Windows::new(self.port, SessionWindows { gap })
    }
}

/// Session windows.
impl<Q: 'static, T: 'static> Windows<Q, T, SessionWindows> {
    /// Counts the records of each window.
    pub fn count(self) -> Timed<Windowed<Q, u64>>
    where
        Q: Key,
        T: Record,
    {
        self.counted()
    }

    /// Folds the records of each session into one value, as [`Keyed::fold`] does for a table.
    /// `merge` adds a later session's value when a record joins the two.
    ///
    /// The result is the same in every mode if the closures are pure, the order of the records
    /// does not matter to them, and `merge` joins two values as if their records had been folded
    /// together: first and last are to be told by event time, not by arrival.
    ///
    /// ```
    /// use stream_core::{EventTime, Gap, Lateness, graph::Stream, testing};
    ///
    /// let pipeline = |seconds: Stream<i64>| {
    ///     let (timed, _) = seconds.event_time(|s| EventTime::secs(*s), Lateness::secs(9));
    ///     let sessions = timed.key_by(|_| "all".to_string()).session(Gap::secs(5));
    ///     let sums = sessions.fold(
    ///         || 0,
    ///         |sum, second| *sum += second,
    ///         |sum, later| *sum += later,
    ///     );
    ///     sums.map(|window| (window.start, window.value))
    /// };
    /// // The record at 5 joins those at 1 and at 9.
    /// let rows = testing::rows(pipeline, [1, 9, 5, 20]);
    /// assert_eq!(rows, [(EventTime::secs(1), 15), (EventTime::secs(20), 20)]);
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

    /// As [`fold`](Windows::fold), and hands over the records that came after their window had
    /// been emitted, with their event times and keys.
    ///
    /// That happens only to records of a lane that joined the job late, for the watermark never
    /// passes an on-time record of a lane that it knows. They are counted in the report.
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

impl Assign for SessionWindows {
    const KIND: &'static str = "session";
    type Logic<Q: Key, P: Record, A: Record, F: Fold<P, A>> = SessionLogic<Q, P, A, F>;

    fn describe(&self, spec: NodeSpec) -> NodeSpec {
        spec.with("gap", Gap::micros(self.gap.unsigned_abs()))
    }

    fn logic<Q: Key, P: Record, A: Record, F: Fold<P, A>>(
        self,
        fold: F,
        counts: Counts,
    ) -> SessionLogic<Q, P, A, F> {
        SessionLogic {
            gap: self.gap,
            fold,
            frame: Frame::new(counts),
            timers: Timers::new(self.gap / BUCKETS_A_GAP),
            walked: 0,
            saving: Save::default(),
            records: PhantomData,
        }
    }
}

pub(crate) struct SessionLogic<Q, P, A, F> {
    gap: i64,
    fold: F,
    frame: Frame,
    timers: Timers,
    /// The bucket of the table at which the walk at the end of time goes on.
    walked: usize,
    saving: Save,
    records: PhantomData<fn(Q, P) -> A>,
}

type Table<Q, A> = Noted<Q, Sessions<A>>;

impl<Q: Key, P: Record, A: Record, F: Fold<P, A>> Logic for SessionLogic<Q, P, A, F> {
    type Record = (EventTime, Q, P);
    type State = Noted<Q, Sessions<A>>;
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
            self.fold(table, hash_of(&record.1), record, emit);
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
            self.ring(table, time, hash, emit);
            if emit.records.len() >= FULL {
                break;
            }
        }
        self.timers.due() <= self.frame.watermark
    }
}

impl<Q: Key, P: Record, A: Record, F: Fold<P, A>> Saves for SessionLogic<Q, P, A, F> {
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
        for (key, sessions) in codec::decode::<Vec<(Q, Vec<Session<A>>)>>(bytes)? {
            let hash = hash_of(&key);
            self.frame.counts.open.add(sessions.len());
            for session in &sessions {
                self.timers.set(session.timer, hash);
            }
            let sessions = sessions.into_iter().collect();
            let rows = &mut table.rows;
            rows.insert_unique(hash, (key, sessions), |(key, _)| hash_of(key));
        }
        Ok(())
    }
}

impl<Q: Key, P: Record, A: Record, F: Fold<P, A>> SessionLogic<Q, P, A, F> {
    /// Takes in one record.
    #[inline(always)]
    fn fold(
        &mut self,
        table: &mut <Self as Logic>::State,
        hash: u64,
        (time, key, record): (EventTime, Q, P),
        emit: &mut Emit<Self>,
    ) {
        let reach = self.reach(time);
        match table.rows.find_mut(hash, |(other, _)| *other == key) {
            // Nearly always: the key has one session, and the record falls into it.
            Some((_, Sessions::One(session))) if session.meets(&reach) => {
                session.stretch(time);
                self.fold.extend(&mut session.value, record);
            }
            _ => self.fold_apart(table, hash, (time, key, record), emit),
        }
    }

    /// The moments that lie less than a gap from this one.
    #[inline]
    fn reach(&self, time: EventTime) -> RangeInclusive<EventTime> {
        time.minus(self.gap - 1)..=time.plus(self.gap - 1)
    }

    /// Takes in a record that begins a session, joins two, or comes too late.
    #[inline(never)]
    fn fold_apart(
        &mut self,
        table: &mut Table<Q, A>,
        hash: u64,
        (time, key, record): (EventTime, Q, P),
        emit: &mut Emit<Self>,
    ) {
        let reach = self.reach(time);
        let mut entry = table.rows.find_mut(hash, |(other, _)| *other == key);
        if let Some((_, sessions)) = &mut entry
            && let Some(mut session) = self.take_joined(sessions, &reach)
        {
            session.stretch(time);
            self.fold.extend(&mut session.value, record);
            return sessions.insert(session);
        }
        let end = time.plus(self.gap);
        if self.frame.is_complete(end) {
            return self.frame.overtaken((time, key, record), emit);
        }
        let session = Session {
            first: time,
            last: time,
            timer: end,
            value: self.fold.start(record),
        };
        self.timers.set(end, hash);
        self.frame.counts.open.add(1);
        match entry {
            Some((_, sessions)) => sessions.insert(session),
            None => {
                let new = (key, Sessions::One(session));
                if self.saving.is_under_way() {
                    return table.insert_new(hash, new);
                }
                let rows = &mut table.rows;
                rows.insert_unique(hash, new, |(key, _)| hash_of(key));
            }
        }
    }

    /// Takes away the sessions that a record reaches, as one. The values are merged in the order of
    /// time.
    fn take_joined(
        &self,
        sessions: &mut Sessions<A>,
        reach: &RangeInclusive<EventTime>,
    ) -> Option<Session<A>> {
        let mut session = sessions.take(reach)?;
        while let Some(later) = sessions.take(reach) {
            self.fold.merge(&mut session.value, later.value);
            session.last = later.last;
            session.timer = session.timer.min(later.timer);
            self.frame.counts.open.sub(1);
        }
        Some(session)
    }

    /// Looks at the session that set a timer for `time`: if it is complete it is emitted, if not it
    /// sets its timer anew. A timer that nobody has any more is that of a session that was joined.
    fn ring(&mut self, table: &mut Table<Q, A>, time: EventTime, hash: u64, emit: &mut Emit<Self>) {
        // Only the end of time can be less than a gap after a record, and that is walked.
        let record = time.minus(self.gap);
        let record = record..=record;
        let set_it = |(key, sessions): &(Q, Sessions<A>)| {
            let session = sessions.find(&record);
            session.is_some_and(|session| session.timer == time) && hash_of(key) == hash
        };
        if self.saving.is_under_way()
            && let Some(bucket) = table.rows.find_bucket_index(hash, set_it)
        {
            self.saving.before_bucket(table, bucket, hash);
        }
        let Ok(mut entry) = table.rows.find_entry(hash, set_it) else {
            return;
        };
        let (key, sessions) = entry.get_mut();
        let Some(session) = sessions.find_mut(&record) else {
            return;
        };
        let end = session.last.plus(self.gap);
        if !self.frame.is_complete(end) {
            session.timer = end;
            return self.timers.set(end, hash);
        }
        if let Sessions::One(_) = sessions {
            let ((key, sessions), _) = entry.remove();
            if let Sessions::One(session) = sessions {
                self.emit(key, session, emit);
            }
        } else if let Some(session) = sessions.take(&record) {
            let key = key.clone();
            match sessions.is_empty() {
                true => drop(entry.remove()),
                false => sessions.shrink(),
            }
            self.emit(key, session, emit);
        }
    }

    /// Empties the table, bucket after bucket, until there is enough. Should the table be built
    /// anew between two calls, what went past the walk is met when it comes round again.
    fn walk(&mut self, table: &mut Table<Q, A>, emit: &mut Emit<Self>) -> bool {
        self.timers.clear();
        emit.records.reserve(FULL.min(table.rows.len()));
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
                while entry.get().1.len() > 1 && emit.records.len() < FULL {
                    let (key, sessions) = entry.get_mut();
                    if let Some(session) = sessions.pop_first() {
                        self.emit(key.clone(), session, emit);
                    }
                }
                if emit.records.len() >= FULL {
                    return true;
                }
                let ((key, mut sessions), _) = entry.remove();
                if let Some(session) = sessions.pop_first() {
                    self.emit(key, session, emit);
                }
            }
            self.walked += 1;
        }
        false
    }

    fn emit(&self, key: Q, session: Session<A>, emit: &mut Emit<Self>) {
        self.frame.counts.open.sub(1);
        let complete = Windowed {
            key,
            start: session.first,
            end: session.last.plus(self.gap),
            value: session.value,
        };
        self.fold.emit_whole(complete, &mut emit.records);
    }
}
