//! The contract of a sink.
//!
//! ```text
//! recover ──► open(slot) ──► write, flush, … ──► prepare(1) ──► write, … ──► prepare(2) ──► …   workers
//!  once, of a                                       │ all slots, then all that is staged
//!  job that goes on                                 └──────► commit(1) ──────────► commit(2) ──► …   no worker
//! any failure of a job that keeps no state ──► abort, once, in place of commit
//! ```
//!
//! What is written counts once [`Sink::commit`] has been called for a checkpoint behind it; a job that
//! keeps no state has one, its end. A sink whose readers see records before that (stdout, a channel)
//! says so by [`SinkInfo::atomic`]; one that can hide them (files under hidden names) does.
//!
//! A sink gives each record exactly once, through crashes too, if it is atomic and
//! * [`Writer::prepare`] brings records to where they survive a crash of the process, unseen;
//! * [`Sink::commit`] for a checkpoint changes nothing when it has been done before;
//! * [`Sink::recover`] completes the commit of the checkpoint that it is given, and removes what was
//!   prepared or written behind it; where the job [goes back](Commit::goes_back), what was committed
//!   behind it as well, or says why it cannot.
//!
//! [`LogSink`](super::LogSink) is the smallest complete example, and
//! [`contract::sink_recovers`](crate::testing::contract::sink_recovers) the test.

use std::fmt;
use std::sync::Arc;

use super::canonical::Canonical;
use super::place::Place;
use super::reading::Reading;
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
///     fn open(&self, _: Slot) -> Result<Box<dyn Writer<u64>>, Problem> {
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

    /// Brings what is there to where a checkpoint left it, for a job that goes on from that: completes
    /// its commit, and removes what stands behind it. Called once a job, before any writer is opened,
    /// with what the writers had staged; without a checkpoint by a job that keeps state and had none.
    ///
    /// # Errors
    /// When what was committed is not there any more, with what to do about it.
    fn recover(&self, _last: Option<&Commit>) -> Result<(), Problem> {
        Ok(())
    }

    /// Opens the writer of one of the slots, on a worker.
    ///
    /// # Errors
    /// When nothing can be written there, with what to do about it.
    fn open(&self, slot: Slot) -> Result<Box<dyn Writer<T>>, Problem>;

    /// Names the place that is this sink's alone, where there is such a place: a file, a folder that
    /// it fills, stdout. Asked when a job starts, before anything is opened.
    ///
    /// A job is refused when the places of two of its sinks [overlap](Place::overlaps), or when one
    /// overlaps with what a source of the job [reads](super::Source::reads). A sink around another
    /// one has the other's place.
    fn exclusive(&self) -> Option<Place> {
        None
    }

    /// Makes what was prepared for a checkpoint final. Called once a checkpoint, in their order, when
    /// every writer has prepared it and what that staged is done; on a thread that is no worker.
    ///
    /// The sinks of a job are committed one by one, in the order of their ports.
    ///
    /// # Errors
    /// When that fails; the job fails with it. This sink is then left to itself, for it alone knows
    /// how far it came; sinks that are committed stay so, and the others are aborted.
    fn commit(&self, _commit: &Commit) -> Result<(), Problem> {
        Ok(())
    }

    /// Removes what was written and not committed, as far as the sink can. Called once, in place of
    /// [`commit`](Sink::commit), after every writer has been dropped. A job that cannot be started
    /// calls neither, and one that keeps state only commits: what it leaves is looked through when the
    /// next run [recovers](Sink::recover) the sink.
    fn abort(&self) {}

    /// What the sink measures of itself, for those who look at the job while it runs, and for its report.
    /// Called on any thread, and not to wait. A sink around another one tells what the other does.
    fn readings(&self) -> Vec<Reading> {
        Vec::new()
    }

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

/// One of the writers of a sink: each worker has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Its number, from 0.
    pub index: usize,
    /// How many there are.
    pub count: usize,
}

impl Slot {
    /// One of so many.
    pub fn new(index: usize, count: usize) -> Self {
        Slot { index, count }
    }
}

