//! The cases: which pipeline is held against what, over which input.

use std::rc::Rc;

use stream_core::Mode;
use stream_core::ops::{Change, Windowed};
use timely::ExchangeData;

use super::data::{self, Aggregates, Click, Pair, Shares};
use super::ours::{self, Pipeline};
use super::pipelines;
use crate::by_hand::{self, Computation};
use crate::measure::{Digest, Row};

/// How many records a slice holds that is not cut by the mode.
const WHOLE_SLICE: u64 = 1 << 16;

pub(super) struct Case {
    pub(super) name: String,
    pub(super) records: u64,
    pub(super) ours: Box<dyn FnMut() -> Digest>,
    pub(super) by_hand: Box<dyn FnMut() -> Digest>,
}

/// Makes those cases whose names contain a text.
type Make = fn(&str) -> Vec<Case>;

pub(super) const ALL: [Make; 13] = [
    fused,
    count,
    sessions,
    own_scan,
    own_sessions,
    sliding,
    dedup,
    interval_join,
    table_join,
    relation_join,
    top,
    six,
    means,
];

/// How many keys, and what they are called.
const SIZES: [(u64, &str); 2] = [(10_000, "10 k"), (1_000_000, "1 M")];

/// How often the input is read, at each of these sizes. Clicks are read once: a second time they would be late.
type Reads = [usize; SIZES.len()];
const ONCE: Reads = [1, 1];
const AGAIN: Reads = [4, 2];

/// A mode that cuts slices of so many records.
fn mode_of(slice: u64) -> Mode {
    match slice {
        WHOLE_SLICE => Mode::Batch,
        records => format!("micro-batch={records}records")
            .parse()
            .expect("a mode"),
    }
}

/// What runs over an input in slices of so many records.
type Side<T, const N: usize> = Rc<dyn Fn(&[Shares<T>; N], u64) -> Digest>;

/// A pipeline whose rows are of some type.
fn ours<T, O, const N: usize>(pipeline: Pipeline) -> Side<T, N>
where
    T: Copy + Send + Sync + 'static,
    O: Row,
{
    Rc::new(move |inputs, slice| ours::run::<T, O, N>(pipeline, inputs, mode_of(slice)))
}

/// A computation by hand.
fn by_hand<T, O, const N: usize>(computation: Computation<T, O, N>) -> Side<T, N>
where
    T: ExchangeData + Copy + Sync,
    O: Row + Clone,
{
    Rc::new(move |inputs, slice| by_hand::run(inputs, slice, computation))
}

/// A table by hand, whose rows are emitted by slice, or all at the end.
fn table<T, O, const N: usize>(
    by_slice: Computation<T, O, N>,
    at_end: Computation<T, O, N>,
) -> Side<T, N>
where
    T: ExchangeData + Copy + Sync,
    O: Row + Clone,
{
    Rc::new(move |inputs, slice| match slice {
        WHOLE_SLICE => by_hand::run(inputs, slice, at_end),
        _ => by_hand::run(inputs, slice, by_slice),
    })
}

/// Holds two sides against each other for each number of workers and each slice. The input, which is read so
/// many times, is made only if any of the names contains a text.
fn compared<T: Copy + 'static, const N: usize>(
    only: &str,
    case: &str,
    times: usize,
    input: impl FnOnce() -> [Vec<T>; N],
    [ours, by_hand]: [Side<T, N>; 2],
) -> Vec<Case> {
    let mut settings = Vec::new();
    for (workers, slice) in [(1, 1_000), (1, WHOLE_SLICE), (2, 1_000), (2, WHOLE_SLICE)] {
        let s = if workers == 1 { "" } else { "s" };
        let name = format!("{case}, {workers} worker{s}, {slice}");
        if name.contains(only) {
            settings.push((name, workers, slice));
        }
    }
    if settings.is_empty() {
        return Vec::new();
    }
    let records = input();
    let case = |(name, workers, slice)| {
        let deal = |records: &Vec<T>| Shares::deal(records, workers, times);
        let shares = Rc::new(records.each_ref().map(deal));
        let run = |side: &Side<T, N>| -> Box<dyn FnMut() -> Digest> {
            let (side, shares) = (side.clone(), shares.clone());
            Box::new(move || side(&shares, slice))
        };
        Case {
            name,
            records: shares.iter().map(Shares::records).sum(),
            ours: run(&ours),
            by_hand: run(&by_hand),
        }
    };
    settings.into_iter().map(case).collect()
}

fn fused(only: &str) -> Vec<Case> {
    let input = || [data::numbers(1 << 20, u64::MAX)];
    let pipelines: [(&str, Pipeline); 2] =
        [("fused", pipelines::fused), ("chained", pipelines::chained)];
    let cases = pipelines.map(|(case, pipeline)| {
        let sides = [ours::<_, u64, 1>(pipeline), by_hand(by_hand::eight_stages)];
        compared(only, case, 24, input, sides)
    });
    cases.into_iter().flatten().collect()
}

/// Cases at each number of keys.
fn by_keys<T: Copy + 'static, const N: usize>(
    only: &str,
    case: &str,
    reads: Reads,
    input: impl Fn(u64) -> [Vec<T>; N],
    sides: &[Side<T, N>; 2],
) -> Vec<Case> {
    let sizes = SIZES.into_iter().zip(reads);
    let cases = sizes.map(|((keys, called), times)| {
        let case = format!("{case} of {called} keys");
        compared(only, &case, times, || input(keys), sides.clone())
    });
    cases.flatten().collect()
}

