//! The command line of a job: `run`, `explain`, `compare`, `inspect`, `state`, and what shells and
//! manuals want of it.
//!
//! What is computed goes to stdout, everything that is told about it to stderr. Exit codes: 0 when
//! the job has finished, was stopped, or an output was closed by its reader; 1 when it failed, or
//! answers that were compared differ; 2 when the command line is wrong, or does not fit the job; 3 when
//! more records were late or bad than may be, though the output is written; 130 when it was interrupted
//! twice.

mod bind;
mod compare;
mod config;
mod explain;
mod help;
mod inspect;
mod layout;
mod line;
mod read;
mod shell;
mod signals;
#[cfg(feature = "state")]
mod state;
mod svg;
mod tell;

use std::io::Write;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

use self::compare::Race;
use self::inspect::Inspection;
use self::line::{
    Command, CompareLine, ExplainLine, GraphFormat, InspectLine, Level, RunLine, WorkLine,
};
use self::read::Reading;
use self::signals::Ignored;
use self::tell::Teller;
use crate::error::{Error, Problem};
#[cfg(feature = "state")]
use crate::job::Restarts;
use crate::job::{Handle, Job, Outcome, Report, Stop};

/// The exit code of a wrong command line.
const WRONG_LINE: u8 = 2;
/// The exit code after a second interrupt.
const INTERRUPTED_TWICE: i32 = 130;
/// The exit code where more records were late or bad than may be.
const OVER_LIMITS: u8 = 3;
/// How often the progress line is renewed.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);
/// A job that is through sooner shows no progress.
const PROGRESS_AFTER: Duration = Duration::from_secs(1);

/// Why a command was not carried out.
enum Failure {
    /// It names what the job does not have, or gives it what it cannot take.
    Line(Error),
    /// The job has failed.
    Job(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Job(error)
    }
}

impl Job {
    /// Does what the program's command line says, and tells how it went on stderr.
    ///
    /// Ctrl-c stops the job cleanly; a second one ends the program at once.
    ///
    /// The exit code is 0 when the job has finished, was stopped, or whoever read its output had
    /// enough; 1 when it failed, or answers that were compared differ; 2 when the command line or
    /// the file of `--config` is wrong, or names a setting, a port or a number of workers that the job
    /// cannot have; 3 when the output is written, but more records were late or
    /// bad than [`max_late`](Job::max_late) and [`max_bad`](Job::max_bad) allow. An interrupt after
    /// the first ends the program with 130.
    pub fn main(self) -> ExitCode {
        let arguments = std::env::args_os().collect();
        match Reading::of(&self, arguments) {
            Ok(reading) => {
                let teller = reading.teller;
                self.obey(reading).unwrap_or_else(|failure| {
                    let (error, code) = match failure {
                        Failure::Line(error) => (error, ExitCode::from(WRONG_LINE)),
                        Failure::Job(error) => (error, ExitCode::FAILURE),
                    };
                    teller.error(&error);
                    code
                })
            }
            Err(code) => code,
        }
    }

    fn obey(self, reading: Reading) -> Result<ExitCode, Failure> {
        for (name, text) in reading.line.settings() {
            self.set_by_text(name, text).map_err(Failure::Line)?;
        }
        let teller = reading.teller;
        match &reading.line.command {
            Some(Command::Explain(line)) => self.explain_line(line, teller),
            Some(Command::Compare(line)) => self.compare_line(line, teller),
            Some(Command::Inspect(line)) => self.inspect_line(line, teller),
            Some(Command::Run(line)) => self.run_line(line, &reading),
            #[cfg(feature = "state")]
            Some(Command::State { command }) => self.state_line(command, teller),
            Some(Command::Completions { shell: of }) => print(&shell::completions(*of)),
            Some(Command::Man) => print(&shell::man_page(self.name())?),
            None => self.run_line(&reading.line.run, &reading),
        }
    }

