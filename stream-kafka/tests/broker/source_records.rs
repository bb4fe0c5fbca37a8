//! What comes out of a topic: the formats, records that are not of the format, and how they were sent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stream_core::EventTime;
use stream_core::io::{self, BadRecord, SourceExt};
use stream_core::run::Mode;
use stream_core::testing::contract;
use stream_kafka::{End, Record as Whole};

use super::source_support::{MODES, all, copy, ended, failure, records, run, sorted, source};
use crate::support::{Cluster, Record};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Click {
    page: String,
    count: u32,
}

fn click(page: &str, count: u32) -> Click {
    let page = page.to_owned();
    Click { page, count }
}

fn json(partition: i32, click: &Click) -> Record {
    let Click { page, count } = click;
    Record::new(partition, format!(r#"{{"page":"{page}","count":{count}}}"#))
}

#[test]
fn json_keeps_the_contract_of_a_source() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let topic = kafka.topic("contract-json", 3);
    let partitions = [
        (0..9).map(|n| click("a", n)).collect(),
        vec![],
        vec![click("c", 1)],
    ];
    for (partition, clicks) in (0..).zip(&partitions) {
        let sent: Vec<_> = clicks.iter().map(|click| json(partition, click)).collect();
        topic.produce(&sent);
    }
    let make = || {
        source(kafka, topic.name())
            .json::<Click>()
            .until(End::Latest)
    };
    contract::source(make, &partitions);
}

#[test]
fn text_and_whole_records_keep_the_contract_of_a_source() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let topic = kafka.topic("contract-text", 2);
    topic.produce(&records(0, ["a", "", "c"]).map_at(5));
    topic.transaction(&records(1, ["never"])).abort();
    topic.produce(&records(1, ["d"]).map_at(6));
    let text = [
        vec!["a".to_owned(), String::new(), "c".to_owned()],
        vec!["d".to_owned()],
    ];
    let make = || source(kafka, topic.name()).until(End::Latest);
    contract::source(|| make().text(), &text);

    let whole = |partition, offset, timestamp_ms, value: &str| Whole {
        topic: topic.name().to_owned(),
        partition,
        offset,
        timestamp: Some(EventTime::millis(timestamp_ms)),
        value: Some(value.as_bytes().to_vec()),
        ..Whole::default()
    };
    // The aborted record has an offset, and so has the mark that says so.
    let first = [(0, "a"), (1, ""), (2, "c")];
    let first = first.map(|(offset, value)| whole(0, offset, 5, value));
    contract::source(make, &[first.to_vec(), vec![whole(1, 2, 6, "d")]]);
}

trait At {
    fn map_at(self, timestamp_ms: i64) -> Self;
}

impl At for Vec<Record> {
    fn map_at(self, timestamp_ms: i64) -> Self {
        let at = self.into_iter();
        at.map(|record| record.at(timestamp_ms)).collect()
    }
}

#[test]
fn every_mode_reads_the_same_on_any_number_of_workers() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let topic = kafka.topic("modes", 3);
    let clicks: Vec<_> = (0..600).map(|n| click("p", n)).collect();
    let sent: Vec<_> = (0..)
        .zip(&clicks)
        .map(|(n, click)| json(n % 3, click))
        .collect();
    topic.produce(&sent);
    for mode in MODES {
        for workers in [1, 2] {
            let (sink, rows) = io::collect();
            let input = source(kafka, topic.name()).json::<Click>();
            let job = copy(input.until(End::Latest), sink).workers(workers);
            ended(job.start(mode.parse::<Mode>().unwrap()).unwrap()).unwrap();
            assert_eq!(sorted(rows.take()), clicks, "{mode} on {workers}");
        }
    }
}

#[test]
fn a_function_sees_key_headers_and_timestamp() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let topic = kafka.topic("decode", 1);
    let with_all = Record::new(0, "v")
        .key("k")
        .header("h", "1")
        .header("h", "2")
        .at(7_000);
    topic.produce(&[with_all, Record::new(0, "passed over").at(8_000)]);
    let input = source(kafka, topic.name()).until(End::Latest);
    let decoded = all(input.clone().decode(|record| {
        if record.key().is_none() {
            return Ok(None);
        }
        let names: Vec<_> = record.headers().map(|(name, _)| name.to_vec()).collect();
        let header = record.header("h").unwrap_or_default().to_vec();
        let key = record.key_text()?.to_owned();
        Ok(Some((
            key,
            record.text()?.to_owned(),
            record.timestamp(),
            header,
            names,
        )))
    }));
    let expected = (
        "k".to_owned(),
        "v".to_owned(),
        Some(EventTime::secs(7)),
        b"2".to_vec(),
        vec![b"h".to_vec(), b"h".to_vec()],
    );
    assert_eq!(decoded, [expected]);
    let told = failure(input.decode(|record| record.key_text().map(|key| Some(key.to_owned()))));
    let place = format!("{}/0@1", topic.name());
    assert!(
        told.contains(&place) && told.contains("it has no key"),
        "{told}"
    );
}

