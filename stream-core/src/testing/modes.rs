//! Mode equivalence as a test: [`check_modes`] and its settings, [`ModeCheck`].
//!
//! From a seed the kit draws how the input is divided into partitions; that is a part of the
//! question, so it is the same in every run. Everything else is not, and is drawn anew for each
//! run: the mode and where it cuts, the number of workers, how much a reader gives at a time and
//! whether it has nothing for now or for long, how the clock moves, and whether the job is stopped in the
//! middle and goes on from its snapshot with another number of workers. Whatever was drawn, the
//! consolidated content of every output and the number of late and bad records must be the same.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fastrand::Rng;

use super::faults::Faults;
use super::ports::{Inputs, Keep, Outputs};
use crate::engine::BatchCut;
use crate::graph::{Class, GraphSpec};
use crate::job::{Counts, Stop};
use crate::time::Clock;
use crate::{Error, Job, Mode, Snapshot};

/// How many seeds are tried where the variable `STREAM_SEEDS` says nothing.
const SEEDS: u64 = 10;

/// A reader that falls asleep is asked so often at most before it wakes up: other inputs have mostly come to their
/// end by then, while slices and batches were cut.
const SLEEP_MAX: u32 = 300;

/// How many differing rows a failure shows.
const ROWS_SHOWN: usize = 10;

/// Checks that a pipeline gives the same results in every mode, for every cut, number of workers
/// and interleaving, and after a stop in the middle.
///
/// The inputs are a vector, an [`Input`](super::Input), or a tuple of them, one for each stream
/// that the pipeline takes; records stand in the order of their arrival. The outputs are a
/// stream, a table, changes, or a tuple of them. A pipeline with settings or with several inputs is called in
/// a closure: `check_modes((orders, payments), |(orders, payments)| settled(orders, payments, within))`. What
/// `settled::test()` gives has a method for it: `.orders(…).payments(…).within(…).check_modes()`.
///
/// Ten seeds are tried. The environment variable `STREAM_SEEDS=100` tries more, and
/// `STREAM_SEED=7` only that one. An output behind a `lookup_arrival` is not the same in every mode; where there are
/// others, those are compared.
///
/// # Panics
/// When two runs differ: with the seed, what was drawn, and the rows that differ.
///
/// ```
/// use stream_core::prelude::*;
/// use stream_core::testing::check_modes;
///
/// let seconds: Vec<i64> = vec![3, 1, 4, 15, 9, 26, 5, 35];
/// check_modes(seconds, |seconds: Stream<i64>| {
///     let (timed, late) = seconds.event_time(|s| EventTime::secs(*s), Lateness::secs(10));
///     (timed.key_by(|s| s % 2).session(Gap::secs(5)).count(), late)
/// });
/// ```
pub fn check_modes<I: Inputs, O: Outputs>(
    inputs: I,
    pipeline: impl Fn(I::Streams) -> O + Send + Sync + 'static,
) {
    ModeCheck::new(inputs).run(pipeline);
}

/// A check of mode equivalence, with settings; see [`check_modes`].
///
/// ```
/// use stream_core::prelude::*;
/// use stream_core::testing::ModeCheck;
///
/// let words = ["to", "be", "or", "not", "to", "be"].map(String::from).to_vec();
/// ModeCheck::new(words)
///     .oracle(|partitions| {
///         let mut rows: Vec<_> = partitions.concat();
///         rows.retain(|word| word != "or");
///         rows
///     })
///     .run(|words: Stream<String>| words.filter(|word| word != "or"));
/// ```
#[must_use = "a check does nothing before it is run"]
pub struct ModeCheck<I: Inputs, O: Outputs> {
    inputs: I,
    seeds: u64,
    oracle: Option<Oracle<I, O>>,
}

impl<I: Inputs, O: Outputs> fmt::Debug for ModeCheck<I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModeCheck").finish_non_exhaustive()
    }
}

type Oracle<I, O> = Box<dyn Fn(&<I as Inputs>::Partitions) -> <O as Outputs>::Rows>;

impl<I: Inputs, O: Outputs> ModeCheck<I, O> {
    /// A check with these inputs.
    pub fn new(inputs: I) -> Self {
        ModeCheck {
            inputs,
            seeds: SEEDS,
            oracle: None,
        }
    }

    /// Sets how many seeds are tried, where the environment says nothing; 10 unless told.
    pub fn seeds(mut self, seeds: u64) -> Self {
        self.seeds = seeds;
        self
    }

