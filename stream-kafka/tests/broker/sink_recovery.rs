//! The kit of recovery with a topic as the output: crashes before and after each step, and other workers and
//! modes after each.

use std::cell::RefCell;
use std::collections::BTreeMap;

use stream_core::prelude::*;
use stream_core::testing::{Input, RecoveryCheck};

use super::sink_support::exact;
use crate::support::{Cluster, Topic};

/// A key, and how many records it has had.
type Count = (u64, u64);

#[test]
fn sink_recovery_whatever_goes_wrong_a_topic_holds_each_row_once() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let topics: RefCell<BTreeMap<String, Topic<'_>>> = RefCell::default();
    let sink = |history: &str| {
        let mut topics = topics.borrow_mut();
        let topic = topics.entry(history.to_owned());
        let topic = topic.or_insert_with(|| kafka.topic(history, 2));
        exact(kafka, topic)
            .json()
            .key(|count: &Count| count.0.to_string())
    };
    let read = |history: &str| {
        let rows = topics.borrow()[history].read_settled();
        let rows = rows.iter().map(|row| row.text().to_owned());
        rows.map(|row| serde_json::from_str(&row).unwrap())
            .collect()
    };
    let keys = (0..60).map(|number| number * 7 % 5).collect();
    let input = Input::new(keys).partition_by(|key: &u64| *key);
    let check = RecoveryCheck::new(input).only_forward().seeds(8);
    let steps = check.run_into(sink, read, |keys: Stream<u64>| {
        keys.key_by(|key| *key).scan(u64::default, |count, _| {
            *count += 1;
            *count
        })
    });
    assert!(steps.values().sum::<u64>() > 8, "{steps:?}");
}
