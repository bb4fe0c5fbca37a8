//! The contract of a sink.
//!
//! ```text
//! open(worker) ──► write, flush, write, … ──► close ──┐   on every worker
//!                                                      ├──► commit, once, when all have closed
//!                           any failure ──► drop ──────┴──► abort, once, otherwise
//! ```
//!
//! What is written counts only after [`Sink::commit`]. A sink whose readers see records before
//! that (stdout, a channel) says so by [`SinkInfo::atomic`]; one that can hide them (a file under a
//! temporary name) does.

use std::fmt;
use std::sync::Arc;

use super::canonical::Canonical;
use super::place::Place;
use super::revise::{Revised, Revision};
use crate::error::Problem;

/// What a sink says of itself.
#[derive(Clone, Debug)]
pub struct SinkInfo {
    /// The kind, in one word: `csv`, `stdout`, `collect`.
    pub kind: &'static str,
    /// What exactly, for people: the path, the topic.
    pub detail: String,
    /// Whether nothing is seen before the commit.
    pub atomic: bool,
}

/// Something that records of type `T` can be written to.
///
/// # Examples
/// A sink that adds up what it is given.
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
/// use std::sync::Arc;
/// use stream_core::Problem;
/// use stream_core::io::*;
///
/// #[derive(Clone, Default)]
/// struct Sum(Arc<AtomicU64>);
/// struct Adder(Arc<AtomicU64>);
///
/// impl Sink<u64> for Sum {
///     fn info(&self) -> SinkInfo {
///         SinkInfo { kind: "sum", detail: String::new(), atomic: false }
///     }
///     fn open(&self, _: usize, _: usize) -> Result<Box<dyn Writer<u64>>, Problem> {
///         Ok(Box::new(Adder(self.0.clone())))
///     }
/// }
///
/// impl Writer<u64> for Adder {
///     fn write(&mut self, records: &mut Vec<u64>) -> Result<(), Problem> {
///         self.0.fetch_add(records.drain(..).sum(), Relaxed);
///         Ok(())
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no sink of `{T}`",
    label = "the output is written as rows of type `{T}`",
    note = "a stream is written as its records, a table as `Entry<key, value>`, changes as \
            `Change<key, value>`",
    note = "files are written by `files::to_csv` and `files::to_json_lines`; `files::csv` and \
            `files::json_lines` read them"
)]
pub trait Sink<T>: Send + Sync + 'static {
    /// Says what this sink is.
    fn info(&self) -> SinkInfo;

    /// Opens the writer of one of `workers` workers.
    ///
    /// # Errors
    /// When nothing can be written there, with what to do about it.
    fn open(&self, worker: usize, workers: usize) -> Result<Box<dyn Writer<T>>, Problem>;

    /// Names the place that is this sink's alone, where there is such a place: a file, a folder that
    /// it fills, stdout. Asked when a job starts, before anything is opened.
    ///
    /// A job is refused when the places of two of its sinks [overlap](Place::overlaps), or when one
    /// overlaps with what a source of the job [reads](super::Source::reads). A sink around another
    /// one has the other's place.
    fn exclusive(&self) -> Option<Place> {
        None
    }

    /// Makes everything that was written final. Called once, after every writer has closed.
    ///
    /// The sinks of a job are committed one by one, in the order of their ports.
    ///
    /// # Errors
    /// When that fails; the job fails with it. This sink is then left to itself, for it alone knows
    /// how far it came; sinks that are committed stay so, and the others are aborted.
    fn commit(&self) -> Result<(), Problem> {
        Ok(())
    }

    /// Removes what was written, as far as the sink can. Called once, in place of `commit`, after
    /// every writer has been closed or dropped. A job that cannot be started calls neither.
    fn abort(&self) {}

    /// How a record is told as text when runs are compared row by row, if this sink can tell.
    ///
    /// A sink that asks for `T: Serialize` returns `Some(io::canonical)`. Of one that returns
    /// nothing a comparison only counts the records; [`comparable`](super::comparable) around it
    /// adds the text.
    fn canonical(&self) -> Option<Canonical<T>> {
        None
    }

    /// This sink in another form, where it has that form; what the flags of a command line ask for.
    /// A sink around another one asks the other, and stands around the answer.
    fn revised(&self, _revision: &Revision) -> Revised<dyn Sink<T>> {
        None
    }
}

/// What is wished of a job's end, for a writer that waits for its reader.
#[doc(hidden)]
#[derive(Clone)]
pub struct Watch(Arc<dyn Fn() -> Wish + Send + Sync>);

/// What a [`Watch`] tells.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// The job goes on.
    GoOn,
    /// It is to stop when what was read is written.
    Stop,
    /// It has failed: nothing that is written will count.
    Abandon,
}

impl Watch {
    pub(crate) fn new(wish: impl Fn() -> Wish + Send + Sync + 'static) -> Self {
        Watch(Arc::new(wish))
    }

    pub(crate) fn wish(&self) -> Wish {
        (self.0)()
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Watch({:?})", self.wish())
    }
}

/// Writes the records of one worker.
pub trait Writer<T> {
    /// Gives the writer what tells how the job stands. Called once, before anything else, by jobs.
    #[doc(hidden)]
    fn watch(&mut self, _job: Watch) {}

    /// Takes all records out of the vector. The vector's allocation stays with the caller.
    ///
    /// # Errors
    /// When the records cannot be written; [`Problem::closed`] when the reader has gone, which
    /// ends the job cleanly.
    fn write(&mut self, records: &mut Vec<T>) -> Result<(), Problem>;

    /// Hands on what is buffered. Called when the worker has nothing more to write for now.
    ///
    /// # Errors
    /// As [`write`](Writer::write).
    fn flush(&mut self) -> Result<(), Problem> {
        Ok(())
    }

    /// Brings everything to where [`Sink::commit`] can make it final. The last call.
    ///
    /// # Errors
    /// As [`write`](Writer::write).
    fn close(&mut self) -> Result<(), Problem> {
        self.flush()
    }
}

/// A sink that is shared is a sink.
impl<T: 'static, S: Sink<T> + ?Sized> Sink<T> for Arc<S> {
    fn info(&self) -> SinkInfo {
        (**self).info()
    }

    fn open(&self, worker: usize, workers: usize) -> Result<Box<dyn Writer<T>>, Problem> {
        (**self).open(worker, workers)
    }

    fn exclusive(&self) -> Option<Place> {
        (**self).exclusive()
    }

    fn commit(&self) -> Result<(), Problem> {
        (**self).commit()
    }

    fn abort(&self) {
        (**self).abort();
    }

    fn canonical(&self) -> Option<Canonical<T>> {
        (**self).canonical()
    }

    fn revised(&self, revision: &Revision) -> Revised<dyn Sink<T>> {
        (**self).revised(revision)
    }
}
