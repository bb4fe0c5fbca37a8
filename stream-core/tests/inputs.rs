//! Inputs at the edges: none at all, all of one key, times before 1970, times that are equal, times
//! exactly at a bound.

#![allow(clippy::unwrap_used, reason = "what a test cannot do without fails it")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use common::{Random, everywhere, sorted};
use stream_core::io::{self, Rows, collect};
use stream_core::ops::{Change, Entry};
use stream_core::prelude::*;
use stream_core::run::{Outcome, Report};

/// What a job that does everything has written.
#[derive(Debug, PartialEq)]
struct Written {
    passed: Vec<i64>,
    late: Vec<i64>,
    count: Vec<Entry<u8, u64>>,
    /// The last change of each key.
    changes: Vec<Change<u8, u64>>,
    /// The start and the number of records of each window, in seconds.
    tumbling: Vec<(i64, u64)>,
    /// The start, the end and the number of records of each session, in seconds.
    session: Vec<(i64, i64, u64)>,
}

/// All records have one key; windows are 10 s long, a gap is 5 s, the lateness 3 s.
fn run(partitions: Vec<Vec<i64>>, mode: Mode, workers: usize) -> (Report, Written) {
    let (passed, passed_rows) = collect();
    let (late, late_rows) = collect();
    let (count, count_rows) = collect();
    let (changes, change_rows) = collect();
    let (tumbling, tumbling_rows) = collect();
    let (session, session_rows) = collect();
    let job = Job::new("job", |graph| {
        let seconds = graph.input::<i64>("seconds");
        graph.output("passed", seconds.clone());
        let count = seconds.clone().key_by(|_| 0_u8).count();
        graph.output("changes", count.clone().changes());
        graph.output("count", count);
        let (timed, late) =
            seconds.event_time(|s| EventTime::secs(*s), Lateness::secs(3).leap(Leap::ANY));
        graph.output("late", late);
        let timed = timed.key_by(|_| 0_u8);
        graph.output("tumbling", timed.clone().tumbling(Size::secs(10)).count());
        graph.output("session", timed.session(Gap::secs(5)).count());
    });
    let job = job.source("seconds", io::partitions(partitions));
    let job = job
        .sink("passed", passed)
        .sink("late", late)
        .sink("count", count);
    let job = job.sink("changes", changes).sink("tumbling", tumbling);
    let report = job
        .sink("session", session)
        .workers(workers)
        .run(mode)
        .unwrap();
    assert_eq!(report.outcome, Outcome::Finished);
    assert_eq!((report.counts.overtaken, report.counts.open), (0, 0));
    let written = Written {
        passed: sorted(passed_rows.take()),
        late: sorted(late_rows.take()),
        count: sorted(count_rows.take()),
        changes: last_of(change_rows),
        tumbling: windows(tumbling_rows, |w| (secs(w.start), w.value)),
        session: windows(session_rows, |w| (secs(w.start), secs(w.end), w.value)),
    };
    (report, written)
}

/// All records of one key pass one worker, so their changes are in order.
fn last_of(rows: Rows<Change<u8, u64>>) -> Vec<Change<u8, u64>> {
    rows.take().pop().into_iter().collect()
}

fn windows<W: Ord>(
    rows: Rows<Windowed<u8, u64>>,
    shown: impl Fn(&Windowed<u8, u64>) -> W,
) -> Vec<W> {
    sorted(rows.take().iter().map(shown).collect())
}

fn secs(time: EventTime) -> i64 {
    time.as_millis() / 1000
}

