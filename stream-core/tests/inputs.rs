//! Inputs at the edges: none at all, all of one key, times before 1970, times that are equal, times
//! exactly at a bound.

#![allow(clippy::unwrap_used, reason = "what a test cannot do without fails it")]

mod common;

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
