//! A key that is forgotten after a silence, in every mode and through crashes, against loops over sorted rows.

mod common;

use std::collections::BTreeMap;

use common::{Script, Step, on_time};
use stream_core::graph::{Class, Expiring, InOrder, Keyed, OnTime};
use stream_core::prelude::*;
use stream_core::run::StateStore;
use stream_core::testing::{Input, ModeCheck, RecoveryCheck};

/// Key, microsecond, value.
type Row = (u8, i64, i16);

const LATENESS: i64 = 6;
const TTL: i64 = 9;

/// Rows of some keys, mostly in order. Some keys fall silent long before the others. `step` is how far time goes on
/// from one to the next at the most.
fn rows(seed: u64, many: usize, step: i64) -> Vec<Row> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut now = -60;
    let mut row = |n: usize| {
        now += rng.i64(0..=step);
        let behind = [0, 0, rng.i64(0..=LATENESS), LATENESS, rng.i64(0..30)][rng.usize(0..5)];
        let keys = 2 + 8 * (many - n) as u8 as usize / many.max(1);
        (rng.u8(0..=keys as u8), now - behind, rng.i16(-2..3))
    };
    (0..many).map(&mut row).collect()
}

fn timed(rows: Stream<Row>) -> Timed<Row> {
    let lateness = Lateness::micros(LATENESS as u64);
    let (timed, late) = rows.event_time(|row| EventTime::micros(row.1), lateness);
    late.discard();
    timed
}

fn ordered(rows: Stream<Row>) -> Keyed<u8, Row, Expiring<InOrder>> {
    let ttl = Gap::micros(TTL as u64);
    timed(rows).key_by(|row| row.0).in_order().ttl(ttl)
}

fn in_lanes(rows: Stream<Row>) -> Keyed<u8, Row, Expiring<OnTime>> {
    timed(rows).key_by(|row| row.0).ttl(Gap::micros(TTL as u64))
}

/// The time that the lane has come to which has come furthest.
fn furthest(partitions: &[Vec<Row>]) -> i64 {
    let last = partitions.iter().flatten().map(|row| row.1).max();
    last.map_or(i64::MIN, |last| last - LATENESS)
}

/// By key, in the order of time, those of one time by their encoding.
fn sorted(partitions: &[Vec<Row>]) -> BTreeMap<u8, Vec<Row>> {
    let bytes = |row: &Row| {
        let bytes = bincode::serde::encode_to_vec(row, bincode::config::standard());
        bytes.expect("a row can be encoded")
    };
    let mut by_key = as_they_come(partitions);
    for rows in by_key.values_mut() {
        rows.sort_by_key(|row| (row.1, bytes(row)));
    }
    by_key
}

/// By key, in the order of the one partition that all of them are in.
fn as_they_come(partitions: &[Vec<Row>]) -> BTreeMap<u8, Vec<Row>> {
    let mut by_key = BTreeMap::<u8, Vec<Row>>::new();
    for partition in partitions {
        for row in on_time(std::slice::from_ref(partition), LATENESS) {
            by_key.entry(row.0).or_default().push(row);
        }
    }
    by_key
}

/// The lives of a key: its rows between two silences.
fn lives(rows: &[Row]) -> Vec<Vec<Row>> {
    let mut lives = Vec::<Vec<Row>>::new();
    let mut last = None;
    for row in rows {
        match lives.last_mut() {
            Some(life) if last.is_some_and(|last| row.1 - last < TTL) => life.push(*row),
            _ => {
                lives.push(vec![*row]);
                last = None;
            }
        }
        last = last.max(Some(row.1));
    }
    lives
}

/// What a table has in the end: of each key that lives what is made of the rows of its life.
fn living<V>(
    by_key: BTreeMap<u8, Vec<Row>>,
    furthest: i64,
    value: impl Fn(&[Row]) -> Option<V>,
) -> Vec<Entry<u8, V>> {
    let of_key = |(key, rows): (u8, Vec<Row>)| {
        let life = lives(&rows).pop()?;
        let last = life.iter().map(|row| row.1).max()?;
        let value = (last + TTL > furthest).then(|| value(&life))??;
        Some(Entry { key, value })
    };
    by_key.into_iter().filter_map(of_key).collect()
}

