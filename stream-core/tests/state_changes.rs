//! Jobs that go back to an earlier checkpoint, and jobs whose pipeline has other stages than the one
//! that kept the state.
#![cfg(all(feature = "state", feature = "files"))]
#![allow(clippy::unwrap_used, reason = "what a test cannot do without fails it")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{parts, sorted, within};
use stream_core::io::{self, MemoryLog, files};
use stream_core::ops::Entry;
use stream_core::run::{Handle, Report, StateStore};
use stream_core::{Error, Job, Mode};

/// A job that copies numbers to files, in a folder and in one file, and what it has.
struct Copy {
    folder: tempfile::TempDir,
    log: MemoryLog<u64>,
    appended: u64,
}

impl Copy {
    fn new() -> Self {
        Copy {
            folder: tempfile::tempdir().unwrap(),
            log: MemoryLog::new(2),
            appended: 0,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn store(&self) -> StateStore {
        StateStore::folder(self.path("state")).unwrap().keep(9)
    }

    fn append(&mut self, numbers: u64) {
        for number in self.appended..self.appended + numbers {
            self.log.append(number as usize % 2, [number]).unwrap();
        }
        self.appended += numbers;
    }

    fn job(&self, workers: usize) -> Job {
        let job = Job::new("copy", |graph| {
            let numbers = graph.input::<u64>("numbers");
            graph.output("counts", numbers.clone().key_by(|n| n % 3).count());
            graph.output("parts", numbers.clone());
            graph.output("file", numbers);
        });
        let parts = self.path("parts").display().to_string() + "/";
        fs::create_dir_all(&parts).unwrap();
        job.source("numbers", self.log.clone())
            .sink::<u64>("parts", files::to_json_lines(&parts))
            .sink::<u64>("file", files::to_json_lines(self.path("file.jsonl")))
            .sink::<Entry<u64, u64>>("counts", io::discard())
            .workers(workers)
            .state(self.store())
    }

    /// Appends more, and runs the job until it has read so many.
    fn run(&mut self, job: Job, more: u64, reads: u64) -> Result<Report, Error> {
        self.append(more);
        let handle = job.start(Mode::PerRecord)?;
        common::until_read(&handle, "numbers", reads);
        handle.stop();
        handle.wait()
    }

    /// What stands in the folder, and in the file.
    fn written(&self) -> [Vec<u64>; 2] {
        let read = |path: &Path| -> Vec<u64> {
            let text = fs::read_to_string(path).unwrap();
            text.lines().map(|line| line.parse().unwrap()).collect()
        };
        let all = fs::read_dir(self.path("parts")).unwrap();
        let all = all.map(|entry| entry.unwrap().path());
        let seen = all.filter(|path| {
            !path
                .file_name()
                .unwrap()
                .display()
                .to_string()
                .starts_with('.')
        });
        let parts = seen.flat_map(|path| read(&path)).collect();
        [sorted(parts), sorted(read(&self.path("file.jsonl")))]
    }

    /// The numbers of the checkpoints that parts are named by.
    fn numbers(&self) -> Vec<u64> {
        let names = fs::read_dir(self.path("parts")).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().display().to_string());
        let numbers =
            names.filter_map(|name| name.strip_prefix("part-")?.split('-').next()?.parse().ok());
        let mut numbers: Vec<u64> = numbers.collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }
}

fn up_to(end: u64) -> [Vec<u64>; 2] {
    [(0..end).collect(), (0..end).collect()]
}

#[test]
fn what_stands_behind_the_checkpoint_is_gone_and_comes_again_once() {
    within("roll back", || {
        for workers in [1, 2] {
            let mut copy = Copy::new();
            for workers in [1, workers, 1] {
                copy.run(copy.job(workers), 10, 10).unwrap();
            }
            assert_eq!((copy.written(), copy.numbers()), (up_to(30), vec![1, 2, 3]));
            copy.store().go_back_to(1).unwrap();
            let job = copy.job(workers);
            let handle = job.start(Mode::PerRecord).unwrap();
            let from = handle.started_from().unwrap().to_owned();
            assert!(from.starts_with("goes back to checkpoint 1 of"), "{from}");
            common::until_read(&handle, "numbers", 20);
            handle.stop();
            let state = handle.wait().unwrap().state.unwrap();
            assert_eq!((state.from, state.last), (Some(1), Some(4)));
            assert_eq!((copy.written(), copy.numbers()), (up_to(30), vec![1, 4]));
            // It goes on from there, and what was given up is not there to go back to.
            copy.run(copy.job(1), 5, 5).unwrap();
            assert_eq!((copy.written(), copy.numbers()), (up_to(35), vec![1, 4, 5]));
            let told = copy.store().go_back_to(3).unwrap_err().to_string();
            assert_eq!(told, "checkpoint 3 is not kept (hint: there are 1, 4, 5)");
        }
    });
}

#[test]
fn a_run_that_went_back_and_crashed_is_gone_on_from_where_it_went_back_to() {
    within("roll back, crash", || {
        let mut copy = Copy::new();
        for _ in 0..3 {
            copy.run(copy.job(1), 10, 10).unwrap();
        }
        copy.store().go_back_to(1).unwrap();
        // It is dropped before it has made a checkpoint.
        let handle = copy.job(1).start(Mode::PerRecord).unwrap();
        common::until_read(&handle, "numbers", 20);
        drop(handle);
        let state = copy.run(copy.job(2), 0, 20).unwrap().state.unwrap();
        assert_eq!((state.from, state.last), (Some(1), Some(4)));
        assert_eq!((copy.written(), copy.numbers()), (up_to(30), vec![1, 4]));
    });
}

#[test]
fn going_back_is_taken_back_by_going_to_the_last_one_again() {
    within("roll back and forth", || {
        let mut copy = Copy::new();
        for _ in 0..2 {
            copy.run(copy.job(1), 10, 10).unwrap();
        }
        copy.store().go_back_to(1).unwrap();
        copy.store().go_back_to(2).unwrap();
        let state = copy.run(copy.job(1), 10, 10).unwrap().state.unwrap();
        assert_eq!((state.from, state.last), (Some(2), Some(3)));
        assert_eq!(copy.written(), up_to(30));
    });
}

#[test]
fn a_job_that_runs_ends_when_it_is_sent_back() {
    within("roll back under a run", || {
        let mut copy = Copy::new();
        copy.run(copy.job(1), 10, 10).unwrap();
        copy.append(10);
        let handle = copy.job(1).start(Mode::PerRecord).unwrap();
        common::until_read(&handle, "numbers", 10);
        copy.store().go_back_to(1).unwrap();
        handle.checkpoint();
        let told = parts(&handle.wait().unwrap_err()).0;
        assert_eq!(told, "another run of the job has taken over its state");
        copy.run(copy.job(1), 0, 10).unwrap();
        assert_eq!(copy.written(), up_to(20));
    });
}

/// The newest object of a folder of the store.
fn newest(copy: &Copy, folder: &str) -> PathBuf {
    let entries = fs::read_dir(copy.path("state").join(folder)).unwrap();
    entries.map(|entry| entry.unwrap().path()).max().unwrap()
}

#[test]
fn a_damaged_checkpoint_is_gone_back_from_only_when_it_is_said() {
    within("damaged, from", || {
        for folder in ["log", "state"] {
            let mut copy = Copy::new();
            for _ in 0..2 {
                copy.run(copy.job(1), 10, 10).unwrap();
            }
            let object = newest(&copy, folder);
            let mut bytes = fs::read(&object).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            fs::write(&object, bytes).unwrap();
            for _ in 0..2 {
                let error = copy.job(1).start(Mode::PerRecord).and_then(Handle::wait);
                let (what, _, hint) = parts(&error.unwrap_err());
                assert!(what.contains("is damaged"), "{what}");
                assert!(hint.unwrap().contains("`run --from 1`"), "{what}");
            }
            let job = copy.job(2).from_checkpoint(1);
            let state = copy.run(job, 5, 15).unwrap().state.unwrap();
            assert_eq!(state.from, Some(1));
            let last = state.last.unwrap();
            assert!(last > 2, "{last}");
            assert_eq!((copy.written(), copy.numbers()), (up_to(25), vec![1, last]));
            // From then on nothing has to be said.
            copy.run(copy.job(1), 5, 5).unwrap();
            assert_eq!(copy.written(), up_to(30));
        }
    });
}

#[test]
fn retention_keeps_what_was_gone_back_to() {
    within("retention", || {
        let mut copy = Copy::new();
        for _ in 0..4 {
            copy.run(copy.job(1), 10, 10).unwrap();
        }
        copy.store().go_back_to(2).unwrap();
        let more = |copy: &mut Copy, reads| {
            let job = copy.job(1).state(copy.store().keep(2));
            copy.run(job, 10, reads).unwrap().state.unwrap().last
        };
        assert_eq!(more(&mut copy, 30), Some(5));
        let told = copy.store().go_back_to(1).unwrap_err().to_string();
        assert_eq!(told, "checkpoint 1 is not kept (hint: there are 2, 5)");
        copy.store().go_back_to(2).unwrap();
        assert_eq!(more(&mut copy, 40), Some(6));
        assert_eq!(more(&mut copy, 10), Some(7));
        assert_eq!(more(&mut copy, 10), Some(8));
        assert_eq!(copy.written(), up_to(80));
        let told = copy.store().go_back_to(2).unwrap_err().to_string();
        assert_eq!(told, "checkpoint 2 is not kept (hint: there are 7, 8)");
        let log = fs::read_dir(copy.path("state/log")).unwrap().count();
        let state = fs::read_dir(copy.path("state/state")).unwrap().count();
        assert_eq!((log, state), (3, 2));
    });
}

/// A pipeline with a stage by each name.
fn stages(log: &MemoryLog<u64>, store: &StateStore, names: &'static [&'static str]) -> Job {
    let job = Job::new("stages", move |graph| {
        let numbers = graph.input::<u64>("numbers");
        for name in names {
            let counts = numbers.clone().key_by(|n| n % 3).count().named(name);
            graph.output(name, counts.changes());
        }
    });
    let job = job.source("numbers", log.clone()).state(store.clone());
    names.iter().fold(job, |job, name| {
        job.sink::<stream_core::ops::Change<u64, u64>>(name, io::discard())
    })
}

