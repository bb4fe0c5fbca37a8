//! Early results of windows: what they come to is what the windows give, in every mode and through crashes.

mod common;

use std::collections::BTreeMap;
use std::ops::Range;

use common::on_time;
use stream_core::graph::OnTime;
use stream_core::ops::aggregate::{count, latest};
use stream_core::ops::{CalendarWindows, Windows};
use stream_core::prelude::*;
use stream_core::testing::{ModeCheck, RecoveryCheck};

/// Key, microsecond, value.
type Row = (u8, i64, u64);
type Sum = Change<(u8, EventTime), Windowed<u8, u64>>;

const LATENESS: i64 = 10;
const GAP: i64 = 6;

/// Rows of a few keys, mostly in order; `step` is how far time goes on from one to the next at the most. Some are
/// late.
fn rows(seed: u64, step: i64, many: u64) -> Vec<Row> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut now = -150;
    let mut row = |value| {
        now += rng.i64(0..=step);
        (rng.u8(0..4), now - rng.i64(0..LATENESS * 3 / 2), value)
    };
    (0..many).map(&mut row).collect()
}

fn keyed(rows: Stream<Row>) -> Keyed<u8, Row, OnTime> {
    let at = |row: &Row| EventTime::micros(row.1);
    let (timed, late) = rows.event_time(at, Lateness::micros(LATENESS as u64));
    late.discard();
    timed.key_by(|row| row.0)
}

fn add(sum: &mut u64, row: Row) {
    *sum += row.2;
}

fn merge(sum: &mut u64, other: u64) {
    *sum += other;
}

fn change(key: u8, window: Range<i64>, value: u64) -> Sum {
    let [start, end] = [window.start, window.end].map(EventTime::micros);
    let window = Windowed {
        key,
        start,
        end,
        value,
    };
    Change {
        key: (key, start),
        value: Some(window),
    }
}

/// The sums of the windows of one size that begin a step after another from an offset on.
fn sums(partitions: &[Vec<Row>], size: i64, step: i64, offset: i64) -> Vec<Sum> {
    let mut sums = BTreeMap::new();
    for (key, time, value) in on_time(partitions, LATENESS) {
        let starts = (-2_000..2_000).map(|n| n * step + offset);
        for start in starts.filter(|start| (*start..*start + size).contains(&time)) {
            *sums.entry((key, start)).or_insert(0) += value;
        }
    }
    let row = |((key, start), value)| change(key, start..start + size, value);
    sums.into_iter().map(row).collect()
}

fn sessions(partitions: &[Vec<Row>]) -> Vec<Sum> {
    let mut rows = on_time(partitions, LATENESS);
    rows.sort_unstable();
    let session = |rows: &[Row]| {
        let end = rows[rows.len() - 1].1 + GAP;
        let sum = rows.iter().map(|row| row.2).sum();
        change(rows[0].0, rows[0].1..end, sum)
    };
    let near = |a: &Row, b: &Row| a.0 == b.0 && b.1 - a.1 < GAP;
    rows.chunk_by(near).map(session).collect()
}

fn micros(micros: i64) -> Size {
    Size::micros(micros as u64)
}

#[test]
fn tumbling_and_sliding_windows_come_to_what_they_give() {
    for (seed, step, size, every, offset) in [(1, 3, 12, 12, 5), (2, 1, 12, 5, 2), (3, 9, 7, 1, 0)]
    {
        ModeCheck::new(rows(seed, step, 200))
            .oracle(move |partitions| sums(partitions, size, every, offset))
            .run(move |rows: Stream<Row>| {
                let windows = keyed(rows).sliding(micros(size), micros(every));
                windows.offset(micros(offset)).early().fold(|| 0, add)
            });
        ModeCheck::new(rows(seed + 10, step, 200))
            .oracle(move |partitions| sums(partitions, size, size, offset))
            .run(move |rows: Stream<Row>| {
                let windows = keyed(rows).tumbling(micros(size)).offset(micros(offset));
                windows.early().fold(|| 0, add)
            });
    }
}

#[test]
fn sessions_come_to_what_they_give() {
    for (seed, step) in [(21, 1), (22, 3), (23, 9), (24, 0)] {
        ModeCheck::new(rows(seed, step, 200))
            .oracle(|partitions| sessions(partitions))
            .run(|rows: Stream<Row>| {
                let sessions = keyed(rows).session(Gap::micros(GAP as u64));
                sessions.early().fold(|| 0, add, merge)
            });
    }
}

