//! The flags, as clap reads them.

use std::ffi::OsString;
use std::str::FromStr;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use super::compare::parse_modes;
use crate::run::{Mode, Wait};

#[derive(Parser)]
#[command(
    about = "Runs a streaming pipeline: in batch, in micro-batches or record by record",
    after_help = EXIT_CODES,
)]
pub(super) struct Line {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    #[command(flatten)]
    pub(super) run: RunLine,
}

impl Line {
    /// Reads the command line of the program; ends it where that is wrong.
    pub(super) fn read(name: &str) -> Self {
        let words = std::env::args_os();
        Line::read_from(name, words).unwrap_or_else(|error| error.exit())
    }

    fn read_from(
        name: &str,
        words: impl IntoIterator<Item = OsString>,
    ) -> Result<Self, clap::Error> {
        let mut command = Line::command().name(name.to_owned());
        let matches = command.try_get_matches_from_mut(words)?;
        if let Some(subcommand) = matches.subcommand_name() {
            // Only settings may stand before a command: anything else there belongs to `run`.
            let is_misplaced = |arg: &&clap::Arg| {
                arg.get_id() != "set"
                    && matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine)
            };
            let misplaced = command.get_arguments().find(is_misplaced);
            let flag = misplaced.map(|arg| arg.get_long().unwrap_or(arg.get_id().as_str()));
            if let Some(flag) = flag.map(str::to_owned) {
                let text = format!("give `--{flag}` after `{subcommand}`, if it takes that");
                return Err(command.error(ErrorKind::ArgumentConflict, text));
            }
        }
        Line::from_arg_matches(&matches)
    }

    /// The settings: those before the command, then those after it.
    pub(super) fn settings(&self) -> impl Iterator<Item = &(String, String)> {
        let after = match &self.command {
            None => None,
            Some(Command::Run(line)) => Some(&line.settings),
            Some(Command::Explain(line)) => Some(&line.settings),
            Some(Command::Compare(line)) => Some(&line.settings),
        };
        let before = self.run.settings.set.iter();
        before.chain(after.into_iter().flat_map(|line| &line.set))
    }
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
    Explain(ExplainLine),
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
    #[command(flatten)]
    settings: SettingsLine,
    /// On ctrl-c, write what open windows and tables hold as if the input had ended
    #[arg(long, env = "STREAM_DRAIN")]
    pub(super) drain: bool,
}

#[derive(Args)]
pub(super) struct ExplainLine {
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(super) format: Format,
    #[command(flatten)]
    settings: SettingsLine,
}

/// What every command takes.
#[derive(Args)]
struct SettingsLine {
    /// Gives a setting of the pipeline its value
    #[arg(long, value_name = "name=value", value_parser = parse_setting)]
    set: Vec<(String, String)>,
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
    #[command(flatten)]
    settings: SettingsLine,
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

/// Reads `name=value`.
fn parse_setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or("expected name=value, like gap=45m")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Line, clap::Error> {
        let words = std::iter::once(&"job").chain(words);
        Line::read_from("job", words.map(OsString::from))
    }

    fn settings(words: &[&str]) -> Vec<String> {
        let line = read(words).unwrap_or_else(|error| panic!("{error}"));
        let texts = line
            .settings()
            .map(|(name, value)| format!("{name}={value}"));
        texts.collect()
    }

    #[test]
    fn settings_stand_before_and_after_each_command() {
        assert_eq!(settings(&["--set", "gap=45m"]), ["gap=45m"]);
        for command in ["run", "explain", "compare"] {
            assert_eq!(settings(&["--set", "gap=45m", command]), ["gap=45m"]);
            assert_eq!(settings(&[command, "--set", "gap=45m"]), ["gap=45m"]);
            let both = settings(&["--set", "gap=45m", command, "--set", "top=a=b"]);
            assert_eq!(both, ["gap=45m", "top=a=b"]);
        }
    }

    #[test]
    fn only_settings_stand_before_a_command() {
        let error = read(&["--workers", "2", "compare"]).err();
        let text = error.expect("it is refused").to_string();
        assert!(text.contains("give `--workers` after `compare`"), "{text}");
        assert!(read(&["--set", "gap", "run"]).is_err());
    }
}
