//! The flags, as clap reads them.

use std::path::PathBuf;
use std::str::FromStr;
#[cfg(feature = "state")]
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, ColorChoice, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use super::bind::{PortPath, Property};
use super::compare::parse_modes;
use crate::engine::{Mode, Wait};
#[cfg(feature = "state")]
use crate::job::Guarantee;
use crate::job::{Share, WORKERS_MAX};
#[cfg(feature = "state")]
use crate::time::span;

#[derive(Parser)]
#[command(
    about = "Runs a streaming pipeline: in batch, in micro-batches or record by record",
    disable_help_subcommand = true,
    after_help = EXIT_CODES,
    mut_args(hide_values),
    mut_subcommands(|command| command.mut_args(hide_values).mut_subcommands(|command| command.mut_args(hide_values))),
)]
pub(super) struct Line {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    #[command(flatten)]
    pub(super) run: RunLine,
}

impl Line {
    /// The settings: those before the command, then those after it.
    pub(super) fn settings(&self) -> impl Iterator<Item = &(String, String)> {
        let after = match &self.command {
            None => None,
            Some(Command::Run(line)) => Some(&line.settings),
            Some(Command::Explain(line)) => Some(&line.settings),
            Some(Command::Compare(line)) => Some(&line.settings),
            Some(Command::Inspect(line)) => Some(&line.settings),
            #[cfg(feature = "state")]
            Some(Command::State { command }) => command.settings(),
            Some(Command::Completions { .. } | Command::Man) => None,
        };
        let before = self.run.settings.set.iter();
        before.chain(after.into_iter().flat_map(|line| &line.set))
    }
}

/// Keeps what the environment says out of the help.
fn hide_values(arg: Arg) -> Arg {
    arg.hide_env_values(true)
}

/// Refuses a flag before a command: only settings may stand there, anything else belongs to `run`.
pub(super) fn refuse_misplaced(
    command: &mut clap::Command,
    matches: &ArgMatches,
) -> Result<(), clap::Error> {
    let Some(subcommand) = matches.subcommand_name() else {
        return Ok(());
    };
    let is_misplaced = |arg: &&Arg| {
        arg.get_id() != "set"
            && matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine)
    };
    let Some(misplaced) = command.get_arguments().find(is_misplaced) else {
        return Ok(());
    };
    let flag = misplaced.get_long().unwrap_or(misplaced.get_id().as_str());
    let text = format!("give `--{flag}` after `{subcommand}`, if it takes that");
    Err(command.error(ErrorKind::ArgumentConflict, text))
}

/// Adds what the pipeline has to the help of the commands that are about it.
pub(super) fn pipeline_in_help(command: clap::Command, pipeline: &str) -> clap::Command {
    let command = command.after_help(format!("{pipeline}\n{EXIT_CODES}"));
    command.mut_subcommands(|sub| match sub.get_name() {
        "completions" | "man" => sub,
        _ => sub.after_help(pipeline.to_owned()),
    })
}

const EXIT_CODES: &str = "\
What a flag does not say, its variable in the environment does, then the file of `--config`, then the
program itself.

Exit codes:
  0    the job has finished, was stopped, or whoever read its output had enough
  1    the job failed, or answers that `compare` held differ
  2    the command line or the file of `--config` is wrong, or does not fit the job
  3    the output is written, but more records were late or bad than `--max-late` or `--max-bad` allow
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
    /// Runs the job, writes to no sink, and prints what passes one output
    ///
    /// Prints the epoch (checkpoint.batch.slice), the lane, the event time and the record.
    Inspect(InspectLine),
    /// Tells what is kept of the job's state, and changes where the next run starts
    #[cfg(feature = "state")]
    State {
        #[command(subcommand)]
        command: StateCommand,
    },
    /// Prints a script that lets a shell complete this command line
    ///
    /// For bash: `source <(JOB completions bash)`.
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Prints this command line as a man page
    Man,
}

