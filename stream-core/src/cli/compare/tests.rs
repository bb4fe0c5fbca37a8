//! Races of small jobs: one whose answers are equal, and some whose answers are not.

use super::*;
use crate::Problem;
use crate::graph::Graph;
use crate::io::{self, comparable};
use crate::ops::{Change, Entry};

fn modes(text: &str) -> Vec<Mode> {
    parse_modes(text).unwrap()
}

const MODES: &str = "batch,micro-batch=3records,per-record,per-record=strict";

fn race(job: &mut Job) -> Comparison {
    let race = Race {
        modes: modes(MODES),
        runs: 2,
        rates: Vec::new(),
    };
    race.run(job, &mut |_| ()).unwrap()
}

fn told(comparison: &Comparison) -> String {
    let told = |found: &Difference| format!("{}\n{found}{}", found.headline(), found.hint());
    comparison.differences.iter().map(told).collect()
}

/// A job on two partitions whose records arrive in another order in every mode.
fn job(pipeline: impl Fn(&Graph) + Send + Sync + 'static) -> Job {
    let partition = |from: u64| (from..from + 50).collect::<Vec<_>>();
    Job::new("raced", pipeline).source(
        "numbers",
        io::partitions(vec![partition(0), partition(100)]),
    )
}

/// The records of each key, in the order of their arrival.
fn in_order_of_arrival(graph: &Graph) {
    let numbers = graph.input::<u64>("numbers").key_by(|n| n % 2);
    let lists = numbers.fold(Vec::new, |list: &mut Vec<u64>, n| list.push(n));
    graph.output("lists", lists);
}

#[test]
fn exact_answers_are_equal_in_every_mode() {
    let job = job(|graph| {
        let numbers = graph.input::<u64>("numbers");
        graph.output("counts", numbers.clone().key_by(|n| n % 7).count());
        graph.output(
            "changes",
            numbers.clone().key_by(|n| n % 7).count().changes(),
        );
        graph.output("numbers", numbers);
    });
    let mut job = job
        .sink::<Entry<u64, u64>>("counts", io::discard())
        .sink::<Change<u64, u64>>("changes", io::discard())
        .sink::<u64>("numbers", comparable(io::discard()))
        .workers(2);
    let comparison = race(&mut job);
    assert_eq!(told(&comparison), "");
    assert_eq!(comparison.counted_only(), [""; 0]);
    let rows = |port| comparison.runs[0].outputs[port].rows;
    assert_eq!(["counts", "changes", "numbers"].map(rows), [7, 7, 100]);
}

