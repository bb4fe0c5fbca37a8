//! What can go wrong, told in three parts: what failed, the detail, the hint.
//!
//! Everything that comes from outside (files, settings, a user's closure, a peer that hangs up)
//! ends in an [`Error`]. The library's own invariants are assertions instead.

use std::error::Error as StdError;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The error that ends a job, by the operation that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The job is put together wrongly; nothing has run.
    #[error("{0}")]
    Plan(Problem),
    /// A source could not be opened or read.
    #[error("source `{port}`: {problem}")]
    Source {
        /// The input port that the source is bound to.
        port: String,
        /// What failed.
        problem: Problem,
    },
    /// A sink could not be opened, written or committed.
    #[error("sink `{port}`: {problem}")]
    Sink {
        /// The output port that the sink is bound to.
        port: String,
        /// What failed.
        problem: Problem,
    },
    /// The state that a job keeps could not be read or written.
    #[error("state: {0}")]
    State(Problem),
    /// Another run of the job has taken over its state.
    #[error("state: {0}")]
    TakenOver(Problem),
    /// A record could not be read, and the source's policy is to fail.
    #[error("source `{port}`: {record}")]
    BadRecord {
        /// The input port that the source is bound to.
        port: String,
        /// The record, its place and what was expected.
        record: Box<BadRecord>,
    },
    /// A closure of the pipeline panicked, or a source or a sink.
    #[error("operator `{operator}` panicked at {place}: {message}")]
    Panic {
        /// The id of the stage whose closure panicked; of the input or output for a source or sink.
        operator: String,
        /// The panic's message.
        message: String,
        /// File, line and column of the panic; not known where the program has set a panic hook
        /// of its own since its first job.
        place: String,
    },
    /// The engine could not start or lost a worker.
    #[error("{0}")]
    Engine(Problem),
}

impl Error {
    /// Whether it may go well when the job is started once more.
    pub(crate) fn may_pass(&self) -> bool {
        !matches!(
            self,
            Error::Plan(_) | Error::TakenOver(_) | Error::BadRecord { .. }
        )
    }

    /// Makes errors of the problems of a port's source.
    pub(crate) fn in_source(port: &str) -> impl Fn(Problem) -> Error {
        let port = port.to_owned();
        move |problem| Error::Source {
            port: port.clone(),
            problem,
        }
    }

    /// Makes errors of the problems of a port's sink.
    pub(crate) fn in_sink(port: &str) -> impl Fn(Problem) -> Error {
        let port = port.to_owned();
        move |problem| Error::Sink {
            port: port.clone(),
            problem,
        }
    }

    /// Gives the problem's three parts, where this error has them.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Error::Plan(problem) | Error::Engine(problem) => Some(problem),
            Error::State(problem) | Error::TakenOver(problem) => Some(problem),
            Error::Source { problem, .. } | Error::Sink { problem, .. } => Some(problem),
            Error::BadRecord { .. } | Error::Panic { .. } => None,
        }
    }
}

/// What failed, the detail, the hint: the body of every error of this crate, and what an
/// implementation of [`Source`](crate::io::Source) or [`Sink`](crate::io::Sink) returns.
///
/// A part is added by the method that has its name, and read by the one that ends in `_text`.
///
/// ```
/// use stream_core::Problem;
///
/// let problem = Problem::new("cannot open `clicks.csv`")
///     .detail("no such file")
///     .hint("the path is relative to the folder that the job was started in");
/// assert_eq!(
///     problem.to_string(),
///     "cannot open `clicks.csv`: no such file \
///      (hint: the path is relative to the folder that the job was started in)",
/// );
/// ```
pub struct Problem(Box<Parts>);

#[derive(Debug)]
struct Parts {
    what: String,
    detail: Option<String>,
    hint: Option<String>,
    cause: Option<Box<dyn StdError + Send + Sync>>,
    closed: bool,
}