/// What can be done with the state of a job.
#[cfg(feature = "state")]
#[derive(Subcommand)]
pub(super) enum StateCommand {
    /// Prints a line for each checkpoint
    ///
    /// What they need is read, and one that is damaged is told with the name of the object.
    List {
        #[command(flatten)]
        place: PlaceLine,
        /// Read the log alone, and not the state
        #[arg(long)]
        quick: bool,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Prints what one checkpoint is made of: stages, inputs, sinks, objects
    Show {
        /// The checkpoint's number; that which the next run starts from, if none is given
        number: Option<u64>,
        #[command(flatten)]
        place: PlaceLine,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Prints what a stage has kept, a line of JSON for each key
    ///
    /// A window or session that is open has its start and end, too.
    Export {
        /// The id of the stage, as `explain` and `state show` tell it
        #[arg(value_name = "ID")]
        stage: String,
        /// The checkpoint's number; that which the next run starts from, if none is given
        #[arg(long, value_name = "N")]
        from: Option<u64>,
        #[command(flatten)]
        place: PlaceLine,
    },
    /// Lets the next run go on from an earlier checkpoint
    ///
    /// What lies behind it is given up once that run has begun, and comes again.
    Rollback {
        /// The checkpoint's number
        number: u64,
        #[command(flatten)]
        place: PlaceLine,
    },
    /// Forgets the state of stages, so that a job without them starts again
    Drop {
        /// The ids of the stages, as `explain` and `state show` tell them
        #[arg(required = true, value_name = "ID")]
        stages: Vec<String>,
        #[command(flatten)]
        place: PlaceLine,
    },
    /// Writes down what the pipeline's stages keep, in a file to stand beside the source
    Lock(LockLine),
    /// Compares the pipeline with that file; the exit code is 1 if state would be lost or misread
    Check(LockLine),
}

#[cfg(feature = "state")]
impl StateCommand {
    fn settings(&self) -> Option<&SettingsLine> {
        match self {
            StateCommand::Lock(line) | StateCommand::Check(line) => Some(&line.settings),
            _ => None,
        }
    }

    pub(super) fn tell(&self) -> &TellLine {
        match self {
            StateCommand::List { place, .. }
            | StateCommand::Show { place, .. }
            | StateCommand::Export { place, .. }
            | StateCommand::Rollback { place, .. }
            | StateCommand::Drop { place, .. } => &place.tell,
            StateCommand::Lock(line) | StateCommand::Check(line) => &line.tell,
        }
    }
}

/// Where the state is that a command is about.
#[cfg(feature = "state")]
#[derive(Args)]
pub(super) struct PlaceLine {
    /// The folder or URL that the job is run with
    #[arg(long, value_name = "PLACE", env = "STREAM_STATE")]
    pub(super) state: Option<String>,
    /// Take the place from a TOML file
    #[arg(long, value_name = "FILE", env = "STREAM_CONFIG")]
    config: Option<PathBuf>,
    #[command(flatten)]
    tell: TellLine,
}

/// Where the file is that says what a pipeline keeps.
#[cfg(feature = "state")]
#[derive(Args)]
pub(super) struct LockLine {
    /// The file
    #[arg(long, value_name = "PATH", default_value = "pipeline.lock")]
    pub(super) file: PathBuf,
    #[command(flatten)]
    tell: TellLine,
    #[command(flatten)]
    settings: SettingsLine,
}

#[derive(Args)]
pub(super) struct RunLine {
    #[command(flatten)]
    pub(super) mode: ModeLine,
    #[command(flatten)]
    pub(super) work: WorkLine,
    #[command(flatten)]
    settings: SettingsLine,
    #[command(flatten)]
    pub(super) tell: TellLine,
    #[command(flatten)]
    pub(super) feed: FeedLine,
    #[command(flatten)]
    pub(super) pace: PaceLine,
    /// Write an output to another path, in the format that it has
    #[arg(long, value_name = "PORT=PATH")]
    pub(super) output: Vec<PortPath>,
    #[command(flatten)]
    pub(super) keep: KeepLine,
    /// What to tell on stderr
    #[arg(
        long,
        value_enum,
        value_name = "LEVEL",
        default_value_t,
        env = "STREAM_LOG"
    )]
    pub(super) log: Level,
    /// On ctrl-c, write what open windows and tables hold as if the input had ended
    #[arg(long, env = "STREAM_DRAIN", value_parser = FalseyValueParser::new())]
    pub(super) drain: bool,
    /// End with exit code 3, after the output is written, if more of an input's records were late
    #[arg(id = "max-late", long, value_name = "SHARE", env = "STREAM_MAX_LATE")]
    pub(super) max_late: Option<Share>,
    /// The same for records that were bad, like 0 or 0.1%
    #[arg(id = "max-bad", long, value_name = "SHARE", env = "STREAM_MAX_BAD")]
    pub(super) max_bad: Option<Share>,
    /// Print every setting with the place that it comes from, as a file for `--config`, and run
    /// nothing
    #[arg(long)]
    pub(super) print_config: bool,
}

