//! Latency of single records at a fixed rate.
//!
//! The records are planned: number n is due at n / rate after the start, whatever the system does
//! meanwhile. Latency is the time from when a record was *due* until the sink has what follows from
//! it, so a system that falls behind is charged for the wait (no coordinated omission). The source
//! operator itself looks at the clock and hands out what is due, so no other thread takes part.
//!
//! The computation is a count by key that is emitted at once: source, exchange, count, sink, on two
//! workers. By hand it is the same in timely, with the same rule for cutting: a new timestamp as
//! soon as everything of the last one is through. The runs alternate.

use std::error::Error;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use stream_core::graph::Graph;
use stream_core::io::{
    Boundedness, Chunk, Opening, Position, ReadStatus, Reader, Sink, SinkInfo, Slot, Source,
    SourceInfo, Staged, Writer,
};
use stream_core::ops::Change;
use stream_core::run::Wait;
use stream_core::time::Clock;
use stream_core::{Job, Mode, Problem};

use crate::by_hand;
use crate::measure::{median, take, write_json};

/// How many workers there are, and partitions.
pub(crate) const WORKERS: usize = 2;
/// How many keys are counted.
const KEYS: u64 = 10_000;
/// How long after the start the first record is due: all workers are up by then.
const LEAD: Duration = Duration::from_millis(200);
/// The longest latency that is told apart.
const LONGEST_NS: u64 = 60_000_000_000;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Writes the table as JSON too.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Records a second, of both workers together.
    #[arg(long, default_value_t = 50_000)]
    rate: u64,
    /// How long a run lasts, in seconds; the first fifth is not counted.
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// How often each is run, in turns.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How idle workers wait, `spin` or `park`; one after the other unless told.
    #[arg(long)]
    wait: Option<Wait>,
}

/// One line of the table, in microseconds: the medians over the rounds.
#[derive(Serialize)]
struct Row {
    case: String,
    wait: &'static str,
    p50_us: f64,
    p99_us: f64,
    p999_us: f64,
    max_us: f64,
    /// How many cores' worth of CPU time the run took.
    cores: f64,
}

pub(crate) fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let waits = options
        .wait
        .map_or(vec![Wait::Spin, Wait::Park], |wait| vec![wait]);
    let runs: [(&str, Side); 2] = [("ours", ours), ("by hand", by_hand::latency)];
    let mut rows = Vec::new();
    println!(
        "{:<10}{:<8}{:>10}{:>10}{:>10}{:>11}{:>8}",
        "case", "wait", "p50 us", "p99 us", "p99.9 us", "max us", "cores"
    );
    for wait in waits {
        let mut taken = [Vec::new(), Vec::new()];
        for round in 0..options.rounds {
            for turn in 0..2 {
                let side = (turn + round) % 2;
                taken[side].push(measure(options, wait, runs[side].1)?);
            }
        }
        for ((case, _), taken) in runs.iter().zip(taken) {
            let of = |value: &dyn Fn(&Taken) -> f64| median(taken.iter().map(value).collect());
            let at = |share: f64| of(&|taken| taken.0.value_at_quantile(share) as f64 / 1e3);
            let row = Row {
                case: (*case).to_owned(),
                wait: match wait {
                    Wait::Spin => "spin",
                    Wait::Park => "park",
                },
                p50_us: at(0.5),
                p99_us: at(0.99),
                p999_us: at(0.999),
                max_us: at(1.0),
                cores: of(&|taken| taken.1),
            };
            println!(
                "{:<10}{:<8}{:>10.1}{:>10.1}{:>10.1}{:>11.1}{:>8.2}",
                row.case, row.wait, row.p50_us, row.p99_us, row.p999_us, row.max_us, row.cores
            );
            rows.push(row);
        }
    }
    write_json(options.json.as_deref(), &rows)
}

/// Runs a plan to its end.
type Side = fn(Plan, Wait) -> Arrivals;

/// What a run has given: the latencies, and the cores that it kept busy.
type Taken = (Histogram<u64>, f64);

/// Runs one side once, and checks that every record has come.
fn measure(options: &Options, wait: Wait, run: Side) -> Result<Taken, Box<dyn Error>> {
    let plan = Plan::new(options.rate, Duration::from_secs(options.seconds));
    let (taken, arrivals) = take(|| run(plan, wait));
    if arrivals.count != plan.records() {
        let (came, sent) = (arrivals.count, plan.records());
        return Err(format!("{came} rows came of {sent} records").into());
    }
    let cores = taken.cpu.as_secs_f64() / taken.wall.as_secs_f64();
    Ok((arrivals.latencies, cores))
}

/// When which record is due.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    start: Instant,
    rate: u64,
    length: Duration,
}

impl Plan {
    fn new(rate: u64, length: Duration) -> Self {
        let start = Instant::now() + LEAD;
        Plan {
            start,
            rate: rate / WORKERS as u64,
            length,
        }
    }

    /// How many records there are in a partition.
    fn share(&self) -> u64 {
        self.rate * self.length.as_secs()
    }

    fn records(&self) -> u64 {
        self.share() * WORKERS as u64
    }

    /// The time since the start; zero before it.
    pub(crate) fn now(&self) -> Duration {
        Instant::now().saturating_duration_since(self.start)
    }

    /// The time until a moment of the plan.
    pub(crate) fn until(&self, due: Duration) -> Duration {
        (self.start + due).saturating_duration_since(Instant::now())
    }

    /// The records of a partition, in the order in which they are due. Partitions take turns.
    pub(crate) fn schedule(self, partition: usize) -> Schedule {
        Schedule {
            plan: self,
            partition: partition as u64,
            next: 0,
        }
    }
}

