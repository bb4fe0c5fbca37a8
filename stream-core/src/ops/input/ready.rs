//! Which lane is read next, of those that have something to say.
//!
//! The lane that has come least far in event time goes first, so that a window need not wait for a
//! lane that lags. Two things keep that from starving the others. A lane that was read and has come
//! no further (all its records may be dropped before they reach `event_time`) is followed by the
//! lane that has waited longest; and so is every [`PATIENCE`]th turn. So of n lanes none waits for
//! more than n · `PATIENCE` turns.
//!
//! A lane that is taken by one order leaves its place in the other behind, which is dropped when it
//! is come upon, or when such places are most of what there is. So to take a lane costs at most the
//! logarithm of their number: a thousand partitions cost little more than ten.

use std::cmp::Reverse;
use std::collections::binary_heap::PeekMut;
use std::collections::{BinaryHeap, VecDeque};

use crate::engine::lane::Progress;

/// How many turns the lanes that lag may have before the one that has waited longest has its own.
const PATIENCE: u64 = 16;
/// So few places are never looked through for those that were left behind.
const FEW_PLACES: usize = 64;

/// The lanes of one input, by their numbers.
#[derive(Default)]
pub(super) struct ReadyLanes {
    /// By progress, then by the turn that a lane was taken in last. The progress may have grown
    /// since; it is looked up again when the lane would be taken.
    least: BinaryHeap<Reverse<(Progress, Place)>>,
    /// In the order in which they became ready.
    longest: VecDeque<Place>,
    lanes: Vec<Standing>,
    ready: usize,
    turn: u64,
    /// How far the lane had come that was taken last because it had come least far.
    least_progress: Progress,
    /// Whether the lane that was taken last had come no further since it was taken before.
    is_stalled: bool,
}

/// A lane's place in one of the orders, which is left behind once the lane has had another turn.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    /// The turn that the lane had been taken in last.
    turn: u64,
    lane: usize,
}

/// How a lane stands.
#[derive(Clone, Copy)]
struct Standing {
    is_ready: bool,
    /// The turn that it was taken in last.
    turn: u64,
    /// When that was, and how far the lane had come then.
    taken: Option<(u64, Progress)>,
}

impl Standing {
    fn holds(&self, place: Place) -> bool {
        self.is_ready && self.turn == place.turn
    }
}

impl ReadyLanes {
    /// Adds a lane, which is not ready. Lanes are numbered as they are added.
    pub(super) fn add(&mut self) {
        self.lanes.push(Standing {
            is_ready: false,
            turn: 0,
            taken: None,
        });
    }

    /// Notes that a lane has something to say, if that is not known.
    pub(super) fn put(&mut self, lane: usize) {
        let standing = &mut self.lanes[lane];
        if std::mem::replace(&mut standing.is_ready, true) {
            return;
        }
        self.ready += 1;
        let turn = standing.turn;
        // It has come so far at least; how far it is shows when it would be taken.
        let progress = standing
            .taken
            .map_or(Progress::Open, |(_, progress)| progress);
        self.least.push(Reverse((progress, Place { turn, lane })));
        self.longest.push_back(Place { turn, lane });

        let (lanes, places_max) = (&self.lanes, FEW_PLACES.max(4 * self.ready));
        if self.least.len() > places_max {
            self.least
                .retain(|Reverse((_, place))| lanes[place.lane].holds(*place));
        }
        if self.longest.len() > places_max {
            self.longest.retain(|place| lanes[place.lane].holds(*place));
        }
    }

    /// Takes the lane to be read next. Progress counts as new once an `activation` has passed, for
    /// what is read in one gets to `event_time` only after it.
    pub(super) fn take(
        &mut self,
        activation: u64,
        progress_of: impl Fn(usize) -> Progress,
    ) -> Option<usize> {
        self.turn += 1;
        let is_others_turn = self.is_stalled || self.turn.is_multiple_of(PATIENCE);
        let lane = match is_others_turn {
            true => self.take_longest()?,
            false => self.take_least(&progress_of)?,
        };
        let progress = progress_of(lane);
        if !is_others_turn {
            self.least_progress = progress;
        }
        let standing = &mut self.lanes[lane];
        standing.is_ready = false;
        self.ready -= 1;
        let before = standing.taken.filter(|(when, _)| *when < activation);
        self.is_stalled = !is_others_turn && before.is_some_and(|(_, was)| was == progress);
        if standing.taken.is_none_or(|(when, _)| when < activation) {
            standing.taken = Some((activation, progress));
        }
        standing.turn = self.turn;
        Some(lane)
    }

