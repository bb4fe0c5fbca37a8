//! A panic in what the user wrote ends the job with an error that names the stage, the message and
//! the place, and no sink is committed.

#![allow(clippy::unwrap_used, reason = "what a test cannot do without fails it")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use common::{ABORTED, At, Gate, Probe, Script, Step, everywhere, parts, until, within};
use stream_core::graph::{Graph, Output};
use stream_core::prelude::*;
use stream_core::{Error, io};

/// Panics on the record 3. The message says the line of the call, to be compared with the place.
#[track_caller]
fn trip(n: u64, line: u32) {
    assert!(n != 3, "tripped in line {line}");
}

/// Runs a pipeline over records that trip, and expects the error to name this stage.
fn assert_panic<O: Output<Row: Send>>(
    stage: &str,
    mode: Mode,
    workers: usize,
    pipeline: impl Fn(Stream<u64>) -> O + Send + Sync + 'static,
) {
    let sink = Probe::<O::Row>::new();
    let job = Job::new("job", move |graph| {
        graph.output("out", pipeline(graph.input("numbers")));
    });
    let numbers = io::partitions(vec![vec![1_u64, 2, 3, 4], vec![5, 6, 3]]);
    let job = job.source("numbers", numbers).sink("out", sink.clone());
    let error = job.workers(workers).run(mode).err().unwrap();
    assert_eq!(sink.ends(), ABORTED, "{error}");
    assert_names(&error, stage, "tripped in line");
}

/// Expects a panic of a stage, with a message whose last word is the line, and this file.
fn assert_names(error: &Error, stage: &str, says: &str) {
    let Error::Panic {
        operator,
        message,
        place,
    } = error
    else {
        panic!("another error: {error}");
    };
    assert_eq!(operator, stage, "{error}");
    let (said, line) = message.rsplit_once(' ').unwrap();
    assert_eq!(said, says);
    let at = format!("{}:{line}:", file!());
    assert!(place.starts_with(&at), "{place} is not at {at}");
}

fn seconds(n: &u64) -> EventTime {
    EventTime::secs(i64::try_from(*n).unwrap())
}

#[test]
fn a_panic_in_a_stateless_stage_names_that_stage() {
    everywhere(&[1, 2], |mode, workers| {
        assert_panic("job/inspect", mode, workers, |numbers| {
            let numbers = numbers.map(|n| n).inspect(|n| trip(*n, line!()));
            numbers.filter(|_| true)
        });
    });
}

#[test]
fn a_panic_in_a_fused_chain_names_its_last_stage() {
    everywhere(&[2], |mode, workers| {
        assert_panic("job/filter", mode, workers, |numbers| {
            numbers.fuse(|chain| chain.inspect(|n| trip(*n, line!())).filter(|_| true))
        });
    });
}

#[test]
fn a_panic_in_key_by_names_it() {
    everywhere(&[2], |mode, workers| {
        assert_panic("job/key_by", mode, workers, |numbers| {
            let key = |n: &u64| {
                trip(*n, line!());
                *n
            };
            numbers.key_by(key).count()
        });
    });
}

#[test]
fn a_panic_in_event_time_names_it() {
    everywhere(&[2], |mode, workers| {
        assert_panic("job/event_time", mode, workers, |numbers| {
            let time = |n: &u64| {
                trip(*n, line!());
                seconds(n)
            };
            numbers
                .event_time(time, Lateness::secs(9).leap(Leap::ANY))
                .0
        });
    });
}

#[test]
fn a_panic_in_the_fold_of_a_table_names_the_table() {
    everywhere(&[1, 2], |mode, workers| {
        assert_panic("job/sums", mode, workers, |numbers| {
            let add = |sum: &mut u64, n: u64| {
                trip(n, line!());
                *sum += n;
            };
            numbers
                .key_by(|n| *n)
                .fold(|| 0, add)
                .named("sums")
                .changes()
        });
    });
}

#[test]
fn a_panic_in_the_fold_of_a_window_names_the_window() {
    everywhere(&[1, 2], |mode, workers| {
        assert_panic("job/tumbling", mode, workers, |numbers| {
            let add = |sum: &mut u64, n: u64| {
                trip(n, line!());
                *sum += n;
            };
            let (timed, _) = numbers.event_time(seconds, Lateness::secs(9).leap(Leap::ANY));
            let windows = timed.key_by(|n| *n).tumbling(Size::secs(1));
            windows.fold(|| 0, add)
        });
    });
}

#[test]
fn a_panic_behind_a_window_names_the_stage_there() {
    everywhere(&[1, 2], |mode, workers| {
        assert_panic("job/inspect", mode, workers, |numbers| {
            let (timed, _) = numbers.event_time(seconds, Lateness::secs(9).leap(Leap::ANY));
            let windows = timed.key_by(|n| *n).session(Gap::millis(1)).count();
            windows.inspect(|window| trip(window.key, line!()))
        });
    });
}