    fn run_line(self, line: &RunLine, reading: &Reading) -> Result<ExitCode, Failure> {
        if line.print_config {
            return print(&reading.print_config(&self));
        }
        let teller = reading.teller;
        let mut job = self.with_work(&line.work);
        if let Some(share) = line.max_late {
            job = job.max_late(share);
        }
        if let Some(share) = line.max_bad {
            job = job.max_bad(share);
        }
        bind::feed(&mut job, &line.feed.input).map_err(Failure::Line)?;
        bind::direct(&mut job, &line.output).map_err(Failure::Line)?;
        bind::set(&mut job, &line.feed.property).map_err(Failure::Line)?;
        bind::pace(&mut job, &line.pace).map_err(Failure::Line)?;
        #[cfg(feature = "state")]
        {
            job = job.with_state(&line.keep)?;
        }
        if line.log == Level::Debug {
            teller.note(tell::makeup_of(&job, line.mode.mode));
        }
        let ignored = Ignored::find();
        let handle = job.start(line.mode.mode)?;
        stop_on_interrupt(&handle, line.drain, teller, ignored);
        if let Some(from) = handle.started_from() {
            teller.note(format!("the job {from}"));
        }
        handle.caveats().iter().for_each(|told| teller.note(told));
        let report = watch(handle, teller)?;
        teller.note(&report);
        Ok(match report.is_within_limits() {
            true => ExitCode::SUCCESS,
            false => {
                teller.over_limits(&report);
                ExitCode::from(OVER_LIMITS)
            }
        })
    }

    fn explain_line(&self, line: &ExplainLine, teller: Teller) -> Result<ExitCode, Failure> {
        let graph = match (self.explain(), self.outline(), line.format) {
            (Err(error), Some(outline), GraphFormat::Text) => {
                teller.note(format!("{error}"));
                return print(&help::outline(outline));
            }
            (graph, ..) => graph?,
        };
        print(&match line.format {
            GraphFormat::Text => explain::text(&graph),
            GraphFormat::Mermaid => graph.mermaid(),
            GraphFormat::Dot => explain::dot(&graph),
            GraphFormat::Svg => svg::svg(&graph),
            GraphFormat::Json => explain::json(&graph)?,
        })
    }