    fn take_longest(&mut self) -> Option<usize> {
        loop {
            let place = self.longest.pop_front()?;
            if self.lanes[place.lane].holds(place) {
                return Some(place.lane);
            }
        }
    }

    fn take_least(&mut self, progress_of: impl Fn(usize) -> Progress) -> Option<usize> {
        loop {
            let mut first = self.least.peek_mut()?;
            let Reverse((known, place)) = &mut *first;
            if !self.lanes[place.lane].holds(*place) {
                PeekMut::pop(first);
                continue;
            }
            let progress = progress_of(place.lane);
            if progress <= *known {
                let lane = place.lane;
                PeekMut::pop(first);
                return Some(lane);
            }
            *known = progress;
        }
    }

    /// How far the lane had come that was taken last because it had come least far.
    pub(super) fn least(&self) -> Progress {
        self.least_progress
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ready == 0
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::time::EventTime;

    /// Takes lanes that are always ready, one an activation, each of which comes as far a turn as
    /// its step says; tells how often each was taken.
    fn turns(steps: &[Option<i64>], turns: u64) -> Vec<u64> {
        let mut ready = ReadyLanes::default();
        let come = RefCell::new(vec![0; steps.len()]);
        let mut taken = vec![0; steps.len()];
        for lane in 0..steps.len() {
            ready.add();
            ready.put(lane);
        }
        for activation in 0..turns {
            let progress = |lane: usize| match (steps[lane], come.borrow()[lane]) {
                (None, _) | (_, 0) => Progress::Open,
                (Some(_), come) => Progress::At(EventTime::secs(come)),
            };
            let lane = ready.take(activation, progress).unwrap();
            come.borrow_mut()[lane] += steps[lane].unwrap_or(0);
            taken[lane] += 1;
            ready.put(lane);
        }
        taken
    }

    #[test]
    fn the_lane_that_has_come_least_far_goes_first() {
        // A lane that comes a tenth as far a turn is read about ten times as often.
        let taken = turns(&[Some(1), Some(10)], 1_100);
        assert!(taken[0] > 900, "{taken:?}");
        assert!(taken[1] >= 1_100 / PATIENCE / 2, "{taken:?}");
    }

    #[test]
    fn a_lane_that_never_comes_further_does_not_starve_the_others() {
        let taken = turns(&[None, Some(1), Some(1)], 1_000);
        assert!(taken[0] <= 510, "{taken:?}");
        assert!(taken[1] >= 200 && taken[2] >= 200, "{taken:?}");
    }

    #[test]
    fn lanes_without_event_time_take_turns() {
        let taken = turns(&[None; 10], 1_000);
        assert!(
            taken.iter().all(|turns| (95..=105).contains(turns)),
            "{taken:?}"
        );
    }

    #[test]
    fn no_lane_waits_for_more_than_a_bounded_number_of_turns() {
        let steps: Vec<_> = (0..20_i64)
            .map(|lane| Some(1 + lane * lane * lane))
            .collect();
        let taken = turns(&steps, 20 * PATIENCE * 10);
        assert!(taken.iter().all(|turns| *turns >= 10), "{taken:?}");
    }

    #[test]
    fn a_lane_is_taken_once_for_each_time_it_was_put() {
        let mut ready = ReadyLanes::default();
        ready.add();
        ready.put(0);
        ready.put(0);
        assert_eq!(ready.take(0, |_| Progress::Open), Some(0));
        assert!(ready.is_empty());
        assert_eq!(ready.take(0, |_| Progress::Open), None);
    }
}
