//! Jobs that keep their state in a store: where the next run goes on, and what it refuses.
#![cfg(feature = "state")]
#![allow(clippy::unwrap_used, reason = "what a test cannot do without fails it")]

mod common;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use common::{parts, sorted, until, until_read, within};
use stream_core::io::{self, MemoryLog, Rows};
use stream_core::ops::{Change, Entry, Windowed};
use stream_core::run::{Guarantee, Handle, Outcome, Restarts, StateStore};
use stream_core::time::{Clock, EventTime, Gap, Lateness, Leap, Size};
use stream_core::{Error, Job, Mode, Problem};

fn job(log: &MemoryLog<u64>, store: &StateStore) -> (Job, Rows<u64>) {
    let (sink, rows) = io::collect();
    let job = Job::new("copy", |graph| {
        graph.output("out", graph.input::<u64>("in").filter(|n| n % 10 < 9));
    });
    let job = job.source("in", log.clone()).sink("out", sink);
    (job.state(store.clone()), rows)
}

fn counts(log: &MemoryLog<u64>, store: &StateStore) -> (Job, Rows<Entry<u64, u64>>) {
    counts_when(log, store, || ())
}

/// Calls a function each time the graph is built: for the checks, and then on the worker.
fn counts_when(
    log: &MemoryLog<u64>,
    store: &StateStore,
    built: impl Fn() + Send + Sync + 'static,
) -> (Job, Rows<Entry<u64, u64>>) {
    let (sink, rows) = io::collect();
    let job = Job::new("digits", move |graph| {
        built();
        let numbers = graph.input::<u64>("in");
        graph.output("out", numbers.key_by(|n| n % 10).count());
    });
    let job = job.source("in", log.clone()).sink("out", sink);
    (job.state(store.clone()), rows)
}

fn log(partitions: usize, numbers: std::ops::Range<u64>) -> MemoryLog<u64> {
    let log = MemoryLog::new(partitions);
    for number in numbers {
        let partition = number as usize % partitions;
        log.append(partition, [number]).unwrap();
    }
    log
}

/// Stops a job once it has read so many records.
fn stop_at(handle: Handle, records: u64) -> stream_core::run::Report {
    until_read(&handle, "in", records);
    handle.stop();
    handle.wait().unwrap()
}

#[test]
fn a_start_after_a_stop_reads_nothing_again() {
    within("stop and go on", || {
        let (log, store) = (log(3, 0..300), StateStore::memory());
        for (workers, more) in [(1, 300..500), (3, 500..700), (2, 700..700)] {
            let (job, rows) = counts(&log, &store);
            let handle = job.workers(workers).start(Mode::PerRecord).unwrap();
            let before = handle.started_from().unwrap().to_owned();
            if workers == 1 {
                assert_eq!(before, "begins afresh");
            } else {
                assert!(before.starts_with("goes on from checkpoint"), "{before}");
            }
            let is_last = more.is_empty();
            let read = 200 + 100 * u64::from(workers == 1);
            if is_last {
                log.close();
                let report = handle.wait().unwrap();
                let state = report.state.unwrap();
                assert_eq!(
                    (report.outcome, report.counts.read["in"]),
                    (Outcome::Finished, 200)
                );
                assert_eq!((state.from, state.last), (Some(2), Some(3)));
                let expected: Vec<_> = (0..10).map(|key| Entry { key, value: 70 }).collect();
                assert_eq!(sorted(rows.take()), expected);
            } else {
                let report = stop_at(handle, read);
                assert_eq!(
                    (report.outcome, report.counts.read["in"]),
                    (Outcome::Stopped, read)
                );
                for number in more {
                    log.append(number as usize % 3, [number]).unwrap();
                }
            }
        }
    });
}

