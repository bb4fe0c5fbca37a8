//! A snapshot that does not fit a job is refused, and a stage that was renamed keeps its state.

#![allow(clippy::unwrap_used, reason = "what a test cannot do without fails it")]

mod common;

use common::{parts, sorted, until_read};
use stream_core::io::{Boundedness, Opening, Reader, Source};
use stream_core::io::{MemoryLog, Position, SourceInfo};
use stream_core::prelude::*;
use stream_core::{Problem, Snapshot, io};

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
        assert_eq!(opening.from, Position(0));
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
    assert_eq!(what, "the snapshot does not fit the job");
    assert!(
        detail
            .unwrap()
            .starts_with("it has state of a stage `numbers/parities/count")
    );
    assert!(hint.unwrap().contains("the same pipeline and input"));
}

#[test]
fn a_partition_that_is_gone_or_has_moved_is_told() {
    for (partitions, told) in [
        (
            &["other"][..],
            "source `numbers` has no partition `0` any more",
        ),
        (
            &["new", "0"],
            "partition `0` of source `numbers` is now number 2, not 1",
        ),
    ] {
        let log = MemoryLog::new(2);
        let state = {
            let one = MemoryLog::new(1);
            snapshot(&one)
        };
        let job = before::job()
            .numbers(Named(log, partitions))
            .parities(io::discard());
        let error = job.start_from(state).run(Mode::PerRecord).unwrap_err();
        assert_eq!(parts(&error).1.unwrap(), told);
    }
}
