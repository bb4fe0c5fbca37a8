//! Windows with an offset: in every mode and through recovery, against oracles from scratch.

#![allow(clippy::unwrap_used, reason = "what a test cannot do without fails it")]

use std::collections::BTreeMap;
use std::ops::Range;

use stream_core::graph::{Keyed, OnTime};
use stream_core::prelude::*;
use stream_core::testing::{ModeCheck, RecoveryCheck};

/// Key, second, value.
type Row = (u8, i64, u64);

const LATENESS: i64 = 10;

/// Rows of a few keys from a second on, mostly in order; `step` is how far time goes on from one to the next at
/// the most. Some are late.
fn rows(seed: u64, begin: i64, step: i64, many: u64) -> Vec<Row> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut now = begin;
    let mut row = |value| {
        now += rng.i64(0..=step);
        (rng.u8(0..4), now - rng.i64(0..LATENESS * 3 / 2), value)
    };
    (0..many).map(&mut row).collect()
}

fn keyed(rows: Stream<Row>) -> Keyed<u8, Row, OnTime> {
    let at = |row: &Row| EventTime::secs(row.1);
    let (timed, late) = rows.event_time(at, Lateness::secs(LATENESS as u64));
    late.discard();
    timed.key_by(|row| row.0)
}

/// By the definition: late is what lies behind the highest seen earlier in its own partition.
fn on_time(partitions: &[Vec<Row>]) -> Vec<Row> {
    let mut rows = Vec::new();
    for partition in partitions {
        for (place, row) in partition.iter().enumerate() {
            let before = &partition[..place];
            if before.iter().all(|other| other.1 - LATENESS <= row.1) {
                rows.push(*row);
            }
        }
    }
    rows
}

/// Of all windows the sums of those that hold a record; they are given by their seconds.
fn sums(partitions: &[Vec<Row>], windows: &[Range<i64>]) -> Vec<Windowed<u8, u64>> {
    let mut sums = BTreeMap::new();
    for (key, second, value) in on_time(partitions) {
        for window in windows.iter().filter(|window| window.contains(&second)) {
            *sums.entry((key, window.start, window.end)).or_insert(0) += value;
        }
    }
    let row = |((key, start, end), value)| Windowed {
        key,
        start: EventTime::secs(start),
        end: EventTime::secs(end),
        value,
    };
    sums.into_iter().map(row).collect()
}

fn add(sum: &mut u64, row: Row) {
    *sum += row.2;
}

fn secs(secs: i64) -> Size {
    Size::secs(secs as u64)
}

/// Windows that begin at an offset, and others a step behind.
fn aligned(size: i64, step: i64, offset: i64) -> Vec<Range<i64>> {
    let starts = (-300..300).map(|n| n * step + offset);
    starts.map(|start| start..start + size).collect()
}

#[test]
fn tumbling_windows_begin_at_their_offset() {
    for (seed, size, offset) in [(1, 25, 7), (2, 25, 24), (3, 10, 23), (4, 10, 20)] {
        ModeCheck::new(rows(seed, -300, 3, 300))
            .oracle(move |partitions| sums(partitions, &aligned(size, size, offset)))
            .run(move |rows: Stream<Row>| {
                let windows = keyed(rows).tumbling(secs(size)).offset(secs(offset));
                windows.fold(|| 0, add)
            });
    }
}

#[test]
fn sliding_windows_begin_at_their_offset() {
    for (seed, size, step, offset) in [(5, 25, 10, 7), (6, 12, 3, 2), (7, 9, 2, 5), (8, 12, 8, 3)] {
        ModeCheck::new(rows(seed, -200, 3, 200))
            .oracle(move |partitions| sums(partitions, &aligned(size, step, offset)))
            .run(move |rows: Stream<Row>| {
                let windows = keyed(rows).sliding(secs(size), secs(step));
                let merge = |sum: &mut u64, later| *sum += later;
                windows.offset(secs(offset)).fold(|| 0, add, merge)
            });
    }
}

#[pipeline]
fn shifted(
    rows: Stream<Row>,
    offset: Size,
) -> (Timed<Windowed<u8, u64>>, Timed<Windowed<u8, u64>>) {
    let at = |row: &Row| EventTime::secs(row.1);
    let (timed, late) = rows.event_time(at, Lateness::secs(10));
    late.discard();
    let tumbling = timed
        .key_by(|row| row.0)
        .tumbling(Size::secs(25))
        .offset(offset)
        .count();
    let sliding = timed
        .key_by(|row| row.0)
        .sliding(Size::secs(20), Size::secs(5))
        .offset(offset)
        .count();
    (tumbling, sliding)
}

#[test]
fn windows_with_an_offset_through_crashes() {
    RecoveryCheck::new(rows(9, -100, 3, 120)).run(|rows: Stream<Row>| shifted(rows, Size::secs(7)));
}

#[test]
fn an_offset_is_a_setting_of_its_stage_and_no_stage() {
    let offset_of = |offset, id: &str| {
        let graph = shifted::job().offset(offset).explain().unwrap();
        let stage = graph.nodes.iter().find(|node| node.id == id).unwrap();
        stage.parameter("offset").map(str::to_owned)
    };
    let [tumbling, sliding] = ["shifted/tumbling/tumbling", "shifted/sliding/sliding"];
    let stages: Vec<_> = shifted::GRAPH.stages.iter().map(|stage| stage.id).collect();
    assert!(
        stages.contains(&tumbling) && stages.contains(&sliding),
        "{stages:?}"
    );
    assert_eq!(offset_of(Size::secs(7), tumbling).as_deref(), Some("7s"));
    assert_eq!(offset_of(Size::secs(7), sliding).as_deref(), Some("2s"));
    // These are the windows that there are without one.
    assert_eq!(offset_of(Size::secs(50), tumbling), None);
    assert_eq!(offset_of(Size::secs(0), sliding), None);
}
