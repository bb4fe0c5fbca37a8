//! What a checked pipeline takes and returns: vectors for its streams, rows for its outputs.

use std::fmt::{self, Debug};
use std::sync::Arc;

use fastrand::Rng;

use super::faults::Faults;
use super::modes::Interleaving;
use crate::graph::{Graph, Output, Stream};
use crate::io::{
    self, Boundedness, Chunk, Collect, MemoryLog, Opening, Position, ReadStatus, Reader, Rows,
    Sink, Source, SourceInfo, Waker,
};
use crate::{Job, Problem};

/// How many partitions an input is divided into at most.
const PARTITIONS_MAX: usize = 4;

/// The records of one input of a checked pipeline.
///
/// A vector is one, too; this says more of it.
pub struct Input<T> {
    records: Vec<T>,
    key: Option<Box<KeyHash<T>>>,
}

impl<T: fmt::Debug> fmt::Debug for Input<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input")
            .field("records", &self.records)
            .finish_non_exhaustive()
    }
}

type KeyHash<T> = dyn Fn(&T) -> u64;

impl<T> Input<T> {
    /// An input of these records, in the order of their arrival.
    pub fn new(records: Vec<T>) -> Self {
        Input { records, key: None }
    }

    /// Keeps records of the same key in the same partition, as a keyed topic does.
    pub fn partition_by<K: std::hash::Hash>(mut self, key: impl Fn(&T) -> K + 'static) -> Self {
        self.key = Some(Box::new(move |record| {
            crate::state::hash::hash_of(&key(record))
        }));
        self
    }
}

/// The inputs of a checked pipeline: a vector, an [`Input`], or a tuple of them.
pub trait Inputs {
    /// The streams that the pipeline is given.
    type Streams;
    /// The records by partition, for an oracle; those of a tuple are a tuple.
    type Partitions: Clone;

    #[doc(hidden)]
    fn draw(&self, rng: &mut Rng) -> Self::Partitions;
    #[doc(hidden)]
    fn records(partitions: &Self::Partitions) -> usize;
    #[doc(hidden)]
    fn streams(graph: &Graph, next: &mut usize) -> Self::Streams;
    #[doc(hidden)]
    fn bind(
        partitions: &Self::Partitions,
        how: &Arc<Interleaving>,
        job: Job,
        next: &mut usize,
    ) -> Job;
}

impl<T: Clone + Send + Sync + 'static> Inputs for Input<T> {
    type Streams = Stream<T>;
    type Partitions = Arc<Vec<Vec<T>>>;

    fn draw(&self, rng: &mut Rng) -> Self::Partitions {
        divide(&self.records, self.key.as_deref(), rng)
    }

    fn records(partitions: &Self::Partitions) -> usize {
        partitions.iter().map(Vec::len).sum()
    }

    fn streams(graph: &Graph, next: &mut usize) -> Stream<T> {
        graph.input(&numbered("in", next))
    }

    fn bind(
        partitions: &Self::Partitions,
        how: &Arc<Interleaving>,
        job: Job,
        next: &mut usize,
    ) -> Job {
        let (partitions, how) = (partitions.clone(), how.clone());
        job.source(&numbered("in", next), Drawn { partitions, how })
    }
}

impl<T: Clone + Send + Sync + 'static> Inputs for Vec<T> {
    type Streams = Stream<T>;
    type Partitions = Arc<Vec<Vec<T>>>;

    fn draw(&self, rng: &mut Rng) -> Self::Partitions {
        divide(self, None, rng)
    }

    fn records(partitions: &Self::Partitions) -> usize {
        Input::records(partitions)
    }

    fn streams(graph: &Graph, next: &mut usize) -> Stream<T> {
        Input::streams(graph, next)
    }

    fn bind(
        partitions: &Self::Partitions,
        how: &Arc<Interleaving>,
        job: Job,
        next: &mut usize,
    ) -> Job {
        Input::bind(partitions, how, job, next)
    }
}

