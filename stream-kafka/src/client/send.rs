//! Handing records to a producer in batches, and hearing what became of them. Unsafe for the same reason
//! as reading: the batch call takes less than half the time of a record sent by itself.
#![allow(unsafe_code)]

use std::ffi::{CString, c_void};
use std::ptr::{self, NonNull};

use rdkafka::client::{Client, ClientContext};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka_sys as sys;
use stream_core::Problem;

use super::batch::{Batch, RecordView};

/// A topic that a producer writes to.
pub(crate) struct TopicHandle(NonNull<sys::rd_kafka_topic_t>);

// SAFETY: the library's topics may be used from any thread.
unsafe impl Send for TopicHandle {}
// SAFETY: as above.
unsafe impl Sync for TopicHandle {}

impl TopicHandle {
    /// The handle must go before the client does.
    pub(crate) fn new<C: ClientContext>(client: &Client<C>, topic: &str) -> Result<Self, Problem> {
        let failed = || Problem::new(format!("`{topic}` is no name of a topic"));
        let name = CString::new(topic).map_err(|_| failed())?;
        // SAFETY: the client and the name are alive; the settings are the client's.
        let handle =
            unsafe { sys::rd_kafka_topic_new(client.native_ptr(), name.as_ptr(), ptr::null_mut()) };
        NonNull::new(handle).map(TopicHandle).ok_or_else(failed)
    }
}

impl Drop for TopicHandle {
    fn drop(&mut self) {
        // SAFETY: it is given back once.
        unsafe { sys::rd_kafka_topic_destroy(self.0.as_ptr()) }
    }
}

/// Hands over the records of a batch from one on, which the library copies; `mark` comes back with what
/// became of each. Gives how many it has taken, and why it has not taken more.
pub(crate) fn send<C: ClientContext>(
    client: &Client<C>,
    topic: &TopicHandle,
    batch: &Batch,
    from: usize,
    mark: usize,
    scratch: &mut Scratch,
) -> (usize, Option<RDKafkaErrorCode>) {
    let mut sent = 0;
    while from + sent < batch.len() {
        let plain = batch.plain_run(from + sent);
        let (taken, error) = if plain > 0 {
            send_plain(topic, batch, from + sent, plain, mark, scratch)
        } else {
            match send_one(client, topic, &batch.view(from + sent), mark) {
                Ok(()) => (1, None),
                Err(code) => (0, Some(code)),
            }
        };
        sent += taken;
        if error.is_some() {
            return (sent, error);
        }
    }
    (sent, None)
}

/// Room for the messages of one call.
#[derive(Default)]
pub(crate) struct Scratch(Vec<sys::rd_kafka_message_t>);

// SAFETY: between calls there is nothing in it.
unsafe impl Send for Scratch {}

/// At most so many go with one call.
const CALL_MAX: usize = 1_024;

/// Sends records that have neither headers nor a timestamp of their own.
fn send_plain(
    topic: &TopicHandle,
    batch: &Batch,
    from: usize,
    count: usize,
    mark: usize,
    scratch: &mut Scratch,
) -> (usize, Option<RDKafkaErrorCode>) {
    let messages = &mut scratch.0;
    messages.clear();
    let count = count.min(CALL_MAX);
    messages.extend((from..from + count).map(|index| {
        let view = batch.view(index);
        let (payload, len) = parts(view.value());
        let (key, key_len) = parts(view.key());
        sys::rd_kafka_message_t {
            err: sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR,
            rkt: ptr::null_mut(),
            partition: view.partition().unwrap_or(PARTITION_BY_KEY),
            payload,
            len,
            key,
            key_len,
            offset: 0,
            _private: mark as *mut c_void,
        }
    }));
    let flags = sys::RD_KAFKA_MSG_F_COPY | sys::RD_KAFKA_MSG_F_PARTITION;
    // SAFETY: the topic is alive, and so are the bytes that the messages point to; they are copied, and
    // not written to.
    unsafe {
        sys::rd_kafka_produce_batch(
            topic.0.as_ptr(),
            PARTITION_BY_KEY,
            flags,
            messages.as_mut_ptr(),
            i32::try_from(count).expect("few enough"),
        );
    }
    // Where the queue is full, none behind the first that was not taken was, so the order stays; whatever
    // else is wrong ends the job.
    let errors = messages
        .iter()
        .map(|message| RDKafkaErrorCode::from(message.err));
    let mut taken = 0;
    for error in errors {
        if error != RDKafkaErrorCode::NoError {
            return (taken, Some(error));
        }
        taken += 1;
    }
    (taken, None)
}

