//! Jobs that keep their state at a server of S3: `dev/s3` runs one beside a command.
//!
//! ```sh
//! dev/s3 cargo test -p stream-core --features s3 s3
//! ```
#![allow(clippy::unwrap_used, reason = "what a test cannot do without fails it")]

mod common;

use std::env;
use std::time::{SystemTime, UNIX_EPOCH};

use common::{parts, sorted, until_read, within};
use stream_core::io::{self, MemoryLog, Rows};
use stream_core::ops::Entry;
use stream_core::run::{Outcome, StateStore};
use stream_core::{Error, Job, Mode};

/// The URL of a place of its own; `None` without a server, which CI must have.
fn place(name: &str) -> Option<String> {
    let Ok(bucket) = env::var("STREAM_TEST_S3") else {
        let how = "no server of S3: run `dev/s3 cargo test -p stream-core --features s3 s3`";
        assert!(env::var_os("CI").is_none(), "{how}");
        eprintln!("SKIPPED, {how}");
        return None;
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Some(format!("{bucket}/{name}-{}", now.as_nanos()))
}

fn counts(log: &MemoryLog<u64>, place: &str) -> (Job, Rows<Entry<u64, u64>>) {
    let (sink, rows) = io::collect();
    let job = Job::new("digits", |graph| {
        let numbers = graph.input::<u64>("in");
        graph.output("out", numbers.key_by(|n| n % 10).count());
    });
    let job = job.source("in", log.clone()).sink("out", sink);
    (job.state(StateStore::at(place).unwrap()), rows)
}

#[test]
fn s3_a_job_goes_on_with_other_workers() {
    let Some(place) = place("going-on") else {
        return;
    };
    within("going on at S3", move || {
        let log = MemoryLog::new(3);
        for (run, workers) in [(0, 1), (1, 3), (2, 2)] {
            for number in run * 100..(run + 1) * 100 {
                log.append(number as usize % 3, [number]).unwrap();
            }
            let (job, rows) = counts(&log, &place);
            let handle = job.workers(workers).start(Mode::PerRecord).unwrap();
            until_read(&handle, "in", 100);
            if run < 2 {
                handle.stop();
                let report = handle.wait().unwrap();
                let read = report.counts.read["in"];
                assert_eq!((report.outcome, read), (Outcome::Stopped, 100));
                continue;
            }
            log.close();
            let report = handle.wait().unwrap();
            let state = report.state.unwrap();
            assert_eq!((state.from, state.last), (Some(2), Some(3)));
            let expected: Vec<_> = (0..10).map(|key| Entry { key, value: 30 }).collect();
            assert_eq!(sorted(rows.take()), expected);
        }
        let store = StateStore::at(&place).unwrap();
        let told = store.go_back_to(9).unwrap_err().to_string();
        assert_eq!(told, "checkpoint 9 is not kept (hint: there are 1, 2, 3)");
        store.go_back_to(1).unwrap();
        let (job, rows) = counts(&log, &place);
        job.run(Mode::Batch).unwrap();
        let expected: Vec<_> = (0..10).map(|key| Entry { key, value: 30 }).collect();
        assert_eq!(sorted(rows.take()), expected);
    });
}

#[test]
fn s3_the_older_of_two_runs_ends() {
    let Some(place) = place("two-runs") else {
        return;
    };
    within("two runs at S3", move || {
        let log = MemoryLog::new(2);
        log.append(0, 0..50).unwrap();
        let (older, lost) = counts(&log, &place);
        let older = older.start(Mode::PerRecord).unwrap();
        until_read(&older, "in", 50);
        let (newer, rows) = counts(&log, &place);
        let newer = newer.workers(2).start(Mode::PerRecord).unwrap();
        older.checkpoint();
        let error = older.wait().unwrap_err();
        assert!(matches!(error, Error::TakenOver(_)), "{error}");
        assert_eq!(
            parts(&error).0,
            "another run of the job has taken over its state"
        );
        assert!(lost.take().is_empty());
        log.close();
        newer.wait().unwrap();
        let expected: Vec<_> = (0..10).map(|key| Entry { key, value: 5 }).collect();
        assert_eq!(sorted(rows.take()), expected);
    });
}

#[test]
fn s3_a_bucket_that_is_not_there_is_told() {
    if place("none").is_none() {
        return;
    }
    let (job, _) = counts(&MemoryLog::new(1), "s3://no-such-bucket-of-ours/job");
    let told = job.start(Mode::Batch).unwrap_err().to_string();
    assert!(told.contains("s3://no-such-bucket-of-ours/job"), "{told}");
    assert!(told.contains("hint: make the bucket"), "{told}");
}
