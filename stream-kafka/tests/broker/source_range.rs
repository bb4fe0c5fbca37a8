//! Where reading begins and ends, and of which partitions.

use std::iter;

use stream_core::{EventTime, Mode, io};
use stream_kafka::{End, KafkaSource, Start, Text, Topics};

use super::source_support::{
    all, copy, ended, failure, records, run, sorted, source, stop, texts, until, until_read,
};
use crate::support::{Cluster, Record};

fn text(kafka: &Cluster, topics: impl Into<Topics>) -> KafkaSource<Text> {
    source(kafka, topics).text().until(End::Latest)
}

#[test]
fn reading_begins_where_it_is_told() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let topic = kafka.topic("starts", 2);
    let sent: Vec<_> = (0..6)
        .map(|n| Record::new(n % 2, n.to_string()).at(1_000 * i64::from(n + 1)))
        .collect();
    topic.produce(&sent);
    topic.delete_records(0, 1); // that is 0
    let from = |start| all(text(kafka, topic.name()).start(start));
    assert_eq!(from(Start::Earliest), texts(1..6));
    assert_eq!(from(Start::At(EventTime::millis(3_001))), texts(3..6));
    assert_eq!(from(Start::At(EventTime::millis(4_000))), texts(3..6));
    assert_eq!(from(Start::At(EventTime::secs(-5))), texts(1..6));
    assert_eq!(from(Start::At(EventTime::secs(9))), texts([]));
    let only_one = Start::offsets([(topic.name(), 1, 2)]);
    assert_eq!(from(only_one), ["2", "4", "5"]);
    assert_eq!(from(Start::Latest), texts([]));
}

#[test]
fn reading_ends_where_it_is_told() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let topic = kafka.topic("ends", 2);
    let sent: Vec<_> = (0..6)
        .map(|n| Record::new(n % 2, n.to_string()).at(1_000 * i64::from(n + 1)))
        .collect();
    topic.produce(&sent);
    let to = |end| all(source(kafka, topic.name()).text().until(end));
    assert_eq!(to(End::Latest), texts(0..6));
    assert_eq!(to(End::At(EventTime::secs(4))), texts(0..3));
    assert_eq!(to(End::At(EventTime::secs(9))), texts(0..6));
    assert_eq!(to(End::At(EventTime::secs(1))), texts([]));
    let offsets = End::offsets([(topic.name(), 0, 1), (topic.name(), 1, 0)]);
    assert_eq!(to(offsets), ["0"]);
    let one = End::offsets([(topic.name(), 0, 2)]);
    assert_eq!(to(one), ["0", "1", "2", "3", "5"]);
}

#[test]
fn the_latest_is_what_comes_after_the_start() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let topic = kafka.topic("latest", 2);
    topic.produce(&records(0, 0..10));
    let (sink, rows) = io::collect();
    let input = source(kafka, topic.name()).start(Start::Latest);
    let handle = copy(input.text(), sink).start("per-record".parse().unwrap());
    let handle = handle.unwrap();
    topic.produce(&records(0, ["a"]));
    topic.produce(&records(1, ["b"]));
    until_read(&handle, 2);
    stop(handle);
    assert_eq!(sorted(rows.take()), ["a", "b"]);
}

#[test]
fn some_partitions_or_several_topics_or_those_of_a_pattern_are_read() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let topics = ["one", "two", "three"].map(|name| kafka.topic(&format!("several-{name}"), 3));
    for (topic, name) in iter::zip(&topics, ["one", "two", "three"]) {
        let value = |partition| Record::new(partition, format!("{name}{partition}"));
        topic.produce(&[0, 1, 2].map(value));
    }
    let [one, two, _] = &topics;
    let some = Topics::partitions(one.name(), [2, 0]);
    assert_eq!(all(text(kafka, some)), ["one0", "one2"]);
    let pair = all(text(kafka, [two.name(), one.name()]));
    assert_eq!(pair, ["one0", "one1", "one2", "two0", "two1", "two2"]);
    let pattern = all(text(kafka, "several-t*"));
    let expected = ["three0", "three1", "three2", "two0", "two1", "two2"];
    assert_eq!(pattern, expected);
}

