//! From Kafka to Kafka: how long any program takes, or how much it gets through, that reads from one topic
//! and writes to another. It is held against no program at all and against a bare loop ([`bare`]), in the
//! same run, and its answers are checked in each trial ([`check`]).
//!
//! What a program has to do: it is started with the variables `BOOTSTRAP`, `WORKLOAD` (`S`, `K` or `B`),
//! `MODE` (`alo` for at least once, `eo` for exactly once), `RUN_ID` and `STATE_DIR`. It reads topic `in`
//! from the beginning, 4 partitions, and writes topic `out`, 4 partitions too, until SIGTERM. The key is the
//! number of the user in decimal, the value `{"user":…,"amount":…,"at":…,"seq":…,"due_us":…}`. `LINGER_MS` is
//! what the load's own producer and the bare program wait for more records; others may heed it. What `--env`
//! says comes last.
//!
//! - `S` drops records whose amount ends in 0 and adds `"cents"`, 100 times the amount, to the others.
//! - `K` writes `{"user":…,"sum":…,"seq":…,"due_us":…}` for each, with the user's sum so far.
//! - `B` writes the bytes as they are; only throughput is measured.
//!
//! Keys stay, so that records of a user keep their order. A program that is started by a script is to be
//! started by `exec`, or the script ends and not the program.

mod bare;
mod batch;
mod check;
mod client;
mod load;
mod model;
mod program;
mod receive;
mod report;
mod trial;

use std::error::Error;
use std::path::PathBuf;

use serde::Serialize;

use self::load::Load;
use self::model::{Plan, Workload};
use self::program::{Program, Variable};
use self::report::Row;
use self::trial::Case;

pub(crate) use self::bare::{BARE, BareOptions, run as run_bare};

/// The topics that a program reads and writes.
mod topic {
    pub(super) const IN: &str = "in";
    pub(super) const OUT: &str = "out";
}

/// What a program promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    /// At least once.
    Alo,
    /// Exactly once, for those who read what is committed only.
    Eo,
}

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Mode::Alo => "alo",
            Mode::Eo => "eo",
        }
    }
}

#[derive(clap::Args, Serialize)]
pub(crate) struct Options {
    /// Where the broker is.
    #[arg(long, env = "KAFKA_BOOTSTRAP")]
    bootstrap: Option<String>,
    /// A program to try, as NAME=COMMAND LINE, beside the bare one; `kafka_peer`, if it has been built,
    /// unless told.
    #[arg(long = "program")]
    programs: Vec<Program>,
    /// A variable that programs are given, as NAME=VALUE.
    #[arg(long = "env")]
    variables: Vec<Variable>,
    /// Runs only the trials whose title and program, such as `latency 1000/s S alo, bare`, contain this.
    #[arg(long, default_value = "")]
    only: String,
    /// What programs are to do.
    #[arg(long, value_delimiter = ',', default_value = "S,K,B")]
    workloads: Vec<Workload>,
    /// What programs are to promise.
    #[arg(long, value_delimiter = ',', default_value = "alo,eo")]
    modes: Vec<Mode>,
    /// Records a second of the trials of latency.
    #[arg(long, value_delimiter = ',', default_value = "1000,10000,50000",
        value_parser = clap::value_parser!(u64).range(1..))]
    rates: Vec<u64>,
    /// How many seconds of each trial of latency count.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// How many seconds before them do not.
    #[arg(long, default_value_t = 10)]
    warm_up: u64,
    /// How many records a trial of throughput takes.
    #[arg(long, default_value_t = 3_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    preload: u64,
    /// How often each trial is run, in turns.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Where the folders of state are made; where temporary files are, unless told.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Writes all numbers as JSON too.
    #[arg(long)]
    json: Option<PathBuf>,
}

