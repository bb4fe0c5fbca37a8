//! Times at both ends of what there is: every operator in event time gives the same in every mode, loses nothing
//! and does not fail.

use stream_core::Leap;
use stream_core::graph::OnTime;
use stream_core::prelude::*;
use stream_core::testing::{self, Input, ModeCheck};

/// A key, microseconds, and a number of its own.
type Row = (u8, i64, u16);

const TIMES: [i64; 12] = [
    i64::MIN,
    i64::MIN + 1,
    i64::MIN + 7,
    -1_000_000,
    -1,
    0,
    1,
    999_999,
    1_000_000,
    i64::MAX - 7,
    i64::MAX - 1,
    i64::MAX,
];

fn rows(seed: u64) -> Input<Row> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let row = |number| (rng.u8(0..3), TIMES[rng.usize(..TIMES.len())], number);
    Input::new((0..120).map(row).collect())
}

/// None is late, or leaps.
fn timed(rows: Stream<Row>) -> Timed<Row> {
    let bounds = Lateness::unbounded().leap(Leap::ANY);
    let (timed, late) = rows.event_time(|row| EventTime::micros(row.1), bounds);
    late.discard();
    timed
}

#[test]
fn windows_hold_every_record() {
    for seed in 0..4 {
        ModeCheck::new(rows(seed))
            .oracle(|partitions| {
                let all = partitions.concat().len() as i128;
                let all = || match all {
                    0 => Vec::new(),
                    value => vec![Entry { key: (), value }],
                };
                (all(), all(), all())
            })
            .run(|rows| {
                let by_key = timed(rows).key_by(|row| row.0);
                let total = |counts: Timed<Windowed<u8, u64>>| {
                    counts.key_by(|_| ()).sum(|window| window.value)
                };
                (
                    total(by_key.clone().tumbling(Size::secs(1)).count()),
                    total(by_key.clone().session(Gap::micros(2)).count()),
                    total(by_key.calendar(Calendar::days("Europe/Vienna")).count()),
                )
            });
    }
}

/// A record lies in ten of them, and near the ends in as many as there are.
#[test]
fn sliding_windows_and_joins_take_every_time() {
    for seed in 0..4 {
        ModeCheck::new(rows(seed)).run(|rows| {
            let timed = timed(rows);
            let by_key = timed.clone().key_by(|row| row.0);
            let odd = timed.filter(|row| row.2 % 2 == 1).key_by(|row| row.0);
            let sliding = by_key.clone().sliding(Size::micros(10), Size::micros(1));
            let near = by_key.clone().full_interval_join(
                odd.clone(),
                Gap::micros(3),
                Gap::micros(u64::MAX),
            );
            (sliding.count(), near, by_key.as_of_join(odd))
        });
    }
}

#[test]
fn operators_with_timers_take_every_time() {
    for seed in 0..4 {
        ModeCheck::new(rows(seed)).run(|rows| {
            let by_key = timed(rows).key_by(|row| row.0);
            let ordered = by_key
                .clone()
                .in_order()
                .scan(|| 0, |last: &mut u16, row| std::mem::replace(last, row.2));
            (
                by_key.clone().dedup(Gap::secs(1)),
                by_key.absence(Gap::micros(1)),
                ordered,
            )
        });
    }
}

fn by_key(rows: Stream<Row>) -> Keyed<u8, Row, OnTime> {
    timed(rows).key_by(|row| row.0)
}

/// Those of early results, too, and in each of its sliding windows.
#[test]
fn early_windows_hold_every_record() {
    type Told = Vec<Change<(u8, EventTime), Windowed<u8, u64>>>;
    let total = |told: Told| -> u64 {
        let counts = told.iter().filter_map(|row| row.value.as_ref());
        counts.map(|window| window.value).sum()
    };
    for seed in 0..4 {
        let all = || {
            let mut rng = fastrand::Rng::with_seed(seed);
            let row = |number| (rng.u8(0..3), TIMES[rng.usize(..TIMES.len())], number);
            (0..120).map(row).collect::<Vec<Row>>()
        };
        let told = testing::rows(
            |rows| by_key(rows).tumbling(Size::secs(1)).early().count(),
            all(),
        );
        assert_eq!(total(told), 120);
        let told = testing::rows(
            |rows| by_key(rows).session(Gap::micros(2)).early().count(),
            all(),
        );
        assert_eq!(total(told), 120);
        let days = || Calendar::days("Europe/Vienna");
        let told = testing::rows(
            move |rows| by_key(rows).calendar(days()).early().count(),
            all(),
        );
        assert_eq!(total(told), 120);
        // Near the beginning of time there are fewer.
        let late: Vec<Row> = all()
            .into_iter()
            .filter(|row| row.1 >= -1_000_000)
            .collect();
        let many = late.len() as u64;
        let told = testing::rows(
            |rows| {
                let windows = by_key(rows).sliding(Size::micros(10), Size::micros(1));
                windows.early().count()
            },
            late,
        );
        assert_eq!(total(told), 10 * many);
        ModeCheck::new(rows(seed)).run(move |rows| {
            let by_key = by_key(rows);
            let sliding = by_key.clone().sliding(Size::micros(10), Size::micros(1));
            let sessions = by_key.clone().session(Gap::micros(2));
            let seconds = by_key.clone().tumbling(Size::secs(1));
            (
                sliding.early().count(),
                sessions.early().count(),
                seconds.early().count(),
                by_key.ttl(Gap::days(1)).global(Size::secs(1)).count(),
            )
        });
    }
}

/// What lies a microsecond apart is no silence, where the time to live ends behind time itself, too.
#[test]
fn a_ttl_does_not_end_with_time() {
    let rows: Vec<Row> = [
        i64::MIN,
        i64::MIN,
        i64::MAX - 7,
        i64::MAX - 1,
        i64::MAX,
        i64::MAX,
        i64::MAX,
    ]
    .map(|time| (1, time, 0))
    .to_vec();
    let joined = testing::rows(
        |rows: Stream<Row>| {
            let bounds = Lateness::micros(3).leap(Leap::ANY);
            let (timed, late) = rows.event_time(|row| EventTime::micros(row.1), bounds);
            late.discard();
            let by_key = timed.key_by(|row| row.0);
            by_key.clone().as_of_join(by_key.ttl(Gap::secs(1)))
        },
        rows.clone(),
    );
    assert_eq!(joined.len(), rows.len());
    assert!(
        joined.iter().all(|(_, other)| other.is_some()),
        "{joined:?}"
    );
    ModeCheck::new(rows)
        .oracle(|partitions| {
            let rows = partitions.concat().len() as u64;
            let value = rows.checked_sub(2); // the two at the beginning
            value
                .map(|value| Entry { key: 1, value })
                .into_iter()
                .collect()
        })
        .run(|rows: Stream<Row>| {
            let ordered = timed(rows).key_by(|row| row.0).in_order();
            ordered.ttl(Gap::secs(1)).count()
        });
}
