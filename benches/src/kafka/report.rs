//! What the trials have given: a table of medians and ranges, and a file of all numbers.

use std::error::Error;
use std::fmt;
use std::fs::{self, File};
use std::path::Path;

use serde::Serialize;

use super::Options;
use super::program::BARE_NAME;
use super::trial::{Case, Measured, Outcome};
use crate::measure::median;

/// What became of one trial.
#[derive(Serialize)]
pub(super) struct Row {
    pub(super) case: String,
    pub(super) program: String,
    pub(super) round: u16,
    #[serde(flatten)]
    pub(super) measured: Option<Measured>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
}

impl Row {
    pub(super) fn new(case: &Case, round: u16, result: Result<Measured, Box<dyn Error>>) -> Self {
        let (measured, error) = match result {
            Ok(measured) => (Some(measured), None),
            Err(error) => (None, Some(error.to_string())),
        };
        let program = case.program_name().to_owned();
        Row {
            case: case.title(),
            program,
            round,
            measured,
            error,
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            to,
            "round {}: {}, {}: ",
            self.round + 1,
            self.case,
            self.program
        )?;
        match (&self.measured, &self.error) {
            (_, Some(error)) => write!(to, "failed: {error}"),
            (Some(measured), _) => {
                let columns = LATENCY.iter().chain(&THROUGHPUT).chain(&BOTH);
                let mut shown =
                    columns.filter_map(|column| Some((column, (column.value)(measured)?)));
                shown.try_for_each(|(column, value)| {
                    write!(to, "{value:.0$} {1}; ", column.digits, column.head)
                })
            }
            (None, None) => Ok(()),
        }
    }
}

/// What a column shows of a trial, if it is there.
struct Column {
    head: &'static str,
    digits: usize,
    value: fn(&Measured) -> Option<f64>,
}

const fn column(head: &'static str, digits: usize, value: fn(&Measured) -> Option<f64>) -> Column {
    Column {
        head,
        digits,
        value,
    }
}

/// The first one is what programs are compared by.
const LATENCY: [Column; 4] = [
    column("p50 ms", 2, |of| latencies(of).map(|of| of[0])),
    column("p99 ms", 2, |of| latencies(of).map(|of| of[1])),
    column("p99.9 ms", 1, |of| latencies(of).map(|of| of[2])),
    column("max ms", 1, |of| latencies(of).map(|of| of[3])),
];
const THROUGHPUT: [Column; 1] = [column("thousand/s", 0, |of| match of.outcome {
    Outcome::Throughput { records_per_s, .. } => Some(records_per_s / 1e3),
    Outcome::Latency { .. } => None,
})];
const BOTH: [Column; 3] = [
    column("cpu us/rec", 2, |of| of.cpu_us),
    column("MB", 0, |of| of.memory_peak_mb),
    column("first s", 2, |of| Some(of.first_output_s)),
];

fn latencies(of: &Measured) -> Option<[f64; 4]> {
    match of.outcome {
        Outcome::Latency {
            p50_ms,
            p99_ms,
            p999_ms,
            max_ms,
            ..
        } => Some([p50_ms, p99_ms, p999_ms, max_ms]),
        Outcome::Throughput { .. } => None,
    }
}

/// Prints a line for each case and program, in the order of their first trials: medians over the rounds,
/// with ranges where there are several, and the median of the ratio to the bare program within a round.
pub(super) fn print(rows: &[Row]) {
    for columns in [&LATENCY[..], &THROUGHPUT[..]] {
        let is_of = |row: &&Row| {
            row.measured
                .as_ref()
                .is_some_and(|of| (columns[0].value)(of).is_some())
        };
        let rows: Vec<_> = rows.iter().filter(is_of).collect();
        if rows.is_empty() {
            continue;
        }
        print!("\n{:<26}{:<14}", "case", "program");
        let columns: Vec<_> = columns.iter().chain(&BOTH).collect();
        columns
            .iter()
            .for_each(|column| print!("{:>22}", column.head));
        println!("{:>10}", "to bare");
        let mut done = Vec::new();
        for row in &rows {
            let name = (&row.case, &row.program);
            if done.contains(&name) {
                continue;
            }
            done.push(name);
            let is_same = |other: &&&Row| (&other.case, &other.program) == name;
            let of: Vec<_> = rows.iter().filter(is_same).copied().collect();
            print!("{:<26}{:<14}", row.case, row.program);
            for column in &columns {
                let values = of
                    .iter()
                    .flat_map(|row| row.measured.as_ref().and_then(column.value));
                print!("{:>22}", summary(values.collect(), column.digits));
            }
            println!("{:>10}", ratio_to_bare(&rows, &of, columns[0].value));
        }
    }
}

