//! What a job has done, when it has ended.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::warnings::Warning;
use crate::engine::Mode;
use crate::engine::bindings::Bindings;
use crate::engine::epochs::Epochs;
use crate::io::Reading;
use crate::job::keeper::StateReport;
use crate::observe::Counters;
use crate::state::Snapshot;

/// How a job ended, when it ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All input was read, and everything that follows from it was written.
    Finished,
    /// It was stopped: what was read is written, and windows that were open stay open.
    Stopped,
    /// Who read one of its outputs had enough, as in `job | head`.
    OutputClosed,
}

/// What a job has counted; while it runs, or in all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Records read, by input port.
    pub read: BTreeMap<String, u64>,
    /// Records written, by output port.
    pub written: BTreeMap<String, u64>,
    /// Records behind their lane by more than the lateness.
    pub late: u64,
    /// Records that could not be read.
    pub bad: u64,
    /// Records that came after their window had been emitted.
    pub overtaken: u64,
    /// Windows that are open.
    pub open: u64,
    /// What sources and sinks measure of themselves, by port: lag, transactions, the last error. Those that
    /// measure nothing are left out.
    pub connectors: BTreeMap<String, Vec<Reading>>,
}

impl Counts {
    pub(crate) fn of(counters: &Counters, bindings: &Bindings) -> Self {
        Counts {
            read: counters.by_operator("in"),
            written: counters.by_operator("out"),
            late: counters.total("late"),
            bad: counters.total("bad"),
            overtaken: counters.total("overtaken"),
            open: counters.total("open"),
            connectors: bindings.readings(),
        }
    }
}

/// What a job has done.
///
/// Its [`Display`](fmt::Display) is the summary that a job prints when it ends.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// The mode that it ran in.
    pub mode: Mode,
    /// How many workers it had.
    pub workers: usize,
    /// From the start of the first worker to the last commit.
    pub duration: Duration,
    /// What it has counted.
    pub counts: Counts,
    /// How many slices were cut.
    pub slices: u64,
    /// How many slices were in flight at most.
    pub slices_in_flight_max: usize,
    /// What its answer leaves out: late and bad records that are more than one in a hundred, or than
    /// the job's limits, those that were overtaken, and fields that the input does not have.
    pub warnings: Vec<Warning>,
    /// The state at the end, of a job that was stopped and had no limit: another job can start from
    /// it. None where it is kept in a store.
    pub snapshot: Option<Snapshot>,
    /// What was kept of its state, of a job that [keeps it](super::Job::state).
    pub state: Option<StateReport>,
    /// As [`Handle::caveats`](super::Handle::caveats).
    pub caveats: Vec<String>,
    /// How often the job was started once more after it had failed; what is counted is of its last
    /// start.
    pub restarts: u32,
}

impl Report {
    /// Whether late and bad records keep to [`Job::max_late`](super::Job::max_late) and
    /// [`Job::max_bad`](super::Job::max_bad). What the job has written is written either way.
    pub fn is_within_limits(&self) -> bool {
        self.warnings.iter().all(|warning| warning.limit.is_none())
    }

    pub(crate) fn slices(mut self, epochs: &Epochs) -> Self {
        (self.slices, self.slices_in_flight_max) = epochs.slices();
        self
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcome = match self.outcome {
            Outcome::Finished => "finished",
            Outcome::Stopped => "stopped",
            Outcome::OutputClosed => "ended, for an output was closed,",
        };
        let Counts {
            read,
            written,
            late,
            bad,
            overtaken,
            open,
            connectors,
        } = &self.counts;
        let total: u64 = read.values().sum();
        let seconds = self.duration.as_secs_f64();
        let workers = self.workers;
        let plural = if workers == 1 { "" } else { "s" };
        let mode = self.mode;
        writeln!(
            f,
            "{outcome} in {seconds:.3} s, {mode}, {workers} worker{plural}"
        )?;
        let per_second = total as f64 / seconds.max(1e-9);
        writeln!(f, "  in    {}   {per_second:.0} records/s", by_port(read))?;
        writeln!(f, "  out   {}", by_port(written))?;
        let windows = format!("overtaken {overtaken}, windows open {open}");
        write!(f, "  late {late}, bad {bad}, {windows}")?;
        for (port, readings) in connectors {
            let whole = readings.iter().filter(|reading| reading.part.is_none());
            let whole: Vec<_> = whole.map(Reading::to_string).collect();
            if !whole.is_empty() {
                write!(f, "\n  {port}: {}", whole.join(", "))?;
            }
        }
        if self.outcome == Outcome::OutputClosed && written.len() > 1 {
            write!(
                f,
                "\n  no other output was committed: of files none is there"
            )?;
        }
        if self.restarts > 0 {
            write!(f, "\n  started once more {} times", self.restarts)?;
        }
        if let Some(state) = &self.state {
            write!(f, "\n  state {state}")?;
        }
        for warning in &self.warnings {
            write!(f, "\nwarning: {warning}")?;
        }
        Ok(())
    }
}

fn by_port(counts: &BTreeMap<String, u64>) -> String {
    let ports = counts.iter().map(|(port, count)| format!("{port} {count}"));
    ports.collect::<Vec<_>>().join(", ")
}
