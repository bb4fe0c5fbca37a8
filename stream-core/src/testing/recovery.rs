//! Recovery as a test: [`check_recovery`] and its settings, [`RecoveryCheck`].
//!
//! From a seed the kit draws the input's partitions, the mode, the number of workers, how partitions
//! are read, after how many records checkpoints are asked for, and the step of the protocol before
//! which a run goes wrong: a call of the store or of a sink. The run is then gone, or fails; another
//! one goes on from what is durable, or goes back to an earlier checkpoint, with other draws, and may go
//! wrong as well, while it recovers too. When one has come to its end, all outputs must be those of a run
//! in which nothing happened.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;

use super::faults::{At, Fault, Faults};
use super::keeping::{Keeping, Own};
use super::modes::{Interleaving, compare, seeds};
use super::ports::{Inputs, Keep, Outputs};
use crate::engine::BatchCut;
use crate::graph::Output;
use crate::io::{BadRecord, BadRecords, Collect, Rows, Sink, collect};
use crate::job::Outcome;
use crate::state::StateStore;
use crate::state::objects::{Memory, Objects};
use crate::{Error, Job, Mode, Problem};

/// How many seeds are tried where the variable `STREAM_SEEDS` says nothing.
const SEEDS: u64 = 20;
/// How many runs go wrong at most, one after another.
const WRONG_MAX: usize = 3;
/// How many checkpoints are asked for in a run at most, beside that at its end.
const CHECKPOINTS_MAX: usize = 5;

/// Checks that a pipeline gives the same results whatever goes wrong while it runs: crashes before
/// and after every step of a checkpoint, calls of the store and of sinks that fail, ways back to an
/// earlier checkpoint, another number of workers and another mode after each.
///
/// Inputs and outputs are as those of [`check_modes`](super::check_modes), several inputs as a tuple. Twenty seeds are tried; the
/// environment variable `STREAM_SEEDS=1000` tries more, and `STREAM_SEED=7` only that one.
///
/// # Panics
/// When the outputs differ from those of a run in which nothing went wrong: with the seed, what was
/// drawn, where it went wrong, and the rows that differ.
///
/// ```
/// use stream_core::prelude::*;
/// use stream_core::testing::check_recovery;
///
/// let seconds: Vec<i64> = vec![3, 1, 4, 15, 9, 26, 5, 35];
/// check_recovery(seconds, |seconds: Stream<i64>| {
///     let (timed, late) = seconds.event_time(|s| EventTime::secs(*s), Lateness::secs(10));
///     (timed.key_by(|s| s % 2).session(Gap::secs(5)).count(), late)
/// });
/// ```
pub fn check_recovery<I: Inputs, O: Outputs>(
    inputs: I,
    pipeline: impl Fn(I::Streams) -> O + Send + Sync + 'static,
) {
    RecoveryCheck::new(inputs).run(pipeline);
}

/// A check of recovery, with settings; see [`check_recovery`].
///
/// ```
/// use stream_core::graph::Stream;
/// use stream_core::testing::RecoveryCheck;
///
/// let numbers: Vec<u64> = (0..50).collect();
/// let steps = RecoveryCheck::new(numbers).seeds(30).run(|numbers: Stream<u64>| numbers);
/// assert!(steps.values().sum::<u64>() > 30, "some went wrong more than once: {steps:?}");
/// ```
#[must_use = "a check does nothing before it is run"]
pub struct RecoveryCheck<I> {
    inputs: I,
    seeds: u64,
    keep: Keep,
    has_letters: bool,
    goes_back: bool,
}

impl<I> fmt::Debug for RecoveryCheck<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecoveryCheck")
            .field("seeds", &self.seeds)
            .finish_non_exhaustive()
    }
}

/// By the name of a step: how often a run went wrong before it.
pub type Steps = BTreeMap<&'static str, u64>;

impl<I: Inputs> RecoveryCheck<I> {
    /// A check with these inputs.
    pub fn new(inputs: I) -> Self {
        RecoveryCheck {
            inputs,
            seeds: SEEDS,
            keep: Keep::Rows,
            has_letters: false,
            goes_back: true,
        }
    }

