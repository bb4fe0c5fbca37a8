//! Stop and drain: what was read is written and committed; a stop leaves windows open and hands
//! out the state, a drain ends them.

#![allow(clippy::unwrap_used, reason = "what a test cannot do without fails it")]

mod common;

use std::thread;
use std::time::Duration;

use common::{COMMITTED, Gate, Probe, Script, Step, everywhere, sorted, until, until_read, within};
use stream_core::ops::{Change, Entry};
use stream_core::prelude::*;
use stream_core::run::{Handle, Outcome, Report};
use stream_core::time::Clock;
use stream_core::{Snapshot, io};

/// What a job over seconds has written: the seconds, their windows of ten, how many there were.
struct Outputs {
    seconds: Probe<i64>,
    windows: Probe<Windowed<u8, u64>>,
    count: Probe<Entry<u8, u64>>,
}

fn pipeline(graph: &Graph) {
    let seconds = graph.input::<i64>("seconds");
    graph.output("seconds", seconds.clone());
    graph.output("count", seconds.clone().key_by(|_| 0_u8).count());
    let (timed, _) = seconds.event_time(|s| EventTime::secs(*s), Lateness::secs(0).leap(Leap::ANY));
    graph.output(
        "windows",
        timed.key_by(|_| 0_u8).tumbling(Size::secs(10)).count(),
    );
}

fn job(source: impl io::Source<i64>, workers: usize) -> (Job, Outputs) {
    let outputs = Outputs {
        seconds: Probe::new(),
        windows: Probe::new(),
        count: Probe::new(),
    };
    let job = Job::new("job", pipeline).source("seconds", source);
    let job = job.sink("seconds", outputs.seconds.clone());
    let job = job.sink("windows", outputs.windows.clone());
    let job = job.sink("count", outputs.count.clone());
    (job.workers(workers), outputs)
}

impl Outputs {
    /// The seconds, the start and count of each window, and the count of all; all committed.
    fn committed(&self) -> (Vec<i64>, Vec<(i64, u64)>, Vec<u64>) {
        let ends = [self.seconds.ends(), self.windows.ends(), self.count.ends()];
        assert_eq!(ends, [COMMITTED; 3]);
        let windows = self.windows.rows().into_iter();
        let windows = windows
            .map(|w| (w.start.as_millis() / 1000, w.value))
            .collect();
        let count = self.count.rows().into_iter().map(|entry| entry.value);
        (
            sorted(self.seconds.rows()),
            sorted(windows),
            count.collect(),
        )
    }
}

fn give(seconds: impl IntoIterator<Item = i64>) -> Vec<Step<i64>> {
    seconds.into_iter().map(Step::Give).collect()
}

/// The seconds 0 to 14, and more behind a gate.
fn gated(gate: &Gate) -> Vec<Step<i64>> {
    [give(0..15), vec![Step::Wait(gate.clone())], give(15..25)].concat()
}

fn stopped(handle: Handle) -> Report {
    let report = handle.wait().unwrap();
    assert_eq!(report.outcome, Outcome::Stopped);
    report
}

fn finished(job: Job, mode: Mode) -> Report {
    let report = job.run(mode).unwrap();
    assert_eq!(report.outcome, Outcome::Finished);
    report
}

#[test]
fn a_stop_writes_what_was_read_and_leaves_windows_open() {
    everywhere(&[1, 2, 3], |mode, workers| {
        let gate = Gate::default();
        let (job, outputs) = job(Script::of(gated(&gate)), workers);
        let handle = job.start(mode).unwrap();
        until_read(&handle, "seconds", 15);
        handle.stop();
        let report = stopped(handle);
        let (seconds, windows, _) = outputs.committed();
        assert_eq!((seconds, windows), ((0..15).collect(), vec![(0, 10)]));
        assert_eq!(report.counts.open, 1);
        assert!(report.snapshot.is_some());
    });
}

#[test]
fn a_drain_ends_windows_and_tables_where_they_stand() {
    everywhere(&[1, 2, 3], |mode, workers| {
        let gate = Gate::default();
        let (job, outputs) = job(Script::of(gated(&gate)), workers);
        let handle = job.start(mode).unwrap();
        until_read(&handle, "seconds", 15);
        handle.stopper().drain();
        let report = stopped(handle);
        let expected = ((0..15).collect(), vec![(0, 10), (10, 5)], vec![15]);
        assert_eq!(outputs.committed(), expected);
        assert_eq!(report.counts.open, 0);
        assert!(report.snapshot.is_none(), "there is nothing to go on with");
    });
}

