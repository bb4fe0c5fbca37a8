//! What a job writes is in the topic: the formats, the partitions, and what is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde::Serialize;
use stream_core::io::{self, Sink, Slot, SourceExt};
use stream_core::ops::{Change, Entry};
use stream_core::run::{Restarts, StateStore};
use stream_core::{EventTime, Problem};
use stream_kafka::{Encode, End, KafkaSink, Record as Whole};

use super::sink_support::{exact, sink, staged, values, write, writing};
use super::source_support::{MODES, copy, ended, run, sorted, source, texts};
use crate::support::{Cluster, Record};

#[derive(Clone, Debug, Serialize)]
struct Session {
    user: u64,
    clicks: u64,
}

#[test]
fn rows_are_written_as_json_with_key_header_and_timestamp() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let topic = kafka.topic("json", 2);
    let output = sink(kafka, topic.name())
        .json::<Session>()
        .key(|session| session.user.to_string())
        .timestamp(|session| EventTime::secs(session.user.cast_signed()))
        .header("clicks", |session| session.clicks.to_string())
        .partition(|_| 1);
    write([Session { user: 7, clicks: 3 }], output).unwrap();
    let expected = Record::new(1, r#"{"user":7,"clicks":3}"#)
        .key("7")
        .header("clicks", "3")
        .at(7_000);
    assert_eq!(topic.read_committed(), [expected.stored(0)]);
}

#[test]
fn text_and_bytes_are_written_as_they_are() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let topic = kafka.topic("text", 1);
    write(["a", "", "c"], sink(kafka, topic.name()).text()).unwrap();
    write([vec![0_u8, 255]], sink(kafka, topic.name()).bytes()).unwrap();
    let stored = topic.read_committed();
    let stored: Vec<_> = stored
        .iter()
        .map(|record| record.value.as_deref())
        .collect();
    let expected: [&[u8]; 4] = [b"a", b"", b"c", &[0, 255]];
    assert_eq!(stored, expected.map(Some));
}

#[test]
fn whole_records_keep_all_but_their_place() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let topic = kafka.topic("whole", 1);
    let row = Whole {
        topic: "elsewhere".to_owned(),
        partition: 9,
        offset: 99,
        timestamp: Some(EventTime::millis(1_234)),
        key: Some(b"k".to_vec()),
        value: Some(b"v".to_vec()),
        headers: vec![
            ("h".to_owned(), Some(b"1".to_vec())),
            ("h".to_owned(), Some(b"2".to_vec())),
        ],
    };
    let gone = Whole {
        value: None,
        ..row.clone()
    };
    write([row, gone], sink(kafka, topic.name()).records()).unwrap();
    let record = Record::new(0, "v")
        .key("k")
        .header("h", "1")
        .header("h", "2");
    let record = record.at(1_234);
    let gone = Record {
        value: None,
        ..record.clone()
    };
    assert_eq!(topic.read_committed(), [record.stored(0), gone.stored(1)]);
}

#[test]
fn what_cannot_be_read_goes_to_another_topic_as_it_was_with_what_is_wrong() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let (topic, dead) = (kafka.topic("read", 1), kafka.topic("dead", 1));
    let poison = Record::new(0, "no number").key("k").header("h", "1");
    let poison = poison.at(1_700_000_000_000);
    topic.produce(&[Record::new(0, "7"), poison.clone()]);
    let numbers = source(kafka, topic.name()).until(End::Latest).json::<u64>();
    let (rows, read) = io::collect();
    let letters = exact(kafka, &dead).dead_letters();
    let job = copy(numbers.dead_letter(letters), rows).state(StateStore::memory());
    run(job).unwrap();
    assert_eq!(read.take(), [7]);

    let letters = dead.read_settled();
    let [letter] = &letters[..] else {
        panic!("not one letter: {letters:?}")
    };
    let expected = poison
        .header("error.topic", topic.name())
        .header("error.partition", "0")
        .header("error.offset", "1");
    let (was, reason) = letter.headers.split_at(expected.headers.len());
    assert_eq!(was, expected.headers);
    assert_eq!(reason[0].0, "error.reason");
    let mut letter = letter.clone();
    letter.headers.clone_from(&expected.headers);
    assert_eq!(letter, expected.stored(0));
}

#[test]
fn what_cannot_be_read_is_written_once_though_the_job_is_started_once_more() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let (topic, dead, out) = (
        kafka.topic("read-again", 1),
        kafka.topic("dead-once", 1),
        kafka.topic("out-once", 1),
    );
    topic.produce(&["no number", "7", "nor this", "9"].map(|value| Record::new(0, value)));
    let numbers = source(kafka, topic.name()).until(End::Latest).json::<u64>();
    let letters = exact(kafka, &dead).dead_letters();
    let fails = Arc::new(AtomicU32::new(2));
    let output = exact(kafka, &out).encode(move |row: &u64, record| {
        let left = |left: u32| left.checked_sub(1);
        let left = fails.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left);
        if *row == 9 && left.is_ok() {
            return Err(Problem::new("not yet"));
        }
        record.value(row.to_string());
        Ok(())
    });
    let job = copy(numbers.dead_letter(letters), output).state(StateStore::memory());
    let again = Restarts::attempts(5).backoff(Duration::from_millis(1));
    let report = run(job.restarts(again)).unwrap();
    assert!(report.restarts > 0);
    assert_eq!(values(&dead.read_settled()), ["no number", "nor this"]);
    assert_eq!(values(&out.read_settled()), ["7", "9"]);
}

