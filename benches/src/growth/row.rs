//! One row, in a process of its own: what a case measures at one size.

use std::error::Error;
use std::fs;

use serde::{Deserialize, Serialize};

use crate::measure::{Digest, Taken, take};

/// What a row measures, of which it may have several.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Value {
    pub(super) unit: String,
    pub(super) value: f64,
}

impl Value {
    pub(super) fn new(unit: &str, value: f64) -> Self {
        Value {
            unit: unit.to_owned(),
            value,
        }
    }
}

/// The values of one row, or why there are none.
pub(super) type Values = Result<Vec<Value>, Box<dyn Error>>;

/// What a job has taken.
pub(super) struct Cost {
    taken: Taken,
    /// How far the memory of the process has grown, in bytes.
    peak: u64,
}

impl Cost {
    /// Runs the job of a row, which is the only one of its process.
    pub(super) fn of<T, E: Error + 'static>(
        job: impl FnOnce() -> Result<T, E>,
    ) -> Result<Self, Box<dyn Error>> {
        let before = memory_peak()?;
        let (taken, result) = take(job);
        let peak = memory_peak()?.saturating_sub(before);
        result?;
        Ok(Cost { taken, peak })
    }

    /// The CPU time by item, in ns. Whatever else the machine does, it is not in there.
    pub(super) fn ns(&self, item: &str, items: u64) -> Value {
        let ns = self.taken.cpu.as_secs_f64() * 1e9;
        Value::new(&format!("cpu ns a {item}"), ns / items as f64)
    }

    pub(super) fn bytes(&self) -> Value {
        Value::new("bytes at peak", self.peak as f64)
    }

    pub(super) fn bytes_by(&self, item: &str, items: u64) -> Value {
        Value::new(&format!("bytes a {item}"), self.peak as f64 / items as f64)
    }
}

/// The most memory that this process has had, in bytes.
pub(crate) fn memory_peak() -> Result<u64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")
        .map_err(|error| format!("the memory of a process is told by Linux only: {error}"))?;
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"))
        .ok_or("/proc/self/status says no VmHWM")?;
    Ok(kib.trim().parse::<u64>()? * 1024)
}

/// Fails unless the rows that came out are those that should have, whose hashes are given.
pub(super) fn check(
    got: &Digest,
    expected: impl IntoIterator<Item = u64>,
) -> Result<(), Box<dyn Error>> {
    let mut digest = Digest::default();
    expected.into_iter().for_each(|hash| digest.add(hash));
    if *got == digest {
        return Ok(());
    }
    Err(format!("the result is wrong: {got:?}, expected {digest:?}").into())
}