    /// Compares the results with what the closure makes of the partitions, too: a function from
    /// scratch that shares nothing with the pipeline.
    pub fn oracle(mut self, oracle: impl Fn(&I::Partitions) -> O::Rows + 'static) -> Self {
        self.oracle = Some(Box::new(oracle));
        self
    }

    /// Runs the check.
    ///
    /// # Panics
    /// When two runs differ, or a run differs from the oracle.
    pub fn run(self, pipeline: impl Fn(I::Streams) -> O + Send + Sync + 'static) {
        let pipeline = Arc::new(pipeline);
        for seed in seeds(self.seeds) {
            let mut rng = Rng::with_seed(seed);
            let partitions = self.inputs.draw(&mut rng);
            let pipeline = pipeline.clone();
            let trial = Trial {
                seed,
                partitions: partitions.clone(),
                job: Box::new(move || {
                    let pipeline = pipeline.clone();
                    Job::new("checked", move |graph| {
                        pipeline(I::streams(graph, &mut 0)).connect(graph, &mut 0);
                    })
                }),
            };
            let first = trial.run::<I, O>(&Draw::baseline());
            if let Some(oracle) = &self.oracle {
                let expected = O::text(oracle(&partitions));
                let spec = &first.spec;
                compare(
                    seed,
                    ["the oracle", &first.name],
                    [&expected, &first.rows],
                    spec,
                );
            }
            for draw in Draw::all(&mut rng, I::records(&partitions) as u64) {
                let other = trial.run::<I, O>(&draw);
                let names = [first.name.as_str(), other.name.as_str()];
                compare(seed, names, [&first.rows, &other.rows], &first.spec);
                let counts = [&first, &other].map(|run| (run.counts.late, run.counts.bad));
                assert_eq!(
                    counts[0], counts[1],
                    "seed {seed}: late and bad records of {names:?}"
                );
            }
        }
    }
}

/// The seeds to try, as the environment says.
pub(super) fn seeds(default: u64) -> std::ops::Range<u64> {
    let number = |name| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
    };
    match number("STREAM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("STREAM_SEEDS").unwrap_or(default).max(1),
    }
}

/// What is drawn for one run.
#[derive(Clone, Debug)]
struct Draw {
    mode: Mode,
    workers: usize,
    /// Stop after so many records, and go on with so many workers.
    stop: Option<(u64, usize)>,
    seed: u64,
}

impl Draw {
    fn baseline() -> Self {
        Draw {
            mode: Mode::Batch,
            workers: 1,
            stop: None,
            seed: 0,
        }
    }

    /// Every mode, with what else is drawn for it.
    fn all(rng: &mut Rng, records: u64) -> Vec<Draw> {
        let cut_records = Some(rng.u64(1..=records.max(1)));
        let cuts = [
            BatchCut {
                interval: Some(Duration::from_millis(rng.u64(1..50))),
                ..BatchCut::default()
            },
            BatchCut {
                records: cut_records,
                ..BatchCut::default()
            },
        ];
        let mut modes = vec![Mode::Batch, Mode::PerRecord, Mode::PerRecordStrict];
        modes.extend(cuts.map(Mode::MicroBatch));
        let mut draw = |mode, stops: bool| {
            let stop = stops.then(|| (rng.u64(0..=records), rng.usize(1..=3)));
            Draw {
                mode,
                workers: rng.usize(1..=3),
                stop,
                seed: rng.u64(..),
            }
        };
        modes
            .into_iter()
            .flat_map(|mode| [draw(mode, false), draw(mode, true)])
            .collect()
    }
}

/// The question that all runs of a seed answer.
struct Trial<P> {
    seed: u64,
    partitions: P,
    job: Box<dyn Fn() -> Job>,
}

/// The answer of one run.
struct Answer {
    name: String,
    rows: Vec<Vec<String>>,
    counts: Counts,
    spec: GraphSpec,
}

impl<P> Trial<P> {
    fn run<I: Inputs<Partitions = P>, O: Outputs>(&self, draw: &Draw) -> Answer {
        let mut gathered = O::Rows::default();
        let interleaving = Interleaving::new(draw.seed);
        let stop_at = draw.stop.map(|(records, _)| records);
        let mut part = self.run_part::<I, O>(draw, draw.workers, &interleaving, stop_at, None);
        let mut counts = std::mem::take(&mut part.counts);
        O::append(&mut gathered, part.rows);
        if let (Some((_, workers)), Some(snapshot)) = (draw.stop, part.snapshot) {
            let rest = self.run_part::<I, O>(draw, workers, &interleaving, None, Some(snapshot));
            counts.late += rest.counts.late;
            counts.bad += rest.counts.bad;
            O::append(&mut gathered, rest.rows);
        }
        let spec = (self.job)()
            .explain()
            .unwrap_or_else(|error| self.fail(draw, &error));
        Answer {
            name: format!("{draw:?}"),
            rows: O::text(gathered),
            counts,
            spec,
        }
    }

