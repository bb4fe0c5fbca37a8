//! What state costs that is kept in a folder: how long a checkpoint holds everything up ([`stall`]), what one
//! a second costs in throughput ([`speed`]), how long a large state takes to come back ([`restore`]), and what is
//! written where little has changed ([`little`]).
//!
//! The job is a count by key. Its source knows which record is which number, so the last count of each key
//! is known, too, and is checked before anything else counts.

mod keys;
mod little;
mod restore;
mod speed;
mod stall;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;
use stream_core::Mode;
use tempfile::TempDir;

use crate::measure::{TableOptions, median, write_json};

#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    table: TableOptions,
    /// Keys of the state; of that which is restored ten times as many.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(100..))]
    keys: u64,
    /// Where the folders of state are made; where temporary files are, unless told.
    #[arg(long)]
    folder: Option<PathBuf>,
}

/// The subcommand that runs one restore, in a process of its own.
pub(crate) const ROW: &str = "state-row";

/// Which restore a process is to run.
#[derive(clap::Args)]
pub(crate) struct RowOptions {
    store: PathBuf,
    keys: u64,
    workers: u64,
}

/// One line of the table: what is measured, beside that which it is held against.
#[derive(Clone, Debug, Serialize)]
struct Row {
    case: String,
    what: &'static str,
    value: f64,
    against: f64,
    /// The median over the rounds of the ratio within a round.
    ratio: f64,
}

/// What one round gives: what is measured, and what it is held against.
type Pair = (&'static str, f64, f64);

/// One case in one round.
type Round = dyn Fn(bool) -> Result<Vec<Pair>, Box<dyn Error>>;

pub(crate) fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    println!(
        "{:<46}{:<18}{:>13}{:>13}{:>8}",
        "case", "what", "value", "against", "ratio"
    );
    let mut rows = Vec::new();
    for (case, round) in cases(options) {
        if !case.contains(&options.table.only) {
            continue;
        }
        for row in rows_of(&case, options.table.rounds, &*round)? {
            println!(
                "{:<46}{:<18}{:>13.2}{:>13.2}{:>8.3}",
                row.case, row.what, row.value, row.against, row.ratio
            );
            rows.push(row);
        }
    }
    write_json(options.table.json.as_deref(), &rows)
}

pub(crate) fn run_row(options: &RowOptions) -> Result<(), Box<dyn Error>> {
    let restored = restore::row(&options.store, options.keys, options.workers)?;
    println!("{}", serde_json::to_string(&restored)?);
    Ok(())
}

