//! The keeper of a job's state: a thread that asks for checkpoints while the job runs, writes each to
//! the store when it is whole, and then commits the sinks.
//!
//! ```text
//! ask for a boundary ──► all workers leave their parts ──► what sinks staged is done
//!    ──► parts to the store ──► entry in the log: from here on it counts ──► sinks commit ──► clean-up
//! ```
//!
//! What stands before the entry can be lost, and is done again by a run that goes on from the
//! checkpoint before; what stands behind it is completed by the run that goes on from this one. So a
//! crash between any two steps loses nothing, and gives nothing twice.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::end;
use super::worker::Team;
use crate::error::{Error, Problem};
use crate::state::Snapshot;
use crate::state::checkpoint::{Left, Parts, Waited};
use crate::state::manifest::Manifest;
use crate::state::store::Session;
use crate::time::Clock;

/// How many checkpoints may be under way at once.
const UNDER_WAY_MAX: usize = 2;
/// How long the keeper waits at most before it looks around.
const NAP: Duration = Duration::from_millis(100);
/// The same where the clock is driven by hand, for nothing says when it will move.
const HAND_NAP: Duration = Duration::from_millis(1);

/// A job's keeper, at work.
pub(super) struct Keeper {
    thread: JoinHandle<Keeping>,
    told: Told,
    clock: Clock,
}

/// What is known of the checkpoints so far.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Progress>>);

#[derive(Clone, Default)]
struct Progress {
    report: StateReport,
    /// When the last checkpoint was complete, on the job's clock.
    at: Option<Duration>,
}

impl Told {
    fn change(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn report(&self, now: Duration) -> StateReport {
        let told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        StateReport {
            age: told.at.map(|at| now.saturating_sub(at)),
            ..told.report.clone()
        }
    }
}

/// What a job has kept of its state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StateReport {
    /// The checkpoint that the job went on from; none where it began afresh.
    pub from: Option<u64>,
    /// The last checkpoint.
    pub last: Option<u64>,
    /// How long it has been complete, if it was made in this run.
    pub age: Option<Duration>,
    /// How many checkpoints were made in this run.
    pub checkpoints: u64,
    /// How many bytes of state were written for them.
    pub bytes: u64,
    /// How many bytes the sinks have left in them: names of what they have prepared, or the output itself.
    pub staged: u64,
    /// The longest that one took, from when every worker had left its part to the commit of the last
    /// sink.
    pub longest: Duration,
    /// How many were left out, for those before them were still under way.
    pub left_out: u64,
}

impl fmt::Display for StateReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.last {
            None => f.write_str("no checkpoint")?,
            Some(last) => write!(f, "checkpoint {last}")?,
        }
        let bytes = self.bytes;
        let longest = self.longest.as_secs_f64() * 1e3;
        write!(f, ", {} in this run, {bytes} bytes", self.checkpoints)?;
        write!(f, ", the longest {longest:.1} ms")?;
        match self.left_out {
            0 => Ok(()),
            left_out => write!(
                f,
                ", {left_out} left out: they take longer than their interval"
            ),
        }
    }
}

/// What a keeper keeps.
pub(super) struct Keeping {
    session: Session,
    /// The parts of the last checkpoint.
    parts: Parts,
    told: Told,
    /// How often it asks for a checkpoint; never, if nothing is said.
    interval: Option<Duration>,
    team: Team,
}

impl Keeper {
    pub(super) fn start(
        session: Session,
        interval: Option<Duration>,
        team: Team,
    ) -> Result<Self, Error> {
        let from = session.last().map(Manifest::number);
        team.shared.checkpoints.keep();
        let (told, clock) = (Told::default(), team.shared.clock.clone());
        told.change(|told| (told.report.from, told.report.last) = (from, from));
        let mut keeping = Keeping {
            session,
            parts: team.shared.checkpoints.start().parts.clone(),
            told: told.clone(),
            interval,
            team,
        };
        let work = move || {
            let done = crate::engine::guard::catch(|| keeping.keep()).and_then(|done| done);
            if let Err(error) = done {
                keeping.team.shared.abort.fail(error);
            }
            keeping
        };
        let thread = thread::Builder::new().name("keeper".to_owned()).spawn(work);
        let cannot = |error| Problem::new("the keeper of the state cannot start").because(error);
        let thread = thread.map_err(|error| Error::Engine(cannot(error)))?;
        Ok(Keeper {
            thread,
            told,
            clock,
        })
    }

