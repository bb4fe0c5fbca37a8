//! Keyed operators in event time: in every mode, through crashes, against oracles from scratch.
//!
//! Times are a few microseconds apart, so that equal ones and those at the edge of an interval are frequent.
//! Each result is looked at with its event time, by an operator behind it: what is behind the watermark does
//! not come to that, and is missed.

mod common;

use std::collections::BTreeMap;
use std::marker::PhantomData;

use common::on_time;
use stream_core::graph::{Class, InOrder, Keyed, Mixed, OnTime, Record};
use stream_core::ops::aggregate::{max, sum};
use stream_core::prelude::*;
use stream_core::testing::{Input, ModeCheck, RecoveryCheck};

/// Key, microsecond, value.
type Row = (u8, i64, i16);

/// Rows of a few keys, mostly in order, with some that come late; several of one time. `step` is how far time
/// goes on from one to the next at the most.
fn rows(seed: u64, many: usize, step: i64) -> Vec<Row> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut now = -60; // some lie before 1970
    let mut row = |_| {
        now += rng.i64(0..=step);
        let behind = match rng.u8(0..10) {
            0 => rng.i64(0..40),
            1..4 => rng.i64(0..=LATENESS),
            4..6 => LATENESS, // at the watermark of its lane
            _ => 0,
        };
        (rng.u8(0..4), now - behind, rng.i16(-2..3))
    };
    (0..many).map(&mut row).collect()
}

const LATENESS: i64 = 10;

fn timed(rows: Stream<Row>) -> Timed<Row> {
    let (timed, late) = rows.event_time(at, Lateness::micros(LATENESS as u64));
    late.discard();
    timed
}

fn at(row: &Row) -> EventTime {
    EventTime::micros(row.1)
}

fn keyed(rows: Stream<Row>) -> Keyed<u8, Row, OnTime> {
    timed(rows).key_by(|row| row.0)
}

fn ordered(rows: Stream<Row>) -> Keyed<u8, Row, InOrder> {
    keyed(rows).in_order()
}

/// Tells the event time of each record.
struct Stamp<T>(PhantomData<fn() -> T>);

impl<T: Record> KeyedOperator for Stamp<T> {
    type Key = u8;
    type In = T;
    type State = ();
    type Out = (i64, T);

    fn record(&self, _: &u8, record: T, _: &mut (), cx: &mut Cx<Self::Out>) {
        cx.emit((cx.time().as_micros(), record));
    }
}

fn stamped<T: Record>(timed: Timed<T>) -> Timed<(i64, T)> {
    timed.key_by(|_| 0).apply(Stamp(PhantomData))
}

fn bytes(row: &Row) -> Vec<u8> {
    let bytes = bincode::serde::encode_to_vec(row, bincode::config::standard());
    bytes.expect("a row can be encoded")
}

/// By key, in the order of time, then of the encoding.
fn by_key(partitions: &[Vec<Row>]) -> BTreeMap<u8, Vec<Row>> {
    let mut by_key = BTreeMap::<u8, Vec<Row>>::new();
    for row in on_time(partitions, LATENESS) {
        by_key.entry(row.0).or_default().push(row);
    }
    for rows in by_key.values_mut() {
        rows.sort_by_key(|row| (row.1, bytes(row)));
    }
    by_key
}

const WITHIN: i64 = 7;

fn gap(micros: i64) -> Gap {
    Gap::micros(micros as u64)
}

fn deduplicated(partitions: &[Vec<Row>]) -> Vec<(i64, Row)> {
    let mut kept = Vec::<Row>::new();
    for row in by_key(partitions).into_values().flatten() {
        let stands_for = |other: &Row| other.0 == row.0 && row.1 - other.1 < WITHIN;
        if !kept.iter().any(stands_for) {
            kept.push(row);
        }
    }
    kept.into_iter().map(|row| (row.1, row)).collect()
}

#[test]
fn dedup_keeps_the_first_by_event_time() {
    for (seed, step) in [(1, 3), (2, 12), (3, 0)] {
        ModeCheck::new(rows(seed, 200, step))
            .oracle(|partitions| deduplicated(partitions))
            .run(|rows: Stream<Row>| stamped(keyed(rows).dedup(gap(WITHIN))));
    }
}

#[test]
fn dedup_behind_in_order_is_the_same() {
    ModeCheck::new(rows(4, 200, 3))
        .oracle(|partitions| deduplicated(partitions))
        .run(|rows: Stream<Row>| stamped(ordered(rows).dedup(gap(WITHIN))));
}

