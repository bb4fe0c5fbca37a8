//! What is told on stderr: errors, verdicts, progress; in colours, where they are seen.

use std::error::Error as _;
use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::styling::{AnsiColor, Style};

use super::compare::Comparison;
use super::layout::grouped;
use super::line::Color;
use crate::engine::Mode;
use crate::error::Error;
use crate::job::{Counts, Job, Lost, Report};
use crate::observe::Slowest;

/// Stderr, as this run uses it.
#[derive(Clone, Copy)]
pub(super) struct Teller {
    has_color: bool,
    is_quiet: bool,
}

impl Teller {
    pub(super) fn new(color: Color, is_quiet: bool) -> Self {
        Teller {
            has_color: color.is_on(std::io::stderr().is_terminal()),
            is_quiet,
        }
    }

    fn paint(self, style: Style, text: &str) -> String {
        match self.has_color {
            true => format!("{style}{text}{style:#}"),
            false => text.to_owned(),
        }
    }

    fn red(self, text: &str) -> String {
        self.paint(AnsiColor::Red.on_default().bold(), text)
    }

    fn hint(self, text: impl Display) -> String {
        let hint = self.paint(AnsiColor::Cyan.on_default().bold(), "hint:");
        format!("  {hint} {text}")
    }

    /// Tells what failed, the detail, what caused it, the hint.
    pub(super) fn error(self, error: &Error) {
        let label = self.red("error:");
        let problem = match error {
            Error::BadRecord { port, record } => {
                let word = if record.line == 0 { "in" } else { "at" };
                let told = record.told();
                eprintln!("{label} source `{port}`: bad record {word} {told}");
                if let Some(hint) = &record.hint {
                    eprintln!("{}", self.hint(hint));
                }
                return;
            }
            other => match other.problem() {
                Some(problem) => problem,
                None => return eprintln!("{label} {error}"),
            },
        };
        match error {
            Error::Source { port, .. } => eprintln!("{label} source `{port}`: {}", problem.what()),
            Error::Sink { port, .. } => eprintln!("{label} sink `{port}`: {}", problem.what()),
            _ => eprintln!("{label} {}", problem.what()),
        }
        let detail = problem.detail_text();
        if let Some(detail) = &detail {
            eprintln!("  {detail}");
        }
        let mut cause = problem.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // The detail may be the first cause, or tell it.
            if !detail.as_ref().is_some_and(|detail| detail.contains(&text)) {
                eprintln!("  because: {text}");
            }
            cause = error.source();
        }
        if let Some(hint) = problem.hint_text() {
            eprintln!("{}", self.hint(hint));
        }
    }

    /// Tells what has come of a comparison, as far as the table does not.
    pub(super) fn verdict(self, comparison: &Comparison) -> ExitCode {
        for difference in &comparison.differences {
            let label = self.red("error:");
            eprint!("\n{label} {}\n{difference}", difference.headline());
            eprintln!("{}", self.hint(difference.hint()));
        }
        let label = self.paint(AnsiColor::Yellow.on_default().bold(), "warning:");
        for port in comparison.counted_only() {
            eprintln!("\n{label} the rows of `{port}` were only counted");
            eprintln!("  its sink cannot tell them as text");
            eprintln!("{}", self.hint("bind it as `io::comparable(…)`"));
        }
        match comparison.differences.is_empty() {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        }
    }

    /// Tells which limits of late and bad records were passed; a quiet run was told nothing of them.
    pub(super) fn over_limits(self, report: &Report) {
        let label = self.red("error:");
        for warning in &report.warnings {
            let (Some(limit), stage) = (warning.limit, &warning.stage) else {
                continue;
            };
            let what = match warning.lost {
                Lost::Bad => format!("more than {limit} of the records of `{stage}` are bad"),
                _ => format!("more than {limit} of the records of `{stage}` are late"),
            };
            eprintln!("{label} {what}; the output is written");
            if self.is_quiet {
                eprintln!("  {warning}");
            }
        }
    }

    /// Tells what is good to know, unless told to be quiet.
    pub(super) fn note(self, text: impl Display) {
        if !self.is_quiet {
            eprintln!("{text}");
        }
    }

    /// A line that says what goes on; never where stderr is no terminal.
    pub(super) fn progress(self) -> Progress {
        Progress {
            is_shown: !self.is_quiet && std::io::stderr().is_terminal(),
            is_dirty: false,
        }
    }
}

/// One line on a terminal, replaced again and again.
pub(super) struct Progress {
    pub(super) is_shown: bool,
    is_dirty: bool,
}