/// The same rows, ten minutes apart where they are a microsecond apart else.
fn by_hour(rows: Stream<Row>) -> Windows<u8, Row, CalendarWindows> {
    let at = |row: &Row| EventTime::secs(row.1 * 600);
    let (timed, late) = rows.event_time(at, Lateness::mins(100));
    late.discard();
    let keyed = timed.key_by(|row| row.0);
    keyed.calendar(Calendar::hours("Europe/Vienna"))
}

#[test]
fn every_kind_and_aggregate_comes_to_what_it_gives_without() {
    type Value = (u64, Row);
    type Out = Vec<Windowed<u8, Value>>;
    let made = || (count(), latest(|row: &Row| EventTime::micros(row.1)));
    fn last(rows: Vec<Change<(u8, EventTime), Windowed<u8, Value>>>) -> Out {
        let last: BTreeMap<_, _> = rows.into_iter().map(|row| (row.key, row.value)).collect();
        let mut rows: Out = last.into_values().flatten().collect();
        rows.sort();
        rows
    }
    for mode in [
        "batch",
        "micro-batch=7records",
        "per-record",
        "per-record=strict",
    ] {
        for workers in [1, 2] {
            let (sinks, early): (Vec<_>, Vec<_>) = (0..4).map(|_| io::collect()).unzip();
            let (plain_sinks, plain): (Vec<_>, Vec<_>) = (0..4).map(|_| io::collect()).unzip();
            let mut job = Job::new("both", move |graph| {
                let rows = graph.input::<Row>("rows");
                let (tumbling, hours) = (
                    keyed(rows.clone()).tumbling(micros(12)),
                    by_hour(rows.clone()),
                );
                let sliding = keyed(rows.clone()).sliding(micros(12), micros(4));
                let sessions = keyed(rows).session(Gap::micros(GAP as u64));
                graph.output("early0", tumbling.clone().early().aggregate(made()));
                graph.output("early1", hours.clone().early().aggregate(made()));
                graph.output("early2", sliding.clone().early().aggregate(made()));
                graph.output("early3", sessions.clone().early().aggregate(made()));
                graph.output("plain0", tumbling.aggregate(made()));
                graph.output("plain1", hours.aggregate(made()));
                graph.output("plain2", sliding.aggregate(made()));
                graph.output("plain3", sessions.aggregate(made()));
            });
            job = job
                .source("rows", io::vec(rows(30, 2, 300)))
                .max_leap(Leap::ANY)
                .workers(workers);
            for (n, sink) in sinks.into_iter().enumerate() {
                job = job.sink(&format!("early{n}"), sink);
            }
            for (n, sink) in plain_sinks.into_iter().enumerate() {
                job = job.sink(&format!("plain{n}"), sink);
            }
            job.run(mode.parse().unwrap()).unwrap();
            for (n, (early, plain)) in early.into_iter().zip(plain).enumerate() {
                let told = early.take();
                let many = told.len();
                let early = last(told);
                let mut plain: Out = plain.take();
                plain.sort();
                assert!(!plain.is_empty());
                assert_eq!(early, plain, "{n} {mode} {workers}");
                if mode == "batch" {
                    assert_eq!(many, plain.len(), "{n}: in batch mode each is told once");
                }
            }
        }
    }
}

#[test]
fn early_results_through_crashes() {
    for (seed, step) in [(40, 1), (41, 4)] {
        RecoveryCheck::new(rows(seed, step, 120)).run(|rows: Stream<Row>| {
            let sessions = keyed(rows.clone()).session(Gap::micros(GAP as u64));
            let sliding = keyed(rows.clone()).sliding(micros(12), micros(5));
            (
                sessions.early().fold(|| 0, add, merge),
                sliding.early().fold(|| 0, add),
                keyed(rows).tumbling(micros(9)).early().count(),
            )
        });
    }
}

/// What has changed is told while a window is open, and each change is one of its values.
#[test]
fn a_window_is_told_while_it_is_open() {
    let told = |mode: &str| {
        let (sink, rows) = io::collect::<Sum>();
        let job = Job::new("open", |graph| {
            let rows = graph.input::<Row>("rows");
            graph.output("sums", keyed(rows).tumbling(micros(1_000)).early().count());
        });
        let rows_in: Vec<Row> = (0..6).map(|n| (7, n, n as u64)).collect();
        let job = job.source("rows", io::vec(rows_in)).sink("sums", sink);
        let job = job.max_leap(Leap::ANY);
        job.run(mode.parse().unwrap()).unwrap();
        let rows = rows.take().into_iter();
        rows.map(|row| row.value.unwrap().value)
            .collect::<Vec<u64>>()
    };
    assert_eq!(told("batch"), [6]);
    assert_eq!(told("micro-batch=2records"), [2, 4, 6]);
    assert_eq!(told("per-record=strict"), [1, 2, 3, 4, 5, 6]);
}
