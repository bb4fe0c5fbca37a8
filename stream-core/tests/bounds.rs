//! Everything is bounded: a sink that is slow or stuck stops the sources, whichever worker it is on,
//! and the job goes on when it does.

#![allow(clippy::unwrap_used, reason = "what a test cannot do without fails it")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::{COMMITTED, Gate, Probe, Script, Step, everywhere, sorted, until, within};
use stream_core::Problem;
use stream_core::io::{self, Sink, SinkInfo, Writer};
use stream_core::prelude::*;
use stream_core::run::{Handle, Outcome};

/// How many slices the engine lets be in flight.
const SLICES_MAX: usize = 8;
/// The same while they hold few records.
const SMALL_SLICES_MAX: usize = 128;
/// What a record counts in bytes: so a slice of 8 MiB holds a thousand, which keeps tests short.
const RECORD_BYTES: u64 = 8 << 10;
/// How many records a slice holds at most: one that is nearly full takes in another chunk.
const SLICE_RECORDS: u64 = 2 * 1_024;

fn give(records: u64) -> Vec<Step<u64>> {
    (0..records).map(Step::Give).collect()
}

/// Two partitions of so many records, more than can be on their way.
fn two_partitions(mode: Mode) -> (Script<u64>, u64) {
    let records = if slice_records(mode) < 10 {
        1_000
    } else {
        40_000
    };
    let source = Script::new(vec![give(records), give(records)]);
    (source.bytes(RECORD_BYTES), records)
}

fn slice_records(mode: Mode) -> u64 {
    match mode.to_string().as_str() {
        "per-record=strict" => 1,
        "micro-batch=3records" => 3,
        _ => SLICE_RECORDS,
    }
}

/// How many records can be on their way: those of the slices in flight, of the open one, and of
/// one more by each other worker, which may have seen room at the same moment; and all of them may
/// have filled the same slice.
fn records_max(mode: Mode, workers: usize) -> u64 {
    let slices_max = match slice_records(mode) {
        SLICE_RECORDS => SLICES_MAX,
        _ => SMALL_SLICES_MAX,
    };
    ((slices_max + workers) * workers) as u64 * slice_records(mode)
}

/// Waits until a job reads no more; that takes as long as the longest nap.
fn until_still(handle: &Handle) -> u64 {
    let read = || handle.counts().read.values().sum::<u64>();
    let (mut last, mut since) = (read(), Instant::now());
    until("the job reads no more", || {
        let now = read();
        if now != last {
            (last, since) = (now, Instant::now());
        }
        since.elapsed() > Duration::from_millis(250)
    });
    last
}

/// The numbers, where those that are even go to one worker and the odd ones to another.
fn pipeline(graph: &Graph) {
    let numbers = graph.input::<u64>("numbers");
    let spread = numbers.key_by(|n| *n).scan(|| (), |(), n| n);
    graph.output("out", spread.map(|(_, n)| n));
}

#[test]
fn a_sink_that_is_stuck_on_one_worker_stops_all_sources_and_then_goes_on() {
    everywhere(&[1, 2], |mode, workers| {
        let gate = Gate::default();
        let sink = Probe::<u64>::behind(&gate);
        let (source, records) = two_partitions(mode);
        let job = Job::new("job", pipeline).source("numbers", source);
        let job = job.sink("out", sink.clone()).workers(workers);
        let handle = job.start(mode).unwrap();
        until("a writer is stuck", || gate.is_reached());
        let read = until_still(&handle);
        let bound = records_max(mode, workers);
        assert!(
            read <= bound,
            "{read} records read, and {bound} is the bound"
        );
        assert!(read < 2 * records, "the test asks for more than the bound");
        gate.open();
        let report = handle.wait().unwrap();
        let most = report.slices_in_flight_max;
        assert!(
            most < SMALL_SLICES_MAX + workers,
            "{most} slices were in flight"
        );
        let twice: Vec<_> = (0..records).flat_map(|n| [n, n]).collect();
        assert_eq!((sorted(sink.rows()), sink.ends()), (twice, COMMITTED));
    });
}

/// A sink that is slow, and looks at every record how far the source is ahead.
struct Slow {
    given: Arc<AtomicU64>,
    written: Arc<AtomicU64>,
    ahead_max: Arc<AtomicU64>,
}

impl Sink<u64> for Slow {
    fn info(&self) -> SinkInfo {
        SinkInfo {
            kind: "slow",
            detail: String::new(),
            atomic: false,
        }
    }

    fn open(&self, _: io::Slot) -> Result<Box<dyn Writer<u64>>, Problem> {
        Ok(Box::new(Slow {
            given: self.given.clone(),
            written: self.written.clone(),
            ahead_max: self.ahead_max.clone(),
        }))
    }
}

impl Writer<u64> for Slow {
    fn write(&mut self, records: &mut Vec<u64>) -> Result<(), Problem> {
        for _ in records.drain(..) {
            std::hint::black_box((0..200).sum::<u64>());
            let written = self.written.fetch_add(1, Ordering::SeqCst) + 1;
            let ahead = self.given.load(Ordering::SeqCst).saturating_sub(written);
            self.ahead_max.fetch_max(ahead, Ordering::SeqCst);
        }
        Ok(())
    }
}

