//! Timers in event time: a calendar of buckets in place of a heap.
//!
//! Time is cut into buckets of one width, and a timer that is set goes to the end of its bucket. A
//! bucket is opened when the watermark reaches it: if the watermark has passed all of it, its timers
//! leave as they lie; if not, they are sorted once. So a timer costs what a push costs, and its
//! share of a sort that fits into the cache; only one that is set into a bucket which is open
//! already goes through a heap.
//!
//! Guarantee: every timer leaves once, no sooner than the watermark has reached it, and none stays
//! behind that the watermark has reached. In what order they leave is not said. Any time an `i64`
//! holds will do. Where timers lie so far apart that there would be many buckets, these become twice as
//! wide, as often as it takes.
//!
//! Nothing is kept in a snapshot: who sets timers knows how to set them again.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use crate::time::EventTime;

/// When, and the hash of the key to look at.
pub(crate) type Timer = (EventTime, u64);

/// How many buckets there may be: a search among them is short, and one holds enough timers that their rows can be
/// asked for ahead.
const BUCKETS_MAX: usize = 64;

/// For how many timers that are due, or records, rows are asked for at once, where they may be in no near cache.
pub(crate) const AHEAD: usize = 16;

/// Timers that are set, by the time at which they fall due.
pub(crate) struct Timers {
    /// A bucket is 2 to this power microseconds wide, so that no arithmetic can overflow.
    width_log2: u32,
    /// The buckets that no watermark has reached, by their number.
    ahead: BTreeMap<i64, Vec<Timer>>,
    /// The number of the last bucket that was opened.
    opened: Option<i64>,
    /// What is left of that bucket, the soonest at the end; in no order if all of it is due.
    open: Vec<Timer>,
    /// Timers that were set after their bucket had been opened.
    behind: BinaryHeap<Reverse<Timer>>,
}

impl Timers {
    /// No timers yet; buckets will be at most so wide at first, and at least a microsecond.
    pub(crate) fn new(micros: i64) -> Self {
        Timers {
            width_log2: micros.max(1).ilog2(),
            ahead: BTreeMap::new(),
            opened: None,
            open: Vec::new(),
            behind: BinaryHeap::new(),
        }
    }

    /// Sets a timer.
    #[inline]
    pub(crate) fn set(&mut self, time: EventTime, hash: u64) {
        let bucket = time.as_micros() >> self.width_log2;
        if self.opened.is_some_and(|opened| bucket <= opened) {
            self.behind.push(Reverse((time, hash)));
        } else {
            self.ahead.entry(bucket).or_default().push((time, hash));
            if self.ahead.len() > BUCKETS_MAX {
                self.widen();
            }
        }
    }

    /// Makes buckets twice as wide until there are few enough.
    #[cold]
    #[inline(never)]
    fn widen(&mut self) {
        while self.ahead.len() > BUCKETS_MAX {
            self.width_log2 += 1;
            self.opened = self.opened.map(|opened| opened >> 1);
            let mut wide = BTreeMap::<i64, Vec<Timer>>::new();
            for (bucket, mut timers) in std::mem::take(&mut self.ahead) {
                let bucket = bucket >> 1;
                if self.opened == Some(bucket) {
                    // The other half of it is open.
                    self.behind.extend(timers.into_iter().map(Reverse));
                } else {
                    wide.entry(bucket).or_default().append(&mut timers);
                }
            }
            self.ahead = wide;
        }
    }

    /// The watermark from which on [`pop`](Timers::pop) may give a timer; no timer that was not
    /// given at the last watermark is due before it.
    pub(crate) fn due(&self) -> EventTime {
        let open = self.open.last().map(|(time, _)| *time);
        let behind = self.behind.peek().map(|Reverse((time, _))| *time);
        let ahead = || Some(self.first_of(*self.ahead.first_key_value()?.0));
        let opened = open.into_iter().chain(behind).min();
        opened.or_else(ahead).unwrap_or(EventTime::MAX)
    }

    /// Takes a timer that is due. The watermark must not be less than at the call before.
    #[inline]
    pub(crate) fn pop(&mut self, watermark: EventTime) -> Option<Timer> {
        loop {
            if self.open.last().is_some_and(|(time, _)| *time <= watermark) {
                return self.open.pop();
            }
            if let Some(Reverse((time, _))) = self.behind.peek()
                && *time <= watermark
            {
                return self.behind.pop().map(|Reverse(timer)| timer);
            }
            if !self.open_next(watermark) {
                return None;
            }
        }
    }