impl Problem {
    /// Makes a problem that says what failed.
    pub fn new(what: impl Into<String>) -> Self {
        let what = what.into();
        Problem(Box::new(Parts {
            what,
            detail: None,
            hint: None,
            cause: None,
            closed: false,
        }))
    }

    /// Makes a problem that says: who was to read the output has closed it.
    ///
    /// A job that meets it stops cleanly, as `job | head` expects.
    pub fn closed(what: impl Into<String>) -> Self {
        let mut problem = Problem::new(what);
        problem.0.closed = true;
        problem
    }

    /// Adds the detail: what was found where something else was expected.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// Adds the hint: what the reader can do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds the error that caused this one; it becomes the detail where there is none yet.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// Says behind which stage it is.
    pub(crate) fn behind(mut self, stage: &str) -> Self {
        self.0.what.push_str(&format!(", behind `{stage}`"));
        self
    }

    /// What failed, without detail and hint.
    pub fn what(&self) -> &str {
        &self.0.what
    }

    /// The detail, or else the text of the cause.
    pub fn detail_text(&self) -> Option<String> {
        let cause = || self.0.cause.as_ref().map(ToString::to_string);
        self.0.detail.clone().or_else(cause)
    }

    /// The hint.
    pub fn hint_text(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// Tells whether the reader of an output has closed it.
    pub fn is_closed(&self) -> bool {
        self.0.closed
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.what)?;
        if let Some(detail) = self.detail_text() {
            write!(f, ": {detail}")?;
        }
        match &self.0.hint {
            Some(hint) => write!(f, " (hint: {hint})"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for Problem {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0
            .cause
            .as_ref()
            .map(|cause| &**cause as &(dyn StdError + 'static))
    }
}

/// A record that could not be read: where it stands, what was expected, what to do.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BadRecord {
    /// The file, topic or other place that it comes from.
    pub place: String,
    /// Its line, or its number where there are no lines; the first is 1, and 0 says that it is
    /// not known.
    pub line: u64,
    /// The column, where one is to blame; the first is 1.
    pub column: Option<u64>,
    /// The name of the field, where one is to blame.
    pub field: Option<String>,
    /// What is wrong, and what was expected.
    pub reason: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The record as it stands there, cut at 1,000 characters.
    pub text: String,
    /// The record in full, in a form that its source alone knows; empty where it keeps none. For
    /// dead letters of the same kind, and never serialized.
    #[serde(skip)]
    pub raw: Vec<u8>,
}

/// How much of a record that cannot be read is shown, in characters.
const TEXT_CHARS_MAX: usize = 1_000;

impl BadRecord {
    /// Makes the [`text`](BadRecord::text) of a record from its bytes.
    ///
    /// ```
    /// use stream_core::io::BadRecord;
    ///
    /// assert_eq!(BadRecord::excerpt(b"caf\xE9\r\n"), "caf\u{FFFD}");
    /// ```
    pub fn excerpt(bytes: &[u8]) -> String {
        let bytes = &bytes[..bytes.len().min(TEXT_CHARS_MAX * 4)];
        String::from_utf8_lossy(bytes)
            .trim_end()
            .chars()
            .take(TEXT_CHARS_MAX)
            .collect()
    }
}

impl BadRecord {
    /// Where it stands and what is wrong with it, without the hint.
    pub(crate) fn told(&self) -> String {
        let mut text = self.place.clone();
        if self.line > 0 {
            text += &format!(":{}", self.line);
        }
        if let Some(column) = self.column {
            text += &format!(":{column}");
        }
        if let Some(field) = &self.field {
            text += &format!(", field `{field}`");
        }
        format!("{text}: {}", self.reason)
    }
}

impl fmt::Display for BadRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.line == 0 { "in" } else { "at" };
        write!(f, "bad record {word} {}", self.told())?;
        match &self.hint {
            Some(hint) => write!(f, " (hint: {hint})"),
            None => Ok(()),
        }
    }
}
