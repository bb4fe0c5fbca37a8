//! Session windows: records of a key that lie less than a gap apart.
//!
//! Definition. A record at t is a window `[t, t + gap)`. Windows of a key that overlap are one
//! window. So a session is `[first, last + gap)`, a distance of exactly the gap begins a new one,
//! and a record between two sessions may join them.
//!
//! A shard keeps the open sessions of each key. There is one heap of timers, one or more a session,
//! for all shards. A timer is not moved when its session grows: when it falls due too early, it is
//! set anew.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::marker::PhantomData;
use std::vec::Drain;

use hashbrown::HashTable;
use serde::{Deserialize, Serialize};
use smallvec::{SmallVec, smallvec};

use super::keyed::{Emit, FULL, Logic};
use super::window::{Assign, Counts, Fold, Windowed};
use crate::error::Problem;
use crate::graph::{Key, Record};
use crate::state::hash::{by_shard, hash_of};
use crate::state::{WriteShard, codec};
use crate::time::{EventTime, Gap};

/// Windows that end after a silence; made by [`Keyed::session`](crate::graph::Keyed::session).
#[derive(Clone, Copy, Debug)]
pub struct SessionWindows {
    pub(super) gap: i64,
}

impl Assign for SessionWindows {
    const KIND: &'static str = "session";
    type Logic<Q: Key, P: Record, A: Record, F: Fold<P, A>> = Sessions<Q, P, A, F>;

    fn parameter(&self) -> (&'static str, String) {
        ("gap", Gap::micros(self.gap.unsigned_abs()).to_string())
    }

    fn logic<Q: Key, P: Record, A: Record, F: Fold<P, A>>(
        self,
        fold: F,
        counts: Counts,
    ) -> Sessions<Q, P, A, F> {
        let watermark = EventTime::MIN;
        Sessions {
            gap: self.gap,
            fold,
            counts,
            watermark,
            timers: BinaryHeap::new(),
            records: PhantomData,
        }
    }
}

pub(crate) struct Sessions<Q, P, A, F> {
    gap: i64,
    fold: F,
    counts: Counts,
    watermark: EventTime,
    /// When to look at the keys with a hash.
    timers: BinaryHeap<Reverse<(EventTime, u64)>>,
    records: PhantomData<fn(Q, P) -> A>,
}

/// An open session.
#[derive(Serialize, Deserialize)]
pub(crate) struct Session<A> {
    start: EventTime,
    end: EventTime,
    /// When its timer falls due; not after its end.
    timer: EventTime,
    value: A,
}

/// The open sessions of a key. They do not overlap and stand in no order. There is nearly always
/// one, which stands here without an allocation.
type Open<A> = SmallVec<[Session<A>; 1]>;

type Shard<Q, A> = HashTable<(Q, Open<A>)>;

impl<Q: Key, P: Record, A: Record, F: Fold<P, A>> Logic for Sessions<Q, P, A, F> {
    type Record = (EventTime, Q, P);
    type State = HashTable<(Q, Open<A>)>;
    type Stamp = EventTime;
    type Out = Windowed<Q, A>;

    #[inline]
    fn hash((_, key, _): &(EventTime, Q, P)) -> u64 {
        hash_of(key)
    }

    fn empty(&self) -> Self::State {
        HashTable::new()
    }

    fn fold_all(
        &mut self,
        state: &mut Self::State,
        records: Drain<'_, Self::Record>,
        emit: &mut Emit<Self>,
    ) {
        for record in records {
            self.fold(state, hash_of(&record.1), record, emit);
        }
    }

    fn due(&self) -> EventTime {
        let first = self.timers.peek();
        first.map_or(EventTime::MAX, |Reverse((time, _))| *time)
    }

    fn begin_advance(&mut self, watermark: EventTime) {
        self.watermark = watermark;
    }

    fn advance(&mut self, state: &mut Self::State, emit: &mut Emit<Self>) -> bool {
        while let Some(Reverse((time, hash))) = self.timers.peek().copied() {
            if time > self.watermark || emit.records.len() >= FULL {
                return time <= self.watermark;
            }
            self.timers.pop();
            self.ring(state, time, hash, emit);
        }
        false
    }

    fn save(&self, state: &Self::State, write: WriteShard<'_>) -> Result<(), Problem> {
        let rows = by_shard(state.iter().map(|row| (hash_of(&row.0), row)));
        rows.into_iter()
            .try_for_each(|(shard, rows)| write(shard, codec::encode(&rows)?))
    }

    fn load(&mut self, state: &mut Self::State, bytes: &[u8]) -> Result<(), Problem> {
        for (key, sessions) in codec::decode::<Vec<(Q, Open<A>)>>(bytes)? {
            let hash = hash_of(&key);
            self.counts.open.add(sessions.len());
            for session in &sessions {
                self.timers.push(Reverse((session.timer, hash)));
            }
            state.insert_unique(hash, (key, sessions), |(key, _)| hash_of(key));
        }
        Ok(())
    }
}

