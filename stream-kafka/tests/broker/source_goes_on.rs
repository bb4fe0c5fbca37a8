//! Jobs that are stopped and go on, and what they tell a consumer group.

use std::time::Duration;

use rdkafka::Offset;
use stream_core::io;
use stream_core::prelude::*;
use stream_core::run::StateStore;
use stream_kafka::End;

use super::source_support::{
    committed, copy, count_read, ended, records, sorted, source, start_kept, stop, texts, until,
    until_read,
};
use crate::support::Cluster;

#[test]
fn a_job_goes_on_with_other_workers_without_losing_or_doubling_a_record() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let topic = kafka.topic("goes-on", 5);
    let (store, log) = (StateStore::memory(), io::MemoryLog::new(1));
    for (run, workers) in (0_u64..).zip([1, 3, 2, 1]) {
        for partition in 0..5 {
            let first = run * 1_000 + partition * 200;
            topic.produce(&records(partition.try_into().unwrap(), first..first + 200));
        }
        let written = log.records()[0].len() as u64;
        let input = source(kafka, topic.name()).text();
        let job = copy(input, log.transactional("copy")).state(store.clone());
        let job = job.workers(workers);
        let job = job.checkpoint_interval(Duration::from_millis(1));
        let mode = if run % 2 == 0 {
            Mode::PerRecord
        } else {
            "micro-batch=7records".parse().unwrap()
        };
        let handle = job.start(mode).unwrap();
        match run {
            // It is stopped in the middle, it fails there, and the last time it comes to the end.
            0 | 2 => until_read(&handle, 300),
            1 => {
                until_read(&handle, 300);
                drop(handle);
                continue;
            }
            _ => until("all is written", || log.records()[0].len() == 4_000),
        }
        stop(handle);
        assert!(log.records()[0].len() as u64 >= written + 300);
    }
    assert_eq!(sorted(log.records().remove(0)), texts(0..4_000));
}

#[test]
fn a_job_with_an_end_that_was_stopped_goes_on_to_its_end() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let topic = kafka.topic("goes-on-to-its-end", 2);
    topic.produce(&records(0, 0..500));
    topic.produce(&records(1, 500..1_000));
    let store = StateStore::memory();
    let mut all = Vec::new();
    for _ in 0..2 {
        let (sink, rows) = io::collect();
        let input = source(kafka, topic.name()).text().until(End::Latest);
        let job = copy(input, sink).state(store.clone());
        let handle = job.start("micro-batch=10records".parse::<Mode>().unwrap());
        let handle = handle.unwrap();
        if all.is_empty() {
            until("it has begun", || count_read(&handle) > 10);
            handle.stop();
        }
        ended(handle).unwrap();
        all.extend(rows.take());
    }
    assert_eq!(sorted(all), texts(0..1_000));
}

#[test]
fn a_group_is_told_what_a_checkpoint_covers_and_is_never_asked() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let topic = kafka.topic("group", 2);
    topic.produce(&records(0, 0..3));
    topic.produce(&records(1, 3..5));
    let (store, group) = (StateStore::memory(), format!("{}-lag", topic.name()));
    let input = || source(kafka, topic.name()).text().group(&group);
    let handle = start_kept(input(), io::discard(), &store);
    until_read(&handle, 5);
    let told = || committed(kafka, &group, topic.name(), 2);
    until("the group is told", || {
        told() == [Offset::Offset(3), Offset::Offset(2)]
    });
    stop(handle);
    kafka.dev_kafka(&["groups", "--delete", "--group", &group]);
    assert_eq!(told(), [Offset::Invalid, Offset::Invalid]);

    let (sink, rows) = io::collect();
    let handle = start_kept(input(), sink, &store);
    topic.produce(&records(1, 5..7));
    until_read(&handle, 2);
    until("the group is told anew", || {
        told() == [Offset::Offset(3), Offset::Offset(4)]
    });
    stop(handle);
    assert_eq!(rows.take(), ["5", "6"]);
}

#[test]
fn a_group_sees_no_lag_behind_a_transaction() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let topic = kafka.topic("group-marks", 2);
    topic.transaction(&records(0, 0..3)).commit();
    let group = format!("{}-lag", topic.name());
    let input = source(kafka, topic.name()).text().group(&group);
    let handle = start_kept(input, io::discard(), &StateStore::memory());
    // The mark of the transaction has an offset as well.
    until("the group is told", || {
        topic.produce(&records(1, ["to make a checkpoint"]));
        committed(kafka, &group, topic.name(), 1) == [Offset::Offset(4)]
    });
    stop(handle);
}