/// Micro-batches small and large, and none.
fn modes() -> [(&'static str, Mode); 3] {
    let records = |records| {
        Mode::MicroBatch(stream_core::run::BatchCut {
            records: Some(records),
            ..Default::default()
        })
    };
    [
        ("per-record", Mode::PerRecord),
        ("1000", records(1_000)),
        ("65536", records(65_536)),
    ]
}

fn cases(options: &Options) -> Vec<(String, Box<Round>)> {
    let mut cases: Vec<(String, Box<Round>)> = Vec::new();
    let keys = options.keys;
    let folder = |options: &Options| options.folder.clone();
    for (name, mode) in modes() {
        for workers in [1, 2] {
            let at = folder(options);
            cases.push((
                format!("stall, u64, {workers} w, {name}"),
                Box::new(move |_| stall::round::<u64>(keys, workers, mode, at.as_deref())),
            ));
            let at = folder(options);
            cases.push((
                format!("stall, String, {workers} w, {name}"),
                Box::new(move |_| stall::round::<String>(keys, workers, mode, at.as_deref())),
            ));
        }
    }
    let [per_record, small, _] = modes();
    for (name, mode) in [per_record, small] {
        for workers in [1, 2] {
            let at = folder(options);
            cases.push((
                format!("one checkpoint a second, {workers} w, {name}"),
                Box::new(move |turned| speed::round(keys, workers, mode, at.as_deref(), turned)),
            ));
        }
    }
    for workers in [1, 2] {
        let at = folder(options);
        cases.push((
            format!("restore of {} keys, {workers} w", keys * 10),
            Box::new(move |_| restore::round(keys * 10, workers, at.as_deref())),
        ));
    }
    let at = folder(options);
    cases.push((
        "checkpoint with 1 % changed".to_owned(),
        Box::new(move |_| little::round(keys, at.as_deref())),
    ));
    cases
}

/// Runs a case so often, each time in another order.
fn rows_of(case: &str, rounds: u16, round: &Round) -> Result<Vec<Row>, Box<dyn Error>> {
    let mut all = Vec::new();
    for number in 0..rounds {
        all.push(round(number % 2 == 1)?);
    }
    let what = all.first().map(Vec::len).unwrap_or_default();
    let row = |index: usize| {
        let of = |value: &dyn Fn(&Pair) -> f64| {
            median(all.iter().map(|pairs| value(&pairs[index])).collect())
        };
        Row {
            case: case.to_owned(),
            what: all[0][index].0,
            value: of(&|pair| pair.1),
            against: of(&|pair| pair.2),
            ratio: of(&|pair| pair.1 / pair.2),
        }
    };
    Ok((0..what).map(row).collect())
}

/// A folder for state that goes when it is dropped.
fn new_folder(at: Option<&Path>) -> Result<TempDir, Box<dyn Error>> {
    Ok(match at {
        Some(at) => tempfile::tempdir_in(at)?,
        None => tempfile::tempdir()?,
    })
}

/// How many entries the log of a folder of state has; none where there is no log yet.
fn entries(store: &Path) -> Result<usize, Box<dyn Error>> {
    let log = store.join("log");
    Ok(match log.try_exists()? {
        true => fs::read_dir(log)?.count(),
        false => 0,
    })
}

/// Waits until the log has more than so many entries.
fn wait_for_entry(
    store: &Path,
    before: usize,
    is_over: impl Fn() -> bool,
) -> Result<(), Box<dyn Error>> {
    let begun = Instant::now();
    while entries(store)? <= before {
        if begun.elapsed() > Duration::from_secs(60) || is_over() {
            return Err("no checkpoint was made".into());
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: u64 = 2_000;

    #[test]
    fn each_case_runs_on_a_small_size_and_gives_right_answers() {
        for (_, mode) in modes() {
            for workers in [1, 2] {
                let rows = stall::round::<u64>(KEYS, workers, mode, None).unwrap();
                assert!(rows.iter().all(|row| row.1 >= 0.0 && row.2 >= 0.0));
                stall::round::<String>(KEYS, workers, mode, None).unwrap();
            }
        }
        let small = speed::compare(KEYS, 50_000, 2, Mode::PerRecord, None, true).unwrap();
        assert!(small.iter().all(|row| row.1.is_finite() && row.2 > 0.0));
        let little = little::round(KEYS, None).unwrap();
        assert!(little.iter().all(|row| row.1 > 0.0 && row.2 > 0.0));
    }

    #[test]
    fn a_state_comes_back_on_another_number_of_workers() {
        let folder = new_folder(None).unwrap();
        restore::make(KEYS, 2, folder.path()).unwrap();
        for workers in [1, 2] {
            let copy = new_folder(None).unwrap();
            restore::copy(folder.path(), copy.path()).unwrap();
            restore::row(copy.path(), KEYS, workers).unwrap();
        }
    }

    #[test]
    fn a_ratio_is_that_within_a_round() {
        let round = |turned: bool| Ok(vec![("us", if turned { 4.0 } else { 2.0 }, 2.0)]);
        let rows = rows_of("case", 3, &round).unwrap();
        assert_eq!(
            (rows[0].value, rows[0].against, rows[0].ratio),
            (2.0, 2.0, 1.0)
        );
    }
}