#[test]
fn every_compression_is_read() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let topic = kafka.topic("compressed", 1);
    let kinds = ["none", "gzip", "snappy", "lz4", "zstd"];
    let mut expected = Vec::new();
    for kind in kinds {
        let values: Vec<_> = (0..100).map(|n| format!("{kind} {n:03}")).collect();
        let settings = [("compression.type", kind), ("linger.ms", "50")];
        topic.produce_with(&records(0, &values), &settings);
        expected.extend(values);
    }
    let read = all(source(kafka, topic.name()).text().until(End::Latest));
    assert_eq!(read, sorted(expected));
}

#[test]
fn a_record_larger_than_any_fetch_is_read() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let topic = kafka.topic_with("large", 2, &[("max.message.bytes", "8000000")]);
    let large = "x".repeat(5_000_000);
    let sent: Vec<_> = [0, 1, 0]
        .map(|partition| Record::new(partition, large.as_str()))
        .into();
    topic.produce_with(&sent, &[("message.max.bytes", "8000000")]);
    topic.produce(&records(0, ["small"]));
    // The least that may wait in memory, too.
    for buffer_bytes in [16 << 20, 1] {
        let input = source(kafka, topic.name()).buffer_bytes(buffer_bytes);
        let read = all(input.text().until(End::Latest));
        let sizes: Vec<_> = read.iter().map(String::len).collect();
        assert_eq!(sizes, [5, 5_000_000, 5_000_000, 5_000_000]);
    }
}

#[test]
fn a_tombstone_fails_or_is_passed_over_or_is_a_record_without_a_value() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let topic = kafka.topic("tombstones", 1);
    topic.produce(&[
        Record::new(0, "a").key("k"),
        Record::tombstone(0, "k"),
        Record::new(0, "b").key("k"),
    ]);
    let input = source(kafka, topic.name()).until(End::Latest);
    let told = failure(input.clone().text());
    let place = format!("{}/0@1", topic.name());
    assert!(
        told.contains(&place) && told.contains("skip_tombstones"),
        "{told}"
    );
    assert_eq!(all(input.clone().skip_tombstones().text()), ["a", "b"]);
    let values: Vec<_> = all(input).into_iter().map(|record| record.value).collect();
    assert_eq!(values, [Some(b"a".to_vec()), None, Some(b"b".to_vec())]);
}

#[test]
fn a_record_of_another_form_fails_or_is_counted_or_goes_elsewhere() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let topic = kafka.topic("poison", 2);
    topic.produce(&[
        json(1, &click("a", 1)),
        Record::new(1, r#"{"page":"b","count":"many"}"#),
        Record::new(1, "no JSON at all"),
        json(1, &click("c", 3)),
    ]);
    let input = || {
        let input = source(kafka, topic.name()).until(End::Latest);
        input.json::<Click>()
    };
    let place = |offset| format!("{}/1@{offset}", topic.name());
    let told = failure(input());
    assert!(
        told.contains(&place(1)) && told.contains("field `count`"),
        "{told}"
    );

    let (sink, rows) = io::collect();
    let report = run(copy(input().skip_bad_records(), sink)).unwrap();
    assert_eq!(report.counts.bad, 2);
    assert_eq!(rows.take(), [click("a", 1), click("c", 3)]);

    let (sink, rows) = io::collect();
    let (letters, bad) = io::collect::<BadRecord>();
    let report = run(copy(input().dead_letter(letters), sink)).unwrap();
    assert_eq!((report.counts.bad, rows.take().len()), (2, 2));
    let bad: BTreeMap<_, _> = bad
        .take()
        .into_iter()
        .map(|bad| (bad.place, (bad.field, bad.text)))
        .collect();
    let expected = [
        (
            place(1),
            (
                Some("count".to_owned()),
                r#"{"page":"b","count":"many"}"#.to_owned(),
            ),
        ),
        (place(2), (None, "no JSON at all".to_owned())),
    ];
    assert_eq!(bad, expected.into());
}

#[test]
fn lines_of_csv_and_bytes_are_read() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let topic = kafka.topic("csv", 1);
    topic.produce(&records(0, ["a,1", "\"b,c\",2\n"]));
    let input = source(kafka, topic.name()).until(End::Latest);
    let rows = all(input.clone().csv::<Click>());
    assert_eq!(rows, [click("a", 1), click("b,c", 2)]);
    assert_eq!(all(input.clone().bytes()), [&b"\"b,c\",2\n"[..], b"a,1"]);
    let lengths = all(input.decode_values(|bytes| u8::try_from(bytes.len())));
    assert_eq!(lengths, [3, 8]);
}
