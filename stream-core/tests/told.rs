//! What an answer leaves out is told: records that are late, bad or overtaken, when they are many.

#![allow(clippy::unwrap_used, reason = "what a test cannot do without fails it")]

mod common;

use std::sync::Arc;

use common::{ABORTED, COMMITTED, Gate, Probe, Script, Step, everywhere, until};
use stream_core::io::{BadRecord, BadRecords};
use stream_core::prelude::*;
use stream_core::run::{Lost, Outcome, Report, Share};

const NOW: i64 = 1_370_000_000;

/// A job that gives seconds their event time.
fn times(port: &'static str) -> Job {
    Job::new("job", move |graph| {
        let seconds = graph.input::<i64>(port);
        let at = |second: &i64| EventTime::secs(NOW + second);
        let (timed, _) = seconds.event_time(at, Lateness::secs(30));
        graph.output("out", timed);
    })
}

/// The same with a source, of one partition for each list, whose bad records are skipped.
fn timed(seconds: &[&[Step<i64>]], sink: &Probe<i64>) -> Job {
    let job = times("flights");
    let steps = seconds.iter().map(|steps| steps.to_vec()).collect();
    let source = Script::new(steps).bad_records(BadRecords::Skip);
    job.source("flights", source).sink("out", sink.clone())
}

fn give(seconds: impl IntoIterator<Item = i64>) -> Vec<Step<i64>> {
    seconds.into_iter().map(Step::Give).collect()
}

fn bad(line: u64) -> Step<i64> {
    Step::Bad(BadRecord {
        place: "flights.csv".to_owned(),
        line,
        field: Some("delay".to_owned()),
        reason: "`NA` is no number".to_owned(),
        ..BadRecord::default()
    })
}