#[test]
fn a_stop_before_the_first_record_loses_nothing() {
    everywhere(&[1, 2], |mode, workers| {
        let gate = Gate::default();
        let steps = [vec![Step::Wait(gate.clone())], give(0..15)].concat();
        let source = Script::of(steps);
        let (first, outputs) = job(source.clone(), workers);
        let handle = first.start(mode).unwrap();
        handle.stop();
        let report = stopped(handle);
        assert_eq!(outputs.committed(), (vec![], vec![], vec![]));
        gate.open();
        let (second, outputs) = job(source, workers);
        finished(second.start_from(report.snapshot.unwrap()), mode);
        let expected = ((0..15).collect(), vec![(0, 10), (10, 5)], vec![15]);
        assert_eq!(outputs.committed(), expected);
    });
}

#[test]
fn of_stop_and_drain_the_first_word_counts() {
    everywhere(&[1, 2], |mode, workers| {
        for drains in [false, true] {
            let gate = Gate::default();
            let (job, outputs) = job(Script::of(gated(&gate)), workers);
            let handle = job.start(mode).unwrap();
            until_read(&handle, "seconds", 15);
            let stopper = handle.stopper();
            let (stop, drain) = (|| stopper.stop(), || stopper.drain());
            let words: [&dyn Fn(); 3] = match drains {
                true => [&drain, &stop, &drain],
                false => [&stop, &drain, &stop],
            };
            words.iter().for_each(|word| word());
            let report = stopped(handle);
            assert_eq!(report.counts.open, u64::from(!drains));
            assert_eq!(report.snapshot.is_some(), !drains);
            let (_, windows, _) = outputs.committed();
            assert_eq!(windows.len(), 1 + usize::from(drains));
            stop(); // a stopper outlives its job
        }
    });
}

#[test]
fn a_stop_after_the_end_of_input_changes_nothing() {
    everywhere(&[1, 2], |mode, workers| {
        for drains in [false, true] {
            let (job, outputs) = job(Script::of(give(0..15)), workers);
            let handle = job.start(mode).unwrap();
            until("the job has ended", || handle.is_finished());
            match drains {
                true => handle.stopper().drain(),
                false => handle.stop(),
            }
            let report = handle.wait().unwrap();
            assert_eq!(report.outcome, Outcome::Finished);
            assert!(report.snapshot.is_none());
            let expected = ((0..15).collect(), vec![(0, 10), (10, 5)], vec![15]);
            assert_eq!(outputs.committed(), expected);
        }
    });
}

#[test]
fn a_stop_while_the_end_of_input_is_on_its_way_to_the_sinks_changes_nothing() {
    everywhere(&[1, 2], |mode, workers| {
        let gate = Gate::default();
        let seconds = Probe::<i64>::behind(&gate);
        let job = Job::new("job", |graph| {
            graph.output("seconds", graph.input::<i64>("seconds"));
        });
        let job = job.source("seconds", Script::of(give([7])));
        let job = job.sink("seconds", seconds.clone()).workers(workers);
        let handle = job.start(mode).unwrap();
        until("the record is at the sink", || gate.is_reached());
        handle.stop();
        gate.open();
        let report = handle.wait().unwrap();
        assert_eq!((seconds.rows(), seconds.ends()), (vec![7], COMMITTED));
        let has_ended = report.outcome == Outcome::Finished;
        assert_eq!(report.snapshot.is_some(), !has_ended);
    });
}

#[test]
fn a_partition_that_had_ended_before_the_stop_is_not_read_again() {
    everywhere(&[1, 2, 3], |mode, workers| {
        let gate = Gate::default();
        let source = Script::new(vec![gated(&gate), give(0..3), vec![]]);
        let (first, before) = job(source.clone(), workers);
        let handle = first.start(mode).unwrap();
        until_read(&handle, "seconds", 18);
        handle.stop();
        let snapshot = stopped(handle).snapshot.unwrap();
        gate.open();
        for workers in [1, 2, 3] {
            let (second, after) = job(source.clone(), workers);
            finished(second.start_from(snapshot.clone()), mode);
            let (early, late) = (before.committed(), after.committed());
            let seconds = sorted((0..25).chain(0..3).collect());
            assert_eq!(sorted([early.0, late.0].concat()), seconds);
            let windows = vec![(0, 13), (10, 10), (20, 5)];
            assert_eq!(sorted([early.1, late.1].concat()), windows);
            assert_eq!(late.2, [28]);
        }
    });
}

/// A job of two inputs, one of which ends long before the other.
fn two_inputs(graph: &Graph) {
    let ended = graph.input::<i64>("ended");
    graph.output("count", ended.clone().key_by(|_| 0_u8).count());
    graph.output("changes", ended.clone().key_by(|_| 0_u8).count().changes());
    let (timed, _) = ended.event_time(|s| EventTime::secs(*s), Lateness::secs(0).leap(Leap::ANY));
    graph.output(
        "windows",
        timed.key_by(|_| 0_u8).tumbling(Size::secs(10)).count(),
    );
    graph.output("open", graph.input::<i64>("open"));
}

