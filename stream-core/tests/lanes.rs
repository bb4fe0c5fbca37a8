//! Lanes: lateness belongs to the lane, and no watermark passes a lane that is slow, empty or not
//! there yet.

#![allow(clippy::unwrap_used, reason = "what a test cannot do without fails it")]

mod common;

use common::{Gate, Random, Script, Step, everywhere, sorted, until_read};
use stream_core::io::{self, collect};
use stream_core::ops::Entry;
use stream_core::prelude::*;
use stream_core::run::{Handle, Report};
use stream_core::testing::{check_modes, check_recovery};

fn time(secs: &i64) -> EventTime {
    EventTime::secs(*secs)
}

fn give(seconds: impl IntoIterator<Item = i64>) -> Vec<Step<i64>> {
    seconds.into_iter().map(Step::Give).collect()
}

/// The start in seconds and the value of each window.
fn windows(rows: Vec<Windowed<u8, u64>>) -> Vec<(i64, u64)> {
    let rows = rows.into_iter();
    sorted(
        rows.map(|w| (w.start.as_millis() / 1000, w.value))
            .collect(),
    )
}

fn lossless(report: &Report) {
    assert_eq!(
        (
            report.counts.late,
            report.counts.overtaken,
            report.counts.open
        ),
        (0, 0, 0)
    );
}

/// A job of windows of ten seconds, which are collected.
fn tens(source: impl io::Source<i64>) -> (Job, io::Rows<Windowed<u8, u64>>) {
    let (sink, rows) = collect();
    let job = Job::new("job", |graph| {
        let (timed, _) = graph
            .input::<i64>("seconds")
            .event_time(time, Lateness::secs(0).leap(Leap::ANY));
        graph.output(
            "windows",
            timed.key_by(|_| 0_u8).tumbling(Size::secs(10)).count(),
        );
    });
    (job.source("seconds", source).sink("windows", sink), rows)
}

#[test]
fn a_lane_that_starts_slowly_loses_nothing_and_holds_the_windows_open() {
    everywhere(&[1, 2, 3], |mode, workers| {
        let gate = Gate::default();
        let slow = [vec![Step::Wait(gate.clone())], give(0..30)].concat();
        let (job, rows) = tens(Script::new(vec![give(0..30), slow]));
        let handle = job.workers(workers).start(mode).unwrap();
        until_read(&handle, "seconds", 30);
        assert_eq!(written(&handle), 0);
        gate.open();
        lossless(&handle.wait().unwrap());
        assert_eq!(windows(rows.take()), [(0, 20), (10, 20), (20, 20)]);
    });
}

fn written(handle: &Handle) -> u64 {
    handle.counts().written.values().sum()
}

#[test]
fn empty_partitions_hold_nothing_back() {
    everywhere(&[1, 2, 3], |mode, workers| {
        let partitions = vec![vec![], (0..30).collect(), vec![], vec![], (0..30).collect()];
        let (job, rows) = tens(io::partitions(partitions));
        lossless(&job.workers(workers).run(mode).unwrap());
        assert_eq!(windows(rows.take()), [(0, 20), (10, 20), (20, 20)]);
    });
}

#[test]
fn a_partition_that_ends_lets_the_windows_of_the_others_close() {
    everywhere(&[1, 2, 3], |mode, workers| {
        let gate = Gate::default();
        let waits = [give(0..25), vec![Step::Wait(gate.clone())], give(25..30)].concat();
        let (job, rows) = tens(Script::new(vec![waits, give(0..5), vec![]]));
        let handle = job.workers(workers).start(mode).unwrap();
        common::until("two windows are written", || written(&handle) == 2);
        gate.open();
        lossless(&handle.wait().unwrap());
        assert_eq!(windows(rows.take()), [(0, 15), (10, 10), (20, 10)]);
    });
}

