//! Mistakes of putting a job together: each is told before anything is opened, with what, detail
//! and hint.

#![allow(clippy::unwrap_used, reason = "what a test cannot do without fails it")]

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};

use common::{Gate, Probe, Script, Step, parts, sorted, until, within};
use stream_core::io::{self, BadRecords, Boundedness, Opening, Reader, Source, SourceInfo};
use stream_core::ops::{Change, Entry};
use stream_core::prelude::*;
use stream_core::run::{BatchCut, Outcome};
use stream_core::{Error, Problem};

/// A source that is never to be opened.
fn numbers() -> impl Source<u64> {
    Script::of(vec![Step::<u64>::Panic]).fails_at_open()
}

fn pass(graph: &Graph) {
    graph.output("out", graph.input::<u64>("numbers"));
}

fn assert_mistake(job: Job, mode: Mode, what: &str, detail: Option<&str>, hint: Option<&str>) {
    let error = job.start(mode).expect_err("the job does not start");
    assert!(matches!(error, Error::Plan(_)), "{error}");
    let (said, because, remedy) = parts(&error);
    let said = (said.as_str(), because.as_deref(), remedy.as_deref());
    assert_eq!(said, (what, detail, hint));
}

fn assert_batch_mistake(job: Job, what: &str, detail: Option<&str>, hint: &str) {
    assert_mistake(job, Mode::Batch, what, detail, Some(hint));
}

fn bound(pipeline: fn(&Graph)) -> Job {
    let job = Job::new("job", pipeline).source("numbers", numbers());
    job.sink("out", Probe::<u64>::new())
}

#[test]
fn an_input_without_a_source() {
    let job = Job::new("job", pass).sink("out", Probe::<u64>::new());
    let hint = "bind one: `.source(\"numbers\", …)`";
    assert_batch_mistake(job, "input `numbers` has no source", None, hint);
}

#[test]
fn an_output_without_a_sink() {
    let job = Job::new("job", pass).source("numbers", numbers());
    let hint = "bind one: `.sink(\"out\", …)`";
    assert_batch_mistake(job, "output `out` has no sink", None, hint);
}

#[test]
fn a_source_for_an_input_that_is_none() {
    let job = bound(pass).source("nombers", numbers());
    let what = "the pipeline has no input `nombers`";
    assert_batch_mistake(job, what, None, "its inputs are `numbers`");
}

#[test]
fn a_port_under_another_name_is_told_with_those_that_there_are() {
    let sink = || Probe::<u64>::new();
    let job = Job::new("job", pass).source("nombers", numbers());
    let what = "the pipeline has no input `nombers`";
    assert_batch_mistake(
        job.sink("out", sink()),
        what,
        None,
        "its inputs are `numbers`",
    );
    let job = Job::new("job", pass).source("numbers", numbers());
    let what = "the pipeline has no output `aut`";
    assert_batch_mistake(job.sink("aut", sink()), what, None, "its outputs are `out`");
}

#[test]
fn a_sink_for_an_output_that_is_none() {
    let job = bound(pass).sink("aut", Probe::<u64>::new());
    let what = "the pipeline has no output `aut`";
    assert_batch_mistake(job, what, None, "its outputs are `out`");
}

#[test]
fn two_sources_for_one_input() {
    let job = bound(pass).source("numbers", numbers());
    let what = "port `numbers` has two sources";
    assert_batch_mistake(job, what, None, "bind one source to each port");
}

#[test]
fn two_sinks_for_one_output() {
    let job = bound(pass).sink("out", Probe::<u64>::new());
    assert_batch_mistake(
        job,
        "port `out` has two sinks",
        None,
        "bind one sink to each port",
    );
}

#[test]
fn a_source_of_another_type() {
    let job = Job::new("job", pass).source("numbers", io::vec(vec![1_i32]));
    let job = job.sink("out", Probe::<u64>::new());
    assert_batch_mistake(
        job,
        "the source of `numbers` is of another type",
        Some("the port carries `u64`, the source `i32`"),
        "name the type where the source is made: `::<u64>`",
    );
}