/// What is expected of the windows by a computation from scratch; nothing is late.
fn expected(partitions: &[Vec<i64>]) -> Written {
    let all = sorted(partitions.concat());
    let count = all.len() as u64;
    let mut tumbling = Vec::<(i64, u64)>::new();
    let mut session = Vec::<(i64, i64, u64)>::new();
    for second in &all {
        let start = second.div_euclid(10) * 10;
        match tumbling.last_mut().filter(|window| window.0 == start) {
            Some(window) => window.1 += 1,
            None => tumbling.push((start, 1)),
        }
        match session.last_mut().filter(|window| *second < window.1) {
            Some(window) => *window = (window.0, second + 5, window.2 + 1),
            None => session.push((*second, second + 5, 1)),
        }
    }
    let some = count > 0;
    Written {
        passed: all,
        late: vec![],
        count: some
            .then_some(Entry {
                key: 0,
                value: count,
            })
            .into_iter()
            .collect(),
        changes: some
            .then_some(Change {
                key: 0,
                value: Some(count),
            })
            .into_iter()
            .collect(),
        tumbling,
        session,
    }
}

#[test]
fn no_records_at_all_are_a_job_that_finishes_and_writes_nothing() {
    everywhere(&[1, 2, 3], |mode, workers| {
        for partitions in [vec![vec![]], vec![vec![]; 5]] {
            let (report, written) = run(partitions, mode, workers);
            assert_eq!(written, expected(&[]));
            assert_eq!(report.counts.read["seconds"], 0);
        }
    });
}

#[test]
fn one_key_that_has_all_records_is_counted_whole() {
    everywhere(&[1, 2, 3], |mode, workers| {
        let partitions = vec![(0..300).collect(), (0..300).collect(), vec![], vec![150]];
        let (_, written) = run(partitions.clone(), mode, workers);
        assert_eq!(written, expected(&partitions));
    });
}

#[test]
fn event_times_before_1970_are_times_like_others() {
    everywhere(&[1, 2], |mode, workers| {
        let partitions = vec![(-95..25).collect(), vec![-31, -30, -10, -9, 0, 1]];
        let (_, written) = run(partitions.clone(), mode, workers);
        assert_eq!(written, expected(&partitions));
    });
}

#[test]
fn equal_event_times_are_never_late() {
    everywhere(&[1, 2], |mode, workers| {
        let partitions = vec![vec![7; 40], vec![7; 40], vec![10; 3], vec![-7; 2]];
        let (_, written) = run(partitions.clone(), mode, workers);
        assert_eq!(written, expected(&partitions));
    });
}

#[test]
fn a_record_exactly_at_the_lateness_is_on_time_and_one_behind_it_is_late() {
    everywhere(&[1, 2, 3], |mode, workers| {
        let partitions = vec![vec![20, 17, 16, 19], vec![20, 16, 17, 23, 20, 19], vec![16]];
        let (report, written) = run(partitions, mode, workers);
        assert_eq!(written.late, [16, 16, 19]);
        assert_eq!(report.counts.late, 3);
        assert_eq!(written.tumbling, [(10, 4), (20, 4)]);
        assert_eq!(written.session, [(16, 28, 8)]);
    });
}

#[test]
fn records_at_the_edges_of_windows_fall_into_the_later_one() {
    everywhere(&[1, 2], |mode, workers| {
        let partitions = vec![vec![0, 9, 10, 19, 20], vec![4, 9, 14, 20, 25]];
        let (_, written) = run(partitions.clone(), mode, workers);
        assert_eq!(written, expected(&partitions));
        assert_eq!(written.tumbling, [(0, 4), (10, 3), (20, 3)]);
    });
}

#[test]
fn full_partitions_beside_empty_ones_are_read_whole() {
    everywhere(&[1, 2, 3], |mode, workers| {
        for seed in 0..2 {
            let mut random = Random::new(seed);
            let mut partitions = vec![vec![]; 7];
            for partition in [1, 3, 4] {
                let jitter = |n: i64| n * 2 + random.below(4) as i64;
                partitions[partition] = (0..100).map(jitter).collect();
            }
            let (_, written) = run(partitions.clone(), mode, workers);
            assert_eq!(written, expected(&partitions), "seed {seed}");
        }
    });
}

