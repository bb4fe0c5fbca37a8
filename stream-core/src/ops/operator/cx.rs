//! What an operator can see and do.

use std::collections::VecDeque;
use std::fmt;

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
    /// The timers of the key, the soonest first.
    pub(super) timers: VecDeque<EventTime>,
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
            timers: VecDeque::new(),
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
    /// any more.
    pub fn set_timer(&mut self, at: EventTime) {
        if self.has_ended {
            return;
        }
        let at = at.max(self.time.plus(1));
        let place = match self.timers.back() {
            Some(last) if *last >= at => self.timers.partition_point(|timer| *timer < at),
            _ => self.timers.len(),
        };
        if self.timers.get(place) != Some(&at) {
            self.timers.insert(place, at);
            self.set.push(at);
        }
    }

    /// Sees to it that a timer is set for this moment or sooner.
    pub(in crate::ops) fn wake(&mut self, at: Option<EventTime>) {
        if let Some(at) = at
            && self.timers.front().is_none_or(|soonest| at < *soonest)
        {
            self.set_timer(at);
        }
    }

    /// Sets a timer in the place of all others of the key.
    pub fn move_timers(&mut self, at: EventTime) {
        self.cancel_timers();
        self.set_timer(at);
    }

    /// Takes a timer back; tells whether it was set.
    pub fn cancel_timer(&mut self, at: EventTime) -> bool {
        let place = self.timers.binary_search(&at);
        place.is_ok_and(|place| self.timers.remove(place).is_some())
    }

    /// Takes all timers of the key back.
    pub fn cancel_timers(&mut self) {
        self.timers.clear();
    }

    /// The timers of the key, the soonest first.
    pub fn timers(&self) -> impl ExactSizeIterator<Item = EventTime> + '_ {
        self.timers.iter().copied()
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