    fn run_part<I: Inputs<Partitions = P>, O: Outputs>(
        &self,
        draw: &Draw,
        workers: usize,
        interleaving: &Arc<Interleaving>,
        stop_at: Option<u64>,
        start: Option<Snapshot>,
    ) -> PartOfRun<O::Rows> {
        interleaving.begin(stop_at);
        let job = (self.job)()
            .workers(workers)
            .clock(interleaving.clock.clone());
        let job = I::bind(&self.partitions, interleaving, job, &mut 0);
        let kept = O::kept(Keep::Rows);
        let job = O::bind(&kept, &Faults::none(), job, &mut 0);
        let job = job.start_from(start.unwrap_or_default());
        let report = job.start(draw.mode).and_then(|handle| {
            interleaving.arm(handle.stopper());
            handle.wait()
        });
        let report = report.unwrap_or_else(|error| self.fail(draw, &error));
        PartOfRun {
            rows: O::rows(&kept),
            counts: report.counts,
            snapshot: report.snapshot,
        }
    }

    fn fail(&self, draw: &Draw, error: &Error) -> ! {
        panic!("seed {}, {draw:?}: the job failed: {error}", self.seed)
    }
}

struct PartOfRun<R> {
    rows: R,
    counts: Counts,
    snapshot: Option<Snapshot>,
}

/// How the partitions of a run are read: in which pieces, with which pauses, how the clock moves
/// meanwhile, and when the job is stopped.
pub struct Interleaving {
    rng: Mutex<Rng>,
    clock: Clock,
    read: AtomicU64,
    stop_at: AtomicU64,
    stop: Mutex<Option<Stop>>,
    /// When checkpoints are asked for, the last first.
    checkpoints_at: Mutex<Vec<u64>>,
    calm: bool,
}

impl fmt::Debug for Interleaving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interleaving")
            .field("calm", &self.calm)
            .finish_non_exhaustive()
    }
}

impl Interleaving {
    pub(super) fn new(seed: u64) -> Arc<Self> {
        Arc::new(Interleaving {
            rng: Mutex::new(Rng::with_seed(seed)),
            clock: Clock::by_hand(),
            read: AtomicU64::new(0),
            stop_at: AtomicU64::new(u64::MAX),
            stop: Mutex::default(),
            checkpoints_at: Mutex::default(),
            calm: seed == 0,
        })
    }

    pub(super) fn begin(&self, stop_at: Option<u64>) {
        self.read.store(0, Ordering::SeqCst);
        self.stop_at
            .store(stop_at.unwrap_or(u64::MAX), Ordering::SeqCst);
        *lock(&self.stop) = None;
    }

    /// Says after how many records checkpoints are asked for.
    pub(super) fn ask_at(&self, mut records: Vec<u64>) {
        records.sort_by(|one, other| other.cmp(one));
        *lock(&self.checkpoints_at) = records;
    }

    pub(super) fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// Says how the job can be stopped, and asks for what is due already.
    pub(super) fn arm(&self, stop: Stop) {
        *lock(&self.stop) = Some(stop);
        self.note_read(0);
    }

    /// Where a reader of so many records falls asleep, if it does, and how often it is then asked in vain.
    pub(super) fn sleep(&self, records: usize) -> Option<(usize, u32)> {
        let mut rng = lock(&self.rng);
        let falls_asleep = !self.calm && rng.u8(0..3) == 0;
        falls_asleep.then(|| (rng.usize(0..=records), rng.u32(1..=SLEEP_MAX)))
    }

    /// How many of at most `max` records a reader gives now; `None` for a pause.
    pub(super) fn draw(&self, max: usize) -> Option<usize> {
        if self.calm {
            return Some(max);
        }
        if !lock(&self.checkpoints_at).is_empty() && lock(&self.stop).is_none() {
            return None; // nobody could be asked yet
        }
        self.pass_time();
        let mut rng = lock(&self.rng);
        match rng.u8(0..4) {
            0 => None,
            1 => Some(1),
            _ => Some(rng.usize(1..=max)),
        }
    }

    /// Moves the clock a little.
    pub(super) fn pass_time(&self) {
        let micros = lock(&self.rng).u64(0..5_000);
        self.clock.advance(Duration::from_micros(micros));
    }

