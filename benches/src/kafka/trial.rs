//! One trial: one program, or none, under one load.
//!
//! *Latency* is measured in an open loop. The first record is sent beforehand; once it has come out, the
//! program is ready, and the others are sent at their planned times. The latency of a record is the time
//! from the planned one to its receipt, so a program that falls behind is charged for the wait. What is due
//! in the time to warm up does not count.
//!
//! *Throughput* is measured from the start of the process, with all records in the topic already, to the
//! receipt of the last that has to come out.

use std::error::Error;
use std::fs;
use std::thread;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;
use tempfile::TempDir;

use super::check::Checker;
use super::client::{now_us, renew_topic};
use super::load::{Load, linger_ms};
use super::model::{Plan, Workload, outputs};
use super::program::{Group, Program, Running, Usage, Variable};
use super::receive::Receiver;
use super::{Mode, Options, topic};

/// How long the first record may take to come out, and how long the next may take after one.
const START_MAX: Duration = Duration::from_secs(90);
const IDLE_MAX: Duration = Duration::from_secs(30);
/// How long before its first planned time a plan is made.
const LEAD_US: i64 = 50_000;
/// The longest latency that is told apart.
const LONGEST_US: u64 = 600_000_000;

/// What a trial tries.
#[derive(Clone, Debug)]
pub(super) struct Case {
    /// Records a second; none for a trial of throughput.
    pub(super) rate: Option<u64>,
    pub(super) workload: Workload,
    pub(super) mode: Mode,
    /// None: what goes in is received directly.
    pub(super) program: Option<Program>,
}

impl Case {
    pub(super) fn program_name(&self) -> &str {
        self.program
            .as_ref()
            .map_or("no system", |program| &program.name)
    }

    /// What it is called, the program left out.
    pub(super) fn title(&self) -> String {
        let load = match self.rate {
            Some(rate) => format!("latency {rate}/s"),
            None => "throughput".to_owned(),
        };
        match self.program {
            Some(_) => format!("{load} {} {}", self.workload.name(), self.mode.name()),
            None => load,
        }
    }

    pub(super) fn name(&self) -> String {
        format!("{}, {}", self.title(), self.program_name())
    }
}

/// What a trial has measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Measured {
    /// How many records went in, and how many came out.
    pub(super) records: u64,
    pub(super) outputs: u64,
    /// From the start of the process to the receipt of the first record.
    pub(super) first_output_s: f64,
    #[serde(flatten)]
    pub(super) outcome: Outcome,
    /// CPU time of the program by record that went in: of latency, in the time that counts; of throughput,
    /// from the start on. None where there is no program.
    pub(super) cpu_us: Option<f64>,
    pub(super) memory_peak_mb: Option<f64>,
}

/// What the two kinds of trials measure.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum Outcome {
    Latency {
        p50_ms: f64,
        p90_ms: f64,
        p99_ms: f64,
        p999_ms: f64,
        max_ms: f64,
        /// The share of the time in which the load was kept from a core by others.
        load_delay: f64,
    },
    Throughput {
        seconds: f64,
        records_per_s: f64,
    },
}

/// Runs a trial. Of throughput, topic `in` has its records already, all due at `preloaded_us`.
pub(super) fn run(
    options: &Options,
    bootstrap: &str,
    case: &Case,
    preloaded_us: i64,
) -> Result<Measured, Box<dyn Error>> {
    if case.program.is_some() {
        renew_topic(bootstrap, topic::OUT)?;
    }
    let Some(rate) = case.rate else {
        let mut stage = Stage::new(options, bootstrap, case)?;
        let measured = throughput(&mut stage, options, preloaded_us);
        return stage.explain(measured);
    };
    renew_topic(bootstrap, topic::IN)?;
    let mut load = Load::new(bootstrap, topic::IN, case.rate)?;
    let plan = Plan {
        first_us: now_us(),
        steady_us: 0,
        rate: case.rate,
    };
    load.send(plan, 0..1)?;
    let mut stage = Stage::new(options, bootstrap, case)?;
    let measured = latency(&mut stage, options, load, plan, rate);
    stage.explain(measured)
}

fn latency(
    stage: &mut Stage,
    options: &Options,
    mut load: Load,
    mut plan: Plan,
    rate: u64,
) -> Result<Measured, Box<dyn Error>> {
    let counted_from = 1 + rate * options.warm_up;
    let records = counted_from + rate * options.seconds;
    let expected = outputs(stage.workload, records);
    stage.receiver.reserve(expected);
    stage.receive(1, START_MAX)?;

    plan.steady_us = now_us() + LEAD_US;
    let group = stage.group();
    let (sent, used) = thread::scope(|scope| -> Result<_, Box<dyn Error>> {
        let sent = scope.spawn(|| {
            load.send(plan, 1..records)
                .map_err(|error| error.to_string())
        });
        let used = scope.spawn(|| {
            sleep_until(plan.due_us(counted_from));
            let before = Usage::of(group).cpu;
            sleep_until(plan.due_us(records));
            Usage::of(group).cpu - before
        });
        stage.receive(expected, IDLE_MAX)?;
        Ok((sent.join(), used.join()))
    })?;
    let is_panic = |_| "a thread of the driver has panicked";
    let load_delay = sent.map_err(is_panic)??;
    let cpu = used.map_err(is_panic)?;
    let memory_peak_bytes = stage.end()?;

    let mut histogram = Histogram::<u64>::new_with_bounds(1, LONGEST_US, 3)?;
    let counted_us = plan.due_us(counted_from);
    stage.check(plan, records, |due_us, at_us| {
        if due_us >= counted_us {
            histogram.saturating_record((at_us - due_us).max(1) as u64);
        }
    })?;
    let at = |share: f64| histogram.value_at_quantile(share) as f64 / 1e3;
    Ok(stage.measured(
        records,
        Outcome::Latency {
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: at(1.0),
            load_delay,
        },
        cpu.as_secs_f64() * 1e6 / (records - counted_from) as f64,
        memory_peak_bytes,
    ))
}

