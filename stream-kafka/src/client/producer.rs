//! A producer that counts what it has sent and what was acknowledged.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::metadata::MetadataTopic;
use rdkafka::producer::{BaseProducer, DeliveryResult, Producer as _, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use stream_core::Problem;

use super::batch::Batch;
use super::bounded::{REQUEST_WAIT, leave, within};
use super::context::Context;
use super::explain;
use super::queue::Failure;
use super::raw;
use super::send::{Scratch, TopicHandle, send};
use super::topics::{self, NewTopic};
use crate::config::ClientSettings;

/// How long a producer that waits for the brokers sleeps between two looks. To poll for so long would keep a
/// processor busy: the client library counts in whole milliseconds, and takes what is left of one for none.
const LOOK: Duration = Duration::from_micros(200);

/// How long to listen to what a client that has failed has to tell: more than one thing, mostly.
const HEAR_WAIT: Duration = Duration::from_millis(20);

/// How much longer than it was told to the client may take for a request.
const LATE_MAX: Duration = Duration::from_millis(500);

/// Writes to one topic.
pub(crate) struct Producer {
    /// There until it is dropped. The topic goes before the client.
    topic: Option<TopicHandle>,
    client: Option<BaseProducer<Tally>>,
    tally: Tally,
    name: String,
}

/// Counts, by the mark that records are sent with, those that are not yet acknowledged. Clones are one.
#[derive(Clone, Default)]
pub(crate) struct Tally {
    counts: Arc<Mutex<Counts>>,
    context: Context,
}

#[derive(Default)]
struct Counts {
    open: BTreeMap<usize, usize>,
    /// Of how many records it was ever heard what became of them.
    heard: u64,
    failed: Option<Failure>,
}

impl Tally {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, mark: usize, records: usize) {
        *self.counts().open.entry(mark).or_default() += records;
    }
}

impl fmt::Debug for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tally")
    }
}

impl ClientContext for Tally {
    fn log(&self, level: RDKafkaLogLevel, kind: &str, line: &str) {
        self.context.log(level, kind, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.context.error(error, reason);
    }
}

impl ProducerContext for Tally {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, mark: usize) {
        let mut counts = self.counts();
        counts.heard += 1;
        if let Some(open) = counts.open.get_mut(&mark) {
            *open -= 1;
            if *open == 0 {
                counts.open.remove(&mark);
            }
        }
        if let Err((error, message)) = result
            && counts.failed.is_none()
        {
            let code = error
                .rdkafka_error_code()
                .unwrap_or(RDKafkaErrorCode::Unknown);
            let text = format!("{code}, for a record of partition {}", message.partition());
            counts.failed = Some(Failure { code, text });
        }
    }
}

impl Producer {
    /// Makes a producer for a topic that is there, or is made now. Waits so long for brokers that do not
    /// answer.
    pub(crate) fn new(
        config: &ClientSettings,
        topic: &str,
        create: Option<&NewTopic>,
        wait: Duration,
        context: Context,
    ) -> Result<Self, Problem> {
        let tally = Tally {
            context,
            ..Tally::default()
        };
        let failed = || Problem::new(format!("cannot set up a producer for the topic `{topic}`"));
        let client: BaseProducer<Tally> = config
            .create(tally.clone())
            .map_err(|error| explain::because_error(failed(), &error, None))?;
        find_topic(config, &client, &tally.context, topic, create, wait)?;
        let handle = TopicHandle::new(client.client(), topic)?;
        Ok(Producer {
            topic: Some(handle),
            client: Some(client),
            tally,
            name: topic.to_owned(),
        })
    }

    fn client(&self) -> &BaseProducer<Tally> {
        self.client.as_ref().expect("there until it is dropped")
    }

    /// Sends a batch, under a mark; waits where too much is under way, as long as `goes_on`.
    pub(crate) fn send(
        &self,
        batch: &Batch,
        mark: usize,
        scratch: &mut Scratch,
        mut goes_on: impl FnMut() -> bool,
    ) -> Result<(), Failure> {
        let topic = self.topic.as_ref().expect("there until it is dropped");
        if batch.is_empty() {
            return Ok(());
        }
        self.tally.count(mark, batch.len());
        let mut next = 0;
        while next < batch.len() {
            let (sent, error) = send(self.client().client(), topic, batch, next, mark, scratch);
            next += sent;
            match error {
                None => {}
                // There is room for no more than this one record, and it does not fit.
                Some(RDKafkaErrorCode::QueueFull) if self.client().in_flight_count() == 0 => {
                    return Err(Failure::of(RDKafkaErrorCode::MessageSizeTooLarge));
                }
                Some(RDKafkaErrorCode::QueueFull) if goes_on() => {
                    self.hear_or_sleep();
                    self.check()?;
                }
                Some(code) => return Err(Failure::of(code)),
            }
        }
        Ok(())
    }

