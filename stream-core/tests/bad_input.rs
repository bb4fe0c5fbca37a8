//! Records that cannot be read, and event times that leap: the source's policy decides, in every
//! mode alike.

#![allow(clippy::unwrap_used, reason = "what a test cannot do without fails it")]

mod common;

use std::sync::Arc;

use common::{ABORTED, At, COMMITTED, Gate, Probe, Script, Step, everywhere, sorted, until_read};
use stream_core::Error;
use stream_core::io::{BadRecord, BadRecords};
use stream_core::prelude::*;
use stream_core::run::Outcome;

fn bad(place: &str, line: u64) -> BadRecord {
    BadRecord {
        place: place.to_owned(),
        line,
        field: Some("price".to_owned()),
        reason: "it is no number".to_owned(),
        text: "a,b,c".to_owned(),
        ..BadRecord::default()
    }
}

/// Three partitions: good and bad records, good ones only, bad ones only.
fn mixed(bad_records: BadRecords) -> Script<i64> {
    let steps = |n: i64| match n % 3 {
        0 => Step::Bad(bad("a.csv", n as u64)),
        _ => Step::Give(n),
    };
    let bad_only = |n| Step::Bad(bad("", n));
    let script = Script::new(vec![
        (1..=30).map(steps).collect(),
        (31..=40).map(Step::Give).collect(),
        (1..=5).map(bad_only).collect(),
    ]);
    script.bad_records(bad_records)
}

/// The good records of [`mixed`].
fn good() -> Vec<i64> {
    (1..=30).filter(|n| n % 3 != 0).chain(31..=40).collect()
}

fn pass(source: Script<i64>, sink: &Probe<i64>, workers: usize) -> Job {
    let job = Job::new("job", |graph| {
        graph.output("out", graph.input::<i64>("seconds"));
    });
    let job = job.source("seconds", source).sink("out", sink.clone());
    job.workers(workers)
}

#[test]
fn a_bad_record_fails_the_job_and_names_its_place() {
    everywhere(&[1, 2], |mode, workers| {
        let sink = Probe::new();
        let source = Script::new(vec![
            vec![Step::Give(1), Step::Bad(bad("a.csv", 2)), Step::Give(3)],
            vec![Step::Give(4); 50],
        ]);
        let error = pass(source, &sink, workers).run(mode).unwrap_err();
        let Error::BadRecord { port, record } = &error else {
            panic!("{error}");
        };
        assert_eq!((port.as_str(), &**record), ("seconds", &bad("a.csv", 2)));
        let text = "source `seconds`: bad record at a.csv:2, field `price`: it is no number";
        assert_eq!(error.to_string(), text);
        assert_eq!(sink.ends(), ABORTED);
    });
}

#[test]
fn a_bad_record_that_is_the_last_of_all_input_fails_the_job() {
    everywhere(&[1, 2], |mode, workers| {
        let sink = Probe::new();
        let source = Script::of(vec![Step::Give(1), Step::Bad(bad("a.csv", 2))]);
        let error = pass(source, &sink, workers).run(mode).unwrap_err();
        assert!(matches!(error, Error::BadRecord { .. }), "{error}");
        assert_eq!(sink.ends(), ABORTED);
    });
}

#[test]
fn bad_records_that_are_skipped_are_counted() {
    everywhere(&[1, 2, 3], |mode, workers| {
        let sink = Probe::new();
        let report = pass(mixed(BadRecords::Skip), &sink, workers)
            .run(mode)
            .unwrap();
        assert_eq!((report.counts.bad, report.counts.read["seconds"]), (15, 30));
        assert_eq!((sorted(sink.rows()), sink.ends()), (good(), COMMITTED));
    });
}

#[test]
fn dead_letters_are_all_written_and_committed_with_the_rest() {
    everywhere(&[1, 2, 3], |mode, workers| {
        let (sink, letters) = (Probe::new(), Probe::new());
        let policy = BadRecords::DeadLetter(Arc::new(letters.clone()));
        let report = pass(mixed(policy), &sink, workers).run(mode).unwrap();
        assert_eq!(report.counts.bad, 15);
        assert_eq!((sorted(sink.rows()), sink.ends()), (good(), COMMITTED));
        let of_a = (1..=10).map(|n| bad("a.csv", n * 3));
        let unplaced = (1..=5).map(|n| bad("p2", n)); // the source left the place open
        let expected: Vec<_> = of_a.chain(unplaced).collect();
        assert_eq!(
            (sorted(letters.rows()), letters.ends()),
            (expected, COMMITTED)
        );
    });
}

#[test]
fn dead_letters_are_aborted_with_the_rest() {
    everywhere(&[1, 2], |mode, workers| {
        let (sink, letters) = (Probe::breaks(At::Close), Probe::new());
        let policy = BadRecords::DeadLetter(Arc::new(letters.clone()));
        pass(mixed(policy), &sink, workers).run(mode).unwrap_err();
        assert_eq!((sink.ends(), letters.ends()), (ABORTED, ABORTED));
    });
}

#[test]
fn dead_letters_that_cannot_be_written_fail_the_job() {
    everywhere(&[1, 2], |mode, workers| {
        for at in [At::Open, At::Write, At::Close] {
            let (sink, letters) = (Probe::new(), Probe::breaks(at));
            let policy = BadRecords::DeadLetter(Arc::new(letters.clone()));
            let error = pass(mixed(policy), &sink, workers).run(mode).unwrap_err();
            let expected =
                format!("sink `dead letters of seconds`: the sink broke at {at:?} (hint: mend it)");
            assert_eq!(error.to_string(), expected);
            assert_eq!((sink.ends(), letters.ends()), (ABORTED, ABORTED), "{at:?}");
        }
    });
}

