//! The queue of one partition, read in batches: one of the two modules of this crate with unsafe code.
//!
//! Why not the safe way: `BaseConsumer::poll` makes an event and a reference count a message, and
//! loses the partition of an error. The batch call of the client library does neither, and takes less
//! than half the time a record.
//!
//! ```text
//! a thread of the client library: fetch ──► queue of the partition ──► worker: batch, decode, release
//!                                              └─ no longer empty: wakes the worker
//! ```
//!
//! The worker that owns a partition takes messages right out of its queue, so that a record is neither
//! copied nor handed over by a thread in between, and the library's own bound on a queue holds back
//! exactly the partition that is read too slowly. A message pins the buffer that it was fetched with;
//! it is released as soon as it is decoded.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_void};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::Arc;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka_sys as sys;
use stream_core::Problem;
use stream_core::io::Waker;

use super::context::Context;

/// How many messages are taken out of a queue by one call. More would not make it faster.
const BATCH_MAX: usize = 256;

/// The messages of one partition, in the order of their offsets.
pub(crate) struct PartitionQueue {
    queue: NonNull<sys::rd_kafka_queue_t>,
    /// What has been taken and not yet been looked at: those from `next` on.
    taken: Vec<NonNull<sys::rd_kafka_message_t>>,
    next: usize,
    /// Called by the library's threads, so it must not move.
    waker: NonNull<Waker>,
    /// Declared last: the queue must go before the client.
    _consumer: Arc<BaseConsumer<Context>>,
}

// SAFETY: the library's queues and messages may be used from any thread, one at a time.
unsafe impl Send for PartitionQueue {}

/// What comes out of a queue.
pub(crate) enum Event<'a> {
    Message(Message<'a>),
    /// There is nothing behind this offset for now.
    End(i64),
    Failed(Failure),
}

/// An error of one partition.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) code: RDKafkaErrorCode,
    pub(crate) text: String,
}

impl Failure {
    pub(crate) fn of(code: RDKafkaErrorCode) -> Self {
        let text = code.to_string();
        Failure { code, text }
    }
}

/// A message that still lies in the buffer that it was fetched with.
#[derive(Clone, Copy)]
pub(crate) struct Message<'a> {
    raw: NonNull<sys::rd_kafka_message_t>,
    lives: PhantomData<&'a ()>,
}

impl PartitionQueue {
    /// Takes the messages of a partition out of the client's common queue. To be called before the
    /// partition is assigned, or its first messages go there.
    pub(crate) fn open(
        consumer: Arc<BaseConsumer<Context>>,
        topic: &str,
        partition: i32,
        waker: Waker,
    ) -> Result<Self, Problem> {
        let name = CString::new(topic)
            .map_err(|_| Problem::new(format!("`{topic}` is no name of a topic")))?;
        let client = consumer.client().native_ptr();
        // SAFETY: the client lives as long as `consumer`, which the queue keeps.
        let queue = unsafe { sys::rd_kafka_queue_get_partition(client, name.as_ptr(), partition) };
        let queue = NonNull::new(queue)
            .ok_or_else(|| Problem::new(format!("partition {partition} has no queue")))?;
        // SAFETY: the queue is alive until `drop`. Forwarding to nowhere detaches it from the common queue.
        unsafe {
            sys::rd_kafka_queue_forward(queue.as_ptr(), ptr::null_mut());
        }
        let waker = NonNull::from(Box::leak(Box::new(waker)));
        // SAFETY: the waker lives until `drop`, which first disables the event.
        unsafe {
            let opaque = waker.as_ptr().cast::<c_void>();
            sys::rd_kafka_queue_cb_event_enable(queue.as_ptr(), Some(wake), opaque);
        }
        Ok(PartitionQueue {
            queue,
            taken: Vec::with_capacity(BATCH_MAX),
            next: 0,
            waker,
            _consumer: consumer,
        })
    }

