//! A snapshot that does not fit a job is refused, and a stage that was renamed keeps its state.

#![allow(clippy::unwrap_used, reason = "what a test cannot do without fails it")]

mod common;

use common::{parts, sorted, until_read, within};
use stream_core::io::{Boundedness, Opening, Reader, Source};
use stream_core::io::{MemoryLog, SourceInfo};
use stream_core::prelude::*;
use stream_core::{Job, Problem, Snapshot, io};

/// Some number, read from a log by its partitions' names.
struct Named(MemoryLog<u64>, &'static [&'static str]);

impl Source<u64> for Named {
    fn info(&self) -> SourceInfo {
        let (boundedness, detail) = (Boundedness::UntilClosed, String::new());
        SourceInfo {
            kind: "named",
            detail,
            boundedness,
            repeatable: true,
        }
    }

    fn partitions(&self) -> Result<Vec<String>, Problem> {
        Ok(self.1.iter().map(ToString::to_string).collect())
    }

    fn open(&self, partition: usize, opening: Opening) -> Result<Box<dyn Reader<u64>>, Problem> {
        self.0.open(partition, opening)
    }
}

#[pipeline(name = "numbers")]
fn before(numbers: Stream<u64>) -> Table<u64, u64> {
    let parities = numbers.key_by(|n| n % 2).count();
    parities
}

#[pipeline(name = "numbers")]
fn renamed(numbers: Stream<u64>) -> Table<u64, u64> {
    #[was("parities")]
    let odd_and_even = numbers.key_by(|n| n % 2).count();
    odd_and_even
}

/// The state of a job that has read three numbers and was stopped.
fn snapshot(log: &MemoryLog<u64>) -> Snapshot {
    log.append(0, [1, 2, 3]).unwrap();
    let job = before::job().numbers(log.clone()).parities(io::discard());
    let handle = job.start(Mode::PerRecord).unwrap();
    until_read(&handle, "numbers", 3);
    handle.stop();
    handle.wait().unwrap().snapshot.unwrap()
}

#[test]
fn a_stage_that_was_renamed_keeps_its_state() {
    let log = MemoryLog::new(1);
    let state = snapshot(&log);
    log.append(0, [5]).unwrap();
    log.close();
    let (sink, rows) = io::collect();
    let job = renamed::job()
        .numbers(log)
        .odd_and_even(sink)
        .start_from(state);
    job.run(Mode::PerRecord).unwrap();
    let entry = |key, value| Entry { key, value };
    assert_eq!(sorted(rows.take()), [entry(0, 1), entry(1, 3)]);
}

#[test]
fn state_of_a_stage_that_is_gone_is_not_lost_without_a_word() {
    let log = MemoryLog::new(1);
    let state = snapshot(&log);
    let job = Job::new("numbers", |graph| {
        graph.output("all", graph.input::<u64>("numbers"));
    });
    let job = job.source("numbers", log).sink::<u64>("all", io::discard());
    let error = job.start_from(state).run(Mode::PerRecord).unwrap_err();
    let (what, detail, hint) = parts(&error);
    assert_eq!(what, "the state does not fit the job");
    assert!(
        detail
            .unwrap()
            .starts_with("it has state of the stages `numbers/parities/count`, `numbers/parities/")
    );
    assert!(hint.unwrap().contains("the same pipeline and input"));
}

#[test]
fn a_partition_that_is_gone_is_told() {
    let state = snapshot(&MemoryLog::new(1));
    let job = before::job()
        .numbers(Named(MemoryLog::new(1), &["other"]))
        .parities(io::discard());
    let error = job.start_from(state).run(Mode::PerRecord).unwrap_err();
    let told = "source `numbers` has no partition `0` any more";
    assert_eq!(parts(&error).1.unwrap(), told);
}

/// The numbers as seconds; what is late comes out apart.
fn late_numbers(numbers: Stream<u64>) -> (Timed<u64>, Stream<u64>) {
    numbers.event_time(
        |n| EventTime::secs(*n as i64),
        Lateness::secs(0).leap(Leap::ANY),
    )
}

