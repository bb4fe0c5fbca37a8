//! The transactional sink of a log.
#![allow(clippy::unwrap_used, reason = "what a test cannot do without fails it")]

use stream_core::io::{Chunk, Commit, LogSink, MemoryLog, Sink, Slot, Source};
use stream_core::testing::contract;

fn flat(log: &MemoryLog<u32>) -> Vec<u32> {
    log.records().concat()
}

/// Prepares a checkpoint with records of one writer.
fn prepared(sink: &LogSink<u32>, checkpoint: u64, mut records: Vec<u32>) -> Commit {
    let mut writer = sink.open(Slot::new(0, 1)).unwrap();
    writer.write(&mut records).unwrap();
    let staged = writer.prepare(checkpoint).unwrap().finish().unwrap();
    Commit::new(checkpoint, vec![staged])
}

/// A log to which checkpoints 1 and 2 are committed.
fn committed() -> (MemoryLog<u32>, LogSink<u32>, [Commit; 2]) {
    let log = MemoryLog::new(1);
    let sink = log.transactional("job");
    sink.recover(None).unwrap();
    let commits = [1, 2].map(|number| {
        let commit = prepared(&sink, number, vec![number as u32]);
        sink.commit(&commit).unwrap();
        commit
    });
    (log, sink, commits)
}

#[test]
fn a_log_keeps_the_contract_of_sinks() {
    for partitions in [1, 2, 5] {
        let make = || {
            let log = MemoryLog::new(partitions);
            (log.transactional("job"), move || flat(&log))
        };
        contract::sink(make, &(0..100).collect::<Vec<_>>());
    }
}

#[test]
fn a_log_gives_every_record_once_through_crashes() {
    for partitions in [1, 2] {
        contract::sink_recovers(
            || MemoryLog::new(partitions),
            |log| log.transactional("job"),
            flat,
            &(0..40).collect::<Vec<_>>(),
        );
    }
}

#[test]
fn a_commit_that_is_repeated_changes_nothing() {
    let (log, sink, [first, second]) = committed();
    sink.commit(&second).unwrap();
    sink.commit(&first).unwrap();
    log.transactional("job").recover(Some(&second)).unwrap();
    assert_eq!(log.records(), [[1, 2]]);
}

#[test]
fn what_no_checkpoint_names_is_dropped() {
    let (log, sink, [_, second]) = committed();
    let lost = prepared(&sink, 3, vec![3]);
    log.transactional("job").recover(Some(&second)).unwrap();
    let told = sink.commit(&lost).unwrap_err().to_string();
    assert_eq!(
        told,
        "`job` cannot commit checkpoint 3 in the log: the log does not hold what was prepared for it \
         (hint: a log in memory ends with its process: start afresh, with a state of its own)"
    );
    assert_eq!(log.records(), [[1, 2]]);
}

#[test]
fn sinks_of_one_log_have_markers_of_their_own() {
    let (log, _, [_, second]) = committed();
    let other = log.transactional("other");
    other.recover(None).unwrap();
    let commit = prepared(&other, 1, vec![7]);
    log.transactional("job").recover(Some(&second)).unwrap();
    other.commit(&commit).unwrap();
    assert_eq!(log.records(), [[1, 2, 7]]);
}

#[test]
fn a_way_back_is_refused_when_others_have_appended() {
    let (log, sink, [first, _]) = committed();
    log.append(0, [9]).unwrap();
    let told = sink.recover(Some(&first.going_back())).unwrap_err();
    assert_eq!(
        told.to_string(),
        "`job` cannot go back to checkpoint 1 in the log: others have appended to partition 0 behind it \
         (hint: go on from the last checkpoint, or start afresh with another log)"
    );
    assert_eq!(log.records(), [[1, 2, 9]]);
}

#[test]
fn a_reader_that_is_further_than_a_way_back_is_told() {
    let (log, sink, [first, _]) = committed();
    let mut ahead = Source::open(&log, 0, contract::opening()).unwrap();
    let mut behind = Source::open(&log, 0, contract::opening()).unwrap();
    ahead.read(2, &mut Chunk::default()).unwrap();
    behind.read(1, &mut Chunk::default()).unwrap();
    sink.recover(Some(&first.going_back())).unwrap();
    log.append(0, [5, 6, 7]).unwrap();
    let told = ahead.read(1, &mut Chunk::default()).unwrap_err();
    assert_eq!(
        told.to_string(),
        "partition 0 of the log was cut to 1 records, and 2 had been read: a job that writes to it went \
         back to an earlier checkpoint (hint: let the job that reads it go back as well)"
    );
    let mut read = Chunk::default();
    behind.read(9, &mut read).unwrap();
    assert_eq!(read.records().copied().collect::<Vec<u32>>(), [5, 6, 7]);
}

#[test]
fn a_log_that_nothing_can_be_written_to_is_a_problem() {
    let none = MemoryLog::<u32>::new(0).transactional("job");
    let told = none.open(Slot::new(0, 1)).err().unwrap().to_string();
    assert_eq!(
        told,
        "`job` cannot write in the log: it has no partition (hint: give it one: `MemoryLog::new(1)`)"
    );
    let (log, sink, _) = committed();
    let commit = prepared(&sink, 3, vec![3]);
    log.close();
    let told = sink.commit(&commit).unwrap_err().to_string();
    assert!(
        told.starts_with("`job` cannot commit checkpoint 3 in the log: the log is closed"),
        "{told}"
    );
}