#[test]
fn what_follows_from_an_input_that_had_ended_before_the_stop_is_written_once() {
    everywhere(&[1, 2], |mode, workers| {
        let gate = Gate::default();
        let count = Probe::<Entry<u8, u64>>::new();
        let windows = Probe::<Windowed<u8, u64>>::new();
        let changes = Probe::<Change<u8, u64>>::new();
        let open = Script::of(vec![Step::Wait(gate.clone()), Step::Give(7_i64)]);
        let job = |workers| {
            let job = Job::new("job", two_inputs).workers(workers);
            let job = job.source("ended", Script::of(give(0..15)));
            let job = job
                .source("open", open.clone())
                .sink::<i64>("open", io::discard());
            let job = job
                .sink("count", count.clone())
                .sink("windows", windows.clone());
            job.sink("changes", changes.clone())
        };
        let handle = job(workers).start(mode).unwrap();
        until("the end is written", || {
            count.written() + windows.written() == 3
        });
        handle.stop();
        let snapshot = stopped(handle).snapshot.unwrap();
        let changed = changes.written();
        gate.open();
        for mode in common::MODES {
            for workers in [1, 2, 3] {
                finished(
                    job(workers).start_from(snapshot.clone()),
                    mode.parse().unwrap(),
                );
            }
        }
        assert_eq!((count.written(), windows.written()), (1, 2));
        assert_eq!(changes.written(), changed);
    });
}

/// Stops a busy job wherever it is, goes on from there, and so on to the end: every record is
/// written once, whichever worker asked the others to stop.
#[test]
fn a_busy_job_that_is_stopped_anywhere_writes_every_record_once() {
    everywhere(&[1, 2, 3], |mode, workers| {
        let partitions = (0..3).map(|p| give((0..400).map(|n| n * 3 + p)));
        let source = Script::new(partitions.collect()).chunk(2);
        let (mut start, mut seconds, mut windows) = (Snapshot::default(), vec![], vec![]);
        let count = loop {
            let (job, outputs) = job(source.clone(), workers);
            let handle = job.start_from(start).start(mode).unwrap();
            let read = || handle.counts().read.get("seconds").copied().unwrap_or(0);
            until("something was read", || {
                read() >= 100 || handle.is_finished()
            });
            handle.stop();
            let report = handle.wait().unwrap();
            let part = outputs.committed();
            seconds.extend(part.0);
            windows.extend(part.1);
            match report.snapshot {
                Some(snapshot) => start = snapshot,
                None => break part.2,
            }
        };
        assert_eq!(sorted(seconds), (0..1200).collect::<Vec<_>>());
        let tens = (0..120).map(|ten| (ten * 10, 10));
        assert_eq!(sorted(windows), tens.collect::<Vec<_>>());
        assert_eq!(count, [1200]);
    });
}

#[test]
fn a_busy_job_that_is_drained_anywhere_writes_what_it_read() {
    everywhere(&[1, 2, 3], |mode, workers| {
        let partitions = (0..3).map(|p| give((0..5_000).map(|n| n * 3 + p)));
        let source = Script::new(partitions.collect()).chunk(2);
        let (job, outputs) = job(source, workers);
        let handle = job.start(mode).unwrap();
        until_read(&handle, "seconds", 100);
        handle.stopper().drain();
        let report = handle.wait().unwrap();
        let (seconds, windows, count) = outputs.committed();
        let read = report.counts.read["seconds"];
        assert_eq!((seconds.len() as u64, count), (read, vec![read]));
        assert_eq!(windows.iter().map(|(_, count)| count).sum::<u64>(), read);
    });
}

/// Whichever of the two is heard first, the job does it whole, on every worker.
#[test]
fn a_stop_that_races_with_a_drain_does_the_one_or_the_other() {
    everywhere(&[1, 2, 3], |mode, workers| {
        let partitions = (0..3).map(|p| give((0..300).map(|n| n * 3 + p)));
        let source = Script::new(partitions.collect()).chunk(2);
        for _ in 0..2 {
            let (first, early) = job(source.clone(), workers);
            let handle = first.start(mode).unwrap();
            until_read(&handle, "seconds", 100);
            let drainer = handle.stopper();
            let drain = thread::spawn(move || drainer.drain());
            handle.stop();
            drain.join().unwrap();
            let report = handle.wait().unwrap();
            let (seconds, windows, count) = early.committed();
            let Some(snapshot) = report.snapshot else {
                assert_eq!((report.counts.open, count), (0, vec![seconds.len() as u64]));
                continue;
            };
            assert!(count.is_empty(), "{count:?}");
            let (second, late) = job(source.clone(), workers);
            finished(second.start_from(snapshot), mode);
            let (_, rest, _) = late.committed();
            let tens: Vec<_> = (0..90).map(|ten| (ten * 10, 10)).collect();
            assert_eq!(sorted([windows, rest].concat()), tens);
        }
    });
}

