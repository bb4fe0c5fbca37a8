//! Partitions that appear while a job runs.

#![allow(clippy::unwrap_used, reason = "what a test cannot do without fails it")]

mod common;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{MODES, until, until_read, within};
use stream_core::graph::{Mixed, OnTime};
use stream_core::io::{
    self, Boundedness, Discovery, MemoryLog, Opening, Position, Reader, Revised, Revision, Source,
    SourceExt, SourceInfo,
};
use stream_core::ops::aggregate::count;
use stream_core::ops::{Change, Windowed};
use stream_core::prelude::*;
use stream_core::run::StateStore;
use stream_core::{Error, Job, Problem};

/// A topic of which more and more partitions are shown. Clones are one topic.
#[derive(Clone)]
struct Topic(Arc<Inner>);

struct Inner {
    partitions: Vec<MemoryLog<u64>>,
    shown: AtomicUsize,
    fails: AtomicUsize,
    /// The last checkpoint that the source was told of.
    covered: Mutex<(u64, Vec<(String, u64)>)>,
}

impl Topic {
    fn of(partitions: usize, shown: usize) -> Self {
        Topic(Arc::new(Inner {
            partitions: (0..partitions).map(|_| MemoryLog::new(1)).collect(),
            shown: AtomicUsize::new(shown),
            fails: AtomicUsize::new(0),
            covered: Mutex::default(),
        }))
    }

    fn append(&self, partition: usize, records: impl IntoIterator<Item = u64>) {
        self.0.partitions[partition].append(0, records).unwrap();
    }

    fn end(&self, partition: usize) {
        self.0.partitions[partition].close();
    }

    /// The last checkpoint that the topic was told of, and how many records it covers.
    fn covered(&self) -> (u64, u64) {
        let covered = self.0.covered.lock().unwrap();
        (covered.0, covered.1.iter().map(|(_, read)| read).sum())
    }

    fn show(&self, partitions: usize) {
        self.0.shown.store(partitions, Ordering::Release);
    }
}

impl Source<u64> for Topic {
    fn info(&self) -> SourceInfo {
        SourceInfo {
            kind: "topic",
            detail: String::new(),
            boundedness: Boundedness::Unbounded,
            repeatable: true,
        }
    }

    fn partitions(&self) -> Result<Vec<String>, Problem> {
        let shown = self.0.shown.load(Ordering::Acquire);
        Ok((0..shown).map(|number| format!("p{number}")).collect())
    }

    fn open(&self, partition: usize, opening: Opening) -> Result<Box<dyn Reader<u64>>, Problem> {
        self.0.partitions[partition].open(0, opening)
    }

    fn discovery(&self) -> Option<Arc<dyn Discovery>> {
        Some(Arc::new(self.clone()))
    }

    fn covered(&self, checkpoint: u64, positions: &[(String, Position)]) {
        let read = |(name, position): &(String, Position)| (name.clone(), position.read().unwrap());
        *self.0.covered.lock().unwrap() = (checkpoint, positions.iter().map(read).collect());
    }
}

