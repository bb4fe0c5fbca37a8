//! `compare`: races the modes, and proves that they give equal answers.
//!
//! 1. Every input must give the same records in every run: bounded, and repeatable.
//! 2. Every sink is replaced by a [digest](digest) of what it would have been given.
//! 3. Every mode runs several times, the modes in turn, so that a machine that grows warm or busy
//!    does so for all of them.
//! 4. With a rate, every input comes at planned times, and [latencies](latency) are taken.
//! 5. The answers are held against those of the first run. Where one differs, both runs are made
//!    once more, to show the rows; and the stages before that output that are not *exact* are named.

mod difference;
mod digest;
mod latency;
mod report;
mod usage;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub(super) use difference::Difference;
use digest::{Content, DigestTap};
use latency::{Hold, Latencies, Watch};
pub(super) use report::parse_modes;

use crate::engine::Mode;
use crate::error::{Error, Problem};
use crate::graph::GraphSpec;
use crate::io::Boundedness;
use crate::job::{Counts, Job};

/// What is to be compared.
pub(super) struct Race {
    pub(super) modes: Vec<Mode>,
    pub(super) runs: u64,
    /// Records a second of each input; as fast as can be where there are none.
    pub(super) rates: Vec<f64>,
}

/// What has come of it.
pub(super) struct Comparison {
    spec: GraphSpec,
    workers: usize,
    modes: Vec<Mode>,
    rates: Vec<Option<f64>>,
    /// All runs, in the order in which they were made.
    runs: Vec<Run>,
    pub(super) differences: Vec<Difference>,
}

/// One run of one mode.
struct Run {
    name: RunName,
    wall: Duration,
    cpu: Option<Duration>,
    memory_peak: Option<u64>,
    slices: u64,
    counts: Counts,
    outputs: BTreeMap<String, Content>,
    /// Of a run at a rate.
    latencies: Option<Latencies>,
}

/// Which run.
#[derive(Clone, Copy, Debug, PartialEq)]
struct RunName {
    mode: Mode,
    rate: Option<f64>,
    /// 1 for the first of its mode.
    round: u64,
}

impl fmt::Display for RunName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.mode)?;
        if let Some(rate) = self.rate {
            write!(f, " at {rate} records/s")?;
        }
        write!(f, ", run {}", self.round)
    }
}

impl Run {
    /// All records that were read.
    fn records(&self) -> u64 {
        self.counts.read.values().sum()
    }

    fn records_per_second(&self) -> f64 {
        self.records() as f64 / self.wall.as_secs_f64().max(1e-9)
    }
}

impl Race {
    /// Runs every mode and compares; `note` is told what begins.
    pub(super) fn run(
        &self,
        job: &mut Job,
        note: &mut dyn FnMut(&str),
    ) -> Result<Comparison, Error> {
        check_inputs(job, &self.rates).map_err(Error::Plan)?;
        let rates: Vec<_> = match &self.rates[..] {
            [] => vec![None],
            rates => rates.iter().copied().map(Some).collect(),
        };
        let mut names = Vec::new();
        for round in 1..=self.runs {
            for rate in rates.iter().copied() {
                let modes = self.modes.iter().copied();
                names.extend(modes.map(|mode| RunName { mode, rate, round }));
            }
        }
        let mut runs = Vec::new();
        for name in &names {
            note(&format!("{}/{}  {name}", runs.len() + 1, names.len()));
            runs.push(run(job, *name, DigestTap::default())?);
        }
        let mut comparison = Comparison {
            spec: job.explain()?,
            workers: job.worker_count(),
            modes: self.modes.clone(),
            rates,
            runs,
            differences: Vec::new(),
        };
        comparison.differences = difference::find(job, &comparison, note)?;
        Ok(comparison)
    }
}

/// Refuses an input that would not give every run the same records.
fn check_inputs(job: &Job, rates: &[f64]) -> Result<(), Problem> {
    for (port, source) in job.bindings().sources() {
        let info = &source.info;
        let name = format!("{} source of `{port}`", info.kind);
        if !info.repeatable {
            return Err(
                Problem::new(format!("compare cannot read the {name} more than once"))
                    .detail("every run has to read the same records")
                    .hint(
                        "`--spool 100000` keeps so many records of each partition, if the source \
                         is bound as `io::spoolable(…)`",
                    ),
            );
        }
        if info.boundedness != Boundedness::Bounded && job.records_limit().is_none() {
            return Err(Problem::new(format!("the {name} does not end by itself"))
                .detail("every run has to read the same records, to the last")
                .hint("`--limit 100000` reads so many records of each partition, and no more"));
        }
        if info.boundedness != Boundedness::Bounded && !rates.is_empty() {
            return Err(Problem::new(format!("compare cannot plan the {name}"))
                .detail("it does not end by itself: its records come when they come")
                .hint("`--spool 100000` keeps so many of its records, if it is bound as `io::spoolable(…)`"));
        }
    }
    Ok(())
}

/// Makes one run, and measures it.
fn run(job: &mut Job, name: RunName, tap: DigestTap) -> Result<Run, Error> {
    let mut job = job.tapped(Arc::new(tap.clone()))?;
    let watch = match name.rate {
        None => None,
        Some(rate) => {
            let watch = Arc::new(Watch::new(Hold::of(&job.explain()?, name.mode)));
            job.pace(rate);
            job = job.timed(watch.clone());
            Some(watch)
        }
    };
    let is_watched = usage::watch_memory();
    let before = usage::cpu();
    let report = job.run(name.mode)?;
    let cpu = before
        .zip(usage::cpu())
        .map(|(before, after)| after.saturating_sub(before));
    Ok(Run {
        name,
        wall: report.duration,
        cpu,
        memory_peak: if is_watched {
            usage::memory_peak()
        } else {
            None
        },
        slices: report.slices,
        counts: report.counts,
        outputs: tap.contents(),
        latencies: watch.map(|watch| watch.latencies()),
    })
}

#[cfg(test)]
mod tests;
