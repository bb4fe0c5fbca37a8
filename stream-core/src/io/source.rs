//! The contract of a source.
//!
//! ```text
//! partitions() ──► open(partition, from) ──► read ──► read ──► … ──► Ended
//!   once a job       on the worker that        │
//!                    owns the partition        └─ Waiting: nothing now; the waker will be called
//! ```
//!
//! * The partitions are found before any worker starts, and by a [`Discovery`] while they run. Their
//!   number never depends on the number of workers.
//! * A reader works on its worker's thread and never waits: what must wait does so on a thread of
//!   its own and calls the [`Waker`] when there is something to read.
//! * The records of a partition come in the same order from every reader that starts at the same
//!   position, unless the source says that it is not [repeatable](SourceInfo::repeatable).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::bad::BadRecords;
use super::place::Place;
use super::reading::Reading;
use super::revise::{Revised, Revision};
use crate::codec;
use crate::error::BadRecord;
use crate::error::Problem;
use crate::time::Clock;

/// Whether a source ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Boundedness {
    /// It ends by itself, and what it holds is fixed: files, a vector.
    Bounded,
    /// It ends when somebody closes it: a channel.
    UntilClosed,
    /// It never ends.
    Unbounded,
}

/// A place in a partition: of the record that is read next. What it is made of is the source's own
/// affair: a number, a file and an offset in it.
///
/// ```
/// use stream_core::io::Position;
///
/// let position = Position::of(&("clicks.csv", 1_234_u64))?;
/// assert_eq!(position.read::<(String, u64)>()?, ("clicks.csv".to_owned(), 1_234));
/// assert_eq!(Position::START.read::<(String, u64)>()?, (String::new(), 0));
/// # Ok::<(), stream_core::Problem>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Position(Vec<u8>);

impl Position {
    /// Before the first record.
    pub const START: Position = Position(Vec::new());

    /// Makes a position of what the source knows it by.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn of(place: &(impl Serialize + ?Sized)) -> Result<Self, Problem> {
        codec::encode(place).map(Position)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn from_bytes(bytes: Vec<u8>) -> Self {
        Position(bytes)
    }

    /// What the source knows it by; of [`START`](Position::START) the default.
    ///
    /// # Errors
    /// When it is the position of another kind of source.
    pub fn read<P: DeserializeOwned + Default>(&self) -> Result<P, Problem> {
        if *self == Position::START {
            return Ok(P::default());
        }
        codec::decode(&self.0).map_err(|problem| {
            Problem::new("the position in a partition is not one of this source")
                .because(problem)
                .hint("read what was read before, or start afresh")
        })
    }
}

/// What a source says of itself.
#[derive(Clone, Debug)]
pub struct SourceInfo {
    /// The kind, in one word: `csv`, `vec`, `channel`.
    pub kind: &'static str,
    /// What exactly, for people: the path, the topic.
    pub detail: String,
    /// Whether it ends.
    pub boundedness: Boundedness,
    /// Whether a partition gives the same records again when opened again.
    pub repeatable: bool,
}

/// Something that records of type `T` can be read from.
///
/// # Examples
/// A source of the numbers below 10 in one partition.
/// ```
/// use stream_core::Problem;
/// use stream_core::io::*;
///
/// struct Ten;
/// struct TenReader(u64);
///
/// impl Source<u64> for Ten {
///     fn info(&self) -> SourceInfo {
///         let boundedness = Boundedness::Bounded;
///         SourceInfo { kind: "ten", detail: "0..10".into(), boundedness, repeatable: true }
///     }
///     fn partitions(&self) -> Result<Vec<String>, Problem> {
///         Ok(vec!["0".into()])
///     }
///     fn open(&self, _: usize, opening: Opening) -> Result<Box<dyn Reader<u64>>, Problem> {
///         Ok(Box::new(TenReader(opening.from.read()?)))
///     }
/// }
///
/// impl Reader<u64> for TenReader {
///     fn read(&mut self, max: usize, into: &mut Chunk<u64>) -> Result<ReadStatus, Problem> {
///         let end = 10.min(self.0 + max as u64);
///         (self.0..end).for_each(|number| into.push(number));
///         self.0 = end;
///         Ok(if end == 10 { ReadStatus::Ended } else { ReadStatus::More })
///     }
///     fn position(&self) -> Result<Position, Problem> {
///         Position::of(&self.0)
///     }
/// }
///
/// stream_core::testing::contract::source(|| Ten, &[(0..10).collect()]);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no source of `{T}`",
    label = "the input carries records of type `{T}`",
    note = "a source says the type of its records where it is made, or where its codec is",
    note = "files are read by `files::csv` and `files::json_lines`; `files::to_csv` and \
            `files::to_json_lines` write them"
)]
pub trait Source<T: 'static>: Send + Sync + 'static {
    /// Says what this source is.
    fn info(&self) -> SourceInfo;