impl Discovery for Topic {
    fn interval(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn look(&self) -> Result<Vec<String>, Problem> {
        match self.0.fails.load(Ordering::Acquire) {
            0 => self.partitions(),
            1 => Err(Problem::new("the topic is gone")),
            _ => panic!("no more topics"),
        }
    }
}

#[pipeline]
fn by_ten(numbers: Stream<u64>) -> Table<u64, u64> {
    let counts = numbers.key_by(|n| n % 10).count();
    counts
}

#[pipeline]
fn windows(numbers: Stream<u64>) -> (Timed<Windowed<u64, u64>>, Stream<u64>) {
    let (timed, late) = numbers.event_time(
        |n| EventTime::secs(*n as i64),
        Lateness::secs(5).leap(Leap::ANY),
    );
    let counts = timed.key_by(|_| 0).tumbling(Size::secs(10)).count();
    (counts, late)
}

/// Runs a scenario in each mode that takes a source without an end, on one worker and on several.
fn everywhere(scenario: fn(Mode, usize)) {
    for mode in MODES.iter().filter(|mode| **mode != "batch") {
        for workers in [1, 2, 3] {
            within(&format!("{mode} on {workers}"), move || {
                scenario(mode.parse().unwrap(), workers);
            });
        }
    }
}

fn expected(numbers: impl Iterator<Item = u64>) -> BTreeMap<u64, u64> {
    let mut counts = BTreeMap::new();
    for number in numbers {
        *counts.entry(number % 10).or_default() += 1;
    }
    counts
}

/// A job whose changes are written as they come.
fn counting(source: impl Source<u64>, sink: io::Collect<Change<u64, u64>>) -> Job {
    let job = Job::new("by_ten", |graph| {
        let numbers = graph.input::<u64>("numbers");
        graph.output("counts", numbers.key_by(|n| n % 10).count().changes());
    });
    job.source("numbers", source).sink("counts", sink)
}

/// What the last change of each key says.
fn last(changes: Vec<Change<u64, u64>>) -> BTreeMap<u64, u64> {
    let value = |change: Change<_, _>| (change.key, change.value.unwrap());
    changes.into_iter().map(value).collect()
}

fn counts(rows: Vec<Entry<u64, u64>>) -> BTreeMap<u64, u64> {
    rows.into_iter().map(|row| (row.key, row.value)).collect()
}

#[test]
fn partitions_that_appear_are_read_like_those_that_were_there() {
    everywhere(|mode, workers| {
        for there in [0, 1, 4] {
            let topic = Topic::of(7, there);
            let (sink, changes) = io::collect();
            let job = counting(topic.clone(), sink);
            let handle = job.workers(workers).start(mode).unwrap();
            for shown in there.max(1)..=7 {
                for partition in 0..shown {
                    let number = (shown * 10 + partition) as u64;
                    topic.append(partition, [number, number + 1]);
                }
                topic.show(shown);
                let read: usize = (there.max(1)..=shown).map(|n| n * 2).sum();
                until_read(&handle, "numbers", read as u64);
            }
            handle.stopper().drain();
            handle.wait().unwrap();
            let numbers = (there.max(1)..=7).flat_map(|shown| {
                (0..shown).flat_map(move |partition| {
                    let number = (shown * 10 + partition) as u64;
                    [number, number + 1]
                })
            });
            let counts = last(changes.take());
            assert_eq!(counts, expected(numbers), "{there} at the start");
        }
    });
}

#[test]
fn the_end_of_all_partitions_is_not_the_end_of_time() {
    everywhere(|mode, workers| {
        let topic = Topic::of(3, 1);
        let (sink, rows) = io::to_channel(100);
        let (late, lates) = io::collect();
        let job = windows::job()
            .numbers(topic.clone())
            .counts(sink)
            .late(late);
        let handle = job.workers(workers).start(mode).unwrap();
        let mut got = Vec::new();
        let next = || {
            let row: Windowed<u64, u64> = rows.recv_timeout(common::SCENARIO_MAX).unwrap();
            (row.start.as_millis() / 1_000, row.value)
        };
        // What is promised last is 34: three windows are complete, and nothing else is.
        topic.append(0, 0..40);
        topic.end(0);
        got.extend([next(), next(), next()]);
        // Another that goes on from there finds the fourth still open.
        topic.append(1, 35..60);
        topic.show(2);
        topic.end(1);
        got.extend([next(), next()]);
        topic.append(2, 60..62);
        topic.end(2);
        topic.show(3);
        until_read(&handle, "numbers", 67);
        handle.stopper().drain();
        let report = handle.wait().unwrap();
        got.extend(
            rows.iter()
                .map(|row| (row.start.as_millis() / 1_000, row.value)),
        );
        let ends = [
            (0, 10),
            (10, 10),
            (20, 10),
            (30, 15),
            (40, 10),
            (50, 10),
            (60, 2),
        ];
        assert_eq!(got, ends);
        assert_eq!((report.counts.overtaken, lates.take()), (0, vec![]));
    });
}

#[test]
fn what_has_appeared_is_gone_on_with_on_other_workers() {
    everywhere(|mode, workers| {
        let (topic, store) = (Topic::of(6, 1), StateStore::memory());
        let start = |workers| {
            let (sink, changes) = io::collect();
            let job = counting(topic.clone(), sink);
            let job = job.state(store.clone()).workers(workers);
            let job = job.checkpoint_interval(Duration::from_millis(2));
            (job.start(mode).unwrap(), changes)
        };
        let covered = || topic.covered().1;
        let mut all = Vec::new();
        for run in 0..5_usize {
            let (handle, _) = start(1 + (workers + run) % 3);
            for (partition, number) in (0..=run + 1).zip(0..) {
                let numbers = number * 100 + run as u64..number * 100 + 50;
                topic.append(partition, numbers.clone());
                all.extend(numbers);
            }
            topic.show(run + 2);
            // It fails at some moment behind another checkpoint, or stops when it has read all.
            match run % 2 {
                0 => {
                    let before = topic.covered().0;
                    until("a checkpoint", || topic.covered().0 > before);
                    drop(handle);
                }
                _ => {
                    until("all is covered", || covered() == all.len() as u64);
                    handle.stop();
                    handle.wait().unwrap();
                }
            }
        }
        let (handle, changes) = start(workers);
        until("all is covered", || covered() == all.len() as u64);
        // One more of each digit shows what has been counted.
        topic.append(0, 0..10);
        all.extend(0..10);
        until("the last", || covered() == all.len() as u64);
        handle.stopper().drain();
        handle.wait().unwrap();
        assert_eq!(last(changes.take()), expected(all.into_iter()));
    });
}

#[test]
fn a_look_that_fails_or_panics_fails_the_job() {
    for (fails, told) in [(1, "the topic is gone"), (2, "no more topics")] {
        within("it fails", move || {
            let topic = Topic::of(1, 1);
            topic.0.fails.store(fails, Ordering::Release);
            let job = counting(topic.clone(), io::collect().0);
            let error = job.run(Mode::PerRecord).unwrap_err();
            assert!(
                error.to_string().contains(told) || format!("{error:?}").contains(told),
                "{error:?}"
            );
            if fails == 1 {
                assert!(matches!(error, Error::Source { port, .. } if port == "numbers"));
            }
        });
    }
}

#[test]
fn a_job_with_a_limit_reads_what_is_there() {
    within("a limit", || {
        let topic = Topic::of(2, 1);
        topic.append(0, 0..10);
        topic.append(1, 0..10);
        let (sink, rows) = io::collect();
        let job = by_ten::job().numbers(topic.clone()).counts(sink).limit(4);
        topic.show(1);
        job.run(Mode::PerRecord).unwrap();
        assert_eq!(counts(rows.take()), expected(0..4));
    });
}

#[test]
fn a_record_behind_the_watermark_in_a_lane_that_appears_is_overtaken_and_counted() {
    everywhere(|mode, workers| {
        let topic = Topic::of(2, 1);
        let (sink, rows) = io::to_channel::<Windowed<u64, u64>>(100);
        let job = windows::job()
            .numbers(topic.clone())
            .counts(sink)
            .late(io::discard());
        let handle = job.workers(workers).start(mode).unwrap();
        topic.append(0, [10, 11, 100]);
        let first = rows.recv_timeout(common::SCENARIO_MAX).unwrap();
        assert_eq!((first.start, first.value), (EventTime::secs(10), 2));
        topic.append(1, [12, 93, 120]);
        topic.show(2);
        until_read(&handle, "numbers", 6);
        handle.stopper().drain();
        let report = handle.wait().unwrap();
        let rest: Vec<_> = rows.iter().map(|row| (row.start, row.value)).collect();
        let ends = [(90, 1), (100, 1), (120, 1)];
        let ends = ends.map(|(start, count)| (EventTime::secs(start), count));
        // 12 is overtaken: its window was written. The lane starts at the watermark of 95, so 93 is in time
        // for the window [90, 100), which is open still.
        assert_eq!(rest, ends);
        assert_eq!(report.counts.overtaken, 1);
    });
}

/// A record that was overtaken, of one input or of two.
type Missed = (EventTime, u64, Either<u64, u64>);

/// What a stage emits, with nothing but its event times, and what was overtaken there, if it says so.
type Told = (Timed<()>, Option<Stream<Missed, Mixed>>);

/// A stage over the even numbers, or over the even and the odd ones.
type Stage = fn(Keyed<u64, u64, OnTime>, Keyed<u64, u64, OnTime>) -> Told;

fn told<T: 'static, R: 'static>(
    (out, overtaken): (Timed<T>, Stream<(EventTime, u64, R), Mixed>),
    side: fn(R) -> Either<u64, u64>,
) -> Told {
    let missed = overtaken.map(move |(time, key, record)| (time, key, side(record)));
    (out.map(|_| ()), Some(missed))
}

/// Emits what it is given.
struct Pass;

impl KeyedOperator for Pass {
    type Key = u64;
    type In = u64;
    type State = ();
    type Out = u64;