/// What is made of each life.
fn each<V>(by_key: BTreeMap<u8, Vec<Row>>, of: impl Fn(&[Row]) -> Vec<V>) -> Vec<(u8, V)> {
    let of_key = |(key, rows): (u8, Vec<Row>)| {
        let said: Vec<V> = lives(&rows).iter().flat_map(|life| of(life)).collect();
        said.into_iter().map(move |said| (key, said))
    };
    by_key.into_iter().flat_map(of_key).collect()
}

const INPUTS: [(u64, usize, i64); 4] = [(1, 200, 3), (2, 200, 12), (3, 200, 0), (4, 60, 40)];

fn values(life: &[Row]) -> Option<Vec<i16>> {
    Some(life.iter().map(|row| row.2).collect())
}

fn push(values: &mut Vec<i16>, row: Row) {
    values.push(row.2);
}

#[test]
fn a_table_has_the_keys_that_live_behind_in_order() {
    let mut kept = 0;
    for (seed, many, step) in INPUTS {
        let rows = rows(seed, many, step);
        let partitions = std::slice::from_ref(&rows);
        kept += living(sorted(partitions), furthest(partitions), values).len();
        ModeCheck::new(rows)
            .oracle(|partitions| living(sorted(partitions), furthest(partitions), values))
            .run(|rows: Stream<Row>| ordered(rows).fold(Vec::new, push));
    }
    assert!(kept > 5, "some keys are there in the end: {kept}");
}

#[test]
fn a_table_has_the_keys_that_live_where_each_is_in_one_lane() {
    for (seed, many, step) in INPUTS {
        ModeCheck::new(Input::new(rows(seed + 10, many, step)).partition_by(|row| row.0))
            .oracle(|partitions| living(as_they_come(partitions), furthest(partitions), values))
            .run(|rows: Stream<Row>| in_lanes(rows).fold(Vec::new, push));
    }
}

#[test]
fn counts_and_aggregates_forget() {
    let count = |life: &[Row]| Some(life.len() as u64);
    let sum = |life: &[Row]| Some(life.iter().map(|row| i128::from(row.2)).sum());
    for (seed, many, step) in INPUTS {
        ModeCheck::new(rows(seed + 20, many, step))
            .oracle(move |partitions| {
                let furthest = furthest(partitions);
                let counts = living(sorted(partitions), furthest, count);
                (counts, living(sorted(partitions), furthest, sum))
            })
            .run(|rows: Stream<Row>| {
                (
                    ordered(rows.clone()).count(),
                    ordered(rows).sum(|row| row.2),
                )
            });
    }
}

/// Deletes a row itself, too.
fn change(row: Row) -> Option<i64> {
    (row.2 != 0).then_some(row.1)
}

#[test]
fn a_table_of_changes_forgets_and_deletes() {
    let last = |life: &[Row]| change(*life.last()?);
    for (seed, many, step) in INPUTS {
        ModeCheck::new(rows(seed + 30, many, step))
            .oracle(move |partitions| living(sorted(partitions), furthest(partitions), last))
            .run(|rows: Stream<Row>| ordered(rows).table(change));
    }
}

#[test]
fn a_scan_begins_anew() {
    let numbers = |life: &[Row]| (1..=life.len() as u64).collect();
    let number = |next: &mut u64, _| {
        *next += 1;
        *next
    };
    for (seed, many, step) in INPUTS {
        ModeCheck::new(rows(seed + 40, many, step))
            .oracle(move |partitions| each(sorted(partitions), numbers))
            .run(move |rows: Stream<Row>| ordered(rows).scan(|| 0, number));
        ModeCheck::new(Input::new(rows(seed + 41, many, step)).partition_by(|row| row.0))
            .oracle(move |partitions| each(as_they_come(partitions), numbers))
            .run(move |rows: Stream<Row>| in_lanes(rows).scan(|| 0, number));
    }
}

