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