fn run(job: Job, reads: u64) -> Result<String, Error> {
    let handle = job.start(Mode::PerRecord)?;
    let from = handle.started_from().unwrap().to_owned();
    common::until_read(&handle, "numbers", reads);
    handle.stop();
    handle.wait().map(|_| from)
}

#[test]
fn a_stage_that_was_removed_is_dropped_and_one_that_is_new_begins_with_nothing() {
    within("drop", || {
        let (log, store) = (MemoryLog::new(1), StateStore::memory());
        log.append(0, 0..9).unwrap();
        run(stages(&log, &store, &["a", "b"]), 9).unwrap();
        let error = run(stages(&log, &store, &["b", "c"]), 0).unwrap_err();
        let (_, detail, hint) = parts(&error);
        let detail = detail.unwrap();
        assert!(
            detail.contains("state of a stage `stages/a`, which is gone"),
            "{detail}"
        );
        assert_eq!(
            hint.unwrap(),
            "a stage with a new name says what it was, `.named(\"a\")`; `state drop stages/a` forgets \
             what is kept"
        );
        let unknown = store
            .drop_stages(&["stages/x".to_owned()])
            .unwrap_err()
            .to_string();
        assert_eq!(
            unknown,
            "checkpoint 1 has no state of a stage `stages/x` (hint: it has that of `stages/a`, \
             `stages/b`)"
        );
        store.drop_stages(&["stages/a".to_owned()]).unwrap();
        // Dropping is taken back by going to the same checkpoint, and done by the run, too.
        store.go_back_to(1).unwrap();
        run(stages(&log, &store, &["b", "c"]), 0).unwrap_err();
        let job = stages(&log, &store, &["b", "c"]).drop_state("stages/a");
        let from = run(job, 0).unwrap();
        assert!(
            from.ends_with(
                "; the state of stage `stages/a` is forgotten; stage `stages/c` is new and \
                            begins with nothing"
            ),
            "{from}"
        );
        let from = run(stages(&log, &store, &["b", "c"]), 0).unwrap();
        assert!(from.ends_with("are read to their end"), "{from}");
    });
}