/// The counts of windows come later than the plain seconds, with the times that they have; the
/// windows over both wait for them from the beginning.
#[test]
fn windows_over_windows_and_a_plain_stream_lose_nothing() {
    everywhere(&[1, 2, 3], |mode, workers| {
        let (sink, rows) = collect();
        let job = Job::new("job", |graph| {
            let (timed, _) = graph
                .input::<i64>("seconds")
                .event_time(time, Lateness::secs(0).leap(Leap::ANY));
            let tens = timed
                .clone()
                .key_by(|_| 0_u8)
                .tumbling(Size::secs(10))
                .count();
            let both = tens.map(|window| window.value).union(timed.map(|_| 1));
            let twenties = both.key_by(|_| 0_u8).tumbling(Size::secs(20));
            let sum = |sum: &mut u64, n| *sum += n;
            graph.output("windows", twenties.fold(|| 0, sum));
        });
        let seconds = io::partitions(vec![(0_i64..600).collect(), (0..600).collect()]);
        let job = job.source("seconds", seconds).sink("windows", sink);
        lossless(&job.workers(workers).run(mode).unwrap());
        let expected: Vec<_> = (0..30).map(|n| (n * 20, 80)).collect();
        assert_eq!(windows(rows.take()), expected);
    });
}

/// Behind the windows of a slow input stands an operator that a fast input feeds, too.
#[test]
fn windows_of_a_slow_input_hold_the_time_of_whoever_reads_them() {
    everywhere(&[1, 2, 3], |mode, workers| {
        let (gate, (sink, rows)) = (Gate::default(), collect());
        let job = Job::new("job", |graph| {
            let timed = |name| {
                graph
                    .input::<i64>(name)
                    .event_time(time, Lateness::secs(0).leap(Leap::ANY))
                    .0
            };
            let tens = timed("slow")
                .key_by(|_| 0_u8)
                .tumbling(Size::secs(10))
                .count();
            let both = tens
                .map(|window| window.value)
                .union(timed("fast").map(|_| 1));
            let twenties = both.key_by(|_| 0_u8).tumbling(Size::secs(20));
            let sum = |sum: &mut u64, n| *sum += n;
            graph.output("windows", twenties.fold(|| 0, sum));
        });
        let slow = [vec![Step::Wait(gate.clone())], give(0..60)].concat();
        let fast = [give(0..50), vec![Step::Wait(gate.clone())], give(50..60)].concat();
        let job = job
            .source("slow", Script::of(slow))
            .source("fast", Script::of(fast));
        let handle = job
            .sink("windows", sink)
            .workers(workers)
            .start(mode)
            .unwrap();
        until_read(&handle, "fast", 50);
        std::thread::sleep(std::time::Duration::from_millis(5)); // time enough to go wrong
        gate.open();
        lossless(&handle.wait().unwrap());
        assert_eq!(windows(rows.take()), [(0, 40), (20, 40), (40, 40)]);
    });
}

#[test]
fn a_table_of_overtaken_records_is_written_though_there_are_none() {
    everywhere(&[1, 2], |mode, workers| {
        let (windows, rows) = collect::<i64>();
        let (count, counted) = collect::<Entry<u8, u64>>();
        let job = Job::new("job", |graph| {
            let (timed, _) = graph
                .input::<i64>("seconds")
                .event_time(time, Lateness::secs(0).leap(Leap::ANY));
            let tens = timed.key_by(|_| 0_u8).tumbling(Size::secs(10));
            let sum = |sum: &mut i64, n| *sum += n;
            let (sums, overtaken) = tens.fold_with_overtaken(|| 0, sum);
            graph.output("windows", sums.map(|window| window.value));
            graph.output("overtaken", overtaken.key_by(|_| 0_u8).count());
        });
        let job = job.source("seconds", io::vec((0_i64..20).collect()));
        let job = job
            .sink("windows", windows)
            .sink("overtaken", count)
            .workers(workers);
        lossless(&job.run(mode).unwrap());
        assert_eq!(
            (sorted(rows.take()), counted.take()),
            (vec![45, 145], vec![])
        );
    });
}

