//! The cases but for the stall: each a pipeline, its input by size, and what should come out.

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use stream_core::graph::Graph;
use stream_core::io::files;
use stream_core::ops::{Entry, Windowed};
use stream_core::{EventTime, Gap, Job, Lateness, Leap, Mode};

use super::ports::{Made, Tally};
use super::row::{Cost, Values, check};
use crate::measure::mix;

/// A record of a user at a time.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Click {
    user: u64,
    at: i64,
}

impl Click {
    fn time(&self) -> EventTime {
        EventTime::micros(self.at)
    }
}

fn hash_entry(entry: &Entry<u64, u64>) -> u64 {
    mix(entry.key, entry.value)
}

/// How many records the lanes have together.
const LANE_RECORDS: u64 = 200_000;
/// How many keys they are counted by.
const LANE_KEYS: u64 = 10_000;

/// Records of so many partitions, one a read.
pub(super) fn lanes(lanes: u64, mode: Mode) -> Values {
    let records = LANE_RECORDS / lanes;
    let key = |lane: u64, number: u64| mix(lane, number) % LANE_KEYS;
    let tally = Tally::new(hash_entry);
    let job = Job::new("lanes", |graph: &Graph| {
        let clicks = graph.input::<Click>("in");
        let (timed, late) = clicks.event_time(Click::time, Lateness::secs(0).leap(Leap::ANY));
        late.discard();
        graph.output("out", timed.key_by(|click| click.user).count());
    })
    .source(
        "in",
        Made {
            partitions: lanes,
            records,
            read_records_max: 1,
            make: move |lane, number: u64| Click {
                user: key(lane, number),
                at: number.cast_signed() * 1_000,
            },
        },
    )
    .sink("out", tally.clone());
    let cost = Cost::of(|| job.run(mode))?;

    let mut counts = vec![0_u64; LANE_KEYS as usize];
    for lane in 0..lanes {
        (0..records).for_each(|number| counts[key(lane, number) as usize] += 1);
    }
    let counts = (0..).zip(counts).filter(|(_, count)| *count > 0);
    check(&tally.digest(), counts.map(|(key, count)| mix(key, count)))?;
    Ok(vec![cost.ns("record", records * lanes)])
}

/// How large the file is whose records are in flight.
const FILE_BYTES: u64 = 150_000_000;
/// How long the slow sink takes for a write: long enough that it is far slower than the reading.
const WRITE_PAUSE: Duration = Duration::from_millis(20);

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Document {
    number: u64,
    text: String,
}

fn hash_document((_, document): &(u64, Document)) -> u64 {
    mix(document.number, document.text.len() as u64)
}

/// Large records from a file into a slow sink.
pub(super) fn in_flight(record_bytes: u64, workers: usize) -> Values {
    let records = FILE_BYTES / record_bytes;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("documents.jsonl");
    let text_bytes = write_documents(&path, records, record_bytes)?;
    let tally = Tally::new(hash_document).slow(WRITE_PAUSE);
    let job = Job::new("documents", |graph: &Graph| {
        let documents = graph.input::<Document>("in");
        // A keyed operator that hands the records on. Behind it they are on either worker: with two,
        // the one that reads is not held up by the other's sink but by the engine's bounds alone.
        let documents = documents
            .key_by(|document| document.number % 64)
            .scan(|| (), |(), document| document);
        graph.output("out", documents);
    })
    .source("in", files::json_lines::<Document>(&path))
    .sink("out", tally.clone())
    .workers(workers);
    let cost = Cost::of(|| job.run(Mode::Batch))?;

    let text_bytes = text_bytes.into_iter().map(|bytes| bytes as u64);
    check(
        &tally.digest(),
        (0..)
            .zip(text_bytes)
            .map(|(number, bytes)| mix(number, bytes)),
    )?;
    Ok(vec![cost.bytes()])
}

/// Writes documents whose lines are all of one length. Gives the length of each text.
fn write_documents(path: &Path, records: u64, bytes: u64) -> Result<Vec<usize>, Box<dyn Error>> {
    let mut file = BufWriter::new(File::create(path)?);
    let bytes = usize::try_from(bytes)?;
    let mut texts = Vec::new();
    let filling = "x".repeat(bytes);
    for number in 0..records {
        let head = format!("{{\"number\":{number},\"text\":\"");
        let text = bytes
            .checked_sub(head.len() + "\"}\n".len())
            .ok_or("a record is too short for what it holds")?;
        writeln!(file, "{head}{}\"}}", &filling[..text])?;
        texts.push(text);
    }
    file.flush()?;
    Ok(texts)
}

/// How many keys what records expand to is counted by.
const EXPANSION_KEYS: u64 = 16;

/// How many records are expanded: fewer where each becomes very many, for a run is to end.
fn expanded_records(numbers: u64) -> u64 {
    if numbers < 100_000 { 4_096 } else { 1_024 }
}