pub(crate) fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let bootstrap = options.bootstrap.as_deref().ok_or(
        "no broker is named; start one by `dev/kafka up`, then `eval \"$(dev/kafka env)\"`, \
         or give --bootstrap",
    )?;
    program::end_along()?;
    let cases = cases(options, &programs(options)?);
    let mut rows = Vec::new();
    for round in 0..options.rounds {
        // The two kinds stay apart, for all trials of throughput read the same topic.
        let (mut latency, mut throughput): (Vec<_>, Vec<_>) =
            cases.iter().partition(|case| case.rate.is_some());
        if round % 2 == 1 {
            latency.reverse();
            throughput.reverse();
        }
        for case in latency {
            rows.push(try_one(options, bootstrap, case, round, 0));
        }
        if !throughput.is_empty() {
            let preloaded_us = preload(bootstrap, options.preload)?;
            for case in throughput {
                rows.push(try_one(options, bootstrap, case, round, preloaded_us));
            }
        }
    }
    report::print(&rows);
    report::write(options.json.as_deref(), options, &rows)?;
    match rows.iter().filter(|row| row.error.is_some()).count() {
        0 => Ok(()),
        failed => Err(format!("{failed} of {} trials failed", rows.len()).into()),
    }
}

/// Runs one trial and says how it went. One that fails does not keep the others from running.
fn try_one(options: &Options, bootstrap: &str, case: &Case, round: u16, preloaded_us: i64) -> Row {
    let row = Row::new(
        case,
        round,
        trial::run(options, bootstrap, case, preloaded_us),
    );
    eprintln!("{row}");
    row
}

/// Fills topic `in` anew; gives when all its records are due.
fn preload(bootstrap: &str, records: u64) -> Result<i64, Box<dyn Error>> {
    client::renew_topic(bootstrap, topic::IN)?;
    let plan = Plan::at_once(client::now_us());
    Load::new(bootstrap, topic::IN, None)?.send(plan, 0..records)?;
    Ok(plan.due_us(0))
}

/// The bare program, and those that are named or found.
fn programs(options: &Options) -> Result<Vec<Program>, Box<dyn Error>> {
    let own = std::env::current_exe()?;
    let mut programs = vec![Program::bare(&own)];
    let peer = own.with_file_name("kafka_peer");
    match options.programs.is_empty() {
        true if peer.exists() => programs.push(Program::of_file("kafka_peer", &peer)),
        true => {}
        false => programs.extend_from_slice(&options.programs),
    }
    Ok(programs)
}

/// All trials of a round.
fn cases(options: &Options, programs: &[Program]) -> Vec<Case> {
    let mut cases = Vec::new();
    for rate in options.rates.iter().copied().map(Some).chain([None]) {
        let nothing = Case {
            rate,
            workload: Workload::B,
            mode: Mode::Alo,
            program: None,
        };
        cases.push(nothing);
        for &workload in &options.workloads {
            for &mode in &options.modes {
                let is_tried = match workload {
                    Workload::S | Workload::K => true,
                    Workload::B => rate.is_none() && mode == Mode::Alo,
                };
                let of = programs
                    .iter()
                    .filter(|program| is_tried && program.can(mode));
                cases.extend(of.map(|program| Case {
                    rate,
                    workload,
                    mode,
                    program: Some(program.clone()),
                }));
            }
        }
    }
    cases.retain(|case| case.name().contains(&options.only));
    cases
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Arguments {
        #[command(flatten)]
        options: Options,
    }

    fn names(arguments: &[&str]) -> Vec<String> {
        let all = ["benches", "--program", "peer=run it"]
            .iter()
            .chain(arguments);
        let options = Arguments::try_parse_from(all).unwrap().options;
        let cases = cases(&options, &programs(&options).unwrap());
        cases.iter().map(Case::name).collect()
    }

    #[test]
    fn each_program_has_each_trial_that_it_can_take() {
        assert_eq!(
            names(&["--rates", "5", "--workloads", "K,B"]),
            [
                "latency 5/s, no system",
                "latency 5/s K alo, bare",
                "latency 5/s K alo, peer",
                "latency 5/s K eo, peer",
                "throughput, no system",
                "throughput K alo, bare",
                "throughput K alo, peer",
                "throughput K eo, peer",
                "throughput B alo, bare",
                "throughput B alo, peer",
            ]
        );
        assert_eq!(names(&["--only", "10000/s S alo"]).len(), 2);
        assert_eq!(names(&["--modes", "alo", "--only", "eo"]), [""; 0]);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for wrong in [
            ["--rates", "0"],
            ["--modes", "most"],
            ["--program", "peer"],
            ["--env", "A"],
        ] {
            assert!(Arguments::try_parse_from(["benches"].iter().chain(&wrong)).is_err());
        }
    }
}