#[test]
fn a_run_that_is_not_full_is_forgotten() {
    const RUN: usize = 3;
    let runs =
        |life: &[Row]| -> Vec<Vec<i16>> { life.chunks_exact(RUN).filter_map(values).collect() };
    for (seed, many, step) in INPUTS {
        ModeCheck::new(rows(seed + 50, many, step))
            .oracle(move |partitions| each(sorted(partitions), runs))
            .run(|rows: Stream<Row>| ordered(rows).count_windows(RUN).fold(Vec::new, push));
        ModeCheck::new(rows(seed + 51, many, step))
            .oracle(|partitions| each(sorted(partitions), |life| vec![1_u64; life.len()]))
            .run(|rows: Stream<Row>| ordered(rows).count_windows(1).fold(|| 0, |n, _| *n += 1));
    }
}

/// What reads a table that forgets forgets with it.
#[test]
fn what_is_made_of_such_a_table_follows_it() {
    let pair = |life: &[Row]| Some((life.len() as u64, life.iter().map(|row| row.2).max()?));
    ModeCheck::new(rows(60, 200, 3))
        .oracle(move |partitions| living(sorted(partitions), furthest(partitions), pair))
        .run(|rows: Stream<Row>| {
            let counts = ordered(rows.clone()).count();
            counts.join(ordered(rows).max(|row| row.2))
        });
}

#[test]
fn keys_are_forgotten_through_crashes() {
    for (seed, step) in [(70, 3), (71, 15)] {
        RecoveryCheck::new(rows(seed, 120, step)).run(|rows: Stream<Row>| {
            (
                ordered(rows.clone()).fold(Vec::new, push),
                ordered(rows.clone()).table(change),
                ordered(rows).scan(|| 0, |next, _| std::mem::replace(next, *next + 1)),
            )
        });
        let by_lane = Input::new(rows(seed + 2, 120, step)).partition_by(|row| row.0);
        RecoveryCheck::new(by_lane).run(|rows: Stream<Row>| in_lanes(rows).fold(Vec::new, push));
    }
}

#[pipeline]
fn active(rows: Stream<Row>, #[default(Gap::days(1))] ttl: Gap) -> Table<u8, u64> {
    let (timed, late) = rows.event_time(|row| EventTime::micros(row.1), Lateness::secs(1));
    late.discard();
    let active = timed.key_by(|row| row.0).ttl(ttl).count();
    active
}

#[test]
fn a_job_may_go_on_with_another_ttl_but_not_without_one() {
    let stage = |spec: stream_core::graph::GraphSpec| {
        let mut nodes = spec.nodes.into_iter();
        nodes.find(|node| node.kind == "count").unwrap()
    };
    let with = |ttl| stage(active::job().ttl(ttl).explain().unwrap());
    let day = with(Gap::days(1));
    assert_eq!(day.class, Class::ExactIfKeyInOneLane);
    assert_eq!(day.parameter("ttl"), Some("24h"));
    assert_eq!(day.fingerprint(), with(Gap::days(2)).fingerprint());
    let without = Job::new("active", |graph| {
        let rows = graph.input::<Row>("rows");
        graph.output("active", timed(rows).key_by(|row| row.0).count());
    });
    let without = stage(without.explain().unwrap());
    assert_ne!(day.fingerprint(), without.fingerprint());
}

/// The usual cure of a state that grows is put in front of a stage that has some.
#[test]
fn a_first_ttl_is_told_as_that_where_there_is_a_state() {
    let job = |ttl: Option<Gap>| {
        let job = Job::new("active", move |graph| {
            let rows = timed(graph.input::<Row>("rows")).key_by(|row| row.0);
            let counts = match ttl {
                Some(ttl) => rows.ttl(ttl).count(),
                None => rows.count(),
            };
            graph.output("counts", counts.changes());
        });
        let (sink, _) = io::collect::<Change<u8, u64>>();
        let rows: Vec<Row> = vec![(7, 1, 1)];
        let job = job.source("rows", io::vec(rows)).sink("counts", sink);
        job.max_leap(Leap::ANY)
    };
    for (before, after, told) in [
        (
            None,
            Some(Gap::days(1)),
            "stage `active/count` has a `ttl` now, and of what it kept no times are known",
        ),
        (
            Some(Gap::days(1)),
            None,
            "stage `active/count` had a `ttl`, and has none now",
        ),
    ] {
        let state = StateStore::memory();
        job(before)
            .state(state.clone())
            .run(Mode::PerRecord)
            .unwrap();
        let error = job(after).state(state).run(Mode::PerRecord).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains(told) && text.contains("state drop active/count"),
            "{text}"
        );
    }
}