    /// Finds the partitions and names them, each name once; at least one, unless others may
    /// [appear](Source::discovery). Called once a job, before any worker starts.
    ///
    /// # Errors
    /// When the source is not there or cannot be read, with what to do about it.
    fn partitions(&self) -> Result<Vec<String>, Problem>;

    /// Opens the partition with the given number, on the worker that owns it.
    ///
    /// # Errors
    /// When the partition cannot be read from that position.
    fn open(&self, partition: usize, opening: Opening) -> Result<Box<dyn Reader<T>>, Problem>;

    /// The source that this one stands around. What this one does not say itself is asked of that.
    fn inner(&self) -> Option<&dyn Source<T>> {
        None
    }

    /// What is to be done with a record that cannot be read; to fail, unless told otherwise.
    fn bad_records(&self) -> BadRecords {
        self.inner().map_or(BadRecords::Fail, Source::bad_records)
    }

    /// Names the places that this source reads and that a sink might write over: files, folders.
    /// Asked when a job starts, after [`partitions`](Source::partitions) and before anything is
    /// opened.
    ///
    /// A job is refused when one of them [overlaps](Place::overlaps) with the
    /// [place](super::Sink::exclusive) of one of its sinks.
    fn reads(&self) -> Vec<Place> {
        self.inner().map_or_else(Vec::new, Source::reads)
    }

    /// What looks for partitions that appear while the job runs; where there is nothing, those that
    /// [`partitions`](Source::partitions) has found are all. Asked once a job, after that.
    fn discovery(&self) -> Option<Arc<dyn Discovery>> {
        self.inner()?.discovery()
    }

    /// Told, after a checkpoint is complete, how far each partition has been read at it. What a source
    /// does with that is its own affair; the job goes on from the checkpoint in any case. It is
    /// called on a thread that is no worker.
    fn covered(&self, checkpoint: u64, positions: &[(String, Position)]) {
        if let Some(inner) = self.inner() {
            inner.covered(checkpoint, positions);
        }
    }

    /// What the source measures of itself, for those who look at the job while it runs, and for its report.
    /// Called on any thread, and not to wait.
    fn readings(&self) -> Vec<Reading> {
        self.inner().map_or_else(Vec::new, Source::readings)
    }

    /// A position of a partition, for people; `None` where it is none of this source.
    fn told(&self, position: &Position) -> Option<String> {
        self.inner()?.told(position)
    }

    /// This source in another form, where it has that form; what the flags of a command line ask
    /// for. A source around another one asks the other, and stands around the answer.
    fn revised(&self, _revision: &Revision) -> Revised<dyn Source<T>> {
        None
    }
}

/// Looks for partitions of a source that appear while a job runs: files that come into a folder, partitions
/// that are added to a topic.
///
/// A partition that is found is opened by the worker that owns it, from its start, and its lane
/// begins where the watermark is then: what lies before that is *overtaken*. A job with such a
/// source ends only when it is stopped or drained. Where a job has a
/// [limit](crate::Job::limit), it does not look.
pub trait Discovery: Send + Sync {
    /// How long to wait between two looks.
    fn interval(&self) -> Duration;

    /// Names the partitions that there are, or only those that are new; a name that is known already, or is
    /// named twice, is not looked at, and takes no number. Their numbers go on from those that there were at the start, in the order in which
    /// they are named; [`open`](Source::open) is called with them. It is called on a thread that is
    /// no worker, and the end of the job waits for it.
    ///
    /// # Errors
    /// When it cannot be known; then the job fails. What passes by itself is no error: name none.
    fn look(&self) -> Result<Vec<String>, Problem>;
}

/// Reads one partition.
pub trait Reader<T> {
    /// Appends at most `max` records, good and bad, without waiting; fewer once the chunk
    /// [is full](Chunk::is_full).
    ///
    /// After [`ReadStatus::Ended`] it is not called again.
    ///
    /// # Errors
    /// When the partition cannot be read any further. A record that cannot be read is no error
    /// of this kind: it goes to [`Chunk::push_bad`].
    fn read(&mut self, max: usize, into: &mut Chunk<T>) -> Result<ReadStatus, Problem>;

    /// The position of the record that the next [`read`](Reader::read) begins with. It may change without
    /// a record, by what the source has come to know.
    fn position(&self) -> Result<Position, Problem>;
}

/// How a reader stands after a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadStatus {
    /// There may be more at once.
    More,
    /// There is nothing now; the waker will be called when that changes.
    Waiting,
    /// There is nothing before this time on the job's clock.
    Until(Duration),
    /// The partition has ended.
    Ended,
}

/// What a reader is opened with.
#[derive(Clone, Debug)]
pub struct Opening {
    /// Where to begin.
    pub from: Position,
    /// To be called from another thread when there is something to read.
    pub waker: Waker,
    /// The job's clock.
    pub clock: Clock,
    /// Whether the job goes on from a checkpoint that has read the source before. A partition that is then
    /// begun is one that was added meanwhile.
    pub goes_on: bool,
}

