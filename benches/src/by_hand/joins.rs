//! An interval join of two streams.

use std::collections::BTreeMap;

use hashbrown::hash_map::Entry;

use super::Map;
use super::in_time::InTime;
use crate::overhead::data::{Click, JOIN_SECS, TICK_LATENESS_SECS};

const SECOND: i64 = 1_000_000;
const REACH: i64 = JOIN_SECS as i64 * SECOND;

/// Pairs of clicks of a user, one of each stream, that lie close together.
#[derive(Default)]
pub(crate) struct IntervalJoin {
    /// By user, the times of either stream that may still make pairs, in no order.
    users: Map<[Vec<i64>; 2]>,
    /// By second, users of whom a click makes no more pairs.
    timers: BTreeMap<i64, Vec<u64>>,
}

impl InTime for IntervalJoin {
    type Out = (Click, Click);

    const LATENESS_SECS: u64 = TICK_LATENESS_SECS;

    #[inline]
    fn add(&mut self, side: usize, Click { user, at }: Click, mut emit: impl FnMut(Self::Out)) {
        let sides = self.users.entry(user).or_default();
        for &other in &sides[1 - side] {
            if (at - REACH..=at + REACH).contains(&other) {
                let (left, right) = if side == 0 { (at, other) } else { (other, at) };
                emit((Click { user, at: left }, Click { user, at: right }));
            }
        }
        sides[side].push(at);
        let second = (at + REACH).div_euclid(SECOND) + 1;
        self.timers.entry(second).or_default().push(user);
    }

    fn complete(&mut self, watermark: i64, _: impl FnMut(Self::Out)) {
        while let Some(first) = self.timers.first_entry() {
            if *first.key() * SECOND > watermark {
                return;
            }
            for user in first.remove() {
                let Entry::Occupied(mut entry) = self.users.entry(user) else {
                    continue;
                };
                let sides = entry.get_mut();
                sides
                    .iter_mut()
                    .for_each(|times| times.retain(|at| at + REACH >= watermark));
                if sides.iter().all(Vec::is_empty) {
                    entry.remove();
                }
            }
        }
    }
}
