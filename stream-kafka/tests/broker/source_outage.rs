//! Brokers that are away, or go and come back.

use std::thread;
use std::time::{Duration, Instant};

use stream_core::io::{self, Position};
use stream_core::prelude::*;
use stream_kafka as kafka;
use stream_kafka::End;

use super::source_support::{
    all, copy, failure, read_partition, records, sorted, source, stop, texts, until_read,
};
use crate::support::{Cluster, Proxy};

#[test]
fn a_cluster_that_is_not_there_is_told_in_bounded_time() {
    // A port that nobody listens at, and one that never answers.
    let gone = Proxy::start("127.0.0.1:1");
    gone.refuse(true);
    let hangs = Proxy::start("127.0.0.1:1");
    hangs.hang(true);
    for proxy in [gone, hangs] {
        let address = proxy.address().to_string();
        let cluster = kafka::Cluster::at(&address).start_wait(Duration::from_secs(2));
        let begun = Instant::now();
        let input = kafka::source("clicks").at(&cluster).text();
        let told = failure(input);
        assert!(begun.elapsed() < Duration::from_secs(8), "{told}");
        assert!(
            told.contains(&format!("Kafka at {address} gives no answer")),
            "{told}"
        );
    }
}

#[test]
fn a_cluster_that_is_down_is_told_with_a_hint() {
    let cluster = kafka::Cluster::at("127.0.0.1:1").start_wait(Duration::from_secs(2));
    let begun = Instant::now();
    let told = failure(kafka::source("clicks").at(&cluster).until(End::Latest));
    assert!(begun.elapsed() < Duration::from_secs(8), "{told}");
    assert!(
        told.contains("refused") && told.contains("a broker listens there"),
        "{told}"
    );
}

#[test]
fn a_broker_that_is_killed_and_comes_back_costs_nothing_but_time() {
    let Some(kafka) = Cluster::own(1, false) else {
        return;
    };
    let topic = kafka.topic("killed", 2);
    topic.produce(&records(0, 0..100));
    topic.produce(&records(1, 100..200));
    let (sink, rows) = io::collect();
    let job = copy(source(&kafka, topic.name()).text(), sink);
    let handle = job.start(Mode::PerRecord).unwrap();
    until_read(&handle, 200);
    kafka.kill(1);
    kafka.start(1);
    topic.produce(&records(0, 200..300));
    topic.produce(&records(1, 300..400));
    until_read(&handle, 400);
    a_cut_that_was_written_over_is_told(&kafka, topic.name());
    // One that hangs for a while is no other.
    kafka.pause(1);
    thread::sleep(Duration::from_secs(1));
    kafka.resume(1);
    topic.produce(&records(1, 400..500));
    until_read(&handle, 500);
    stop(handle);
    assert_eq!(sorted(rows.take()), texts(0..500));
}

/// A reader that has read more of the first term of the leader than its log has, goes on when the log
/// is longer than that by another term.
fn a_cut_that_was_written_over_is_told(kafka: &Cluster, topic: &str) {
    let input = source(kafka, topic).text();
    let from = |offset: i64| Position::of(&(offset, Some(0), None::<(i64, i64)>)).unwrap();
    let told = read_partition(&input, 0, from(150), 1).unwrap_err();
    let told = told.to_string();
    assert!(
        told.contains("was cut") && told.contains("start afresh"),
        "{told}"
    );
    assert_eq!(read_partition(&input, 0, from(100), 100).unwrap().0, 100);
}

#[test]
fn a_job_can_be_stopped_while_its_broker_is_away() {
    let Some(kafka) = Cluster::behind_proxy() else {
        return;
    };
    let topic = kafka.topic("away", 1);
    topic.produce(&records(0, 0..10));
    let (sink, rows) = io::collect();
    let job = copy(source(&kafka, topic.name()).text(), sink);
    let handle = job.start(Mode::PerRecord).unwrap();
    until_read(&handle, 10);
    kafka.proxy().hang(true);
    let begun = Instant::now();
    stop(handle);
    assert!(begun.elapsed() < Duration::from_secs(12));
    assert_eq!(rows.take().len(), 10);
    kafka.proxy().hang(false);
}

#[test]
fn another_leader_is_read_on_where_the_one_before_was_left() {
    let Some(kafka) = Cluster::own(3, false) else {
        return;
    };
    let topic = kafka.topic("leaders", 3);
    for partition in 0..3 {
        let first = u64::try_from(partition).unwrap() * 100;
        topic.produce(&records(partition, first..first + 100));
    }
    let (sink, rows) = io::collect();
    let job = copy(source(&kafka, topic.name()).text(), sink);
    let handle = job.start(Mode::PerRecord).unwrap();
    until_read(&handle, 300);
    // Each broker leads one of the partitions, so one of them gets another leader.
    kafka.kill(2);
    for partition in 0..3 {
        let first = 300 + u64::try_from(partition).unwrap() * 100;
        topic.produce(&records(partition, first..first + 100));
    }
    until_read(&handle, 600);
    stop(handle);
    assert_eq!(sorted(rows.take()), texts(0..600));
}

/// The cluster answers, and one who leads a partition does not, for longer than one request may take.
#[test]
fn a_job_that_starts_while_a_leader_is_away_waits_for_it() {
    let Some(kafka) = Cluster::own(3, false) else {
        return;
    };
    let topic = kafka.topic_of_one_copy("leaderless", 3);
    for partition in 0..3 {
        let first = u64::try_from(partition).unwrap() * 100;
        topic.produce(&records(partition, first..first + 100));
    }
    kafka.kill(2);
    let rows = thread::scope(|scope| {
        let input = source(&kafka, topic.name()).until(End::Latest).text();
        let rows = scope.spawn(move || all(input));
        thread::sleep(Duration::from_secs(8));
        assert!(!rows.is_finished());
        kafka.start(2);
        rows.join().unwrap()
    });
    assert_eq!(rows, texts(0..300));
}
