//! A job that runs: how it is watched, stopped and waited for.

#[cfg(test)]
mod checkpoints;

use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use timely::communication::WorkerGuards;

use super::Job;
use super::discovery::Looking;
use super::end::{Concluded, conclude};
use super::keeper::{Keeper, StateReport};
use super::report::{Counts, Outcome, Report};
use super::restarts::Restarts;
use super::warnings;
use super::worker::Team;
use crate::engine::Mode;
use crate::engine::abort::Abort;
use crate::engine::epochs::Epochs;
use crate::error::{Error, Problem};
use crate::observe::Slowest;
use crate::state::checkpoint::Checkpoints;

/// A job that runs.
///
/// Dropping it ends the job as a failure would: no sink is committed. That waits for the workers, though
/// not for the reader of a [`to_channel`](crate::io::to_channel) that is full.
#[must_use = "dropping the handle ends the job"]
pub struct Handle {
    running: Option<Running>,
    workers: usize,
    target: Arc<Mutex<Target>>,
    /// How it is started once more when it fails.
    again: Option<Again>,
}

/// A job that is started once more when it fails.
pub(super) struct Again {
    pub(super) job: Job,
    pub(super) mode: Mode,
    pub(super) restarts: Restarts,
}

/// How long a wait for the next start sleeps before it looks whether the job is to stop.
const NAP: Duration = Duration::from_millis(20);

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("workers", &self.workers)
            .finish_non_exhaustive()
    }
}

pub(super) struct Running {
    pub(super) guards: WorkerGuards<()>,
    pub(super) team: Team,
    pub(super) keeper: Option<Keeper>,
    pub(super) looking: Looking,
    /// Where it starts, of a job that keeps its state.
    pub(super) from: Option<String>,
    /// What a crash does to its sources and sinks that cannot take part in exactly once.
    pub(super) caveats: Vec<String>,
    pub(super) started: Instant,
}

/// Asks a running job to stop; can be cloned and sent to other threads.
///
/// Of [`stop`](Stop::stop) and [`drain`](Stop::drain) the first that is called counts. Where all
/// input has been read, both change nothing.
#[derive(Clone)]
pub struct Stop(Arc<Mutex<Target>>);

/// What a [`Stop`] is about: the run that is at work.
struct Target {
    abort: Abort,
    /// Where checkpoints are asked for, of a job that keeps its state.
    state: Option<(Epochs, Checkpoints)>,
    /// Whether it was asked to stop, and to drain.
    wish: Option<bool>,
}

impl Target {
    fn of(running: &Running) -> Self {
        let shared = &running.team.shared;
        let state = || (shared.epochs.clone(), shared.checkpoints.clone());
        Target {
            abort: shared.abort.clone(),
            state: running.keeper.is_some().then(state),
            wish: None,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stop").finish_non_exhaustive()
    }
}

impl Stop {
    /// Asks for a checkpoint now, if the job keeps its state and has read anything since the last one.
    /// It is complete some time later.
    pub fn checkpoint(&self) {
        let target = lock(&self.0);
        if let Some((epochs, checkpoints)) = &target.state {
            epochs.cut_checkpoint(|boundary| checkpoints.ask(boundary));
            target.abort.wake();
        }
    }

    /// Asks the sources to stop where they are. What has been read is written, the sinks are
    /// committed, windows that are open stay open, and the report has the state.
    pub fn stop(&self) {
        self.wish(false);
    }

    /// Asks the sources to end where they are, as if there were no more input: open windows and
    /// final tables are written too.
    pub fn drain(&self) {
        self.wish(true);
    }

    fn wish(&self, drain: bool) {
        let mut target = lock(&self.0);
        target.wish.get_or_insert(drain);
        target.abort.stop(drain);
    }
}

impl Handle {
    pub(super) fn new(running: Running, workers: usize, again: Option<Again>) -> Self {
        Handle {
            target: Arc::new(Mutex::new(Target::of(&running))),
            running: Some(running),
            workers,
            again,
        }
    }

    /// What can ask the job to stop.
    pub fn stopper(&self) -> Stop {
        Stop(self.target.clone())
    }

