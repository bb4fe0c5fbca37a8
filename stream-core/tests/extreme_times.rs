//! Times at both ends of what there is: every operator in event time gives the same in every mode, loses nothing
//! and does not fail.

use stream_core::Leap;
use stream_core::prelude::*;
use stream_core::testing::{Input, ModeCheck};

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