/// The earliest and the latest moment that there is: sums saturate, and nothing panics.
#[test]
fn the_ends_of_time_are_counted_like_other_times() {
    everywhere(&[1, 2], |mode, workers| {
        let (sink, rows) = collect::<u64>();
        let job = Job::new("job", |graph| {
            let micros = graph.input::<i64>("micros");
            let (timed, _) =
                micros.event_time(|m| EventTime::micros(*m), Lateness::secs(3).leap(Leap::ANY));
            let timed = timed.key_by(|_| 0_u8);
            let windows = timed.clone().tumbling(Size::days(1)).count();
            let sessions = timed.session(Gap::days(1)).count();
            graph.output("counts", windows.union(sessions).map(|window| window.value));
        });
        let job = job.source("micros", io::vec(vec![i64::MIN, i64::MIN, i64::MIN + 1]));
        let report = job.sink("counts", sink).workers(workers).run(mode).unwrap();
        assert_eq!((report.counts.late, report.counts.bad), (0, 0));
        assert_eq!(rows.take(), [3, 3]);
    });
}

/// Two inputs of one worker, of which one alone could fill all batches that are under way.
#[test]
fn inputs_take_turns() {
    for mode in ["micro-batch=1000records", "per-record", "batch"] {
        let (sink, rows) = io::collect::<u8>();
        Job::new("turns", |graph: &Graph| {
            let both = graph.input::<u8>("zeros").union(graph.input("ones"));
            graph.output("both", both);
        })
        .source("zeros", io::vec(vec![0_u8; 200_000]))
        .source("ones", io::vec(vec![1_u8; 200_000]))
        .sink("both", sink)
        .run(mode.parse().unwrap())
        .unwrap();
        let mut ahead = 0_i64;
        let ahead = rows.take().into_iter().map(|row| {
            ahead += if row == 0 { 1 } else { -1 };
            ahead.abs()
        });
        let most = ahead.max().unwrap();
        assert!(
            most < 20_000,
            "{mode}: one was {most} records ahead of the other"
        );
    }
}

/// Partitions of two workers, of which none reads far ahead of the other: all that waits for the watermark is kept
/// until that has come from both.
#[test]
fn the_partitions_of_several_workers_stay_together() {
    const SECONDS: i64 = 150_000;
    for mode in ["micro-batch=1000records", "per-record", "batch"] {
        let (sink, rows) = io::collect::<u64>();
        let times = Arc::new([const { AtomicI64::new(0) }; 2]);
        let furthest = Arc::new(AtomicI64::new(0));
        let (at, apart) = (times.clone(), furthest.clone());
        let partition = |number: usize| (0..SECONDS).map(move |second| (number, second));
        let partitions = [0, 1].map(|number| partition(number).collect::<Vec<_>>());
        Job::new("together", move |graph: &Graph| {
            let (at, apart) = (at.clone(), apart.clone());
            let seconds = graph.input::<(usize, i64)>("seconds").inspect(move |row| {
                at[row.0].store(row.1, Ordering::Relaxed);
                let [one, other] = [&at[0], &at[1]].map(|time| time.load(Ordering::Relaxed));
                if one.max(other) < SECONDS - 1 {
                    apart.fetch_max((one - other).abs(), Ordering::Relaxed);
                }
            });
            let (timed, _) = seconds.event_time(|row| EventTime::secs(row.1), Lateness::secs(0));
            let windows = timed.key_by(|row| row.1 % 1_000).tumbling(Size::hours(1));
            graph.output("counts", windows.count().map(|window| window.value));
        })
        .source("seconds", io::partitions(partitions.into()))
        .sink("counts", sink)
        .workers(2)
        .max_leap(Leap::ANY)
        .run(mode.parse().unwrap())
        .unwrap();
        assert_eq!(rows.take().into_iter().sum::<u64>(), 2 * SECONDS as u64);
        let apart = furthest.load(Ordering::Relaxed);
        assert!(
            apart < 40_000,
            "{mode}: one was {apart} s ahead of the other"
        );
    }
}
