//! Exactly once: jobs that are stopped, fail and go on, and what the marker of a topic tells them.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::topic_partition_list::TopicPartitionList;
use stream_core::Problem;
use stream_core::io::{Commit, Sink};
use stream_core::prelude::*;
use stream_core::run::StateStore;
use stream_core::testing::contract;
use stream_kafka::End;

use super::sink_support::{exact, sink, staged, values, write, writing};
use super::source_support::{
    WAIT_MAX, all, copy, ended, records, run, source, start_kept, stop, texts, until, until_read,
};
use crate::support::{Cluster, Stored, Topic};

#[test]
fn a_topic_keeps_the_contract_of_sinks() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let rows = texts(0..20);
    let at_least_once = || {
        let topic = kafka.topic("contract", 2);
        let output = sink(kafka, topic.name()).text();
        (output, move || values(&topic.read_settled()))
    };
    contract::sink(at_least_once, &rows);
    let exactly_once = || {
        let topic = kafka.topic("contract-exact", 2);
        let output = exact(kafka, &topic).text();
        Sink::<String>::recover(&output, None).unwrap();
        (output, move || values(&topic.read_settled()))
    };
    contract::sink(exactly_once, &rows);
}

#[test]
fn a_topic_gives_every_record_once_through_crashes() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    contract::sink_recovers(
        || kafka.topic("crashes", 2),
        |topic| exact(kafka, topic).text(),
        |topic| values(&topic.read_settled()),
        &texts(0..20),
    );
}

#[test]
fn a_job_that_is_stopped_and_fails_writes_every_record_once_and_in_order() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let (from, to) = (kafka.topic("exact-from", 3), kafka.topic("exact-to", 2));
    let store = StateStore::memory();
    for (part, workers) in (0_u64..).zip([1, 2, 3, 1]) {
        for partition in 0..3_u64 {
            let first = part * 600 + partition * 200;
            let numbers = first..first + 200;
            from.produce(&records(partition.try_into().unwrap(), numbers));
        }
        let input = source(kafka, from.name()).text();
        let output = exact(kafka, &to).text().key(|row: &String| key(row));
        let job = copy(input, output).state(store.clone()).workers(workers);
        let job = job.checkpoint_interval(Duration::from_millis(20));
        let handle = job.start(Mode::PerRecord).unwrap();
        match part {
            1 | 2 => {
                until_read(&handle, 100);
                drop(handle);
            }
            3 => {
                until("all is there", || to.read_committed().len() >= 2_400);
                stop(handle);
            }
            _ => {
                until_read(&handle, 300);
                stop(handle);
            }
        }
    }
    let written = to.read_settled();
    assert_eq!(values(&written), texts(0..2_400));
    in_order(&written);
    // The adapter's own reader sees the same.
    let read = all(source(kafka, to.name()).text().until(End::Latest));
    assert_eq!(read, texts(0..2_400));
}

/// Rows of a partition of the input have one key.
fn key(row: &str) -> String {
    let number: u64 = row.parse().unwrap();
    (number / 200 % 3).to_string()
}

/// Rows with one key are in the order in which they were read.
fn in_order(written: &[Stored]) {
    let mut last = BTreeMap::new();
    for record in written {
        let number: u64 = record.text().parse().unwrap();
        let before = last.insert(record.key.clone(), number);
        assert!(before.is_none_or(|before| before < number), "{record:?}");
    }
}

#[test]
fn a_count_of_a_topic_is_exact_through_failures() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let (from, to) = (kafka.topic("count-from", 1), kafka.topic("count-to", 1));
    let store = StateStore::memory();
    let start = || {
        let job = Job::new("count", |graph| {
            let words = graph.input::<String>("in");
            let counts = words.key_by(String::clone).count();
            graph.output("out", counts.changes());
        });
        let output = exact(kafka, &to).upserts::<String, u64>();
        let job = job.source("in", source(kafka, from.name()).text());
        let job = job.sink("out", output).state(store.clone());
        let job = job.checkpoint_interval(Duration::from_millis(20));
        job.start(Mode::PerRecordStrict).unwrap()
    };
    for part in 1..=3_usize {
        from.produce(&records(0, ["a"; 50]));
        let handle = start();
        until("all is counted", || to.read_committed().len() >= part * 50);
        drop(handle);
    }
    stop(start());
    let counts: Vec<_> = (1..=150_u64).map(|count| count.to_string()).collect();
    let written = to.read_settled();
    let written: Vec<_> = written.iter().map(Stored::text).collect();
    assert_eq!(written, counts);
}