    /// Asks for a checkpoint now, whatever the interval is; see [`Stop::checkpoint`].
    pub fn checkpoint(&self) {
        self.stopper().checkpoint();
    }

    /// Asks the job to stop; see [`Stop::stop`].
    pub fn stop(&self) {
        self.stopper().stop();
    }

    /// What the job has counted so far; every port has its count, be it 0.
    pub fn counts(&self) -> Counts {
        let shared = &self.running().team.shared;
        let mut counts = Counts::of(&shared.counters, &shared.bindings);
        for port in shared.bindings.sources.keys() {
            counts.read.entry(port.clone()).or_default();
        }
        for port in shared.bindings.sinks.keys() {
            counts.written.entry(port.clone()).or_default();
        }
        counts
    }

    /// How many bytes of files and the like have been read; `None` where no source reads any.
    #[cfg(feature = "cli")]
    pub(crate) fn bytes_read(&self) -> Option<u64> {
        let shared = &self.running().team.shared;
        let bytes = shared.counters.by_operator("bytes");
        let sources = shared.bindings.sources.iter();
        let of_places = sources.filter(|(_, source)| source.reads_places());
        of_places
            .filter_map(|(port, _)| bytes.get(port))
            .copied()
            .reduce(u64::wrapping_add)
    }

    /// The partition that windows wait for: of those that have not ended, the one that has come least
    /// far in event time, or has given no record yet. Known a moment after it was first asked for, and
    /// then some tenths of a second old; `None` where nothing has an event time.
    ///
    /// ```
    /// use stream_core::prelude::*;
    /// use stream_core::io;
    ///
    /// #[pipeline]
    /// fn counts(here: Stream<i64>, there: Stream<i64>) -> (Timed<Windowed<(), u64>>, Stream<i64>) {
    ///     let both = here.union(there);
    ///     let (timed, late) = both.event_time(|second| EventTime::secs(*second), Lateness::secs(0));
    ///     let counts = timed.key_by(|_| ()).tumbling(Size::secs(60)).count();
    ///     (counts, late)
    /// }
    ///
    /// let (here, source) = io::channel(8);
    /// let (_silent, there) = io::channel(8);
    /// let job = counts::job().here(source).there(there).counts(io::discard()).late(io::discard());
    /// let running = job.start(Mode::PerRecord)?;
    /// here.send(1_700_000_000)?;
    /// let slowest = loop {
    ///     match running.slowest() {
    ///         Some(slowest) if slowest.port == "there" => break slowest,
    ///         _ => std::thread::yield_now(),
    ///     }
    /// };
    /// assert_eq!(slowest.time, None);
    /// # running.stop();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn slowest(&self) -> Option<Slowest> {
        self.running().team.shared.watermarks.least()
    }