/// A table that batch mode has withheld is told whole by a job that goes on record by record, on several workers; each
/// keeps what is its own.
#[test]
fn a_table_of_batch_mode_is_kept_by_a_job_that_goes_on_in_another() {
    within("other modes", || {
        let (log, store) = (log(3, 0..100), StateStore::memory());
        let job = || {
            let (sink, rows) = io::collect::<Entry<u64, u64>>();
            let job = Job::new("digits", |graph| {
                let numbers = graph.input::<u64>("in");
                let time = |n: &u64| EventTime::secs(i64::try_from(*n).unwrap());
                let (timed, _) = numbers.event_time(time, Lateness::mins(1));
                let counts = timed.key_by(|n| n % 10).ttl(Gap::days(1)).count();
                graph.output("out", counts);
            });
            let job = job.source("in", log.clone()).sink("out", sink);
            (job.state(store.clone()).max_leap(Leap::ANY), rows)
        };
        for (mode, workers, more) in [(Mode::Batch, 2, 100..110), (Mode::PerRecord, 3, 110..120)] {
            let handle = job().0.workers(workers).start(mode).unwrap();
            stop_at(handle, if mode == Mode::Batch { 100 } else { 10 });
            for number in more {
                log.append(number as usize % 3, [number]).unwrap();
            }
        }
        log.close();
        let (job, rows) = job();
        job.workers(2).run(Mode::PerRecord).unwrap();
        let expected: Vec<_> = (0..10).map(|key| Entry { key, value: 12 }).collect();
        assert_eq!(sorted(rows.take()), expected);
    });
}

#[test]
fn checkpoints_are_seen_while_the_job_runs() {
    within("seen while it runs", || {
        let (log, store) = (log(1, 0..0), StateStore::memory());
        let (job, rows) = job(&log, &store);
        let job = job.checkpoint_interval(Duration::from_millis(1));
        let handle = job.start(Mode::PerRecord).unwrap();
        log.append(0, 0..5).unwrap();
        until("the first rows", || rows.to_vec() == [0, 1, 2, 3, 4]);
        log.append(0, 5..8).unwrap();
        until("the next rows", || rows.to_vec().len() == 8);
        log.close();
        let state = handle.wait().unwrap().state.unwrap();
        assert!(state.checkpoints >= 3, "{state:?}");
    });
}

#[test]
fn a_run_that_was_thought_dead_commits_nothing_more() {
    within("two runs", || {
        let (log, store) = (log(2, 0..50), StateStore::memory());
        let (zombie, zombies_rows) = job(&log, &store);
        let zombie = zombie.start(Mode::PerRecord).unwrap();
        until_read(&zombie, "in", 50);
        let (job, rows) = job(&log, &store);
        let job = job.workers(2).start(Mode::PerRecord).unwrap();
        zombie.checkpoint();
        let error = zombie.wait().unwrap_err();
        let told = parts(&error);
        assert_eq!(told.0, "another run of the job has taken over its state");
        assert!(matches!(error, Error::TakenOver(_)));
        assert!(zombies_rows.take().is_empty());
        log.close();
        job.wait().unwrap();
        assert_eq!(rows.take().len(), 45);
    });
}

#[test]
fn what_is_no_entry_of_the_log_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = StateStore::folder(folder.path()).unwrap();
    let log = log(1, 0..20);
    stop_at(job(&log, &store).0.start(Mode::PerRecord).unwrap(), 20);
    fs::write(folder.path().join("log/notes.txt"), "of mine").unwrap();
    log.close();
    job(&log, &store).0.run(Mode::PerRecord).unwrap();
    assert!(folder.path().join("log/notes.txt").exists());
}

