//! Calls of the client library that its safe layer does not have: the other module with unsafe code.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::time::Duration;
use std::{ptr, slice};

use rdkafka::TopicPartitionList;
use rdkafka::client::{Client, ClientContext};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka_sys as sys;

use crate::config::common_names;

/// What tells a topic from one of the same name that was made later. Brokers before 2.8 give all topics
/// the same.
pub(crate) type TopicId = (i64, i64);

/// Says of which term of its leader the record before each offset was, so that the broker can tell
/// whether its log still holds that.
pub(crate) fn set_leader_epoch(list: &TopicPartitionList, index: usize, epoch: i32) {
    assert!(index < list.count(), "an element of the list");
    // SAFETY: the list is alive, and has an element of that number.
    unsafe {
        let element = (*list.ptr()).elems.add(index);
        sys::rd_kafka_topic_partition_set_leader_epoch(element, epoch);
    }
}

/// The property of the client library whose name is nearest to one that it does not know, if one is near.
pub(crate) fn property_like(name: &str) -> Option<String> {
    let near = known_properties()
        .into_iter()
        .chain(common_names().chain(UNSET).map(str::to_owned))
        .map(|known| (distance(name, &known), known));
    let (distance, known) = near.min()?;
    (distance <= 2.max(name.len() / 8)).then_some(known)
}

/// Properties that have no value unless set, so that the client library does not list them.
const UNSET: [&str; 11] = [
    "client.rack",
    "sasl.oauthbearer.client.id",
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.config",
    "sasl.oauthbearer.token.endpoint.url",
    "sasl.password",
    "sasl.username",
    "ssl.ca.location",
    "ssl.certificate.location",
    "ssl.key.location",
    "ssl.key.password",
];

/// The names of all properties that have a value unless set.
fn known_properties() -> Vec<String> {
    let mut names = Vec::new();
    // SAFETY: the settings are made and given back here, and so are the lists of names and values, from which
    // the names are copied.
    unsafe {
        let (conf, topic) = (sys::rd_kafka_conf_new(), sys::rd_kafka_topic_conf_new());
        let (mut of_client, mut of_topic) = (0, 0);
        for (dump, count) in [
            (sys::rd_kafka_conf_dump(conf, &raw mut of_client), of_client),
            (
                sys::rd_kafka_topic_conf_dump(topic, &raw mut of_topic),
                of_topic,
            ),
        ] {
            for index in (0..count).step_by(2) {
                let name = CStr::from_ptr(*dump.add(index));
                names.push(name.to_string_lossy().into_owned());
            }
            sys::rd_kafka_conf_dump_free(dump, count);
        }
        sys::rd_kafka_conf_destroy(conf);
        sys::rd_kafka_topic_conf_destroy(topic);
    }
    names
}

/// How many letters have to be put in, left out or changed to make one word of another.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (above, letter) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], above + 1);
        for (index, wanted) in other.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *wanted);
            diagonal = row[index + 1];
            row[index + 1] = changed.min(diagonal + 1).min(row[index] + 1);
        }
    }
    row[other.len()]
}

/// What stands beside an offset that was committed. Anybody may have written it, so it may be no text.
pub(crate) fn metadata(list: &TopicPartitionList, index: usize) -> String {
    assert!(index < list.count(), "an element of the list");
    // SAFETY: the list is alive, has an element of that number, and says where its metadata is, and how long.
    let bytes = unsafe {
        let element = &*(*list.ptr()).elems.add(index);
        match element.metadata.is_null() {
            true => &[],
            false => slice::from_raw_parts(element.metadata.cast::<u8>(), element.metadata_size),
        }
    };
    String::from_utf8_lossy(bytes).into_owned()
}

/// Where a partition that is being read ended when a broker last told; asks nobody. None where none has.
pub(crate) fn known_end<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    partition: i32,
) -> Option<i64> {
    let topic = CString::new(topic).ok()?;
    let (mut first, mut end) = (-1, -1);
    // SAFETY: the client is alive, and so is all that the call reads or fills in.
    let code = unsafe {
        let (first, end) = (&raw mut first, &raw mut end);
        let client = client.native_ptr();
        sys::rd_kafka_get_watermark_offsets(client, topic.as_ptr(), partition, first, end)
    };
    (code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR && end >= 0).then_some(end)
}

/// Asks the brokers for the ids of topics: for each its id, or why there is none.
pub(crate) fn topic_ids<C: ClientContext>(
    client: &Client<C>,
    topics: &[&str],
    timeout: Duration,
) -> Result<Vec<Result<TopicId, RDKafkaErrorCode>>, RDKafkaErrorCode> {
    let names: Result<Vec<CString>, _> = topics.iter().map(|topic| CString::new(*topic)).collect();
    let names = names.map_err(|_| RDKafkaErrorCode::InvalidTopic)?;
    let mut pointers: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
    let millis = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    let kind = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
    // SAFETY: what is made here is given back here, in the reverse order, and the result is only read
    // before its event is given back. The names live until then.
    unsafe {
        let client = client.native_ptr();
        let queue = sys::rd_kafka_queue_new(client);
        let options = sys::rd_kafka_AdminOptions_new(client, kind);
        sys::rd_kafka_AdminOptions_set_request_timeout(options, millis, ptr::null_mut(), 0);
        let collection =
            sys::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
        sys::rd_kafka_DescribeTopics(client, collection, options, queue);
        let event = sys::rd_kafka_queue_poll(queue, millis);
        let answer = read_ids(event);
        if !event.is_null() {
            sys::rd_kafka_event_destroy(event);
        }
        sys::rd_kafka_TopicCollection_destroy(collection);
        sys::rd_kafka_AdminOptions_destroy(options);
        sys::rd_kafka_queue_destroy(queue);
        answer
    }
}

/// # Safety
/// The event is alive, or null.
unsafe fn read_ids(
    event: *mut sys::rd_kafka_event_t,
) -> Result<Vec<Result<TopicId, RDKafkaErrorCode>>, RDKafkaErrorCode> {
    if event.is_null() {
        return Err(RDKafkaErrorCode::OperationTimedOut);
    }
    // SAFETY: the event is alive; what its accessors give lives as long, and is not kept.
    unsafe {
        let error = RDKafkaErrorCode::from(sys::rd_kafka_event_error(event));
        let result = sys::rd_kafka_event_DescribeTopics_result(event);
        if error != RDKafkaErrorCode::NoError || result.is_null() {
            return Err(error);
        }
        let mut count = 0;
        let topics = sys::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        let ids = (0..count).map(|index| {
            let topic = *topics.add(index);
            let error = sys::rd_kafka_error_code(sys::rd_kafka_TopicDescription_error(topic));
            match RDKafkaErrorCode::from(error) {
                RDKafkaErrorCode::NoError => {
                    let id = sys::rd_kafka_TopicDescription_topic_id(topic);
                    let high = sys::rd_kafka_Uuid_most_significant_bits(id);
                    Ok((high, sys::rd_kafka_Uuid_least_significant_bits(id)))
                }
                code => Err(code),
            }
        });
        Ok(ids.collect())
    }
}
