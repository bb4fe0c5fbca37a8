//! Settings from a file, and where each setting comes from.
//!
//! Flags stand before variables of the environment, those before the file, and the file before what
//! the program says. The file's values become clap's defaults: so they pass the same checks, and
//! clap itself keeps the order.

use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use clap::{ArgMatches, Command};
use toml::{Table, Value};

use super::line::Color;
use crate::engine::Wait;
use crate::error::Problem;
use crate::job::Job;

/// The settings that a file may have, each with a command that takes it.
const SETTINGS: &[(&str, &str)] = &[
    ("mode", "run"),
    ("workers", "run"),
    ("wait", "run"),
    ("limit", "run"),
    ("rate", "run"),
    ("replay", "run"),
    #[cfg(feature = "state")]
    ("state", "run"),
    #[cfg(feature = "state")]
    ("checkpoint-interval", "run"),
    #[cfg(feature = "state")]
    ("restarts", "run"),
    #[cfg(feature = "state")]
    ("guarantee", "run"),
    ("log", "run"),
    ("drain", "run"),
    ("max-late", "run"),
    ("max-bad", "run"),
    ("quiet", "run"),
    ("color", "run"),
    ("modes", "compare"),
    ("runs", "compare"),
    ("spool", "compare"),
];

/// What has to be known before the command line can be read.
pub(super) struct Early {
    pub(super) color: Color,
    pub(super) config: Option<PathBuf>,
}

impl Early {
    /// Looks for `--color` and `--config`, then for their variables. What is wrong with them, clap
    /// will say.
    pub(super) fn look(arguments: &[OsString]) -> Self {
        let value = |flag: &str, variable: &str| {
            let with_equals = format!("{flag}=");
            let mut arguments = arguments.iter().skip(1);
            let mut found = None;
            while let Some(argument) = arguments.next() {
                if argument == flag {
                    found = arguments.next().cloned();
                } else if let Some(value) = argument
                    .to_str()
                    .and_then(|text| text.strip_prefix(&with_equals))
                {
                    found = Some(value.into());
                }
            }
            found.or_else(|| std::env::var_os(variable))
        };
        let color = value("--color", "STREAM_COLOR");
        let color = color.as_deref().and_then(OsStr::to_str);
        Early {
            color: match color {
                Some("always") => Color::Always,
                Some("never") => Color::Never,
                _ => Color::Auto,
            },
            config: value("--config", "STREAM_CONFIG").map(PathBuf::from),
        }
    }
}

/// The settings of a file.
pub(super) struct Config {
    path: PathBuf,
    /// As the command line would write them.
    values: Vec<(&'static str, String)>,
}

impl Config {
    /// Reads a file and checks every value in it.
    ///
    /// # Errors
    /// When it cannot be read, is no TOML, or has a setting that there is not.
    pub(super) fn read(path: &Path, command: &Command) -> Result<Self, Problem> {
        let name = path.display();
        let text = std::fs::read_to_string(path).map_err(|error| {
            Problem::new(format!("cannot read the settings in `{name}`"))
                .because(error)
                .hint("the path is relative to the folder that the job was started in")
        })?;
        let table: Table = text.parse().map_err(|error: toml::de::Error| {
            Problem::new(format!("`{name}` is no TOML")).detail(indented(&error.to_string()))
        })?;
        let mut values = Vec::new();
        for (key, value) in &table {
            let Some((setting, taker)) = SETTINGS.iter().find(|(setting, _)| *setting == key)
            else {
                return Err(unknown(&name.to_string(), key));
            };
            let what = || Problem::new(format!("`{key}` in `{name}` cannot be {value}"));
            let value = as_argument(setting, value).ok_or_else(|| {
                what().hint(match is_switch(setting) {
                    true => "write `true` or `false`".to_owned(),
                    false => format!("write it as after `--{key}`, in quotes if it is text"),
                })
            })?;
            check(command, taker, setting, &value).map_err(|reason| what().detail(reason))?;
            values.push((*setting, value));
        }
        Ok(Config {
            path: path.to_owned(),
            values,
        })
    }

