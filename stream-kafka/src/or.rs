//! A topic, or what else the command line names: [`KafkaOr`].

use stream_core::Problem;
use stream_core::io::{
    Canonical, Commit, Opening, Place, Reader, Reading, Revised, Revision, Sink, SinkInfo, Slot,
    Source, SourceInfo, Writer,
};

use crate::line;

/// A source or a sink of Kafka that another one takes the place of, where the command line names a place that
/// is none of Kafka. Made by [`KafkaSource::or`](crate::KafkaSource::or) and
/// [`KafkaSink::or`](crate::KafkaSink::or).
#[derive(Clone, Debug)]
pub struct KafkaOr<K, S> {
    kafka: K,
    other: S,
}

impl<K, S> KafkaOr<K, S> {
    pub(crate) fn new(kafka: K, other: S) -> Self {
        KafkaOr { kafka, other }
    }
}

/// Whether the other one is meant.
fn is_elsewhere(revision: &Revision) -> bool {
    matches!(revision, Revision::Path(path) if !line::is_kafka(path))
}

impl<T: 'static, K: Source<T>, S: Source<T>> Source<T> for KafkaOr<K, S> {
    fn info(&self) -> SourceInfo {
        self.kafka.info()
    }

    fn partitions(&self) -> Result<Vec<String>, Problem> {
        self.kafka.partitions()
    }

    fn open(&self, partition: usize, opening: Opening) -> Result<Box<dyn Reader<T>>, Problem> {
        self.kafka.open(partition, opening)
    }

    fn inner(&self) -> Option<&dyn Source<T>> {
        Some(&self.kafka)
    }

    fn revised(&self, revision: &Revision) -> Revised<dyn Source<T>> {
        match is_elsewhere(revision) {
            true => self.other.revised(revision),
            false => self.kafka.revised(revision),
        }
    }
}

impl<T: 'static, K: Sink<T>, S: Sink<T>> Sink<T> for KafkaOr<K, S> {
    fn info(&self) -> SinkInfo {
        self.kafka.info()
    }

    fn recover(&self, last: Option<&Commit>) -> Result<(), Problem> {
        self.kafka.recover(last)
    }

    fn open(&self, slot: Slot) -> Result<Box<dyn Writer<T>>, Problem> {
        self.kafka.open(slot)
    }

    fn readings(&self) -> Vec<Reading> {
        self.kafka.readings()
    }

    fn exclusive(&self) -> Option<Place> {
        self.kafka.exclusive()
    }

    fn commit(&self, commit: &Commit) -> Result<(), Problem> {
        self.kafka.commit(commit)
    }

    fn abort(&self) {
        self.kafka.abort();
    }

    fn canonical(&self) -> Option<Canonical<T>> {
        self.kafka.canonical()
    }

    fn revised(&self, revision: &Revision) -> Revised<dyn Sink<T>> {
        match is_elsewhere(revision) {
            true => self.other.revised(revision),
            false => self.kafka.revised(revision),
        }
    }
}