#[test]
fn a_panic_in_a_reader_names_the_input() {
    everywhere(&[1, 2], |mode, workers| {
        let sink = Probe::<u64>::new();
        let job = Job::new("job", |graph| {
            graph.output("out", graph.input::<u64>("numbers"));
        });
        let source = Script::new(vec![
            vec![Step::Give(1_u64)],
            vec![Step::Give(2), Step::Panic],
        ]);
        let job = job.source("numbers", source).sink("out", sink.clone());
        let error = job.workers(workers).run(mode).unwrap_err();
        let expected = "operator `job/numbers` panicked at ";
        assert!(error.to_string().starts_with(expected), "{error}");
        assert!(
            error.to_string().ends_with(": the reader slipped"),
            "{error}"
        );
        assert_eq!(sink.ends(), ABORTED);
    });
}

#[test]
fn a_panic_in_a_sink_names_the_output_whatever_it_was_doing() {
    everywhere(&[2], |mode, workers| {
        for at in [At::Open, At::Write, At::Flush, At::Prepare, At::Commit] {
            let (slips, other) = (Probe::<u64>::panics(at), Probe::<u64>::new());
            let job = Job::new("job", |graph| {
                let numbers = graph.input::<u64>("numbers");
                graph.output("out", numbers.clone());
                graph.output("second", numbers);
            });
            let job = job
                .source("numbers", io::vec(vec![1_u64, 2]))
                .workers(workers);
            let job = job.sink("out", slips.clone()).sink("second", other.clone());
            let error = job.run(mode).unwrap_err();
            let Error::Panic {
                operator, message, ..
            } = &error
            else {
                panic!("{at:?}: {error}");
            };
            assert_eq!(operator, "job/out", "{at:?}");
            assert_eq!(*message, format!("the sink slipped at {at:?}"));
            assert_eq!(other.ends(), ABORTED, "{at:?}");
            let ends = if at == At::Commit { (1, 0) } else { ABORTED };
            assert_eq!(slips.ends(), ends, "{at:?}");
        }
    });
}

#[test]
fn a_panic_in_the_pipelines_function_is_a_mistake_of_the_plan() {
    within("plan", || {
        let sink = Probe::<u64>::new();
        let job = Job::new("job", |_: &Graph| panic!("no graph today"));
        let job = job
            .source("numbers", io::vec(vec![1_u64]))
            .sink("out", sink.clone());
        let error = job.run(Mode::Batch).unwrap_err();
        let (what, detail, _) = parts(&error);
        let expected = format!(
            "the function of the pipeline `job` panicked at {}:",
            file!()
        );
        assert!(what.starts_with(&expected), "{what}");
        assert_eq!(detail.as_deref(), Some("no graph today"));
    });
}

#[test]
fn a_pipelines_function_that_panics_only_on_a_worker_is_told_alike() {
    within("plan on a worker", || {
        let sink = Probe::<u64>::new();
        let again = AtomicBool::new(false);
        let job = Job::new("job", move |graph| {
            assert!(!again.swap(true, Ordering::SeqCst), "once is enough");
            graph.output("out", graph.input::<u64>("numbers"));
        });
        let job = job
            .source("numbers", io::vec(vec![1_u64]))
            .sink("out", sink.clone());
        let (what, detail, _) = parts(&job.workers(2).run(Mode::Batch).unwrap_err());
        assert!(
            what.starts_with("the function of the pipeline `job` panicked at "),
            "{what}"
        );
        assert_eq!(detail.as_deref(), Some("once is enough"));
        assert_eq!(sink.ends(), ABORTED);
    });
}

#[test]
fn a_panic_on_one_worker_ends_the_other_that_is_parked() {
    everywhere(&[2, 3], |mode, workers| {
        let (never, sink) = (Gate::default(), Probe::<u64>::new());
        let job = Job::new("job", |graph| {
            let numbers = graph.input::<u64>("numbers");
            graph.output("out", numbers.inspect(|n| trip(*n, line!())));
        });
        let source = Script::new(vec![
            vec![Step::Give(1_u64), Step::Give(3)],
            vec![Step::Give(2), Step::Wait(never)],
        ]);
        let job = job.source("numbers", source).sink("out", sink.clone());
        let error = job.workers(workers).run(mode).unwrap_err();
        assert_names(&error, "job/inspect", "tripped in line");
        assert_eq!(sink.ends(), ABORTED);
    });
}