#[derive(Args)]
pub(super) struct ModeLine {
    /// batch, micro-batch=100ms, micro-batch=1000records, micro-batch=8MiB, per-record or
    /// per-record=strict; the results are the same
    #[arg(long, default_value = "batch", env = "STREAM_MODE")]
    pub(super) mode: Mode,
}

/// What every command takes.
#[derive(Args)]
pub(super) struct SettingsLine {
    /// Gives a setting of the pipeline its value
    #[arg(long, value_name = "name=value", value_parser = parse_setting)]
    set: Vec<(String, String)>,
}

/// What every command takes that runs the job.
#[derive(Args)]
pub(super) struct WorkLine {
    /// How many threads work
    #[arg(long, env = "STREAM_WORKERS", value_parser = parse_workers)]
    pub(super) workers: Option<usize>,
    /// How a worker waits for work: park frees its core, spin reacts at once
    #[arg(long, value_name = "park|spin", env = "STREAM_WAIT")]
    pub(super) wait: Option<Wait>,
    /// Read at most so many records of each partition, the same ones in every run
    #[arg(long, value_name = "RECORDS", env = "STREAM_LIMIT")]
    pub(super) limit: Option<u64>,
    /// Take settings from a TOML file; its keys are the names of the flags
    #[arg(long, value_name = "FILE", env = "STREAM_CONFIG")]
    pub(super) config: Option<PathBuf>,
}

fn parse_workers(text: &str) -> Result<usize, String> {
    let workers = text.parse().ok();
    let workers = workers.filter(|workers| (1..=WORKERS_MAX).contains(workers));
    workers
        .ok_or_else(|| format!("expected 1 to {WORKERS_MAX}; as many as there are cores is usual"))
}

/// What becomes of the job's state.
#[derive(Args)]
pub(super) struct KeepLine {
    /// Keep the state in a folder or at a URL, and go on from the last checkpoint there
    #[cfg(feature = "state")]
    #[arg(long, value_name = "PLACE", env = "STREAM_STATE")]
    pub(super) state: Option<String>,
    /// Make a checkpoint so often, like 10s; one is made at a stop and at the end without it
    #[cfg(feature = "state")]
    #[arg(id = "checkpoint-interval", long, value_name = "TIME", env = "STREAM_CHECKPOINT_INTERVAL", value_parser = parse_interval)]
    pub(super) checkpoint_interval: Option<Duration>,
    /// When the job fails, start it so often once more from its last checkpoint
    #[cfg(feature = "state")]
    #[arg(long, value_name = "TIMES", env = "STREAM_RESTARTS")]
    pub(super) restarts: Option<u32>,
    /// What the state promises: at-least-once also reads sources that cannot give records again
    #[cfg(feature = "state")]
    #[arg(long, value_name = "exactly-once|at-least-once", env = "STREAM_GUARANTEE", value_parser = parse_guarantee)]
    pub(super) guarantee: Option<Guarantee>,
    /// Go back to an earlier checkpoint; what lies behind it is given up, and comes again
    #[cfg(feature = "state")]
    #[arg(long, value_name = "CHECKPOINT")]
    pub(super) from: Option<u64>,
    /// Forget the state of a stage, by its id; as often as there are such stages
    #[cfg(feature = "state")]
    #[arg(id = "drop-state", long, value_name = "ID")]
    pub(super) drop_state: Vec<String>,
}

#[cfg(feature = "state")]
fn parse_guarantee(text: &str) -> Result<Guarantee, String> {
    let guarantee: Result<Guarantee, _> = text.parse();
    guarantee.map_err(|problem| problem.to_string())
}

#[cfg(feature = "state")]
fn parse_interval(text: &str) -> Result<Duration, String> {
    let micros = span::parse_micros(text).map_err(|error| error.to_string())?;
    Ok(Duration::from_micros(micros.unsigned_abs()))
}