#[test]
fn dedup_of_keys_that_live_in_one_lane_each() {
    ModeCheck::new(Input::new(rows(5, 200, 3)).partition_by(|row| row.0))
        .oracle(|partitions| deduplicated(partitions))
        .run(|rows: Stream<Row>| stamped(keyed(rows).dedup(gap(WITHIN))));
}

#[test]
fn dedup_through_crashes() {
    RecoveryCheck::new(rows(6, 120, 3)).run(|rows: Stream<Row>| {
        stamped(keyed(rows.clone()).dedup(gap(WITHIN)))
            .union(stamped(ordered(rows).dedup(gap(WITHIN))))
    });
}

fn absences(partitions: &[Vec<Row>]) -> Vec<(i64, (u8, EventTime))> {
    let rows = on_time(partitions, LATENESS);
    let mut last = Vec::new();
    for row in &rows {
        let follows = |other: &&Row| other.0 == row.0 && (1..WITHIN).contains(&(other.1 - row.1));
        if !rows.iter().any(|other| follows(&other)) {
            last.push((row.0, row.1));
        }
    }
    last.sort_unstable();
    last.dedup();
    let told = |(key, micros)| (micros + WITHIN, (key, EventTime::micros(micros)));
    last.into_iter().map(told).collect()
}

#[test]
fn absence_tells_of_every_silence_once() {
    for (seed, step) in [(10, 3), (11, 12), (12, 0)] {
        ModeCheck::new(rows(seed, 200, step))
            .oracle(|partitions| absences(partitions))
            .run(|rows: Stream<Row>| stamped(keyed(rows).absence(gap(WITHIN))));
    }
}

#[test]
fn absence_behind_in_order_is_the_same() {
    ModeCheck::new(rows(13, 200, 4))
        .oracle(|partitions| absences(partitions))
        .run(|rows: Stream<Row>| stamped(ordered(rows).absence(gap(WITHIN))));
}

#[test]
fn absence_through_crashes() {
    RecoveryCheck::new(rows(14, 120, 4)).run(|rows: Stream<Row>| {
        stamped(keyed(rows.clone()).absence(gap(WITHIN)))
            .union(stamped(ordered(rows).absence(gap(WITHIN))))
    });
}

const RUN: usize = 3;

/// Each run of [`RUN`] of the rows of a key that stand behind one another, with the time of its last.
fn runs(by_key: BTreeMap<u8, Vec<Row>>) -> Vec<(i64, (u8, Vec<Row>))> {
    let of_key = |(key, rows): (u8, Vec<Row>)| {
        let runs = rows.chunks_exact(RUN);
        let run = |run: &[Row]| (run[RUN - 1].1, (key, run.to_vec()));
        runs.map(run).collect::<Vec<_>>()
    };
    by_key.into_iter().flat_map(of_key).collect()
}

/// By key, in the order of the partition that all of them are in.
fn by_key_in_lane(rows: &[Row]) -> BTreeMap<u8, Vec<Row>> {
    let mut by_key = BTreeMap::<u8, Vec<Row>>::new();
    for row in rows {
        by_key.entry(row.0).or_default().push(*row);
    }
    by_key
}

fn push(run: &mut Vec<Row>, row: Row) {
    run.push(row);
}

#[test]
fn count_windows_behind_in_order_are_runs_by_event_time() {
    for (seed, step) in [(60, 3), (61, 12), (62, 0)] {
        ModeCheck::new(rows(seed, 200, step))
            .oracle(|partitions| runs(by_key(partitions)))
            .run(|rows: Stream<Row>| {
                stamped(ordered(rows).count_windows(RUN).fold(Vec::new, push))
            });
    }
}

#[test]
fn count_windows_of_keys_that_live_in_one_lane_are_runs_as_they_come() {
    let input = || Input::new(rows(63, 200, 3)).partition_by(|row| row.0);
    ModeCheck::new(input())
        .oracle(|partitions| runs(by_key_in_lane(&on_time(partitions, LATENESS))))
        .run(|rows: Stream<Row>| stamped(keyed(rows).count_windows(RUN).fold(Vec::new, push)));
    ModeCheck::new(input())
        .oracle(|partitions| {
            let runs = runs(by_key_in_lane(&partitions.concat()));
            runs.into_iter().map(|(_, run)| run).collect()
        })
        .run(|rows: Stream<Row>| {
            let keyed = rows.key_by(|row| row.0);
            keyed.count_windows(RUN).fold(Vec::new, push)
        });
}

#[test]
fn count_windows_of_one_are_the_records() {
    ModeCheck::new(rows(64, 100, 3))
        .oracle(|partitions| {
            let rows = partitions.concat().into_iter();
            rows.map(|row| (row.0, vec![row])).collect()
        })
        .run(|rows: Stream<Row>| {
            let keyed = rows.key_by(|row| row.0);
            keyed.count_windows(1).fold(Vec::new, push)
        });
}