    /// The command with the file's values as defaults.
    pub(super) fn apply(&self, command: Command) -> Command {
        let command = self.apply_here(command);
        let within = |sub: Command| sub.mut_subcommands(|sub| self.apply_here(sub));
        command.mut_subcommands(|sub| within(self.apply_here(sub)))
    }

    fn apply_here(&self, mut command: Command) -> Command {
        for (setting, value) in &self.values {
            if command.get_arguments().any(|arg| arg.get_id() == setting) {
                command = command.mut_arg(setting, |arg| arg.default_value(value.clone()));
            }
        }
        command
    }

    fn has(&self, setting: &str) -> bool {
        self.values.iter().any(|(name, _)| *name == setting)
    }
}

fn unknown(file: &str, key: &str) -> Problem {
    let names: Vec<_> = SETTINGS
        .iter()
        .map(|(name, _)| format!("`{name}`"))
        .collect();
    Problem::new(format!("there is no setting `{key}`, which `{file}` has"))
        .hint(format!("the settings are {}", names.join(", ")))
}

/// A text of several lines, to stand below a first one.
fn indented(text: &str) -> String {
    text.trim_end().replace('\n', "\n  ")
}

/// Whether a setting is on or off, and no more.
fn is_switch(setting: &str) -> bool {
    ["drain", "quiet"].contains(&setting)
}

/// The value as it stands behind the flag.
fn as_argument(setting: &str, value: &Value) -> Option<String> {
    match value {
        Value::Boolean(is_on) if is_switch(setting) => Some(is_on.to_string()),
        _ if is_switch(setting) => None,
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Array(parts) if setting == "modes" => {
            let parts: Option<Vec<_>> = parts.iter().map(Value::as_str).collect();
            parts.map(|parts| parts.join(","))
        }
        _ => None,
    }
}

/// Lets clap check a value, and gives its reason against it.
fn check(command: &Command, taker: &str, setting: &str, value: &str) -> Result<(), String> {
    let Some(taker) = command.find_subcommand(taker) else {
        return Ok(());
    };
    if is_switch(setting) {
        return Ok(()); // they are booleans, and were read as such
    }
    let alone = taker.clone().mut_args(|arg| arg.env(Resettable::Reset));
    let arguments = ["job".to_owned(), format!("--{setting}={value}")];
    alone
        .try_get_matches_from(arguments)
        .map(drop)
        .map_err(|error| {
            let text = error.to_string();
            let lines = text.lines().take_while(|line| !line.is_empty());
            let text: Vec<_> = lines.map(str::trim).collect();
            let text = text.join(" ");
            // `error: invalid value 'x' for '--mode <MODE>': the reason`
            match text.split_once("': ") {
                Some((_, reason)) => reason.to_owned(),
                None => text.trim_start_matches("error: ").to_owned(),
            }
        })
}

/// Names the variable of the environment that a flag's wrong value comes from, if it is one.
pub(super) fn variable_to_blame(error: &clap::Error, arguments: &[OsString]) -> Option<String> {
    let Some(ContextValue::String(flag)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    let flag = flag.split_whitespace().next()?;
    let is_given = arguments
        .iter()
        .any(|argument| argument.to_string_lossy().split('=').next() == Some(flag));
    let variable = variable_of(flag.strip_prefix("--")?);
    (!is_given && std::env::var_os(&variable).is_some()).then_some(variable)
}

/// The variable of the environment for a flag.
fn variable_of(setting: &str) -> String {
    format!("STREAM_{}", setting.to_uppercase().replace('-', "_"))
}

/// Every setting of a run as a TOML file, with the place that each comes from.
pub(super) fn print(matches: &ArgMatches, config: Option<&Config>, job: &Job) -> String {
    let mut text = String::new();
    for &(setting, taker) in SETTINGS {
        if taker != "run" {
            continue;
        }
        let origin = origin(matches, config, setting);
        let value = value(matches, setting).or_else(|| value_of_job(job, setting));
        let _ = match value {
            Some(value) => writeln!(text, "{:32} # {origin}", format!("{setting} = {value}")),
            None => writeln!(text, "{:32} # not set", format!("# {setting}")),
        };
    }
    text
}

fn origin(matches: &ArgMatches, config: Option<&Config>, setting: &str) -> String {
    match (matches.value_source(setting), config) {
        (Some(ValueSource::CommandLine), _) => format!("--{setting}"),
        (Some(ValueSource::EnvVariable), _) => variable_of(setting),
        (Some(_), Some(config)) if config.has(setting) => config.path.display().to_string(),
        (Some(_), _) => "default".to_owned(),
        (None, _) => "the program".to_owned(),
    }
}

/// The value as TOML, if the command line, the environment or the file has one.
fn value(matches: &ArgMatches, setting: &str) -> Option<String> {
    if is_switch(setting) {
        return Some(matches.get_flag(setting).to_string());
    }
    let raw = matches
        .get_raw(setting)?
        .next_back()?
        .to_string_lossy()
        .into_owned();
    Some(match setting {
        "workers" | "limit" | "rate" | "replay" | "restarts" => raw,
        _ => Value::String(raw).to_string(),
    })
}

/// The value that the program has set, or the library.
fn value_of_job(job: &Job, setting: &str) -> Option<String> {
    match setting {
        "workers" => Some(job.worker_count().to_string()),
        "wait" => Some(match job.way_to_wait() {
            Wait::Park => "\"park\"".to_owned(),
            Wait::Spin => "\"spin\"".to_owned(),
        }),
        "limit" => job.records_limit().map(|limit| limit.to_string()),
        "max-late" => job.shares()[0].map(|share| format!("\"{share}\"")),
        "max-bad" => job.shares()[1].map(|share| format!("\"{share}\"")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::super::line::Line;
    use super::*;
    use crate::io;

    fn read(text: &str) -> Result<Config, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("job.toml");
        std::fs::write(&path, text).unwrap();
        let told = |problem: Problem| {
            let folder = format!("{}/", folder.path().display());
            problem.to_string().replace(&folder, "")
        };
        Config::read(&path, &Line::command()).map_err(told)
    }

    fn job() -> Job {
        Job::new("settings", |graph| {
            graph.output("numbers", graph.input::<u64>("numbers"));
        })
        .source("numbers", io::vec(vec![1]))
        .sink::<u64>("numbers", io::discard())
        .workers(3)
    }

    #[test]
    fn flags_stand_before_the_file_and_the_file_before_the_program() {
        let text = "mode = \"per-record\"\nlimit = 7\ndrain = true\nmodes = [\"batch\"]";
        let config = read(text).unwrap();
        let command = config.apply(Line::command().mut_args(|arg| arg.env(Resettable::Reset)));
        let matches = command.get_matches_from(["job", "--limit", "5"]);
        let told = print(&matches, Some(&config), &job());
        let path = config.path.display();
        assert_eq!(
            told,
            format!(
                "\
mode = \"per-record\"              # {path}
workers = 3                      # the program
wait = \"park\"                    # the program
limit = 5                        # --limit
# rate                           # not set
# replay                         # not set
# state                          # not set
# checkpoint-interval            # not set
# restarts                       # not set
# guarantee                      # not set
log = \"info\"                     # default
drain = true                     # {path}
# max-late                       # not set
# max-bad                        # not set
quiet = false                    # default
color = \"auto\"                   # default
"
            )
        );
    }

    #[test]
    fn what_is_wrong_in_a_file_is_told_with_its_key() {
        let cases = [
            (
                "mod = 1",
                "there is no setting `mod`, which `job.toml` has (hint: the settings are `mode`, ",
            ),
            (
                "mode = \"fast\"",
                "`mode` in `job.toml` cannot be \"fast\": `fast` is no mode: the name is not known",
            ),
            (
                "runs = 0",
                "`runs` in `job.toml` cannot be 0: give it 1 or more",
            ),
            (
                "drain = 1",
                "`drain` in `job.toml` cannot be 1 (hint: write `true` or `false`)",
            ),
            (
                "mode = ",
                "`job.toml` is no TOML: TOML parse error at line 1",
            ),
        ];
        for (text, start) in cases {
            let told = read(text).err().unwrap();
            assert!(told.starts_with(start), "{text}: {told}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_told() {
        let problem = Config::read(Path::new("no/such.toml"), &Line::command());
        let told = problem.err().unwrap().to_string();
        assert!(
            told.starts_with("cannot read the settings in `no/such.toml`: "),
            "{told}"
        );
    }
}
