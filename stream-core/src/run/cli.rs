//! The command line of a job: `run` and `explain`.
//!
//! Exit codes: 0 when the job has finished, was stopped, or an output was closed by its reader;
//! 1 when it failed; 2 when the command line is wrong.

use std::process::ExitCode;
use std::sync::OnceLock;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use super::{Handle, Job, Mode, Stop, Wait};
use crate::error::Error;

#[derive(Parser)]
#[command(
    about = "Runs a streaming pipeline: in batch, in micro-batches or record by record",
    args_conflicts_with_subcommands = true
)]
struct Line {
    /// Gives a setting of the pipeline its value
    #[arg(long, value_name = "name=value", value_parser = parse_setting, global = true)]
    set: Vec<(String, String)>,
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunLine,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the job; the same as no command at all
    Run(RunLine),
    /// Prints the pipeline's graph and runs nothing
    Explain {
        /// How to print it
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
}

#[derive(Args, Default)]
struct RunLine {
    /// batch, micro-batch=100ms, micro-batch=1000records, micro-batch=8MiB, per-record or
    /// per-record=strict; the results are the same
    #[arg(long, default_value = "batch")]
    mode: Mode,
    /// How many threads work
    #[arg(long)]
    workers: Option<usize>,
    /// How a worker waits for work: park frees its core, spin reacts at once
    #[arg(long, value_name = "park|spin")]
    wait: Option<Wait>,
    /// On ctrl-c, write what open windows and tables hold as if the input had ended
    #[arg(long)]
    drain: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// One line a stage
    Text,
    /// A flowchart in the language of Mermaid
    Mermaid,
}

impl Job {
    /// Does what the program's command line says, and tells how it went on stderr.
    ///
    /// Ctrl-c stops the job cleanly; a second one ends the program at once.
    pub fn main(self) -> ExitCode {
        let command = Line::command().name(self.name().to_owned());
        let line = Line::from_arg_matches(&command.get_matches()).unwrap_or_else(|e| e.exit());
        let set = |(name, text): &(String, String)| self.set_by_text(name, text);
        let done = line.set.iter().try_for_each(set);
        let done = done.and_then(|()| match line.command {
            Some(Command::Explain { format }) => self.print_graph(format),
            Some(Command::Run(run)) => self.run_line(&run),
            None => self.run_line(&line.run),
        });
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                print_error(&error);
                ExitCode::FAILURE
            }
        }
    }

    fn print_graph(&self, format: Format) -> Result<(), Error> {
        let graph = self.explain()?;
        match format {
            Format::Text => print!("{graph}"),
            Format::Mermaid => print!("{}", graph.mermaid()),
        }
        Ok(())
    }

    fn run_line(mut self, line: &RunLine) -> Result<(), Error> {
        if let Some(workers) = line.workers {
            self = self.workers(workers);
        }
        if let Some(wait) = line.wait {
            self = self.wait(wait);
        }
        let handle = self.start(line.mode)?;
        stop_on_interrupt(&handle, line.drain);
        let report = handle.wait()?;
        eprintln!("{report}");
        Ok(())
    }
}

/// Reads `name=value`.
fn parse_setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or("expected name=value, like gap=45m")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Lets ctrl-c, and the signal that asks a process to terminate, stop the job.
fn stop_on_interrupt(handle: &Handle, drain: bool) {
    static STOP: OnceLock<(Stop, bool)> = OnceLock::new();
    let is_first = STOP.set((handle.stopper(), drain)).is_ok();
    let interrupted = std::sync::atomic::AtomicBool::new(false);
    let on_interrupt = move || match STOP.get() {
        Some((stop, drain)) if !interrupted.swap(true, std::sync::atomic::Ordering::SeqCst) => {
            eprintln!("stopping; once more ends the program at once");
            if *drain { stop.drain() } else { stop.stop() }
        }
        _ => std::process::exit(130),
    };
    // A program that has a handler of its own keeps it.
    if is_first && ctrlc::try_set_handler(on_interrupt).is_err() {
        eprintln!("ctrl-c is handled by the program, not by the job");
    }
}

fn print_error(error: &Error) {
    let Some(problem) = error.problem() else {
        return eprintln!("error: {error}");
    };
    match error {
        Error::Source { port, .. } => eprintln!("error: source `{port}`: {}", problem.what()),
        Error::Sink { port, .. } => eprintln!("error: sink `{port}`: {}", problem.what()),
        _ => eprintln!("error: {}", problem.what()),
    }
    if let Some(detail) = problem.detail_text() {
        eprintln!("  {detail}");
    }
    if let Some(hint) = problem.hint_text() {
        eprintln!("  hint: {hint}");
    }
}
