//! The connection of a source: one consumer, and the thread that hears what it has to tell.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::metadata::{MetadataPartition, MetadataTopic};
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use stream_core::Problem;
use stream_core::io::Waker;

use super::bounded::{REQUEST_WAIT, leave};
use super::context::Context;
use super::explain;
use super::queue::PartitionQueue;
use super::raw::{self, TopicId};
use crate::config::ClientSettings;

/// For how long a seek is tried again.
const SEEK_WAIT: Duration = Duration::from_millis(500);

/// How long to wait before a seek is tried again that came too early.
const SEEK_POLL: Duration = Duration::from_millis(2);

/// How often the thread looks whether it is still wanted.
const SERVE_INTERVAL: Duration = Duration::from_millis(100);

/// A topic, as the brokers describe it.
#[derive(Clone, Debug)]
pub(crate) struct Topic {
    pub(crate) name: String,
    pub(crate) partitions: Vec<i32>,
}

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) topic: Arc<str>,
    pub(crate) partition: i32,
}

/// A consumer that joins no group. Whoever uses it says what it reads.
pub(crate) struct Client {
    /// There until it is dropped.
    consumer: Option<Arc<BaseConsumer<Context>>>,
    context: Context,
    is_wanted: Arc<AtomicBool>,
    cluster: String,
}

impl Client {
    /// Makes the client, and asks nothing yet.
    pub(crate) fn new(config: &ClientSettings, cluster: String) -> Result<Self, Problem> {
        let context = Context::default();
        let failed = || {
            Problem::new(format!(
                "cannot set up the connection to Kafka at {cluster}"
            ))
        };
        let consumer: BaseConsumer<Context> = config
            .create(context.clone())
            .map_err(|error| explain::because_error(failed(), &error, None))?;
        let consumer = Arc::new(consumer);
        let is_wanted = Arc::new(AtomicBool::new(true));
        let (served, wanted) = (consumer.clone(), is_wanted.clone());
        thread::Builder::new()
            .name("kafka-events".to_owned())
            .spawn(move || {
                // Messages have queues of their own: what comes here are errors and the log, which the
                // context hears.
                while wanted.load(Ordering::Relaxed) {
                    let _heard = served.poll(SERVE_INTERVAL);
                }
            })
            .map_err(|error| failed().because(error))?;
        Ok(Client {
            consumer: Some(consumer),
            context,
            is_wanted,
            cluster,
        })
    }

    fn consumer(&self) -> &Arc<BaseConsumer<Context>> {
        self.consumer.as_ref().expect("there until it is dropped")
    }

    /// Describes a topic, or all there are. Waits so long for brokers that do not answer.
    pub(crate) fn topics(&self, name: Option<&str>, wait: Duration) -> Result<Vec<Topic>, Problem> {
        let started = Instant::now();
        let metadata = self.patiently(wait, started, |timeout| {
            let metadata = self.consumer().fetch_metadata(name, timeout)?;
            // A broker that has just started knows its topics only after a moment.
            let is_early = |topic: &MetadataTopic| {
                topic.error().map(RDKafkaErrorCode::from)
                    == Some(RDKafkaErrorCode::LeaderNotAvailable)
            };
            if metadata.topics().iter().any(is_early) {
                let code = RDKafkaErrorCode::LeaderNotAvailable;
                return Err(KafkaError::MetadataFetch(code));
            }
            Ok(metadata)
        })?;
        let mut topics = Vec::new();
        for topic in metadata.topics() {
            match topic.error().map(RDKafkaErrorCode::from) {
                None | Some(RDKafkaErrorCode::NoError) => {}
                Some(RDKafkaErrorCode::UnknownTopicOrPartition) => continue,
                Some(code) => {
                    let problem = Problem::new(format!("cannot read the topic `{}`", topic.name()));
                    return Err(explain::because(problem, &code.to_string()));
                }
            }
            let partitions = topic.partitions().iter();
            let mut partitions: Vec<i32> = partitions.map(MetadataPartition::id).collect();
            partitions.sort_unstable();
            let name = topic.name().to_owned();
            topics.push(Topic { name, partitions });
        }
        topics.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(topics)
    }