#[test]
fn a_reader_that_is_woken_after_its_job_has_ended_does_no_harm() {
    everywhere(&[1, 2], |mode, workers| {
        let gate = Gate::default();
        let (job, outputs) = job(Script::of(gated(&gate)), workers);
        let handle = job.start(mode).unwrap();
        until_read(&handle, "seconds", 15);
        handle.stop();
        stopped(handle);
        gate.open();
        assert_eq!(outputs.committed().0.len(), 15);
    });
}

#[test]
fn partitions_that_wait_for_the_clock_are_each_read_in_time() {
    everywhere(&[1, 2], |mode, workers| {
        let clock = Clock::by_hand();
        let at =
            |secs: u64, second| vec![Step::Until(Duration::from_secs(secs)), Step::Give(second)];
        let source = Script::new(vec![at(5, 1), at(9, 2), [at(5, 3), at(7, 4)].concat()]);
        let (job, outputs) = job(source, workers);
        let handle = job.clock(clock.clone()).start(mode).unwrap();
        for (secs, read) in [(5, 2), (2, 3), (2, 4)] {
            clock.advance(Duration::from_secs(secs));
            until_read(&handle, "seconds", read);
            assert_eq!(handle.counts().read["seconds"], read);
        }
        handle.wait().unwrap();
        let expected = (vec![1, 2, 3, 4], vec![(0, 4)], vec![4]);
        assert_eq!(outputs.committed(), expected);
    });
}

#[test]
fn partitions_that_wait_for_the_machines_clock_do_not_oversleep() {
    everywhere(&[1, 2], |mode, workers| {
        let at = |millis, second| {
            vec![
                Step::Until(Duration::from_millis(millis)),
                Step::Give(second),
            ]
        };
        let source = Script::new(vec![at(2, 1), at(6, 2), at(4, 3), at(8, 4)]);
        let (job, outputs) = job(source, workers);
        finished(job, mode);
        assert_eq!(outputs.committed().0, [1, 2, 3, 4]);
    });
}

#[test]
fn a_stop_does_not_wait_for_the_clock() {
    within("far future", || {
        let far = Duration::from_secs(1_000_000);
        let steps = vec![Step::Give(1), Step::Until(far), Step::Give(2)];
        for clock in [Clock::machine(), Clock::by_hand()] {
            let (job, outputs) = job(Script::of(steps.clone()), 2);
            let handle = job.clock(clock).start(Mode::PerRecord).unwrap();
            until_read(&handle, "seconds", 1);
            handle.stop();
            assert!(stopped(handle).snapshot.is_some());
            assert_eq!(outputs.committed().0, [1]);
        }
    });
}

/// A job whose rows go to a channel that holds one of them, of a hundred, and the channel's receiver.
fn unread(workers: usize) -> (Handle, std::sync::mpsc::Receiver<i64>) {
    let (sink, rows) = io::to_channel(1);
    let job = Job::new("unread", |graph| {
        graph.output("rows", graph.input::<i64>("seconds"));
    });
    let seconds = io::partitions::<i64>(vec![(0..50).collect(), (50..100).collect()]);
    let job = job.source("seconds", seconds).sink("rows", sink);
    let handle = job.workers(workers).start(Mode::PerRecord).unwrap();
    until("the channel is full", || {
        handle.counts().read["seconds"] > 1
    });
    (handle, rows)
}

#[test]
fn a_stop_ends_a_job_whose_channel_nobody_reads() {
    let (handle, rows) = unread(2);
    handle.stop();
    let error = within("a stop", move || handle.wait().unwrap_err());
    let expected = "sink `rows`: nobody takes the rows out of the channel: it is full, and its \
                        receiver has taken none for 5s since the job was asked to stop (hint: read the \
                        receiver to its end before `wait`, or on another thread; or drop it)";
    assert_eq!(error.to_string(), expected);
    assert_eq!(rows.iter().count(), 1);
}

#[test]
fn a_job_that_is_stopped_waits_for_a_slow_reader_of_its_channel() {
    let (handle, rows) = unread(1);
    handle.stop();
    let slow = thread::spawn(move || {
        let nap = |row| {
            thread::sleep(Duration::from_millis(20));
            row
        };
        rows.iter().map(nap).collect::<Vec<_>>().len() as u64
    });
    let report = within("a stop", move || handle.wait().unwrap());
    assert_eq!(slow.join().unwrap(), report.counts.written["rows"]);
    assert_eq!(
        report.counts.read,
        [("seconds".to_owned(), report.counts.written["rows"])].into()
    );
}

#[test]
fn a_handle_is_dropped_though_a_channel_is_full() {
    let (handle, rows) = unread(2);
    within("a drop", move || drop(handle));
    assert!(rows.iter().count() <= 2);
}