#[test]
fn count_windows_are_aggregated() {
    ModeCheck::new(rows(65, 200, 3))
        .oracle(|partitions| {
            let value = |(time, (key, run)): (i64, (u8, Vec<Row>))| {
                let sum = run.iter().map(|row| i128::from(row.2)).sum();
                (
                    time,
                    (key, (sum, run.iter().map(|row| row.2).max().unwrap())),
                )
            };
            runs(by_key(partitions)).into_iter().map(value).collect()
        })
        .run(|rows: Stream<Row>| {
            let runs = ordered(rows).count_windows(RUN);
            stamped(runs.aggregate((sum(|row: &Row| row.2), max(|row: &Row| row.2))))
        });
}

#[test]
fn count_windows_through_crashes() {
    RecoveryCheck::new(rows(66, 120, 3))
        .run(|rows: Stream<Row>| stamped(ordered(rows).count_windows(RUN).fold(Vec::new, push)));
    RecoveryCheck::new(Input::new(rows(67, 120, 3)).partition_by(|row| row.0)).run(
        |rows: Stream<Row>| {
            let keyed = rows.key_by(|row| row.0);
            keyed.count_windows(5).fold(Vec::new, push)
        },
    );
}

#[pipeline]
fn in_runs(rows: Stream<Row>, #[default(3)] size: usize) -> Stream<(u8, u64), Mixed> {
    let counts = rows
        .key_by(|row| row.0)
        .count_windows(size)
        .fold(|| 0, |count, _| *count += 1);
    counts
}

#[test]
fn count_windows_are_one_stage_whose_size_belongs_to_its_state() {
    let stage = |size| {
        let graph = in_runs::job().size(size).explain().unwrap();
        let mut nodes = graph.nodes.into_iter();
        nodes.find(|node| node.kind == "count_windows").unwrap()
    };
    let three = stage(3);
    let ids: Vec<_> = in_runs::GRAPH.stages.iter().map(|stage| stage.id).collect();
    assert!(ids.contains(&three.id.as_str()), "{ids:?}: {}", three.id);
    assert_eq!(three.class, Class::ExactIfKeyInOneLane);
    assert_ne!(three.fingerprint(), stage(4).fingerprint());
}

/// Two inputs: alike, of very different speeds, with one that is far ahead, and with one that is empty.
fn inputs(seed: u64, many: usize) -> Vec<(Vec<Row>, Vec<Row>)> {
    let ahead = |mut rows: Vec<Row>| {
        rows.iter_mut().for_each(|row| row.1 += 50);
        rows
    };
    vec![
        (rows(seed, many, 3), rows(seed + 1, many, 3)),
        (rows(seed, many, 1), rows(seed + 1, many / 12, 12)),
        (rows(seed, many / 12, 12), rows(seed + 1, many, 1)),
        (rows(seed, many, 3), ahead(rows(seed + 1, many, 3))),
        (rows(seed, many, 3), Vec::new()),
        (Vec::new(), rows(seed, many, 3)),
    ]
}

type Partitions<'a> = (&'a [Vec<Row>], &'a [Vec<Row>]);

const BEFORE: i64 = 3;
const AFTER: i64 = 5;

/// Whether two rows are a pair, for spans that are given.
fn is_pair(left: &Row, right: &Row, [before, after]: [i64; 2]) -> bool {
    left.0 == right.0 && (left.1 - before..=left.1 + after).contains(&right.1)
}

type Joined = (i64, (Option<Row>, Option<Row>));

/// All pairs, and what makes none.
fn full((lefts, rights): Partitions<'_>, spans: [i64; 2]) -> Vec<Joined> {
    let (lefts, rights) = (on_time(lefts, LATENESS), on_time(rights, LATENESS));
    let mut joined = Vec::new();
    for left in &lefts {
        let before = joined.len();
        for right in rights.iter().filter(|right| is_pair(left, right, spans)) {
            joined.push((left.1.max(right.1), (Some(*left), Some(*right))));
        }
        if joined.len() == before {
            joined.push((left.1 + spans[1], (Some(*left), None)));
        }
    }
    for right in &rights {
        if !lefts.iter().any(|left| is_pair(left, right, spans)) {
            joined.push((right.1 + spans[0], (None, Some(*right))));
        }
    }
    joined
}

fn left(partitions: Partitions<'_>, spans: [i64; 2]) -> Vec<(i64, (Row, Option<Row>))> {
    let row = |(at, (left, right)): Joined| Some((at, (left?, right)));
    full(partitions, spans)
        .into_iter()
        .filter_map(row)
        .collect()
}