#[test]
fn global_windows_and_as_of_joins_go_on_from_state_without_a_ttl() {
    let fingerprints = |forgets: bool| {
        let job = Job::new("both", move |graph| {
            let rows = timed(graph.input::<Row>("rows")).key_by(|row| row.0);
            let (all, joined) = match forgets {
                true => (
                    rows.clone().ttl(Gap::days(1)).global(Size::hours(1)),
                    rows.clone().as_of_join(rows.ttl(Gap::days(1))),
                ),
                false => (
                    rows.clone().global(Size::hours(1)),
                    rows.clone().as_of_join(rows),
                ),
            };
            graph.output("all", all.count());
            graph.output("joined", joined);
        });
        let nodes = job.explain().unwrap().nodes.into_iter();
        let stages = nodes.filter(|node| ["global", "as_of_join"].contains(&&*node.kind));
        stages.map(|stage| stage.fingerprint()).collect::<Vec<_>>()
    };
    assert_eq!(fingerprints(true).len(), 2);
    assert_eq!(fingerprints(true), fingerprints(false));
}

#[test]
fn a_ttl_of_zero_is_refused() {
    let error = active::job().ttl(Gap::micros(0)).explain().unwrap_err();
    let text = error.to_string();
    assert!(text.contains("a `ttl` is 0"), "{text}");
}

/// What forgets no key is told of at the start, where an input never ends.
#[test]
fn what_grows_without_end_is_told_at_the_start() {
    let told = |ends: bool, forgets: bool| {
        let job = Job::new("users", move |graph| {
            let rows = timed(graph.input::<Row>("rows")).key_by(|row| row.0);
            let rates = timed(graph.input::<Row>("rates")).key_by(|row| row.0);
            let (counts, joined) = match forgets {
                true => (
                    rows.clone().ttl(Gap::days(1)).count(),
                    rows.as_of_join(rates.ttl(Gap::days(1))),
                ),
                false => (rows.clone().count(), rows.as_of_join(rates)),
            };
            graph.output("counts", counts.changes());
            graph.output("joined", joined);
        });
        let row: Row = (7, 1, 1);
        let source = || Script::of(vec![Step::Give(row)]);
        let job = match ends {
            true => job.source("rows", source()).source("rates", source()),
            false => job
                .source("rows", source().unbounded())
                .source("rates", source().unbounded()),
        };
        let (counts, _) = io::collect::<Change<u8, u64>>();
        let (joined, _) = io::collect::<(Row, Option<Row>)>();
        let job = job
            .sink("counts", counts)
            .sink("joined", joined)
            .max_leap(Leap::ANY);
        let handle = job.start(Mode::PerRecord).unwrap();
        let told = handle.caveats().to_vec();
        handle.stop();
        assert_eq!(handle.wait().unwrap().caveats, told);
        told
    };
    assert_eq!(
        told(false, false),
        [
            "`users/count` forgets no key, and `rows` never ends: what it keeps grows with the keys; a \
             `.ttl(…)` in front of it forgets those that are silent",
            "`users/as_of_join` forgets no key, and `rates` never ends: what it keeps grows with the keys; a \
             `.ttl(…)` behind the key of the other stream forgets those that are silent",
        ]
    );
    assert_eq!(told(true, false), [""; 0]);
    assert_eq!(told(false, true), [""; 0]);
}

#[test]
#[should_panic(
    expected = "what stands behind a `ttl` and an operator of your own are exact behind `.in_order()`"
)]
fn a_check_of_a_ttl_without_order_names_the_remedy() {
    ModeCheck::new(rows(3, 300, 4)).run(|rows: Stream<Row>| in_lanes(rows).count());
}
