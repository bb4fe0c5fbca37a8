//! How cost grows with size: each case at several sizes, and each value against that of the case's
//! first size (of the lanes, against that of ten).
//!
//! | case | its size | what is measured |
//! |---|---|---|
//! | lanes | partitions of a source that gives one record a read | time a record, the records being as many at each size |
//! | in flight | bytes of a record, in a file of 150 MB that a slow sink writes | memory |
//! | expansion | numbers that a record becomes | memory |
//! | sessions at the end | sessions, of as many users, that end with the input | time and memory a session |
//! | sessions of one key | open sessions of each key | time a record |
//! | table in batch | keys of a count | memory a key |
//! | growth stall | keys that a count grows to | the longest wait between two reads |
//!
//! Each row runs in a process of its own, which this program starts, so that the peak of memory is
//! the row's. It checks its result and prints its values as one line of JSON. Of several runs of a
//! row the median counts. What is not measured: several workers, but for records in flight, and
//! state that is written or moved.

mod cases;
mod ports;
mod row;
mod stall;

use std::error::Error;
use std::process::{Command, Stdio};

use serde::Serialize;
use stream_core::Mode;

use crate::measure::{TableOptions, median, write_json};
pub(crate) use row::memory_peak;
use row::{Value, Values};

#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    table: TableOptions,
}

/// Which row a process is to run.
#[derive(clap::Args)]
pub(crate) struct RowOptions {
    case: String,
    size: u64,
}

/// The subcommand that runs one row.
pub(crate) const ROW: &str = "growth-row";

struct Case {
    name: &'static str,
    sizes: &'static [u64],
    /// The size that the others are held against.
    base: u64,
    run: fn(u64) -> Values,
}

const BYTES: &[u64] = &[2_560, 25_600, 262_144];
const LANES: &[u64] = &[1, 10, 100, 1_000];
const ITEMS: &[u64] = &[40_000, 400_000, 4_000_000];
const SESSIONS: &[u64] = &[1_000, 10_000, 100_000];

const CASES: &[Case] = &[
    Case {
        name: "lanes, batch",
        sizes: LANES,
        base: 10,
        run: |size| cases::lanes(size, Mode::Batch),
    },
    Case {
        name: "lanes, per-record",
        sizes: LANES,
        base: 10,
        run: |size| cases::lanes(size, Mode::PerRecord),
    },
    Case {
        name: "in flight, 1 worker",
        sizes: BYTES,
        base: BYTES[0],
        run: |size| cases::in_flight(size, 1),
    },
    Case {
        name: "in flight, 2 workers",
        sizes: BYTES,
        base: BYTES[0],
        run: |size| cases::in_flight(size, 2),
    },
    Case {
        name: "expansion",
        sizes: &[1_000, 10_000, 100_000],
        base: 1_000,
        run: cases::expansion,
    },
    Case {
        name: "sessions at the end",
        sizes: ITEMS,
        base: ITEMS[0],
        run: cases::sessions_at_the_end,
    },
    Case {
        name: "table in batch",
        sizes: ITEMS,
        base: ITEMS[0],
        run: cases::table_in_batch,
    },
    Case {
        name: "sessions of one key",
        sizes: SESSIONS,
        base: SESSIONS[0],
        run: |size| cases::sessions_of_one_key(size, true),
    },
    Case {
        name: "sessions of one key, out of order",
        sizes: SESSIONS,
        base: SESSIONS[0],
        run: |size| cases::sessions_of_one_key(size, false),
    },
    Case {
        name: "growth stall",
        sizes: &[1_000_000, 4_000_000, 16_000_000],
        base: 1_000_000,
        run: stall::stall,
    },
];

/// One line of the table.
#[derive(Clone, Debug, Serialize)]
struct Row {
    case: &'static str,
    size: u64,
    value: f64,
    unit: String,
    /// To the value of the base's size.
    ratio: f64,
}

pub(crate) fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    println!(
        "{:<35}{:>11}{:>14} {:<15}{:>8}",
        "case", "size", "value", "unit", "ratio"
    );
    let mut rows = Vec::new();
    for case in CASES
        .iter()
        .filter(|case| case.name.contains(&options.table.only))
    {
        for row in rows_of(case, options.table.rounds)? {
            println!(
                "{:<35}{:>11}{:>14.1} {:<15}{:>8.2}",
                row.case, row.size, row.value, row.unit, row.ratio
            );
            rows.push(row);
        }
    }
    write_json(options.table.json.as_deref(), &rows)
}

/// Runs a case at all its sizes, in turns, so that whatever else the machine does falls on all.
fn rows_of(case: &Case, rounds: u16) -> Result<Vec<Row>, Box<dyn Error>> {
    let mut runs: Vec<Vec<Vec<Value>>> = vec![Vec::new(); case.sizes.len()];
    for _ in 0..rounds {
        for (size, runs) in case.sizes.iter().zip(&mut runs) {
            runs.push(in_a_process(case.name, *size)?);
        }
    }
    let mut rows = Vec::new();
    for (size, runs) in case.sizes.iter().zip(runs) {
        for (index, Value { unit, .. }) in runs[0].iter().enumerate() {
            let values = runs.iter().filter_map(|run| Some(run.get(index)?.value));
            rows.push(Row {
                case: case.name,
                size: *size,
                value: median(values.collect()),
                unit: unit.clone(),
                ratio: f64::NAN,
            });
        }
    }
    let bases = rows.clone();
    let bases = || bases.iter().filter(|row| row.size == case.base);
    for row in &mut rows {
        let base = bases().find(|base| base.unit == row.unit);
        row.ratio = base.map_or(f64::NAN, |base| row.value / base.value);
    }
    Ok(rows)
}

/// Starts this program again for one row.
fn in_a_process(case: &str, size: u64) -> Values {
    let output = Command::new(std::env::current_exe()?)
        .args([ROW, case, &size.to_string()])
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(format!(
            "{case}, {size}: the row's process ended with {}",
            output.status
        )
        .into());
    }
    let values = serde_json::from_slice(&output.stdout);
    values.map_err(|error| format!("{case}, {size}: the row cannot be read: {error}").into())
}

/// Runs one row in this process and prints its values.
pub(crate) fn run_row(options: &RowOptions) -> Result<(), Box<dyn Error>> {
    let case = CASES.iter().find(|case| case.name == options.case);
    let case = case.ok_or_else(|| format!("there is no case `{}`", options.case))?;
    if !case.sizes.contains(&options.size) {
        return Err(format!("`{}` has no size {}", case.name, options.size).into());
    }
    let values = (case.run)(options.size)?;
    println!("{}", serde_json::to_string(&values)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_case_has_a_name_of_its_own_and_is_held_against_one_of_its_sizes() {
        let names: BTreeSet<&str> = CASES.iter().map(|case| case.name).collect();
        assert_eq!(names.len(), CASES.len());
        assert!(CASES.iter().all(|case| case.sizes.contains(&case.base)));
    }

    #[test]
    fn a_row_that_there_is_not_is_refused() {
        let row = |case: &str, size| {
            let case = case.to_owned();
            let refused = run_row(&RowOptions { case, size });
            refused.err().map(|error| error.to_string())
        };
        assert_eq!(row("lane", 1).as_deref(), Some("there is no case `lane`"));
        let expected = "`expansion` has no size 1";
        assert_eq!(row("expansion", 1).as_deref(), Some(expected));
    }
}