/// Where the records come from.
#[derive(Args)]
pub(super) struct FeedLine {
    /// Read an input from another path, in the format that it has
    #[arg(long, value_name = "PORT=PATH")]
    pub(super) input: Vec<PortPath>,
    /// Set a property of a connector, like kafka.linger.ms=5; `--kafka.linger.ms=5` is the same
    #[arg(long, value_name = "KIND.NAME=VALUE")]
    pub(super) property: Vec<Property>,
}

/// How fast the records come.
#[derive(Args)]
pub(super) struct PaceLine {
    /// Give so many records a second of each input, of one without end at most
    #[arg(long, value_name = "RECORDS", value_parser = above_zero, env = "STREAM_RATE")]
    pub(super) rate: Option<f64>,
    /// Let event time go by so many times as fast, of each bounded input that knows it
    #[arg(
        long,
        value_name = "SPEED",
        value_parser = above_zero,
        conflicts_with = "rate",
        env = "STREAM_REPLAY"
    )]
    pub(super) replay: Option<f64>,
}

/// How the command tells what goes on.
#[derive(Args)]
pub(super) struct TellLine {
    /// Tell nothing on stderr but errors
    #[arg(long, short, env = "STREAM_QUIET", value_parser = FalseyValueParser::new())]
    pub(super) quiet: bool,
    /// When to use colours; auto looks for a terminal and NO_COLOR
    #[arg(
        long,
        value_enum,
        value_name = "WHEN",
        default_value_t,
        env = "STREAM_COLOR"
    )]
    pub(super) color: Color,
}

#[derive(Args)]
pub(super) struct CompareLine {
    /// The modes to compare, with commas between them
    #[arg(
        long,
        default_value = "batch,micro-batch=100ms,per-record",
        env = "STREAM_MODES"
    )]
    pub(super) modes: Modes,
    /// How often each mode runs
    #[arg(long, default_value_t = 3, value_parser = positive, env = "STREAM_RUNS")]
    pub(super) runs: u64,
    /// Plan so many records a second of each input, and tell the latencies; several, with commas
    /// between them, are compared one after the other
    #[arg(
        long,
        value_name = "RECORDS,…",
        default_value = "",
        hide_default_value = true,
        env = "STREAM_RATE"
    )]
    pub(super) rate: Rates,
    /// First keep so many records of each partition in memory, of inputs that give them only once
    /// or have no end
    #[arg(long, value_name = "RECORDS", value_parser = positive, env = "STREAM_SPOOL")]
    pub(super) spool: Option<u64>,
    #[command(flatten)]
    pub(super) feed: FeedLine,
    #[command(flatten)]
    pub(super) work: WorkLine,
    #[command(flatten)]
    settings: SettingsLine,
    #[command(flatten)]
    pub(super) tell: TellLine,
    /// Print one JSON object: every run, with its outputs
    #[arg(long, conflicts_with = "csv")]
    pub(super) json: bool,
    /// Print CSV: a row for each run and output
    #[arg(long)]
    pub(super) csv: bool,
}

#[derive(Args)]
pub(super) struct ExplainLine {
    /// How to print it
    #[arg(long, value_enum, default_value_t = GraphFormat::Text)]
    pub(super) format: GraphFormat,
    #[command(flatten)]
    settings: SettingsLine,
}

#[derive(Args)]
pub(super) struct InspectLine {
    /// The name of the output
    pub(super) port: String,
    /// Print so many records, then stop
    #[arg(long, value_parser = positive)]
    pub(super) rows: Option<u64>,
    /// How to print them
    #[arg(long, value_enum, default_value_t = InspectFormat::Text)]
    pub(super) format: InspectFormat,
    #[command(flatten)]
    pub(super) feed: FeedLine,
    #[command(flatten)]
    pub(super) pace: PaceLine,
    #[command(flatten)]
    pub(super) mode: ModeLine,
    #[command(flatten)]
    pub(super) work: WorkLine,
    #[command(flatten)]
    settings: SettingsLine,
    #[command(flatten)]
    pub(super) tell: TellLine,
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum GraphFormat {
    /// One line a stage
    Text,
    /// A flowchart in the language of Mermaid
    Mermaid,
    /// A graph in the language of Graphviz
    Dot,
    /// A picture for a browser
    Svg,
    /// The description as the program has it
    Json,
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum InspectFormat {
    /// A line a record, with tabs between its parts
    Text,
    /// A JSON object a record; the record itself is text
    Json,
}

/// How much a run tells on stderr.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(super) enum Level {
    /// Errors, and nothing else; as `--quiet`
    Error,
    /// How far the job is, and what it has done in the end
    #[default]
    Info,
    /// Besides, what it is made of: sources, sinks, stages
    Debug,
}

/// When to use colours.
#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    /// On a terminal, unless NO_COLOR is set
    #[default]
    Auto,
    /// Even in a file
    Always,
    /// Not even on a terminal
    Never,
}