/// The median, and the range where there are several.
fn summary(values: Vec<f64>, digits: usize) -> String {
    let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    match values.len() {
        0 => "-".to_owned(),
        1 => format!("{lowest:.digits$}"),
        _ => format!(
            "{:.digits$} ({lowest:.digits$}-{highest:.digits$})",
            median(values)
        ),
    }
}

/// The median over the rounds of the ratio to the bare program in the same round.
fn ratio_to_bare(all: &[&Row], of: &[&Row], value: fn(&Measured) -> Option<f64>) -> String {
    let value = |row: &Row| row.measured.as_ref().and_then(value);
    let ratio = |row: &&Row| {
        let is_bare = |other: &&&Row| {
            (&other.case, other.round) == (&row.case, row.round) && other.program == BARE_NAME
        };
        Some(value(row)? / value(all.iter().find(is_bare)?)?)
    };
    let ratios: Vec<_> = of.iter().filter_map(ratio).collect();
    match ratios.is_empty() {
        true => "-".to_owned(),
        false => format!("{:.2}", median(ratios)),
    }
}

/// Everything that there is to know, for the file.
#[derive(Serialize)]
struct Report<'a> {
    hardware: Hardware,
    settings: &'a Options,
    trials: &'a [Row],
}

#[derive(Serialize)]
struct Hardware {
    processor: String,
    cores: usize,
    memory_mb: u64,
    kernel: String,
}

impl Hardware {
    fn find() -> Self {
        let read = |file| fs::read_to_string(file).unwrap_or_default();
        let field = |text: &str, name| {
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .unwrap_or_default();
            line.trim_start_matches([' ', '\t', ':']).trim().to_owned()
        };
        let memory = field(&read("/proc/meminfo"), "MemTotal");
        Hardware {
            processor: field(&read("/proc/cpuinfo"), "model name"),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_mb: memory.trim_end_matches(" kB").parse().unwrap_or(0) / 1_024,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        }
    }
}

/// Writes all numbers as JSON, if a file is named.
pub(super) fn write(
    file: Option<&Path>,
    options: &Options,
    rows: &[Row],
) -> Result<(), Box<dyn Error>> {
    if let Some(file) = file {
        let report = Report {
            hardware: Hardware::find(),
            settings: options,
            trials: rows,
        };
        serde_json::to_writer_pretty(File::create(file)?, &report)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(program: &str, round: u16, records_per_s: f64) -> Row {
        let measured = Measured {
            records: 10,
            outputs: 10,
            first_output_s: 0.5,
            outcome: Outcome::Throughput {
                seconds: 1.0,
                records_per_s,
            },
            cpu_us: Some(1.0),
            memory_peak_mb: None,
        };
        Row {
            case: "throughput S alo".to_owned(),
            program: program.to_owned(),
            round,
            measured: Some(measured),
            error: None,
        }
    }

    #[test]
    fn a_summary_is_the_median_and_the_range() {
        assert_eq!(summary(vec![], 1), "-");
        assert_eq!(summary(vec![2.0], 1), "2.0");
        assert_eq!(summary(vec![4.0, 1.0, 2.0], 1), "2.0 (1.0-4.0)");
    }

    #[test]
    fn a_ratio_is_that_within_a_round() {
        let rows = [
            row("bare", 0, 10.0),
            row("peer", 0, 5.0),
            row("peer", 1, 9.0),
            row("bare", 1, 90.0),
        ];
        let all: Vec<_> = rows.iter().collect();
        let value = THROUGHPUT[0].value;
        assert_eq!(ratio_to_bare(&all, &[&rows[1], &rows[2]], value), "0.30");
        assert_eq!(ratio_to_bare(&all[1..2], &all[1..2], value), "-");
    }

    #[test]
    fn a_trial_that_fails_is_told_in_the_file() {
        let mut failed = row("peer", 0, 0.0);
        failed.measured = None;
        failed.error = Some("it ended".to_owned());
        let text = serde_json::to_value([row("bare", 0, 7.0), failed]).unwrap();
        assert_eq!(text[0]["records_per_s"], 7.0);
        assert_eq!(
            (&text[1]["error"], &text[1]["records"]),
            (&"it ended".into(), &().into())
        );
    }
}