    /// Hears what was acknowledged, without waiting.
    pub(crate) fn hear(&self) -> Result<(), Failure> {
        self.client().poll(Duration::ZERO);
        self.check()
    }

    /// Waits until everything that was sent under a mark or one before it is acknowledged, as long as
    /// `goes_on`. The client itself gives up on a record after `message.timeout.ms`.
    pub(crate) fn wait(
        &self,
        mark: usize,
        mut goes_on: impl FnMut() -> bool,
    ) -> Result<(), Failure> {
        loop {
            self.check()?;
            let first_open = self.tally.counts().open.keys().next().copied();
            if first_open.is_none_or(|open| open > mark) {
                return Ok(());
            }
            if !goes_on() {
                return Err(Failure::of(RDKafkaErrorCode::Interrupted));
            }
            self.hear_or_sleep();
        }
    }

    /// Hears what was acknowledged, and sleeps a moment where that was nothing.
    fn hear_or_sleep(&self) {
        let heard = self.tally.counts().heard;
        self.client().poll(Duration::ZERO);
        if self.tally.counts().heard == heard {
            thread::sleep(LOOK);
        }
    }

    fn check(&self) -> Result<(), Failure> {
        self.tally.counts().failed.clone().map_or(Ok(()), Err)
    }

    /// Tells a failure as help.
    pub(crate) fn explain(&self, failure: &Failure) -> Problem {
        let problem = Problem::new(format!("cannot write to the topic `{}`", self.name));
        explain::because(problem, &failure.text)
    }

    pub(crate) fn init_transactions(&self, wait: Duration) -> Result<(), KafkaError> {
        let started = Instant::now();
        loop {
            match self
                .client()
                .init_transactions(wait.saturating_sub(started.elapsed()))
            {
                Err(KafkaError::Transaction(error))
                    if error.is_retriable() && started.elapsed() < wait => {}
                done => return done,
            }
        }
    }

    pub(crate) fn begin_transaction(&self) -> Result<(), KafkaError> {
        self.client().begin_transaction()
    }

    /// Adds to the transaction that a group is at this place. Where that fails, the producer may still be
    /// at it, and is to be given up.
    pub(crate) fn send_marker(
        self: &Arc<Self>,
        group: &Group,
        marker: &Marker,
        wait: Duration,
    ) -> Result<(), KafkaError> {
        let mut offsets = TopicPartitionList::with_capacity(1);
        let mut place = offsets.add_partition(&self.name, MARKER_PARTITION);
        place.set_offset(offset(marker.checkpoint))?;
        place.set_metadata(&marker.run);
        let metadata = group.client().group_metadata();
        let metadata = metadata.ok_or(KafkaError::AdminOp(RDKafkaErrorCode::UnknownGroup))?;
        // While no broker can be reached, the client forgets the time that it was given.
        let producer = self.clone();
        let sent = within(wait + LATE_MAX, "kafka-marker", move || {
            let client = producer.client();
            client.send_offsets_to_transaction(&offsets, &metadata, wait)
        });
        sent.unwrap_or(Err(KafkaError::AdminOp(
            RDKafkaErrorCode::OperationTimedOut,
        )))
    }

    pub(crate) fn commit_transaction(&self, wait: Duration) -> Result<(), KafkaError> {
        self.client().commit_transaction(wait)
    }

    /// The error that the client has told last, if it did since then.
    pub(crate) fn error_since(&self, time: Instant) -> Option<String> {
        self.tally.context.error_since(time)
    }
}

impl Drop for Producer {
    /// What is not acknowledged by now does not count.
    fn drop(&mut self) {
        // The topic goes before the client.
        leave((self.topic.take(), self.client.take()));
    }
}