impl Color {
    /// Whether there are colours, on a terminal or elsewhere.
    pub(super) fn is_on(self, is_terminal: bool) -> bool {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        match self {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => is_terminal && !is_set("NO_COLOR") && !is_dumb(),
        }
    }

    /// The same for clap, which asks for the terminal itself.
    pub(super) fn choice(self) -> ColorChoice {
        match self {
            Color::Auto => ColorChoice::Auto,
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        }
    }
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

/// The rates of a comparison, in records a second; none for as fast as can be.
#[derive(Clone)]
pub(super) struct Rates(pub(super) Vec<f64>);

impl FromStr for Rates {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut rates = Vec::new();
        for part in text.split(',').filter(|_| !text.is_empty()) {
            let rate = above_zero(part.trim())?;
            if rates.contains(&rate) {
                return Err(format!("`{part}` is there twice"));
            }
            rates.push(rate);
        }
        Ok(Rates(rates))
    }
}

/// A number above 0, for a pace.
pub(super) fn above_zero(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if f64::is_finite(number) && number > 0.0 => Ok(number),
        Ok(_) => Err(format!("`{text}` is no pace: give it a number above 0")),
        Err(_) => Err(format!("`{text}` is no number, like 1000 or 0.5")),
    }
}

fn positive(text: &str) -> Result<u64, String> {
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
    use clap::{CommandFactory, FromArgMatches};

    use super::*;

    fn read(words: &[&str]) -> Result<Line, clap::Error> {
        let mut command = Line::command();
        let words = std::iter::once(&"job").chain(words);
        let matches = command.try_get_matches_from_mut(words)?;
        refuse_misplaced(&mut command, &matches)?;
        Line::from_arg_matches(&matches)
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
        let commands: [&[&str]; 6] = [
            &["run"],
            &["explain"],
            &["compare"],
            &["inspect", "visits"],
            &["state", "lock"],
            &["state", "check"],
        ];
        for command in commands {
            let gap: &[&str] = &["--set", "gap=45m"];
            let top: &[&str] = &["--set", "top=a=b"];
            assert_eq!(settings(&[gap, command].concat()), ["gap=45m"]);
            assert_eq!(settings(&[command, gap].concat()), ["gap=45m"]);
            let both = settings(&[gap, command, top].concat());
            assert_eq!(both, ["gap=45m", "top=a=b"]);
        }
    }

    /// A command, and all that stand in it.
    fn all(command: &clap::Command) -> Vec<&clap::Command> {
        let within = command.get_subcommands().flat_map(all);
        std::iter::once(command).chain(within).collect()
    }

    #[test]
    fn the_help_never_tells_what_the_environment_says() {
        let line = Line::command();
        let commands = all(&line);
        let mut args = commands.into_iter().flat_map(clap::Command::get_arguments);
        assert!(args.all(Arg::is_hide_env_values_set));
    }

    #[test]
    fn the_page_about_the_command_line_covers_every_command_and_flag() {
        let page = include_str!("../../../docs/CLI.md");
        let line = Line::command();
        for command in all(&line) {
            let name = command.get_name();
            let is_told = ["`", "`state "].map(|before| format!("{before}{name}"));
            let is_told = is_told
                .iter()
                .flat_map(|told| ["`", " "].map(|end| format!("{told}{end}")));
            assert!(
                is_told.into_iter().any(|told| page.contains(&told)) || name == "stream-core",
                "{name}"
            );
            for flag in command.get_arguments().filter_map(Arg::get_long) {
                assert!(page.contains(&format!("`--{flag}")), "{name} --{flag}");
            }
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