/// Divides records into partitions, each in the order of arrival.
fn divide<T: Clone>(records: &[T], key: Option<&KeyHash<T>>, rng: &mut Rng) -> Arc<Vec<Vec<T>>> {
    let mut partitions = vec![Vec::new(); rng.usize(1..=PARTITIONS_MAX)];
    let many = partitions.len();
    for record in records {
        let partition = key.map_or_else(|| rng.usize(..many), |key| key(record) as usize % many);
        partitions[partition].push(record.clone());
    }
    Arc::new(partitions)
}

/// The outputs of a checked pipeline: a stream, a table, changes, or a tuple of them.
pub trait Outputs: Sized {
    /// The rows of the outputs; those of a tuple are a tuple.
    type Rows: Default;

    #[doc(hidden)]
    fn connect(self, graph: &Graph, next: &mut usize);
    /// What the rows are written to, from one run to the next.
    #[doc(hidden)]
    type Kept;

    #[doc(hidden)]
    fn kept(place: Keep) -> Self::Kept;
    #[doc(hidden)]
    fn bind(kept: &Self::Kept, faults: &Arc<Faults>, job: Job, next: &mut usize) -> Job;
    #[doc(hidden)]
    fn rows(kept: &Self::Kept) -> Self::Rows;
    #[doc(hidden)]
    fn append(rows: &mut Self::Rows, more: Self::Rows);
    /// The consolidated content of each output, as sorted text.
    #[doc(hidden)]
    fn text(rows: Self::Rows) -> Vec<Vec<String>>;
}

/// Where the rows of outputs are kept.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// By [`io::collect`].
    #[default]
    Rows,
    /// In a [`MemoryLog`], by transactions.
    Log,
}

/// Rows of an output in memory, with the sink that keeps them.
#[doc(hidden)]
#[derive(Debug)]
pub enum KeptRows<T> {
    Rows(Arc<Collect<T>>, Rows<T>),
    Log(MemoryLog<T>),
}

impl<T: Send + 'static> KeptRows<T> {
    fn new(place: Keep) -> Self {
        match place {
            Keep::Rows => {
                let (sink, rows) = io::collect();
                KeptRows::Rows(Arc::new(sink), rows)
            }
            Keep::Log => KeptRows::Log(MemoryLog::new(1)), // changes of a key are in order within a partition,
        }
    }

    fn sink(&self) -> Arc<dyn Sink<T>> {
        match self {
            KeptRows::Rows(sink, _) => sink.clone(),
            KeptRows::Log(log) => Arc::new(log.transactional("checked")),
        }
    }

    fn take(&self) -> Vec<T> {
        match self {
            KeptRows::Rows(_, rows) => rows.take(),
            KeptRows::Log(log) => log.take().into_iter().flatten().collect(),
        }
    }
}

impl<O: Output<Row: Debug + Send>> Outputs for O {
    type Rows = Vec<O::Row>;
    type Kept = KeptRows<O::Row>;

    fn kept(place: Keep) -> Self::Kept {
        KeptRows::new(place)
    }

    fn connect(self, graph: &Graph, next: &mut usize) {
        graph.output(&numbered("out", next), self);
    }

    fn bind(kept: &Self::Kept, faults: &Arc<Faults>, job: Job, next: &mut usize) -> Job {
        let sink = faults.around_sink(kept.sink());
        job.sink(&numbered("out", next), sink)
    }

    fn rows(kept: &Self::Kept) -> Self::Rows {
        kept.take()
    }

    fn append(rows: &mut Self::Rows, mut more: Self::Rows) {
        rows.append(&mut more);
    }

    fn text(rows: Self::Rows) -> Vec<Vec<String>> {
        let rows = O::consolidate(rows);
        let mut text: Vec<_> = rows.into_iter().map(|row| format!("{row:?}")).collect();
        text.sort();
        vec![text]
    }
}

