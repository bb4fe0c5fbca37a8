//! The longest time for which a checkpoint holds a worker up.
//!
//! Once all keys are there, the reader of each worker gives 1,024 of them a turn; the longest time between two
//! reads is what counts, by the clock and by the CPU of the worker's thread. With checkpoints, one is asked
//! for at each fifth of the input, and the last record waits until one stands.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use stream_core::Mode;
use stream_core::run::StateStore;

use super::keys::{Gate, Input, Longest, Numbered, job, lock};
use super::{Pair, entries, new_folder, wait_for_entry};

/// How many records come when all keys are there, by key.
const TIMES: u64 = 8;

pub(super) fn round<Q: Numbered>(
    keys: u64,
    workers: u64,
    mode: Mode,
    at: Option<&Path>,
) -> Result<Vec<Pair>, Box<dyn Error>> {
    let input = Input {
        keys,
        records: keys * (1 + TIMES),
        partitions: workers,
        is_mixed: true,
        is_stepwise: true,
    };
    let without = longest::<Q>(input, mode, None)?;
    let folder = new_folder(at)?;
    let with = longest::<Q>(input, mode, Some(folder.path()))?;
    let ms = |time: std::time::Duration| time.as_secs_f64() * 1e3;
    Ok(vec![
        ("ms at most", ms(with.wall), ms(without.wall)),
        ("cpu ms at most", ms(with.cpu), ms(without.cpu)),
    ])
}

fn longest<Q: Numbered>(
    input: Input,
    mode: Mode,
    state: Option<&Path>,
) -> Result<Longest, Box<dyn Error>> {
    let gate: Arc<Gate> = Gate::new(input.records - 1);
    let (mut job, latest) = job::<Q>(input, input.partitions, &gate);
    let mut begun = 0;
    if let Some(folder) = state {
        job = job.state(StateStore::folder(folder)?);
        begun = entries(folder)?;
    }
    let handle = job.start(mode)?;
    for fifth in 0..5 {
        let rest = input.records - input.keys;
        gate.wait_for(input.keys + rest * fifth / 5, || handle.is_finished());
        if state.is_some() {
            handle.checkpoint();
        }
    }
    if let Some(folder) = state {
        wait_for_entry(folder, begun, || handle.is_finished())?;
    }
    gate.allowed.store(input.records, Ordering::Release);
    handle.wait()?;
    latest.check(input)?;
    let longest = *lock(&gate.longest);
    Ok(longest)
}
