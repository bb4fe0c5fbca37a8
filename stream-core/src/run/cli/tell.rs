//! What is told on stderr: errors, verdicts, progress.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use super::compare::Comparison;
use crate::error::Error;

/// Tells what failed, the detail, the hint.
pub(super) fn error(error: &Error) {
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

/// Tells what has come of a comparison, as far as the table does not.
pub(super) fn verdict(comparison: &Comparison) -> ExitCode {
    for difference in &comparison.differences {
        eprint!("\nerror: {}\n{difference}", difference.headline());
    }
    for port in comparison.counted_only() {
        eprintln!(
            "\nwarning: the rows of `{port}` were only counted\n  \
             its sink cannot tell them as text\n  \
             hint: bind it as `io::comparable(…)`"
        );
    }
    match comparison.differences.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// One line on a terminal that says what goes on; nothing where stderr is none.
pub(super) struct Progress {
    is_shown: bool,
}

impl Progress {
    pub(super) fn new() -> Self {
        Progress {
            is_shown: std::io::stderr().is_terminal(),
        }
    }

    /// Replaces the line.
    pub(super) fn tell(&mut self, text: &str) {
        if self.is_shown {
            let mut stderr = std::io::stderr().lock();
            // A terminal that has gone is no reason to fail.
            let _ = write!(stderr, "\r\x1b[2K{text}").and_then(|()| stderr.flush());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.tell("");
    }
}
