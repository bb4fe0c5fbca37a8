//! Throughput against hand-written timely, in one run.
//!
//! | case | ours | by hand |
//! |---|---|---|
//! | fused | eight stateless stages by [`Stream::fuse`](stream_core::graph::Stream::fuse) | one operator |
//! | chained | the same stages, a method each | the same operator |
//! | count | `key_by`, `count`, changes | exchange, one hash map |
//! | sessions | `event_time`, `key_by`, `session`, `count` | watermarks, a hash map, a heap of timers |
//! | sliding | windows of 10 s that slide by 1 s, `count` | watermarks, counts by second, users by second |
//! | dedup | `dedup` within 10 s | watermarks, a hash map, one heap of clicks |
//! | interval join | `interval_join` of two sources, 2 s before and behind | watermarks, one hash map of both sides |
//! | table join | `count` joined with `count` by the operator for tables | one hash map of both counts |
//! | relation join | the same by `rows`, `join` and a group a key | the same hash map |
//! | top 10 | `top` of each key | exchange, one hash map of sorted vectors |
//! | six aggregates | `aggregate` of six in one pass | exchange, one hash map |
//! | group-by | `max`, and the mean over groups of keys | two hash maps, one behind the other |
//! | own scan | a `KeyedOperator` that counts | the built-in `scan` that counts |
//! | own sessions | a `KeyedOperator` with a timer a session | the built-in `session`, `count` |
//!
//! Both sides read the same records from memory, in chunks of the same size under the same slices,
//! with the same number of slices in flight, on the same number of workers, and emit the same rows.
//!
//! Behind these stands the longest turn of a worker's loop while one watermark completes a million windows
//! ([`stall`]), which is held against nothing.

mod cases;
pub(crate) mod data;
mod ours;
mod pipelines;
pub(crate) mod stages;
mod stall;

use std::error::Error;
use std::path::PathBuf;

use crate::measure::{compare, print_head, print_row, write_json};

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

pub(crate) fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    print_head();
    let mut rows = Vec::new();
    for make in cases::ALL {
        for mut case in make(&options.only) {
            let row = compare(
                &case.name,
                case.records,
                options.rounds,
                &mut *case.ours,
                &mut *case.by_hand,
            )?;
            print_row(&row);
            rows.push(serde_json::to_value(row)?);
        }
    }
    for stall in stall::run(options.rounds, &options.only)? {
        rows.push(serde_json::to_value(stall)?);
    }
    write_json(options.json.as_deref(), &rows)
}