    fn compare_line(self, line: &CompareLine, teller: Teller) -> Result<ExitCode, Failure> {
        let race = Race {
            modes: line.modes.0.clone(),
            runs: line.runs,
            rates: line.rate.0.clone(),
        };
        let mut job = self.with_work(&line.work);
        bind::feed(&mut job, &line.feed.input).map_err(Failure::Line)?;
        bind::set(&mut job, &line.feed.property).map_err(Failure::Line)?;
        let mut progress = teller.progress();
        if let Some(records) = line.spool {
            progress.tell("keeping the records of inputs that give them only once");
            bind::spool(&mut job, records).map_err(Failure::Line)?;
        }
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

    fn inspect_line(self, line: &InspectLine, teller: Teller) -> Result<ExitCode, Failure> {
        let spec = self.explain()?;
        let inspection = Inspection::new(&spec, &line.port, line.format, line.rows);
        let inspection =
            Arc::new(inspection.map_err(|problem| Failure::Line(Error::Plan(problem)))?);
        let mut job = self.with_work(&line.work);
        bind::feed(&mut job, &line.feed.input).map_err(Failure::Line)?;
        bind::set(&mut job, &line.feed.property).map_err(Failure::Line)?;
        bind::pace(&mut job, &line.pace).map_err(Failure::Line)?;
        let job = job.tapped(inspection)?;
        let ignored = Ignored::find();
        let handle = job.start(line.mode.mode)?;
        stop_on_interrupt(&handle, false, teller, ignored);
        let report = handle.wait()?;
        if report.outcome != Outcome::OutputClosed {
            teller.note(report);
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The job with its state where the command line says.
    #[cfg(feature = "state")]
    fn with_state(mut self, line: &line::KeepLine) -> Result<Self, Failure> {
        let wrong = |problem| Failure::Line(Error::Plan(problem));
        if let Some(url) = &line.state {
            let store = crate::state::StateStore::at(url).map_err(Failure::Line)?;
            store
                .allows(line.from, &line.drop_state)
                .map_err(Error::State)?
                .map_err(wrong)?;
            self = self.state(store);
        }
        if let Some(interval) = line.checkpoint_interval {
            self = self.checkpoint_interval(interval);
        }
        if let Some(restarts) = line.restarts {
            self = self.restarts(Restarts::attempts(restarts));
        }
        if let Some(guarantee) = line.guarantee {
            self = self.guarantee(guarantee);
        }
        if let Some(number) = line.from {
            self = self.from_checkpoint(number);
        }
        for stage in &line.drop_state {
            self = self.drop_state(stage);
        }
        let needs_state = line.checkpoint_interval.is_some() || line.restarts.is_some();
        if needs_state || line.from.is_some() || !line.drop_state.is_empty() {
            self.check_state().map_err(wrong)?;
        }
        Ok(self)
    }

    /// The job with the settings that every command which runs it takes.
    fn with_work(mut self, line: &WorkLine) -> Self {
        if let Some(workers) = line.workers {
            self = self.workers(workers);
        }
        if let Some(wait) = line.wait {
            self = self.idle(wait);
        }
        if let Some(limit) = line.limit {
            self = self.limit(limit);
        }
        self
    }
}

/// Waits for the end, and tells on a terminal how far the job is. Not where its rows are printed on
/// the same terminal.
fn watch(mut handle: Handle, teller: Teller) -> Result<Report, Error> {
    let mut progress = teller.progress();
    progress.is_shown &= !std::io::IsTerminal::is_terminal(&std::io::stdout());
    let started = Instant::now();
    while progress.is_shown && !handle.is_finished() {
        std::thread::sleep(PROGRESS_EVERY);
        if started.elapsed() >= PROGRESS_AFTER {
            progress.tell(&tell::progress_of(&tell::Status {
                counts: handle.counts(),
                bytes: handle.bytes_read(),
                slowest: handle.slowest(),
                elapsed: started.elapsed(),
            }));
        }
    }
    drop(progress);
    handle.wait_and(&|error| {
        teller.note(format!(
            "the job has failed, and is started once more: {error}"
        ));
    })
}

/// Prints the result of a command. That nobody reads it is no failure.
fn print(text: &str) -> Result<ExitCode, Failure> {
    print_part(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// Prints a part of the result, and tells whether anybody reads it.
fn print_part(text: &[u8]) -> Result<bool, Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::Job(Error::Engine(
            Problem::new("cannot write to stdout").because(error),
        ))),
    }
}

/// The job that an interrupt stops, and whether it drains it: the last one that was started.
static INTERRUPTIBLE: Mutex<Option<(Stop, bool)>> = Mutex::new(None);

/// Lets ctrl-c, and the signal that asks a process to terminate, stop the job.
fn stop_on_interrupt(handle: &Handle, drain: bool, teller: Teller, ignored: Ignored) {
    static HANDLER: Once = Once::new();
    *interruptible() = Some((handle.stopper(), drain));
    HANDLER.call_once(|| {
        let handler = move || on_interrupt(teller);
        // A program that has a handler of its own keeps it. One that was told to ignore signals has
        // none, and they cannot come.
        let is_set = match ignored.is_any() {
            true => ctrlc::set_handler(handler),
            false => ctrlc::try_set_handler(handler),
        };
        if is_set.is_err() {
            teller.note("ctrl-c is handled by the program, not by the job");
        }
    });
}

/// Stops the job; where that has been asked for already, ends the program.
fn on_interrupt(teller: Teller) {
    let Some((stop, drain)) = interruptible().take() else {
        std::process::exit(INTERRUPTED_TWICE);
    };
    teller.note("stopping; once more ends the program at once");
    if drain { stop.drain() } else { stop.stop() }
}

fn interruptible() -> MutexGuard<'static, Option<(Stop, bool)>> {
    INTERRUPTIBLE.lock().unwrap_or_else(PoisonError::into_inner)
}
