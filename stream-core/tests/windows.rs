//! Windows with an offset, and those of a calendar: in every mode and through recovery, against oracles from
//! scratch.

#![allow(clippy::unwrap_used, reason = "what a test cannot do without fails it")]

mod common;

use std::collections::BTreeMap;
use std::ops::Range;

use common::{on_time, parts};
use stream_core::graph::OnTime;
use stream_core::ops::aggregate::{count, sum};
use stream_core::prelude::*;
use stream_core::testing::{ModeCheck, RecoveryCheck};

/// Key, second, value.
type Row = (u8, i64, u64);

const LATENESS: i64 = 10;
const KEYS: u8 = 4;

/// Rows of a few keys from a second on, mostly in order; `step` is how far time goes on from one to the next at
/// the most. Some are late.
fn rows(seed: u64, begin: i64, step: i64, many: u64) -> Vec<Row> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut now = begin;
    let mut row = |value| {
        now += rng.i64(0..=step);
        (rng.u8(0..KEYS), now - rng.i64(0..LATENESS * 3 / 2), value)
    };
    (0..many).map(&mut row).collect()
}

fn keyed(rows: Stream<Row>) -> Keyed<u8, Row, OnTime> {
    let at = |row: &Row| EventTime::secs(row.1);
    let (timed, late) = rows.event_time(at, Lateness::secs(LATENESS as u64));
    late.discard();
    timed.key_by(|row| row.0)
}

