//! What an operator can see and do.

use std::collections::VecDeque;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smallvec::SmallVec;

use crate::time::EventTime;

/// What a [`KeyedOperator`](super::KeyedOperator) can see and do while it is called for a key: the time, its
/// timers, and what it emits.
///
/// A timer is a moment in event time, once a key however often it is set. It falls due when all records are in
/// that are on time and older than it, and is kept with the key's state.
pub struct Cx<O> {
    /// What was emitted, with its event time.
    pub(super) out: Vec<(EventTime, O)>,
    pub(super) time: EventTime,
    pub(super) watermark: EventTime,
    /// The timers of the key.
    pub(super) timers: Timers,
    /// Those that were set since the operator was called.
    pub(super) set: Vec<EventTime>,
    /// Whether the input has ended: no timer can be set any more.
    pub(super) has_ended: bool,
}

impl<O> fmt::Debug for Cx<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cx")
            .field("time", &self.time)
            .field("watermark", &self.watermark)
            .field("timers", &self.timers)
            .finish_non_exhaustive()
    }
}

impl<O> Cx<O> {
    pub(super) fn new() -> Self {
        Cx {
            out: Vec::new(),
            time: EventTime::MIN,
            watermark: EventTime::MIN,
            timers: Timers::default(),
            set: Vec::new(),
            has_ended: false,
        }
    }

    /// The event time of the record, or the timer's own.
    pub fn time(&self) -> EventTime {
        self.time
    }

    /// The watermark that was last applied: every record that is on time and older is in.
    ///
    /// How often it is applied depends on the mode, so what an operator emits must not depend on it. It is
    /// there to free state sooner, and for a look.
    pub fn watermark(&self) -> EventTime {
        self.watermark
    }

    /// Emits a record, with the event time that [`time`](Cx::time) tells.
    #[inline]
    pub fn emit(&mut self, record: O) {
        self.out.push((self.time, record));
    }

    /// The same with an event time that is not behind any watermark yet.
    #[inline]
    pub(in crate::ops) fn emit_at(&mut self, time: EventTime, record: O) {
        self.out.push((time, record));
    }

    /// Sets a timer. One for [`time`](Cx::time) or sooner is set for a microsecond behind it, for it comes
    /// after what sets it. At the end of input those fall due that are set by then, and none can be set
    /// any more: what waits for a timer that sets itself anew is for
    /// [`end`](super::KeyedOperator::end) to emit.
    pub fn set_timer(&mut self, at: EventTime) {
        if self.has_ended {
            return;
        }
        let at = at.max(self.time.plus(1));
        if self.timers.insert(at) {
            self.set.push(at);
        }
    }

    /// Sees to it that the key's one timer is set for this moment or sooner. Who is called sooner than it wants asks
    /// again.
    #[inline]
    pub(in crate::ops) fn wake(&mut self, at: Option<EventTime>) {
        let Some(at) = at else { return };
        let at = at.max(self.time.plus(1));
        if self.timers.soonest().is_none_or(|soonest| at < soonest) {
            self.move_timers(at);
        }
    }

    /// Sets a timer in the place of all others of the key.
    pub fn move_timers(&mut self, at: EventTime) {
        self.cancel_timers();
        self.set_timer(at);
    }

    /// Takes a timer back; tells whether it was set.
    pub fn cancel_timer(&mut self, at: EventTime) -> bool {
        self.timers.remove(at)
    }

    /// Takes all timers of the key back.
    pub fn cancel_timers(&mut self) {
        self.timers.clear();
    }

    /// The timers of the key, the soonest first.
    pub fn timers(&self) -> impl ExactSizeIterator<Item = EventTime> + '_ {
        self.timers.all()
    }
}

/// The timers of a key. Most keys have none or one, which lies in the row; all others lie apart.
#[derive(Debug)]
pub(crate) struct Timers {
    /// [`NONE`] where there are none.
    soonest: EventTime,
    /// The soonest last. Room is kept here as long as there is a timer.
    others: Option<Box<Several>>,
}

