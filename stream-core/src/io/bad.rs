//! Records that cannot be read, and what becomes of them.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::sink::Sink;

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

impl fmt::Display for BadRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "bad record in {}", self.place)?,
            line => write!(f, "bad record at {}:{line}", self.place)?,
        }
        if let Some(column) = self.column {
            write!(f, ":{column}")?;
        }
        if let Some(field) = &self.field {
            write!(f, ", field `{field}`")?;
        }
        write!(f, ": {}", self.reason)?;
        match &self.hint {
            Some(hint) => write!(f, " (hint: {hint})"),
            None => Ok(()),
        }
    }
}

/// What is done with a record that cannot be read.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum BadRecords {
    /// The job fails, naming the record.
    #[default]
    Fail,
    /// The record is left out, and counted in the report.
    Skip,
    /// The record goes to a sink of its own, and is counted in the report.
    DeadLetter(Arc<dyn Sink<BadRecord>>),
}

impl fmt::Debug for BadRecords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadRecords::Fail => f.write_str("Fail"),
            BadRecords::Skip => f.write_str("Skip"),
            BadRecords::DeadLetter(sink) => write!(f, "DeadLetter({})", sink.info().kind),
        }
    }
}
