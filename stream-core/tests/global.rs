//! Global windows: in every mode and through crashes, against loops over sorted rows.

mod common;

use std::collections::BTreeMap;

use common::on_time;
use stream_core::graph::OnTime;
use stream_core::ops::aggregate::{count, max};
use stream_core::prelude::*;
use stream_core::testing::{ModeCheck, RecoveryCheck};

/// Key, microsecond, value.
type Row = (u8, i64, u64);

const LATENESS: i64 = 10;
const EVERY: i64 = 7;
const TTL: i64 = 10; // two periods

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

/// At the end of each period in which a key has a row: its rows since it was forgotten last.
fn so_far(partitions: &[Vec<Row>], ttl: Option<i64>) -> Vec<Windowed<u8, Vec<Row>>> {
    let mut periods = BTreeMap::<(u8, i64), Vec<Row>>::new();
    for row in on_time(partitions, LATENESS) {
        let begin = row.1.div_euclid(EVERY) * EVERY;
        periods.entry((row.0, begin)).or_default().push(row);
    }
    let mut all = BTreeMap::<u8, (i64, Vec<Row>)>::new();
    let told = |((key, begin), rows): ((u8, i64), Vec<Row>)| {
        let (end, so_far) = all.entry(key).or_default();
        if ttl.is_some_and(|ttl| begin - *end >= ttl) {
            so_far.clear();
        }
        so_far.extend(rows);
        so_far.sort();
        *end = begin + EVERY;
        Windowed {
            key,
            start: EventTime::micros(so_far.iter().map(|row| row.1).min().unwrap_or(0)),
            end: EventTime::micros(*end),
            value: so_far.clone(),
        }
    };
    periods.into_iter().map(told).collect()
}

fn push(rows: &mut Vec<Row>, row: Row) {
    rows.push(row);
}

fn append(rows: &mut Vec<Row>, mut later: Vec<Row>) {
    rows.append(&mut later);
}

fn sorted(mut window: Windowed<u8, Vec<Row>>) -> Windowed<u8, Vec<Row>> {
    window.value.sort();
    window
}

fn every() -> Size {
    Size::micros(EVERY as u64)
}

#[test]
fn what_a_key_has_come_to_is_told_at_the_end_of_each_period() {
    for (seed, step) in [(1, 1), (2, 3), (3, 25), (4, 0)] {
        ModeCheck::new(rows(seed, step, 150))
            .oracle(|partitions| so_far(partitions, None))
            .run(|rows: Stream<Row>| {
                let all = keyed(rows).global(every());
                all.fold(Vec::new, push, append).map(sorted)
            });
    }
}

#[test]
fn a_key_is_forgotten_after_periods_without_it() {
    for (seed, step) in [(11, 1), (12, 6), (13, 25)] {
        ModeCheck::new(rows(seed, step, 150))
            .oracle(|partitions| so_far(partitions, Some(2 * EVERY)))
            .run(|rows: Stream<Row>| {
                let all = keyed(rows).ttl(Gap::micros(TTL as u64)).global(every());
                all.fold(Vec::new, push, append).map(sorted)
            });
    }
}

#[test]
fn global_windows_are_counted_and_aggregated() {
    let value = |window: Windowed<u8, Vec<Row>>| {
        let greatest = window.value.iter().map(|row| row.2).max();
        (window.end, window.value.len() as u64, greatest)
    };
    ModeCheck::new(rows(21, 3, 150))
        .oracle(move |partitions| {
            let windows = so_far(partitions, None).into_iter();
            let rows: Vec<_> = windows.map(value).collect();
            (rows.clone(), rows.into_iter().map(|row| row.1).collect())
        })
        .run(|rows: Stream<Row>| {
            let all = keyed(rows).global(every());
            let made = all.clone().aggregate((count(), max(|row: &Row| row.2)));
            (
                made.map(|window| (window.end, window.value.0, Some(window.value.1))),
                all.count().map(|window| window.value),
            )
        });
}

#[test]
fn global_windows_through_crashes() {
    for (seed, step) in [(31, 2), (32, 12)] {
        RecoveryCheck::new(rows(seed, step, 100)).run(|rows: Stream<Row>| {
            let forgetful = keyed(rows.clone()).ttl(Gap::micros(TTL as u64));
            (
                keyed(rows).global(every()).count(),
                forgetful.global(every()).count(),
            )
        });
    }
}