/// The state of a job of [`late_numbers`] that has read 10 from its only partition.
fn at_ten(log: &MemoryLog<u64>, pipeline: impl Fn(&Graph) + Send + Sync + 'static) -> Snapshot {
    log.append(0, [10]).unwrap();
    let job = Job::new("lateness", pipeline)
        .source("numbers", log.clone())
        .sink::<u64>("timed", io::discard())
        .sink::<u64>("late", io::discard());
    let handle = job.start(Mode::PerRecord).unwrap();
    until_read(&handle, "numbers", 1);
    handle.stop();
    handle.wait().unwrap().snapshot.unwrap()
}

fn plain(graph: &Graph) {
    let (timed, late) = late_numbers(graph.input("numbers"));
    graph.output("timed", timed);
    graph.output("late", late);
}

#[test]
fn an_input_that_is_declared_before_an_old_one_costs_no_lateness() {
    let log = MemoryLog::new(1);
    let state = at_ten(&log, plain);
    log.append(0, [5, 11]).unwrap();
    log.close();
    let (sink, late) = io::collect::<u64>();
    let job = Job::new("lateness", |graph| {
        graph.output("others", graph.input::<u64>("others"));
        plain(graph);
    });
    let job = job
        .source("others", io::vec(vec![1_u64]))
        .source("numbers", log)
        .sink::<u64>("others", io::discard())
        .sink::<u64>("timed", io::discard())
        .sink("late", sink);
    job.start_from(state).run(Mode::Batch).unwrap();
    assert_eq!(late.take(), [5]);
}

#[test]
fn a_partition_that_has_moved_keeps_its_place_and_its_lateness() {
    let log = MemoryLog::new(1);
    let state = at_ten(&log, plain);
    let moved = MemoryLog::new(2);
    moved.append(0, [1, 2]).unwrap();
    moved.append(1, [10, 5, 11]).unwrap();
    moved.close();
    let (sink, late) = io::collect::<u64>();
    let (all, timed) = io::collect::<u64>();
    let job = Job::new("lateness", plain)
        .source("numbers", Named(moved, &["new", "0"]))
        .sink::<u64>("timed", all)
        .sink("late", sink);
    job.start_from(state).workers(2).run(Mode::Batch).unwrap();
    assert_eq!(late.take(), [5]);
    assert_eq!(sorted(timed.take()), [1, 2, 11]);
}

#[test]
fn a_lane_that_goes_another_way_is_told() {
    let log = MemoryLog::new(1);
    let state = at_ten(&log, plain);
    log.close();
    let job = Job::new("lateness", |graph| {
        let numbers = graph.input::<u64>("numbers");
        let (timed, late) = late_numbers(numbers.union(graph.input("more")));
        graph.output("timed", timed);
        graph.output("late", late);
    });
    let job = job
        .source("numbers", log)
        .source("more", io::vec(Vec::<u64>::new()))
        .sink::<u64>("timed", io::discard())
        .sink::<u64>("late", io::discard());
    let error = job.start_from(state).run(Mode::Batch).unwrap_err();
    let (what, detail, hint) = parts(&error);
    assert_eq!(what, "the state does not fit the job");
    let told = "it has event times of a lane that does not reach `lateness/event_time` any more";
    assert_eq!(detail.unwrap(), told);
    assert!(hint.unwrap().contains("the unions on its way"));
}

#[test]
fn a_job_with_a_limit_leaves_no_state_that_takes_its_input_for_ended() {
    let log = MemoryLog::new(1);
    log.append(0, 0..100_u64).unwrap();
    let open = MemoryLog::<u64>::new(1);
    for (limit, read) in [(Some(20), 20), (None, 100)] {
        let job = Job::new("job", |graph| {
            let counts = graph.input::<u64>("limited").key_by(|_| 0_u8).count();
            graph.output("counts", counts.changes());
            graph.output("open", graph.input::<u64>("open"));
        });
        let job = job
            .source("limited", log.clone())
            .source("open", open.clone())
            .sink::<Change<u8, u64>>("counts", io::discard())
            .sink::<u64>("open", io::discard());
        let job = match limit {
            Some(limit) => job.limit(limit),
            None => job,
        };
        let handle = job.start(Mode::PerRecord).unwrap();
        until_read(&handle, "limited", read);
        handle.stop();
        let report = handle.wait().unwrap();
        assert_eq!(report.snapshot.is_none(), limit.is_some());
    }
}

