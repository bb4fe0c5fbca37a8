//! The flags, as clap reads them.

use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::compare::parse_modes;
use crate::run::{Mode, Wait};

#[derive(Parser)]
#[command(
    about = "Runs a streaming pipeline: in batch, in micro-batches or record by record",
    args_conflicts_with_subcommands = true,
    after_help = EXIT_CODES,
)]
pub(super) struct Line {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    #[command(flatten)]
    pub(super) run: RunLine,
}

const EXIT_CODES: &str = "Exit codes:
  0    the job has finished, was stopped, or whoever read its output had enough
  1    the job failed; nothing was committed. Or the answers that `compare` held differ
  2    the command line is wrong
  130  interrupted twice";

#[derive(Subcommand)]
pub(super) enum Command {
    /// Runs the job; the same as no command at all
    Run(RunLine),
    /// Prints the pipeline's graph and runs nothing
    Explain {
        /// How to print it
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Races the modes and proves that their answers are equal
    ///
    /// Runs the job several times in each mode, the modes in turn, and writes to no sink: each
    /// output is digested instead. The inputs must be bounded and repeatable. The exit code is 1
    /// when an answer differs.
    Compare(CompareLine),
}

#[derive(Args)]
pub(super) struct RunLine {
    /// batch, micro-batch=100ms, micro-batch=1000records, micro-batch=8MiB, per-record or
    /// per-record=strict; the results are the same
    #[arg(long, default_value = "batch", env = "STREAM_MODE")]
    pub(super) mode: Mode,
    #[command(flatten)]
    pub(super) work: WorkLine,
    /// On ctrl-c, write what open windows and tables hold as if the input had ended
    #[arg(long, env = "STREAM_DRAIN")]
    pub(super) drain: bool,
}

/// What every command takes that runs the job.
#[derive(Args)]
pub(super) struct WorkLine {
    /// How many threads work
    #[arg(long, env = "STREAM_WORKERS")]
    pub(super) workers: Option<usize>,
    /// How a worker waits for work: park frees its core, spin reacts at once
    #[arg(long, value_name = "park|spin", env = "STREAM_WAIT")]
    pub(super) wait: Option<Wait>,
    /// Read at most so many records of each partition, the same ones in every run
    #[arg(long, value_name = "RECORDS", env = "STREAM_LIMIT")]
    pub(super) limit: Option<u64>,
}

#[derive(Args)]
pub(super) struct CompareLine {
    /// The modes to compare, with commas between them
    #[arg(long, default_value = "batch,micro-batch=100ms,per-record")]
    pub(super) modes: Modes,
    /// How often each mode runs
    #[arg(long, default_value_t = 3, value_parser = positive)]
    pub(super) runs: usize,
    #[command(flatten)]
    pub(super) work: WorkLine,
    /// Print one JSON object: every run, with its outputs
    #[arg(long, conflicts_with = "csv")]
    pub(super) json: bool,
    /// Print CSV: a row for each run and output
    #[arg(long)]
    pub(super) csv: bool,
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Format {
    /// One line a stage
    Text,
    /// A flowchart in the language of Mermaid
    Mermaid,
}

/// The modes of a comparison.
#[derive(Clone)]
pub(super) struct Modes(pub(super) Vec<Mode>);

impl FromStr for Modes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse_modes(text).map(Modes)
    }
}

fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("give it 1 or more".to_owned()),
        Ok(number) => Ok(number),
        Err(error) => Err(format!("{error}")),
    }
}