fn told(report: &Report) -> Vec<String> {
    report.warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn an_input_that_is_in_no_order_is_told_with_examples_and_the_remedy() {
    everywhere(&[1, 2], |mode, workers| {
        let seconds = give([10_000, 0, 9_969, 9_970, 9_000, 1, 2]);
        let job = timed(&[&seconds], &Probe::new()).workers(workers);
        let report = job.run(mode).unwrap();
        let expected = "`flights` is not in order of event time: 5 of 7 records were late \
                        (2013-05-31T11:33:20Z in `p0`, 2h 46m 40s behind; \
                        2013-05-31T14:19:29Z in `p0`, 31s behind; \
                        2013-05-31T14:03:20Z in `p0`, 16m 40s behind). Sort it, raise the lateness \
                        (30s; 2h 46m 40s would do), or read it with `Lateness::unbounded()`";
        assert_eq!(told(&report), [expected]);
        let summary = report.to_string();
        assert!(
            summary.ends_with(&format!("\nwarning: {expected}")),
            "{summary}"
        );
        let warning = &report.warnings[0];
        assert_eq!(warning.stage, "job/event_time");
        assert_eq!(
            (warning.lost, &*warning.ports),
            (Lost::Late, &["flights".to_owned()][..])
        );
    });
}

#[test]
fn the_lateness_that_is_told_would_do() {
    let late = |lateness| {
        let job = Job::new("job", move |graph| {
            let seconds = graph.input::<i64>("in");
            let (timed, _) = seconds.event_time(|s| EventTime::secs(NOW + s), lateness);
            graph.output("out", timed);
        });
        let job = job.source("in", Script::of(give([100, 0, 60, 1])));
        let job = job.sink("out", Probe::<i64>::new());
        job.run(Mode::Batch).unwrap().counts.late
    };
    assert_eq!(late(Lateness::secs(99)), 1);
    assert_eq!(late(Lateness::secs(100)), 0);
}

#[test]
fn bad_records_are_told_when_they_are_more_than_one_in_a_hundred() {
    everywhere(&[1, 2], |mode, workers| {
        for (good, is_told) in [(298, false), (195, true)] {
            let steps = [vec![bad(17), bad(19), bad(20)], give(0..good)].concat();
            let job = timed(&[&steps], &Probe::new()).workers(workers);
            let report = job.run(mode).unwrap();
            let expected = "3 of 198 records of `flights` were bad \
                            (flights.csv:17, field `delay`: `NA` is no number; \
                            flights.csv:19, field `delay`: `NA` is no number; \
                            flights.csv:20, field `delay`: `NA` is no number). Mend them, or look \
                            whether the source is told the right format";
            match is_told {
                true => assert_eq!(told(&report), [expected]),
                false => assert_eq!(told(&report), [""; 0]),
            }
            assert!(report.is_within_limits());
        }
    });
}

#[test]
fn limits_are_told_by_the_report_and_the_output_is_committed() {
    everywhere(&[1, 2], |mode, workers| {
        let steps = [vec![bad(17)], give(0..998), give([0])].concat();
        let run = |late, bad| {
            let sink = Probe::new();
            let job = timed(&[&steps], &sink).workers(workers);
            let report = job.max_late(late).max_bad(bad).run(mode).unwrap();
            assert_eq!(
                (report.outcome, sink.ends()),
                (Outcome::Finished, COMMITTED)
            );
            let limits = report.warnings.iter().map(|w| (w.lost, w.limit));
            (report.is_within_limits(), limits.collect::<Vec<_>>())
        };
        let tenth = Share::percent(0.1);
        assert_eq!(run(Share::percent(0.2), tenth), (true, vec![]));
        let late_too = vec![
            (Lost::Bad, Some(Share::NONE)),
            (Lost::Late, Some(Share::NONE)),
        ];
        assert_eq!(run(Share::NONE, Share::NONE), (false, late_too));
    });
}

/// Fails a job whose bad records are skipped or written apart, and gives what it says.
fn all_bad(seconds: &[&[Step<i64>]], mode: Mode, workers: usize) -> String {
    let mut said = Vec::new();
    for apart in [false, true] {
        let (sink, letters) = (Probe::<i64>::new(), Probe::<BadRecord>::new());
        let policy = match apart {
            false => BadRecords::Skip,
            true => BadRecords::DeadLetter(Arc::new(letters.clone())),
        };
        let steps = seconds.iter().map(|steps| steps.to_vec()).collect();
        let source = Script::new(steps).bad_records(policy);
        let job = times("flights").source("flights", source);
        let job = job.sink("out", sink.clone()).workers(workers);
        let error = job.run(mode).unwrap_err().to_string();
        said.push(error.replace(
            &error[error.find("wall clock, ").unwrap_or(error.len())..],
            "",
        ));
        assert_eq!(sink.ends(), ABORTED);
    }
    said.dedup();
    assert_eq!(said.len(), 1);
    said.remove(0)
}

#[test]
fn a_source_of_which_no_record_can_be_read_fails_the_job_though_bad_ones_are_skipped() {
    everywhere(&[1, 2], |mode, workers| {
        assert_eq!(
            all_bad(&[&[bad(2), bad(3)], &[]], mode, workers),
            "source `flights`: not one record of it could be read: 2 of 2 are bad, as in \
             flights.csv:2, field `delay`: `NA` is no number (hint: look whether the source is \
             told the right format, delimiter, fields and unit of time; nothing is written)"
        );
    });
}

#[test]
fn a_source_whose_event_times_are_all_bad_fails_the_job() {
    everywhere(&[1, 2], |mode, workers| {
        let seconds = give([-NOW, 1 - NOW]);
        let said = all_bad(&[&seconds], mode, workers);
        let begin = "source `flights`: not one record of it could be read: 2 of 2 are bad, as in \
                     p0: its event time 1970-01-01T00:00:00Z lies more than 50 years behind";
        assert!(said.starts_with(begin), "{said}");
    });
}

#[test]
fn a_source_without_records_is_read_and_so_is_one_that_is_stopped_before_a_good_one() {
    everywhere(&[1, 2], |mode, workers| {
        let report = timed(&[&[]], &Probe::new()).workers(workers).run(mode);
        assert_eq!(report.unwrap().outcome, Outcome::Finished);
        let gate = Gate::default();
        let steps = [bad(2), Step::Wait(gate.clone())];
        let handle = timed(&[&steps], &Probe::new()).start(mode).unwrap();
        until("it is read", || handle.counts().bad == 1);
        handle.stop();
        assert_eq!(handle.wait().unwrap().outcome, Outcome::Stopped);
    });
}