#[test]
fn a_run_that_another_one_has_followed_is_refused() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let topic = kafka.topic("followed", 1);
    let (first, last) = committed(kafka, &topic);
    let second = exact(kafka, &topic).text();
    second.recover(Some(&last)).unwrap();
    let told = first.commit(&staged(&first, 2, ["zombie"])).unwrap_err();
    is_refused(&told, "is written by another run");
    second.commit(&staged(&second, 2, ["b"])).unwrap();
    // It does not help to try again.
    let told = first.commit(&staged(&first, 3, ["zombie"])).unwrap_err();
    is_refused(&told, "is written by another run");
    second.commit(&staged(&second, 3, ["c"])).unwrap();
    assert_eq!(values(&topic.read_settled()), ["a", "b", "c"]);
}

/// A sink that has committed checkpoint 1, and that.
fn committed(kafka: &Cluster, topic: &Topic<'_>) -> (impl Sink<String> + use<>, Commit) {
    let sink = exact(kafka, topic).text();
    Sink::<String>::recover(&sink, None).unwrap();
    let commit = staged(&sink, 1, ["a"]);
    Sink::<String>::commit(&sink, &commit).unwrap();
    (sink, commit)
}

/// Whether a problem says so, and what to do.
fn is_refused(problem: &Problem, what: &str) {
    assert!(problem.to_string().contains(what), "{problem}");
    assert!(problem.hint_text().is_some(), "{problem}");
}

#[test]
fn a_marker_that_the_brokers_have_forgotten_is_told() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let topic = kafka.topic("forgotten", 1);
    let (first, last) = committed(kafka, &topic);
    drop(first);
    kafka.dev_kafka(&["groups", "--delete", "--group", topic.name()]);
    let told = exact(kafka, &topic).text::<String>().recover(Some(&last));
    is_refused(&told.unwrap_err(), "it is not known what was written");
    assert_eq!(values(&topic.read_settled()), ["a"]);
}

#[test]
fn a_sink_that_had_another_id_is_told_to_take_that() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let topic = kafka.topic("other-id", 1);
    let (first, last) = committed(kafka, &topic);
    drop(first);
    let other = format!("{}-other", topic.name());
    let output = || sink(kafka, topic.name());
    let told = output().exactly_once(&*other).text::<String>();
    let told = told.recover(Some(&last)).unwrap_err();
    is_refused(&told, "it is not known what was written");
    let hint = told.hint_text().unwrap();
    for part in ["had another id", &format!("here `{other}`")] {
        assert!(hint.contains(part), "{part} in {hint}");
    }
    // With its own id it goes on.
    exact(kafka, &topic)
        .text::<String>()
        .recover(Some(&last))
        .unwrap();
    assert_eq!(values(&topic.read_settled()), ["a"]);
}

#[test]
fn a_topic_that_was_made_anew_is_told() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let topic = kafka.topic("anew", 1);
    let (first, last) = committed(kafka, &topic);
    drop(first);
    topic.recreate();
    // The brokers forget the offsets of a topic shortly after it.
    let recover = || exact(kafka, &topic).text::<String>().recover(Some(&last));
    until("the marker is gone", || recover().is_err());
    is_refused(&recover().unwrap_err(), "it is not known what was written");
}

#[test]
fn a_marker_that_is_ahead_of_the_state_is_told() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let topic = kafka.topic("ahead", 1);
    let (first, last) = committed(kafka, &topic);
    first.commit(&staged(&first, 2, ["b"])).unwrap();
    let told = exact(kafka, &topic).text::<String>().recover(Some(&last));
    is_refused(&told.unwrap_err(), "cannot be brought back");
    assert_eq!(values(&topic.read_settled()), ["a", "b"]);
}