    /// Notes what a reader has given.
    pub(super) fn note_read(&self, records: u64) {
        let read = self.read.fetch_add(records, Ordering::SeqCst) + records;
        let Some(stop) = lock(&self.stop).clone() else {
            return;
        };
        let mut checkpoints_at = lock(&self.checkpoints_at);
        while checkpoints_at.pop_if(|at| *at <= read).is_some() {
            stop.checkpoint();
        }
        if read >= self.stop_at.load(Ordering::SeqCst) {
            stop.stop();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Compares the outputs of two runs: all of them, or, where some depend on what arrives first and others do not, the
/// others.
pub(super) fn compare(seed: u64, names: [&str; 2], rows: [&Vec<Vec<String>>; 2], spec: &GraphSpec) {
    let by_arrival = by_arrival(spec);
    let leaves_some = by_arrival.contains(&false);
    for (index, (left, right)) in rows[0].iter().zip(rows[1]).enumerate() {
        if left == right || leaves_some && by_arrival.get(index) == Some(&true) {
            continue;
        }
        let conditional = spec.nodes.iter().filter(|node| node.class != Class::Exact);
        let conditional: Vec<_> = conditional
            .map(|node| format!("  {} {}", node.id, node.class.of_a_stage()))
            .collect();
        panic!(
            "seed {seed}: {} differs (STREAM_SEED={seed} tries it again)\n\
             only in {}:\n{}only in {}:\n{}{}{}{}",
            named(spec, index),
            names[0],
            only(left, right),
            names[1],
            only(right, left),
            if conditional.is_empty() {
                "every stage is exact if its functions are pure: one keeps something outside of its state, or \
                 asks for a clock or a random number"
            } else {
                "stages to look at:\n"
            },
            conditional.join("\n"),
            remedy(spec),
        );
    }
}

/// Of each output, whether it depends on what arrives first.
fn by_arrival(spec: &GraphSpec) -> Vec<bool> {
    let mut nodes = Vec::<bool>::new();
    for node in &spec.nodes {
        let is_behind = node.inputs.iter().any(|input| nodes[input.node]);
        nodes.push(node.class == Class::Arrival || is_behind);
    }
    let outputs = spec.nodes.iter().zip(nodes);
    let outputs = outputs.filter(|(node, _)| node.kind == "output");
    outputs.map(|(_, by_arrival)| by_arrival).collect()
}

/// What the stages that are not exact could be made of instead.
fn remedy(spec: &GraphSpec) -> &'static str {
    let is_there = |class| spec.nodes.iter().any(|node| node.class == class);
    if is_there(Class::Arrival) {
        "\n(`lookup`, of a table that ends, and `as_of_join`, by event time, are exact in place of `lookup_arrival`)"
    } else if spec.nodes.iter().any(|node| node.class != Class::Exact) {
        "\n(`scan`, what stands behind a `ttl` and an operator of your own are exact behind `.in_order()`)"
    } else {
        ""
    }
}

/// What an output is called: a function's outputs have no names, but the stages that give them do,
/// and stand in the bindings that it returns.
fn named(spec: &GraphSpec, index: usize) -> String {
    let outputs = spec.nodes.iter().filter(|node| node.kind == "output");
    let given = outputs.filter_map(|node| node.inputs.first()).nth(index);
    let Some(mut given) = given else {
        return format!("output {index}");
    };
    while let ("final_content", [table]) = (
        spec.nodes[given.node].kind.as_str(),
        &spec.nodes[given.node].inputs[..],
    ) {
        given = table;
    }
    let stage = &spec.nodes[given.node];
    let id = &stage.id;
    match (stage.kind.as_str(), given.port) {
        ("event_time", 1) => format!("the output of late records of `{id}`"),
        ("split", port) => format!("the output of `{id}`, part {}", port + 1),
        _ => format!("the output of `{id}`"),
    }
}

/// The first rows that are more often in one list than in the other.
fn only(these: &[String], others: &[String]) -> String {
    let mut counts = BTreeMap::new();
    others
        .iter()
        .for_each(|row| *counts.entry(row).or_insert(0_i64) -= 1);
    these
        .iter()
        .for_each(|row| *counts.entry(row).or_insert(0) += 1);
    let more = counts.into_iter().filter(|(_, count)| *count > 0);
    let lines: Vec<_> = more
        .map(|(row, count)| format!("  {count} x {row}\n"))
        .collect();
    let rest = lines.len().saturating_sub(ROWS_SHOWN);
    let rest = if rest > 0 {
        format!("  and {rest} more\n")
    } else {
        String::new()
    };
    lines.into_iter().take(ROWS_SHOWN).collect::<String>() + &rest
}