    /// The id of each topic, or none where it is not there.
    pub(crate) fn topic_ids(
        &self,
        topics: &[&str],
        wait: Duration,
    ) -> Result<Vec<Option<TopicId>>, Problem> {
        let client = self.consumer().client();
        let ids = self.patiently(wait, Instant::now(), |timeout| {
            raw::topic_ids(client, topics, timeout).map_err(KafkaError::AdminOp)
        })?;
        let known = ids.into_iter().map(|id| match id {
            Ok(id) => Ok(Some(id)),
            Err(RDKafkaErrorCode::UnknownTopicOrPartition) => Ok(None),
            Err(code) => Err(self.failed("describe its topics", &code.to_string())),
        });
        known.collect()
    }

    /// Finds an offset in each partition: `at` says which, by a time in milliseconds since 1970, or by
    /// the first or the last. Waits so long for a partition that has no leader.
    pub(crate) fn offsets(
        &self,
        at: &[(Place, Offset)],
        wait: Duration,
    ) -> Result<Vec<i64>, Problem> {
        if at.is_empty() {
            return Ok(Vec::new());
        }
        let found = self.list_offsets(at, wait)?;
        // Behind the last record of a time comes the end.
        let open: Vec<usize> = (0..at.len())
            .filter(|index| found[*index].is_none())
            .collect();
        let ends: Vec<_> = open
            .iter()
            .map(|index| (at[*index].0.clone(), Offset::End))
            .collect();
        let ends = if ends.is_empty() {
            Vec::new()
        } else {
            self.list_offsets(&ends, wait)?
        };
        let mut ends = ends.into_iter();
        let all = found.into_iter().zip(at).map(|(offset, (place, _))| {
            offset.or_else(|| ends.next().flatten()).ok_or_else(|| {
                let what = format!("`{}/{}` has no such offset", place.topic, place.partition);
                Problem::new(what)
            })
        });
        all.collect()
    }

    fn list_offsets(
        &self,
        at: &[(Place, Offset)],
        wait: Duration,
    ) -> Result<Vec<Option<i64>>, Problem> {
        let mut asked = TopicPartitionList::with_capacity(at.len());
        for (place, offset) in at {
            asked
                .add_partition_offset(&place.topic, place.partition, *offset)
                .map_err(|error| self.failed("look for offsets", &error.to_string()))?;
        }
        let found = self.patiently(wait, Instant::now(), |timeout| {
            let found = self.consumer().offsets_for_times(asked.clone(), timeout)?;
            found
                .elements()
                .iter()
                .try_for_each(TopicPartitionListElem::error)?;
            Ok(found)
        })?;
        let offsets = at.iter().map(|(place, _)| {
            let element = found.find_partition(&place.topic, place.partition)?;
            match element.offset() {
                Offset::Offset(offset) => Some(offset),
                _ => None,
            }
        });
        Ok(offsets.collect())
    }

    /// Reads a partition from an offset on; `leader_epoch` is that of the record before.
    pub(crate) fn assign(
        &self,
        place: &Place,
        offset: i64,
        leader_epoch: Option<i32>,
        waker: Waker,
    ) -> Result<PartitionQueue, Problem> {
        let consumer = self.consumer();
        let queue = PartitionQueue::open(consumer.clone(), &place.topic, place.partition, waker)?;
        let list = self.begin(place, offset)?;
        if let Some(epoch) = leader_epoch {
            raw::set_leader_epoch(&list, 0, epoch);
            self.check_log(list)
                .map_err(|error| self.cannot_read(place, &error))?;
        }
        Ok(queue)
    }

