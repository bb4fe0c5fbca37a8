//! What a checkpoint writes, and how long it takes until it stands in the log, where one key in a hundred has
//! changed since the one before; held against that one, which has all keys.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use stream_core::Mode;
use stream_core::run::StateStore;

use super::keys::{Gate, Input, job};
use super::{Pair, entries, new_folder, wait_for_entry};

pub(super) fn round(keys: u64, at: Option<&Path>) -> Result<Vec<Pair>, Box<dyn Error>> {
    let input = Input {
        keys,
        records: keys + keys / 100 + 1,
        partitions: 1,
        is_mixed: false,
        is_stepwise: false,
    };
    let folder = new_folder(at)?;
    let gate = Gate::new(keys);
    let (job, latest) = job::<u64>(input, 1, &gate);
    let handle = job
        .state(StateStore::folder(folder.path())?)
        .start(Mode::PerRecord)?;
    let mut took = Vec::new();
    for allowed in [keys, input.records - 1] {
        gate.allowed.store(allowed, Ordering::Release);
        gate.wait_for(allowed, || handle.is_finished());
        thread::sleep(Duration::from_millis(100)); // what was read has been counted
        let before = entries(folder.path())?;
        let begun = Instant::now();
        handle.checkpoint();
        wait_for_entry(folder.path(), before, || handle.is_finished())?;
        took.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    let bytes = bytes(folder.path())?;
    gate.allowed.store(input.records, Ordering::Release);
    handle.wait()?;
    latest.check(input)?;
    let bytes: Vec<_> = bytes
        .into_values()
        .map(|bytes| bytes as f64 / 1e6)
        .collect();
    let [all, little] = bytes[..] else {
        return Err(format!("two checkpoints were made, not {}", bytes.len()).into());
    };
    Ok(vec![("MB", little, all), ("ms", took[1], took[0])])
}

/// By checkpoint: how many bytes of state were written for it.
fn bytes(store: &Path) -> Result<BTreeMap<u64, u64>, Box<dyn Error>> {
    let mut bytes = BTreeMap::new();
    for file in fs::read_dir(store.join("state"))? {
        let file = file?;
        let name = file.file_name();
        let name = name.to_str().ok_or("a name is no text")?;
        let number = name.split('-').nth(1).ok_or("an object has no number")?;
        *bytes.entry(number.parse()?).or_default() += file.metadata()?.len();
    }
    Ok(bytes)
}
