//! Sessions: clicks of a user that lie less than a gap apart.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use hashbrown::hash_map::Entry;

use super::Map;
use super::in_time::InTime;
use super::windows::Window;
use crate::overhead::data::{Click, GAP_MINS, LATENESS_SECS};

const GAP: i64 = GAP_MINS as i64 * 60_000_000;

/// The sessions that are open, by user, and when to look at a user again.
#[derive(Default)]
pub(crate) struct Sessions {
    users: Map<Visits>,
    timers: BinaryHeap<Reverse<(i64, u64)>>,
}

/// The open sessions of a user, of which there is nearly always one.
struct Visits {
    first: Visit,
    others: Vec<Visit>,
}

#[derive(Clone, Copy)]
struct Visit {
    start: i64,
    end: i64,
    /// When a timer is set for it; not after its end.
    timer: i64,
    clicks: u64,
}

impl InTime for Sessions {
    type Out = Window;

    const LATENESS_SECS: u64 = LATENESS_SECS;

    #[inline]
    fn add(&mut self, _: usize, Click { user, at }: Click, _: impl FnMut(Window)) {
        let end = at + GAP;
        let new = Visit {
            start: at,
            end,
            timer: end,
            clicks: 1,
        };
        match self.users.entry(user) {
            Entry::Vacant(entry) => {
                let others = Vec::new();
                entry.insert(Visits { first: new, others });
                self.timers.push(Reverse((end, user)));
            }
            Entry::Occupied(mut entry) => {
                let visits = entry.get_mut();
                if visits.others.is_empty() && visits.first.overlaps(&new) {
                    visits.first.join(&new);
                } else if visits.add(new) {
                    self.timers.push(Reverse((end, user)));
                }
            }
        }
    }

    /// Emits the sessions that are complete.
    fn complete(&mut self, watermark: i64, mut emit: impl FnMut(Window)) {
        while let Some(Reverse((time, user))) = self.timers.peek().copied() {
            if time > watermark {
                return;
            }
            self.timers.pop();
            let Entry::Occupied(mut entry) = self.users.entry(user) else {
                continue;
            };
            let visits = entry.get_mut();
            let mut emit = |visit: &Visit| {
                emit(Window {
                    user,
                    start: visit.start,
                    end: visit.end,
                    clicks: visit.clicks,
                });
            };
            let complete = |visit: &mut Visit| visit.end <= watermark;
            visits
                .others
                .extract_if(.., complete)
                .for_each(|visit| emit(&visit));
            if visits.first.end <= watermark {
                emit(&visits.first);
                match visits.others.pop() {
                    Some(other) => visits.first = other,
                    None => {
                        entry.remove();
                        continue;
                    }
                }
            }
            for visit in std::iter::once(&mut visits.first).chain(&mut visits.others) {
                if visit.timer == time {
                    visit.timer = visit.end;
                    self.timers.push(Reverse((visit.end, user)));
                }
            }
        }
    }
}

impl Visits {
    /// Adds a click's visit to those that it overlaps. Tells whether it stands alone.
    fn add(&mut self, new: Visit) -> bool {
        self.others.push(self.first);
        let mut joined: Option<Visit> = None;
        for mut visit in self.others.extract_if(.., |visit| visit.overlaps(&new)) {
            if let Some(joined) = &joined {
                visit.timer = visit.timer.min(joined.timer);
                visit.join(joined);
            }
            joined = Some(visit);
        }
        if let Some(joined) = &mut joined {
            joined.join(&new);
        }
        self.first = joined.unwrap_or(new);
        joined.is_none()
    }
}

impl Visit {
    #[inline]
    fn overlaps(&self, other: &Visit) -> bool {
        self.start < other.end && other.start < self.end
    }

    /// Takes another visit in; the timer stays where it is.
    #[inline]
    fn join(&mut self, other: &Visit) {
        self.start = self.start.min(other.start);
        self.end = self.end.max(other.end);
        self.clicks += other.clicks;
    }
}
