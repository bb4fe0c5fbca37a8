//! The longest time for which a checkpoint holds a worker up.
//!
//! Once all keys are there, the reader of each worker gives 1,024 of them a turn; the longest time between two
//! reads is what counts, by the clock and by the CPU of the worker's thread. With checkpoints, one is made
//! at each fifth of the input.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use stream_core::Mode;
use stream_core::run::StateStore;

use super::keys::{Gate, Input, Longest, Numbered, job, lock};
use super::{Pair, new_folder};

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
    let with = longest::<Q>(input, mode, Some(StateStore::folder(folder.path())?))?;
    let ms = |time: std::time::Duration| time.as_secs_f64() * 1e3;
    Ok(vec![
        ("ms at most", ms(with.wall), ms(without.wall)),
        ("cpu ms at most", ms(with.cpu), ms(without.cpu)),
    ])
}

fn longest<Q: Numbered>(
    input: Input,
    mode: Mode,
    store: Option<StateStore>,
) -> Result<Longest, Box<dyn Error>> {
    let gate: Arc<Gate> = Gate::new(input.records);
    let (mut job, latest) = job::<Q>(input, input.partitions, &gate);
    let has_state = store.is_some();
    if let Some(store) = store {
        job = job.state(store);
    }
    let handle = job.start(mode)?;
    for fifth in 0..5 {
        let rest = input.records - input.keys;
        gate.wait_for(input.keys + rest * fifth / 5 + 1, || handle.is_finished());
        if has_state {
            handle.checkpoint();
        }
    }
    let report = handle.wait()?;
    latest.check(input)?;
    if let Some(state) = report.state.filter(|state| state.checkpoints < 2) {
        return Err(format!("too few checkpoints: {state}").into());
    }
    let longest = *lock(&gate.longest);
    Ok(longest)
}
