//! What a comparison prints: a table for people, JSON or CSV for programs.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::latency::{Latencies, short, sparkline};
use super::{Comparison, Difference, Run};
use crate::cli::layout::{Columns, grouped};
use crate::engine::Mode;
use crate::error::{Error, Problem};
use crate::graph::Class;

/// Its [`Display`](fmt::Display) is the table: the modes with the median of their runs, then the
/// outputs.
impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rounds = self.runs.len() / (self.modes.len() * self.rates.len()).max(1);
        let plural = |count: usize, word: &str| match count {
            1 => format!("1 {word}"),
            count => format!("{count} {word}s"),
        };
        let rates = match self.rates[..] {
            [None] => String::new(),
            _ => format!(" × {}", plural(self.rates.len(), "rate")),
        };
        writeln!(
            f,
            "{}: {}{rates} × {}, in turn, {}\n",
            self.spec.name,
            plural(self.modes.len(), "mode"),
            plural(rounds, "run"),
            plural(self.workers, "worker"),
        )?;
        match self.rates[..] {
            [None] => write!(f, "{}", self.modes_table())?,
            _ => self.write_latencies(f)?,
        }
        write!(f, "\n{}", self.outputs_table())?;
        if self.differences.is_empty() && self.counted_only().is_empty() {
            let modes = plural(self.modes.len(), "mode");
            write!(f, "\n  every answer is the same in {modes}\n")?;
        }
        Ok(())
    }
}

/// How many characters the course of a run takes.
const COURSE: usize = 24;

impl Comparison {
    fn modes_table(&self) -> Columns {
        let mut table = Columns::new(&[
            "mode",
            ">wall",
            ">fastest",
            ">slowest",
            ">cpu",
            ">cpu/record",
            ">records/s",
            ">slices",
            ">memory",
        ]);
        for mode in &self.modes {
            let runs: Vec<_> = self
                .runs
                .iter()
                .filter(|run| run.name.mode == *mode)
                .collect();
            let walls = sorted(&runs, |run| Some(run.wall));
            let seconds = |time: Option<Duration>| {
                time.map_or("–".to_owned(), |time| {
                    format!("{:.3} s", time.as_secs_f64())
                })
            };
            let records = runs.first().map_or(0, |run| run.records());
            let rate = median(&walls).map(|wall| records as f64 / wall.as_secs_f64().max(1e-9));
            table.row([
                mode.to_string(),
                seconds(median(&walls)),
                seconds(walls.first().copied()),
                seconds(walls.last().copied()),
                seconds(median(&sorted(&runs, |run| run.cpu))),
                cpu_a_record(&runs),
                rate.map_or("–".to_owned(), |rate| grouped(rate as u64)),
                median(&sorted(&runs, |run| Some(run.slices))).map_or("–".to_owned(), grouped),
                memory(&runs),
            ]);
        }
        table
    }

    /// The latencies of each mode at each rate, of all its runs, and their course.
    fn write_latencies(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cases = Vec::new();
        for rate in &self.rates {
            for mode in &self.modes {
                let is_its = |run: &&Run| (run.name.mode, run.name.rate) == (*mode, *rate);
                let runs: Vec<_> = self.runs.iter().filter(is_its).collect();
                let mut latencies = Latencies::default();
                let taken = runs.iter().filter_map(|run| run.latencies.as_ref());
                taken.for_each(|taken| latencies.merge(taken));
                cases.push((mode, rate.unwrap_or_default(), runs, latencies));
            }
        }
        let told = || {
            cases
                .iter()
                .flat_map(|(.., told)| told.course(COURSE))
                .flatten()
        };
        let (low, high) = (told().min(), told().max());
        let (low, high) = (low.unwrap_or_default(), high.unwrap_or_default());
        let mut table = Columns::new(&[
            "mode",
            ">planned",
            ">reached",
            ">p50",
            ">p90",
            ">p99",
            ">max",
            ">cpu/record",
            ">memory",
            "course",
        ]);
        for (mode, rate, runs, latencies) in &cases {
            let reached = median(&sorted(runs, |run| Some(run.records_per_second())));
            table.row([
                mode.to_string(),
                format!("{}/s", grouped(*rate as u64)),
                reached.map_or("–".to_owned(), |rate| {
                    format!("{}/s", grouped(rate as u64))
                }),
                short(latencies.at(0.5)),
                short(latencies.at(0.9)),
                short(latencies.at(0.99)),
                short(latencies.max()),
                cpu_a_record(runs),
                memory(runs),
                sparkline(&latencies.course(COURSE), low, high),
            ]);
        }
        write!(f, "{table}")?;
        writeln!(
            f,
            "\n  latency: from when a record was planned until the sinks have what follows from it\n  \
             course: the highest latency in each part of a run, ▁ {} to █ {}",
            short(low),
            short(high),
        )
    }

