//! How the driver and the bare program talk to the broker.

use std::error::Error;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::Mode;

/// How many partitions each topic has.
pub(super) const PARTITIONS: i32 = 4;
/// How long the broker may take for an answer, to make or remove a topic, or to take what was sent.
pub(super) const ANSWER_MAX: Duration = Duration::from_secs(60);

/// Microseconds of the wall clock.
pub(super) fn now_us() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap_or_default().as_micros() as i64
}

fn config(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap);
    config.set_log_level(RDKafkaLogLevel::Error);
    config
}

/// A consumer that gets each record at once, and has enough of them at hand when there are many.
pub(super) fn consumer(bootstrap: &str, mode: Mode) -> ClientConfig {
    let isolation = match mode {
        Mode::Alo => "read_uncommitted",
        Mode::Eo => "read_committed",
    };
    let mut config = config(bootstrap);
    config
        .set("group.id", "benches") // asked for, though nobody joins it
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("isolation.level", isolation)
        .set("fetch.min.bytes", "1")
        .set("fetch.wait.max.ms", "100")
        .set("fetch.queue.backoff.ms", "1")
        .set("fetch.error.backoff.ms", "10"); // where a topic is new, the first fetch may fail
    config
}

/// A producer that knows where a topic is. More than 5 requests in flight, the default, overrun the broker
/// where nothing lingers. One that is idempotent keeps the order when it has to send again, too, but waits
/// for half a second before its first record, by a timer of the client's.
pub(super) fn producer(
    bootstrap: &str,
    topic: &str,
    linger_ms: u32,
    is_idempotent: bool,
) -> Result<BaseProducer, KafkaError> {
    let producer: BaseProducer = config(bootstrap)
        .set("partitioner", "murmur2_random")
        .set("enable.idempotence", is_idempotent.to_string())
        .set("max.in.flight.requests.per.connection", "5")
        .set("linger.ms", linger_ms.to_string())
        .set("queue.buffering.max.messages", "1000000")
        .set("delivery.report.only.error", "true")
        .create()?;
    producer.client().fetch_metadata(Some(topic), ANSWER_MAX)?;
    Ok(producer)
}

/// Sends a record; where the queue is full, waits until there is room.
#[inline]
pub(super) fn send(
    producer: &BaseProducer,
    topic: &str,
    key: &[u8],
    payload: &[u8],
) -> Result<(), KafkaError> {
    let mut record = BaseRecord::to(topic).key(key).payload(payload);
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                record = back;
                producer.poll(Duration::from_millis(1));
            }
            Err((error, _)) => return Err(error),
        }
    }
}

/// Waits until the broker has all that was sent.
pub(super) fn flush(producer: &BaseProducer) -> Result<(), Box<dyn Error>> {
    let begun = Instant::now();
    while producer.in_flight_count() > 0 {
        if begun.elapsed() > ANSWER_MAX {
            return Err("the broker does not take what was sent".into());
        }
        producer.poll(Duration::from_millis(1));
    }
    Ok(())
}

/// Removes a topic, if it is there, and makes it again, empty.
pub(super) fn renew_topic(bootstrap: &str, topic: &str) -> Result<(), Box<dyn Error>> {
    let admin: AdminClient<DefaultClientContext> = config(bootstrap).create()?;
    let options = AdminOptions::new().request_timeout(Some(ANSWER_MAX));
    let begun = Instant::now();
    loop {
        match block_on(admin.delete_topics(&[topic], &options))?.as_slice() {
            [Ok(_)] => {}
            [Err((_, RDKafkaErrorCode::UnknownTopicOrPartition))] => break,
            other => return Err(format!("topic {topic} cannot be removed: {other:?}").into()),
        }
        if begun.elapsed() > ANSWER_MAX {
            return Err(format!("topic {topic} does not go away").into());
        }
    }
    let new = NewTopic::new(topic, PARTITIONS, TopicReplication::Fixed(-1));
    match block_on(admin.create_topics([&new], &options))?.as_slice() {
        [Ok(_)] => {}
        other => return Err(format!("topic {topic} cannot be made: {other:?}").into()),
    }
    while !is_led(&admin, topic)? {
        if begun.elapsed() > ANSWER_MAX {
            return Err(format!("topic {topic} gets no leaders").into());
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Whether all partitions of a topic have a leader.
fn is_led(admin: &AdminClient<DefaultClientContext>, topic: &str) -> Result<bool, KafkaError> {
    let metadata = admin.inner().fetch_metadata(Some(topic), ANSWER_MAX)?;
    Ok(metadata.topics().iter().any(|topic| {
        let led = topic
            .partitions()
            .iter()
            .filter(|partition| partition.leader() >= 0);
        led.count() == PARTITIONS as usize
    }))
}

/// Waits for an answer. A thread of the client's own brings it, so looking now and then is enough.
fn block_on<T>(answer: impl Future<Output = T>) -> T {
    let mut answer = pin!(answer);
    loop {
        match answer
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready(answer) => return answer,
            Poll::Pending => thread::sleep(Duration::from_millis(1)),
        }
    }
}