#[test]
fn a_fast_source_is_never_further_ahead_of_a_slow_sink_than_the_bound() {
    everywhere(&[1, 2, 3], |mode, workers| {
        let (source, records) = two_partitions(mode);
        let slow = Slow {
            given: source.given(),
            written: Arc::default(),
            ahead_max: Arc::default(),
        };
        let (written, ahead) = (slow.written.clone(), slow.ahead_max.clone());
        let job = Job::new("job", pipeline).source("numbers", source);
        let report = job.sink("out", slow).workers(workers).run(mode).unwrap();
        assert_eq!(report.outcome, Outcome::Finished);
        assert_eq!(written.load(Ordering::SeqCst), 2 * records);
        let (ahead, bound) = (ahead.load(Ordering::SeqCst), records_max(mode, workers));
        assert!(
            ahead <= bound,
            "{ahead} records ahead, and {bound} is the bound"
        );
    });
}

/// A reader says how many bytes it has brought; slices are cut and counted by them, too.
#[test]
fn large_records_are_bounded_by_their_bytes() {
    within("bytes", || {
        let gate = Gate::default();
        let sink = Probe::<u64>::behind(&gate);
        let source = Script::of(give(400)).bytes(1 << 20).chunk(4);
        let job = Job::new("job", pipeline).source("numbers", source);
        let handle = job.sink("out", sink.clone()).start(Mode::Batch).unwrap();
        until("a writer is stuck", || gate.is_reached());
        let read = until_still(&handle);
        assert!(
            read <= 44,
            "{read} MiB read: 32 in flight, a slice of 8 and a chunk of 4"
        );
        gate.open();
        handle.wait().unwrap();
        assert_eq!(sorted(sink.rows()), (0..400).collect::<Vec<_>>());
    });
}

#[test]
fn a_source_in_memory_that_outruns_its_sink_finishes_on_every_number_of_workers() {
    everywhere(&[1, 2, 3, 4], |mode, workers| {
        for _ in 0..5 {
            let (sink, rows) = io::collect::<u64>();
            let numbers = (0..4_u64).map(|lane| (lane * 500..(lane + 1) * 500).collect());
            let job = Job::new("job", pipeline);
            let job = job.source("numbers", io::partitions(numbers.collect()));
            job.sink("out", sink).workers(workers).run(mode).unwrap();
            assert_eq!(sorted(rows.take()), (0..2_000).collect::<Vec<u64>>());
        }
    });
}

/// One worker has nothing to read, and its sink is as much a part of the job.
#[test]
fn a_worker_without_a_partition_acknowledges_what_the_others_read() {
    everywhere(&[2, 3], |mode, workers| {
        let (sink, rows) = io::collect::<u64>();
        let job = Job::new("job", |graph| {
            graph.output("out", graph.input::<u64>("numbers"));
        });
        let job = job.source("numbers", io::vec((0..2_000).collect::<Vec<u64>>()));
        let report = job.sink("out", sink).workers(workers).run(mode).unwrap();
        assert_eq!(rows.take(), (0..2_000).collect::<Vec<u64>>());
        assert!(report.slices_in_flight_max <= SMALL_SLICES_MAX);
    });
}

#[test]
fn a_job_that_spins_does_what_one_that_parks_does() {
    everywhere(&[1, 2], |mode, workers| {
        let (sink, rows) = io::collect::<u64>();
        let job = Job::new("job", pipeline).idle(stream_core::run::Wait::Spin);
        let numbers = vec![(0..50).collect(), (50..100_u64).collect()];
        let job = job
            .source("numbers", io::partitions(numbers))
            .sink("out", sink);
        job.workers(workers).run(mode).unwrap();
        assert_eq!(sorted(rows.take()), (0..100).collect::<Vec<_>>());
    });
}

#[test]
fn large_records_are_read_a_few_at_a_time() {
    const RECORD: usize = 256 << 10;
    /// What may be in flight, the open slice, and one more read.
    const BYTES_MAX: usize = (32 + 8 + 2) << 20;
    within("large records", || {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large.jsonl");
        let line = format!("\"{}\"\n", "x".repeat(RECORD));
        std::fs::write(&path, line.repeat(300)).unwrap();
        let gate = Gate::default();
        let sink = Probe::<String>::behind(&gate);
        let job = Job::new("job", |graph| {
            graph.output("out", graph.input::<String>("lines"));
        });
        let job = job.source("lines", io::files::json_lines::<String>(&path));
        let handle = job.sink("out", sink.clone()).start(Mode::Batch).unwrap();
        until("a writer is stuck", || gate.is_reached());
        let read = until_still(&handle) as usize;
        assert!(read * RECORD <= BYTES_MAX, "{read} records were read");
        gate.open();
        handle.wait().unwrap();
        assert_eq!((sink.rows().len(), sink.ends()), (300, COMMITTED));
    });
}

/// Zeros without end in one partition, and so many ones in another.
struct Noise(u64);