/// Records that each become so many numbers.
pub(super) fn expansion(numbers: u64) -> Values {
    let records = expanded_records(numbers);
    let (even, odd) = (Tally::new(hash_entry), Tally::new(hash_entry));
    let job = Job::new("expansion", move |graph: &Graph| {
        let expanded = graph
            .input::<u64>("in")
            .flat_map(move |record| record * numbers..(record + 1) * numbers);
        let (even, odd) = expanded.split(|number| number % 2 == 0);
        graph.output(
            "even",
            even.key_by(|number| number % EXPANSION_KEYS).count(),
        );
        graph.output("odd", odd.key_by(|number| number % EXPANSION_KEYS).count());
    })
    .source("in", Made::one(records, |_, number| number))
    .sink("even", even.clone())
    .sink("odd", odd.clone());
    let cost = Cost::of(|| job.run(Mode::Batch))?;

    // All numbers below the product come once, so each key has the same share.
    let share = records * numbers / EXPANSION_KEYS;
    let keys = |first| (first..EXPANSION_KEYS).step_by(2);
    check(&even.digest(), keys(0).map(|key| mix(key, share)))?;
    check(&odd.digest(), keys(1).map(|key| mix(key, share)))?;
    Ok(vec![cost.bytes()])
}

/// The silence that ends a session, in microseconds.
const GAP: i64 = 60_000_000;

fn hash_window(window: &Windowed<u64, u64>) -> u64 {
    mix(
        mix(
            window.start.as_micros().cast_unsigned(),
            window.end.as_micros().cast_unsigned(),
        ),
        mix(window.key, window.value),
    )
}

/// The hash of the session that one record makes.
fn hash_session(click: Click) -> u64 {
    hash_window(&Windowed {
        key: click.user,
        start: click.time(),
        end: EventTime::micros(click.at + GAP),
        value: 1,
    })
}

/// Runs a job over clicks each of which is a session that ends with the input.
fn sessions(
    records: u64,
    click: impl Fn(u64) -> Click + Copy + Send + Sync + 'static,
) -> Result<Cost, Box<dyn Error>> {
    let tally = Tally::new(hash_window);
    let job = Job::new("sessions", |graph: &Graph| {
        let clicks = graph.input::<Click>("in");
        // Longer than the input, so that the watermark closes none of them.
        let (timed, late) = clicks.event_time(Click::time, Lateness::days(10_000).leap(Leap::ANY));
        late.discard();
        let sessions = timed
            .key_by(|click| click.user)
            .session(Gap::micros(GAP.unsigned_abs()));
        graph.output("out", sessions.count());
    })
    .source("in", Made::one(records, move |_, number| click(number)))
    .sink("out", tally.clone());
    let cost = Cost::of(|| job.run(Mode::Batch))?;
    check(
        &tally.digest(),
        (0..records).map(|number| hash_session(click(number))),
    )?;
    Ok(cost)
}

/// A key that no other number has, far from that of the next number.
pub(super) fn scattered(number: u64) -> u64 {
    number.wrapping_mul(0x9E37_79B9_7F4A_7C15) // odd, so no two numbers come to the same
}

/// So many sessions of as many users.
pub(super) fn sessions_at_the_end(size: u64) -> Values {
    let cost = sessions(size, |number| Click {
        user: scattered(number),
        at: number.cast_signed(),
    })?;
    Ok(vec![
        cost.ns("session", size),
        cost.bytes_by("session", size),
    ])
}

/// How many sessions all keys have together.
const SESSIONS_OF_KEYS: u64 = 100_000;

/// So many open sessions of each key, in the order of their times or in another.
pub(super) fn sessions_of_one_key(size: u64, is_in_order: bool) -> Values {
    let keys = SESSIONS_OF_KEYS / size;
    // A prime that does not divide the size leads through all sessions of a key.
    let step = if is_in_order { 1 } else { 7_919 };
    let cost = sessions(SESSIONS_OF_KEYS, move |number| Click {
        user: number % keys,
        at: (number / keys * step % size).cast_signed() * 2 * GAP,
    })?;
    Ok(vec![cost.ns("record", SESSIONS_OF_KEYS)])
}

/// How many records each key of the table has.
const TABLE_TIMES: u64 = 2;

/// A count of so many keys, written when the input has ended.
pub(super) fn table_in_batch(keys: u64) -> Values {
    let tally = Tally::new(hash_entry);
    let job = Job::new("table", |graph: &Graph| {
        let counts = graph.input::<u64>("in").key_by(|key| *key).count();
        graph.output("out", counts);
    })
    .source(
        "in",
        Made::one(keys * TABLE_TIMES, move |_, number| {
            scattered(number % keys)
        }),
    )
    .sink("out", tally.clone());
    let cost = Cost::of(|| job.run(Mode::Batch))?;
    check(
        &tally.digest(),
        (0..keys).map(|number| mix(scattered(number), TABLE_TIMES)),
    )?;
    Ok(vec![cost.bytes_by("key", keys)])
}
