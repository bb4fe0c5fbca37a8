//! What is done with a record alone, beyond `map` and `filter`: its event time, a share of the keys, and one
//! stream a key. In every mode and through recovery, against oracles from scratch.

#![allow(clippy::unwrap_used, reason = "what a test cannot do without fails it")]

mod common;

use std::collections::BTreeSet;

use common::{on_time, parts};
use stream_core::prelude::*;
use stream_core::testing::{self, ModeCheck, RecoveryCheck};

/// Key, second, value.
type Row = (u8, i64, u32);

const LATENESS: i64 = 10;

/// Rows of twenty keys, mostly in order; some lie before 1970, some are late.
fn rows(seed: u64, many: u32) -> Vec<Row> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut now = -60;
    let mut row = |value| {
        now += rng.i64(0..3);
        let behind = rng.i64(0..LATENESS * 3 / 2);
        (rng.u8(0..20), now - behind, value)
    };
    (0..many).map(&mut row).collect()
}

fn second(row: &Row) -> EventTime {
    EventTime::secs(row.1)
}

fn timed(rows: Stream<Row>) -> Timed<Row> {
    let (timed, late) = rows.event_time(second, Lateness::secs(LATENESS as u64));
    late.discard();
    timed
}

#[test]
fn map_with_time_is_given_the_event_time_of_each_record() {
    ModeCheck::new(rows(1, 300))
        .oracle(|partitions| {
            let rows = on_time(partitions, LATENESS);
            let rows = rows.iter().filter(|row| row.2 % 3 != 0);
            rows.map(|row| (row.0, second(row), row.2 + 1)).collect()
        })
        .run(|rows: Stream<Row>| {
            timed(rows).fuse(|chain| {
                let without_time = chain.map(|row| (row.0, row.2));
                without_time
                    .filter(|(_, value)| value % 3 != 0)
                    .flat_map(|row| [row])
                    .map_with_time(|(key, value), time| (key, time, value))
                    .map(|(key, time, value)| (key, time, value + 1))
            })
        });
}

#[test]
fn map_with_time_behind_windows_is_given_their_last_microsecond() {
    ModeCheck::new(rows(2, 300))
        .oracle(|partitions| {
            let rows = on_time(partitions, LATENESS).into_iter();
            let windows: BTreeSet<_> = rows.map(|row| (row.0, row.1.div_euclid(5) * 5)).collect();
            let micros =
                |(key, start): (u8, i64)| (key, EventTime::micros((start + 5) * 1_000_000 - 1));
            windows.into_iter().map(micros).collect()
        })
        .run(|rows: Stream<Row>| {
            let windows = timed(rows)
                .key_by(|row| row.0)
                .tumbling(Size::secs(5))
                .count();
            windows.map_with_time(|window, time| (window.key, time))
        });
}

/// The keys that a sample keeps, found out key by key.
fn kept(fraction: f64) -> BTreeSet<u8> {
    let sample = move |keys: Stream<u8>| keys.sample(fraction, |key| *key);
    testing::rows(sample, 0..20).into_iter().collect()
}

#[test]
fn a_sample_keeps_all_records_of_its_keys_and_no_others() {
    for fraction in [0.0, 0.3, 0.7, 1.0] {
        ModeCheck::new(rows(3, 300))
            .oracle(move |partitions| {
                let kept = kept(fraction);
                let rows = partitions.concat().into_iter();
                rows.filter(|row| kept.contains(&row.0)).collect()
            })
            .run(move |rows: Stream<Row>| rows.sample(fraction, |row| row.0));
    }
}

#[test]
fn a_greater_fraction_keeps_what_a_smaller_one_does() {
    let samples = [0.0, 0.2, 0.5, 0.8, 1.0].map(kept);
    assert!(samples.is_sorted_by(BTreeSet::is_subset));
    assert_eq!(samples.map(|kept| kept.len()), [0, 3, 7, 14, 20]);
}

#[test]
fn split_by_gives_a_stream_for_each_key_and_the_rest() {
    ModeCheck::new(rows(4, 300))
        .oracle(|partitions| {
            let rows = partitions.concat();
            let of = |wanted: &dyn Fn(u8) -> bool| -> Vec<Row> {
                rows.iter().copied().filter(|row| wanted(row.0)).collect()
            };
            (
                of(&|key| key == 7),
                of(&|key| key == 3),
                of(&|key| key != 7 && key != 3),
            )
        })
        .run(|rows: Stream<Row>| {
            let ([sevens, threes], rest) = rows.split_by(|row| row.0, [7, 3]);
            (sevens, threes, rest)
        });
}

#[pipeline]
fn all_together(
    rows: Stream<Row>,
    share: f64,
) -> (Timed<Windowed<u8, u64>>, Stream<Row>, Stream<Row>) {
    let (timed, late) = rows.event_time(second, Lateness::secs(10));
    let stamped = timed
        .sample(share, |row| row.0)
        .map_with_time(|row, time| (row.0, time))
        .filter(|(_, time)| time.as_micros() % 2 == 0);
    let windows = stamped
        .key_by(|(key, _)| *key)
        .tumbling(Size::secs(5))
        .count();
    let ([sevens, _], others) = late.split_by(|row| row.0, [7, 3]);
    (windows, sevens, others)
}

#[test]
fn in_a_pipeline_they_are_fused_and_have_the_ids_that_it_says() {
    let graph = all_together::job().share(0.5).explain().unwrap();
    let ids = graph.nodes.iter().map(|node| node.id.as_str());
    let stages: Vec<_> = all_together::GRAPH
        .stages
        .iter()
        .map(|stage| stage.id)
        .collect();
    let ids: Vec<_> = ids.filter(|id| stages.contains(id)).collect();
    assert_eq!(ids, stages);
    let sample = graph.nodes.iter().find(|node| node.kind == "sample");
    assert_eq!(sample.unwrap().parameter("fraction"), Some("0.5"));
}

#[test]
fn through_crashes() {
    RecoveryCheck::new(rows(5, 120)).run(|rows: Stream<Row>| all_together(rows, 0.5));
}

/// What a job says before it starts.
fn refused(pipeline: impl Fn(Stream<u64>) -> Stream<u64> + Send + Sync + 'static) -> [String; 3] {
    let job = Job::new("job", move |graph| {
        graph.output("out", pipeline(graph.input("numbers")));
    });
    let error = job.explain().unwrap_err();
    let (what, detail, hint) = parts(&error);
    [what, detail.unwrap(), hint.unwrap()]
}

#[test]
fn a_fraction_that_is_none_is_refused() {
    for (fraction, text) in [(1.5, "1.5"), (-0.1, "-0.1"), (f64::NAN, "NaN")] {
        let [what, detail, hint] = refused(move |numbers| numbers.sample(fraction, |n| *n));
        assert_eq!(what, format!("`sample` is given the fraction {text}"));
        assert_eq!(
            detail,
            "it is a share of the keys, from 0 (none) to 1 (all)"
        );
        assert_eq!(hint, "of one key in a hundred: `.sample(0.01, |record| …)`");
    }
}

#[test]
fn one_key_twice_is_refused() {
    let [what, detail, hint] = refused(|numbers| numbers.split_by(|n| *n, [7, 3, 7]).1);
    let before = "`split_by` is given one key twice, behind `";
    assert!(what.starts_with(before), "{what}");
    assert_eq!(
        detail,
        "keys 1 and 3 are equal, so the second stream would be empty"
    );
    assert!(hint.contains("leave out one of the two"), "{hint}");
}
