//! What tests of the sink share.

use stream_core::Error;
use stream_core::io::{self, Commit, Sink, Slot};
use stream_core::prelude::*;
use stream_kafka as kafka;

use super::source_support::{at, copy, run, sorted};
use crate::support::{Cluster, Stored, Topic};

/// A sink of a topic of the cluster.
pub(crate) fn sink(cluster: &Cluster, topic: &str) -> kafka::KafkaSink<(), kafka::NoFormat> {
    kafka::sink(topic).at(&at(cluster))
}

/// The same by transactions, whose id is the topic's name.
pub(crate) fn exact(cluster: &Cluster, topic: &Topic<'_>) -> kafka::KafkaSink<(), kafka::NoFormat> {
    sink(cluster, topic.name()).exactly_once(topic.name())
}

/// The same by a way that no proxy is in.
pub(crate) fn exact_inside(
    cluster: &Cluster,
    topic: &Topic<'_>,
) -> kafka::KafkaSink<(), kafka::NoFormat> {
    let inside = kafka::Cluster::at(cluster.internal());
    exact(cluster, topic).at(&inside)
}

/// Writes rows by a job that comes to its end.
pub(crate) fn write<T: Clone + Send + Sync + 'static>(
    rows: impl Into<Vec<T>>,
    sink: impl Sink<T>,
) -> Result<Report, Error> {
    run(writing(rows, sink))
}

/// A job that writes rows and ends.
pub(crate) fn writing<T: Clone + Send + Sync + 'static>(
    rows: impl Into<Vec<T>>,
    sink: impl Sink<T>,
) -> Job {
    copy(io::vec(rows.into()), sink)
}

/// Stages rows for a checkpoint, as a job of one worker does.
pub(crate) fn staged<'r>(
    sink: &impl Sink<String>,
    checkpoint: u64,
    rows: impl IntoIterator<Item = &'r str>,
) -> Commit {
    let mut writer = sink.open(Slot::new(0, 1)).unwrap();
    let rows = rows.into_iter().map(str::to_owned);
    writer.write(&mut rows.collect()).unwrap();
    let staged = writer.prepare(checkpoint).unwrap();
    Commit::new(checkpoint, vec![staged.finish().unwrap()])
}

/// The values, sorted.
pub(crate) fn values(stored: &[Stored]) -> Vec<String> {
    let values = stored.iter().map(|record| record.text().to_owned());
    sorted(values.collect())
}