    /// What is known of the checkpoints so far.
    pub(super) fn report(&self) -> StateReport {
        self.told.report(self.clock.elapsed())
    }

    /// Ends the thread, once all workers have gone.
    pub(super) fn finish(self, team: &Team) -> Result<Keeping, Error> {
        team.shared.checkpoints.close();
        let lost = |_| Error::Engine(Problem::new("the keeper of the state was lost"));
        self.thread.join().map_err(lost)
    }
}

impl Keeping {
    fn keep(&mut self) -> Result<(), Error> {
        let shared = self.team.shared.clone();
        let nap = match shared.clock.runs_by_itself() {
            true => NAP,
            false => HAND_NAP,
        };
        let mut due = self
            .interval
            .map(|interval| shared.clock.elapsed() + interval);
        while !shared.abort.is_failed() {
            let now = shared.clock.elapsed();
            let is_time = due.is_some_and(|due| due <= now);
            let under_way = shared.checkpoints.under_way();
            // One that is under way lets go of what sinks keep, or shows that it is not enough. An interval
            // is not asked for: without checkpoints the job would stand still.
            let is_room_wanted = under_way == 0 && shared.checkpoints.is_due();
            if is_time || is_room_wanted {
                due = self.interval.map(|interval| now + interval);
                if under_way < UNDER_WAY_MAX {
                    let ask = |boundary| shared.checkpoints.ask(boundary);
                    shared.epochs.cut_checkpoint(ask);
                    shared.abort.wake();
                } else {
                    self.told.change(|told| told.report.left_out += 1);
                }
            }
            let rest = due.map_or(nap, |due| nap.min(due.saturating_sub(now)));
            match shared.checkpoints.wait(rest) {
                // What failed on a worker before it left its part is known by now: a record that
                // could not be read or written is in no checkpoint.
                Waited::Whole(_) if shared.abort.is_failed() => break,
                Waited::Whole(left) => drop(self.complete(*left, false)?),
                Waited::Closed => break,
                Waited::Nothing => {}
            }
        }
        Ok(())
    }

    /// Makes a checkpoint of what was left at a boundary.
    pub(super) fn complete(
        &mut self,
        mut left: Left,
        is_finished: bool,
    ) -> Result<Snapshot, Error> {
        let begun = self.team.shared.clock.elapsed();
        left.finish()?;
        self.team.shared.checkpoints.carry_over(&mut left.snapshot);
        left.snapshot.fingerprints = self.team.plan.spec.fingerprints();
        left.add_the_rest(&self.parts);
        self.session
            .gather(&mut left.snapshot.parts)
            .map_err(Error::State)?;
        self.parts = self.session.write(&left.snapshot, is_finished)?;
        end::commit(&self.team, &left.snapshot)?;
        self.tell_sources(&left.snapshot);
        if left.held > 0 {
            self.team.shared.checkpoints.release(left.held);
            self.team.shared.abort.wake();
        }
        // What is left over takes room, and nothing else: the next run removes it.
        let _ = self.session.clean_up();
        let now = self.team.shared.clock.elapsed();
        self.told.change(|told| {
            let report = &mut told.report;
            report.last = Some(left.snapshot.number);
            report.checkpoints += 1;
            report.bytes += left.snapshot.bytes();
            report.staged += left.snapshot.staged_bytes();
            report.longest = report.longest.max(now.saturating_sub(begun));
            told.at = Some(now);
        });
        Ok(left.snapshot)
    }

    /// What an error of the job comes from.
    pub(super) fn explain(&self, error: Error) -> Error {
        self.session.explain(error)
    }

    /// Tells the sources how far they are covered.
    fn tell_sources(&self, snapshot: &Snapshot) {
        for (port, source) in self.team.shared.bindings.sources() {
            let own = snapshot.partitions.iter().filter(|((of, _), _)| of == port);
            let positions: Vec<_> = own
                .map(|((_, name), end)| (name.clone(), end.position.clone()))
                .collect();
            source.covered(snapshot.number, &positions);
        }
    }

    pub(super) fn report(&self) -> StateReport {
        self.told.report(self.team.shared.clock.elapsed())
    }
}