    /// Keeps bad records apart, those whose event time leaps say, as a source with a
    /// [dead letter](crate::io::SourceExt::dead_letter) does, and compares them as well. Without this
    /// they fail the check.
    ///
    /// ```
    /// use stream_core::prelude::*;
    /// use stream_core::testing::RecoveryCheck;
    ///
    /// let year = 366 * 24 * 3_600;
    /// let seconds: Vec<i64> = vec![3, 1, 4, 100 * year, 15, 9, 200 * year, 5];
    /// RecoveryCheck::new(seconds).dead_letters().run(|seconds: Stream<i64>| {
    ///     seconds.event_time(|s| EventTime::secs(*s), Lateness::secs(10))
    /// });
    /// ```
    pub fn dead_letters(mut self) -> Self {
        self.has_letters = true;
        self
    }

    /// Does not go back to earlier checkpoints, for a sink that cannot take back what is committed, such as a
    /// topic.
    pub fn only_forward(mut self) -> Self {
        self.goes_back = false;
        self
    }

    /// Sets how many seeds are tried, where the environment says nothing.
    pub fn seeds(mut self, seeds: u64) -> Self {
        self.seeds = seeds;
        self
    }

    /// Writes the outputs to a [`MemoryLog`](crate::io::MemoryLog) by transactions, in place of
    /// [`collect`](crate::io::collect).
    ///
    /// ```
    /// use stream_core::graph::Stream;
    /// use stream_core::testing::RecoveryCheck;
    ///
    /// let numbers: Vec<u64> = (0..50).collect();
    /// RecoveryCheck::new(numbers).into_log().run(|numbers: Stream<u64>| numbers);
    /// ```
    pub fn into_log(mut self) -> Self {
        self.keep = Keep::Log;
        self
    }

    /// Runs the check. Gives how often it went wrong before each step.
    ///
    /// # Panics
    /// As [`check_recovery`].
    pub fn run<O: Outputs>(
        self,
        pipeline: impl Fn(I::Streams) -> O + Send + Sync + 'static,
    ) -> Steps {
        let keep = self.keep;
        self.run_keeping(&keep, pipeline)
    }

    /// Runs the check with a sink of one's own for the only output of the pipeline, which proves the sink.
    /// It is made anew for each run, as in a process that was started again, and is given the name of the
    /// *history* that the run belongs to: runs of which each goes on where the one before it was.
    /// `read` gives what is committed of a history in the end.
    ///
    /// ```
    /// use stream_core::graph::Stream;
    /// use stream_core::io::files;
    /// use stream_core::testing::RecoveryCheck;
    ///
    /// let folder = tempfile::tempdir()?;
    /// let path = |history: &str| folder.path().join(format!("{history}.jsonl"));
    /// let read = |history: &str| {
    ///     let text = std::fs::read_to_string(path(history)).unwrap_or_default();
    ///     text.lines().map(|line| line.parse().unwrap()).collect()
    /// };
    /// let numbers: Vec<u64> = (0..50).collect();
    /// RecoveryCheck::new(numbers).seeds(5).run_into(
    ///     |history| files::to_json_lines(path(history)),
    ///     read,
    ///     |numbers: Stream<u64>| numbers,
    /// );
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Panics
    /// As [`check_recovery`].
    pub fn run_into<O, S>(
        self,
        sink: impl Fn(&str) -> S,
        read: impl Fn(&str) -> Vec<O::Row>,
        pipeline: impl Fn(I::Streams) -> O + Send + Sync + 'static,
    ) -> Steps
    where
        O: Output<Row: Debug + Send>,
        S: Sink<O::Row>,
    {
        let begun = Cell::default();
        self.run_keeping(&Own { sink, read, begun }, pipeline)
    }

    fn run_keeping<O: Outputs, K: Keeping<O>>(
        self,
        keeping: &K,
        pipeline: impl Fn(I::Streams) -> O + Send + Sync + 'static,
    ) -> Steps {
        let pipeline = Arc::new(pipeline);
        let mut steps = Steps::new();
        for seed in seeds(self.seeds) {
            let mut rng = Rng::with_seed(seed);
            let partitions = self.inputs.draw(&mut rng);
            let pipeline = pipeline.clone();
            let trial = Trial::<I> {
                seed,
                has_letters: self.has_letters,
                goes_back: self.goes_back,
                partitions,
                job: Box::new(move || {
                    let pipeline = pipeline.clone();
                    Job::new("checked", move |graph| {
                        pipeline(I::streams(graph, &mut 0)).connect(graph, &mut 0);
                    })
                }),
            };
            trial.run(keeping, &mut rng, &mut steps);
        }
        steps
    }
}