/// What is still to come of a partition.
pub(crate) struct Schedule {
    plan: Plan,
    partition: u64,
    next: u64,
}

impl Schedule {
    pub(crate) fn now(&self) -> Duration {
        self.plan.now()
    }

    /// When the next record is due; `None` when there is none.
    pub(crate) fn due(&self) -> Option<Duration> {
        let peers = WORKERS as u64;
        let number = self.next * peers + self.partition;
        let ns = number * 1_000_000_000 / (self.plan.rate * peers);
        (self.next < self.plan.share()).then(|| Duration::from_nanos(ns))
    }

    /// The next record, if it is due.
    pub(crate) fn take(&mut self, now: Duration) -> Option<Ticket> {
        let due = self.due().filter(|due| *due <= now)?;
        let key = crate::measure::mix(self.next, self.partition) % KEYS;
        self.next += 1;
        Some((key, due.as_nanos() as u64))
    }
}

/// A record: its key, and when it was due.
pub(crate) type Ticket = (u64, u64);

/// What has arrived at a sink.
pub(crate) struct Arrivals {
    plan: Plan,
    count: u64,
    latencies: Histogram<u64>,
}

impl Arrivals {
    pub(crate) fn new(plan: Plan) -> Self {
        let latencies = Histogram::new_with_max(LONGEST_NS, 3);
        Arrivals {
            plan,
            count: 0,
            latencies: latencies.expect("three digits are in range"),
        }
    }

    /// Notes rows that have just arrived.
    pub(crate) fn note(&mut self, due: impl Iterator<Item = u64>) {
        let now = self.plan.now().as_nanos() as u64;
        let warm = self.plan.length.as_nanos() as u64 / 5;
        for due in due {
            self.count += 1;
            if due >= warm {
                self.latencies.saturating_record(now.saturating_sub(due));
            }
        }
    }

    /// Takes in what has arrived at another worker.
    pub(crate) fn merge(&mut self, other: &Arrivals) {
        self.count += other.count;
        let added = self.latencies.add(&other.latencies);
        added.expect("all histograms have the same range");
    }
}

/// What a key has come to: how many records, and when the last one was due.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Count {
    records: u64,
    due: u64,
}

/// The pipeline, in the mode that emits at once.
fn ours(plan: Plan, wait: Wait) -> Arrivals {
    let total = Arc::new(Mutex::new(Arrivals::new(plan)));
    let pipeline = |graph: &Graph| {
        let counts = graph.input::<Ticket>("in").key_by(|(key, _)| *key).fold(
            Count::default,
            |count, (_, due)| {
                count.records += 1;
                count.due = due;
            },
        );
        graph.output("out", counts.changes());
    };
    Job::new("latency", pipeline)
        .source("in", plan)
        .sink("out", Clocked(total.clone()))
        .workers(WORKERS)
        .idle(wait)
        .run(Mode::PerRecord)
        .expect("the pipeline of the benchmark runs");
    let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
    std::mem::replace(&mut *total, Arrivals::new(plan))
}

impl Source<Ticket> for Plan {
    fn info(&self) -> SourceInfo {
        SourceInfo {
            kind: "plan",
            detail: format!("{} records", self.records()),
            boundedness: Boundedness::Bounded,
            repeatable: true,
        }
    }

    fn partitions(&self) -> Result<Vec<String>, Problem> {
        Ok((0..WORKERS).map(|number| number.to_string()).collect())
    }

    fn open(&self, partition: usize, opening: Opening) -> Result<Box<dyn Reader<Ticket>>, Problem> {
        Ok(Box::new(PlanReader {
            schedule: self.schedule(partition),
            clock: opening.clock,
        }))
    }
}

struct PlanReader {
    schedule: Schedule,
    clock: Clock,
}

impl Reader<Ticket> for PlanReader {
    fn read(&mut self, max: usize, into: &mut Chunk<Ticket>) -> Result<ReadStatus, Problem> {
        let now = self.schedule.now();
        into.extend(std::iter::from_fn(|| self.schedule.take(now)).take(max));
        Ok(match self.schedule.due() {
            None => ReadStatus::Ended,
            Some(due) if due <= now => ReadStatus::More,
            Some(due) => ReadStatus::Until(self.clock.elapsed() + self.schedule.plan.until(due)),
        })
    }

    fn position(&self) -> Result<Position, Problem> {
        Position::of(&self.schedule.next)
    }
}

/// A sink that looks at the clock.
struct Clocked(Arc<Mutex<Arrivals>>);

impl Sink<Change<u64, Count>> for Clocked {
    fn info(&self) -> SinkInfo {
        SinkInfo {
            kind: "clocked",
            detail: String::new(),
            atomic: true,
        }
    }

    fn open(&self, _: Slot) -> Result<Box<dyn Writer<Change<u64, Count>>>, Problem> {
        let plan = self.0.lock().unwrap_or_else(PoisonError::into_inner).plan;
        Ok(Box::new(ClockedWriter {
            arrivals: Arrivals::new(plan),
            total: self.0.clone(),
        }))
    }
}

struct ClockedWriter {
    arrivals: Arrivals,
    total: Arc<Mutex<Arrivals>>,
}

impl Writer<Change<u64, Count>> for ClockedWriter {
    fn write(&mut self, changes: &mut Vec<Change<u64, Count>>) -> Result<(), Problem> {
        let due = changes
            .drain(..)
            .filter_map(|change| Some(change.value?.due));
        self.arrivals.note(due);
        Ok(())
    }

    fn prepare(&mut self, _: u64) -> Result<Staged, Problem> {
        let mut total = self.total.lock().unwrap_or_else(PoisonError::into_inner);
        total.merge(&self.arrivals);
        Ok(Staged::nothing())
    }
}
