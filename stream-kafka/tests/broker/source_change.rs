//! Topics that change while a job reads them, or while it stands still.

use rdkafka::Offset;
use stream_core::io::{self, Position, Source};
use stream_core::prelude::*;
use stream_core::run::StateStore;
use stream_kafka::{LostRecords, Start};

use super::source_support::{
    committed, copy, ended, read_partition, records, run, sorted, source, start_kept, stop, texts,
    until, until_read,
};
use crate::support::Cluster;

#[test]
fn a_partition_that_is_added_is_read_from_its_first_record() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let mut topic = kafka.topic("grows", 1);
    topic.produce(&records(0, 0..3));
    let (sink, rows) = io::collect();
    let job = copy(source(kafka, topic.name()).text(), sink).workers(2);
    let handle = job.start(Mode::PerRecord).unwrap();
    until_read(&handle, 3);
    topic.grow(4);
    topic.produce(&records(1, 3..6));
    topic.produce(&records(3, 6..9));
    until_read(&handle, 9);
    stop(handle);
    assert_eq!(sorted(rows.take()), texts(0..9));
}

#[test]
fn a_partition_that_is_added_while_nobody_looks_is_read_from_its_first_record() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let mut topic = kafka.topic("grows-meanwhile", 1);
    let store = StateStore::memory();
    let input = source(kafka, topic.name()).text().start(Start::Latest);
    let handle = start_kept(input, io::discard(), &store);
    topic.produce(&records(0, 0..3));
    until_read(&handle, 3);
    stop(handle);
    topic.grow(2);
    topic.produce(&records(1, 3..6));
    let (sink, rows) = io::collect();
    let input = source(kafka, topic.name()).text().start(Start::Latest);
    let handle = start_kept(input, sink, &store);
    until_read(&handle, 3);
    stop(handle);
    assert_eq!(sorted(rows.take()), texts(3..6));
}

#[test]
fn a_topic_that_matches_later_is_read() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let (sink, rows) = io::collect();
    let job = copy(source(kafka, "later-*").text(), sink);
    let handle = job.start(Mode::PerRecord).unwrap();
    let one = kafka.topic("later-one", 2);
    one.produce(&records(1, 0..3));
    until_read(&handle, 3);
    let two = kafka.topic("later-two", 1);
    two.produce(&records(0, 3..6));
    until_read(&handle, 6);
    stop(handle);
    assert_eq!(sorted(rows.take()), texts(0..6));
}

#[test]
fn a_topic_that_is_deleted_fails_the_job_that_reads_it() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    for pattern in [false, true] {
        let topic = kafka.topic("deleted", 2);
        topic.produce(&records(0, 0..3));
        let name = topic.name().to_owned();
        let topics = if pattern { format!("{name}*") } else { name };
        let job = copy(source(kafka, topics).text(), io::discard());
        let handle = job.start(Mode::PerRecord).unwrap();
        until_read(&handle, 3);
        topic.delete();
        let told = ended(handle).unwrap_err().to_string();
        assert!(
            told.contains(topic.name()) && told.contains("deleted") && told.contains("hint"),
            "{told}"
        );
    }
}

#[test]
fn a_topic_that_is_made_anew_with_a_longer_log_fails_the_job_that_reads_it() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let topic = kafka.topic("anew", 1);
    topic.produce(&records(0, 0..3));
    let job = copy(source(kafka, topic.name()).text(), io::discard());
    let handle = job.start(Mode::PerRecord).unwrap();
    until_read(&handle, 3);
    topic.recreate();
    topic.produce(&records(0, 0..10));
    let told = ended(handle).unwrap_err().to_string();
    assert!(told.contains("made anew"), "{told}");
}

#[test]
fn a_topic_that_was_made_anew_meanwhile_fails_the_job_that_goes_on() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let topic = kafka.topic("anew-meanwhile", 1);
    topic.produce(&records(0, 0..3));
    let store = StateStore::memory();
    let input = || source(kafka, topic.name()).text();
    let handle = start_kept(input(), io::discard(), &store);
    until_read(&handle, 3);
    stop(handle);
    topic.recreate();
    topic.produce(&records(0, 0..10));
    let told = run(copy(input(), io::discard()).state(store)).unwrap_err();
    assert!(told.to_string().contains("made anew"), "{told}");
}

