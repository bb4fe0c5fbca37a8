//! The console consumer of Kafka, read back byte by byte.

use super::Cluster;
use super::topic::Stored;

/// How long it waits for more before it ends.
const QUIET_MS: &str = "3000";
// What stands between the fields, headers and records, and for what is absent: no test has these
// characters in its records.
const FIELD: char = '\u{1f}';
const HEADER: char = '\u{1d}';
const RECORD: char = '\u{1e}';
const ABSENT: &str = "\u{15}";

/// Everything of a topic that is committed, by partition and offset.
pub(super) fn consume(cluster: &Cluster, topic: &str) -> Vec<Stored> {
    let mut arguments: Vec<String> = [
        "consume",
        "--topic",
        topic,
        "--from-beginning",
        "--timeout-ms",
        QUIET_MS,
    ]
    .map(str::to_owned)
    .into();
    arguments.extend(["--isolation-level", "read_committed"].map(str::to_owned));
    let properties = [
        ("print.partition", "true".to_owned()),
        ("print.offset", "true".to_owned()),
        ("print.timestamp", "true".to_owned()),
        ("print.key", "true".to_owned()),
        ("print.headers", "true".to_owned()),
        ("key.separator", FIELD.to_string()),
        ("headers.separator", HEADER.to_string()),
        ("line.separator", RECORD.to_string()),
        ("null.literal", ABSENT.to_owned()),
    ];
    for (name, value) in properties {
        arguments.extend(["--formatter-property".to_owned(), format!("{name}={value}")]);
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let output = cluster.dev_kafka(&arguments);
    let text = str::from_utf8(&output.stdout).unwrap();
    let mut stored: Vec<Stored> = text.split_terminator(RECORD).map(parse).collect();
    stored.sort_by_key(|record| (record.partition, record.offset));
    stored
}

/// Reads a line such as `CreateTime:5 Partition:0 Offset:7 a:b,c:d key value`.
fn parse(line: &str) -> Stored {
    let fields: Vec<&str> = line.split(FIELD).collect();
    let [timestamp, partition, offset, headers, key, value] = fields[..] else {
        panic!("{line:?}")
    };
    Stored {
        partition: number(partition).try_into().unwrap(),
        offset: number(offset),
        key: bytes(key),
        value: bytes(value),
        headers: headers
            .split(HEADER)
            .filter_map(|header| header.split_once(':'))
            .map(named)
            .collect(),
        timestamp_ms: number(timestamp),
    }
}

/// The number after a label.
fn number(field: &str) -> i64 {
    field.split_once(':').unwrap().1.parse().unwrap()
}

fn bytes(field: &str) -> Option<Vec<u8>> {
    (field != ABSENT).then(|| field.as_bytes().to_vec())
}

fn named((name, value): (&str, &str)) -> (String, Vec<u8>) {
    (name.to_owned(), value.as_bytes().to_vec())
}
