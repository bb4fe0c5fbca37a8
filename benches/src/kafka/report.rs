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

    fn value(&self, column: &Column) -> Option<f64> {
        self.measured.as_ref().and_then(column.value)
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
        match &self.error {
            Some(error) => write!(to, "failed: {error}"),
            None => {
                let columns = LATENCY.iter().chain(&THROUGHPUT).chain(&BOTH);
                let shown = columns.filter_map(|column| {
                    let value = self.value(column)?;
                    Some(format!("{value:.0$} {1}", column.digits, column.head))
                });
                to.write_str(&shown.collect::<Vec<_>>().join(", "))
            }
        }
    }
}

/// What a column shows of a trial, if it is there.
struct Column {
    head: &'static str,
    width: usize,
    digits: usize,
    value: fn(&Measured) -> Option<f64>,
}

/// The narrowest column that has room for a range.
const WIDE: usize = 24;
const NARROW: usize = 11;

const fn column(
    head: &'static str,
    width: usize,
    digits: usize,
    value: fn(&Measured) -> Option<f64>,
) -> Column {
    Column {
        head,
        width,
        digits,
        value,
    }
}

/// The first one is what programs are compared by.
const LATENCY: [Column; 5] = [
    column("p50 ms", WIDE, 2, |of| latencies(of).map(|of| of[0])),
    column("p99 ms", WIDE, 2, |of| latencies(of).map(|of| of[1])),
    column("p99.9 ms", NARROW, 1, |of| latencies(of).map(|of| of[2])),
    column("max ms", NARROW, 1, |of| latencies(of).map(|of| of[3])),
    column("delay %", NARROW, 1, |of| latencies(of).map(|of| of[4])),
];
const THROUGHPUT: [Column; 1] = [column("thousand/s", WIDE, 0, |of| match of.outcome {
    Outcome::Throughput { records_per_s, .. } => Some(records_per_s / 1e3),
    Outcome::Latency { .. } => None,
})];
const BOTH: [Column; 3] = [
    column("cpu us/rec", WIDE, 2, |of| of.cpu_us),
    column("MB", NARROW, 0, |of| of.memory_peak_mb),
    column("first s", NARROW, 2, |of| Some(of.first_output_s)),
];

fn latencies(of: &Measured) -> Option<[f64; 5]> {
    match of.outcome {
        Outcome::Latency {
            p50_ms,
            p99_ms,
            p999_ms,
            max_ms,
            load_delay,
            ..
        } => Some([p50_ms, p99_ms, p999_ms, max_ms, load_delay * 100.0]),
        Outcome::Throughput { .. } => None,
    }
}

/// Prints what the trials of each kind have given.
pub(super) fn print(rows: &[Row]) {
    for own in [&LATENCY[..], &THROUGHPUT[..]] {
        let is_of = |row: &&Row| row.value(&own[0]).is_some();
        let rows: Vec<_> = rows.iter().filter(is_of).collect();
        if !rows.is_empty() {
            print_table(&rows, &own.iter().chain(&BOTH).collect::<Vec<_>>());
        }
    }
}

/// Prints a line for each case and program, in the order of their first trials: medians over the rounds,
/// with ranges where there is room, and how the first column compares with the bare program.
fn print_table(rows: &[&Row], columns: &[&Column]) {
    print!("\n{:<24}{:<13}", "case", "program");
    for column in columns {
        print!("{:>1$}", column.head, column.width);
    }
    println!("{:>9}", "to bare");
    let mut done = Vec::new();
    for row in rows {
        let name = (&row.case, &row.program);
        if done.contains(&name) {
            continue;
        }
        done.push(name);
        let is_same = |other: &&&Row| (&other.case, &other.program) == name;
        let of: Vec<_> = rows.iter().filter(is_same).copied().collect();
        print!("{:<24}{:<13}", row.case, row.program);
        for column in columns {
            let values = of.iter().filter_map(|row| row.value(column)).collect();
            print!("{:>1$}", column.summary(values), column.width);
        }
        println!("{:>9}", ratio_to_bare(rows, &of, columns[0]));
    }
}

impl Column {
    /// The median; and the range, where there is room for it and there are several values.
    fn summary(&self, values: Vec<f64>) -> String {
        let digits = self.digits;
        let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let is_range = values.len() > 1 && self.width >= WIDE;
        match (values.is_empty(), median(values)) {
            (true, _) => "-".to_owned(),
            (_, median) if is_range => {
                format!("{median:.digits$} ({lowest:.digits$}-{highest:.digits$})")
            }
            (_, median) => format!("{median:.digits$}"),
        }
    }
}

/// The median over the rounds of the ratio to the bare program in the same round.
fn ratio_to_bare(all: &[&Row], of: &[&Row], column: &Column) -> String {
    let ratio = |row: &&Row| {
        let is_bare = |other: &&&Row| {
            (&other.case, other.round) == (&row.case, row.round) && other.program == BARE_NAME
        };
        Some(row.value(column)? / all.iter().find(is_bare)?.value(column)?)
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
    fn a_summary_is_the_median_and_where_there_is_room_the_range() {
        let [wide, narrow] = [WIDE, NARROW].map(|width| column("", width, 1, |_| None));
        assert_eq!(wide.summary(vec![]), "-");
        assert_eq!(wide.summary(vec![2.0]), "2.0");
        assert_eq!(wide.summary(vec![4.0, 1.0, 2.0]), "2.0 (1.0-4.0)");
        assert_eq!(narrow.summary(vec![4.0, 1.0, 2.0]), "2.0");
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
        let ratio = |all: &[&Row], of| ratio_to_bare(all, of, &THROUGHPUT[0]);
        assert_eq!(ratio(&all, &all[1..3]), "0.30");
        assert_eq!(ratio(&all[1..2], &all[1..2]), "-");
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
