//! Throughput against hand-written timely, in one run.
//!
//! | case | ours | by hand |
//! |---|---|---|
//! | fused | eight stateless stages by [`Stream::fuse`](stream_core::graph::Stream::fuse) | one operator |
//! | chained | the same stages, a method each | the same operator |
//! | count | `key_by`, `count`, changes | exchange, one hash map |
//! | sessions | `event_time`, `key_by`, `session`, `count` | watermarks, a hash map, a heap of timers |
//! | own scan | a `KeyedOperator` that counts | the built-in `scan` that counts |
//! | own sessions | a `KeyedOperator` with a timer a session | the built-in `session`, `count` |
//!
//! Both sides read the same records from memory, in chunks of the same size under the same slices,
//! with the same number of slices in flight, on the same number of workers, and emit the same rows.

pub(crate) mod data;
mod ours;
pub(crate) mod stages;

use std::error::Error;
use std::path::PathBuf;

use stream_core::Mode;

use crate::by_hand;
use crate::measure::{Digest, compare, print_head, print_row, write_json};
use data::Shares;

/// How many records a slice holds that is not cut by the mode.
const WHOLE_SLICE: u64 = 1 << 16;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Writes the table as JSON too.
    #[arg(long)]
    json: Option<PathBuf>,
    /// How often each side is run, in turns.
    #[arg(long, default_value_t = 11)]
    rounds: usize,
    /// Runs only the cases whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
}

struct Case {
    name: String,
    records: u64,
    ours: Box<dyn FnMut() -> Digest>,
    by_hand: Box<dyn FnMut() -> Digest>,
}

pub(crate) fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    print_head();
    let mut rows = Vec::new();
    for make in [fused, count, sessions, own] {
        for mut case in make(&options.only) {
            let row = compare(
                &case.name,
                case.records,
                options.rounds,
                &mut *case.ours,
                &mut *case.by_hand,
            )?;
            print_row(&row);
            rows.push(row);
        }
    }
    write_json(options.json.as_deref(), &rows)
}

/// A mode that cuts slices of so many records.
fn mode_of(slice: u64) -> Mode {
    match slice {
        WHOLE_SLICE => Mode::Batch,
        records => format!("micro-batch={records}records")
            .parse()
            .expect("a mode"),
    }
}

/// By workers and slice: the name behind the case's own, and the two numbers.
fn settings(case: &str, only: &str) -> Vec<(String, usize, u64)> {
    let mut settings = Vec::new();
    for (workers, slice) in [(1, 1_000), (1, WHOLE_SLICE), (2, 1_000), (2, WHOLE_SLICE)] {
        let s = if workers == 1 { "" } else { "s" };
        let name = format!("{case}, {workers} worker{s}, {slice}");
        if name.contains(only) {
            settings.push((name, workers, slice));
        }
    }
    settings
}

fn fused(only: &str) -> Vec<Case> {
    let numbers = data::numbers(1 << 20, u64::MAX);
    let pipelines: [(&str, ours::Pipeline); 2] =
        [("fused", ours::fused), ("chained", ours::chained)];
    let mut cases = Vec::new();
    for (case, pipeline) in pipelines {
        for (name, workers, slice) in settings(case, only) {
            let shares = Shares::deal(&numbers, workers, 24);
            let input = shares.clone();
            cases.push(Case {
                name,
                records: shares.records(),
                ours: Box::new(move || ours::run::<u64, u64>(pipeline, &shares, mode_of(slice))),
                by_hand: Box::new(move || by_hand::run(&input, slice, by_hand::eight_stages)),
            });
        }
    }
    cases
}

fn count(only: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    for (case, keys, times) in [
        ("count of 10 k keys", 10_000, 4),
        ("count of 1 M keys", 1_000_000, 2),
    ] {
        let numbers = data::numbers(1 << 22, keys);
        for (name, workers, slice) in settings(case, only) {
            let shares = Shares::deal(&numbers, workers, times);
            let input = shares.clone();
            // By hand, too, what is emitted at the end is kept in a smaller map.
            let count = match slice {
                WHOLE_SLICE => by_hand::count_at_end,
                _ => by_hand::count_by_slice,
            };
            cases.push(Case {
                name,
                records: shares.records(),
                ours: Box::new(move || {
                    ours::run::<_, stream_core::ops::Change<u64, u64>>(
                        ours::count,
                        &shares,
                        mode_of(slice),
                    )
                }),
                by_hand: Box::new(move || by_hand::run(&input, slice, count)),
            });
        }
    }
    cases
}

fn sessions(only: &str) -> Vec<Case> {
    let clicks = data::clicks(2_000_000);
    let mut cases = Vec::new();
    for (name, workers, slice) in settings("sessions", only) {
        let shares = Shares::deal(&clicks, workers, 1);
        let input = shares.clone();
        cases.push(Case {
            name,
            records: shares.records(),
            ours: Box::new(move || {
                ours::run::<_, stream_core::ops::Windowed<u64, u64>>(
                    ours::sessions,
                    &shares,
                    mode_of(slice),
                )
            }),
            by_hand: Box::new(move || by_hand::run(&input, slice, by_hand::sessions)),
        });
    }
    cases
}

/// Operators as a user writes them, against those of the library that do the same.
fn own(only: &str) -> Vec<Case> {
    type Counted = (u64, u64);
    type Session = stream_core::ops::Windowed<u64, u64>;
    let clicks = data::clicks(2_000_000);
    let few: Vec<_> = clicks
        .iter()
        .map(|click| data::Click {
            user: click.user % 10_000,
            ..*click
        })
        .collect();
    let mut cases = Vec::new();
    for (case, clicks) in [
        ("own scan of 10 k keys", &few),
        ("own scan of 200 k keys", &clicks),
    ] {
        for (name, workers, slice) in settings(case, only) {
            let shares = Shares::deal(clicks, workers, 1);
            let input = shares.clone();
            cases.push(Case {
                name,
                records: shares.records(),
                ours: Box::new(move || {
                    ours::run::<_, Counted>(ours::own_scan, &shares, mode_of(slice))
                }),
                by_hand: Box::new(move || {
                    ours::run::<_, Counted>(ours::scan, &input, mode_of(slice))
                }),
            });
        }
    }
    for (name, workers, slice) in settings("own sessions", only) {
        let shares = Shares::deal(&clicks, workers, 1);
        let input = shares.clone();
        cases.push(Case {
            name,
            records: shares.records(),
            ours: Box::new(move || {
                ours::run::<_, Session>(ours::own_sessions, &shares, mode_of(slice))
            }),
            by_hand: Box::new(move || {
                ours::run::<_, Session>(ours::sessions, &input, mode_of(slice))
            }),
        });
    }
    cases
}
