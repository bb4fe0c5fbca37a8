//! What one checkpoint a second costs in throughput: the same job with it and without, in turns.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use stream_core::Mode;
use stream_core::run::StateStore;

use super::keys::{Gate, Input, job};
use super::{Pair, new_folder};
use crate::measure::{Taken, take};

const INTERVAL: Duration = Duration::from_secs(1);
/// How many records come by key: some seconds of work.
const TIMES: u64 = 80;

pub(super) fn round(
    keys: u64,
    workers: u64,
    mode: Mode,
    at: Option<&Path>,
    turned: bool,
) -> Result<Vec<Pair>, Box<dyn Error>> {
    compare(keys, keys * TIMES, workers, mode, at, turned)
}

/// Million records a second, by the clock and by CPU time, with and without; and the CPU time of a checkpoint.
pub(super) fn compare(
    keys: u64,
    records: u64,
    workers: u64,
    mode: Mode,
    at: Option<&Path>,
    turned: bool,
) -> Result<Vec<Pair>, Box<dyn Error>> {
    let input = Input {
        keys,
        records,
        partitions: workers,
        is_mixed: true,
        is_stepwise: false,
    };
    let first = one(input, mode, at, !turned)?;
    let second = one(input, mode, at, turned)?;
    let ((with, checkpoints), (without, _)) = match turned {
        true => (second, first),
        false => (first, second),
    };
    let speed = |time: Duration| records as f64 / time.as_secs_f64() / 1e6;
    Ok(vec![
        ("M rec/s", speed(with.wall), speed(without.wall)),
        ("M rec/cpu s", speed(with.cpu), speed(without.cpu)),
        // However slow the machine is today: against a tenth of what the workers have in a second.
        (
            "cpu ms each",
            (with.cpu.as_secs_f64() - without.cpu.as_secs_f64()) * 1e3 / checkpoints as f64,
            INTERVAL.as_secs_f64() * 1e3 * workers as f64 / 10.0,
        ),
    ])
}

fn one(
    input: Input,
    mode: Mode,
    at: Option<&Path>,
    has_state: bool,
) -> Result<(Taken, u64), Box<dyn Error>> {
    let (mut job, latest) = job::<u64>(input, input.partitions, &Gate::new(input.records));
    let folder = new_folder(at)?;
    if has_state {
        let store = StateStore::folder(folder.path())?;
        job = job.state(store).checkpoint_interval(INTERVAL);
    }
    let (taken, report) = take(|| job.run(mode));
    let report = report?;
    latest.check(input)?;
    let checkpoints = report.state.map_or(0, |state| state.checkpoints);
    Ok((taken, checkpoints))
}