#[test]
fn what_is_not_there_is_told() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let topic = kafka.topic("There", 1);
    let told = failure(text(kafka, "nowhere-to-be-found"));
    assert!(
        told.contains("there is no topic `nowhere-to-be-found`") && told.contains("hint"),
        "{told}"
    );
    let told = failure(text(kafka, Topics::partitions(topic.name(), [4])));
    assert!(told.contains("has no partition 4"), "{told}");
    let near = topic.name().to_lowercase();
    let told = failure(text(kafka, [near.as_str(), topic.name()]));
    assert!(
        told.contains(&format!("there is `{}`", topic.name())),
        "{told}"
    );
}

#[test]
fn what_is_empty_ends_at_once() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let empty = kafka.topic("empty", 3);
    assert_eq!(all(text(kafka, empty.name())), texts([]));
    let deleted = kafka.topic("emptied", 1);
    deleted.produce(&records(0, 0..3));
    deleted.delete_records(0, 3);
    assert_eq!(all(text(kafka, deleted.name())), texts([]));
}

#[test]
fn an_end_in_a_hole_of_the_offsets_is_an_end() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    // Aborted at the very end, with nothing before and with something before; a mark at the end.
    let topic = kafka.topic("holes", 4);
    topic.transaction(&records(0, ["x", "x"])).abort();
    topic.produce(&records(1, ["a"]));
    topic.transaction(&records(1, ["x", "x"])).abort();
    topic.transaction(&records(2, ["b"])).commit();
    topic.transaction(&records(3, ["x"])).abort();
    topic.produce(&records(3, ["c", "d"]));
    assert_eq!(all(text(kafka, topic.name())), ["a", "b", "c", "d"]);
    // The end is told to be where nobody can see anything.
    let name = topic.name();
    let offsets = [(name, 0, 1), (name, 1, 2), (name, 2, 2), (name, 3, 1)];
    let input = text(kafka, name).until(End::offsets(offsets));
    assert_eq!(all(input), ["a", "b"]);
    let all_of_them = all(text(kafka, name).read_uncommitted());
    let expected = ["a", "b", "c", "d", "x", "x", "x", "x", "x"];
    assert_eq!(all_of_them, expected);
}

#[test]
fn a_compacted_topic_is_read_to_its_end() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let settings = [
        ("cleanup.policy", "compact"),
        ("segment.ms", "100"),
        ("min.cleanable.dirty.ratio", "0.01"),
        ("min.compaction.lag.ms", "0"),
        ("max.compaction.lag.ms", "100"),
    ];
    let topic = kafka.topic_with("compacted", 1, &settings);
    let keyed = |n: i32| Record::new(0, n.to_string()).key((n % 2).to_string());
    let mut sent = 0;
    // Whether the broker has compacted already does not matter; it is to have a chance.
    until("something is compacted", || {
        topic.produce(&[keyed(sent), keyed(sent + 1)]);
        sent += 2;
        topic.read_committed().len() < sent.try_into().unwrap()
    });
    let there = topic.read_committed();
    let read = all(text(kafka, topic.name()));
    let last = [(sent - 1).to_string(), (sent - 2).to_string()];
    assert!(last.iter().all(|value| read.contains(value)), "{read:?}");
    assert!(read.len() <= there.len(), "{read:?} of {there:?}");
}

#[test]
fn an_open_transaction_holds_back_what_is_committed_only() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let topic = kafka.topic("open", 1);
    topic.produce(&records(0, ["a"]));
    let open = topic.transaction(&records(0, ["b"]));
    topic.produce(&records(0, ["c"]));
    let uncommitted = all(text(kafka, topic.name()).read_uncommitted());
    assert_eq!(uncommitted, ["a", "b", "c"]);

    let (sink, rows) = io::collect();
    let input = source(kafka, topic.name()).text();
    let handle = copy(input, sink).start("per-record".parse().unwrap());
    let handle = handle.unwrap();
    // The end is where the topic ends, whatever is not yet decided before it.
    let (whole, to_the_end) = io::collect();
    let input = source(kafka, topic.name()).text().until(End::Latest);
    let ending = copy(input, whole).start(Mode::PerRecord).unwrap();
    until_read(&handle, 1);
    until_read(&ending, 1);
    open.commit();
    until_read(&handle, 3);
    stop(handle);
    assert_eq!(rows.take(), ["a", "b", "c"]);
    ended(ending).unwrap();
    assert_eq!(to_the_end.take(), ["a", "b", "c"]);
}

#[test]
fn a_pattern_that_nothing_matches_and_an_end_is_no_hang() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let outcome = run(copy(text(kafka, "none-of-these-*"), io::discard()));
    let told = outcome.unwrap_err().to_string();
    assert!(told.contains("none-of-these-*"), "{told}");
}
