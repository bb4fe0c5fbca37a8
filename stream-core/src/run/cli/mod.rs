//! The command line of a job: `run`, `explain`, `compare`, `inspect`.
//!
//! What is computed goes to stdout, everything that is told about it to stderr. Exit codes: 0 when
//! the job has finished, was stopped, or an output was closed by its reader; 1 when it failed, or
//! answers that were compared differ; 2 when the command line is wrong; 130 when it was interrupted
//! twice.

mod compare;
mod config;
mod explain;
mod inspect;
mod layout;
mod line;
mod tell;

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use clap::{ArgMatches, CommandFactory, FromArgMatches};

use self::compare::Race;
use self::config::{Config, Early};
use self::inspect::Inspection;
use self::line::{
    Command, CompareLine, ExplainLine, GraphFormat, InspectLine, Line, RunLine, WorkLine,
};
use self::tell::Teller;
use super::{Handle, Job, Outcome, Report, Stop};
use crate::error::{Error, Problem};

/// The exit code of a wrong command line.
const WRONG_LINE: u8 = 2;
/// How often the progress line is renewed.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);
/// A job that is through sooner shows no progress.
const PROGRESS_AFTER: Duration = Duration::from_secs(1);

impl Job {
    /// Does what the program's command line says, and tells how it went on stderr.
    ///
    /// Ctrl-c stops the job cleanly; a second one ends the program at once.
    pub fn main(self) -> ExitCode {
        let arguments: Vec<OsString> = std::env::args_os().collect();
        let early = Early::look(&arguments);
        let mut command = Line::command()
            .name(self.name().to_owned())
            .color(early.color.choice());
        let config = early.config.map(|path| Config::read(&path, &command));
        let config = match config.transpose() {
            Ok(config) => config,
            Err(problem) => {
                Teller::new(early.color, false).error(&Error::Plan(problem));
                return ExitCode::from(WRONG_LINE);
            }
        };
        if let Some(config) = &config {
            command = config.apply(command);
        }
        let matches = match command.try_get_matches_from(&arguments) {
            Ok(matches) => matches,
            Err(error) => {
                let blamed = config::variable_to_blame(&error, &arguments);
                let _ = error.print(); // when stderr has gone, nobody reads it anyway
                if let Some(variable) = blamed {
                    eprintln!("The value is that of {variable} in the environment.");
                }
                return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(WRONG_LINE));
            }
        };
        let line = Line::from_arg_matches(&matches).unwrap_or_else(|e| e.exit());
        let matches = matches
            .subcommand()
            .map_or(&matches, |(_, matches)| matches);
        let (color, is_quiet) = match &line.command {
            Some(Command::Run(RunLine { tell, .. }))
            | Some(Command::Compare(CompareLine { tell, .. }))
            | Some(Command::Inspect(InspectLine { tell, .. })) => (tell.color, tell.quiet),
            Some(Command::Explain(_) | Command::Completions { .. } | Command::Man) => {
                (early.color, false)
            }
            None => (line.run.tell.color, line.run.tell.quiet),
        };
        let teller = Teller::new(color, is_quiet);
        let done = match line.command {
            Some(Command::Explain(explain)) => self.explain_line(&explain),
            Some(Command::Compare(compare)) => self.compare_line(&compare, teller),
            Some(Command::Inspect(inspect)) => self.inspect_line(&inspect, teller),
            Some(Command::Run(run)) => self.run_line(&run, matches, config.as_ref(), teller),
            Some(Command::Completions { shell }) => print(&completions(shell)),
            Some(Command::Man) => self.man_page(),
            None => self.run_line(&line.run, matches, config.as_ref(), teller),
        };
        done.unwrap_or_else(|error| {
            teller.error(&error);
            ExitCode::FAILURE
        })
    }

    fn run_line(
        self,
        line: &RunLine,
        matches: &ArgMatches,
        config: Option<&Config>,
        teller: Teller,
    ) -> Result<ExitCode, Error> {
        if line.print_config {
            return print(&config::print(matches, config, &self));
        }
        let handle = self.with_work(&line.work).start(line.mode.mode)?;
        stop_on_interrupt(&handle, line.drain, teller);
        let report = watch(handle, teller)?;
        teller.note(report);
        Ok(ExitCode::SUCCESS)
    }

    fn man_page(&self) -> Result<ExitCode, Error> {
        let command = Line::command().name(self.name().to_owned());
        let mut page = Vec::new();
        let made = clap_mangen::Man::new(command).render(&mut page);
        made.map_err(|error| {
            Error::Engine(Problem::new("the man page cannot be printed").because(error))
        })?;
        print(&String::from_utf8_lossy(&page))
    }

    fn explain_line(&self, line: &ExplainLine) -> Result<ExitCode, Error> {
        let graph = self.explain()?;
        print(&match line.format {
            GraphFormat::Text => explain::text(&graph),
            GraphFormat::Mermaid => graph.mermaid(),
            GraphFormat::Dot => explain::dot(&graph),
            GraphFormat::Json => explain::json(&graph)?,
        })
    }

    fn compare_line(self, line: &CompareLine, teller: Teller) -> Result<ExitCode, Error> {
        let race = Race {
            modes: line.modes.0.clone(),
            runs: line.runs,
        };
        let mut job = self.with_work(&line.work);
        let mut progress = teller.progress();
        let comparison = race.run(&mut job, &mut |text| progress.tell(text))?;
        drop(progress);
        let text = match (line.json, line.csv) {
            (true, _) => comparison.json()? + "\n",
            (false, true) => comparison.csv()?,
            (false, false) => comparison.to_string(),
        };
        print(&text)?;
        Ok(teller.verdict(&comparison))
    }

    fn inspect_line(self, line: &InspectLine, teller: Teller) -> Result<ExitCode, Error> {
        let spec = self.explain()?;
        let inspection = Inspection::new(&spec, &line.port, line.format, line.rows);
        let inspection = Arc::new(inspection.map_err(Error::Plan)?);
        let job = self.with_work(&line.work).tapped(inspection)?;
        let handle = job.start(line.mode.mode)?;
        stop_on_interrupt(&handle, false, teller);
        let report = handle.wait()?;
        if report.outcome != Outcome::OutputClosed {
            teller.note(report);
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The job with the settings that every command which runs it takes.
    fn with_work(mut self, line: &WorkLine) -> Self {
        if let Some(workers) = line.workers {
            self = self.workers(workers);
        }
        if let Some(wait) = line.wait {
            self = self.wait(wait);
        }
        if let Some(limit) = line.limit {
            self = self.limit(limit);
        }
        self
    }
}

/// The script for a shell. It completes the program by the name that its file has.
fn completions(shell: clap_complete::Shell) -> String {
    let program = std::env::args_os().next().map(PathBuf::from);
    let name = program.as_deref().and_then(Path::file_name);
    let name = name.map_or("job".into(), |name| name.to_string_lossy());
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Line::command(), name.into_owned(), &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// Waits for the end, and tells on a terminal how far the job is. Not where its rows are printed on
/// the same terminal.
fn watch(handle: Handle, teller: Teller) -> Result<Report, Error> {
    let mut progress = teller.progress();
    progress.is_shown &= !std::io::IsTerminal::is_terminal(&std::io::stdout());
    let started = Instant::now();
    while progress.is_shown && !handle.is_finished() {
        std::thread::sleep(PROGRESS_EVERY);
        if started.elapsed() >= PROGRESS_AFTER {
            progress.tell(&tell::progress_of(&handle.counts(), started.elapsed()));
        }
    }
    drop(progress);
    handle.wait()
}

/// Prints the result of a command. That nobody reads it is no failure.
fn print(text: &str) -> Result<ExitCode, Error> {
    let mut stdout = std::io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Error::Engine(
            Problem::new("cannot write to stdout").because(error),
        )),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Lets ctrl-c, and the signal that asks a process to terminate, stop the job.
fn stop_on_interrupt(handle: &Handle, drain: bool, teller: Teller) {
    static STOP: OnceLock<(Stop, bool)> = OnceLock::new();
    let is_first = STOP.set((handle.stopper(), drain)).is_ok();
    let interrupted = std::sync::atomic::AtomicBool::new(false);
    let on_interrupt = move || match STOP.get() {
        Some((stop, drain)) if !interrupted.swap(true, std::sync::atomic::Ordering::SeqCst) => {
            teller.note("stopping; once more ends the program at once");
            if *drain { stop.drain() } else { stop.stop() }
        }
        _ => std::process::exit(130),
    };
    // A program that has a handler of its own keeps it.
    if is_first && ctrlc::try_set_handler(on_interrupt).is_err() {
        teller.note("ctrl-c is handled by the program, not by the job");
    }
}
