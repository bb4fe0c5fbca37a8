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
use stream_core::time::TimeBounds;

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
        let hint = "correct it, leave such records out by `.skip_bad_records()` on the source, or \
                    keep them apart by `.dead_letter(…)`";
        let told = BadRecord {
            hint: Some(hint.to_owned()),
            ..bad("a.csv", 2)
        };
        assert_eq!((port.as_str(), &**record), ("seconds", &told));
        let text = "source `seconds`: bad record at a.csv:2, field `price`: it is no number";
        let text = format!("{text} (hint: {hint})");
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
        let (sink, letters) = (Probe::breaks(At::Prepare), Probe::new());
        let policy = BadRecords::DeadLetter(Arc::new(letters.clone()));
        pass(mixed(policy), &sink, workers).run(mode).unwrap_err();
        assert_eq!((sink.ends(), letters.ends()), (ABORTED, ABORTED));
    });
}

#[test]
fn dead_letters_that_cannot_be_written_fail_the_job() {
    everywhere(&[1, 2], |mode, workers| {
        for at in [At::Open, At::Write, At::Prepare] {
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
const LEAP_MAX: i64 = 10 * YEAR;
const YEAR: i64 = 365 * DAY + DAY / 4;
/// A moment of 2001, from which the seconds are counted.
const BASE: i64 = 1_000_000_000;

/// A job whose seconds have an event time.
fn timed(source: Script<i64>, sink: &Probe<i64>, workers: usize) -> Job {
    let job = Job::new("job", |graph| {
        let seconds = graph.input::<i64>("seconds");
        let (timed, _) = seconds.event_time(|s| EventTime::secs(BASE + s), Lateness::days(99_999));
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
        let expected = "source `seconds`: bad record in p0: its event time 2021-09-09T01:46:41Z \
                        leaps more than 10 years ahead of 2011-09-09T13:46:40Z (hint: is the unit";
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

/// A lane of seconds since 1970, of which those that are bad are skipped.
fn first(seconds: &[i64], bounds: TimeBounds, change: fn(Job) -> Job) -> [Vec<i64>; 3] {
    let from_1970 = |s: &i64| EventTime::secs(*s);
    let mut all = Vec::new();
    for mode in common::MODES {
        for workers in [1, 2] {
            let (sink, letters) = (Probe::new(), Probe::<BadRecord>::new());
            let (behind, late) = stream_core::io::collect::<i64>();
            let job = Job::new("job", move |graph| {
                let (timed, late) = graph.input::<i64>("seconds").event_time(from_1970, bounds);
                graph.output("out", timed);
                graph.output("late", late);
            });
            let steps = seconds.iter().copied().map(Step::Give).collect();
            let policy = BadRecords::DeadLetter(Arc::new(letters.clone()));
            let job = job
                .source("seconds", Script::of(steps).bad_records(policy))
                .sink("out", sink.clone())
                .sink("late", behind)
                .workers(workers);
            let counts = change(job).run(mode.parse().unwrap()).unwrap().counts;
            assert_eq!(counts.bad, letters.rows().len() as u64, "{mode}");
            all.push([sink.rows(), late.take(), vec![counts.bad as i64]]);
        }
    }
    all.dedup();
    assert_eq!(all.len(), 1, "the same in every mode");
    all.remove(0)
}

fn as_it_is(job: Job) -> Job {
    job
}

/// Some seconds of 2013, one after the other.
fn flights() -> Vec<i64> {
    (0..999).map(|n| 1_370_000_000 + n).collect()
}

const LATENESS: Lateness = Lateness::secs(30);

#[test]
fn a_zero_at_the_head_of_a_lane_is_bad_and_nothing_behind_it() {
    let seconds = [vec![0, 0], flights()].concat();
    let [timed, late, bad] = first(&seconds, LATENESS.into(), as_it_is);
    assert_eq!((timed, late, bad), (flights(), vec![], vec![2]));
}

#[test]
fn a_zero_in_the_middle_is_late() {
    let seconds = [flights(), vec![0]].concat();
    let [timed, late, bad] = first(&seconds, LATENESS.into(), as_it_is);
    assert_eq!((timed, late, bad), (flights(), vec![0], vec![0]));
}

#[test]
fn the_year_9999_at_the_head_of_a_lane_is_bad_and_nothing_behind_it() {
    let seconds = [vec![253_370_764_800], flights()].concat();
    let [timed, late, bad] = first(&seconds, LATENESS.into(), as_it_is);
    assert_eq!((timed, late, bad), (flights(), vec![], vec![1]));
}

#[test]
fn data_of_1998_is_whole() {
    let seconds: Vec<i64> = (0..500).map(|n| 890_000_000 + n * DAY).collect();
    let [timed, late, bad] = first(&seconds, LATENESS.into(), as_it_is);
    assert_eq!((timed, late, bad), (seconds, vec![], vec![0]));
}

#[test]
fn the_leap_can_be_set_in_the_pipeline() {
    let seconds = [0, 5, 5 + 60 * YEAR, 6 + 120 * YEAR, 7];
    let bounds = LATENESS.leap(Leap::years(60));
    let [timed, late, bad] = first(&seconds, bounds, as_it_is);
    assert_eq!(
        (timed, late, bad),
        (vec![0, 5, 5 + 60 * YEAR], vec![7], vec![1])
    );
    let hours = [BASE, BASE + 7_200, BASE + 7_201, BASE + 3_600];
    let [timed, late, bad] = first(&hours, LATENESS.leap(Leap::hours(1)), as_it_is);
    assert_eq!(
        (timed, late, bad),
        (vec![BASE, BASE + 3_600], vec![], vec![2])
    );
}

#[test]
fn the_leap_can_be_set_for_a_job_whatever_the_pipeline_says() {
    let seconds = [-300 * YEAR, 0, 253_370_764_800];
    for bounds in [LATENESS.into(), LATENESS.leap(Leap::hours(1))] {
        let [timed, late, bad] = first(&seconds, bounds, |job| job.max_leap(Leap::ANY));
        assert_eq!((timed, late, bad), (seconds.to_vec(), vec![], vec![0]));
    }
    let [timed, _, bad] = first(&[BASE, BASE + 61], LATENESS.into(), |job| {
        job.max_leap(Leap::mins(1))
    });
    assert_eq!((timed, bad), (vec![BASE], vec![1]));
}

#[test]
fn a_lane_that_begins_too_early_says_what_to_do() {
    let job = Job::new("job", |graph| {
        let seconds = graph.input::<i64>("seconds");
        graph.output(
            "out",
            seconds.event_time(|s| EventTime::secs(*s), LATENESS).0,
        );
    });
    let job = job
        .source("seconds", Script::of(vec![Step::Give(3_i64)]))
        .sink("out", Probe::<i64>::new());
    let error = job.run(Mode::Batch).unwrap_err().to_string();
    let begin = "source `seconds`: bad record in p0: its event time 1970-01-01T00:00:03Z lies more \
                 than 50 years behind the wall clock, ";
    assert!(error.starts_with(begin), "{error}");
    let hint = "if the data is so old, say so: `Job::max_leap(Leap::ANY)`)";
    assert!(error.ends_with(hint), "{error}");
}
