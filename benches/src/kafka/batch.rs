//! Consumes in batches, by librdkafka's own call for it, which takes half the CPU time of polling for each
//! record and allocates nothing. The safe interface has no such call, hence this module.
//!
//! The call waits until the batch is full or the time is up, whatever has come meanwhile. So it is made
//! without waiting first; only when nothing is there, it waits for one record.
#![allow(unsafe_code)]

use std::ptr::{self, NonNull};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::{Offset, TopicPartitionList};
use rdkafka_sys::{self as sys, rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR};

use super::client::{ANSWER_MAX, PARTITIONS};

/// How many records a batch has at most; more are no faster.
const BATCH: usize = 256;

/// Consumes all partitions of a topic from the beginning.
pub(super) struct Batches {
    queue: NonNull<sys::rd_kafka_queue_t>,
    batch: [*mut sys::rd_kafka_message_t; BATCH],
    /// Owns what the queue belongs to, so it goes last.
    _consumer: BaseConsumer,
}

impl Batches {
    pub(super) fn new(config: &ClientConfig, topic: &str) -> KafkaResult<Self> {
        let consumer: BaseConsumer = config.create()?;
        // Else the assignment may wait for half a second until the client looks for the leaders again.
        consumer.fetch_metadata(Some(topic), ANSWER_MAX)?;
        let mut partitions = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            partitions.add_partition_offset(topic, partition, Offset::Offset(0))?;
        }
        consumer.assign(&partitions)?;
        // SAFETY: the client is alive; it has a queue, for it has a group.
        let queue = unsafe { sys::rd_kafka_queue_get_consumer(consumer.client().native_ptr()) };
        Ok(Batches {
            queue: NonNull::new(queue).ok_or(KafkaError::Canceled)?,
            batch: [ptr::null_mut(); BATCH],
            _consumer: consumer,
        })
    }

    /// Takes what is there, by key and payload; waits for a record if there is none. Gives their number.
    ///
    /// # Errors
    ///
    /// The first error that is among them; the client itself tries again after most.
    pub(super) fn poll(
        &mut self,
        wait: Duration,
        mut take: impl FnMut(&[u8], &[u8]),
    ) -> KafkaResult<usize> {
        let found = match self.consume(Duration::ZERO, BATCH) {
            0 => self.consume(wait, 1),
            found => found,
        };
        let mut error = None;
        for &message in &self.batch[..found] {
            // SAFETY: the call has filled in so many valid messages, which are ours until destroyed.
            unsafe {
                match (*message).err {
                    RD_KAFKA_RESP_ERR_NO_ERROR => take(
                        bytes((*message).key, (*message).key_len),
                        bytes((*message).payload, (*message).len),
                    ),
                    code => drop(error.get_or_insert(KafkaError::MessageConsumption(code.into()))),
                }
                sys::rd_kafka_message_destroy(message);
            }
        }
        error.map_or(Ok(found), Err)
    }

    fn consume(&mut self, wait: Duration, records_max: usize) -> usize {
        let wait_ms = wait.as_millis() as i32;
        // SAFETY: the queue is alive, and the batch has room for so many.
        let found = unsafe {
            sys::rd_kafka_consume_batch_queue(
                self.queue.as_ptr(),
                wait_ms,
                self.batch.as_mut_ptr(),
                records_max.min(BATCH),
            )
        };
        found.max(0) as usize
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        // SAFETY: nothing else has this queue.
        unsafe { sys::rd_kafka_queue_destroy(self.queue.as_ptr()) }
    }
}

/// # Safety
///
/// What is pointed to, if anything, has so many bytes that live as long as the result is used.
unsafe fn bytes<'a>(start: *const std::ffi::c_void, len: usize) -> &'a [u8] {
    match start.is_null() {
        true => &[],
        // SAFETY: as the caller promises.
        false => unsafe { std::slice::from_raw_parts(start.cast(), len) },
    }
}
