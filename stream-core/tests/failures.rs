//! Sources and sinks that fail: the error says which port, no sink is committed, and every sink is
//! aborted once, after its writers have gone.

#![allow(clippy::unwrap_used, reason = "what a test cannot do without fails it")]

mod common;

use common::{
    ABORTED, At, COMMITTED, Gate, Probe, Script, Step, UNTOUCHED, everywhere, parts, within,
};
use stream_core::prelude::*;
use stream_core::run::Outcome;
use stream_core::{Error, io};

/// Two outputs: the numbers, and their windows, which depend on an end of input.
fn pipeline(graph: &Graph) {
    let numbers = graph.input::<i64>("numbers");
    graph.output("numbers", numbers.clone());
    let (timed, _) = numbers.event_time(|n| EventTime::secs(*n), Lateness::secs(0).leap(Leap::ANY));
    graph.output(
        "windows",
        timed.key_by(|n| n % 2).tumbling(Size::secs(9)).count(),
    );
}

type Numbers = Probe<i64>;
type Windows = Probe<Windowed<i64, u64>>;

fn job(source: impl io::Source<i64>, numbers: &Numbers, windows: &Windows) -> Job {
    let job = Job::new("job", pipeline).source("numbers", source);
    job.sink("numbers", numbers.clone())
        .sink("windows", windows.clone())
}

fn give(numbers: impl IntoIterator<Item = i64>) -> Vec<Step<i64>> {
    numbers.into_iter().map(Step::Give).collect()
}

fn source_problem(error: &Error) -> (String, Option<String>, Option<String>) {
    assert!(
        matches!(error, Error::Source { port, .. } if port == "numbers"),
        "{error}"
    );
    parts(error)
}

fn broken(at: &str) -> (String, Option<String>, Option<String>) {
    (
        format!("the source broke at {at}"),
        None,
        Some("mend it".to_owned()),
    )
}

#[test]
fn a_source_that_cannot_find_its_partitions_fails_the_start_and_nothing_is_opened() {
    everywhere(&[1, 2], |mode, workers| {
        let (numbers, windows) = (Probe::new(), Probe::new());
        let source = Script::of(give(0..3)).fails_at_partitions();
        let started = job(source, &numbers, &windows).workers(workers).start(mode);
        assert_eq!(
            source_problem(&started.err().unwrap()),
            broken("partitions")
        );
        assert_eq!((numbers.ends(), windows.ends()), (UNTOUCHED, UNTOUCHED));
    });
}

#[test]
fn a_source_that_cannot_be_opened_fails_the_job() {
    everywhere(&[1, 2], |mode, workers| {
        let (numbers, windows) = (Probe::new(), Probe::new());
        let source = Script::of(give(0..3)).fails_at_open();
        let result = job(source, &numbers, &windows).workers(workers).run(mode);
        assert_eq!(source_problem(&result.unwrap_err()), broken("open"));
        assert_eq!((numbers.ends(), windows.ends()), (ABORTED, ABORTED));
    });
}

#[test]
fn a_source_that_breaks_in_the_middle_fails_the_job() {
    everywhere(&[1, 2, 3], |mode, workers| {
        let (numbers, windows) = (Probe::new(), Probe::new());
        let breaks = [give(0..20), vec![Step::Fail]].concat();
        let source = Script::new(vec![give(0..20), breaks]).chunk(4);
        let result = job(source, &numbers, &windows).workers(workers).run(mode);
        assert_eq!(source_problem(&result.unwrap_err()), broken("a record"));
        assert_eq!((numbers.ends(), windows.ends()), (ABORTED, ABORTED));
    });
}