    /// How a pipeline promises an output: the weakest class of the stages before it.
    fn promise(&self, output: &str) -> &'static str {
        let suspects = super::difference::suspects(&self.spec, output);
        let is = |class| suspects.iter().any(|(_, suspect)| *suspect == class);
        if is(Class::Arrival) {
            "depends on arrival"
        } else if is(Class::ExactIfKeyInOneLane) {
            "exact if each key lives in one lane"
        } else if is(Class::ExactIfOrderFree) {
            "exact if order-free"
        } else {
            "exact"
        }
    }

    fn outputs_table(&self) -> Columns {
        let mut table = Columns::new(&["output", ">rows", "digest", "by its stages", "answer"]);
        let Some((first, others)) = self.runs.split_first() else {
            return table;
        };
        for (port, content) in &first.outputs {
            let equal = others
                .iter()
                .filter(|run| run.outputs.get(port) == Some(content))
                .count();
            let answer = match (&content.digest, equal == others.len()) {
                (_, false) => format!(
                    "differs in {} of {} runs",
                    others.len() - equal,
                    self.runs.len()
                ),
                (Some(_), true) => format!("the same in all {} runs", self.runs.len()),
                (None, true) => "the same number of rows; the rows were not compared".to_owned(),
            };
            let digest = content
                .digest
                .map_or("–".to_owned(), |digest| digest.to_string());
            let promise = self.promise(port).to_owned();
            table.row([port.clone(), grouped(content.rows), digest, promise, answer]);
        }
        table
    }

    /// The outputs whose rows nothing can tell.
    pub(in crate::cli) fn counted_only(&self) -> Vec<&str> {
        let Some(first) = self.runs.first() else {
            return Vec::new();
        };
        let counted = first
            .outputs
            .iter()
            .filter(|(_, content)| content.digest.is_none());
        counted.map(|(port, _)| port.as_str()).collect()
    }

    /// All of it as one JSON object.
    pub(in crate::cli) fn json(&self) -> Result<String, Error> {
        let runs = self.runs.iter().map(RunReport::of).collect();
        let differences = self.differences.iter();
        let report = JsonReport {
            pipeline: &self.spec.name,
            workers: self.workers,
            equal: self.differences.is_empty(),
            counted_only: self.counted_only(),
            differences: differences.map(Difference::headline).collect(),
            runs,
        };
        serde_json::to_string_pretty(&report).map_err(cannot_print)
    }

    /// A row for each run and output.
    pub(in crate::cli) fn csv(&self) -> Result<String, Error> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        for run in &self.runs {
            let RunReport {
                mode,
                run,
                wall_seconds,
                cpu_seconds,
                records,
                records_per_second,
                slices,
                memory_peak_bytes,
                late,
                bad,
                latency,
                outputs,
            } = RunReport::of(run);
            for output in outputs {
                let row = CsvRow {
                    mode: &mode,
                    run,
                    wall_seconds,
                    cpu_seconds,
                    records,
                    records_per_second,
                    slices,
                    memory_peak_bytes,
                    late,
                    bad,
                    planned_per_second: latency.planned_per_second,
                    latency_p50_us: latency.latency_p50_us,
                    latency_p90_us: latency.latency_p90_us,
                    latency_p99_us: latency.latency_p99_us,
                    latency_max_us: latency.latency_max_us,
                    output: output.port,
                    rows: output.rows,
                    digest: output.digest,
                };
                writer.serialize(row).map_err(cannot_print)?;
            }
        }
        let bytes = writer.into_inner().map_err(cannot_print)?;
        String::from_utf8(bytes).map_err(cannot_print)
    }
}

fn cannot_print(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Engine(Problem::new("the comparison cannot be printed").detail(error.to_string()))
}

fn sorted<T: PartialOrd>(runs: &[&Run], value: impl Fn(&Run) -> Option<T>) -> Vec<T> {
    let mut values: Vec<_> = runs.iter().filter_map(|run| value(run)).collect();
    values.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    values
}

/// The processor time that a record took, in the middle of these runs.
fn cpu_a_record(runs: &[&Run]) -> String {
    let cpu = sorted(runs, |run| {
        Some(run.cpu?.as_secs_f64() / run.records().max(1) as f64)
    });
    median(&cpu).map_or("–".to_owned(), |seconds| {
        short(Duration::from_secs_f64(seconds))
    })
}

