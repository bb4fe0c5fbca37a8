//! The input, generated before anything is measured, from fixed seeds.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// How far a click may lie behind the latest of its partition and still be on time.
pub(crate) const LATENESS_SECS: u64 = 60;
/// The silence that ends a session.
pub(crate) const GAP_MINS: u64 = 30;

/// The same for the clicks of [`ticks`].
pub(crate) const TICK_LATENESS_SECS: u64 = 5;
/// How long a sliding window is; they begin a second apart.
pub(crate) const WINDOW_SECS: u64 = 10;
/// For how long a click stands for others in `dedup`.
pub(crate) const WITHIN_SECS: u64 = 10;
/// How far the two clicks of a pair may lie apart.
pub(crate) const JOIN_SECS: u64 = 2;
/// How many records of a key are kept by `top`.
pub(crate) const TOP: usize = 10;
/// How many groups the keys of a table fall into.
pub(crate) const GROUPS: u64 = 100;

/// A key and a value above 0.
pub(crate) type Pair = (u64, u64);

/// Six aggregates: count, sum, least, greatest, mean, and the pair whose [`rank`] is the greatest.
pub(crate) type Aggregates = (u64, i128, u64, u64, f64, Pair);

/// What pairs are ranked by: other than by value, and of no two values the same.
#[inline]
pub(crate) fn rank(pair: &Pair) -> u64 {
    pair.1.reverse_bits()
}

/// A click of a user, at a time in microseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Click {
    pub(crate) user: u64,
    pub(crate) at: i64,
}

/// A source's records, one share a partition, each read `times` times over.
#[derive(Clone)]
pub(crate) struct Shares<T> {
    pub(crate) shares: Arc<[Arc<[T]>]>,
    pub(crate) times: usize,
}

impl<T: Copy> Shares<T> {
    /// Deals records out to `workers` partitions, in turns.
    pub(crate) fn deal(records: &[T], workers: usize, times: usize) -> Self {
        let share = |first: usize| records.iter().skip(first).step_by(workers).copied();
        Shares {
            shares: (0..workers).map(|first| share(first).collect()).collect(),
            times,
        }
    }

    /// How many records are read in all.
    pub(crate) fn records(&self) -> u64 {
        let records: usize = self.shares.iter().map(|share| share.len()).sum();
        (records * self.times) as u64
    }
}

const SECOND: u64 = 1_000_000;
/// Before this there are no clicks but those of [`ticks`] that came late.
pub(super) const START: u64 = 1_710_288_000 * SECOND;

/// Random numbers: xorshift, which is enough for input data.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }
}

/// Numbers below `end`, evenly spread.
pub(crate) fn numbers(count: usize, end: u64) -> Vec<u64> {
    let mut random = Random(88_172_645_463_325_252);
    (0..count).map(|_| random.below(end)).collect()
}

/// Pairs with evenly spread keys and values.
pub(crate) fn pairs(count: usize, keys: u64) -> Vec<Pair> {
    let mut random = Random(0x1234_5678_9ABC_DEF1);
    let pair = |_| (random.below(keys), 1 + random.below(1 << 32));
    (0..count).map(pair).collect()
}

/// Clicks that come at a steady rate, evenly spread over the users. Most come up to half the lateness behind
/// their times; one of a thousand up to four times the lateness, so some of these are late.
pub(crate) fn ticks(count: usize, users: u64, a_second: u64, seed: u64) -> Vec<Click> {
    const LATENESS: u64 = TICK_LATENESS_SECS * SECOND;
    let mut random = Random(seed);
    let tick = |number: u64| {
        let delay = match random.below(1_000) {
            0 => random.below(4 * LATENESS),
            _ => random.below(LATENESS / 2),
        };
        Click {
            user: random.below(users),
            at: (START + number * SECOND / a_second - delay).cast_signed(),
        }
    };
    (0..count as u64).map(tick).collect()
}

/// Clicks of one day: visits of 1 to 15 clicks that lie 5 s to 5 min apart. They come in the order
/// of their times but for a disorder of up to half the lateness; one of a thousand comes up to four
/// times the lateness behind its time, so some of these are late.
pub(crate) fn clicks(count: usize) -> Vec<Click> {
    const DAY: u64 = 86_400 * SECOND;
    let users = count as u64 / 10;
    let mut random = Random(0x5DEE_CE66_D1CE_4E5B);
    let mut clicks = Vec::with_capacity(count + 16);
    while clicks.len() < count {
        let user = random.below(users);
        let mut at = START + random.below(DAY);
        for _ in 0..1 + random.below(15) {
            let delay = match random.below(1_000) {
                0 => random.below(4 * LATENESS_SECS * SECOND),
                _ => random.below(LATENESS_SECS * SECOND / 2),
            };
            let click = Click {
                user,
                at: at as i64,
            };
            clicks.push((at + delay, click));
            at += 5 * SECOND + random.below(295 * SECOND);
        }
    }
    clicks.sort_by_key(|(arrival, _)| *arrival);
    clicks.into_iter().map(|(_, click)| click).collect()
}