#[test]
fn a_source_that_breaks_while_the_other_worker_is_parked_fails_the_job() {
    everywhere(&[2, 3], |mode, workers| {
        let parked = [give(0..5), vec![Step::Wait(Gate::default())]].concat();
        for breaks in [0, 1] {
            let mut partitions = vec![parked.clone(), parked.clone()];
            partitions[breaks].splice(5.., [Step::Fail]);
            let (numbers, windows) = (Probe::new(), Probe::new());
            let source = Script::new(partitions);
            let result = job(source, &numbers, &windows).workers(workers).run(mode);
            assert_eq!(source_problem(&result.unwrap_err()), broken("a record"));
            assert_eq!((numbers.ends(), windows.ends()), (ABORTED, ABORTED));
        }
    });
}

#[test]
fn a_source_that_breaks_while_the_other_worker_is_busy_fails_the_job() {
    everywhere(&[2], |mode, workers| {
        let (numbers, windows) = (Probe::new(), Probe::new());
        let begun = Gate::default();
        let breaks = vec![Step::Wait(begun.clone()), Step::Fail];
        let busy = give((0..500_000).map(|n| n / 1000));
        let source = Script::new(vec![breaks, busy]).chunk(100);
        let given = source.given();
        let handle = job(source, &numbers, &windows)
            .workers(workers)
            .start(mode)
            .unwrap();
        common::until("the other is busy", || {
            given.load(std::sync::atomic::Ordering::Relaxed) > 0
        });
        begun.open();
        assert_eq!(
            source_problem(&handle.wait().unwrap_err()),
            broken("a record")
        );
        assert_eq!((numbers.ends(), windows.ends()), (ABORTED, ABORTED));
    });
}

#[test]
fn a_sink_that_breaks_before_its_commit_fails_the_job_and_both_are_aborted() {
    everywhere(&[1, 2], |mode, workers| {
        for at in [At::Open, At::Write, At::Flush, At::Prepare] {
            for worker in 0..workers {
                let (numbers, windows) = (Probe::breaks_on(worker, at), Probe::new());
                let source = Script::new(vec![give(0..20), give(20..40)]).chunk(4);
                let result = job(source, &numbers, &windows).workers(workers).run(mode);
                let error = result.unwrap_err();
                let of_port = matches!(&error, Error::Sink { port, .. } if port == "numbers");
                assert!(of_port, "{error}");
                let what = format!("the sink broke at {at:?}");
                assert_eq!(parts(&error), (what, None, Some("mend it".to_owned())));
                assert_eq!(
                    (numbers.ends(), windows.ends()),
                    (ABORTED, ABORTED),
                    "{at:?}"
                );
            }
        }
    });
}

#[test]
fn a_sink_that_breaks_fails_a_job_whose_workers_are_parked() {
    everywhere(&[2], |mode, workers| {
        let (numbers, windows) = (Probe::breaks_on(1, At::Write), Probe::new());
        let parked = || vec![Step::Give(1), Step::Wait(Gate::default())];
        let source = Script::new(vec![parked(), parked()]);
        let error = job(source, &numbers, &windows)
            .workers(workers)
            .run(mode)
            .unwrap_err();
        assert!(matches!(error, Error::Sink { .. }), "{error}");
        assert_eq!((numbers.ends(), windows.ends()), (ABORTED, ABORTED));
    });
}

/// Sinks are committed in the order of their ports. The one whose commit fails is left to itself,
/// for it alone knows how far it came; those before it stay committed, those behind are aborted.
#[test]
fn a_commit_that_fails_says_which_sinks_are_committed_already() {
    everywhere(&[1, 2], |mode, workers| {
        let (first, last) = (Numbers::new(), Numbers::new());
        let fails = Numbers::breaks(At::Commit);
        let job = Job::new("job", |graph| {
            let numbers = graph.input::<i64>("numbers");
            graph.output("a", numbers.clone());
            graph.output("b", numbers.clone());
            graph.output("c", numbers);
        });
        let job = job
            .source("numbers", io::vec(vec![1_i64, 2]))
            .workers(workers);
        let job = job.sink("a", first.clone()).sink("b", fails.clone());
        let error = job.sink("c", last.clone()).run(mode).unwrap_err();
        assert!(
            matches!(&error, Error::Sink { port, .. } if port == "b"),
            "{error}"
        );
        let detail = "sink `a` is committed already, and stays so";
        let expected = ("the sink broke at Commit", Some(detail), Some("mend it"));
        let (what, detail, hint) = parts(&error);
        assert_eq!(
            (what.as_str(), detail.as_deref(), hint.as_deref()),
            expected
        );
        assert_eq!(
            (first.ends(), fails.ends(), last.ends()),
            (COMMITTED, (1, 0), ABORTED)
        );
    });
}