#[test]
fn a_sink_of_another_type() {
    let job = Job::new("job", pass).source("numbers", numbers());
    let job = job.sink("out", Probe::<String>::new());
    assert_batch_mistake(
        job,
        "the sink of `out` is of another type",
        Some("the port carries `u64`, the sink `alloc::string::String`"),
        "name the type where the sink is made: `::<u64>`",
    );
}

#[test]
fn a_pipeline_without_an_input() {
    let hint = "call `graph.input(\"name\", …)` in its function";
    assert_batch_mistake(bound(|_| ()), "the pipeline has no input", None, hint);
}

#[test]
fn a_pipeline_without_an_output() {
    let job = bound(|graph| graph.input::<u64>("numbers").discard());
    let hint = "call `graph.output(\"name\", …)` in its function";
    assert_batch_mistake(job, "the pipeline has no output", None, hint);
}

#[test]
fn two_inputs_of_a_name() {
    let job = bound(|graph| {
        let (one, other) = (graph.input::<u64>("numbers"), graph.input::<u64>("numbers"));
        graph.output("out", one.union(other));
    });
    let hint = "give each port a name of its own";
    assert_batch_mistake(job, "two inputs are named `numbers`", None, hint);
}

#[test]
fn two_outputs_of_a_name() {
    let job = bound(|graph| {
        let numbers = graph.input::<u64>("numbers");
        graph.output("out", numbers.clone());
        graph.output("out", numbers);
    });
    let hint = "give each port a name of its own";
    assert_batch_mistake(job, "two outputs are named `out`", None, hint);
}

#[test]
fn no_workers_or_too_many() {
    for workers in [0, 257] {
        let what = format!("a job cannot have {workers} workers");
        let hint = "give it 1 to 256; as many as there are cores is usual";
        assert_batch_mistake(bound(pass).workers(workers), &what, None, hint);
    }
}

#[test]
fn a_mode_that_was_made_by_hand_and_is_none() {
    use std::time::Duration;
    let cut = BatchCut::default();
    let zero = "a micro-batch cannot be 0 long; for the least latency take `per-record`";
    let modes = [
        (
            cut,
            "a micro-batch needs an interval, a number of records or a size",
        ),
        (
            BatchCut {
                records: Some(0),
                ..cut
            },
            zero,
        ),
        (
            BatchCut {
                bytes: Some(0),
                ..cut
            },
            zero,
        ),
        (
            BatchCut {
                interval: Some(Duration::ZERO),
                ..cut
            },
            zero,
        ),
        (
            BatchCut {
                interval: Some(Duration::from_nanos(1)),
                ..cut
            },
            "an interval below 100us costs more than it holds; take `per-record`",
        ),
        (
            BatchCut {
                interval: Some(Duration::MAX),
                ..cut
            },
            "an interval above 1 day is none; take `batch`",
        ),
    ];
    for (cut, reason) in modes {
        let error = bound(pass).start(Mode::MicroBatch(cut)).err().unwrap();
        let (what, detail, hint) = parts(&error);
        assert!(matches!(error, Error::Plan(_)), "{error}");
        assert!(what.ends_with("` is no mode"), "{what}");
        assert_eq!(detail.as_deref(), Some(reason));
        assert!(hint.unwrap().starts_with("modes: batch, micro-batch=100ms"));
    }
}

