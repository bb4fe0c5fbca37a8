//! What an answer leaves out is told: records that are late, bad or overtaken, when they are many.

#![allow(clippy::unwrap_used, reason = "what a test cannot do without fails it")]

mod common;

use common::{COMMITTED, Probe, Script, Step, everywhere};
use stream_core::io::{BadRecord, BadRecords};
use stream_core::prelude::*;
use stream_core::run::{Lost, Outcome, Report, Share};

const NOW: i64 = 1_370_000_000;

/// A job that gives seconds their event time, one partition for each list.
fn timed(seconds: &[&[Step<i64>]], sink: &Probe<i64>) -> Job {
    let job = Job::new("job", |graph| {
        let seconds = graph.input::<i64>("flights");
        let at = |second: &i64| EventTime::secs(NOW + second);
        let (timed, _) = seconds.event_time(at, Lateness::secs(30));
        graph.output("out", timed);
    });
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
