//! Session windows: records of a key that lie less than a gap apart.
//!
//! Definition. A record at t is a window `[t, t + gap)`. Windows of a key that overlap are one
//! window. So a session is `[first, last + gap)`, a distance of exactly the gap begins a new one,
//! and a record between two sessions may join them.
//!
//! A shard keeps the open sessions of each key, and a heap of timers, one or more a session. A
//! timer is not moved when its session grows: when it falls due too early, it is set anew.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::marker::PhantomData;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Slot;
use serde::{Deserialize, Serialize};

use super::keyed::{Emit, Logic};
use super::window::{Assign, Counts, Fold, Windowed};
use crate::error::Problem;
use crate::graph::{Key, Record};
use crate::state::codec;
use crate::state::hash::hash_of;
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
        let due = EventTime::MAX;
        Sessions {
            gap: self.gap,
            fold,
            counts,
            watermark,
            due,
            records: PhantomData,
        }
    }
}

pub(crate) struct Sessions<Q, P, A, F> {
    gap: i64,
    fold: F,
    counts: Counts,
    watermark: EventTime,
    /// No timer of any shard falls due before this.
    due: EventTime,
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

pub(crate) struct Shard<Q, A> {
    /// The sessions of a key do not overlap; they stand in no order.
    keys: HashTable<(Q, Vec<Session<A>>)>,
    /// When to look at the keys with a hash.
    timers: BinaryHeap<Reverse<(EventTime, u64)>>,
}

impl<Q: Key, P: Record, A: Record, F: Fold<P, A>> Logic for Sessions<Q, P, A, F> {
    type Record = (EventTime, Q, P);
    type Shard = Shard<Q, A>;
    type Stamp = EventTime;
    type Out = Windowed<Q, A>;

    #[inline]
    fn hash((_, key, _): &(EventTime, Q, P)) -> u64 {
        hash_of(key)
    }

    fn empty(&self) -> Shard<Q, A> {
        Shard {
            keys: HashTable::new(),
            timers: BinaryHeap::new(),
        }
    }

    #[inline]
    fn fold(
        &mut self,
        shard: &mut Shard<Q, A>,
        hash: u64,
        (time, key, record): (EventTime, Q, P),
        emit: &mut Emit<Self>,
    ) {
        let end = time.plus(self.gap);
        let slot = shard
            .keys
            .entry(hash, |(other, _)| *other == key, |(key, _)| hash_of(key));
        let open = match &slot {
            Slot::Occupied(slot) => slot.get().1.iter().position(|s| s.overlaps(time, end)),
            Slot::Vacant(_) => None,
        };
        match (open, slot) {
            (Some(open), Slot::Occupied(mut slot)) => {
                let sessions = &mut slot.get_mut().1;
                self.join(sessions, open, time, end);
                self.fold.extend(&mut sessions[open].value, record);
            }
            (None, slot) if end > self.watermark => {
                let value = self.fold.start(record);
                let session = Session {
                    start: time,
                    end,
                    timer: end,
                    value,
                };
                match slot {
                    Slot::Occupied(mut slot) => slot.get_mut().1.push(session),
                    Slot::Vacant(slot) => drop(slot.insert((key, vec![session]))),
                }
                shard.timers.push(Reverse((end, hash)));
                self.due = self.due.min(end);
                self.counts.open.add(1);
            }
            _ => {
                self.counts.overtaken.add(1);
                if emit.wants_overtaken {
                    emit.overtaken.push(((), (time, key, record)));
                }
            }
        }
    }

    fn due(&self) -> EventTime {
        self.due
    }

    fn begin_advance(&mut self, watermark: EventTime) {
        self.watermark = watermark;
        if watermark >= self.due {
            self.due = EventTime::MAX;
        }
    }

    fn advance(&mut self, shard: &mut Shard<Q, A>, emit: &mut Emit<Self>) {
        while let Some(Reverse((time, hash))) = shard.timers.peek().copied() {
            if time > self.watermark {
                self.due = self.due.min(time);
                return;
            }
            shard.timers.pop();
            self.ring(shard, time, hash, emit);
        }
    }

    fn save(&self, shard: &Shard<Q, A>) -> Result<Vec<u8>, Problem> {
        codec::encode(&shard.keys.iter().collect::<Vec<_>>())
    }

    fn load(&mut self, bytes: &[u8]) -> Result<Shard<Q, A>, Problem> {
        let mut shard = self.empty();
        for (key, sessions) in codec::decode::<Vec<(Q, Vec<Session<A>>)>>(bytes)? {
            let hash = hash_of(&key);
            self.counts.open.add(sessions.len());
            for session in &sessions {
                shard.timers.push(Reverse((session.timer, hash)));
                self.due = self.due.min(session.timer);
            }
            shard
                .keys
                .insert_unique(hash, (key, sessions), |(key, _)| hash_of(key));
        }
        Ok(shard)
    }
}

impl<A> Session<A> {
    fn overlaps(&self, start: EventTime, end: EventTime) -> bool {
        start < self.end && self.start < end
    }
}

impl<Q: Key, P: Record, A: Record, F: Fold<P, A>> Sessions<Q, P, A, F> {
    /// Stretches one session over `[start, end)`, with every other session that lies there. The
    /// values are merged in the order of time.
    fn join(&self, sessions: &mut Vec<Session<A>>, open: usize, start: EventTime, end: EventTime) {
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
        let session = &mut sessions[open];
        session.start = session.start.min(start);
        session.end = session.end.max(end);
    }

    /// Looks at the sessions that set a timer at `time`: those that are complete are emitted, the
    /// others set it anew.
    fn ring(&mut self, shard: &mut Shard<Q, A>, time: EventTime, hash: u64, emit: &mut Emit<Self>) {
        let watermark = self.watermark;
        let has_timer = |(key, sessions): &(Q, Vec<Session<A>>)| {
            sessions.iter().any(|session| session.timer == time) && hash_of(key) == hash
        };
        let Ok(mut slot) = shard.keys.find_entry(hash, has_timer) else {
            return;
        };
        let (key, sessions) = slot.get_mut();
        for session in sessions.extract_if(.., |session| session.end <= watermark) {
            let Session {
                start, end, value, ..
            } = session;
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
            shard.timers.push(Reverse((session.end, hash)));
        }
        if sessions.is_empty() {
            slot.remove();
        }
    }
}