fn inner(partitions: Partitions<'_>, spans: [i64; 2]) -> Vec<(i64, (Row, Row))> {
    let row = |(at, (left, right)): Joined| Some((at, (left?, right?)));
    full(partitions, spans)
        .into_iter()
        .filter_map(row)
        .collect()
}

/// The three joins.
type Joins = (
    Timed<(i64, (Row, Row))>,
    Timed<(i64, (Row, Option<Row>))>,
    Timed<(i64, (Option<Row>, Option<Row>))>,
);

fn joins(lefts: Stream<Row>, rights: Stream<Row>, spans: [i64; 2]) -> Joins {
    let [before, after] = spans.map(gap);
    let (lefts, rights) = (keyed(lefts), keyed(rights));
    let inner = lefts.clone().interval_join(rights.clone(), before, after);
    let left = lefts.clone();
    let left = left.left_interval_join(rights.clone(), before, after);
    let full = lefts.full_interval_join(rights, before, after);
    (stamped(inner), stamped(left), stamped(full))
}

fn check_joins(inputs: (Vec<Row>, Vec<Row>), spans: [i64; 2]) {
    ModeCheck::new(inputs)
        .oracle(move |(lefts, rights)| {
            let partitions = (&lefts[..], &rights[..]);
            (
                inner(partitions, spans),
                left(partitions, spans),
                full(partitions, spans),
            )
        })
        .run(move |(lefts, rights)| joins(lefts, rights, spans));
}

#[test]
fn interval_joins_give_each_pair_once_and_what_makes_none() {
    for inputs in inputs(20, 80) {
        check_joins(inputs, [BEFORE, AFTER]);
    }
}

#[test]
fn interval_joins_over_spans_of_nothing_and_of_all() {
    for spans in [[0, 0], [0, 4], [4, 0], [300, 300]] {
        check_joins((rows(22, 50, 2), rows(23, 50, 2)), spans);
    }
}

#[test]
fn a_span_without_end_joins_all_records_of_a_key() {
    ModeCheck::new((rows(24, 40, 3), rows(25, 40, 3)))
        .oracle(|(lefts, rights)| inner((lefts, rights), [1 << 40, 1 << 40]))
        .run(|(lefts, rights): (Stream<Row>, Stream<Row>)| {
            let endless = Gap::micros(u64::MAX);
            stamped(keyed(lefts).interval_join(keyed(rights), endless, endless))
        });
}

#[test]
fn interval_joins_behind_in_order_are_the_same() {
    ModeCheck::new((rows(26, 80, 3), rows(27, 80, 3)))
        .oracle(|(lefts, rights)| full((lefts, rights), [BEFORE, AFTER]))
        .run(|(lefts, rights): (Stream<Row>, Stream<Row>)| {
            let (before, after) = (gap(BEFORE), gap(AFTER));
            stamped(ordered(lefts).full_interval_join(keyed(rights), before, after))
        });
}

#[test]
fn interval_joins_through_crashes() {
    for inputs in [
        (rows(28, 60, 3), rows(29, 60, 3)),
        (rows(28, 100, 1), rows(29, 10, 10)),
    ] {
        RecoveryCheck::new(inputs)
            .seeds(20)
            .run(|(lefts, rights)| joins(lefts, rights, [BEFORE, AFTER]));
    }
}

#[test]
fn a_stream_may_be_joined_with_itself() {
    ModeCheck::new(rows(30, 80, 3))
        .oracle(|partitions| inner((partitions, partitions), [0, AFTER]))
        .run(|rows: Stream<Row>| {
            let keyed = keyed(rows);
            stamped(keyed.clone().interval_join(keyed, gap(0), gap(AFTER)))
        });
}

fn as_of((lefts, rights): Partitions<'_>) -> Vec<(i64, (Row, Option<Row>))> {
    let rights = on_time(rights, LATENESS);
    let row = |left: Row| {
        let known = rights.iter().filter(|right| right.0 == left.0);
        let known = known.filter(|right| right.1 <= left.1);
        let latest = known.max_by_key(|right| (right.1, bytes(right)));
        (left.1, (left, latest.copied()))
    };
    on_time(lefts, LATENESS).into_iter().map(row).collect()
}

#[test]
fn as_of_join_finds_the_latest_at_or_before() {
    for inputs in inputs(40, 120) {
        ModeCheck::new(inputs)
            .oracle(|(lefts, rights)| as_of((lefts, rights)))
            .run(|(lefts, rights)| stamped(keyed(lefts).as_of_join(keyed(rights))));
    }
}

