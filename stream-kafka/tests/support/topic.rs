//! Topics for tests: made, filled and read back by clients that are not those under test.

use std::collections::BTreeSet;
use std::fmt;
use std::process;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pollster::block_on;
use rdkafka::admin::{AdminOptions, NewPartitions, NewTopic, TopicReplication, TopicResult};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Headers, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::{ClientContext, Message, Offset, TopicPartitionList};

use super::Cluster;
use super::cluster::Admin;

/// Nothing that a broker does lasts longer in a test.
const WAIT_MAX: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(10);

/// A topic of its own for a test. It stays until its cluster ends.
pub(crate) struct Topic<'c> {
    cluster: &'c Cluster,
    name: String,
    partitions: i32,
    copies: i32,
    settings: Vec<(String, String)>,
}

/// A record to produce.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Record {
    pub(crate) partition: i32,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    /// The time of producing unless given.
    pub(crate) timestamp_ms: Option<i64>,
}

impl Record {
    /// A record without a key, headers and a time.
    pub(crate) fn new(partition: i32, value: impl Into<Vec<u8>>) -> Self {
        Self {
            partition,
            value: Some(value.into()),
            ..Self::default()
        }
    }

    /// What deletes a key in a compacted topic.
    pub(crate) fn tombstone(partition: i32, key: impl Into<Vec<u8>>) -> Self {
        Self {
            partition,
            key: Some(key.into()),
            ..Self::default()
        }
    }

    /// The same with a key.
    pub(crate) fn key(self, key: impl Into<Vec<u8>>) -> Self {
        Self {
            key: Some(key.into()),
            ..self
        }
    }

    /// The same with another header.
    pub(crate) fn header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// The same with a time.
    pub(crate) fn at(self, timestamp_ms: i64) -> Self {
        Self {
            timestamp_ms: Some(timestamp_ms),
            ..self
        }
    }

    /// What the topic has of it, at an offset. The record must have a time.
    pub(crate) fn stored(self, offset: i64) -> Stored {
        Stored {
            partition: self.partition,
            offset,
            key: self.key,
            value: self.value,
            headers: self.headers,
            timestamp_ms: self.timestamp_ms.unwrap(),
        }
    }
}

/// A record as the topic has it.
#[derive(Clone, PartialEq)]
pub(crate) struct Stored {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) timestamp_ms: i64,
}

impl Stored {
    /// The value as text, of which a tombstone has none.
    pub(crate) fn text(&self) -> &str {
        str::from_utf8(self.value.as_deref().unwrap_or_default()).unwrap()
    }
}

/// Shows bytes as text, as what tests produce mostly is.
impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = |bytes: &[u8]| bytes.escape_ascii().to_string();
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| (name, bytes(value)));
        f.debug_struct("Stored")
            .field("partition", &self.partition)
            .field("offset", &self.offset)
            .field("key", &self.key.as_deref().map(bytes))
            .field("value", &self.value.as_deref().map(bytes))
            .field("headers", &headers.collect::<Vec<_>>())
            .field("timestamp_ms", &self.timestamp_ms)
            .finish()
    }
}

/// So many copies of a partition as the cluster makes unless told.
const AS_THE_CLUSTER_SAYS: i32 = -1;

impl Cluster {
    /// A new topic, whose name begins with a prefix. Each partition has as many copies as the
    /// cluster's default says.
    pub(crate) fn topic(&self, prefix: &str, partitions: i32) -> Topic<'_> {
        self.topic_with(prefix, partitions, &[])
    }

    /// The same with settings such as `("cleanup.policy", "compact")`.
    pub(crate) fn topic_with(
        &self,
        prefix: &str,
        partitions: i32,
        settings: &[(&str, &str)],
    ) -> Topic<'_> {
        self.topic_of(prefix, partitions, AS_THE_CLUSTER_SAYS, settings)
    }

    /// The same with one copy of each partition: while its broker is away, nobody leads it.
    pub(crate) fn topic_of_one_copy(&self, prefix: &str, partitions: i32) -> Topic<'_> {
        self.topic_of(prefix, partitions, 1, &[("min.insync.replicas", "1")])
    }

    fn topic_of(
        &self,
        prefix: &str,
        partitions: i32,
        copies: i32,
        settings: &[(&str, &str)],
    ) -> Topic<'_> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let settings = settings
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let name = format!("{prefix}-{}-{number}", process::id());
        let topic = Topic {
            cluster: self,
            name,
            partitions,
            copies,
            settings,
        };
        topic.create();
        topic
    }
}

