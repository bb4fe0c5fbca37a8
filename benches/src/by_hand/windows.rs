//! Sliding windows, and `dedup`.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use hashbrown::hash_map::Entry;

use super::Map;
use super::in_time::InTime;
use crate::measure::{Digest, Row, mix};
use crate::overhead::data::{Click, TICK_LATENESS_SECS, WINDOW_SECS, WITHIN_SECS};

const SECOND: i64 = 1_000_000;

/// A window or a session that is complete.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    pub(super) user: u64,
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) clicks: u64,
}

impl Row for Window {
    #[inline]
    fn digest(&self, digest: &mut Digest) {
        let bounds = mix(self.start.cast_unsigned(), self.end.cast_unsigned());
        digest.add(mix(bounds, mix(self.user, self.clicks)));
    }
}

/// Windows that slide by a second: a count a user and second, and by second those users of whom a window ends.
#[derive(Default)]
pub(crate) struct Sliding {
    users: Map<Seconds>,
    timers: BTreeMap<i64, Vec<u64>>,
}

struct Seconds {
    /// In the order of their times, those that have clicks.
    counts: VecDeque<(i64, u64)>,
    /// The second at which the next window ends.
    next: i64,
}

impl InTime for Sliding {
    type Out = Window;

    const LATENESS_SECS: u64 = TICK_LATENESS_SECS;

    #[inline]
    fn add(&mut self, _: usize, Click { user, at }: Click, _: impl FnMut(Window)) {
        let second = at.div_euclid(SECOND);
        let end = second + 1;
        match self.users.entry(user) {
            Entry::Vacant(entry) => {
                let counts = VecDeque::from([(second, 1)]);
                entry.insert(Seconds { counts, next: end });
                self.timers.entry(end).or_default().push(user);
            }
            Entry::Occupied(mut entry) => {
                let Seconds { counts, next } = entry.get_mut();
                let place = counts.iter().rposition(|(other, _)| *other <= second);
                match place {
                    Some(place) if counts[place].0 == second => counts[place].1 += 1,
                    place => counts.insert(place.map_or(0, |place| place + 1), (second, 1)),
                }
                if end < *next {
                    *next = end;
                    self.timers.entry(end).or_default().push(user);
                }
            }
        }
    }

    fn complete(&mut self, watermark: i64, mut emit: impl FnMut(Window)) {
        while let Some(first) = self.timers.first_entry() {
            if *first.key() * SECOND > watermark {
                return;
            }
            let (end, users) = first.remove_entry();
            let start = end - WINDOW_SECS as i64;
            for user in users {
                let Entry::Occupied(mut entry) = self.users.entry(user) else {
                    continue;
                };
                let Seconds { counts, next } = entry.get_mut();
                if *next != end {
                    continue;
                }
                let inside = counts.iter().take_while(|(second, _)| *second < end);
                emit(Window {
                    user,
                    start: start * SECOND,
                    end: end * SECOND,
                    clicks: inside.map(|(_, count)| count).sum(),
                });
                if counts.front().is_some_and(|(second, _)| *second == start) {
                    counts.pop_front();
                }
                match counts.front() {
                    None => drop(entry.remove()),
                    Some((second, _)) => {
                        *next = (end + 1).max(second + 1);
                        self.timers.entry(*next).or_default().push(user);
                    }
                }
            }
        }
    }
}

/// Of the clicks of a user the first, and then each that lies long enough behind the last one kept.
#[derive(Default)]
pub(crate) struct Dedup {
    /// By user, until when the last click that was kept stands for others.
    until: Map<i64>,
    held: BinaryHeap<Reverse<(i64, u64)>>,
    /// What stands in `until`, in the order of time.
    kept: VecDeque<(i64, u64)>,
}

impl InTime for Dedup {
    type Out = Click;

    const LATENESS_SECS: u64 = TICK_LATENESS_SECS;

    #[inline]
    fn add(&mut self, _: usize, Click { user, at }: Click, _: impl FnMut(Click)) {
        if self.until.get(&user).is_none_or(|until| *until <= at) {
            self.held.push(Reverse((at, user)));
        }
    }

    fn complete(&mut self, watermark: i64, mut emit: impl FnMut(Click)) {
        while let Some(Reverse((at, user))) = self.held.peek().copied() {
            if at >= watermark {
                break;
            }
            self.held.pop();
            let until = self.until.entry(user).or_insert(i64::MIN);
            if *until <= at {
                *until = at + WITHIN_SECS as i64 * SECOND;
                self.kept.push_back((*until, user));
                emit(Click { user, at });
            }
        }
        while let Some((until, user)) = self.kept.front().copied() {
            if until >= watermark {
                break;
            }
            self.kept.pop_front();
            if self.until.get(&user) == Some(&until) {
                self.until.remove(&user);
            }
        }
    }
}