#[test]
fn a_panic_on_one_worker_ends_the_other_that_is_busy() {
    everywhere(&[2], |mode, workers| {
        let (tripping, sink) = (Gate::default(), Probe::<u64>::new());
        let start = tripping.clone();
        let job = Job::new("job", move |graph| {
            let (tripping, numbers) = (tripping.clone(), graph.input::<u64>("numbers"));
            let numbers = numbers.inspect(move |n| {
                if *n == 9 {
                    tripping.open(); // from now on the other may trip
                }
                trip(*n, line!());
            });
            graph.output("out", numbers);
        });
        let busy = vec![Step::Give(9_u64); 1_000_000];
        let trips = vec![Step::Wait(start), Step::Give(3)];
        let source = Script::new(vec![trips, busy]).chunk(100);
        let job = job.source("numbers", source).sink("out", sink.clone());
        let error = job.workers(workers).run(mode).unwrap_err();
        assert_names(&error, "job/inspect", "tripped in line");
        assert_eq!(sink.ends(), ABORTED);
    });
}

/// A record that panics when it is dropped, unless it was taken out.
#[derive(Clone)]
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        assert!(thread::panicking(), "the bomb went off");
    }
}

#[test]
fn a_panic_while_a_record_is_dropped_names_the_stage_that_drops_it() {
    everywhere(&[1, 2], |mode, workers| {
        let sink = Probe::<()>::new();
        let job = Job::new("job", |graph| {
            let bombs = graph.input::<u64>("numbers").map(|_| Bomb);
            graph.output("out", bombs.map(|_| ()));
        });
        let source = io::vec(vec![1_u64, 2, 3]);
        let job = job.source("numbers", source).sink("out", sink.clone());
        let error = job.workers(workers).run(mode).unwrap_err();
        let Error::Panic {
            operator, message, ..
        } = &error
        else {
            panic!("{error}");
        };
        assert_eq!(
            (operator.as_str(), message.as_str()),
            ("job/map#2", "the bomb went off")
        );
        assert_eq!(sink.ends(), ABORTED);
    });
}

/// Panics when it is dropped, once a record has been seen.
#[derive(Clone, Default)]
struct Fuse(Arc<AtomicBool>);

impl Drop for Fuse {
    fn drop(&mut self) {
        let is_lit = self.0.load(Ordering::SeqCst);
        assert!(!is_lit || thread::panicking(), "the fuse burnt down");
    }
}

#[test]
fn a_panic_while_a_closure_is_dropped_at_the_end_is_an_error_like_any_other() {
    everywhere(&[1, 2], |mode, workers| {
        for stops in [false, true] {
            let (lit, sink) = (Arc::new(AtomicBool::new(false)), Probe::<()>::new());
            let job = Job::new("job", move |graph| {
                let fuse = Fuse(lit.clone());
                let light = move |_: u64| fuse.0.store(true, Ordering::SeqCst);
                graph.output("out", graph.input::<u64>("numbers").map(light));
            });
            let mut steps = vec![Step::Give(1_u64)];
            steps.extend(stops.then(|| Step::Wait(Gate::default())));
            let job = job
                .source("numbers", Script::of(steps))
                .sink("out", sink.clone());
            let handle = job.workers(workers).start(mode).unwrap();
            until("the record is written", || sink.written() == 1);
            handle.stop();
            let (what, detail, _) = parts(&handle.wait().unwrap_err());
            let at = format!("a worker panicked at {}:", file!());
            assert!(what.starts_with(&at), "{what}");
            assert_eq!(detail.as_deref(), Some("the fuse burnt down"));
            assert_eq!(sink.ends(), ABORTED);
        }
    });
}

#[test]
fn a_panic_with_a_value_that_is_no_text_is_told_without_one() {
    within("payload", || {
        let job = Job::new("job", |graph| {
            let numbers = graph.input::<u64>("numbers");
            graph.output("out", numbers.inspect(|n| std::panic::panic_any(*n)));
        });
        let job = job
            .source("numbers", io::vec(vec![1_u64]))
            .sink::<u64>("out", io::discard());
        let error = job.run(Mode::Batch).unwrap_err();
        assert!(error.to_string().ends_with(": no message"), "{error}");
    });
}

#[test]
fn a_panic_that_a_closure_catches_itself_is_none_of_the_jobs() {
    everywhere(&[2], |mode, workers| {
        let sink = Probe::<bool>::new();
        let job = Job::new("job", |graph| {
            let caught = |n: u64| std::panic::catch_unwind(|| trip(n, line!())).is_err();
            graph.output("out", graph.input::<u64>("numbers").map(caught));
        });
        let source = io::vec(vec![1_u64, 3]);
        let job = job.source("numbers", source).sink("out", sink.clone());
        job.workers(workers).run(mode).unwrap();
        assert_eq!(sink.rows(), [false, true]);
    });
}