fn throughput(
    stage: &mut Stage,
    options: &Options,
    preloaded_us: i64,
) -> Result<Measured, Box<dyn Error>> {
    let records = options.preload;
    let expected = outputs(stage.workload, records);
    stage.receiver.reserve(expected);
    stage.receive(1, START_MAX)?;
    stage.receive(expected, IDLE_MAX)?;
    let cpu = Usage::of(stage.group()).cpu;
    let memory_peak_bytes = stage.end()?;

    let mut last_us = 0;
    stage.check(Plan::at_once(preloaded_us), records, |_, at_us| {
        last_us = at_us;
    })?;
    let seconds = (last_us - stage.begun_us) as f64 / 1e6;
    Ok(stage.measured(
        records,
        Outcome::Throughput {
            seconds,
            records_per_s: records as f64 / seconds,
        },
        cpu.as_secs_f64() * 1e6 / records as f64,
        memory_peak_bytes,
    ))
}

fn sleep_until(us: i64) {
    thread::sleep(Duration::from_micros((us - now_us()).max(0) as u64));
}

/// What takes part in a trial.
struct Stage {
    workload: Workload,
    receiver: Receiver,
    /// None where there is no program.
    running: Option<Running>,
    begun_us: i64,
    /// Where the program keeps its state and its log; goes with the trial.
    _folder: TempDir,
}

impl Stage {
    /// Begins to receive, and starts the program.
    fn new(options: &Options, bootstrap: &str, case: &Case) -> Result<Self, Box<dyn Error>> {
        let from = case.program.as_ref().map_or(topic::IN, |_| topic::OUT);
        let folder = match &options.folder {
            Some(at) => tempfile::tempdir_in(at)?,
            None => tempfile::tempdir()?,
        };
        let state = folder.path().join("state");
        fs::create_dir(&state)?;
        let variables = [
            ("BOOTSTRAP", bootstrap),
            ("WORKLOAD", case.workload.name()),
            ("MODE", case.mode.name()),
            ("RUN_ID", &format!("run-{}", now_us())),
            ("STATE_DIR", &state.to_string_lossy()),
            ("LINGER_MS", &linger_ms(case.rate).to_string()),
        ]
        .map(|(name, value)| Variable(name.to_owned(), value.to_owned()));
        let variables = [&variables[..], &options.variables].concat();
        let mut begun_us = now_us();
        let mut receiver = Receiver::new(bootstrap, from, case.mode)?;
        if case.program.is_some() {
            receiver.drain()?; // so that it is connected
            begun_us = now_us();
        }
        let start = |program| Running::start(program, &variables, folder.path());
        let running = case.program.as_ref().map(start).transpose()?;
        Ok(Stage {
            workload: case.workload,
            receiver,
            running,
            begun_us,
            _folder: folder,
        })
    }

    fn group(&self) -> Option<Group> {
        self.running.as_ref().map(Running::group)
    }

    /// Receives until there are so many, as long as the program runs.
    fn receive(&mut self, records: u64, idle_max: Duration) -> Result<(), Box<dyn Error>> {
        let Stage {
            receiver, running, ..
        } = self;
        receiver.receive(records, idle_max, || {
            running.as_mut().map_or(Ok(()), Running::check)
        })
    }

    /// Ends the program and receives whatever it has put out too much. Gives its peak of memory.
    fn end(&mut self) -> Result<u64, Box<dyn Error>> {
        let memory_peak_bytes = Usage::of(self.group()).memory_peak_bytes;
        if let Some(running) = &mut self.running {
            running.end()?;
        }
        self.receiver.drain()?;
        Ok(memory_peak_bytes)
    }

    /// Fails unless all answers are right; tells of each when it was due and when it came.
    fn check(
        &self,
        plan: Plan,
        records: u64,
        mut each: impl FnMut(i64, i64),
    ) -> Result<(), Box<dyn Error>> {
        let mut checker = Checker::new(self.workload, plan, records);
        for (text, at_us) in self.receiver.iter() {
            if let Some(due_us) = checker.take(text) {
                each(due_us, at_us);
            }
        }
        Ok(checker.finish()?)
    }

    fn measured(
        &self,
        records: u64,
        outcome: Outcome,
        cpu_us: f64,
        memory_peak_bytes: u64,
    ) -> Measured {
        let first_us = self
            .receiver
            .iter()
            .next()
            .map_or(0, |(_, at_us)| at_us - self.begun_us);
        let running = self.running.as_ref();
        Measured {
            records,
            outputs: self.receiver.received(),
            first_output_s: first_us as f64 / 1e6,
            outcome,
            cpu_us: running.map(|_| cpu_us),
            memory_peak_mb: running.map(|_| memory_peak_bytes as f64 / 1e6),
        }
    }

    /// Adds to a failure what the program has said last.
    fn explain(
        &self,
        measured: Result<Measured, Box<dyn Error>>,
    ) -> Result<Measured, Box<dyn Error>> {
        measured.map_err(
            |error| match self.running.as_ref().map(Running::last_words) {
                Some(words) if !words.is_empty() => {
                    format!("{error}; its last words:\n{words}").into()
                }
                _ => error,
            },
        )
    }
}