#[test]
fn a_window_without_a_length() {
    let job = bound(|graph| {
        let (timed, _) = graph
            .input::<u64>("numbers")
            .event_time(second, Lateness::secs(0));
        let windows = timed.key_by(|n| *n).tumbling(Size::secs(0)).count();
        graph.output("out", windows.map(|window| window.value));
    });
    let hint = "give it a length: `Size::secs(10)`";
    assert_batch_mistake(
        job,
        "a tumbling window has size 0, behind `job/key_by`",
        None,
        hint,
    );
    let job = bound(|graph| {
        let (timed, _) = graph
            .input::<u64>("numbers")
            .event_time(second, Lateness::secs(0));
        let windows = timed.key_by(|n| *n).session(Gap::secs(0)).count();
        graph.output("out", windows.map(|window| window.value));
    });
    let detail = Some("every record would be a session of its own");
    let hint = "give it a silence that ends a session: `Gap::mins(30)`";
    assert_batch_mistake(
        job,
        "a session window has gap 0, behind `job/key_by`",
        detail,
        hint,
    );
}

fn second(n: &u64) -> EventTime {
    EventTime::secs(i64::try_from(*n).unwrap())
}

#[test]
fn batch_mode_on_a_source_that_never_ends() {
    let source = Script::of(vec![Step::Give(1_u64)]).unbounded();
    let job = Job::new("job", pass).source("numbers", source);
    assert_batch_mistake(
        job.sink("out", Probe::<u64>::new()),
        "the source of `numbers` never ends",
        Some("batch mode waits for the end of its input"),
        "run it with `per-record` or `micro-batch=…`",
    );
}

fn count(graph: &Graph) {
    let numbers = graph.input::<u64>("numbers");
    graph.output("out", numbers.key_by(|n| n % 2).count());
}

#[test]
fn the_final_content_of_a_table_whose_source_never_ends() {
    for mode in ["micro-batch=1ms", "per-record", "per-record=strict"] {
        let source = Script::of(vec![Step::Give(1_u64)]).unbounded();
        let job = Job::new("job", count).source("numbers", source);
        assert_mistake(
            job.sink("out", Probe::<Entry<u64, u64>>::new()),
            mode.parse().unwrap(),
            "a table's final content is written at the end of input",
            Some("the source of `numbers` never ends"),
            Some("write its changes instead: `.changes()` of the table"),
        );
    }
}

#[test]
fn a_lateness_that_waits_for_an_end_that_never_comes() {
    let waits = |graph: &Graph| {
        let numbers = graph.input::<u64>("numbers");
        let (timed, _) = numbers.event_time(second, Lateness::unbounded());
        graph.output("out", timed);
    };
    for mode in ["micro-batch=1ms", "per-record", "per-record=strict"] {
        let source = Script::of(vec![Step::Give(1_u64)]).unbounded();
        let job = Job::new("job", waits).source("numbers", source);
        assert_mistake(
            job.sink("out", Probe::<u64>::new()),
            mode.parse().unwrap(),
            "`job/event_time` waits for the end of its input",
            Some("its lateness is unbounded, and the source of `numbers` never ends"),
            Some("give it a lateness, like `Lateness::mins(10)`"),
        );
    }
}

#[test]
fn the_changes_of_a_table_whose_source_never_ends_are_written() {
    within("changes", || {
        let steps = [0_u64, 1, 2].map(Step::Give).into_iter();
        let steps = steps.chain([Step::Wait(Gate::default())]).collect();
        let sink = Probe::<Change<u64, u64>>::new();
        let job = Job::new("job", |graph| {
            let numbers = graph.input::<u64>("numbers");
            graph.output("out", numbers.key_by(|n| n % 2).count().changes());
        });
        let job = job.source("numbers", Script::of(steps).unbounded());
        let handle = job
            .sink("out", sink.clone())
            .start(Mode::PerRecord)
            .unwrap();
        until("three changes are written", || sink.written() == 3);
        handle.stop();
        assert_eq!(handle.wait().unwrap().outcome, Outcome::Stopped);
        let rows = sink.rows().into_iter();
        let rows = rows.map(|change| (change.key, change.value.unwrap()));
        assert_eq!(sorted(rows.collect()), [(0, 1), (0, 2), (1, 1)]);
    });
}