fn count(only: &str) -> Vec<Case> {
    let input = |keys| [data::numbers(1 << 22, keys)];
    let counted = table(
        by_hand::by_slice::<by_hand::Count, 1>,
        by_hand::at_end::<by_hand::Count, 1>,
    );
    let sides = [ours::<_, Change<u64, u64>, 1>(pipelines::count), counted];
    by_keys(only, "count", AGAIN, input, &sides)
}

/// What a window or a session gives.
type Counted = Windowed<u64, u64>;

fn sessions(only: &str) -> Vec<Case> {
    let sides = [
        ours::<_, Counted, 1>(pipelines::sessions),
        by_hand(by_hand::in_time::<by_hand::Sessions, 1>),
    ];
    compared(only, "sessions", 1, || [data::clicks(CLICKS)], sides)
}

/// How many clicks there are.
const CLICKS: usize = 2_000_000;

/// Operators as a user writes them, against those of the library that do the same.
fn own_scan(only: &str) -> Vec<Case> {
    let cases = [(10_000, "10 k"), (200_000, "200 k")].map(|(users, called)| {
        let input = || {
            let mut clicks = data::clicks(CLICKS);
            clicks.iter_mut().for_each(|click| click.user %= users);
            [clicks]
        };
        let sides = [pipelines::own_scan, pipelines::scan].map(ours::<_, (u64, u64), 1>);
        compared(only, &format!("own scan of {called} keys"), 1, input, sides)
    });
    cases.into_iter().flatten().collect()
}

fn own_sessions(only: &str) -> Vec<Case> {
    let sides = [pipelines::own_sessions, pipelines::sessions].map(ours::<_, Counted, 1>);
    compared(only, "own sessions", 1, || [data::clicks(CLICKS)], sides)
}

/// Ten clicks a user and window.
fn sliding(only: &str) -> Vec<Case> {
    let sides = [
        ours::<_, Counted, 1>(pipelines::sliding),
        by_hand(by_hand::in_time::<by_hand::Sliding, 1>),
    ];
    let input = || [data::ticks(CLICKS, 10_000, 10_000, 1)];
    compared(only, "sliding of 10 k keys", 1, input, sides)
}

/// How many clicks come of so many users: of each one in a second, or, of many users, one in ten.
fn clicks_a_second(users: u64) -> u64 {
    users.min(100_000)
}

fn dedup(only: &str) -> Vec<Case> {
    let sides = [
        ours::<_, Click, 1>(pipelines::dedup),
        by_hand(by_hand::in_time::<by_hand::Dedup, 1>),
    ];
    let input = |users| [data::ticks(2 * CLICKS, users, clicks_a_second(users), 1)];
    by_keys(only, "dedup", ONCE, input, &sides)
}

fn interval_join(only: &str) -> Vec<Case> {
    let sides = [
        ours::<_, (Click, Click), 2>(pipelines::interval_join),
        by_hand(by_hand::in_time::<by_hand::IntervalJoin, 2>),
    ];
    let input =
        |users| [1, 2].map(|seed| data::ticks(CLICKS, users, clicks_a_second(users) / 2, seed));
    by_keys(only, "interval join", ONCE, input, &sides)
}

/// Two inputs that are counted and joined.
fn two_inputs(keys: u64) -> [Vec<u64>; 2] {
    let mut left = data::numbers(1 << 22, keys);
    let right = left.split_off(1 << 21);
    [left, right]
}

fn counts_joined() -> Side<u64, 2> {
    table(
        by_hand::by_slice::<by_hand::Counts, 2>,
        by_hand::at_end::<by_hand::Counts, 2>,
    )
}

fn table_join(only: &str) -> Vec<Case> {
    let joined = ours::<_, Change<u64, (u64, u64)>, 2>(pipelines::table_join);
    by_keys(
        only,
        "table join",
        AGAIN,
        two_inputs,
        &[joined, counts_joined()],
    )
}

fn relation_join(only: &str) -> Vec<Case> {
    let joined = ours::<_, Change<u64, i128>, 2>(pipelines::relation_join);
    by_keys(
        only,
        "relation join",
        AGAIN,
        two_inputs,
        &[joined, counts_joined()],
    )
}

fn pairs(keys: u64) -> [Vec<Pair>; 1] {
    [data::pairs(1 << 22, keys)]
}

fn top(only: &str) -> Vec<Case> {
    let kept = table(
        by_hand::by_slice::<by_hand::Top, 1>,
        by_hand::at_end::<by_hand::Top, 1>,
    );
    let sides = [ours::<_, Change<u64, Vec<Pair>>, 1>(pipelines::top), kept];
    by_keys(only, "top 10", AGAIN, pairs, &sides)
}

fn six(only: &str) -> Vec<Case> {
    let kept = table(
        by_hand::by_slice::<by_hand::Six, 1>,
        by_hand::at_end::<by_hand::Six, 1>,
    );
    let sides = [ours::<_, Change<u64, Aggregates>, 1>(pipelines::six), kept];
    by_keys(only, "six aggregates", AGAIN, pairs, &sides)
}

fn means(only: &str) -> Vec<Case> {
    let sides = [
        ours::<_, Change<u64, f64>, 1>(pipelines::means),
        table(by_hand::means_by_slice, by_hand::means_at_end),
    ];
    by_keys(only, "group-by", AGAIN, pairs, &sides)
}