#[test]
fn records_that_are_lost_meanwhile_fail_the_job_or_are_passed_over() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let topic = kafka.topic("lost", 1);
    topic.produce(&records(0, 0..3));
    let store = StateStore::memory();
    let input = || source(kafka, topic.name()).text();
    let handle = start_kept(input(), io::discard(), &store);
    until_read(&handle, 3);
    stop(handle);
    topic.produce(&records(0, 3..10));
    topic.delete_records(0, 7);
    let told = run(copy(input(), io::discard()).state(store.clone())).unwrap_err();
    let told = told.to_string();
    let lost = format!("4 records of `{}/0` are lost", topic.name());
    assert!(
        told.contains(&lost)
            && told.contains("the next record would be 3")
            && told.contains("still there is 7")
            && told.contains("LostRecords::Skip"),
        "{told}"
    );
    let (sink, rows) = io::collect();
    let handle = start_kept(input().lost_records(LostRecords::Skip), sink, &store);
    until_read(&handle, 3);
    topic.produce(&records(0, 10..12));
    until_read(&handle, 5);
    stop(handle);
    assert_eq!(rows.take(), ["7", "8", "9", "10", "11"]);
}

#[test]
fn records_that_are_lost_before_the_reader_gets_there_are_told_while_it_runs() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    // Positions of a reader that stands at the first record, which goes before it reads.
    let topic = kafka.topic("lost-running", 1);
    topic.produce(&records(0, 0..10));
    let input = source(kafka, topic.name()).text();
    input.partitions().unwrap();
    topic.delete_records(0, 4);
    let told = read_partition(&input, 0, Position::START, 6).unwrap_err();
    assert!(told.to_string().contains("4 records of"), "{told}");
    let input = source(kafka, topic.name()).text();
    let input = input.lost_records(LostRecords::Skip);
    input.partitions().unwrap();
    topic.delete_records(0, 6);
    assert_eq!(read_partition(&input, 0, Position::START, 4).unwrap().0, 4);
}

/// What a position of the source is made of.
type At = (i64, Option<i32>, Option<(i64, i64)>);

#[test]
fn a_log_that_is_shorter_than_what_was_read_of_it_is_told() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let topic = kafka.topic("cut", 1);
    topic.produce(&records(0, 0..10));
    for leader_epoch in [None, Some(0)] {
        for policy in [LostRecords::Fail, LostRecords::Skip] {
            let input = source(kafka, topic.name()).text().lost_records(policy);
            let at: At = (15, leader_epoch, None);
            let from = Position::of(&at).unwrap();
            let told = read_partition(&input, 0, from, 1).unwrap_err().to_string();
            assert!(
                (told.contains("shorter") || told.contains("was cut")) && told.contains("hint"),
                "{told}"
            );
        }
    }
}

#[test]
fn nothing_is_lost_where_nothing_could_be_read() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    // What is behind the last record that can be seen goes: aborted records, and marks.
    let topic = kafka.topic("not-lost", 2);
    topic.transaction(&records(0, 0..3)).commit();
    topic.transaction(&records(0, ["x", "x"])).abort();
    let store = StateStore::memory();
    let group = format!("{}-lag", topic.name());
    let input = || source(kafka, topic.name()).text().group(&group);
    let handle = start_kept(input(), io::discard(), &store);
    let end = 7; // three records, a mark, two that nobody sees, a mark
    until("all that is there is kept as read", || {
        topic.produce(&records(1, ["to make a checkpoint"]));
        committed(kafka, &group, topic.name(), 1) == [Offset::Offset(end)]
    });
    stop(handle);
    topic.delete_records(0, end);
    let (sink, rows) = io::collect();
    let handle = start_kept(input(), sink, &store);
    topic.produce(&records(0, ["a"]));
    until_read(&handle, 1);
    stop(handle);
    assert_eq!(rows.take(), ["a"]);
}