/// The most memory that one of these runs had.
fn memory(runs: &[&Run]) -> String {
    let peak = sorted(runs, |run| run.memory_peak).pop();
    peak.map_or("–".to_owned(), |bytes| {
        format!("{} MiB", bytes.div_ceil(1 << 20))
    })
}

/// The middle one; of an even number, the lower of the two in the middle.
fn median<T: Copy>(sorted: &[T]) -> Option<T> {
    sorted.get(sorted.len().saturating_sub(1) / 2).copied()
}

#[derive(Serialize)]
struct JsonReport<'a> {
    pipeline: &'a str,
    workers: usize,
    equal: bool,
    counted_only: Vec<&'a str>,
    differences: Vec<String>,
    runs: Vec<RunReport<'a>>,
}

#[derive(Serialize)]
struct RunReport<'a> {
    mode: String,
    run: u64,
    wall_seconds: f64,
    cpu_seconds: Option<f64>,
    records: u64,
    records_per_second: f64,
    slices: u64,
    memory_peak_bytes: Option<u64>,
    late: u64,
    bad: u64,
    #[serde(flatten)]
    latency: LatencyReport,
    outputs: Vec<OutputReport<'a>>,
}

/// The latencies of a run at a rate; nothing of another run.
#[derive(Clone, Copy, Default, Serialize)]
struct LatencyReport {
    planned_per_second: Option<f64>,
    latency_p50_us: Option<f64>,
    latency_p90_us: Option<f64>,
    latency_p99_us: Option<f64>,
    latency_max_us: Option<f64>,
}

impl LatencyReport {
    fn of(run: &Run) -> Self {
        let Some(latencies) = &run.latencies else {
            return LatencyReport::default();
        };
        let micros = |time: Duration| Some(time.as_secs_f64() * 1e6);
        LatencyReport {
            planned_per_second: run.name.rate,
            latency_p50_us: micros(latencies.at(0.5)),
            latency_p90_us: micros(latencies.at(0.9)),
            latency_p99_us: micros(latencies.at(0.99)),
            latency_max_us: micros(latencies.max()),
        }
    }
}

#[derive(Serialize)]
struct OutputReport<'a> {
    port: &'a str,
    rows: u64,
    digest: Option<String>,
}

#[derive(Serialize)]
struct CsvRow<'a> {
    mode: &'a str,
    run: u64,
    wall_seconds: f64,
    cpu_seconds: Option<f64>,
    records: u64,
    records_per_second: f64,
    slices: u64,
    memory_peak_bytes: Option<u64>,
    late: u64,
    bad: u64,
    planned_per_second: Option<f64>,
    latency_p50_us: Option<f64>,
    latency_p90_us: Option<f64>,
    latency_p99_us: Option<f64>,
    latency_max_us: Option<f64>,
    output: &'a str,
    rows: u64,
    digest: Option<String>,
}

impl<'a> RunReport<'a> {
    fn of(run: &'a Run) -> Self {
        let output = |(port, content): (&'a String, &super::Content)| OutputReport {
            port,
            rows: content.rows,
            digest: content.digest.map(|digest| digest.to_string()),
        };
        RunReport {
            mode: run.name.mode.to_string(),
            run: run.name.round,
            wall_seconds: run.wall.as_secs_f64(),
            cpu_seconds: run.cpu.map(|cpu| cpu.as_secs_f64()),
            records: run.records(),
            records_per_second: run.records_per_second(),
            slices: run.slices,
            memory_peak_bytes: run.memory_peak,
            late: run.counts.late,
            bad: run.counts.bad,
            latency: LatencyReport::of(run),
            outputs: run.outputs.iter().map(output).collect(),
        }
    }
}

/// A list of modes with commas between them, as `--modes` takes it.
///
/// The conditions of a micro-batch have commas between them, too: a part that begins with a digit
/// belongs to the one before it.
pub(in crate::cli) fn parse_modes(text: &str) -> Result<Vec<Mode>, String> {
    let mut parts: Vec<String> = Vec::new();
    for part in text.split(',').map(str::trim) {
        match parts.last_mut() {
            Some(last) if part.starts_with(|c: char| c.is_ascii_digit()) => {
                last.push(',');
                last.push_str(part);
            }
            _ => parts.push(part.to_owned()),
        }
    }
    let mut modes = Vec::new();
    for part in parts {
        let mode = part
            .parse()
            .map_err(|error: crate::engine::ParseModeError| error.to_string())?;
        if modes.contains(&mode) {
            return Err(format!("`{part}` is there twice"));
        }
        modes.push(mode);
    }
    Ok(modes)
}