    /// The hash of the timer that leaves after so many others, if that is known.
    #[inline]
    pub(crate) fn soon(&self, others: usize) -> Option<u64> {
        let place = self.open.len().checked_sub(others + 1)?;
        Some(self.open[place].1)
    }

    /// Forgets all timers.
    pub(crate) fn clear(&mut self) {
        *self = Timers {
            opened: self.opened,
            ..Timers::new(1 << self.width_log2)
        };
    }

    /// Opens the next bucket if the watermark has reached it.
    fn open_next(&mut self, watermark: EventTime) -> bool {
        // What is left of the open bucket is not due, and so nothing behind it is.
        if !self.open.is_empty() {
            return false;
        }
        let Some(first) = self.ahead.first_entry() else {
            return false;
        };
        let bucket = *first.key();
        if bucket > watermark.as_micros() >> self.width_log2 {
            return false;
        }
        self.open = first.remove();
        self.opened = Some(bucket);
        if self.last_of(bucket) > watermark {
            self.open.sort_unstable_by_key(|(time, _)| Reverse(*time));
        }
        true
    }

    fn first_of(&self, bucket: i64) -> EventTime {
        EventTime::micros(bucket << self.width_log2)
    }

    fn last_of(&self, bucket: i64) -> EventTime {
        EventTime::micros((bucket << self.width_log2) | ((1 << self.width_log2) - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Timers against a vector that is searched from end to end. `far` is how far ahead of the
    /// watermark timers are set.
    fn compare(seed: u64, width: i64, far: i64, begin: i64) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let (mut timers, mut oracle) = (Timers::new(width), Vec::<Timer>::new());
        let mut watermark = EventTime::micros(begin);
        for step in 0..400 {
            for _ in 0..rng.usize(0..8) {
                // Some fall due before the watermark, as a restored shard's may.
                let time = watermark.plus(rng.i64(-far / 8 - 1..=far));
                let timer = (time, rng.u64(0..5));
                timers.set(timer.0, timer.1);
                oracle.push(timer);
            }
            watermark = watermark.plus(rng.i64(0..=far / 4 + 1));
            let first = oracle.iter().map(|(time, _)| *time).min();
            let bound = first.unwrap_or(EventTime::MAX).max(watermark);
            assert!(timers.due() <= bound, "seed {seed}, step {step}: due");
            assert!(
                timers.ahead.len() <= BUCKETS_MAX,
                "seed {seed}, step {step}"
            );
            // Not always to the end: who takes timers may have had enough.
            let enough = rng.usize(1..12);
            let mut taken = 0;
            while taken < enough
                && let Some(timer) = timers.pop(watermark)
            {
                taken += 1;
                assert!(timer.0 <= watermark, "seed {seed}, step {step}: too soon");
                let at = oracle.iter().position(|other| *other == timer);
                oracle.swap_remove(at.expect("a timer that was set and has not left"));
            }
            let left = oracle.iter().any(|(time, _)| *time <= watermark);
            assert!(taken == enough || !left, "seed {seed}, step {step}: late");
        }
        while let Some(timer) = timers.pop(EventTime::MAX) {
            let at = oracle.iter().position(|other| *other == timer);
            oracle.swap_remove(at.expect("a timer that was set and has not left"));
        }
        assert_eq!(oracle, [], "seed {seed}");
        assert_eq!(timers.due(), EventTime::MAX, "seed {seed}");
    }

    #[test]
    fn timers_leave_as_a_naive_search_says() {
        for seed in 0..60 {
            for (width, far) in [(0, 3), (1, 10), (16, 100), (1_000, 100), (7, 1 << 40)] {
                compare(seed, width, far, -500);
            }
        }
    }

    #[test]
    fn timers_may_lie_at_both_ends_of_time() {
        for seed in 0..60 {
            for width in [1, 64, i64::MAX] {
                compare(seed, width, i64::MAX / 64, i64::MIN);
                compare(seed, width, 100, i64::MIN);
                compare(seed, width, 100, i64::MAX - 2_000);
            }
        }
    }

    #[test]
    fn the_first_timer_that_is_due_is_not_later_than_due_says() {
        let mut timers = Timers::new(10);
        timers.set(EventTime::micros(25), 1);
        assert_eq!(timers.due(), EventTime::micros(24));
        assert_eq!(timers.pop(EventTime::micros(24)), None);
        assert_eq!(timers.due(), EventTime::micros(25));
        timers.set(EventTime::micros(24), 2);
        assert_eq!(timers.due(), EventTime::micros(24));
        timers.clear();
        assert_eq!(timers.due(), EventTime::MAX);
        assert_eq!(timers.pop(EventTime::MAX), None);
    }
}