/// What is committed at a checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Commit {
    /// The checkpoint's number. They increase, from one run of a job to the next one too; no number is
    /// given twice.
    pub checkpoint: u64,
    /// By slot: what the writers have staged.
    pub staged: Vec<Vec<u8>>,
    /// Whether nothing more is written in this run.
    pub is_last: bool,
    /// Whether the job goes back to it from a later one, which was committed too; told when a sink is
    /// [recovered](Sink::recover).
    pub goes_back: bool,
}

impl Commit {
    /// That of a checkpoint, in the middle of a run.
    pub fn new(checkpoint: u64, staged: Vec<Vec<u8>>) -> Self {
        Commit {
            checkpoint,
            staged,
            is_last: false,
            goes_back: false,
        }
    }

    /// The same at the end of a run.
    #[must_use]
    pub fn last(mut self) -> Self {
        self.is_last = true;
        self
    }

    /// The same for a job that goes back to it.
    #[must_use]
    pub fn going_back(mut self) -> Self {
        self.goes_back = true;
        self
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

    /// How the job stands now.
    pub fn wish(&self) -> Wish {
        (self.0)()
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Watch({:?})", self.wish())
    }
}

/// Writes the records of one slot.
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

    /// How many bytes the writer keeps in memory, and will until the checkpoint that covers them is
    /// complete. Where the writers of a job keep much, a checkpoint is made before its time, and until it
    /// is complete nothing more is read.
    fn held(&self) -> u64 {
        0
    }

    /// Brings what was written since the last checkpoint to where nothing but
    /// [`Sink::commit`] is missing. What is written afterwards belongs to the next one. A writer that
    /// writes nothing more is dropped after its last call.
    ///
    /// What takes time, such as waiting for a disk, belongs into what is [staged](Staged::by), for
    /// meanwhile nothing else is done on the worker.
    ///
    /// # Errors
    /// As [`write`](Writer::write).
    fn prepare(&mut self, _checkpoint: u64) -> Result<Staged, Problem> {
        self.flush()?;
        Ok(Staged::nothing())
    }
}

/// What a writer has prepared for a checkpoint: bytes for [`Commit::staged`], which are kept with the
/// checkpoint, and perhaps something that is still to be done before.
///
/// ```
/// use stream_core::io::Staged;
///
/// let staged = Staged::by(|| Ok("part-0-7.csv".into())); // and waits for the disk
/// assert_eq!(staged.finish()?, b"part-0-7.csv");
/// assert_eq!(Staged::nothing().finish()?, b"");
/// # Ok::<(), stream_core::Problem>(())
/// ```
pub struct Staged(Box<dyn FnOnce() -> Result<Vec<u8>, Problem> + Send>);

impl Staged {
    /// Nothing that a commit would need.
    pub fn nothing() -> Self {
        Staged::bytes(Vec::new())
    }

    /// What a commit needs, with nothing left to be done.
    pub fn bytes(bytes: Vec<u8>) -> Self {
        Staged::by(|| Ok(bytes))
    }

    /// Work that is done on a thread that is no worker, and gives what a commit needs.
    pub fn by(work: impl FnOnce() -> Result<Vec<u8>, Problem> + Send + 'static) -> Self {
        Staged(Box::new(work))
    }

    /// Does what is still to be done.
    ///
    /// # Errors
    /// When that fails: then the checkpoint fails, and the job with it.
    pub fn finish(self) -> Result<Vec<u8>, Problem> {
        (self.0)()
    }
}

impl fmt::Debug for Staged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Staged")
    }
}

/// A sink that is shared is a sink.
impl<T: 'static, S: Sink<T> + ?Sized> Sink<T> for Arc<S> {
    fn info(&self) -> SinkInfo {
        (**self).info()
    }

    fn recover(&self, last: Option<&Commit>) -> Result<(), Problem> {
        (**self).recover(last)
    }

    fn open(&self, slot: Slot) -> Result<Box<dyn Writer<T>>, Problem> {
        (**self).open(slot)
    }

    fn readings(&self) -> Vec<Reading> {
        (**self).readings()
    }

    fn exclusive(&self) -> Option<Place> {
        (**self).exclusive()
    }

    fn commit(&self, commit: &Commit) -> Result<(), Problem> {
        (**self).commit(commit)
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
