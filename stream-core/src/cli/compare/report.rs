//! What a comparison prints: a table for people, JSON or CSV for programs.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::{Comparison, Difference, Run};
use crate::cli::layout::{Columns, grouped};
use crate::engine::Mode;
use crate::error::{Error, Problem};

/// Its [`Display`](fmt::Display) is the table: the modes with the median of their runs, then the
/// outputs.
impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rounds = self.runs.len() / self.modes.len().max(1);
        let plural = |count: usize, word: &str| match count {
            1 => format!("1 {word}"),
            count => format!("{count} {word}s"),
        };
        writeln!(
            f,
            "{}: {} × {}, in turn, {}\n",
            self.spec.name,
            plural(self.modes.len(), "mode"),
            plural(rounds, "run"),
            plural(self.workers, "worker"),
        )?;
        write!(f, "{}\n{}", self.modes_table(), self.outputs_table())
    }
}

impl Comparison {
    fn modes_table(&self) -> Columns {
        let mut table = Columns::new(&[
            "mode",
            ">wall",
            ">fastest",
            ">slowest",
            ">cpu",
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
            let memory = sorted(&runs, |run| run.memory_peak).pop();
            table.row([
                mode.to_string(),
                seconds(median(&walls)),
                seconds(walls.first().copied()),
                seconds(walls.last().copied()),
                seconds(median(&sorted(&runs, |run| run.cpu))),
                rate.map_or("–".to_owned(), |rate| grouped(rate as u64)),
                median(&sorted(&runs, |run| Some(run.slices))).map_or("–".to_owned(), grouped),
                memory.map_or("–".to_owned(), |bytes| {
                    format!("{} MiB", bytes.div_ceil(1 << 20))
                }),
            ]);
        }
        table
    }

    fn outputs_table(&self) -> Columns {
        let mut table = Columns::new(&["output", ">rows", "digest", "answer"]);
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
            table.row([port.clone(), grouped(content.rows), digest, answer]);
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
    outputs: Vec<OutputReport<'a>>,
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