    fn record(&self, _: &u64, number: u64, _: &mut (), cx: &mut Cx<u64>) {
        cx.emit(number);
    }
}

const GAP: Gap = Gap::secs(5);
const TEN: Size = Size::secs(10);

/// Each stage that takes two streams: its id, its method that hands over, and how it is made.
const OF_TWO: [(&str, &str, Stage); 5] = [
    (
        "interval_join",
        "interval_join_with_overtaken",
        |even, odd| told(even.interval_join_with_overtaken(odd, GAP, GAP), |row| row),
    ),
    (
        "left_interval_join",
        "left_interval_join_with_overtaken",
        |even, odd| {
            told(
                even.left_interval_join_with_overtaken(odd, GAP, GAP),
                |row| row,
            )
        },
    ),
    (
        "full_interval_join",
        "full_interval_join_with_overtaken",
        |even, odd| {
            told(
                even.full_interval_join_with_overtaken(odd, GAP, GAP),
                |row| row,
            )
        },
    ),
    ("as_of_join", "as_of_join_with_overtaken", |even, odd| {
        told(even.as_of_join_with_overtaken(odd), |row| row)
    }),
    ("tumbling", "window_join_with_overtaken", |even, odd| {
        told(even.tumbling(TEN).window_join_with_overtaken(odd), |row| {
            row
        })
    }),
];

/// Each stage that takes one; there are records to hand over for all but one.
const OF_ONE: [(&str, &str, Stage); 7] = [
    ("dedup", "dedup_with_overtaken", |even, _| {
        told(even.dedup_with_overtaken(GAP), Either::Left)
    }),
    ("absence", "absence_with_overtaken", |even, _| {
        told(even.absence_with_overtaken(GAP), Either::Left)
    }),
    ("in_order", "in_order_with_overtaken", |even, _| {
        let (ordered, overtaken) = even.in_order_with_overtaken();
        told((ordered.scan(|| (), |_, _| ()), overtaken), Either::Left)
    }),
    ("apply", "apply_with_overtaken", |even, _| {
        told(even.apply_with_overtaken(Pass), Either::Left)
    }),
    ("session", "fold_with_overtaken", |even, _| {
        let add = |sum: &mut u64, number| *sum += number;
        told(
            even.session(GAP).fold_with_overtaken(|| 0, add, add),
            Either::Left,
        )
    }),
    ("sliding", "aggregate_with_overtaken", |even, _| {
        let windows = even.sliding(TEN, Size::secs(5));
        told(windows.aggregate_with_overtaken(count()), Either::Left)
    }),
    (
        "tumbling",
        "aggregate_with_overtaken(count())",
        |even, _| (even.tumbling(TEN).count().map(|_| ()), None),
    ),
];

/// Overtakes the 12 and the 13 by a lane that is far ahead. Gives what was handed over, and what is warned of.
fn overtake(stage: Stage, reads: bool, mode: Mode, workers: usize) -> (Vec<Missed>, Vec<String>) {
    let topic = Topic::of(2, 1);
    let (passed, rows) = io::to_channel::<Windowed<u8, u64>>(100);
    let (missed, overtaken) = io::collect::<Missed>();
    let mut job = Job::new("job", move |graph| {
        let at = |number: &u64| EventTime::secs(*number as i64);
        let numbers = graph.input::<u64>("numbers");
        let (timed, _) = numbers.event_time(at, Lateness::secs(5).leap(Leap::ANY));
        let (even, odd) = timed.split(|number| number % 2 == 0);
        let (out, overtaken) = stage(even.key_by(|_| 7), odd.key_by(|_| 7));
        graph.output("passed", out.key_by(|()| 0_u8).tumbling(TEN).count());
        if let (true, Some(overtaken)) = (reads, overtaken) {
            graph.output("missed", overtaken);
        }
    });
    job = job.source("numbers", topic.clone()).sink("passed", passed);
    if reads {
        job = job.sink("missed", missed);
    }
    let handle = job.workers(workers).start(mode).unwrap();
    topic.append(0, [10, 11, 100, 101]);
    // A window behind the stage is complete when the watermark of the stage has passed it.
    rows.recv_timeout(common::SCENARIO_MAX).unwrap();
    topic.append(1, [12, 13, 120, 121]);
    topic.show(2);
    until_read(&handle, "numbers", 8);
    handle.stopper().drain();
    let report = handle.wait().unwrap();
    let warnings = report.warnings.iter().map(ToString::to_string).collect();
    (common::sorted(overtaken.take()), warnings)
}

const OVERTAKEN: [Missed; 2] = [
    (EventTime::secs(12), 7, Either::Left(12)),
    (EventTime::secs(13), 7, Either::Right(13)),
];

#[test]
fn a_stage_hands_over_what_was_overtaken_of_all_its_inputs() {
    everywhere(|mode, workers| {
        let stages = OF_TWO.iter().map(|stage| (stage, &OVERTAKEN[..]));
        let of_one = OF_ONE[..6].iter().map(|stage| (stage, &OVERTAKEN[..1]));
        for ((id, method, stage), expected) in stages.chain(of_one) {
            let (missed, warnings) = overtake(*stage, true, mode, workers);
            assert_eq!(missed, expected, "{method}");
            let many = expected.len();
            let told = format!(
                "{many} of 8 records of `numbers` were handed over as overtaken: their lane joined after \
                 `job/{id}` had passed them"
            );
            assert_eq!(warnings, [told]);
        }
    });
}

#[test]
fn what_was_overtaken_is_told_with_the_method_of_the_stage_that_hands_it_over() {
    everywhere(|mode, workers| {
        let stages = OF_TWO.iter().map(|stage| (stage, 2));
        for ((id, method, stage), many) in stages.chain(OF_ONE.iter().map(|stage| (stage, 1))) {
            let (missed, warnings) = overtake(*stage, false, mode, workers);
            assert_eq!(missed, []);
            let told = format!(
                "{many} of 8 records of `numbers` count nowhere: their lane joined after `job/{id}` had \
                 passed them. `{method}` hands them over"
            );
            assert_eq!(warnings, [told]);
        }
    });
}

/// A topic that is read by a connection, one a run. Clones count together.
#[derive(Clone)]
struct Server {
    topic: Topic,
    /// How many connections there have been, and how many there are.
    made: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
}

/// What all partitions of a run share.
struct Connection(Server);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Source<u64> for Server {
    fn info(&self) -> SourceInfo {
        self.topic.info()
    }