/// Only what flows into the table matters; another input of the job may go on for ever.
#[test]
fn the_final_content_of_a_table_whose_own_source_ends_is_written_beside_one_that_never_does() {
    within("beside", || {
        let (content, endless) = (Probe::<Entry<u64, u64>>::new(), Probe::<u64>::new());
        let job = Job::new("job", |graph| {
            count(graph);
            graph.output("endless", graph.input::<u64>("ticks"));
        });
        let ticks = Script::of(vec![Step::Give(7_u64), Step::Wait(Gate::default())]);
        let job = job.source("numbers", io::vec(vec![1_u64, 2, 4]));
        let job = job.source("ticks", ticks.unbounded());
        let job = job
            .sink("out", content.clone())
            .sink("endless", endless.clone());
        let handle = job.workers(2).start(Mode::PerRecord).unwrap();
        until("the table is written", || content.written() == 2);
        handle.stop();
        handle.wait().unwrap();
        let entry = |key, value| Entry { key, value };
        assert_eq!(sorted(content.rows()), [entry(0, 2), entry(1, 1)]);
        assert_eq!(endless.rows(), [7]);
    });
}

#[test]
fn a_function_that_builds_another_graph_on_a_worker() {
    within("another graph", || {
        let calls = AtomicUsize::new(0);
        let sink = Probe::<u64>::new();
        let job = Job::new("job", move |graph| {
            let numbers = graph.input::<u64>("numbers");
            match calls.fetch_add(1, Ordering::SeqCst) {
                0 => graph.output("out", numbers),
                _ => graph.output("out", numbers.map(|n| n + 1)),
            }
        });
        let job = job
            .source("numbers", io::vec(vec![1_u64]))
            .sink("out", sink.clone());
        let error = job.workers(2).run(Mode::Batch).unwrap_err();
        let what = "the pipeline's function built another graph on a worker than before";
        let hint = "what it builds may not depend on anything that changes between calls";
        assert_eq!(
            parts(&error),
            (what.to_owned(), None, Some(hint.to_owned()))
        );
        assert!(matches!(error, Error::Plan(_)));
        assert_eq!(sink.ends(), common::ABORTED);
    });
}

#[test]
fn two_stages_named_alike() {
    let job = bound(|graph| {
        let numbers = graph.input::<u64>("numbers").map(|n| n).named("twin");
        graph.output("out", numbers.map(|n| n).named("twin"));
    });
    let hint = "names tell the state of stages apart: give one of them another";
    assert_batch_mistake(job, "two stages are named `job/twin`", None, hint);
}

/// A source whose partitions have these names.
struct Named(&'static [&'static str]);

impl Source<u64> for Named {
    fn info(&self) -> SourceInfo {
        SourceInfo {
            kind: "named",
            detail: String::new(),
            boundedness: Boundedness::Bounded,
            repeatable: true,
        }
    }

    fn partitions(&self) -> Result<Vec<String>, Problem> {
        Ok(self.0.iter().map(ToString::to_string).collect())
    }

    fn open(&self, _: usize, _: Opening) -> Result<Box<dyn Reader<u64>>, Problem> {
        panic!("it is never opened")
    }

    fn bad_records(&self) -> BadRecords {
        BadRecords::Skip
    }
}

#[test]
fn a_source_without_partitions_or_with_two_of_a_name() {
    for (names, what, hint) in [
        (
            &[][..],
            "the source has no partitions",
            "a source without records is one partition that ends at once",
        ),
        (
            &["a", "b", "a"],
            "the source has two partitions `a`",
            "positions are kept by name: give each partition one of its own",
        ),
    ] {
        let job = Job::new("job", pass).source("numbers", Named(names));
        let error = job
            .sink("out", Probe::<u64>::new())
            .start(Mode::Batch)
            .err()
            .unwrap();
        assert!(
            matches!(&error, Error::Source { port, .. } if port == "numbers"),
            "{error}"
        );
        assert_eq!(
            parts(&error),
            (what.to_owned(), None, Some(hint.to_owned()))
        );
    }
}