const TTL: i64 = 6;

/// The same, where what lies that far behind does not hold any more.
fn as_of_lately((lefts, rights): Partitions<'_>) -> Vec<(i64, (Row, Option<Row>))> {
    let lately = |(time, (left, right)): (i64, (Row, Option<Row>))| {
        let right = right.filter(|right| time - right.1 < TTL);
        (time, (left, right))
    };
    as_of((lefts, rights)).into_iter().map(lately).collect()
}

#[test]
fn as_of_join_with_a_ttl_finds_what_still_holds() {
    let pipeline = |(lefts, rights): (Stream<Row>, Stream<Row>)| {
        stamped(keyed(lefts).as_of_join(keyed(rights).ttl(gap(TTL))))
    };
    for inputs in inputs(44, 120) {
        ModeCheck::new(inputs)
            .oracle(|(lefts, rights)| as_of_lately((lefts, rights)))
            .run(pipeline);
    }
    RecoveryCheck::new((rows(46, 80, 3), rows(47, 80, 3))).run(pipeline);
}

#[test]
fn as_of_join_through_crashes() {
    for inputs in [
        (rows(42, 80, 3), rows(43, 80, 3)),
        (rows(42, 120, 1), rows(43, 10, 12)),
    ] {
        RecoveryCheck::new(inputs)
            .run(|(lefts, rights)| stamped(keyed(lefts).as_of_join(keyed(rights))));
    }
}

#[test]
fn what_one_of_them_emits_another_takes_in() {
    let pipeline = |(lefts, rights): (Stream<Row>, Stream<Row>)| {
        let (before, after) = (gap(BEFORE), gap(AFTER));
        let joined = keyed(lefts).left_interval_join(keyed(rights.clone()), before, after);
        let known = joined.key_by(|(left, _)| left.0).as_of_join(keyed(rights));
        let silent = known.key_by(|((left, _), _)| left.0).absence(gap(WITHIN));
        stamped(silent)
    };
    ModeCheck::new((rows(50, 80, 3), rows(51, 80, 3))).run(pipeline);
    RecoveryCheck::new((rows(52, 50, 3), rows(53, 50, 3)))
        .seeds(10)
        .run(pipeline);
}

#[test]
fn each_is_one_stage_with_its_own_id() {
    let job = Job::new("all", |graph| {
        let (lefts, rights) = (keyed(graph.input("lefts")), keyed(graph.input("rights")));
        let (lefts, rights) = (|| lefts.clone(), || rights.clone());
        let (before, after) = (gap(BEFORE), gap(AFTER));
        lefts().dedup(gap(WITHIN)).discard();
        lefts().absence(gap(WITHIN)).discard();
        lefts().as_of_join(rights()).discard();
        lefts().interval_join(rights(), before, after).discard();
        let left = lefts().left_interval_join(rights(), before, after);
        left.discard();
        let full = lefts().full_interval_join(rights(), before, after);
        full.discard();
    });
    let spec = job.explain().unwrap();
    let stages = spec.nodes.iter().filter(|node| node.state.is_some());
    let ids = stages.map(|node| node.id.as_str());
    let ids: Vec<_> = ids.filter(|id| !id.contains("event_time")).collect();
    let kinds = [
        "all/dedup",
        "all/absence",
        "all/as_of_join",
        "all/interval_join",
        "all/left_interval_join",
        "all/full_interval_join",
    ];
    assert_eq!(ids, kinds);
    assert!(!spec.nodes.iter().any(|node| node.id.contains("either")));
    let exact = |id: &&str| {
        spec.nodes
            .iter()
            .any(|node| node.id == **id && node.class == Class::Exact)
    };
    assert!(kinds.iter().all(exact));
}

#[test]
fn a_time_of_nothing_is_refused_when_the_job_starts() {
    let problem = |pipeline: fn(Keyed<u8, Row, OnTime>)| {
        let job = Job::new("refused", move |graph| pipeline(keyed(graph.input("in"))));
        let job = job.source("in", io::vec(Vec::<Row>::new()));
        job.run(Mode::Batch).unwrap_err().to_string()
    };
    let told = problem(|rows| rows.dedup(Gap::secs(0)).discard());
    assert!(told.contains("`dedup` has a time of 0"), "{told}");
    let told = problem(|rows| rows.count_windows(0).fold(|| (), |(), _| ()).discard());
    assert!(told.contains("windows of 0 records"), "{told}");
    let told = problem(|rows| rows.absence(Gap::secs(0)).discard());
    assert!(told.contains("`absence` has a time of 0"), "{told}");
}