/// What all runs of a seed have in common.
struct Trial<I: Inputs> {
    seed: u64,
    has_letters: bool,
    goes_back: bool,
    partitions: I::Partitions,
    job: Box<dyn Fn() -> Job>,
}

/// By port: the bad records of its source, with the sink that keeps them.
#[derive(Default)]
struct Letters(BTreeMap<String, (Arc<Collect<BadRecord>>, Rows<BadRecord>)>);

impl Letters {
    /// Makes the sources of a job keep their bad records here.
    fn bind(&mut self, faults: &Arc<Faults>, job: &mut Job) {
        for (port, source) in &mut job.bindings_mut().sources {
            let (sink, _) = self.0.entry(port.clone()).or_insert_with(|| {
                let (sink, rows) = collect();
                (Arc::new(sink), rows)
            });
            let sink = faults.around_sink(sink.clone());
            source.bad_records = BadRecords::DeadLetter(Arc::new(sink));
        }
    }

    /// What was kept, in an order of its own.
    fn text(&self) -> Vec<String> {
        let kept = self.0.iter();
        // Of the first record of a lane, the reason ends with what the clock said.
        let told = |letter: &BadRecord| {
            let reason = letter.reason.split(" ahead of ").next();
            format!(
                "{} {} {reason:?} {}",
                letter.place, letter.line, letter.text
            )
        };
        let letters = kept.flat_map(|(port, (_, rows))| {
            let letters = rows.to_vec();
            letters
                .into_iter()
                .map(move |letter| format!("{port} {}", told(&letter)))
        });
        let mut letters: Vec<_> = letters.collect();
        letters.sort();
        letters
    }
}

/// What is drawn for one run.
#[derive(Debug)]
struct Draw {
    mode: Mode,
    workers: usize,
    seed: u64,
    checkpoints_at: Vec<u64>,
    /// Whether it is stopped, after so many records.
    stops_at: Option<u64>,
    faults: Arc<Faults>,
}

impl Draw {
    fn new(rng: &mut Rng, records: u64, fault: Option<(At, Fault)>) -> Self {
        let cut = BatchCut {
            records: Some(rng.u64(1..=records.max(1))),
            ..BatchCut::default()
        };
        let modes = [
            Mode::Batch,
            Mode::PerRecord,
            Mode::PerRecordStrict,
            Mode::MicroBatch(cut),
            Mode::micro_batch(Duration::from_millis(rng.u64(1..50))),
        ];
        let checkpoints = rng.usize(0..=CHECKPOINTS_MAX);
        Draw {
            mode: modes[rng.usize(..modes.len())],
            workers: rng.usize(1..=3),
            seed: rng.u64(1..),
            checkpoints_at: (0..checkpoints).map(|_| rng.u64(0..=records)).collect(),
            stops_at: (rng.u8(0..4) == 0).then(|| rng.u64(0..=records)),
            faults: Faults::at(fault),
        }
    }
}