#[test]
fn an_output_that_is_closed_ends_the_job_cleanly() {
    everywhere(&[1, 2], |mode, workers| {
        for at in [At::Open, At::Write, At::Flush, At::Prepare] {
            let (numbers, windows) = (Probe::is_closed(at), Probe::new());
            let source = Script::new(vec![give(0..20), give(20..40)]).chunk(4);
            let report = job(source, &numbers, &windows)
                .workers(workers)
                .run(mode)
                .unwrap();
            assert_eq!(report.outcome, Outcome::OutputClosed, "{at:?}");
            let written = numbers.rows().len() as u64;
            assert_eq!(report.counts.written["numbers"], written, "{at:?}");
            assert!(report.snapshot.is_none());
            assert_eq!(
                (numbers.ends(), windows.ends()),
                (ABORTED, ABORTED),
                "{at:?}"
            );
        }
    });
}

#[test]
fn an_output_that_is_closed_at_its_commit_keeps_nothing_from_the_others() {
    within("closed at commit", || {
        let (numbers, windows) = (Probe::is_closed(At::Commit), Probe::new());
        let source = Script::of(give(0..20));
        let report = job(source, &numbers, &windows).run(Mode::Batch).unwrap();
        assert_eq!(report.outcome, Outcome::Finished);
        assert_eq!((numbers.ends(), windows.ends()), ((1, 0), COMMITTED));
    });
}

#[test]
fn a_receiver_that_is_dropped_ends_an_endless_job() {
    everywhere(&[1, 2], |mode, workers| {
        let (sink, receiver) = io::to_channel::<i64>(1);
        let (sender, source) = io::channel(4);
        let job = Job::new("job", |graph| {
            graph.output("out", graph.input::<i64>("numbers"));
        });
        let job = job
            .source("numbers", source)
            .sink("out", sink)
            .workers(workers);
        let handle = job.start(mode).unwrap();
        let feeding = std::thread::spawn(move || (0_i64..).try_for_each(|n| sender.send(n)));
        assert_eq!(receiver.iter().take(3).collect::<Vec<_>>(), [0, 1, 2]);
        drop(receiver);
        assert_eq!(handle.wait().unwrap().outcome, Outcome::OutputClosed);
        assert!(feeding.join().unwrap().unwrap_err().is_closed());
    });
}

#[test]
fn a_handle_that_is_dropped_ends_the_job_without_a_commit() {
    everywhere(&[1, 2], |mode, workers| {
        let (numbers, windows) = (Probe::new(), Probe::new());
        let parked = [give(0..5), vec![Step::Wait(Gate::default())]].concat();
        let source = Script::new(vec![parked, give(0..5)]);
        let handle = job(source, &numbers, &windows)
            .workers(workers)
            .start(mode)
            .unwrap();
        common::until_read(&handle, "numbers", 10);
        drop(handle);
        assert_eq!((numbers.ends(), windows.ends()), (ABORTED, ABORTED));
    });
}

#[test]
fn a_handle_that_is_dropped_after_the_end_commits_nothing() {
    within("dropped late", || {
        let (numbers, windows) = (Probe::new(), Probe::new());
        let handle = job(io::vec(vec![1]), &numbers, &windows)
            .start(Mode::Batch)
            .unwrap();
        common::until("the job has ended", || handle.is_finished());
        drop(handle);
        assert_eq!((numbers.ends(), windows.ends()), (ABORTED, ABORTED));
    });
}