impl<A> Session<A> {
    fn overlaps(&self, start: EventTime, end: EventTime) -> bool {
        start < self.end && self.start < end
    }

    fn stretch(&mut self, start: EventTime, end: EventTime) {
        self.start = self.start.min(start);
        self.end = self.end.max(end);
    }
}

impl<Q: Key, P: Record, A: Record, F: Fold<P, A>> Sessions<Q, P, A, F> {
    /// Takes in a record that begins a session, joins two, or comes too late.
    #[inline(never)]
    fn fold_apart(
        &mut self,
        shard: &mut Shard<Q, A>,
        hash: u64,
        (time, key, record): (EventTime, Q, P),
        emit: &mut Emit<Self>,
    ) {
        let end = time.plus(self.gap);
        let mut entry = shard.find_mut(hash, |(other, _)| *other == key);
        let open = entry.as_mut().and_then(|(_, sessions)| {
            let open = sessions.iter().position(|s| s.overlaps(time, end))?;
            Some((sessions, open))
        });
        if let Some((sessions, open)) = open {
            self.join(sessions, open, time, end);
            return self.fold.extend(&mut sessions[open].value, record);
        }
        if end <= self.watermark {
            self.counts.overtaken.add(1);
            if emit.wants_overtaken {
                emit.overtaken.push(((), (time, key, record)));
            }
            return;
        }
        let session = Session {
            start: time,
            end,
            timer: end,
            value: self.fold.start(record),
        };
        self.timers.push(Reverse((end, hash)));
        self.counts.open.add(1);
        match entry {
            Some((_, sessions)) => sessions.push(session),
            None => {
                let new = (key, smallvec![session]);
                shard.insert_unique(hash, new, |(key, _)| hash_of(key));
            }
        }
    }

    /// Stretches one session over `[start, end)`, with every other session that lies there. The
    /// values are merged in the order of time.
    fn join(&self, sessions: &mut Open<A>, open: usize, start: EventTime, end: EventTime) {
        while let Some(other) =
            (open + 1..sessions.len()).find(|other| sessions[*other].overlaps(start, end))
        {
            let mut other = sessions.swap_remove(other);
            let session = &mut sessions[open];
            if other.start < session.start {
                std::mem::swap(session, &mut other);
            }
            self.fold.merge(&mut session.value, other.value);
            session.end = session.end.max(other.end);
            session.timer = session.timer.min(other.timer);
            self.counts.open.sub(1);
        }
        sessions[open].stretch(start, end);
    }

    /// Looks at the sessions that set a timer at `time`: those that are complete are emitted, the
    /// others set it anew.
    fn ring(&mut self, shard: &mut Shard<Q, A>, time: EventTime, hash: u64, emit: &mut Emit<Self>) {
        let watermark = self.watermark;
        let has_timer = |(key, sessions): &(Q, Open<A>)| {
            sessions.iter().any(|session| session.timer == time) && hash_of(key) == hash
        };
        let Ok(mut slot) = shard.find_entry(hash, has_timer) else {
            return;
        };
        let (key, sessions) = slot.get_mut();
        while let Some(complete) = sessions.iter().position(|s| s.end <= watermark) {
            let Session {
                start, end, value, ..
            } = sessions.swap_remove(complete);
            emit.records.push((
                end.minus(1),
                Windowed {
                    key: key.clone(),
                    start,
                    end,
                    value,
                },
            ));
            self.counts.open.sub(1);
        }
        for session in sessions.iter_mut().filter(|session| session.timer == time) {
            session.timer = session.end;
            self.timers.push(Reverse((session.end, hash)));
        }
        if sessions.is_empty() {
            slot.remove();
        }
    }
}

impl<Q: Key, P: Record, A: Record, F: Fold<P, A>> Sessions<Q, P, A, F> {
    /// Takes in one record.
    #[inline(always)]
    fn fold(
        &mut self,
        shard: &mut <Self as Logic>::State,
        hash: u64,
        (time, key, record): (EventTime, Q, P),
        emit: &mut Emit<Self>,
    ) {
        let end = time.plus(self.gap);
        match shard.find_mut(hash, |(other, _)| *other == key) {
            // Nearly always: the key has one session, and the record falls into it.
            Some((_, sessions)) if sessions.len() == 1 && sessions[0].overlaps(time, end) => {
                sessions[0].stretch(time, end);
                self.fold.extend(&mut sessions[0].value, record);
            }
            _ => self.fold_apart(shard, hash, (time, key, record), emit),
        }
    }
}