/// The late records of one lane, from scratch.
fn late_of(lane: &[i64], lateness: i64) -> Vec<i64> {
    let is_late = |(index, second): (usize, &i64)| {
        let high = lane[..index].iter().max();
        high.is_some_and(|high| *second < high - lateness)
            .then_some(*second)
    };
    lane.iter().enumerate().filter_map(is_late).collect()
}

#[test]
fn what_is_late_is_what_the_definition_says_by_lane() {
    everywhere(&[1, 2, 3], |mode, workers| {
        for seed in 0..8 {
            let mut random = Random::new(seed);
            let mut lane = |n: u64| (0..n).map(|_| random.below(100) as i64).collect::<Vec<_>>();
            let lanes = [lane(0), lane(1), lane(50), lane(200)];
            let lateness = seed * 7;
            let (on_time, timely) = collect::<i64>();
            let (late, behind) = collect::<i64>();
            let job = Job::new("job", move |graph| {
                let seconds = graph.input::<i64>("seconds");
                let (timed, late) =
                    seconds.event_time(time, Lateness::secs(lateness).leap(Leap::ANY));
                graph.output("on time", timed);
                graph.output("late", late);
            });
            let job = job.source("seconds", io::partitions(lanes.to_vec()));
            let job = job
                .sink("on time", on_time)
                .sink("late", late)
                .workers(workers);
            let report = job.run(mode).unwrap();
            let behind = sorted(behind.take());
            let expected = lanes.iter().flat_map(|lane| late_of(lane, lateness as i64));
            assert_eq!(behind, sorted(expected.collect()), "seed {seed}");
            assert_eq!(report.counts.late, behind.len() as u64);
            let all = sorted([timely.take(), behind].concat());
            assert_eq!(all, sorted(lanes.concat()), "seed {seed}");
        }
    });
}

/// A batch goes on while another input does, long after those of a table have ended: what the table withholds until
/// the batch is closed is in its final content all the same.
#[test]
fn a_table_whose_inputs_end_in_the_midst_of_a_batch_is_told_whole() {
    for workers in [1, 2] {
        common::within("a batch that goes on", move || {
            let (sender, others) = io::channel::<u64>(4);
            let (counts_sink, counts) = io::collect::<Entry<u64, u64>>();
            let (sink, rows) = io::collect::<u64>();
            let job = Job::new("ends", |graph| {
                let numbers = graph.input::<u64>("numbers");
                graph.output("counts", numbers.key_by(|n| n % 3).count());
                graph.output("others", graph.input::<u64>("others"));
            });
            let job = job
                .source("numbers", io::vec((0..30).collect::<Vec<u64>>()))
                .source("others", others)
                .sink("counts", counts_sink)
                .sink("others", sink);
            let mode = "micro-batch=1h".parse().expect("a mode");
            let handle = job.workers(workers).start(mode).expect("it starts");
            until_read(&handle, "numbers", 30);
            for n in 1..=3 {
                sender.send(n).expect("the job runs");
                until_read(&handle, "others", n);
                // The slice is cut by its age.
                std::thread::sleep(std::time::Duration::from_millis(150));
            }
            drop(sender);
            handle.wait().expect("it ends");
            assert_eq!(rows.take().len(), 3);
            let counts = sorted(counts.take());
            let expected = (0..3).map(|key| Entry { key, value: 10 });
            assert_eq!(counts, expected.collect::<Vec<_>>());
        });
    }
}

/// The kits bring that about as well: one of two inputs goes on alone for long, whichever it is.
#[test]
fn one_of_two_inputs_goes_on_long_after_the_other() {
    let inputs = || ((0..40).collect::<Vec<u64>>(), (0..40).collect::<Vec<u64>>());
    let pipeline =
        |(numbers, others): (Stream<u64>, Stream<u64>)| (numbers.key_by(|n| n % 3).count(), others);
    check_modes(inputs(), pipeline);
    check_recovery(inputs(), pipeline);
}