#[test]
fn a_function_fills_in_a_record_or_fails_the_job() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let topic = kafka.topic("encode", 1);
    let output = || {
        sink(kafka, topic.name()).encode(|row: &u32, record| {
            if *row == 0 {
                return Err(Problem::new("zero is no row"));
            }
            let record = record.key(row.to_be_bytes()).value("first");
            record.value("second").timestamp(EventTime::millis(5));
            Ok(())
        })
    };
    write([1], output()).unwrap();
    let expected = Record::new(0, "second").key([0, 0, 0, 1]).at(5);
    assert_eq!(topic.read_committed(), [expected.stored(0)]);
    let told = write([0], output()).unwrap_err().to_string();
    assert!(told.contains("zero is no row"), "{told}");
}

#[test]
fn changes_and_entries_are_upserts_and_a_key_that_is_gone_is_a_tombstone() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let topic = kafka.topic_with("upserts", 1, &[("cleanup.policy", "compact")]);
    let changes = [("a", Some(1)), ("a", None)].map(|(key, value)| change(key, value));
    write(changes, sink(kafka, topic.name()).upserts::<String, u32>()).unwrap();
    let entry = Entry {
        key: "b".to_owned(),
        value: 2,
    };
    write([entry], sink(kafka, topic.name()).entries::<String, u32>()).unwrap();
    let stored = topic.read_committed();
    let stored: Vec<_> = stored
        .iter()
        .map(|record| (record.key.as_deref(), record.value.as_deref()))
        .collect();
    let expected: [(&[u8], Option<&[u8]>); 3] = [
        (br#""a""#, Some(b"1")),
        (br#""a""#, None),
        (br#""b""#, Some(b"2")),
    ];
    assert_eq!(stored, expected.map(|(key, value)| (Some(key), value)));
}

fn change(key: &str, value: Option<u32>) -> Change<String, u32> {
    Change {
        key: key.to_owned(),
        value,
    }
}

#[test]
fn every_mode_writes_the_same_on_any_number_of_workers() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    for mode in MODES {
        for workers in [1, 2] {
            let topic = kafka.topic("modes", 2);
            let rows: Vec<_> = texts(0..3_000);
            let job = writing(rows.clone(), sink(kafka, topic.name()).text());
            ended(job.workers(workers).start(mode.parse().unwrap()).unwrap()).unwrap();
            let written = values(&topic.read_committed());
            assert_eq!(written, sorted(rows), "{mode} on {workers}");
        }
    }
}

/// Keys with their hashes as the Java client computes them.
const HASHES: [(&str, i32); 6] = [
    ("21", -973_932_308),
    ("foobar", -790_332_482),
    ("a-little-bit-long-string", -985_981_536),
    ("a-little-bit-longer-string", -1_486_304_829),
    (
        "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8",
        -58_897_971,
    ),
    ("abc", 479_470_107),
];

#[test]
fn a_key_chooses_the_partition_that_the_java_client_chooses() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    for partitions in [7, 16] {
        let topic = kafka.topic("murmur", partitions);
        let output = sink(kafka, topic.name()).text().key(|key| *key);
        write(HASHES.map(|(key, _)| key), output).unwrap();
        let stored = topic.read_committed();
        assert_eq!(stored.len(), HASHES.len());
        for record in stored {
            let (_, hash) = HASHES
                .into_iter()
                .find(|(key, _)| *key == record.text())
                .unwrap();
            let expected = (hash & 0x7fff_ffff) % partitions;
            assert_eq!(record.partition, expected, "{record:?}");
        }
    }
}

#[test]
fn a_record_larger_than_is_taken_is_told_with_what_to_set() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let topic = kafka.topic_with("too-large", 1, &[("max.message.bytes", "2000")]);
    // More than the client takes, and more than the broker takes.
    for size in [2_000_000, 10_000] {
        let output = || sink(kafka, topic.name()).text::<String>();
        let told = write(["x".repeat(size)], output());
        let sends = told.unwrap_err().to_string();
        let output = output().exactly_once(topic.name());
        output.recover(None).unwrap();
        let row = "x".repeat(size);
        let commit = staged(&output, 1, [row.as_str()]);
        let commits = output.commit(&commit).unwrap_err().to_string();
        for told in [sends, commits] {
            assert!(
                told.contains(topic.name()) && told.contains("max.message.bytes"),
                "{told}"
            );
        }
    }
    assert_eq!(topic.read_settled(), []);
}

#[test]
fn what_is_no_record_is_refused_before_it_is_staged() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let topic = kafka.topic("refused", 1);
    let output = || exact(kafka, &topic).text::<&'static str>();
    let header = refusal(output().header("a\0b", |_| "v"));
    assert!(header.contains("zero byte"), "{header}");
    let partition = refusal(output().partition(|_| -1));
    assert!(partition.contains("no partition -1"), "{partition}");
}

/// Why the writer of a sink does not take a row.
fn refusal(output: KafkaSink<&'static str, impl Encode<&'static str>>) -> String {
    output.recover(None).unwrap();
    let mut writer = output.open(Slot::new(0, 1)).unwrap();
    let told = writer.write(&mut vec!["row"]).unwrap_err();
    assert_eq!(writer.held(), 0);
    told.to_string()
}

#[test]
fn a_partition_that_is_not_there_is_told() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let topic = kafka.topic("no-partition", 2);
    let output = sink(kafka, topic.name()).text().partition(|_| 2);
    let told = write(["row"], output).unwrap_err().to_string();
    assert!(
        told.contains(topic.name()) && told.to_lowercase().contains("partition"),
        "{told}"
    );
}