    fn partitions(&self) -> Result<Vec<String>, Problem> {
        Err(Problem::new("nobody is connected"))
    }

    fn open(&self, _: usize, _: Opening) -> Result<Box<dyn Reader<u64>>, Problem> {
        Err(Problem::new("nobody is connected"))
    }

    fn revised(&self, revision: &Revision) -> Revised<dyn Source<u64>> {
        matches!(revision, Revision::Connected { .. }).then(|| {
            self.made.fetch_add(1, Ordering::AcqRel);
            self.open.fetch_add(1, Ordering::AcqRel);
            Ok(Arc::new(Connection(self.clone())) as _)
        })
    }
}

impl Source<u64> for Connection {
    fn info(&self) -> SourceInfo {
        self.0.topic.info()
    }

    fn partitions(&self) -> Result<Vec<String>, Problem> {
        self.0.topic.partitions()
    }

    fn open(&self, partition: usize, opening: Opening) -> Result<Box<dyn Reader<u64>>, Problem> {
        self.0.topic.open(partition, opening)
    }

    fn discovery(&self) -> Option<Arc<dyn Discovery>> {
        self.0.topic.discovery()
    }
}

#[test]
fn a_run_has_one_connection_for_all_partitions_and_closes_it() {
    everywhere(|mode, workers| {
        let server = Server {
            topic: Topic::of(3, 1),
            made: Arc::default(),
            open: Arc::default(),
        };
        let topic = &server.topic;
        for run in 1..=2 {
            let (sink, changes) = io::collect();
            let source = server.clone().skip_bad_records();
            let job = counting(source, sink);
            let handle = job.workers(workers).start(mode).unwrap();
            assert_eq!(server.open.load(Ordering::Acquire), 1);
            topic.append(0, 0..5);
            topic.append(2, 0..5);
            topic.show(3);
            until_read(&handle, "numbers", run * 10);
            handle.stopper().drain();
            handle.wait().unwrap();
            assert_eq!(last(changes.take())[&4], 2 * run);
            assert_eq!(server.open.load(Ordering::Acquire), 0);
            assert_eq!(server.made.load(Ordering::Acquire), run as usize);
        }
    });
}

#[cfg(feature = "files")]
mod watched {
    use std::fs;
    use std::path::Path;