impl Topic<'_> {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Deletes the topic and waits until the brokers know nothing of it.
    pub(crate) fn delete(&self) {
        done(&block_on(self.admin().delete_topics(&[&self.name], &options())).unwrap());
        self.await_partitions(0);
    }

    /// Deletes the topic, and makes an empty one of the same name.
    pub(crate) fn recreate(&self) {
        self.delete();
        self.create();
    }

    /// Adds partitions, so that there are so many.
    pub(crate) fn grow(&mut self, partitions: i32) {
        let count = usize::try_from(partitions).unwrap();
        let more = NewPartitions::new(&self.name, count);
        done(&block_on(self.admin().create_partitions([&more], &options())).unwrap());
        self.partitions = partitions;
        self.await_partitions(count);
    }

    /// Deletes the records of a partition that come before an offset.
    pub(crate) fn delete_records(&self, partition: i32, before: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.name, partition, Offset::Offset(before))
            .unwrap();
        let deleted = block_on(self.admin().delete_records(&list, &options())).unwrap();
        deleted.elements()[0].error().unwrap();
    }

    /// Produces records, and waits until the brokers have them.
    pub(crate) fn produce(&self, records: &[Record]) {
        self.produce_with(records, &[]);
    }

    /// The same with settings of the producer, such as `("compression.type", "zstd")`.
    pub(crate) fn produce_with(&self, records: &[Record], settings: &[(&str, &str)]) {
        self.send(&self.producer(settings), records);
    }

    /// Produces records in a transaction, and waits until the brokers have them. They are to be
    /// committed or aborted. If they are not, the transaction stays open for a minute.
    pub(crate) fn transaction(&self, records: &[Record]) -> Transaction<'_> {
        static BEGUN: AtomicU32 = AtomicU32::new(0);
        let id = format!("{}-{}", self.name, BEGUN.fetch_add(1, Ordering::Relaxed));
        let producer = self.producer(&[("transactional.id", &id)]);
        producer.init_transactions(WAIT_MAX).unwrap();
        producer.begin_transaction().unwrap();
        self.send(&producer, records);
        Transaction {
            topic: self,
            id,
            producer,
        }
    }

    /// Everything that consumers see that read what is committed, by partition and offset.
    pub(crate) fn read_committed(&self) -> Vec<Stored> {
        self.read("read_committed")
    }

    /// The same as [`read_committed`](Self::read_committed), once no transaction is open: partitions are
    /// marked shortly after a commit has returned.
    pub(crate) fn read_settled(&self) -> Vec<Stored> {
        self.await_settled();
        self.read_committed()
    }

    /// Waits until no transaction is open.
    pub(crate) fn await_settled(&self) {
        let [committed, all] = self.cluster.ends();
        let end = |client: &BaseConsumer, partition| {
            let ends = client.fetch_watermarks(&self.name, partition, WAIT_MAX);
            ends.unwrap().1
        };
        let deadline = Instant::now() + WAIT_MAX;
        for partition in 0..self.partitions {
            // In this order, for what comes in between is not to be taken for what is open.
            while end(committed, partition) < end(all, partition) {
                assert!(
                    Instant::now() < deadline,
                    "{}: a transaction stays open",
                    self.name
                );
                thread::sleep(LOOK);
            }
        }
    }

    /// Everything that the topic has, by partition and offset.
    pub(crate) fn read_uncommitted(&self) -> Vec<Stored> {
        self.read("read_uncommitted")
    }

    /// The same as [`read_committed`](Self::read_committed) by the console consumer of Kafka, whose
    /// client is another one than ours. It waits some seconds for more records before it ends.
    pub(crate) fn console_consume(&self) -> Vec<Stored> {
        super::console::consume(self.cluster, &self.name)
    }

    fn create(&self) {
        let mut topic = NewTopic::new(
            &self.name,
            self.partitions,
            TopicReplication::Fixed(self.copies),
        );
        for (name, value) in &self.settings {
            topic = topic.set(name, value);
        }
        done(&block_on(self.admin().create_topics([&topic], &options())).unwrap());
        self.await_partitions(usize::try_from(self.partitions).unwrap());
    }

    fn admin(&self) -> &Admin {
        self.cluster.admin()
    }

    /// Waits until a broker knows so many partitions, and who leads them. It learns of them from the
    /// controller a moment after they are made.
    fn await_partitions(&self, count: usize) {
        let admin = self.admin();
        let deadline = Instant::now() + WAIT_MAX;
        loop {
            let metadata = admin
                .inner()
                .fetch_metadata(Some(&self.name), WAIT_MAX)
                .unwrap();
            let partitions = metadata.topics()[0].partitions();
            if partitions.len() == count
                && partitions.iter().all(|partition| partition.leader() >= 0)
            {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{} has {} partitions, not {count}",
                self.name,
                partitions.len()
            );
            thread::sleep(LOOK);
        }
    }

    fn producer(&self, settings: &[(&str, &str)]) -> BaseProducer<Deliveries> {
        let mut config = self.cluster.observer();
        config.set("linger.ms", "1");
        for &(name, value) in settings {
            config.set(name, value);
        }
        BaseProducer::from_config_and_context(&config, Deliveries::default()).unwrap()
    }

    fn send(&self, producer: &BaseProducer<Deliveries>, records: &[Record]) {
        for record in records {
            let mut wanted = record.to(&self.name);
            while let Err((error, back)) = producer.send(wanted) {
                assert_eq!(
                    error.rdkafka_error_code(),
                    Some(RDKafkaErrorCode::QueueFull),
                    "{error}"
                );
                producer.poll(LOOK);
                wanted = back;
            }
        }
        producer.flush(WAIT_MAX).unwrap();
        assert_eq!(*producer.context().failed.lock().unwrap(), None);
    }

    fn read(&self, isolation: &str) -> Vec<Stored> {
        let mut config = self.cluster.observer();
        // The client asks for a group, which it neither joins nor commits to.
        config
            .set("group.id", "observer")
            .set("enable.auto.commit", "false");
        config
            .set("enable.partition.eof", "true")
            .set("isolation.level", isolation);
        // At the end of a partition, a broker waits so long for more before it says that it is the end.
        config.set("fetch.wait.max.ms", "10");
        let consumer: BaseConsumer = config.create().unwrap();
        // Else the client asks for it half a second later.
        consumer.fetch_metadata(Some(&self.name), WAIT_MAX).unwrap();
        let mut list = TopicPartitionList::new();
        for partition in 0..self.partitions {
            list.add_partition_offset(&self.name, partition, Offset::Beginning)
                .unwrap();
        }
        consumer.assign(&list).unwrap();

        let mut unread: BTreeSet<i32> = (0..self.partitions).collect();
        let mut stored = Vec::new();
        let mut last_error = None;
        let deadline = Instant::now() + WAIT_MAX;
        while !unread.is_empty() {
            match consumer.poll(LOOK) {
                None => {}
                Some(Ok(message)) => stored.push(Stored::from(&message)),
                Some(Err(KafkaError::PartitionEOF(partition))) => drop(unread.remove(&partition)),
                // A broker may be away for a moment, or not know of the topic yet.
                Some(Err(error)) => last_error = Some(error),
            }
            assert!(
                Instant::now() < deadline,
                "{}: partitions {unread:?} came to no end: {last_error:?}",
                self.name
            );
        }
        // It takes its time to leave.
        thread::spawn(move || drop(consumer));
        stored.sort_by_key(|record| (record.partition, record.offset));
        stored
    }
}

