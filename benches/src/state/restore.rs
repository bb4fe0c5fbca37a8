//! How long a state takes to come back from a folder, and how much memory: a job is stopped when all keys
//! are there, and a process of its own goes on from the folder until it reads its first record. It is held
//! against a process that begins afresh and reads all these keys again.

use std::error::Error;
#[cfg(test)]
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use stream_core::Mode;
use stream_core::run::StateStore;

use super::keys::{Gate, Input, job, lock};
use super::{Pair, ROW, new_folder};
use crate::growth::memory_peak;

/// What a process has measured until all keys were there: from the start of the job to its first read, or
/// to that of the last new key.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Restored {
    seconds: f64,
    /// The peak of memory then, less what there was before.
    peak: f64,
}

pub(super) fn round(
    keys: u64,
    workers: u64,
    at: Option<&Path>,
) -> Result<Vec<Pair>, Box<dyn Error>> {
    let full = new_folder(at)?;
    let empty = new_folder(at)?;
    make(keys, workers, full.path())?;
    let ours = in_a_process(full.path(), keys, workers)?;
    let afresh = in_a_process(empty.path(), keys, workers)?;
    Ok(vec![
        ("s to first read", ours.seconds, afresh.seconds),
        ("MB at peak", ours.peak / 1e6, afresh.peak / 1e6),
    ])
}

/// How many partitions there are, on however many workers.
const PARTITIONS: u64 = 2;

/// Each key twice.
fn input(keys: u64) -> Input {
    Input {
        keys,
        records: keys * 2,
        partitions: PARTITIONS,
        is_mixed: false,
        is_stepwise: false,
    }
}

/// Leaves the state of so many keys in a folder.
pub(super) fn make(keys: u64, workers: u64, folder: &Path) -> Result<(), Box<dyn Error>> {
    let gate = Gate::new(keys);
    let (job, _) = job::<u64>(input(keys), workers, &gate);
    let handle = job
        .state(StateStore::folder(folder)?)
        .start(Mode::PerRecord)?;
    gate.wait_for(keys, || handle.is_finished());
    handle.stop();
    let report = handle.wait()?;
    match report.state.and_then(|state| state.last) {
        Some(_) => Ok(()),
        None => Err("no state was left".into()),
    }
}

/// Copies a folder of state.
#[cfg(test)]
pub(super) fn copy(from: &Path, to: &Path) -> Result<(), Box<dyn Error>> {
    for folder in fs::read_dir(from)? {
        let folder = folder?;
        let to = to.join(folder.file_name());
        fs::create_dir_all(&to)?;
        for file in fs::read_dir(folder.path())? {
            let file = file?;
            fs::copy(file.path(), to.join(file.file_name()))?;
        }
    }
    Ok(())
}

fn in_a_process(store: &Path, keys: u64, workers: u64) -> Result<Restored, Box<dyn Error>> {
    let output = Command::new(std::env::current_exe()?)
        .arg(ROW)
        .arg(store)
        .args([keys.to_string(), workers.to_string()])
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(format!("a restore ended with {}", output.status).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Goes on from a store, or begins afresh in an empty one. In the end each key must have come twice.
pub(super) fn row(store: &Path, keys: u64, workers: u64) -> Result<Restored, Box<dyn Error>> {
    let input = input(keys);
    let gate = Gate::new(input.records);
    let (job, latest) = job::<u64>(input, workers, &gate);
    let before = memory_peak()?;
    let begun = Instant::now();
    let report = job.state(StateStore::folder(store)?).run(Mode::PerRecord)?;
    latest.check(input)?;
    let is_afresh = report.state.is_some_and(|state| state.from.is_none());
    let moment = match is_afresh {
        true => *lock(&gate.grown),
        false => *lock(&gate.first_read),
    };
    let (moment, peak) = moment.ok_or("nothing was read")?;
    Ok(Restored {
        seconds: (moment - begun).as_secs_f64(),
        peak: peak.saturating_sub(before) as f64,
    })
}