/// The library chooses the partition, by the key.
const PARTITION_BY_KEY: i32 = -1;

fn send_one<C: ClientContext>(
    client: &Client<C>,
    topic: &TopicHandle,
    view: &RecordView<'_>,
    mark: usize,
) -> Result<(), RDKafkaErrorCode> {
    use sys::rd_kafka_vtype_t as Kind;
    let memory = |bytes: Option<&[u8]>| {
        let (ptr, size) = parts(bytes);
        sys::rd_kafka_vu_s__bindgen_ty_1 {
            mem: sys::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 { ptr, size },
        }
    };
    let (mut arguments, mut names) = (Vec::with_capacity(7), Vec::new());
    let mut push = |vtype, u| arguments.push(sys::rd_kafka_vu_t { vtype, u });
    type Value = sys::rd_kafka_vu_s__bindgen_ty_1;
    push(
        Kind::RD_KAFKA_VTYPE_RKT,
        Value {
            rkt: topic.0.as_ptr(),
        },
    );
    let i32_ = view.partition().unwrap_or(PARTITION_BY_KEY);
    push(Kind::RD_KAFKA_VTYPE_PARTITION, Value { i32_ });
    push(
        Kind::RD_KAFKA_VTYPE_MSGFLAGS,
        Value {
            i: sys::RD_KAFKA_MSG_F_COPY,
        },
    );
    push(Kind::RD_KAFKA_VTYPE_VALUE, memory(view.value()));
    push(Kind::RD_KAFKA_VTYPE_KEY, memory(view.key()));
    push(
        Kind::RD_KAFKA_VTYPE_OPAQUE,
        Value {
            ptr: mark as *mut c_void,
        },
    );
    if let Some(i64_) = view.timestamp_millis() {
        push(Kind::RD_KAFKA_VTYPE_TIMESTAMP, Value { i64_ });
    }
    for (name, value) in view.headers() {
        // A name with a zero in it would be cut there.
        let name = CString::new(name).map_err(|_| RDKafkaErrorCode::InvalidArgument)?;
        let (val, size) = match value {
            Some(value) => (value.as_ptr().cast(), value.len().cast_signed()),
            None => (ptr::null(), 0),
        };
        let header = sys::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_2 {
            name: name.as_ptr(),
            val,
            size,
        };
        names.push(name);
        push(Kind::RD_KAFKA_VTYPE_HEADER, Value { header });
    }
    // SAFETY: the client and the topic are alive, and so is everything that the arguments point to
    // (`names` too, whose texts do not move with it); the library copies it. What it gives is given back.
    unsafe {
        let error =
            sys::rd_kafka_produceva(client.native_ptr(), arguments.as_ptr(), arguments.len());
        if error.is_null() {
            return Ok(());
        }
        let code = RDKafkaErrorCode::from(sys::rd_kafka_error_code(error));
        sys::rd_kafka_error_destroy(error);
        Err(code)
    }
}

/// A null key or value is one that is not there; an empty one has a place.
fn parts(bytes: Option<&[u8]>) -> (*mut c_void, usize) {
    match bytes {
        Some(bytes) => (bytes.as_ptr().cast_mut().cast(), bytes.len()),
        None => (ptr::null_mut(), 0),
    }
}
