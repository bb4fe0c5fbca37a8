//! How long a state takes to come back from a folder, and how much memory: a job is stopped when all keys
//! are there, and a process of its own goes on from a copy of the folder until it reads its first record.
//! It is held against the same process with an empty folder.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use stream_core::Mode;
use stream_core::run::StateStore;

use super::keys::{Gate, Input, job, lock};
use super::{Pair, ROW, new_folder};

/// What a process has measured.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Restored {
    /// From the start of the job to its first read.
    seconds: f64,
    /// The peak of memory then, and what was left of it, both less what there was before.
    peak: f64,
    left: f64,
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
    let none = in_a_process(empty.path(), 0, workers)?;
    Ok(vec![
        ("s to first read", ours.seconds, none.seconds),
        ("MB, peak / state", ours.peak / 1e6, ours.left / 1e6),
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

/// Goes on from a store: all keys come once more, and each must have 2. With no keys it
/// begins afresh, with one.
pub(super) fn row(store: &Path, keys: u64, workers: u64) -> Result<Restored, Box<dyn Error>> {
    let is_empty = keys == 0;
    let input = input(keys.max(1));
    let gate = Gate::new(input.records);
    let (job, latest) = job::<u64>(input, workers, &gate);
    let before = memory()?;
    let begun = Instant::now();
    let report = job.state(StateStore::folder(store)?).run(Mode::PerRecord)?;
    if is_empty != report.state.and_then(|state| state.from).is_none() {
        return Err("it has begun at the wrong checkpoint".into());
    }
    latest.check(input)?;
    let first = lock(&gate.first_read).ok_or("nothing was read")?;
    let (peak, left) = lock(&gate.memory).ok_or("memory is told by Linux only")?;
    Ok(Restored {
        seconds: (first - begun).as_secs_f64(),
        peak: peak.saturating_sub(before.0) as f64,
        left: left.saturating_sub(before.1) as f64,
    })
}

/// The most memory that this process has had, and what it has, in bytes.
pub(super) fn memory() -> Result<(u64, u64), Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")
        .map_err(|error| format!("the memory of a process is told by Linux only: {error}"))?;
    let of = |name: &str| -> Result<u64, Box<dyn Error>> {
        let kib = status
            .lines()
            .find_map(|line| line.strip_prefix(name)?.trim().strip_suffix(" kB"));
        Ok(kib
            .ok_or("/proc/self/status says less")?
            .trim()
            .parse::<u64>()?
            * 1024)
    };
    Ok((of("VmHWM:")?, of("VmRSS:")?))
}