    use stream_core::io::files;

    use super::*;

    /// Puts a file of numbers into a folder, whole.
    fn put(folder: &Path, name: &str, numbers: impl Iterator<Item = u64>) {
        let hidden = folder.join(format!(".{name}"));
        let lines = numbers.map(|number| format!("{number}\n"));
        fs::write(&hidden, lines.collect::<String>()).unwrap();
        fs::rename(hidden, folder.join(name)).unwrap();
    }

    #[pipeline]
    fn singles(lines: Stream<(u64,)>) -> Stream<u64> {
        let numbers = lines.map(|(n,)| n);
        numbers
    }

    fn watched(path: impl AsRef<Path>) -> files::FileSource<(u64,), files::Csv> {
        let source = files::csv(path).without_header();
        source.watch_every(Duration::from_millis(1))
    }

    #[test]
    fn more_files_than_are_read_at_once_are_all_read() {
        everywhere(|mode, workers| {
            let folder = tempfile::tempdir().unwrap();
            let there = files::MAX_PARALLEL_FILES as u64 + 44;
            for file in 0..there {
                put(
                    folder.path(),
                    &format!("{file}.csv"),
                    file * 10..file * 10 + 3,
                );
            }
            let (sink, rows) = io::collect();
            let job = singles::job().lines(watched(folder.path())).numbers(sink);
            let handle = job.workers(workers).start(mode).unwrap();
            until_read(&handle, "lines", there * 3);
            for file in there..there + 20 {
                put(
                    folder.path(),
                    &format!("{file}.csv"),
                    file * 10..file * 10 + 3,
                );
            }
            until_read(&handle, "lines", (there + 20) * 3);
            handle.stop();
            handle.wait().unwrap();
            let all = (0..there + 20).flat_map(|file| file * 10..file * 10 + 3);
            assert_eq!(common::sorted(rows.take()), all.collect::<Vec<_>>());
        });
    }