#[test]
fn a_run_that_is_refused_ends_no_other() {
    within("a refused run", || {
        let (log, store) = (log(1, 0..20), StateStore::memory());
        let (before, _) = counts(&log, &store);
        stop_at(before.start(Mode::PerRecord).unwrap(), 20);
        let (first, rows) = counts(&log, &store);
        let first = first.start(Mode::PerRecord).unwrap();
        let other = Job::new("digits", |graph| {
            let numbers = graph.input::<u64>("in");
            graph.output("out", numbers.key_by(|n| (n % 10).to_string()).count());
        });
        let other = other.source("in", log.clone());
        let other = other.sink::<Entry<String, u64>>("out", io::discard());
        let error = other.state(store.clone()).run(Mode::PerRecord).unwrap_err();
        assert!(matches!(error, Error::Plan(_)), "{error}");
        log.append(0, 20..30).unwrap();
        log.close();
        first.wait().unwrap();
        assert_eq!(rows.take().len(), 10);
    });
}

#[test]
fn a_run_that_wakes_up_when_its_number_is_free_again_commits_nothing_more() {
    within("a run that wakes up late", || {
        let (log, store) = (log(1, 0..50), StateStore::memory());
        let (zombie, zombies_rows) = job(&log, &store);
        let zombie = zombie.start(Mode::PerRecord).unwrap();
        until_read(&zombie, "in", 50);
        for number in 50..60 {
            let (job, _) = job(&log, &store);
            let handle = job.start(Mode::PerRecord).unwrap();
            until_read(&handle, "in", if number == 50 { 50 } else { 1 });
            handle.stop();
            handle.wait().unwrap();
            log.append(0, [number]).unwrap();
        }
        let kept = store.go_back_to(99).unwrap_err().to_string();
        zombie.stop();
        let error = zombie.wait().unwrap_err();
        assert!(matches!(error, Error::TakenOver(_)), "{error}");
        assert!(zombies_rows.take().is_empty());
        assert_eq!(store.go_back_to(99).unwrap_err().to_string(), kept);
    });
}

#[test]
fn a_job_that_has_ended_reads_nothing_again_and_refuses_what_is_new() {
    let folder = tempfile::tempdir().unwrap();
    let store = StateStore::folder(folder.path().join("state")).unwrap();
    let input = folder.path().join("in/");
    fs::create_dir(&input).unwrap();
    fs::write(input.join("a.jsonl"), "1\n2\n").unwrap();
    let run = || {
        let (sink, rows) = io::collect::<u64>();
        let job = Job::new("copy", |graph| {
            graph.output("out", graph.input::<u64>("in"));
        });
        let job = job
            .source("in", io::files::json_lines::<u64>(&input))
            .sink("out", sink)
            .state(store.clone());
        job.run(Mode::Batch).map(|_| rows.take())
    };
    assert_eq!(run().unwrap(), [1, 2]);
    assert!(run().unwrap().is_empty());
    fs::write(input.join("b.jsonl"), "3\n").unwrap();
    let (what, detail, _) = parts(&run().unwrap_err());
    assert_eq!(what, "the job has ended, and has more to read");
    assert!(detail.unwrap().contains("b.jsonl"));
}