struct NoiseReader {
    number: u64,
    left: u64,
}

impl io::Source<u64> for Noise {
    fn info(&self) -> io::SourceInfo {
        io::SourceInfo {
            kind: "noise",
            detail: String::new(),
            boundedness: io::Boundedness::Unbounded,
            repeatable: true,
        }
    }

    fn partitions(&self) -> Result<Vec<String>, Problem> {
        Ok(vec!["noise".into(), "signal".into()])
    }

    fn open(&self, partition: usize, _: io::Opening) -> Result<Box<dyn io::Reader<u64>>, Problem> {
        let (number, left) = [(0, u64::MAX), (1, self.0)][partition];
        Ok(Box::new(NoiseReader { number, left }))
    }
}

impl io::Reader<u64> for NoiseReader {
    fn read(&mut self, max: usize, into: &mut io::Chunk<u64>) -> Result<io::ReadStatus, Problem> {
        let count = self.left.min(max as u64);
        (0..count).for_each(|_| into.push(self.number));
        self.left -= count;
        Ok(match self.left {
            0 => io::ReadStatus::Waiting,
            _ => io::ReadStatus::More,
        })
    }

    fn position(&self) -> Result<io::Position, Problem> {
        Ok(io::Position::START)
    }
}

#[test]
fn a_partition_whose_records_are_all_dropped_does_not_starve_the_others() {
    const SIGNALS: u64 = 100_000;
    everywhere(&[1], |mode, _| {
        if mode == Mode::Batch {
            return; // the source has no end
        }
        let is_slow = slice_records(mode) < 10;
        let signals = if is_slow { 1_000 } else { SIGNALS };
        // What had been read when the last signal came through; counted where it happens, for the
        // noise goes on.
        let [read, through, at_end] = [0; 3].map(|n| Arc::new(AtomicU64::new(n)));
        let counters = [&read, &through, &at_end].map(Arc::clone);
        let job = Job::new("job", move |graph| {
            let [read, through, at_end] = counters.clone();
            let so_far = read.clone();
            let numbers = graph.input::<u64>("numbers").inspect(move |_| {
                read.fetch_add(1, Ordering::Relaxed);
            });
            let (timed, late) = numbers
                .filter(|n| *n > 0)
                .event_time(|_| EventTime::secs(1_700_000_000), Lateness::secs(0));
            late.discard();
            let timed = timed.inspect(move |_| {
                if through.fetch_add(1, Ordering::Relaxed) + 1 == signals {
                    at_end.store(so_far.load(Ordering::Relaxed), Ordering::Relaxed);
                }
            });
            graph.output("out", timed);
        });
        let job = job.source("numbers", Noise(signals));
        let handle = job.sink::<u64>("out", io::discard()).start(mode).unwrap();
        until("all signals are through", || {
            at_end.load(Ordering::Relaxed) > 0
        });
        let at_end = at_end.load(Ordering::Relaxed);
        assert!(
            at_end < 5 * signals + 10_000,
            "{at_end} records for {signals} signals"
        );
        handle.stop();
        handle.wait().unwrap();
    });
}

#[test]
fn what_a_record_expands_to_is_made_no_faster_than_it_is_taken() {
    const RECORDS: u64 = 100;
    const EACH: u64 = 10_000;
    /// Sixteen pieces, and what one record more makes of each.
    const AHEAD_MAX: u64 = 16 * (4_096 + EACH);
    const { assert!(RECORDS * EACH > 2 * AHEAD_MAX) };
    everywhere(&[1, 2], |mode, workers| {
        let [made, taken, ahead_max] = [0; 3].map(|n| Arc::new(AtomicU64::new(n)));
        let counters = [&made, &taken, &ahead_max].map(Arc::clone);
        let sink = Probe::<u64>::new();
        let job = Job::new("job", move |graph| {
            let [made, taken, ahead_max] = counters.clone();
            let so_far = made.clone();
            let numbers = graph.input::<u64>("numbers").flat_map(move |n| {
                let made = made.clone();
                (n * EACH..(n + 1) * EACH).inspect(move |_| {
                    made.fetch_add(1, Ordering::Relaxed);
                })
            });
            // A second chain that expands, behind the first, in the same operator.
            let numbers = numbers.map(|n| n).flat_map(|n| [n]);
            let (all, none) = numbers.split(|_| true);
            none.discard();
            let all = all.inspect(move |_| {
                let taken = taken.fetch_add(1, Ordering::Relaxed) + 1;
                let ahead = so_far.load(Ordering::Relaxed).saturating_sub(taken);
                ahead_max.fetch_max(ahead, Ordering::Relaxed);
            });
            graph.output("out", all);
        });
        let source = Script::of(give(RECORDS));
        let job = job.source("numbers", source).sink("out", sink.clone());
        job.workers(workers).run(mode).unwrap();
        assert_eq!(sink.rows(), (0..RECORDS * EACH).collect::<Vec<_>>());
        let ahead = ahead_max.load(Ordering::Relaxed);
        assert!(ahead <= AHEAD_MAX, "{ahead} records were made ahead");
    });
}