/// A transaction whose records the brokers have.
pub(crate) struct Transaction<'t> {
    topic: &'t Topic<'t>,
    id: String,
    producer: BaseProducer<Deliveries>,
}

impl Transaction<'_> {
    /// Commits, and waits until every partition is marked.
    pub(crate) fn commit(self) {
        self.producer.commit_transaction(WAIT_MAX).unwrap();
        self.await_marks();
    }

    /// Aborts, and waits until every partition is marked.
    pub(crate) fn abort(self) {
        self.producer.abort_transaction(WAIT_MAX).unwrap();
        self.await_marks();
    }

    /// A transaction has ended for its producer before the partitions are marked. The id is not given
    /// to another producer until they are.
    fn await_marks(&self) {
        let next = self.topic.producer(&[("transactional.id", &self.id)]);
        next.init_transactions(WAIT_MAX).unwrap();
    }
}

/// What went wrong first with the records of a producer.
#[derive(Default)]
struct Deliveries {
    failed: Mutex<Option<KafkaError>>,
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            self.failed.lock().unwrap().get_or_insert(error.clone());
        }
    }
}

impl Record {
    fn to<'a>(&'a self, topic: &'a str) -> BaseRecord<'a, [u8], [u8]> {
        let mut record = BaseRecord::to(topic).partition(self.partition);
        record.key = self.key.as_deref();
        record.payload = self.value.as_deref();
        record.timestamp = self.timestamp_ms;
        for (key, value) in &self.headers {
            let headers = record.headers.take().unwrap_or_else(OwnedHeaders::new);
            record.headers = Some(headers.insert(Header {
                key,
                value: Some(value),
            }));
        }
        record
    }
}

impl<M: Message> From<&M> for Stored {
    fn from(message: &M) -> Self {
        let headers = message.headers().into_iter().flat_map(Headers::iter);
        Self {
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers: headers
                .map(|header| {
                    (
                        header.key.to_owned(),
                        header.value.unwrap_or_default().to_vec(),
                    )
                })
                .collect(),
            timestamp_ms: message.timestamp().to_millis().unwrap(),
        }
    }
}

fn options() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(WAIT_MAX))
        .operation_timeout(Some(WAIT_MAX))
}

/// Asserts that an administrative request has succeeded.
fn done(results: &[TopicResult]) {
    for result in results {
        assert!(result.is_ok(), "{result:?}");
    }
}