    #[test]
    fn files_that_appear_are_read_once_over_failures_and_stops() {
        everywhere(|mode, workers| {
            let folder = tempfile::tempdir().unwrap();
            let (input, output) = (folder.path().join("in"), folder.path().join("out"));
            fs::create_dir(&input).unwrap();
            fs::create_dir(&output).unwrap();
            let store = StateStore::memory();
            for run in 0..6_u64 {
                let job = singles::job()
                    .lines(watched(input.join("*.csv")))
                    .numbers(files::to_csv(format!("{}/", output.display())));
                let job = job
                    .state(store.clone())
                    .workers(1 + (workers + run as usize) % 3);
                let job = job.checkpoint_interval(Duration::from_millis(2));
                let handle = job.start(mode).unwrap();
                let numbers = run * 1_000..(run + 1) * 1_000;
                put(&input, &format!("{run}.csv"), numbers);
                if run % 2 == 0 {
                    // Some of it at least.
                    until_read(&handle, "lines", 1 + (run * 1_237) % 700);
                    drop(handle);
                    continue;
                }
                until("all is written", || {
                    written(&output).len() as u64 == (run + 1) * 1_000
                });
                handle.stop();
                handle.wait().unwrap();
                // What was read to its end may go.
                fs::remove_file(input.join(format!("{run}.csv"))).unwrap();
            }
            let all: Vec<_> = (0..6_000).collect();
            assert_eq!(written(&output), all);
        });
    }