    /// What is known of the checkpoints so far, of a job that keeps its state.
    ///
    /// ```
    /// use std::time::Duration;
    /// use stream_core::run::StateStore;
    /// use stream_core::{Job, Mode, io};
    ///
    /// let (log, store) = (io::MemoryLog::<u64>::new(1), StateStore::memory());
    /// let job = Job::new("copy", |graph| graph.output("out", graph.input::<u64>("in")))
    ///     .source("in", log.clone())
    ///     .sink("out", io::collect::<u64>().0)
    ///     .state(store)
    ///     .checkpoint_interval(Duration::from_millis(1))
    ///     .start(Mode::PerRecord)?;
    /// log.append(0, [1, 2, 3])?;
    /// let state = loop {
    ///     match job.state() {
    ///         Some(state) if state.checkpoints > 0 => break state,
    ///         _ => std::thread::yield_now(),
    ///     }
    /// };
    /// assert!(state.age.is_some());
    /// # job.stop();
    /// # job.wait()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn state(&self) -> Option<StateReport> {
        self.running().keeper.as_ref().map(Keeper::report)
    }

    /// Where a job starts that keeps its state, for people: afresh, or from which checkpoint, and which
    /// of its stages begin with nothing all the same.
    pub fn started_from(&self) -> Option<&str> {
        self.running().from.as_deref()
    }

    /// What a crash does to those sources and sinks that cannot take part in exactly once, of a job that
    /// keeps its state; and which stages keep more and more, where an input never ends. For people: a sentence each.
    pub fn caveats(&self) -> &[String] {
        &self.running().caveats
    }

    /// Whether all workers have ended, so that [`wait`](Handle::wait) returns soon.
    pub fn is_finished(&self) -> bool {
        self.running()
            .guards
            .guards()
            .iter()
            .all(std::thread::JoinHandle::is_finished)
    }

    /// Waits for the end.
    ///
    /// A job that writes to a [`to_channel`](crate::io::to_channel) ends when its rows have been taken: read
    /// the receiver to its end first, or on another thread. [`stop`](Stop::stop) ends one that nobody reads,
    /// with an error.
    ///
    /// # Errors
    /// As [`Job::run`](super::Job::run).
    pub fn wait(mut self) -> Result<Report, Error> {
        self.wait_and(&|_| ())
    }

    /// The same, and tells why the job is started once more.
    pub(crate) fn wait_and(&mut self, tell: &dyn Fn(&Error)) -> Result<Report, Error> {
        for restarts in 0.. {
            let running = self.running.take().expect("waited for once");
            let error = match running.wait(self.workers, restarts) {
                Ok(report) => return Ok(report),
                Err(error) => error,
            };
            let again = self.again.as_ref().filter(|again| {
                restarts < again.restarts.attempts && error.may_pass() && self.wish().is_none()
            });
            let Some(again) = again else {
                return Err(error);
            };
            tell(&error);
            let mut left = again.restarts.pause_before(restarts);
            while !left.is_zero() && self.wish().is_none() {
                let nap = left.min(NAP);
                thread::sleep(nap);
                left -= nap;
            }
            if self.wish().is_some() {
                return Err(error);
            }
            let running = again.job.again().begin(again.mode)?;
            let mut target = lock(&self.target);
            let wish = target.wish;
            *target = Target {
                wish,
                ..Target::of(&running)
            };
            if let Some(drain) = wish {
                target.abort.stop(drain);
            }
            drop(target);
            self.running = Some(running);
        }
        unreachable!("a job that fails ends the loop")
    }

    fn wish(&self) -> Option<bool> {
        lock(&self.target).wish
    }

    fn running(&self) -> &Running {
        self.running
            .as_ref()
            .expect("only `wait` and `drop` take it")
    }
}

impl Running {
    fn wait(self, workers: usize, restarts: u32) -> Result<Report, Error> {
        let Running {
            guards,
            team,
            keeper,
            looking,
            caveats,
            started,
            ..
        } = self;
        join(guards, &team.shared.abort);
        drop(looking);
        let Concluded {
            outcome,
            snapshot,
            state,
        } = conclude(&team, keeper)?;
        // A limit ends inputs that have not ended, and state behind an end cannot be gone on from; and
        // what was drained has ended.
        let was_stopped = team.shared.epochs.stop().is_some() && team.shared.limit.is_none();
        let has_state = was_stopped && outcome == Outcome::Stopped && state.is_none();
        let report = Report {
            outcome,
            mode: team.shared.mode,
            workers,
            duration: started.elapsed(),
            counts: Counts::of(&team.shared.counters, &team.shared.bindings),
            slices: 0,
            slices_in_flight_max: 0,
            warnings: warnings::of(&team),
            snapshot: has_state.then_some(snapshot),
            state,
            caveats,
            restarts,
        };
        Ok(report.slices(&team.shared.epochs))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Some(Running {
            guards,
            team,
            keeper,
            looking,
            ..
        }) = self.running.take()
        {
            team.shared
                .abort
                .fail(Error::Engine(Problem::new("the job's handle was dropped")));
            join(guards, &team.shared.abort);
            drop(looking);
            let _ = conclude(&team, keeper);
        }
    }
}

/// Waits for all workers; one that timely has lost is an error of the engine.
fn join(guards: WorkerGuards<()>, abort: &Abort) {
    let results = panic::catch_unwind(AssertUnwindSafe(|| guards.join()));
    let lost = match results {
        Ok(results) => results.into_iter().find_map(Result::err),
        Err(_) => Some("it panicked".to_owned()),
    };
    if let Some(text) = lost {
        abort.fail(Error::Engine(
            Problem::new("a worker was lost").detail(text),
        ));
    }
}