/// A moment that no timer is set for, as each lies behind what sets it.
const NONE: EventTime = EventTime::MIN;

/// Several timers, the soonest last.
type Several = SmallVec<[EventTime; 4]>;

impl Default for Timers {
    fn default() -> Self {
        Timers {
            soonest: NONE,
            others: None,
        }
    }
}

impl Timers {
    /// Whether there are none, and there is no room for any but one.
    #[inline]
    pub(super) fn is_nothing(&self) -> bool {
        self.soonest == NONE && self.others.is_none()
    }

    #[inline]
    fn soonest(&self) -> Option<EventTime> {
        (self.soonest != NONE).then_some(self.soonest)
    }

    fn others(&self) -> &[EventTime] {
        self.others.as_ref().map_or(&[], |others| others)
    }

    /// All timers, the soonest first.
    pub(super) fn all(&self) -> impl ExactSizeIterator<Item = EventTime> + '_ {
        let others = self.others();
        let count = others.len() + usize::from(self.soonest != NONE);
        (0..count).map(move |place| match place {
            0 => self.soonest,
            _ => others[others.len() - place],
        })
    }

    #[inline]
    pub(super) fn contains(&self, at: EventTime) -> bool {
        self.soonest == at || self.find(at).is_ok()
    }

    /// The place among the others of a timer, or the one where it would stand.
    fn find(&self, at: EventTime) -> Result<usize, usize> {
        self.others().binary_search_by(|timer| at.cmp(timer))
    }

    /// Adds a timer; tells whether it is new.
    fn insert(&mut self, at: EventTime) -> bool {
        if self.contains(at) {
            return false;
        }
        match self.soonest() {
            None => self.soonest = at,
            Some(soonest) => {
                self.soonest = at.min(soonest);
                let other = at.max(soonest);
                let (Ok(place) | Err(place)) = self.find(other);
                self.others.get_or_insert_default().insert(place, other);
            }
        }
        true
    }

    fn remove(&mut self, at: EventTime) -> bool {
        if self.soonest == at {
            return self.pop().is_some();
        }
        let found = self.find(at);
        if let (Some(others), Ok(place)) = (&mut self.others, found) {
            others.remove(place);
        }
        found.is_ok()
    }

    fn clear(&mut self) {
        self.soonest = NONE;
        if let Some(others) = &mut self.others {
            others.clear();
        }
    }

    /// Takes the soonest.
    fn pop(&mut self) -> Option<EventTime> {
        let soonest = self.soonest()?;
        let next = self.others.as_mut().and_then(|others| others.pop());
        self.soonest = next.unwrap_or(NONE);
        Some(soonest)
    }

    /// The same, if it is due at a time.
    #[inline]
    pub(super) fn pop_due(&mut self, time: EventTime) -> Option<EventTime> {
        (self.soonest <= time).then(|| self.pop()).flatten()
    }

    /// Gives up the room that none takes.
    #[inline]
    pub(super) fn shrink(&mut self) {
        if self.soonest == NONE {
            self.others = None;
        }
    }
}

/// A row tells whether there are timers, and then all of them, the soonest last.
impl Serialize for Timers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut all: Several = self.all().collect();
        all.reverse();
        (!all.is_empty()).then_some(all).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Timers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut others = Option::<Several>::deserialize(deserializer)?.unwrap_or_default();
        let soonest = others.pop().unwrap_or(NONE);
        let others = (!others.is_empty()).then(|| Box::new(others));
        Ok(Timers { soonest, others })
    }
}

/// Takes the first of a queue, if it is so.
pub(in crate::ops) fn pop_front_if<T>(
    queue: &mut VecDeque<T>,
    is_so: impl FnOnce(&T) -> bool,
) -> Option<T> {
    match queue.front().is_some_and(is_so) {
        true => queue.pop_front(),
        false => None,
    }
}