    /// All numbers that are committed.
    fn written(folder: &Path) -> Vec<u64> {
        let Ok(files) = fs::read_dir(folder) else {
            return Vec::new();
        };
        let mut all = Vec::new();
        for file in files {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "csv") {
                let text = fs::read_to_string(path).unwrap_or_default();
                all.extend(text.lines().filter_map(|line| line.parse::<u64>().ok()));
            }
        }
        common::sorted(all)
    }

    #[test]
    fn a_file_that_was_away_for_a_run_is_not_read_again() {
        within("away for a run", || {
            let folder = tempfile::tempdir().unwrap();
            let (input, away) = (folder.path().join("in"), folder.path().join("away"));
            fs::create_dir(&input).unwrap();
            put(&input, "a.csv", 0..3);
            let store = StateStore::memory();
            // It is there, away, away once more, and back; another file shows when it would have been read.
            let mut all = Vec::new();
            for run in 0..4 {
                match run {
                    1 => fs::rename(input.join("a.csv"), &away).unwrap(),
                    3 => fs::rename(&away, input.join("a.csv")).unwrap(),
                    _ => {}
                }
                put(&input, &format!("b{run}.csv"), run * 10..run * 10 + 2);
                let (sink, rows) = io::collect();
                let job = singles::job().lines(watched(&input)).numbers(sink);
                let handle = job.state(store.clone()).start(Mode::PerRecord).unwrap();
                until_read(&handle, "lines", if run == 0 { 5 } else { 2 });
                handle.stop();
                handle.wait().unwrap();
                all.extend(rows.take());
            }
            let expected = [0, 0, 1, 1, 2, 10, 11, 20, 21, 30, 31];
            assert_eq!(common::sorted(all), expected);
        });
    }

    #[test]
    fn a_job_does_not_watch_what_it_writes() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        fs::create_dir(&out).unwrap();
        for path in [out.clone(), out.join("*.csv")] {
            let sink = files::to_csv(format!("{}/", out.display()));
            let job = singles::job().lines(watched(&path)).numbers(sink);
            let error = job.run(Mode::PerRecord).unwrap_err();
            assert!(
                matches!(error, Error::Plan(_)),
                "{}: {error}",
                path.display()
            );
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_name_that_is_no_text_is_told() {
        use std::os::unix::ffi::OsStrExt;

        let folder = tempfile::tempdir().unwrap();
        let name = std::ffi::OsStr::from_bytes(b"a\xFF.csv");
        fs::write(folder.path().join(name), "1\n").unwrap();
        let told = watched(folder.path()).partitions().unwrap_err().to_string();
        assert!(
            told.contains("no UTF-8") && told.contains("rename it"),
            "{told}"
        );
    }

    #[test]
    fn nothing_to_read_yet_and_a_limit_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let job = singles::job()
            .lines(watched(folder.path()))
            .numbers(io::discard());
        let told = job.limit(1).run(Mode::PerRecord).unwrap_err().to_string();
        assert!(told.contains("does not look for more"), "{told}");
    }

    #[test]
    fn what_cannot_be_watched_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), "one.csv", 0..1);
        let one = watched(folder.path().join("one.csv"));
        let sequence = watched(folder.path()).in_sequence();
        let nowhere = watched(folder.path().join("nowhere"));
        for (source, part) in [
            (one, "watch the folder"),
            (sequence, "in_sequence"),
            (nowhere, "no such file or folder"),
        ] {
            let told = source.partitions().unwrap_err().to_string();
            assert!(told.contains(part), "{told}");
        }
        let batch = singles::job()
            .lines(watched(folder.path()))
            .numbers(io::discard());
        let told = batch.run(Mode::Batch).unwrap_err().to_string();
        assert!(told.contains("never ends"), "{told}");
    }
}
