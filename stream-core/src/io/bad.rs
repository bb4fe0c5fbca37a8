//! What becomes of records that cannot be read.

use std::fmt;
use std::sync::Arc;

use super::sink::Sink;
use crate::error::BadRecord;

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
