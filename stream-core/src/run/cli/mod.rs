//! The command line of a job: `run`, `explain`, `compare`.
//!
//! What is computed goes to stdout, everything that is told about it to stderr. Exit codes: 0 when
//! the job has finished, was stopped, or an output was closed by its reader; 1 when it failed, or
//! answers that were compared differ; 2 when the command line is wrong; 130 when it was interrupted
//! twice.

mod compare;
mod layout;
mod line;
mod tell;

use std::io::Write;
use std::process::ExitCode;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use self::compare::Race;
use self::line::{Command, CompareLine, Format, Line, RunLine, WorkLine};
use super::{Handle, Job, Stop};
use crate::error::{Error, Problem};

impl Job {
    /// Does what the program's command line says, and tells how it went on stderr.
    ///
    /// Ctrl-c stops the job cleanly; a second one ends the program at once.
    pub fn main(self) -> ExitCode {
        let line = Line::read(self.name());
        let set = |(name, text): &(String, String)| self.set_by_text(name, text);
        let done = line.settings().try_for_each(set);
        let done = done.and_then(|()| match line.command {
            Some(Command::Explain(explain)) => self.print_graph(explain.format),
            Some(Command::Compare(compare)) => self.compare_line(&compare),
            Some(Command::Run(run)) => self.run_line(&run),
            None => self.run_line(&line.run),
        });
        done.unwrap_or_else(|error| {
            tell::error(&error);
            ExitCode::FAILURE
        })
    }

    fn print_graph(&self, format: Format) -> Result<ExitCode, Error> {
        let graph = self.explain()?;
        print(&match format {
            Format::Text => graph.to_string(),
            Format::Mermaid => graph.mermaid(),
        })
    }

    fn compare_line(self, line: &CompareLine) -> Result<ExitCode, Error> {
        let race = Race {
            modes: line.modes.0.clone(),
            runs: line.runs,
        };
        let mut job = self.with_work(&line.work);
        let mut progress = tell::Progress::new();
        let comparison = race.run(&mut job, &mut |text| progress.tell(text))?;
        drop(progress);
        let text = match (line.json, line.csv) {
            (true, _) => comparison.json()? + "\n",
            (false, true) => comparison.csv()?,
            (false, false) => comparison.to_string(),
        };
        print(&text)?;
        Ok(tell::verdict(&comparison))
    }

    fn run_line(self, line: &RunLine) -> Result<ExitCode, Error> {
        let handle = self.with_work(&line.work).start(line.mode)?;
        stop_on_interrupt(&handle, line.drain);
        let report = handle.wait()?;
        eprintln!("{report}");
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

/// The job that an interrupt stops, and whether it drains it: the last one that was started.
static INTERRUPTIBLE: Mutex<Option<(Stop, bool)>> = Mutex::new(None);

/// Lets ctrl-c, and the signal that asks a process to terminate, stop the job.
fn stop_on_interrupt(handle: &Handle, drain: bool) {
    static HANDLER: Once = Once::new();
    *interruptible() = Some((handle.stopper(), drain));
    HANDLER.call_once(|| {
        // A program that has a handler of its own keeps it.
        if ctrlc::try_set_handler(on_interrupt).is_err() {
            eprintln!("ctrl-c is handled by the program, not by the job");
        }
    });
}

/// Stops the job; where that has been asked for already, ends the program.
fn on_interrupt() {
    let Some((stop, drain)) = interruptible().take() else {
        std::process::exit(130);
    };
    eprintln!("stopping; once more ends the program at once");
    if drain { stop.drain() } else { stop.stop() }
}

fn interruptible() -> MutexGuard<'static, Option<(Stop, bool)>> {
    INTERRUPTIBLE.lock().unwrap_or_else(PoisonError::into_inner)
}
