//! What goes in and what has to come out, worked out from the number of a record alone.

use serde::{Deserialize, Serialize};

use crate::measure::mix;

/// How many users there are.
pub(super) const USERS: u64 = 10_000;

/// What a program does with its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
pub(super) enum Workload {
    /// Stateless: drops what has an amount that ends in 0, adds the cents to the rest.
    #[value(name = "S")]
    S,
    /// Keyed: the running sum of each user.
    #[value(name = "K")]
    K,
    /// Bytes: everything as it is, not looked into.
    #[value(name = "B")]
    B,
}

impl Workload {
    pub(super) fn name(self) -> &'static str {
        match self {
            Workload::S => "S",
            Workload::K => "K",
            Workload::B => "B",
        }
    }
}

/// A record of topic `in`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    pub(super) user: u64,
    pub(super) amount: u64,
    pub(super) at: i64,
    pub(super) seq: u64,
    pub(super) due_us: i64,
}

impl Input {
    pub(super) fn new(seq: u64, plan: Plan) -> Self {
        let due_us = plan.due_us(seq);
        let hash = mix(seq, 7);
        Input {
            user: hash % USERS,
            // The first record is the one that shows that a program is ready, so nobody may drop it.
            amount: if seq == 0 { 1 } else { (hash >> 32) % 100_000 },
            at: due_us / 1_000,
            seq,
            due_us,
        }
    }

    pub(super) fn is_dropped(&self) -> bool {
        self.amount.is_multiple_of(10)
    }
}

/// A record of topic `out` in workload S.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Priced {
    pub(super) user: u64,
    pub(super) amount: u64,
    pub(super) at: i64,
    pub(super) seq: u64,
    pub(super) due_us: i64,
    pub(super) cents: u64,
}

impl From<Input> for Priced {
    fn from(input: Input) -> Self {
        let Input {
            user,
            amount,
            at,
            seq,
            due_us,
        } = input;
        let cents = amount * 100;
        Priced {
            user,
            amount,
            at,
            seq,
            due_us,
            cents,
        }
    }
}

/// A record of topic `out` in workload K.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Summed {
    pub(super) user: u64,
    pub(super) sum: u64,
    pub(super) seq: u64,
    pub(super) due_us: i64,
}

/// When each record is due, in microseconds of the wall clock: the first one at once, the others at a
/// steady rate from another moment on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) first_us: i64,
    pub(super) steady_us: i64,
    /// Records a second; none: all are due at once.
    pub(super) rate: Option<u64>,
}

impl Plan {
    pub(super) fn at_once(now_us: i64) -> Self {
        Plan {
            first_us: now_us,
            steady_us: now_us,
            rate: None,
        }
    }

    #[inline]
    pub(super) fn due_us(&self, seq: u64) -> i64 {
        match (seq, self.rate) {
            (0, _) => self.first_us,
            (_, None) => self.steady_us,
            (_, Some(rate)) => self.steady_us + ((seq - 1) * 1_000_000 / rate) as i64,
        }
    }
}

/// How many records come out of the first so many.
pub(super) fn outputs(workload: Workload, records: u64) -> u64 {
    let plan = Plan::at_once(0);
    let kept = || (0..records).filter(|&seq| !Input::new(seq, plan).is_dropped());
    match workload {
        Workload::S => kept().count() as u64,
        Workload::K | Workload::B => records,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_record_is_due_at_once_and_the_others_at_a_steady_rate() {
        let plan = Plan {
            first_us: 5,
            steady_us: 1_000,
            rate: Some(1_000),
        };
        assert_eq!(
            [0, 1, 2, 1_001].map(|seq| plan.due_us(seq)),
            [5, 1_000, 2_000, 1_001_000]
        );
        assert_eq!(Plan::at_once(3).due_us(9), 3);
    }

    #[test]
    fn a_tenth_is_dropped_but_never_the_first() {
        assert_eq!(outputs(Workload::S, 1), 1);
        assert!((8_900..9_100).contains(&outputs(Workload::S, 10_000)));
        assert_eq!(outputs(Workload::K, 10_000), 10_000);
    }

    #[test]
    fn a_record_is_about_a_hundred_bytes() {
        let plan = Plan::at_once(1_764_100_000_000_000);
        let text = serde_json::to_string(&Input::new(1_234_567, plan)).unwrap();
        assert!((80..120).contains(&text.len()), "{text}");
    }
}