impl<I: Inputs> Trial<I> {
    fn run<O: Outputs, K: Keeping<O>>(&self, keeping: &K, rng: &mut Rng, steps: &mut Steps) {
        let records = I::records(&self.partitions) as u64;
        let expected = {
            let (kept, calm) = (keeping.begin(), Interleaving::new(0));
            let job = (self.job)().clock(calm.clock());
            let mut job = I::bind(&self.partitions, &calm, job, &mut 0);
            let mut letters = Letters::default();
            if self.has_letters {
                letters.bind(&Faults::none(), &mut job);
            }
            let job = keeping.bind(&kept, &Faults::none(), job);
            // Some sinks ask for a state.
            let done = job.state(StateStore::memory()).run(Mode::Batch);
            done.unwrap_or_else(|error| panic!("seed {}: the job failed: {error}", self.seed));
            (O::text(keeping.rows(&kept)), letters.text())
        };
        let store: Arc<dyn Objects> = Arc::new(Memory::default());
        let mut kept = (keeping.begin(), Letters::default());
        let mut draws = Vec::new();
        // Steps of a run are about as many as those of one in which nothing goes wrong.
        let some = {
            let draw = Draw::new(rng, records, None);
            let other: Arc<dyn Objects> = Arc::new(Memory::default());
            let mut rows = (keeping.begin(), Letters::default());
            let done = self.run_once(keeping, &draw, &other, &mut rows);
            if let Err(error) = done {
                self.fail(&[draw], &error);
            }
            draw.faults.steps()
        };
        let wrong = rng.usize(1..=WRONG_MAX);
        for run in 0.. {
            let fault = match rng.u8(0..4) {
                0 => Fault::Failure,
                _ => Fault::Crash,
            };
            let fault = (run < wrong).then(|| {
                let at = match rng.bool() {
                    true => At::Step(rng.u64(0..some.all)),
                    false => At::NoWrite(rng.u64(0..some.no_writes)),
                };
                (at, fault)
            });
            let draw = Draw::new(rng, records, fault);
            let done = self.run_once(keeping, &draw, &store, &mut kept);
            let went_wrong = draw.faults.wrong_at();
            if let Some(step) = went_wrong {
                *steps.entry(step).or_default() += 1;
            }
            draws.push(draw);
            let goes_back = run < wrong && rng.u8(0..4) == 0 && self.goes_back;
            match done {
                Ok(true) if !goes_back => break,
                Ok(_) => {}
                Err(_) if went_wrong.is_some() => {}
                Err(error) => self.fail(&draws, &error),
            }
            if goes_back {
                let went = go_back(&StateStore::of(store.clone()), rng);
                match went.map_err(Error::State) {
                    Ok(true) => *steps.entry("went back").or_default() += 1,
                    Ok(false) => {}
                    Err(error) => self.fail(&draws, &error),
                }
            }
        }
        let rows = O::text(keeping.rows(&kept.0));
        let spec = (self.job)().explain();
        let spec = spec.unwrap_or_else(|error| self.fail(&draws, &error));
        let names = [
            "a run in which nothing happened",
            &format!(
                "the last of these, each of which goes on from what the one before it left{}",
                listed(&draws)
            ),
        ];
        compare(self.seed, names, [&expected.0, &rows], &spec);
        let letters = kept.1.text();
        assert_eq!(
            letters,
            expected.1,
            "seed {}: dead letters{}",
            self.seed,
            listed(&draws)
        );
    }

    /// Runs until the end, a stop, or until it goes wrong. Tells whether all input was read.
    fn run_once<O: Outputs, K: Keeping<O>>(
        &self,
        keeping: &K,
        draw: &Draw,
        store: &Arc<dyn Objects>,
        (rows, letters): &mut (K::Kept, Letters),
    ) -> Result<bool, Error> {
        let interleaving = Interleaving::new(draw.seed);
        interleaving.begin(draw.stops_at);
        interleaving.ask_at(draw.checkpoints_at.clone());
        let job = (self.job)()
            .workers(draw.workers)
            .clock(interleaving.clock());
        let mut job = I::bind(&self.partitions, &interleaving, job, &mut 0);
        if self.has_letters {
            letters.bind(&draw.faults, &mut job);
        }
        let job = keeping.bind(rows, &draw.faults, job);
        let store = StateStore::of(draw.faults.around_store(store.clone()));
        let store = store.keep(1 + draw.seed as usize % 3);
        let handle = job.state(store).start(draw.mode)?;
        interleaving.arm(handle.stopper());
        let report = handle.wait()?;
        Ok(report.outcome == Outcome::Finished)
    }

    fn fail(&self, draws: &[Draw], error: &Error) -> ! {
        panic!(
            "seed {}: the job failed: {error}{}",
            self.seed,
            listed(draws)
        )
    }
}

/// The runs, one a line.
fn listed(draws: &[Draw]) -> String {
    draws.iter().map(|draw| format!("\n  {draw:?}")).collect()
}

/// Lets the next run go on from any checkpoint. Tells whether there was one.
fn go_back(store: &StateStore, rng: &mut Rng) -> Result<bool, Problem> {
    match rng.choice(store.kept()?) {
        None => Ok(false),
        Some(number) => store.go_back_to(number).map(|()| true),
    }
}