#[test]
fn dead_letters_are_handed_on_while_the_job_goes_on() {
    everywhere(&[1, 2], |mode, workers| {
        let (sink, letters) = (Probe::new(), Probe::is_closed(At::Flush));
        let policy = BadRecords::DeadLetter(Arc::new(letters.clone()));
        let steps = vec![Step::Bad(bad("a.csv", 1)), Step::Wait(Gate::default())];
        let source = Script::of(steps).bad_records(policy);
        let report = pass(source, &sink, workers).run(mode).unwrap();
        assert_eq!(report.outcome, Outcome::OutputClosed);
        assert_eq!((letters.written(), letters.ends()), (1, ABORTED));
    });
}

#[test]
fn dead_letters_that_were_read_before_a_stop_are_committed() {
    everywhere(&[1, 2], |mode, workers| {
        let (sink, letters) = (Probe::new(), Probe::new());
        let policy = BadRecords::DeadLetter(Arc::new(letters.clone()));
        let wait = Step::Wait(Gate::default());
        let steps = vec![Step::Bad(bad("a.csv", 1)), Step::Give(2), wait];
        let source = Script::of(steps).bad_records(policy);
        let handle = pass(source, &sink, workers).start(mode).unwrap();
        until_read(&handle, "seconds", 1);
        handle.stop();
        assert_eq!(handle.wait().unwrap().outcome, Outcome::Stopped);
        assert_eq!(
            (letters.rows(), letters.ends()),
            (vec![bad("a.csv", 1)], COMMITTED)
        );
        assert_eq!((sink.rows(), sink.ends()), (vec![2], COMMITTED));
    });
}

const DAY: i64 = 86_400;
/// Ten years, as far as a record may be ahead of its lane.
const LEAP_MAX: i64 = 3_653 * DAY;

/// A job whose seconds have an event time.
fn timed(source: Script<i64>, sink: &Probe<i64>, workers: usize) -> Job {
    let job = Job::new("job", |graph| {
        let seconds = graph.input::<i64>("seconds");
        let (timed, _) = seconds.event_time(|s| EventTime::secs(*s), Lateness::days(99_999));
        graph.output("out", timed);
    });
    let job = job.source("seconds", source).sink("out", sink.clone());
    job.workers(workers)
}

fn leaping(bad_records: BadRecords) -> Script<i64> {
    let give = |seconds: &[i64]| seconds.iter().copied().map(Step::Give).collect();
    let leaps = give(&[
        0,
        LEAP_MAX,
        2 * LEAP_MAX + 1,
        2 * LEAP_MAX,
        2 * LEAP_MAX + 2,
        5,
    ]);
    Script::new(vec![leaps, give(&[1, 2, 3])]).bad_records(bad_records)
}

/// What is left of [`leaping`]: a leap of ten years is none yet, and after it there may be another.
const NO_LEAPS: [i64; 8] = [0, 1, 2, 3, 5, LEAP_MAX, 2 * LEAP_MAX, 2 * LEAP_MAX + 2];

#[test]
fn a_leap_of_more_than_ten_years_is_a_bad_record_and_fails_the_job() {
    everywhere(&[1, 2], |mode, workers| {
        let sink = Probe::new();
        let job = timed(leaping(BadRecords::Fail), &sink, workers);
        let error = job.run(mode).unwrap_err().to_string();
        let expected = "source `seconds`: bad record in p0: its event time 1990-01-02T00:00:01Z \
                        leaps more than ten years ahead of 1980-01-02T00:00:00Z (hint: is the unit";
        assert!(error.starts_with(expected), "{error}");
        assert_eq!(sink.ends(), ABORTED);
    });
}

#[test]
fn a_leap_that_is_skipped_makes_no_other_record_late() {
    everywhere(&[1, 2], |mode, workers| {
        let sink = Probe::new();
        let job = timed(leaping(BadRecords::Skip), &sink, workers);
        let counts = job.run(mode).unwrap().counts;
        assert_eq!((counts.bad, counts.late), (1, 0));
        assert_eq!(
            (sorted(sink.rows()), sink.ends()),
            (NO_LEAPS.to_vec(), COMMITTED)
        );
    });
}

#[test]
fn a_leap_is_a_dead_letter_where_bad_records_are() {
    everywhere(&[1, 2, 3], |mode, workers| {
        let (sink, letters) = (Probe::new(), Probe::<BadRecord>::new());
        let policy = BadRecords::DeadLetter(Arc::new(letters.clone()));
        timed(leaping(policy), &sink, workers).run(mode).unwrap();
        assert_eq!(
            (sorted(sink.rows()), sink.ends()),
            (NO_LEAPS.to_vec(), COMMITTED)
        );
        let letters = (letters.rows(), letters.ends());
        let ([letter], COMMITTED) = (&letters.0[..], letters.1) else {
            panic!("{letters:?}");
        };
        assert_eq!((letter.place.as_str(), letter.line), ("p0", 0));
    });
}

#[test]
fn a_first_record_far_ahead_of_the_wall_clock_is_bad_and_one_far_behind_is_not() {
    everywhere(&[1, 2], |mode, workers| {
        let sink = Probe::new();
        let year_9999 = 253_370_764_800;
        let seconds = [year_9999, -99_999 * DAY, -99_998 * DAY].map(Step::Give);
        let source = Script::of(seconds.to_vec()).bad_records(BadRecords::Skip);
        let counts = timed(source, &sink, workers).run(mode).unwrap().counts;
        assert_eq!((counts.bad, counts.late), (1, 0));
        assert_eq!(sink.rows(), [-99_999 * DAY, -99_998 * DAY]);
    });
}
