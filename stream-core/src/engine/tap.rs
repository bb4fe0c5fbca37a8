//! Taps: what reads along at the output ports of a job, in place of all its sinks.
//!
//! A tap sees every record as text, with what the engine knows of it. It serves commands that ask
//! about a pipeline rather than run it for its results; so a job with a tap opens, commits and
//! aborts no sink.

#![cfg_attr(
    not(feature = "cli"),
    allow(dead_code, reason = "only commands have taps")
)]

use super::lane::Lane;
use crate::error::Problem;
use crate::time::EventTime;

/// Something that reads along.
pub(crate) trait Tap: Send + Sync {
    /// Opens what reads along at a port on one worker.
    fn open(&self, port: &str, told: Told) -> Box<dyn TapWriter>;
}

/// Reads along at one port on one worker.
pub(crate) trait TapWriter {
    /// Takes one record.
    ///
    /// # Errors
    /// As those of a sink: they end the job.
    fn take(&mut self, row: &Row<'_>) -> Result<(), Problem>;

    /// Hands on what is buffered. Called when there is nothing more for now.
    fn flush(&mut self) -> Result<(), Problem> {
        Ok(())
    }

    /// The last call.
    fn close(&mut self) -> Result<(), Problem> {
        self.flush()
    }
}

/// One record, as a tap sees it.
#[allow(
    dead_code,
    reason = "`compare` reads only the texts; where a record is from is for taps that show it"
)]
pub(crate) struct Row<'a> {
    /// The epoch that it came in.
    pub(crate) epoch: u64,
    /// The lane that it belongs to.
    pub(crate) lane: Lane,
    /// Its event time, where it has one.
    pub(crate) event_time: Option<EventTime>,
    /// Its text, where there is any; see [`Told`].
    pub(crate) text: &'a str,
    /// The text of its key, of a change.
    pub(crate) key: &'a str,
    /// Whether the key is gone, of a change.
    pub(crate) is_gone: bool,
}

/// What a tap is told of the records at a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// That they are there; nothing can tell them as text.
    Nothing,
    /// Their text.
    Rows,
    /// Their text, their key, and whether it is gone.
    Changes,
}