#[test]
fn dead_letters_come_once_however_often_the_job_is_lost() {
    within("dead letters", || {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let row = |n: u64| match n % 7 {
            0 => format!("bad {n}\n"),
            _ => format!("{n}\n"),
        };
        fs::write(path("in.jsonl"), (0..20_000).map(row).collect::<String>()).unwrap();
        let store = StateStore::folder(path("state")).unwrap();
        fs::create_dir(path("letters")).unwrap();
        let start = |run: u64| {
            let source = io::files::json_lines::<u64>(path("in.jsonl"));
            let letters = io::files::to_json_lines(path("letters/"));
            let job = Job::new("copy", |graph| {
                graph.output("out", graph.input::<u64>("in"));
            });
            let job = job
                .source("in", io::SourceExt::dead_letter(source, letters))
                .sink::<u64>("out", io::files::to_json_lines(path("out.jsonl")))
                .state(store.clone())
                .checkpoint_interval(Duration::from_millis(1));
            let workers = run as usize % 3 + 1;
            job.workers(workers).start(Mode::PerRecord).unwrap()
        };
        for run in 0..4 {
            let handle = start(run);
            until("some are read", || {
                handle.counts().read["in"] >= 1_500 || handle.is_finished()
            });
            drop(handle); // as a failure would
        }
        start(4).wait().unwrap();
        let rows = fs::read_to_string(path("out.jsonl")).unwrap();
        let rows: Vec<u64> = rows.lines().map(|row| row.parse().unwrap()).collect();
        assert_eq!(
            sorted(rows),
            (0..20_000).filter(|n| n % 7 > 0).collect::<Vec<_>>()
        );
        let parts = objects(&path("letters"));
        let letters = parts.iter().map(|part| fs::read_to_string(part).unwrap());
        let letters: Vec<_> = letters
            .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
            .collect();
        let excerpt = |n: u64| format!("bad {n}\"");
        assert_eq!(letters.len(), 20_000 / 7 + 1);
        for n in (0..20_000).step_by(7) {
            let count = letters
                .iter()
                .filter(|letter| letter.contains(&excerpt(n)))
                .count();
            assert_eq!(count, 1, "{n}");
        }
    });
}

/// Fails so often when it is written to, and then no more.
#[derive(Clone)]
struct Flaky(std::sync::Arc<std::sync::atomic::AtomicU32>);

impl Flaky {
    fn times(times: u32) -> Self {
        Flaky(std::sync::Arc::new(times.into()))
    }
}

impl<T: Send + 'static> io::Sink<T> for Flaky {
    fn info(&self) -> io::SinkInfo {
        io::Sink::<T>::info(&io::discard())
    }

    fn open(&self, _: io::Slot) -> Result<Box<dyn io::Writer<T>>, Problem> {
        Ok(Box::new(self.clone()))
    }
}

impl<T> io::Writer<T> for Flaky {
    fn write(&mut self, records: &mut Vec<T>) -> Result<(), Problem> {
        records.clear();
        let left = |left: u32| left.checked_sub(1);
        let (relaxed, counted) = (std::sync::atomic::Ordering::Relaxed, &self.0);
        match counted.fetch_update(relaxed, relaxed, left) {
            Ok(_) => Err(Problem::new("the network is down")),
            Err(_) => Ok(()),
        }
    }
}

#[test]
fn a_job_that_fails_is_started_once_more_so_often_as_it_may_be() {
    within("restarts", || {
        let soon = |attempts| Restarts::attempts(attempts).backoff(Duration::from_millis(1));
        let run = |failures, attempts| {
            let (log, store) = (log(2, 0..200), StateStore::memory());
            log.close();
            let (sink, rows) = io::collect::<u64>();
            let job = Job::new("copy", |graph| {
                let numbers = graph.input::<u64>("in");
                graph.output("flaky", numbers.clone());
                graph.output("out", numbers);
            });
            let job = job.source("in", log).sink("out", sink).state(store);
            let job = job.sink::<u64>("flaky", Flaky::times(failures));
            let report = job.restarts(soon(attempts)).run(Mode::PerRecord);
            (report, sorted(rows.take()))
        };
        let (report, rows) = run(3, 3);
        assert_eq!(report.unwrap().restarts, 3);
        assert_eq!(rows, (0..200).collect::<Vec<_>>());
        let (report, rows) = run(4, 3);
        let told = report.unwrap_err().to_string();
        assert_eq!(told, "sink `flaky`: the network is down");
        assert!(rows.is_empty());
    });
}

#[test]
fn what_fails_for_good_is_not_started_once_more() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jsonl");
    fs::write(&path, "1\nx\n").unwrap();
    let job = Job::new("copy", |graph| {
        graph.output("out", graph.input::<u64>("in"));
    });
    let job = job
        .source("in", io::files::json_lines::<u64>(&path))
        .sink::<u64>("out", io::discard())
        .state(StateStore::memory())
        .restarts(Restarts::attempts(1_000));
    let error = job.run(Mode::Batch).unwrap_err();
    assert!(matches!(error, Error::BadRecord { .. }), "{error}");
}

