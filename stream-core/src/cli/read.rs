//! From the words of a command line to what they ask for.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{ArgMatches, CommandFactory, FromArgMatches};

use super::config::{self, Config, Early};
use super::help;
use super::line::{Command, Level, Line, RunLine, pipeline_in_help, refuse_misplaced};
use super::tell::Teller;
use super::{WRONG_LINE, bind};
use crate::error::Error;
use crate::job::Job;

/// A command line, with what the environment and the file of `--config` add to it.
pub(super) struct Reading {
    pub(super) line: Line,
    /// What clap knows of the flags of the command: where each value comes from.
    matches: ArgMatches,
    config: Option<Config>,
    pub(super) teller: Teller,
}

impl Reading {
    /// Reads the words, of which the first is the program. What is wrong with them, or what they
    /// ask clap for, is printed; the exit code is what is left to do.
    pub(super) fn of(job: &Job, mut words: Vec<OsString>) -> Result<Self, ExitCode> {
        bind::spell_out_properties(&mut words);
        let early = Early::look(&words);
        let pipeline = help::pipeline(job, job.outline());
        let mut command = pipeline_in_help(Line::command(), &pipeline)
            .name(job.name().to_owned())
            .color(early.color.choice());
        let config = early.config.as_deref();
        let config = config.map(|path| Config::read(path, &command)).transpose();
        let config = config.map_err(|problem| {
            Teller::new(early.color, false).error(&Error::Plan(problem));
            ExitCode::from(WRONG_LINE)
        })?;
        if let Some(config) = &config {
            command = config.apply(command);
        }
        let (line, matches) =
            parse(&mut command, &words).map_err(|error| refuse(&error, &words))?;
        let (color, is_quiet) = match &line.command {
            Some(Command::Explain(_) | Command::Completions { .. } | Command::Man) => {
                (early.color, false)
            }
            Some(Command::Compare(line)) => (line.tell.color, line.tell.quiet),
            Some(Command::Inspect(line)) => (line.tell.color, line.tell.quiet),
            #[cfg(feature = "state")]
            Some(Command::State { command }) => (command.tell().color, command.tell().quiet),
            Some(Command::Run(line)) => (line.tell.color, is_quiet(line)),
            None => (line.run.tell.color, is_quiet(&line.run)),
        };
        Ok(Reading {
            line,
            matches,
            config,
            teller: Teller::new(color, is_quiet),
        })
    }

    /// Every setting of a run as a TOML file, with the place that each comes from.
    pub(super) fn print_config(&self, job: &Job) -> String {
        let matches = self.matches.subcommand();
        let matches = matches.map_or(&self.matches, |(_, matches)| matches);
        config::print(matches, self.config.as_ref(), job)
    }
}

/// Whether a run tells nothing but errors.
fn is_quiet(line: &RunLine) -> bool {
    line.tell.quiet || line.log == Level::Error
}

fn parse(
    command: &mut clap::Command,
    words: &[OsString],
) -> Result<(Line, ArgMatches), clap::Error> {
    let matches = command.try_get_matches_from_mut(words)?;
    refuse_misplaced(command, &matches)?;
    let line = Line::from_arg_matches(&matches)?;
    Ok((line, matches))
}

/// Prints what clap has to say: an error, or the help that was asked for.
fn refuse(error: &clap::Error, words: &[OsString]) -> ExitCode {
    let _ = error.print(); // when stderr has gone, nobody reads it anyway
    if let Some(variable) = config::variable_to_blame(error, words) {
        eprintln!("The value is that of {variable} in the environment.");
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(WRONG_LINE))
}