    /// Shows at most `max` events to `each` and releases each of them, until that says to stop; it
    /// never waits. Gives how many it has shown; none means that the queue is empty.
    pub(crate) fn read(&mut self, max: usize, mut each: impl FnMut(Event<'_>) -> Flow) -> usize {
        let mut shown = 0;
        while shown < max {
            if self.next == self.taken.len() && self.take(max - shown) == 0 {
                break;
            }
            let message = Released(self.taken[self.next]);
            self.next += 1;
            shown += 1;
            if let Flow::Stop = each(message.event()) {
                break;
            }
        }
        shown
    }

    /// Takes a batch; the one before must have been used up.
    fn take(&mut self, max: usize) -> usize {
        self.taken.clear();
        self.next = 0;
        let room = max.min(BATCH_MAX);
        // SAFETY: there is room for that many pointers, and as many as the call says are written.
        // A timeout of 0 never waits. `NonNull` has the layout of a pointer, and none is null.
        unsafe {
            let into = self
                .taken
                .as_mut_ptr()
                .cast::<*mut sys::rd_kafka_message_t>();
            let count = sys::rd_kafka_consume_batch_queue(self.queue.as_ptr(), 0, into, room);
            self.taken.set_len(usize::try_from(count).unwrap_or(0));
        }
        self.taken.len()
    }

    /// Forgets what was taken and not looked at.
    fn release(&mut self) {
        for message in self.taken.drain(..).skip(self.next) {
            drop(Released(message));
        }
        self.next = 0;
    }
}

/// Whether more events are to be shown.
pub(crate) enum Flow {
    GoOn,
    Stop,
}

impl Drop for PartitionQueue {
    fn drop(&mut self) {
        self.release();
        // SAFETY: the callback is called under the queue's lock, which the first call takes: when it
        // returns, the waker is not in use, and will not be. Then the queue and the waker are given back
        // once.
        unsafe {
            sys::rd_kafka_queue_cb_event_enable(self.queue.as_ptr(), None, ptr::null_mut());
            sys::rd_kafka_queue_destroy(self.queue.as_ptr());
            drop(Box::from_raw(self.waker.as_ptr()));
        }
    }
}

/// Called by a thread of the library when a queue is no longer empty, with the queue locked.
unsafe extern "C" fn wake(_: *mut sys::rd_kafka_t, opaque: *mut c_void) {
    // SAFETY: `opaque` is the waker of the queue, which outlives the event.
    unsafe { &*opaque.cast::<Waker>() }.wake();
}

/// A message that is given back when it goes, also if decoding it panics.
struct Released(NonNull<sys::rd_kafka_message_t>);

impl Released {
    fn event(&self) -> Event<'_> {
        let message = Message {
            raw: self.0,
            lives: PhantomData,
        };
        match RDKafkaErrorCode::from(message.raw().err) {
            RDKafkaErrorCode::NoError => Event::Message(message),
            RDKafkaErrorCode::PartitionEOF => Event::End(message.offset()),
            code => Event::Failed(Failure {
                code,
                text: message.error_text(),
            }),
        }
    }
}

impl Drop for Released {
    fn drop(&mut self) {
        // SAFETY: it was taken out of a queue, and is given back only here.
        unsafe { sys::rd_kafka_message_destroy(self.0.as_ptr()) }
    }
}

impl<'a> Message<'a> {
    fn raw(&self) -> &'a sys::rd_kafka_message_t {
        // SAFETY: the message lives for `'a`, and nobody changes it.
        unsafe { self.raw.as_ref() }
    }

    pub(crate) fn offset(&self) -> i64 {
        self.raw().offset
    }

    pub(crate) fn key(&self) -> Option<&'a [u8]> {
        let raw = self.raw();
        // SAFETY: the library says where the key is, and how long.
        unsafe { bytes(raw.key, raw.key_len) }
    }

    pub(crate) fn value(&self) -> Option<&'a [u8]> {
        let raw = self.raw();
        // SAFETY: the library says where the payload is, and how long.
        unsafe { bytes(raw.payload, raw.len) }
    }

    /// In milliseconds since 1970, as the producer or the broker says; none where neither does.
    pub(crate) fn timestamp_millis(&self) -> Option<i64> {
        let mut kind = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is alive.
        let millis = unsafe { sys::rd_kafka_message_timestamp(self.raw.as_ptr(), &raw mut kind) };
        (kind != sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE).then_some(millis)
    }

    /// Of which term of the partition's leader it is; negative where the broker does not say.
    pub(crate) fn leader_epoch(&self) -> i32 {
        // SAFETY: the message is alive.
        unsafe { sys::rd_kafka_message_leader_epoch(self.raw.as_ptr()) }
    }

    /// The header with that number, by name and value; none behind the last.
    pub(crate) fn header(&self, index: usize) -> Option<(&'a [u8], Option<&'a [u8]>)> {
        let (mut headers, mut name, mut value, mut size) =
            (ptr::null_mut(), ptr::null(), ptr::null(), 0);
        let found = sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;
        // SAFETY: the message is alive, and so is what the calls fill in, as long as it is.
        unsafe {
            if sys::rd_kafka_message_headers(self.raw.as_ptr(), &raw mut headers) != found {
                return None;
            }
            let (name, value, size) = (&raw mut name, &raw mut value, &raw mut size);
            if sys::rd_kafka_header_get_all(headers, index, name, value, size) != found {
                return None;
            }
            Some((CStr::from_ptr(*name).to_bytes(), bytes(*value, *size)))
        }
    }

    fn error_text(&self) -> String {
        // SAFETY: the message is alive, and the text is part of it or static.
        let text = unsafe { CStr::from_ptr(sys::rd_kafka_message_errstr(self.raw.as_ptr())) };
        text.to_string_lossy().into_owned()
    }
}

/// # Safety
/// There are `length` bytes at `start`, for `'a`, if it is not null.
unsafe fn bytes<'a>(start: *const c_void, length: usize) -> Option<&'a [u8]> {
    // SAFETY: the caller says so.
    (!start.is_null()).then(|| unsafe { slice::from_raw_parts(start.cast::<u8>(), length) })
}