#[test]
fn a_transaction_that_hangs_is_told() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let topic = kafka.topic("hangs", 1);
    let (first, last) = committed(kafka, &topic);
    drop(first);
    let _under_way = holds_marker_back(kafka, &topic);
    let (request, commit) = (Duration::from_millis(500), Duration::from_secs(2));
    let second = exact(kafka, &topic).commit_waits(request, commit).text();
    let told = Sink::<String>::recover(&second, Some(&last)).unwrap_err();
    is_refused(&told, "a transaction hangs");
    assert_eq!(values(&topic.read_settled()), ["a"]);
}

/// A transaction of a producer that the sink does not know, with an offset where the sink keeps its marker.
fn holds_marker_back(kafka: &Cluster, topic: &Topic<'_>) -> BaseProducer {
    let client = |name: &str, value: &str| {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", kafka.bootstrap());
        config.set(name, value).clone()
    };
    let reader: BaseConsumer = client("group.id", topic.name()).create().unwrap();
    let group = reader.group_metadata().unwrap();
    let id = format!("beside-{}", topic.name());
    let producer: BaseProducer = client("transactional.id", &id).create().unwrap();
    producer.init_transactions(WAIT_MAX).unwrap();
    producer.begin_transaction().unwrap();
    let mut offsets = TopicPartitionList::new();
    let offset = rdkafka::Offset::Offset(7);
    offsets
        .add_partition_offset(topic.name(), 0, offset)
        .unwrap();
    producer
        .send_offsets_to_transaction(&offsets, &group, WAIT_MAX)
        .unwrap();
    producer
}

#[test]
fn a_job_that_goes_back_is_told() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let (from, to) = (kafka.topic("back-from", 1), kafka.topic("back-to", 1));
    let store = StateStore::memory().keep(10);
    for part in 0..2_usize {
        from.produce(&records(0, ["row"]));
        let input = source(kafka, from.name()).text();
        let handle = start_kept(input, exact(kafka, &to).text(), &store);
        until("it is there", || to.read_committed().len() > part);
        stop(handle);
    }
    let input = source(kafka, from.name()).text().until(End::Latest);
    let job = copy(input, exact(kafka, &to).text()).state(store);
    let told = run(job.from_checkpoint(1)).unwrap_err().to_string();
    assert!(
        told.contains("cannot be brought back") && told.contains("hint:"),
        "{told}"
    );
    assert_eq!(to.read_settled().len(), 2);
}

#[test]
fn a_job_without_an_interval_makes_checkpoints_where_output_would_fill_the_memory() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let topic = kafka.topic("large", 2);
    let rows = vec!["x".repeat(1_000); 20_000]; // more than may be kept
    let job = writing(rows, exact(kafka, &topic).text()).state(StateStore::memory());
    let report = run(job).unwrap();
    assert!(report.state.unwrap().checkpoints > 2);
    assert_eq!(topic.read_settled().len(), 20_000);
}

#[test]
fn two_sinks_of_a_job_cannot_share_an_id() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let topic = kafka.topic("shared-id", 1);
    let job = Job::new("twice", |graph| {
        let rows = graph.input::<String>("in");
        graph.output("one", rows.again());
        graph.output("two", rows);
    });
    let sink = || exact(kafka, &topic).text::<String>();
    let job = job.source("in", io::vec(texts(0..3)));
    let job = job.sink("one", sink()).sink("two", sink());
    let told = run(job.state(StateStore::memory()))
        .unwrap_err()
        .to_string();
    assert!(
        told.contains(topic.name()) && told.contains("transactions"),
        "{told}"
    );
}

#[test]
fn a_job_that_keeps_no_state_is_told_to() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let topic = kafka.topic("no-state", 1);
    let told = write(["a"], exact(kafka, &topic).text()).unwrap_err();
    let told = told.to_string();
    assert!(
        told.contains("cannot be written exactly once") && told.contains(".state("),
        "{told}"
    );
    assert_eq!(topic.read_settled(), []);
}

#[test]
fn a_job_that_starts_afresh_with_the_id_of_another_begins_anew() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let topic = kafka.topic("afresh", 1);
    for _ in 0..2 {
        let job = writing(["a", "b"], exact(kafka, &topic).text());
        ended(job.state(StateStore::memory()).start(Mode::Batch).unwrap()).unwrap();
    }
    assert_eq!(values(&topic.read_settled()), ["a", "a", "b", "b"]);
}