/// Of all windows the sums of those that hold a record; they are given by their seconds.
fn sums(partitions: &[Vec<Row>], windows: &[Range<i64>]) -> Vec<Windowed<u8, u64>> {
    let mut sums = BTreeMap::new();
    for (key, second, value) in on_time(partitions, LATENESS) {
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

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;
/// 20 October 2026 in days since 1970. On the 25th Vienna's clock is set back from +02 to +01, at 01:00 UTC.
const OCTOBER_20: i64 = 20_746;

/// The second at which a day begins in Vienna.
fn midnight(day: i64) -> i64 {
    let offset = if day <= OCTOBER_20 + 5 { 2 } else { 1 };
    day * DAY - offset * HOUR
}

/// What lies between days on which something begins.
fn between(days: &[i64]) -> Vec<Range<i64>> {
    let pairs = days.windows(2);
    pairs
        .map(|pair| midnight(pair[0])..midnight(pair[1]))
        .collect()
}

fn days(every: usize) -> Vec<i64> {
    (OCTOBER_20 - 8..OCTOBER_20 + 60).step_by(every).collect()
}

#[test]
fn windows_of_a_calendar_are_those_of_its_clock() {
    assert_eq!(
        midnight(OCTOBER_20),
        "2026-10-19T22:00:00Z"
            .parse::<EventTime>()
            .unwrap()
            .as_millis()
            / 1_000
    );
    let weeks = days(7); // from 12 October on, a Monday
    let months = [OCTOBER_20 - 19, OCTOBER_20 + 12, OCTOBER_20 + 42];
    let hours = (-100..1_000).map(|n| midnight(OCTOBER_20) + n * HOUR);
    let calendars = [
        (Calendar::days("Europe/Vienna"), between(&days(1))),
        (Calendar::weeks("Europe/Vienna"), between(&weeks)),
        (Calendar::months("Europe/Vienna"), between(&months)),
        (
            Calendar::hours("Europe/Vienna"),
            hours.map(|start| start..start + HOUR).collect(),
        ),
    ];
    for (seed, (calendar, windows)) in calendars.into_iter().enumerate() {
        ModeCheck::new(rows(seed as u64 + 20, midnight(OCTOBER_20), 2 * HOUR, 300))
            .oracle(move |partitions| {
                let sums = sums(partitions, &windows);
                let mut counts = BTreeMap::new();
                for (key, second, value) in on_time(partitions, LATENESS) {
                    let window = windows
                        .iter()
                        .find(|window| window.contains(&second))
                        .unwrap();
                    let value_of_window =
                        counts.entry((key, window.start)).or_insert((0_u64, 0_i128));
                    value_of_window.0 += 1;
                    value_of_window.1 += i128::from(value);
                }
                (sums, counts.into_iter().collect())
            })
            .run(move |rows: Stream<Row>| {
                let windows = keyed(rows).calendar(calendar.clone());
                let both = windows.clone().aggregate((count(), sum(|row: &Row| row.2)));
                let start = |window: &Windowed<u8, (u64, i128)>| window.start.as_millis() / 1_000;
                (
                    windows.fold(|| 0, add),
                    both.map(move |window| ((window.key, start(&window)), window.value)),
                )
            });
    }
}

#[pipeline]
fn by_calendar(
    rows: Stream<Row>,
    #[default(Calendar::days("Europe/Vienna"))] calendar: Calendar,
) -> Timed<Windowed<u8, u64>> {
    let at = |row: &Row| EventTime::secs(row.1);
    let (timed, late) = rows.event_time(at, Lateness::secs(10));
    late.discard();
    let windows = timed.key_by(|row| row.0).calendar(calendar).count();
    windows
}

#[test]
fn windows_of_a_calendar_through_crashes() {
    let calendars = [
        Calendar::days("Europe/Vienna"),
        Calendar::hours("Asia/Kolkata"),
    ];
    for (seed, calendar) in (30..).zip(calendars) {
        RecoveryCheck::new(rows(seed, midnight(OCTOBER_20 + 4), HOUR, 120))
            .run(move |rows: Stream<Row>| by_calendar(rows, calendar.clone()));
    }
}

#[test]
fn a_calendar_is_a_setting_that_is_given_by_text() {
    let setting = |job: stream_core::Job| {
        let graph = job.explain().unwrap();
        let stage = graph
            .nodes
            .iter()
            .find(|node| node.kind == "calendar")
            .unwrap();
        assert!(
            by_calendar::GRAPH
                .stages
                .iter()
                .any(|other| other.id == stage.id)
        );
        stage.parameter("calendar").unwrap().to_owned()
    };
    let sources = || {
        let job = by_calendar::job().rows(io::vec(Vec::new()));
        job.windows(io::discard())
    };
    assert_eq!(setting(sources().into_job()), "days Europe/Vienna");
    let weeks = sources().set("calendar", "weeks asia/tokyo").unwrap();
    assert_eq!(setting(weeks.into_job()), "weeks Asia/Tokyo");
    let error = sources()
        .set("calendar", "days Vienna")
        .map(|_| ())
        .unwrap_err();
    let error = error.to_string();
    assert!(error.contains("did you mean `Europe/Vienna`?"), "{error}");
}

#[test]
fn a_zone_that_there_is_not_is_refused() {
    let refused = |zone: &str| {
        let job = by_calendar::job().calendar(Calendar::days(zone));
        let (what, detail, hint) = parts(&job.explain().unwrap_err());
        assert_eq!(detail, None);
        [what, hint.unwrap()]
    };
    let what = "there is no time zone `Europe/Wien`, behind `by_calendar/windows/key_by`";
    let hint = "expected a name of the IANA database, like `Europe/Vienna`, or `UTC`";
    assert_eq!(refused("Europe/Wien"), [what, hint]);
    let what = "there is no time zone `Asia/Vienna`, behind `by_calendar/windows/key_by`";
    assert_eq!(
        refused("Asia/Vienna"),
        [what, "did you mean `Europe/Vienna`?"]
    );
}

type Pairs = Vec<Windowed<u8, (Row, Row)>>;

/// The pairs of one key in one window, by nested loops.
fn paired(lefts: &[Row], rights: &[Row], key: u8, window: &Range<i64>) -> Pairs {
    let is_inside = |row: &&Row| row.0 == key && window.contains(&row.1);
    let row = |value| Windowed {
        key,
        start: EventTime::secs(window.start),
        end: EventTime::secs(window.end),
        value,
    };
    let mut pairs = Vec::new();
    for left in lefts.iter().filter(is_inside) {
        let inside = rights.iter().filter(is_inside);
        pairs.extend(inside.map(|right| row((*left, *right))));
    }
    pairs
}

/// The pairs in windows that are the same for all keys.
fn pairs_in(windows: &[Range<i64>], lefts: &[Row], rights: &[Row]) -> Pairs {
    let of_key = |key| {
        windows
            .iter()
            .flat_map(move |window| paired(lefts, rights, key, window))
    };
    (0..KEYS).flat_map(of_key).collect()
}

/// The pairs in sessions: the times of both sides, sorted, and cut where they lie the gap apart or more.
fn pairs_in_sessions(gap: i64, lefts: &[Row], rights: &[Row]) -> Pairs {
    let mut pairs = Vec::new();
    for key in 0..KEYS {
        let both = lefts.iter().chain(rights).filter(|row| row.0 == key);
        let mut times: Vec<i64> = both.map(|row| row.1).collect();
        times.sort_unstable();
        for session in times.chunk_by(|one, next| next - one < gap) {
            let window = session[0]..session[session.len() - 1] + gap;
            pairs.extend(paired(lefts, rights, key, &window));
        }
    }
    pairs
}

/// The rows that are on time, by whether their values are even.
fn halves(partitions: &[Vec<Row>]) -> (Vec<Row>, Vec<Row>) {
    let rows = on_time(partitions, LATENESS);
    rows.into_iter().partition(|row| row.2 % 2 == 0)
}

/// Pairs of the rows with even and with odd values.
fn pairs(partitions: &[Vec<Row>], windows: &[Range<i64>]) -> Pairs {
    let (even, odd) = halves(partitions);
    pairs_in(windows, &even, &odd)
}

fn sides(rows: Stream<Row>) -> (Keyed<u8, Row, OnTime>, Keyed<u8, Row, OnTime>) {
    let at = |row: &Row| EventTime::secs(row.1);
    let (timed, late) = rows.event_time(at, Lateness::secs(LATENESS as u64));
    late.discard();
    let (even, odd) = timed.split(|row| row.2 % 2 == 0);
    (even.key_by(|row| row.0), odd.key_by(|row| row.0))
}

#[test]
fn records_are_paired_in_their_windows() {
    for (seed, many, seeds) in [(1, 200, 10), (2, 30, 10), (3, 1, 2), (4, 0, 1)] {
        ModeCheck::new(rows(seed, -100, 3, many))
            .seeds(seeds)
            .oracle(|partitions| {
                let tumbling = pairs(partitions, &aligned(20, 20, 0));
                (tumbling, pairs(partitions, &aligned(20, 5, 0)))
            })
            .run(|rows| {
                let (even, odd) = sides(rows);
                let tumbling = even.clone().tumbling(secs(20)).window_join(odd.clone());
                (tumbling, even.sliding(secs(20), secs(5)).window_join(odd))
            });
    }
}

#[test]
fn records_are_paired_in_the_sessions_that_both_make() {
    for (seed, gap, step, many) in [
        (41, 4, 3, 200),
        (42, 1, 2, 100),
        (43, 30, 5, 60),
        (44, 9, 9, 2),
    ] {
        ModeCheck::new(rows(seed, -100, step, many))
            .oracle(move |partitions| {
                let (even, odd) = halves(partitions);
                pairs_in_sessions(gap, &even, &odd)
            })
            .run(move |rows| {
                let (even, odd) = sides(rows);
                even.session(Gap::secs(gap as u64)).window_join(odd)
            });
    }
}

#[test]
fn records_are_paired_in_sliding_windows_with_an_offset() {
    for (seed, size, step, offset) in [(45, 25, 10, 7), (46, 12, 8, 3), (47, 9, 2, 5)] {
        ModeCheck::new(rows(seed, -200, 3, 200))
            .oracle(move |partitions| pairs(partitions, &aligned(size, step, offset)))
            .run(move |rows| {
                let (even, odd) = sides(rows);
                let windows = even.sliding(secs(size), secs(step)).offset(secs(offset));
                windows.window_join(odd)
            });
    }
}

/// On the 25th a day has 25 hours, and an hour is shown twice.
#[test]
fn records_are_paired_in_the_windows_of_a_calendar() {
    let hours = (-50..500).map(|n| midnight(OCTOBER_20) + n * HOUR);
    let calendars = [
        (Calendar::days("Europe/Vienna"), between(&days(1))),
        (
            Calendar::hours("Europe/Vienna"),
            hours.map(|start| start..start + HOUR).collect(),
        ),
    ];
    for (seed, (calendar, windows)) in (48..).zip(calendars) {
        ModeCheck::new(rows(seed, midnight(OCTOBER_20 + 4), HOUR, 150))
            .oracle(move |partitions| pairs(partitions, &windows))
            .run(move |rows| {
                let (even, odd) = sides(rows);
                even.calendar(calendar.clone()).window_join(odd)
            });
    }
}

/// What two streams are joined to in windows of three kinds.
type Joined = [Timed<Windowed<u8, (Row, Row)>>; 3];

fn joined(lefts: Stream<Row>, rights: Stream<Row>) -> Joined {
    let (left, right) = (keyed(lefts), keyed(rights));
    let sliding = left.clone().sliding(secs(20), secs(10)).offset(secs(3));
    [
        left.clone()
            .session(Gap::secs(4))
            .window_join(right.clone()),
        sliding.window_join(right.clone()),
        left.tumbling(secs(20)).window_join(right),
    ]
}

/// Two inputs of their own, of which one moves on faster, ends early or has nothing.
fn unlike_inputs() -> [(Vec<Row>, Vec<Row>); 7] {
    [
        (rows(51, 0, 1, 150), rows(52, 0, 40, 150)),
        (rows(53, 0, 40, 150), rows(54, 0, 1, 150)),
        (rows(55, -200, 3, 200), rows(56, 0, 3, 100)),
        (rows(57, 0, 3, 200), Vec::new()),
        (Vec::new(), rows(58, 0, 3, 200)),
        (rows(59, 0, 3, 8), rows(60, 0, 3, 200)),
        (rows(61, 0, 3, 200), rows(62, 0, 3, 8)),
    ]
}

#[test]
fn two_inputs_are_joined_however_far_the_one_is_ahead_of_the_other() {
    let mut many = [0; 3];
    for inputs in unlike_inputs() {
        let [lefts, rights] = [&inputs.0, &inputs.1].map(|rows| vec![rows.clone()]);
        let oracle = |lefts: &[Vec<Row>], rights: &[Vec<Row>]| {
            let [lefts, rights] = [lefts, rights].map(|side| on_time(side, LATENESS));
            (
                pairs_in_sessions(4, &lefts, &rights),
                pairs_in(&aligned(20, 10, 3), &lefts, &rights),
                pairs_in(&aligned(20, 20, 0), &lefts, &rights),
            )
        };
        let pairs = oracle(&lefts, &rights);
        let lens = [pairs.0.len(), pairs.1.len(), pairs.2.len()];
        many = [0, 1, 2].map(|kind| many[kind] + lens[kind]);
        ModeCheck::new(inputs)
            .oracle(move |(lefts, rights)| oracle(lefts, rights))
            .run(|(lefts, rights)| {
                let [sessions, sliding, tumbling] = joined(lefts, rights);
                (sessions, sliding, tumbling)
            });
    }
    assert!(many.iter().all(|pairs| *pairs > 100), "{many:?}");
}

#[test]
fn a_window_join_of_two_inputs_through_crashes() {
    for inputs in unlike_inputs() {
        RecoveryCheck::new(inputs).seeds(15).run(|(lefts, rights)| {
            let [sessions, sliding, tumbling] = joined(lefts, rights);
            (sessions, sliding, tumbling)
        });
    }
}

/// The pairs of each window are more than leave in one piece.
#[test]
fn many_pairs_leave_piece_by_piece() {
    let many: Vec<Row> = (0..600)
        .map(|value| (0, i64::from(value as u32 / 200), value))
        .collect();
    ModeCheck::new(many)
        .oracle(|partitions| pairs(partitions, &aligned(2, 2, 0)))
        .run(|rows| {
            let (even, odd) = sides(rows);
            even.tumbling(secs(2)).window_join(odd)
        });
}

#[test]
fn window_joins_through_crashes() {
    let check = RecoveryCheck::new(rows(5, -50, 3, 100)).seeds(60);
    check.run(|rows| {
        let (even, odd) = sides(rows);
        let sessions = even.clone().session(Gap::secs(4)).window_join(odd.clone());
        let sliding = even
            .clone()
            .sliding(secs(20), secs(5))
            .window_join(odd.clone());
        (sessions, sliding, even.tumbling(secs(20)).window_join(odd))
    });
}
