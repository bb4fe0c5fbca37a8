//! What tests of the source share: a job that copies, and waits that have a bound.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::Offset;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{TopicPartitionList, TopicPartitionListElem};
use stream_core::io::{self, Chunk, Opening, Position, ReadStatus, Sink, Source, Waker};
use stream_core::prelude::*;
use stream_core::run::{Handle, StateStore};
use stream_core::time::Clock;
use stream_core::{Error, Problem};
use stream_kafka as kafka;

use crate::support::{Cluster, Record};

/// No scenario waits longer for anything.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(30);

/// How often tests let a source look for changes.
pub(crate) const LOOK: Duration = Duration::from_millis(50);

/// Every mode that takes a source with an end.
pub(crate) const MODES: [&str; 5] = [
    "batch",
    "micro-batch=3records",
    "micro-batch=1ms",
    "per-record",
    "per-record=strict",
];

/// The cluster, as the adapter is told of it.
pub(crate) fn at(cluster: &Cluster) -> kafka::Cluster {
    kafka::Cluster::at(cluster.bootstrap())
}

/// A source of a topic of the cluster.
pub(crate) fn source(
    cluster: &Cluster,
    topics: impl Into<kafka::Topics>,
) -> kafka::KafkaSource<kafka::Whole> {
    kafka::source(topics).at(&at(cluster)).watch_every(LOOK)
}

/// A job that writes what it reads.
pub(crate) fn copy<T: Clone + Send + Sync + 'static>(
    source: impl Source<T>,
    sink: impl Sink<T>,
) -> Job {
    let job = Job::new("copy", |graph| {
        let records = graph.input::<T>("in");
        graph.output("out", records);
    });
    job.source("in", source).sink("out", sink)
}

/// Starts a job without an end that copies, with its state in a store.
pub(crate) fn start_kept<T: Clone + Send + Sync + 'static>(
    source: impl Source<T>,
    sink: impl Sink<T>,
    store: &StateStore,
) -> Handle {
    let job = copy(source, sink).state(store.clone());
    let job = job.checkpoint_interval(Duration::from_millis(20));
    job.start(Mode::PerRecord).unwrap()
}

/// What a source with an end gives, in order of the values.
pub(crate) fn all<T: Ord + Clone + Send + Sync + 'static>(source: impl Source<T>) -> Vec<T> {
    let (sink, rows) = io::collect();
    run(copy(source, sink)).unwrap();
    sorted(rows.take())
}

/// Why a job that copies cannot read a source.
pub(crate) fn failure<T: Clone + Send + Sync + 'static>(source: impl Source<T>) -> String {
    run(copy(source, io::discard())).unwrap_err().to_string()
}

/// Runs a job to its end, which has a bound.
pub(crate) fn run(job: Job) -> Result<Report, Error> {
    ended(job.start(Mode::PerRecord)?)
}

/// Waits for the end of a job.
pub(crate) fn ended(handle: Handle) -> Result<Report, Error> {
    until("the job ends", || handle.is_finished());
    handle.wait()
}

/// Stops a job, and waits for its end.
pub(crate) fn stop(handle: Handle) -> Report {
    handle.stop();
    ended(handle).unwrap()
}

/// Waits until something holds that another thread or a broker brings about.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < WAIT_MAX, "never: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn count_read(handle: &Handle) -> u64 {
    handle.counts().read["in"]
}

/// Waits until a job has read so many records.
pub(crate) fn until_read(handle: &Handle, records: u64) {
    until(&format!("{records} records are read"), || {
        assert!(!handle.is_finished(), "the job has ended");
        count_read(handle) >= records
    });
}

/// Records of a partition, by their values.
pub(crate) fn records<V: ToString>(
    partition: i32,
    values: impl IntoIterator<Item = V>,
) -> Vec<Record> {
    let values = values.into_iter();
    values
        .map(|value| Record::new(partition, value.to_string()))
        .collect()
}

pub(crate) fn sorted<T: Ord>(mut rows: Vec<T>) -> Vec<T> {
    rows.sort();
    rows
}

/// The numbers of a range as texts, sorted as texts are.
pub(crate) fn texts(numbers: impl IntoIterator<Item = u64>) -> Vec<String> {
    let numbers: BTreeSet<String> = numbers.into_iter().map(|n| n.to_string()).collect();
    numbers.into_iter().collect()
}

/// Reads a partition from a position on, without a job, until `enough` records have come, it ends or
/// fails.
pub(crate) fn read_partition<T: 'static>(
    source: &impl Source<T>,
    partition: usize,
    from: Position,
    enough: usize,
) -> Result<(usize, Position), Problem> {
    source.partitions()?;
    let (waker, clock) = (Waker::new(|| ()), Clock::machine());
    let mut reader = source.open(
        partition,
        Opening {
            from,
            waker,
            clock,
            goes_on: false,
        },
    )?;
    let mut chunk = Chunk::default();
    let start = Instant::now();
    while chunk.len() < enough {
        match reader.read(enough - chunk.len(), &mut chunk)? {
            ReadStatus::More => {}
            ReadStatus::Ended => break,
            _ => thread::sleep(Duration::from_millis(1)),
        }
        assert!(
            start.elapsed() < WAIT_MAX,
            "only {} records came",
            chunk.len()
        );
    }
    Ok((chunk.len(), reader.position()?))
}

/// What a group has of the partitions of a topic, as anybody can see it.
pub(crate) fn committed(kafka: &Cluster, group: &str, topic: &str, partitions: i32) -> Vec<Offset> {
    let mut config = kafka.observer();
    let client: BaseConsumer = config.set("group.id", group).create().unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        list.add_partition(topic, partition);
    }
    let committed = client.committed_offsets(list, Duration::from_secs(10));
    let committed = committed.unwrap();
    let elements = committed.elements();
    elements
        .iter()
        .map(TopicPartitionListElem::offset)
        .collect()
}