#[test]
fn a_stop_ends_a_job_that_waits_for_its_next_start() {
    within("a stop in the pause", || {
        let (log, store) = (log(1, 0..10), StateStore::memory());
        let job = Job::new("copy", |graph| {
            graph.output("out", graph.input::<u64>("in"));
        });
        let job = job.source("in", log).state(store);
        let job = job.sink::<u64>("out", Flaky::times(u32::MAX));
        let forever = Restarts::attempts(u32::MAX).backoff(Duration::from_secs(1_000));
        let handle = job.restarts(forever).start(Mode::PerRecord).unwrap();
        let stop = handle.stopper();
        let waiting = std::thread::spawn(move || handle.wait());
        std::thread::sleep(Duration::from_millis(20));
        stop.stop();
        assert!(waiting.join().unwrap().is_err());
    });
}

#[test]
fn a_run_that_was_followed_while_it_started_is_told_so() {
    within("a run that sleeps while it starts", || {
        let (log, store) = (log(1, 0..50), StateStore::memory().keep(1));
        stop_at(counts(&log, &store).0.start(Mode::PerRecord).unwrap(), 50);
        let follow = {
            let (log, store, built) = (log.clone(), store.clone(), AtomicU32::new(0));
            move || {
                let has_claimed = built.fetch_add(1, Ordering::Relaxed) == 1;
                for number in [50, 60].into_iter().filter(|_| has_claimed) {
                    log.append(0, number..number + 10).unwrap(); // every key changes
                    let (job, _) = counts(&log, &store);
                    stop_at(job.start(Mode::PerRecord).unwrap(), 10);
                }
            }
        };
        let (job, rows) = counts_when(&log, &store, follow);
        let job = job.restarts(Restarts::attempts(3));
        let error = job.run(Mode::PerRecord).unwrap_err();
        assert!(matches!(error, Error::TakenOver(_)), "{error}");
        assert!(rows.take().is_empty());
    });
}