#[test]
fn a_table_is_kept_once_in_batch_mode() {
    for (mode, times) in [(Mode::Batch, 1), (Mode::PerRecord, 2)] {
        let log = MemoryLog::new(1);
        log.append(0, [1, 2, 3]).unwrap();
        let job = before::job().numbers(log.clone()).parities(io::discard());
        let handle = job.start(mode).unwrap();
        until_read(&handle, "numbers", 3);
        handle.stop();
        let state = handle.wait().unwrap().snapshot.unwrap();
        // The stages of which there are parts: the table, and its final content.
        let told = format!("{state:?}");
        let kept = ["/count\", ", "/final_content\", "];
        let kept = kept.iter().filter(|id| told.contains(**id)).count();
        assert_eq!(kept, times, "{mode}: {told}");
    }
}

#[test]
#[cfg(feature = "files")]
fn a_job_that_goes_on_continues_its_files() {
    within("files", || {
        for name in ["out.jsonl", "out.jsonl.gz", ""] {
            let folder = tempfile::tempdir().unwrap();
            let path = format!("{}/{name}", folder.path().display());
            let log = io::MemoryLog::new(1);
            let mut start = Snapshot::default();
            for part in 0..3_u64 {
                let job = Job::new("copy", |graph| {
                    graph.output("out", graph.input::<u64>("in"));
                });
                let job = job
                    .source("in", log.clone())
                    .sink::<u64>("out", io::files::to_json_lines(&path))
                    .workers(2)
                    .start_from(start.clone());
                let handle = job.start(Mode::PerRecord).unwrap();
                log.append(0, part * 100..(part + 1) * 100).unwrap();
                until_read(&handle, "in", 100);
                handle.stop();
                start = handle.wait().unwrap().snapshot.unwrap();
            }
            let source = || io::files::json_lines::<u64>(format!("{}/*", folder.path().display()));
            let (sink, rows) = io::collect::<u64>();
            let read = Job::new("read", |graph| {
                graph.output("out", graph.input::<u64>("in"));
            });
            read.source("in", source())
                .sink("out", sink)
                .run(Mode::Batch)
                .unwrap();
            assert_eq!(sorted(rows.take()), (0..300).collect::<Vec<_>>(), "{name}");
        }
    });
}

/// The greatest numbers, so many.
fn greatest(n: usize) -> Job {
    Job::new("greatest", move |graph: &Graph| {
        let numbers = graph.input::<u64>("numbers").key_by(|_| ());
        graph.output("greatest", numbers.top(n, |number| *number).changes());
    })
}

/// What a job that kept more had told of a key is put right by the key's next record, also by one that comes to nothing.
#[test]
fn a_shorter_top_is_told() {
    let log = MemoryLog::new(1);
    log.append(0, [5_u64, 4, 3]).unwrap();
    let job = greatest(3).source("numbers", log.clone());
    let job = job.sink::<Change<(), Vec<u64>>>("greatest", io::discard());
    let handle = job.start(Mode::PerRecord).unwrap();
    until_read(&handle, "numbers", 3);
    handle.stop();
    let state = handle.wait().unwrap().snapshot.unwrap();
    log.append(0, [1]).unwrap();
    log.close();
    let (sink, changes) = io::collect::<Change<(), Vec<u64>>>();
    let job = greatest(1).source("numbers", log).sink("greatest", sink);
    job.start_from(state).run(Mode::PerRecord).unwrap();
    let told = changes.take().into_iter().map(|change| change.value);
    assert_eq!(told.collect::<Vec<_>>(), [Some(vec![5])]);
}