macro_rules! tuples {
    ($(($($name:ident $index:tt),*))*) => {$(
        impl<$($name: Inputs),*> Inputs for ($($name,)*) {
            type Streams = ($($name::Streams,)*);
            type Partitions = ($($name::Partitions,)*);

            fn draw(&self, rng: &mut Rng) -> Self::Partitions {
                ($(self.$index.draw(rng),)*)
            }

            fn records(partitions: &Self::Partitions) -> usize {
                0 $(+ $name::records(&partitions.$index))*
            }

            fn streams(graph: &Graph, next: &mut usize) -> Self::Streams {
                ($($name::streams(graph, next),)*)
            }

            fn bind(
                partitions: &Self::Partitions,
                how: &Arc<Interleaving>,
                job: Job,
                next: &mut usize,
            ) -> Job {
                $(let job = $name::bind(&partitions.$index, how, job, next);)*
                job
            }
        }

        impl<$($name: Outputs),*> Outputs for ($($name,)*) {
            type Rows = ($($name::Rows,)*);
            type Kept = ($($name::Kept,)*);

            fn kept(place: Keep) -> Self::Kept {
                ($($name::kept(place),)*)
            }

            fn connect(self, graph: &Graph, next: &mut usize) {
                $(self.$index.connect(graph, next);)*
            }

            fn bind(kept: &Self::Kept, faults: &Arc<Faults>, job: Job, next: &mut usize) -> Job {
                $(let job = $name::bind(&kept.$index, faults, job, next);)*
                job
            }

            fn rows(kept: &Self::Kept) -> Self::Rows {
                ($($name::rows(&kept.$index),)*)
            }

            fn append(rows: &mut Self::Rows, more: Self::Rows) {
                $($name::append(&mut rows.$index, more.$index);)*
            }

            fn text(rows: Self::Rows) -> Vec<Vec<String>> {
                let mut text = Vec::new();
                $(text.extend($name::text(rows.$index));)*
                text
            }
        }
    )*};
}

tuples! {
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
}

/// The name of the next port.
pub(super) fn numbered(prefix: &str, next: &mut usize) -> String {
    *next += 1;
    format!("{prefix}{next}")
}

/// Partitions in memory that are read as an [`Interleaving`] says.
struct Drawn<T> {
    partitions: Arc<Vec<Vec<T>>>,
    how: Arc<Interleaving>,
}

impl<T: Clone + Send + Sync + 'static> Source<T> for Drawn<T> {
    fn info(&self) -> SourceInfo {
        let (boundedness, detail) = (Boundedness::Bounded, String::new());
        SourceInfo {
            kind: "drawn",
            detail,
            boundedness,
            repeatable: true,
        }
    }

    fn partitions(&self) -> Result<Vec<String>, Problem> {
        Ok((0..self.partitions.len())
            .map(|partition| partition.to_string())
            .collect())
    }

    fn open(&self, partition: usize, opening: Opening) -> Result<Box<dyn Reader<T>>, Problem> {
        let (partitions, how) = (self.partitions.clone(), self.how.clone());
        let Opening { from, waker, .. } = opening;
        let sleep = how.sleep(partitions[partition].len());
        Ok(Box::new(DrawnReader {
            partitions,
            partition,
            next: from.read()?,
            sleep,
            how,
            waker,
        }))
    }
}

struct DrawnReader<T> {
    partitions: Arc<Vec<Vec<T>>>,
    partition: usize,
    next: usize,
    /// From which record on nothing is there, and how often that is still said.
    sleep: Option<(usize, u32)>,
    how: Arc<Interleaving>,
    waker: Waker,
}

impl<T> DrawnReader<T> {
    /// Whether there is nothing for long now.
    fn sleeps(&mut self) -> bool {
        match &mut self.sleep {
            Some((from, looks)) if *from <= self.next && *looks > 0 => {
                *looks -= 1;
                self.how.pass_time();
                true
            }
            _ => false,
        }
    }
}

impl<T: Clone> Reader<T> for DrawnReader<T> {
    fn read(&mut self, max: usize, into: &mut Chunk<T>) -> Result<ReadStatus, Problem> {
        if self.sleeps() {
            self.waker.wake();
            return Ok(ReadStatus::Waiting);
        }
        let rest = &self.partitions[self.partition][self.next..];
        if rest.is_empty() {
            return Ok(ReadStatus::Ended);
        }
        let Some(records) = self.how.draw(max) else {
            self.waker.wake();
            return Ok(ReadStatus::Waiting);
        };
        let records = records.min(rest.len());
        into.extend(rest[..records].iter().cloned());
        self.next += records;
        self.how.note_read(records as u64);
        Ok(ReadStatus::More)
    }

    fn position(&self) -> Result<Position, Problem> {
        Position::of(&self.next)
    }
}