/// Makes sure that the topic is there.
fn find_topic(
    config: &ClientSettings,
    client: &BaseProducer<Tally>,
    context: &Context,
    topic: &str,
    create: Option<&NewTopic>,
    wait: Duration,
) -> Result<(), Problem> {
    let failed = || Problem::new(format!("cannot write to the topic `{topic}`"));
    let started = Instant::now();
    let bootstrap = config.get("bootstrap.servers").unwrap_or_default();
    let (mut is_made, mut is_known) = (false, false);
    let mut patience = explain::FIRST_WAIT;
    loop {
        let left = wait.saturating_sub(started.elapsed());
        let asked = client.client();
        let mut found = asked.fetch_metadata(Some(topic), left.min(patience));
        if is_known && found.is_ok() {
            // One that leads is asked itself: only it knows whether it can be reached at its address.
            let end = asked.fetch_watermarks(topic, MARKER_PARTITION, left.min(patience));
            found = end.and(found);
        }
        if found.is_err() {
            client.poll(HEAR_WAIT); // what has gone wrong is heard here
        }
        patience = (2 * patience).min(REQUEST_WAIT);
        let is_late = started.elapsed() >= wait;
        let code = match &found {
            Ok(metadata) => metadata.topics().first().and_then(MetadataTopic::error),
            Err(error) if is_late || context.is_hopeless(started, bootstrap) => {
                let told = context.error_since(started);
                return Err(explain::because_error(failed(), error, told));
            }
            Err(_) => {
                thread::sleep(LOOK);
                continue;
            }
        };
        match (code.map(RDKafkaErrorCode::from), create) {
            (None, _) if is_known => return Ok(()),
            // Once more: the first answer came over the connection of the bootstrap, which is given up
            // when it comes. That of the broker itself makes the client ask for the id without which an
            // idempotent producer sends nothing; it would else be asked for after half a second.
            (None, _) => is_known = true,
            (Some(RDKafkaErrorCode::UnknownTopicOrPartition), Some(new)) if !is_made => {
                topics::make(config, topic, new)?;
                is_made = true;
            }
            (Some(RDKafkaErrorCode::UnknownTopicOrPartition), None) => {
                return Err(topics::unknown(topic, "say `.create_topic(…)` on the sink"));
            }
            (Some(code), _) if is_late || explain::is_lasting(code) => {
                return Err(explain::because(failed(), &code.to_string()));
            }
            _ => thread::sleep(LOOK),
        }
    }
}

/// Which partition of the sink's topic the group names for its marker.
const MARKER_PARTITION: i32 = 0;

fn offset(marker: u64) -> Offset {
    Offset::Offset(i64::try_from(marker).unwrap_or(i64::MAX))
}

/// What a sink keeps with the brokers of what it has committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Marker {
    pub(crate) checkpoint: u64,
    /// Which run of the job has written it.
    pub(crate) run: String,
}

/// The consumer group under which a sink keeps its marker; nobody joins it.
pub(crate) struct Group(Option<BaseConsumer<Context>>);

impl Group {
    pub(crate) fn new(config: &ClientSettings) -> Result<Self, KafkaError> {
        let client = config.create(Context::default())?;
        Ok(Group(Some(client)))
    }

    fn client(&self) -> &BaseConsumer<Context> {
        self.0.as_ref().expect("there until it is dropped")
    }

    /// The marker that was committed last, if one is known.
    pub(crate) fn marker(&self, topic: &str, wait: Duration) -> Result<Option<Marker>, KafkaError> {
        let mut asked = TopicPartitionList::with_capacity(1);
        asked.add_partition(topic, MARKER_PARTITION);
        let known = self.client().committed_offsets(asked, wait);
        let list = known.map_err(|error| self.refusal().unwrap_or(error))?;
        let Some(known) = list.find_partition(topic, MARKER_PARTITION) else {
            return Ok(None);
        };
        // A partition of which nothing can be told is not one without a marker.
        known.error()?;
        let run = raw::metadata(&list, 0);
        Ok(match known.offset() {
            Offset::Offset(offset) => u64::try_from(offset)
                .ok()
                .map(|checkpoint| Marker { checkpoint, run }),
            _ => None,
        })
    }
}

impl Group {
    /// Why the brokers let nobody ask for the group, if they have said so: the client library then asks on.
    fn refusal(&self) -> Option<KafkaError> {
        let started = Instant::now();
        while started.elapsed() < HEAR_WAIT {
            if let Some(Err(error)) = self.client().poll(HEAR_WAIT)
                && error.rdkafka_error_code() == Some(RDKafkaErrorCode::GroupAuthorizationFailed)
            {
                return Some(error);
            }
        }
        None
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        leave(self.0.take());
    }
}