impl Progress {
    /// Replaces the line.
    pub(super) fn tell(&mut self, text: &str) {
        if self.is_shown {
            self.is_dirty = true;
            let mut stderr = std::io::stderr().lock();
            // The terminal cuts what is wider than it is: a second line could not be replaced. One
            // that has gone is no reason to fail.
            let line = format!("\r\x1b[2K\x1b[?7l{text}\x1b[?7h");
            let _ = write!(stderr, "{line}").and_then(|()| stderr.flush());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_dirty {
            self.tell("");
        }
    }
}

/// What a job is made of, before it starts.
pub(super) fn makeup_of(job: &Job, mode: Mode) -> String {
    let workers = job.worker_count();
    let plural = if workers == 1 { "" } else { "s" };
    let mut text = format!("{}: {mode}, {workers} worker{plural}", job.name());
    let mut line = |what: &str, port: &str, kind: &str, detail: &str| {
        let line = format!("  {what} {port}  {kind} {detail}");
        text.push('\n');
        text.push_str(line.trim_end());
    };
    for (port, source) in &job.bindings().sources {
        line("source", port, source.info.kind, &source.info.detail);
    }
    for (port, sink) in &job.bindings().sinks {
        let info = sink.info();
        line("sink", port, info.kind, &info.detail);
    }
    if let Ok(graph) = job.explain() {
        for node in graph.nodes.iter().filter(|node| node.port().is_none()) {
            line("stage", &node.id, "", "");
        }
    }
    text
}

/// What a running job has done so far.
#[derive(Default)]
pub(super) struct Status {
    pub(super) counts: Counts,
    /// Of files and the like.
    pub(super) bytes: Option<u64>,
    pub(super) slowest: Option<Slowest>,
    pub(super) elapsed: Duration,
}

/// The same in one line, what is wanted most first.
pub(super) fn progress_of(status: &Status) -> String {
    let Status {
        counts,
        bytes,
        slowest,
        elapsed,
    } = status;
    let read: u64 = counts.read.values().sum();
    let written: u64 = counts.written.values().sum();
    let per_second = read as f64 / elapsed.as_secs_f64().max(1e-9);
    let bytes = bytes.map_or(String::new(), |bytes| format!(", {}", in_bytes(bytes)));
    let watermark = slowest.as_ref().map_or(String::new(), watermark_of);
    format!(
        "{:.0} s  read {}{bytes} ({}/s)  written {}  late {}  bad {}  windows open {}{watermark}",
        elapsed.as_secs_f64(),
        grouped(read),
        grouped(per_second as u64),
        grouped(written),
        grouped(counts.late),
        grouped(counts.bad),
        grouped(counts.open),
    )
}

/// How far event time has come, and who holds it there.
fn watermark_of(slowest: &Slowest) -> String {
    let Slowest {
        time,
        port,
        partition,
        ..
    } = slowest;
    match time {
        Some(time) => format!("  watermark {time} of {port}/{partition}"),
        None => format!("  no watermark yet: nothing of {port}/{partition}"),
    }
}

/// A number of bytes in its unit.
fn in_bytes(bytes: u64) -> String {
    match bytes {
        0..1_024 => format!("{bytes} B"),
        1_024..0x10_0000 => format!("{} KiB", bytes >> 10),
        0x10_0000..0x4000_0000 => format!("{:.1} MiB", bytes as f64 / (1_u64 << 20) as f64),
        _ => format!("{:.2} GiB", bytes as f64 / (1_u64 << 30) as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::EventTime;

    #[test]
    fn progress_fits_one_line() {
        let mut status = Status {
            elapsed: Duration::from_secs(2),
            ..Status::default()
        };
        status.counts.read.insert("clicks".to_owned(), 31_106);
        status.counts.written.insert("sessions".to_owned(), 12);
        status.counts.open = 7;
        assert_eq!(
            progress_of(&status),
            "2 s  read 31,106 (15,553/s)  written 12  late 0  bad 0  windows open 7"
        );
        status.bytes = Some(5 << 19);
        status.slowest = Some(Slowest {
            time: Some(EventTime::secs(86_400)),
            port: "clicks".to_owned(),
            partition: "2.csv".to_owned(),
        });
        assert_eq!(
            progress_of(&status),
            "2 s  read 31,106, 2.5 MiB (15,553/s)  written 12  late 0  bad 0  windows open 7  \
             watermark 1970-01-02T00:00:00Z of clicks/2.csv"
        );
        status.slowest.as_mut().unwrap().time = None;
        assert!(progress_of(&status).ends_with("  no watermark yet: nothing of clicks/2.csv"));
    }
}