    /// Lets the brokers be asked whether the log of a partition is still the one that was read up to there:
    /// the client library does that where one seeks a place with a leader epoch, and not at the start. It
    /// refuses for a moment, while it still ends an earlier reading, and for good where it has given up the
    /// partition already; why, the partition's queue tells.
    fn check_log(&self, mut place: TopicPartitionList) -> Result<(), KafkaError> {
        let started = Instant::now();
        loop {
            place = self.consumer().seek_partitions(place, REQUEST_WAIT)?;
            let sought = place.elements()[0].error();
            let code = sought
                .as_ref()
                .err()
                .and_then(KafkaError::rdkafka_error_code);
            match code {
                Some(RDKafkaErrorCode::State) if started.elapsed() < SEEK_WAIT => {
                    thread::sleep(SEEK_POLL);
                }
                Some(RDKafkaErrorCode::State) => return Ok(()),
                _ => return sought,
            }
        }
    }

    /// Goes on reading a partition at another offset, into the same queue. A seek would not do: the
    /// client library refuses it for a partition that it has given up.
    pub(crate) fn reassign(&self, place: &Place, offset: i64) -> Result<(), Problem> {
        self.unassign(place);
        self.begin(place, offset).map(drop)
    }

    fn begin(&self, place: &Place, offset: i64) -> Result<TopicPartitionList, Problem> {
        let failed = |error: KafkaError| self.cannot_read(place, &error);
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition_offset(&place.topic, place.partition, Offset::Offset(offset))
            .map_err(failed)?;
        self.consumer().incremental_assign(&list).map_err(failed)?;
        Ok(list)
    }

    fn cannot_read(&self, place: &Place, error: &KafkaError) -> Problem {
        let what = format!("read `{}/{}`", place.topic, place.partition);
        self.failed(&what, &error.to_string())
    }

    /// Where a partition that is being read ended when a broker last told.
    pub(crate) fn known_end(&self, place: &Place) -> Option<i64> {
        raw::known_end(self.consumer().client(), &place.topic, place.partition)
    }

    /// The error that the client has told last, if that is not long ago.
    pub(crate) fn recent_error(&self) -> Option<String> {
        self.context.recent_error()
    }

    /// Reads a partition no more.
    pub(crate) fn unassign(&self, place: &Place) {
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition(&place.topic, place.partition);
        // It fails where the client is at its end anyway.
        let _gone = self.consumer().incremental_unassign(&list);
    }

    /// Tells the group how far partitions have been read; what goes wrong changes nothing for the job.
    pub(crate) fn tell_group(&self, offsets: &[(Place, i64)]) {
        let mut list = TopicPartitionList::with_capacity(offsets.len());
        for (place, offset) in offsets {
            let offset = Offset::Offset(*offset);
            if list
                .add_partition_offset(&place.topic, place.partition, offset)
                .is_err()
            {
                return;
            }
        }
        if list.count() > 0 {
            let _told = self.consumer().commit(&list, CommitMode::Async);
        }
    }

    /// Asks again until there is an answer, an error that lasts, or so much time has gone.
    fn patiently<T>(
        &self,
        wait: Duration,
        started: Instant,
        mut ask: impl FnMut(Duration) -> Result<T, KafkaError>,
    ) -> Result<T, Problem> {
        let mut patience = explain::FIRST_WAIT;
        loop {
            let left = wait.saturating_sub(started.elapsed());
            let asked = ask(left.min(patience));
            patience = (2 * patience).min(REQUEST_WAIT);
            let error = match asked {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            // The same error is told but once in a while: it may have been told for the request before.
            let told = self.context.error_since(started);
            let told = told.or_else(|| self.context.recent_error());
            let lasts = error.rdkafka_error_code().is_some_and(explain::is_lasting)
                || self.context.is_hopeless(started, &self.cluster);
            if lasts || started.elapsed() >= wait {
                let what = format!("Kafka at {} gives no answer", self.cluster);
                return Err(explain::because_error(Problem::new(what), &error, told));
            }
            thread::sleep(Duration::from_millis(20).min(left));
        }
    }

    fn failed(&self, what: &str, reason: &str) -> Problem {
        let what = format!("the connection to Kafka at {} cannot {what}", self.cluster);
        explain::because(Problem::new(what), reason)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.is_wanted.store(false, Ordering::Relaxed);
        leave(self.consumer.take());
    }
}