/// The objects of a folder, the newest last.
fn objects(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

#[test]
fn a_damaged_object_is_told_by_its_name_and_nothing_begins_afresh() {
    within("damage", || {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("state");
        let store = StateStore::folder(&place).unwrap();
        let log = log(2, 0..100);
        let (job, _) = counts(&log, &store);
        stop_at(job.start(Mode::PerRecord).unwrap(), 100);
        for part in ["log", "state"] {
            let newest = objects(&place.join(part)).pop().unwrap();
            let whole = fs::read(&newest).unwrap();
            let name = format!("{part}/{}", newest.file_name().unwrap().display());
            let half = whole[..whole.len() / 2].to_vec();
            let mut flipped = whole.clone();
            *flipped.last_mut().unwrap() ^= 1;
            for damaged in [half, flipped, vec![0; whole.len()], Vec::new()] {
                fs::write(&newest, damaged).unwrap();
                let (job, _) = counts(&log, &store);
                let error = job
                    .start(Mode::PerRecord)
                    .and_then(Handle::wait)
                    .unwrap_err();
                let told = error.to_string();
                assert!(told.contains(&format!("`{name}` is damaged")), "{told}");
                assert!(told.contains("an earlier checkpoint"), "{told}");
                // A run that could not begin has opened the log all the same.
                for opened in objects(&place.join("log")).split_off(2) {
                    fs::remove_file(opened).unwrap();
                }
            }
            fs::write(&newest, whole).unwrap();
        }
        let (job, _) = counts(&log, &store);
        stop_at(job.start(Mode::PerRecord).unwrap(), 0);
    });
}

#[test]
fn old_checkpoints_are_removed_with_what_only_they_need() {
    within("retention", || {
        let folder = tempfile::tempdir().unwrap();
        let store = StateStore::folder(folder.path()).unwrap().keep(2);
        let log = log(1, 0..0);
        for number in 0..60 {
            log.append(0, [number]).unwrap();
            let (job, _) = counts(&log, &store);
            stop_at(job.start(Mode::PerRecord).unwrap(), 1);
        }
        // Two checkpoints, and that the run was opened which made the last one.
        assert_eq!(objects(&folder.path().join("log")).len(), 3);
        // What has changed since the one before is written, and put together when it is in many places.
        let state = objects(&folder.path().join("state")).len();
        assert!(state <= 18, "{state}");
    });
}

#[test]
fn what_cannot_keep_its_promise_is_refused_before_anything_is_read() {
    let store = StateStore::memory;
    let (_sender, channel) = io::channel::<u64>(1);
    let copy = || {
        let job = Job::new("copy", |graph| {
            graph.output("out", graph.input::<u64>("in"));
        });
        job.sink::<u64>("out", io::discard())
    };
    let numbers = || io::vec(vec![1_u64]);
    let refused = |job: Job| job.start(Mode::PerRecord).err().unwrap().to_string();
    assert_eq!(
        refused(copy().source("in", channel).state(store())),
        "the source of `in` cannot give its records once more: a channel is read once, so what a crash \
         loses of it is lost (hint: read files or a log, keep no state, or say that this may be: \
         `Guarantee::AtLeastOnce`, `--guarantee at-least-once`)"
    );
    let told = refused(copy().source("in", numbers()).state(store()).limit(1));
    assert!(
        told.starts_with("a job with a limit keeps no state"),
        "{told}"
    );
    let interval = Duration::from_secs(1);
    let told = refused(copy().source("in", numbers()).checkpoint_interval(interval));
    assert!(
        told.starts_with("there is an interval of checkpoints, and no state"),
        "{told}"
    );

    let restarts = Restarts::attempts(1);
    let told = refused(copy().source("in", numbers()).restarts(restarts));
    assert!(
        told.contains("what it had done would be done again"),
        "{told}"
    );

    let store = store();
    let job = copy().source("in", numbers()).state(store.clone());
    job.run(Mode::Batch).unwrap();
    let other = Job::new("other", |graph| {
        graph.output("out", graph.input::<u64>("in"));
    });
    let other = other.sink::<u64>("out", io::discard());
    let told = refused(other.source("in", numbers()).state(store));
    assert!(
        told.contains("the state is that of the job `copy`"),
        "{told}"
    );
}

#[test]
fn a_source_that_is_read_once_is_gone_on_from_where_that_is_allowed() {
    within("at least once", || {
        let (store, log) = (StateStore::memory(), MemoryLog::<Change<(), u64>>::new(1));
        for (numbers, total) in [(0..5_u64, 5), (5..9, 9)] {
            let (sender, source) = io::channel(16);
            let job = Job::new("count", |graph| {
                let numbers = graph.input::<u64>("in");
                graph.output("out", numbers.key_by(|_| ()).count().changes());
            });
            let job = job
                .source("in", source)
                .sink("out", log.transactional("count"))
                .state(store.clone())
                .guarantee(Guarantee::AtLeastOnce);
            let handle = job.start(Mode::PerRecord).unwrap();
            let many = numbers.end - numbers.start;
            numbers.for_each(|number| sender.send(number).unwrap());
            let report = stop_at(handle, many);
            let told = "`in` comes from a channel, which gives nothing again: a crash loses what it gave \
                        since the last checkpoint";
            assert_eq!(report.caveats, [told]);
            let last = log.records()[0].last().map(|change| change.value);
            assert_eq!(last, Some(Some(total)));
        }
    });
}

#[test]
fn what_a_crash_does_to_a_sink_that_is_seen_at_once_is_told_at_the_start() {
    within("seen at once", || {
        let (sink, rows) = io::to_channel::<u64>(16);
        let job = || {
            Job::new("copy", |graph| {
                graph.output("out", graph.input::<u64>("in"));
            })
        };
        let job = |sink| job().source("in", io::vec(vec![1_u64])).sink("out", sink);
        let handle = job(sink).state(StateStore::memory());
        let handle = handle.start(Mode::PerRecord).unwrap();
        let told = "`out` goes to channel, which takes no rows back: after a crash those since the last \
                    checkpoint come again";
        assert_eq!(handle.caveats(), [told]);
        assert_eq!(rows.recv(), Ok(1));
        handle.wait().unwrap();
        let (sink, _rows) = io::to_channel::<u64>(16);
        let handle = job(sink).start(Mode::PerRecord).unwrap();
        assert!(
            handle.caveats().is_empty(),
            "a job without state promises nothing"
        );
        handle.wait().unwrap();
    });
}

#[test]
fn one_job_writes_a_log_that_the_next_one_reads() {
    within("topic to topic", || {
        let (numbers, middle, last) = (log(2, 0..100), MemoryLog::new(1), MemoryLog::new(1));
        let stores = [StateStore::memory(), StateStore::memory()];
        let copy = |from: &MemoryLog<u64>, to: &MemoryLog<u64>, store: &StateStore| {
            let job = Job::new("copy", |graph| {
                graph.output("out", graph.input::<u64>("in"));
            });
            let job = job
                .source("in", from.clone())
                .sink("out", to.transactional("copy"));
            job.state(store.clone())
        };
        for (workers, until) in [(1, 100), (3, 150), (2, 200)] {
            let before = middle.records()[0].len() as u64;
            for number in 100.max(before)..until {
                numbers.append(0, [number]).unwrap();
            }
            let job = |from, to, store| copy(from, to, store).workers(workers);
            let first = job(&numbers, &middle, &stores[0])
                .start(Mode::PerRecord)
                .unwrap();
            stop_at(first, until - before);
            let second = job(&middle, &last, &stores[1])
                .start(Mode::PerRecord)
                .unwrap();
            stop_at(second, until - before);
            assert_eq!(
                sorted(last.records().concat()),
                (0..until).collect::<Vec<_>>()
            );
        }
    });
}

/// A state in the first format, as it was written by the version that introduced it: of the job
/// `digits`, stopped when it had read the numbers below 100 in two partitions.
const FORMAT_1: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/state-format-1");

#[test]
fn a_state_in_the_first_format_can_be_gone_on_from() {
    within("format 1", || {
        let folder = tempfile::tempdir().unwrap();
        if std::env::var_os("STREAM_WRITE_FORMAT").is_some() {
            let store = StateStore::folder(FORMAT_1).unwrap();
            let (job, _) = counts(&log(2, 0..100), &store);
            stop_at(job.workers(2).start(Mode::PerRecord).unwrap(), 100);
        }
        for part in ["log", "state"] {
            let (from, to) = (Path::new(FORMAT_1).join(part), folder.path().join(part));
            fs::create_dir(&to).unwrap();
            for object in objects(&from) {
                fs::copy(&object, to.join(object.file_name().unwrap())).unwrap();
            }
        }
        let (log, store) = (log(2, 0..200), StateStore::folder(folder.path()).unwrap());
        log.close();
        let (job, rows) = counts(&log, &store);
        let report = job.workers(3).run(Mode::Batch).unwrap();
        assert_eq!(report.counts.read["in"], 100);
        let expected: Vec<_> = (0..10).map(|key| Entry { key, value: 20 }).collect();
        assert_eq!(sorted(rows.take()), expected);
    });
}

/// A file in the place of a folder lets nobody write there, not even who may write everywhere.
#[test]
fn a_store_that_cannot_be_written_ends_the_job_and_the_next_run_goes_on() {
    within("a store that cannot be written", || {
        for part in ["log", "state"] {
            let folder = tempfile::tempdir().unwrap();
            let place = folder.path().join("state");
            let store = StateStore::folder(&place).unwrap();
            let log = log(2, 0..100);
            let (job, first) = counts(&log, &store);
            stop_at(job.start(Mode::PerRecord).unwrap(), 100);
            let kept = store_files(&place);

            let (job, _) = counts(&log, &store);
            let handle = job.start(Mode::PerRecord).unwrap();
            log.append(0, 100..150).unwrap();
            until_read(&handle, "in", 50);
            let aside = folder.path().join("aside");
            fs::rename(place.join(part), &aside).unwrap();
            fs::write(place.join(part), "").unwrap();
            handle.stop();
            let told = handle.wait().unwrap_err().to_string();
            let place_told = place.display().to_string();
            for expected in [part, &place_told, "may write there", "the last checkpoint"] {
                assert!(told.contains(expected), "{expected} in {told}");
            }
            fs::remove_file(place.join(part)).unwrap();
            fs::rename(&aside, place.join(part)).unwrap();
            for (path, bytes) in kept {
                assert!(
                    fs::read(&path).unwrap() == bytes,
                    "{} was harmed",
                    path.display()
                );
            }

            log.close();
            let (job, last) = counts(&log, &store);
            job.workers(2).run(Mode::PerRecord).unwrap();
            let rows = [first.take(), last.take()].concat();
            let expected = (0..10).map(|key| Entry { key, value: 15 });
            assert_eq!(sorted(rows), expected.collect::<Vec<_>>());
        }
    });
}

/// All objects of a store, with their bytes.
fn store_files(place: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let folders = ["log", "state"].map(|part| objects(&place.join(part)));
    let paths = folders.into_iter().flatten();
    paths
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

#[test]
fn a_clock_that_is_set_back_disturbs_nothing() {
    within("a clock that is set back", || {
        let windows = |log: &MemoryLog<u64>, store: &StateStore, clock: &Clock| {
            let (sink, rows) = io::collect::<Windowed<u8, u64>>();
            let job = Job::new("windows", |graph| {
                let numbers = graph.input::<u64>("in");
                let (timed, late) =
                    numbers.event_time(|n| EventTime::secs(*n as i64), Lateness::secs(5));
                graph.output(
                    "out",
                    timed.key_by(|_| 0_u8).tumbling(Size::secs(10)).count(),
                );
                graph.output("late", late);
            });
            let job = job
                .source("in", log.clone())
                .sink("out", sink)
                .sink::<u64>("late", io::discard());
            let job = job.state(store.clone()).clock(clock.clone());
            (job.checkpoint_interval(Duration::from_secs(1)), rows)
        };
        let (log, store, clock) = (log(2, 0..0), StateStore::memory(), Clock::by_hand());
        let (job, first) = windows(&log, &store, &clock);
        let handle = job.start(Mode::PerRecord).unwrap();
        for hour in 0..5 {
            for partition in 0..2 {
                log.append(partition, hour * 100..(hour + 1) * 100).unwrap();
            }
            until_read(&handle, "in", (hour + 1) * 200);
            clock.set_back(Duration::from_secs(3 * 3_600));
            until("another checkpoint", || {
                clock.advance(Duration::from_secs(1));
                first.to_vec().len() as u64 >= hour * 10 + 9
            });
        }
        handle.stop();
        handle.wait().unwrap();
        clock.set_back(Duration::from_secs(24 * 3_600));
        log.close();
        let (job, last) = windows(&log, &store, &clock);
        let handle = job.workers(2).start(Mode::PerRecord).unwrap();
        let from = handle.started_from().unwrap().to_owned();
        assert!(
            from.contains("checkpoint") && !from.contains(" -"),
            "{from}"
        );
        handle.wait().unwrap();
        let rows = [first.take(), last.take()].concat();
        assert_eq!(rows.len(), 50);
        assert!(rows.iter().all(|window| window.value == 20), "{rows:?}");
    });
}