#[test]
fn a_race_at_a_rate_tells_the_latency_of_every_record() {
    let mut job = job(|graph| {
        let numbers = graph.input::<u64>("numbers");
        graph.output("counts", numbers.key_by(|n| n % 7).count().changes());
    })
    .sink::<Change<u64, u64>>("counts", io::discard());
    let race = Race {
        modes: modes("batch,per-record"),
        runs: 2,
        rates: vec![1_000.0, 5_000.0],
    };
    let comparison = race.run(&mut job, &mut |_| ()).unwrap();
    assert_eq!(told(&comparison), "");
    let latencies = |run: &Run| run.latencies.clone().unwrap();
    let counts: Vec<_> = comparison
        .runs
        .iter()
        .map(|run| latencies(run).count())
        .collect();
    assert_eq!(counts, [100; 8]);
    // A table gives nothing before the end of the plan in batch mode, which is after 100 ms.
    let [batch, per_record] = [0, 1].map(|run| latencies(&comparison.runs[run]));
    assert!(batch.max() >= Duration::from_millis(99), "{batch:?}");
    assert!(per_record.at(0.5) < batch.at(0.5), "{per_record:?}");
    let text = comparison.to_string();
    for part in [
        "  batch       1,000/s ",
        "  per-record  5,000/s ",
        " p99 ",
        "▁",
        "█",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn a_fold_that_depends_on_the_order_is_found_and_named() {
    let mut job = job(in_order_of_arrival).sink::<Entry<u64, Vec<u64>>>("lists", io::discard());
    let comparison = race(&mut job);
    let told = told(&comparison);
    for part in [
        "output `lists` is not the same in every run\n  only in batch, run 1:\n    {\"key\":0,",
        "\n  only in ",
        "raced/fold is exact if its functions are pure and order-free",
    ] {
        assert!(told.contains(part), "{part} in {told}");
    }
    assert!(
        comparison.to_string().contains("differs in "),
        "{comparison}"
    );
}

#[test]
fn a_port_whose_rows_nothing_can_tell_is_never_called_equal() {
    let mut job = job(|graph| graph.output("numbers", graph.input::<u64>("numbers")))
        .sink::<u64>("numbers", io::discard());
    let comparison = race(&mut job);
    assert_eq!(comparison.counted_only(), ["numbers"]);
    let text = comparison.to_string();
    assert!(
        text.contains(
            "100  –       exact          the same number of rows; the rows were not compared"
        ),
        "{text}"
    );
}

#[test]
fn an_impure_closure_is_told_although_every_stage_is_exact() {
    use std::sync::atomic::{AtomicU64, Ordering};

    static CALLS: AtomicU64 = AtomicU64::new(0);
    let mut job = job(|graph| {
        let numbers = graph.input::<u64>("numbers");
        graph.output(
            "calls",
            numbers.map(|_| CALLS.fetch_add(1, Ordering::Relaxed)),
        );
    })
    .sink::<u64>("calls", comparable(io::discard()));
    let told = told(&race(&mut job));
    assert!(
        told.contains("every stage before it is exact as long as its closures are pure"),
        "{told}"
    );
    assert!(told.contains("and 95 more"), "{told}");
}

#[test]
fn sinks_are_neither_opened_nor_committed() {
    struct Untouched;
    impl io::Sink<u64> for Untouched {
        fn info(&self) -> io::SinkInfo {
            panic!("asked")
        }
        fn open(&self, _: io::Slot) -> Result<Box<dyn io::Writer<u64>>, Problem> {
            panic!("opened")
        }
        fn commit(&self, _: &io::Commit) -> Result<(), Problem> {
            panic!("committed")
        }
        fn abort(&self) {
            panic!("aborted")
        }
    }
    let mut job = job(|graph| graph.output("numbers", graph.input::<u64>("numbers")))
        .sink("numbers", Untouched);
    assert_eq!(told(&race(&mut job)), "");
}

#[test]
fn inputs_that_cannot_be_read_again_are_refused_with_the_remedy() {
    let (_sender, source) = io::channel::<u64>(1);
    let mut once = Job::new("once", |graph| {
        graph.output("numbers", graph.input::<u64>("numbers"));
    })
    .source("numbers", source)
    .sink::<u64>("numbers", io::discard());
    let race = Race {
        modes: modes("batch"),
        runs: 1,
        rates: Vec::new(),
    };
    let told = race.run(&mut once, &mut |_| ()).err().unwrap().to_string();
    assert_eq!(
        told,
        "compare cannot read the channel source of `numbers` more than once: every run has to read \
         the same records (hint: `--spool 100000` keeps so many records of each partition, if the \
         source is bound as `io::spoolable(…)`)"
    );
}

#[test]
fn an_input_that_can_be_read_once_is_compared_once_it_is_kept() {
    let (sender, source) = io::channel::<u64>(100);
    (0..50).for_each(|number| sender.send(number).unwrap());
    let job = |source| {
        Job::new("kept", |graph| {
            graph.output("numbers", graph.input::<u64>("numbers"));
        })
        .source("numbers", source)
        .sink::<u64>("numbers", comparable(io::discard()))
    };
    let mut kept = job(io::spoolable(source));
    crate::cli::bind::spool(&mut kept, 30).unwrap();
    let comparison = race(&mut kept);
    assert_eq!(told(&comparison), "");
    assert_eq!(comparison.runs[7].outputs["numbers"].rows, 30);

    let (_sender, source) = io::channel::<u64>(1);
    let mut once = Job::new("once", |_| ()).source("numbers", source);
    let told = crate::cli::bind::spool(&mut once, 1);
    assert_eq!(
        told.err().unwrap().to_string(),
        "source `numbers`: `--spool` cannot keep the records of the channel source: nothing says \
         how one is copied (hint: bind it as `io::spoolable(…)`, if its records are `Clone`)"
    );
}

#[test]
fn an_endless_input_can_be_compared_up_to_a_limit() {
    let log = io::MemoryLog::<u64>::new(2);
    log.append(0, 0..10).unwrap();
    log.append(1, 10..20).unwrap();
    let job = || {
        Job::new("endless", |graph| {
            graph.output("numbers", graph.input::<u64>("numbers"));
        })
        .source("numbers", log.clone())
        .sink::<u64>("numbers", comparable(io::discard()))
    };
    let refused = Race {
        modes: modes("batch"),
        runs: 1,
        rates: Vec::new(),
    }
    .run(&mut job(), &mut |_| ());
    let refused = refused.err().unwrap().to_string();
    assert!(
        refused.contains("hint: `--limit 100000` reads"),
        "{refused}"
    );
    let comparison = race(&mut job().limit(5));
    assert_eq!(told(&comparison), "");
    assert_eq!(comparison.runs[0].outputs["numbers"].rows, 10);
}

#[test]
fn modes_are_parsed_although_micro_batches_have_commas_of_their_own() {
    let told: Vec<_> = modes("batch, micro-batch=100ms,1000records,per-record")
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        told,
        ["batch", "micro-batch=100ms,1000records", "per-record"]
    );
    assert_eq!(
        parse_modes("batch,batch").unwrap_err(),
        "`batch` is there twice"
    );
    assert!(parse_modes("").unwrap_err().contains("`` is no mode"));
}