/// Wakes the worker that owns a partition. Calling it too often is harmless.
#[derive(Clone)]
pub struct Waker(Arc<dyn Fn() + Send + Sync>);

impl Waker {
    /// Makes a waker that calls `wake`; for tests of readers, which may pass `|| ()`.
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        Waker(Arc::new(wake))
    }

    /// Wakes the worker.
    pub fn wake(&self) {
        (self.0)();
    }
}

impl fmt::Debug for Waker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Waker")
    }
}

/// What one call of a reader has brought: records, records that could not be read, and bytes.
#[derive(Debug)]
pub struct Chunk<T> {
    pub(crate) records: Vec<((), T)>,
    pub(crate) bad: Vec<BadRecord>,
    /// What is to be told of fields that the input does not have.
    pub(crate) absent: Vec<String>,
    /// When the records of the last read were planned to come, where their source has a plan.
    pub(crate) planned: Option<Planned>,
    /// How many bytes are enough.
    enough: u64,
    pub(crate) bytes: u64,
}

/// When records were planned to come, on the job's clock: at even distances.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Planned {
    /// The time of the first.
    pub(crate) first: Duration,
    /// From one to the next.
    pub(crate) micros_between: f64,
    /// How many there are, good and bad.
    pub(crate) count: usize,
}

impl<T> Default for Chunk<T> {
    fn default() -> Self {
        Chunk {
            records: Vec::new(),
            bad: Vec::new(),
            absent: Vec::new(),
            bytes: 0,
            enough: u64::MAX,
            planned: None,
        }
    }
}

impl<T> Chunk<T> {
    /// Adds a record.
    #[inline]
    pub fn push(&mut self, record: T) {
        self.records.push(((), record));
    }

    /// Adds a record that could not be read.
    pub fn push_bad(&mut self, record: BadRecord) {
        self.bad.push(record);
    }

    /// Notes how many bytes the records took where they came from. How much a job holds in flight
    /// is bounded by this; where a reader notes nothing, each record counts as its size in memory.
    #[inline]
    pub fn add_bytes(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    /// Tells whether the bytes noted so far are enough for one read. A reader whose records may be
    /// large stops then, however few there are: what a job holds in flight is read in such pieces.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.bytes >= self.enough
    }

    /// Says how many bytes are enough.
    pub(crate) fn limit_bytes(&mut self, bytes: u64) {
        self.enough = bytes;
    }

    /// How many bytes the records count as.
    pub(crate) fn size(&self) -> u64 {
        match self.bytes {
            0 => std::mem::size_of_val(&self.records[..]) as u64,
            bytes => bytes,
        }
    }

    /// How many records there are, good and bad.
    pub fn len(&self) -> usize {
        self.records.len() + self.bad.len()
    }

    /// Tells whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The good records.
    pub fn records(&self) -> impl Iterator<Item = &T> {
        self.records.iter().map(|((), record)| record)
    }

    /// The records that could not be read.
    pub fn bad(&self) -> &[BadRecord] {
        &self.bad
    }

    /// Forgets everything, keeping the allocation.
    pub fn clear(&mut self) {
        self.records.clear();
        self.bad.clear();
        self.absent.clear();
        self.bytes = 0;
        self.planned = None;
    }
}

impl<T> Extend<T> for Chunk<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, records: I) {
        self.records
            .extend(records.into_iter().map(|record| ((), record)));
    }
}

/// A source that is shared is a source. It may be of any size, and so hands each question on by itself.
impl<T: 'static, S: Source<T> + ?Sized> Source<T> for Arc<S> {
    fn info(&self) -> SourceInfo {
        (**self).info()
    }

    fn partitions(&self) -> Result<Vec<String>, Problem> {
        (**self).partitions()
    }

    fn open(&self, partition: usize, opening: Opening) -> Result<Box<dyn Reader<T>>, Problem> {
        (**self).open(partition, opening)
    }

    fn inner(&self) -> Option<&dyn Source<T>> {
        (**self).inner()
    }

    fn bad_records(&self) -> BadRecords {
        (**self).bad_records()
    }

    fn reads(&self) -> Vec<Place> {
        (**self).reads()
    }

    fn discovery(&self) -> Option<Arc<dyn Discovery>> {
        (**self).discovery()
    }

    fn readings(&self) -> Vec<Reading> {
        (**self).readings()
    }

    fn covered(&self, checkpoint: u64, positions: &[(String, Position)]) {
        (**self).covered(checkpoint, positions);
    }

    fn told(&self, position: &Position) -> Option<String> {
        (**self).told(position)
    }

    fn revised(&self, revision: &Revision) -> Revised<dyn Source<T>> {
        (**self).revised(revision)
    }
}
