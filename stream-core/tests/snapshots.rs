//! A job that was stopped goes on in any mode and on any number of workers as if it had never been
//! stopped.

#![allow(clippy::unwrap_used, reason = "what a test cannot do without fails it")]

mod common;

use std::collections::BTreeMap;

use common::{MODES, sorted, until_read, within};
use serde::{Deserialize, Serialize};
use stream_core::Snapshot;
use stream_core::io::{MemoryLog, Rows, collect};
use stream_core::ops::Entry;
use stream_core::prelude::*;
use stream_core::run::Outcome;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Click {
    user: u64,
    at: i64,
    price: u64,
}

const PARTITIONS: u64 = 3;

fn pipeline(graph: &Graph) {
    let clicks = graph.input::<Click>("clicks");
    let by_user = clicks.clone().key_by(|click| click.user);
    graph.output("count", by_user.clone().count());
    let dearest = |best: &mut u64, click: Click| *best = click.price.max(*best);
    graph.output("fold", by_user.clone().fold(|| 0, dearest));
    let in_order = |hash: &mut u64, click: Click| {
        *hash = hash.wrapping_mul(31).wrapping_add(click.price);
        *hash
    };
    graph.output("scan", by_user.scan(|| 7, in_order));
    let (timed, late) = clicks.event_time(
        |click| EventTime::secs(click.at),
        Lateness::secs(4).leap(Leap::ANY),
    );
    graph.output("late", late);
    let timed = timed.key_by(|click| click.user);
    graph.output("session", timed.clone().session(Gap::secs(9)).count());
    let sum = |sum: &mut u64, click: Click| *sum += click.price;
    let sums = timed.tumbling(Size::secs(60));
    graph.output("tumbling", sums.fold(|| 0, sum));
}

/// What one job has written, in an order that does not depend on the run.
#[derive(Clone, Debug, Default, PartialEq)]
struct Written {
    count: Vec<Entry<u64, u64>>,
    fold: Vec<Entry<u64, u64>>,
    /// What `scan` said of each user, in its order.
    scan: BTreeMap<u64, Vec<u64>>,
    late: Vec<Click>,
    session: Vec<Windowed<u64, u64>>,
    tumbling: Vec<Windowed<u64, u64>>,
}

impl Written {
    /// What two jobs have written one after the other. Final content is that of the last.
    fn then(self, later: Written) -> Written {
        let mut scan = self.scan;
        for (user, said) in later.scan {
            scan.entry(user).or_default().extend(said);
        }
        Written {
            count: later.count,
            fold: later.fold,
            scan,
            late: sorted([self.late, later.late].concat()),
            session: sorted([self.session, later.session].concat()),
            tumbling: sorted([self.tumbling, later.tumbling].concat()),
        }
    }
}

struct Outputs {
    count: Rows<Entry<u64, u64>>,
    fold: Rows<Entry<u64, u64>>,
    scan: Rows<(u64, u64)>,
    late: Rows<Click>,
    session: Rows<Windowed<u64, u64>>,
    tumbling: Rows<Windowed<u64, u64>>,
}

impl Outputs {
    fn take(&self) -> Written {
        let mut scan = BTreeMap::<u64, Vec<u64>>::new();
        for (user, said) in self.scan.take() {
            scan.entry(user).or_default().push(said);
        }
        Written {
            count: sorted(self.count.take()),
            fold: sorted(self.fold.take()),
            scan,
            late: sorted(self.late.take()),
            session: sorted(self.session.take()),
            tumbling: sorted(self.tumbling.take()),
        }
    }
}

fn job(log: &MemoryLog<Click>, start: Snapshot, workers: usize) -> (Job, Outputs) {
    let (count, count_rows) = collect();
    let (fold, fold_rows) = collect();
    let (scan, scan_rows) = collect();
    let (late, late_rows) = collect();
    let (session, session_rows) = collect();
    let (tumbling, tumbling_rows) = collect();
    let outputs = Outputs {
        count: count_rows,
        fold: fold_rows,
        scan: scan_rows,
        late: late_rows,
        session: session_rows,
        tumbling: tumbling_rows,
    };
    let job = Job::new("job", pipeline).source("clicks", log.clone());
    let job = job
        .sink("count", count)
        .sink("fold", fold)
        .sink("scan", scan);
    let job = job
        .sink("late", late)
        .sink("session", session)
        .sink("tumbling", tumbling);
    (job.workers(workers).start_from(start), outputs)
}

/// Clicks of a partition: its users click nowhere else, and some clicks are late.
fn clicks(partition: u64, seed: u64) -> Vec<Click> {
    let mut random = common::Random::new(seed.wrapping_mul(PARTITIONS) + partition);
    let click = |n: i64| Click {
        user: random.below(9) * PARTITIONS + partition,
        at: n * 3 - i64::try_from(random.below(12)).unwrap(),
        price: random.below(1_000),
    };
    (0..120).map(click).collect()
}

/// Appends one piece of each partition's clicks, where pieces are cut anew for each partition.
fn append(log: &MemoryLog<Click>, seed: u64, piece: usize, pieces: usize) -> u64 {
    let mut appended = 0;
    for partition in 0..PARTITIONS {
        let clicks = clicks(partition, seed);
        let cut = |piece: usize| match piece {
            0 => 0,
            piece if piece == pieces => clicks.len(),
            piece => clicks.len() * piece / pieces + partition as usize * 5,
        };
        let part = clicks[cut(piece)..cut(piece + 1)].to_vec();
        appended += part.len() as u64;
        log.append(partition as usize, part).unwrap();
    }
    appended
}

fn whole(seed: u64) -> Written {
    let log = MemoryLog::new(PARTITIONS as usize);
    append(&log, seed, 0, 1);
    log.close();
    let (job, outputs) = job(&log, Snapshot::default(), 1);
    job.run(Mode::Batch).unwrap();
    outputs.take()
}

/// Reads one piece and stops.
fn run_piece(
    log: &MemoryLog<Click>,
    start: Snapshot,
    mode: &str,
    workers: usize,
    records: u64,
) -> (Snapshot, Written) {
    let (job, outputs) = job(log, start, workers);
    let handle = job.start(mode.parse().unwrap()).unwrap();
    until_read(&handle, "clicks", records);
    handle.stop();
    let report = handle.wait().unwrap();
    assert_eq!(report.counts.read["clicks"], records);
    (report.snapshot.unwrap(), outputs.take())
}

/// Reads what is left.
fn run_rest(log: &MemoryLog<Click>, start: Snapshot, mode: &str, workers: usize) -> Written {
    let (job, outputs) = job(log, start, workers);
    let report = job.run(mode.parse().unwrap()).unwrap();
    assert_eq!(report.outcome, Outcome::Finished);
    assert_eq!((report.counts.open, report.counts.overtaken), (0, 0));
    outputs.take()
}

fn stopped_in(first_mode: &'static str) {
    for first_workers in [1, 2] {
        let name = format!("{first_mode} on {first_workers}, then another");
        within(&name, move || {
            let (log, seed) = (MemoryLog::new(PARTITIONS as usize), 11);
            let records = append(&log, seed, 0, 2);
            let start = Snapshot::default();
            let (snapshot, early) = run_piece(&log, start, first_mode, first_workers, records);
            append(&log, seed, 1, 2);
            log.close();
            let expected = whole(seed);
            assert!(!early.session.is_empty() && !expected.late.is_empty());
            for mode in MODES {
                for workers in [1, 2, 3] {
                    let late = run_rest(&log, snapshot.clone(), mode, workers);
                    let all = early.clone().then(late);
                    assert_eq!(all, expected, "{mode} on {workers}");
                }
            }
        });
    }
}

#[test]
fn a_job_stopped_in_batch_mode_goes_on_in_any() {
    stopped_in("batch");
}

#[test]
fn a_job_stopped_in_micro_batches_goes_on_in_any_mode() {
    stopped_in("micro-batch=3records");
    stopped_in("micro-batch=1ms");
}

#[test]
fn a_job_stopped_record_by_record_goes_on_in_any_mode() {
    stopped_in("per-record");
    stopped_in("per-record=strict");
}

/// Each job but the first is restored from one that was restored, on other workers than before.
#[test]
fn a_job_that_is_stopped_again_and_again_goes_on_each_time() {
    const PIECES: usize = 5;
    for seed in 0..12 {
        within(&format!("seed {seed}"), move || {
            let mut random = common::Random::new(seed);
            let log = MemoryLog::new(PARTITIONS as usize);
            let (mut snapshot, mut all) = (Snapshot::default(), Written::default());
            for piece in 0..PIECES {
                let mode = MODES[random.below(MODES.len() as u64) as usize];
                let workers = 1 + random.below(4) as usize;
                let records = append(&log, seed, piece, PIECES);
                let late;
                if piece + 1 < PIECES {
                    (snapshot, late) = run_piece(&log, snapshot, mode, workers, records);
                } else {
                    log.close();
                    late = run_rest(&log, snapshot.clone(), mode, workers);
                }
                all = all.then(late);
            }
            assert_eq!(all, whole(seed));
        });
    }
}

fn click(user: u64, at: i64) -> Click {
    let price = 1;
    Click { user, at, price }
}

/// In batch mode a table withholds its changes to the end, so nobody behind it knows of them.
#[test]
fn what_a_table_withheld_in_batch_mode_is_emitted_in_every_other() {
    for mode in MODES {
        for workers in [1, 2] {
            within(&format!("{mode} on {workers}"), move || {
                let log = MemoryLog::new(1);
                log.append(0, [click(1, 0), click(2, 0), click(1, 0)])
                    .unwrap();
                let start = Snapshot::default();
                let (snapshot, _) = run_piece(&log, start, "batch", workers, 3);
                log.append(0, [click(3, 0)]).unwrap();
                log.close();
                let count = run_rest(&log, snapshot, mode, workers).count;
                let counts: Vec<_> = count.iter().map(|entry| (entry.key, entry.value)).collect();
                assert_eq!(counts, [(1, 2), (2, 1), (3, 1)]);
            });
        }
    }
}

/// The second job owns fewer lanes than the first, and must not write what it has forgotten of the
/// others.
#[test]
fn lateness_survives_two_stops_on_other_workers() {
    within("lateness", || {
        let log = MemoryLog::new(2);
        let append = |at| (0..2).for_each(|lane| log.append(lane, [click(0, at)]).unwrap());
        append(100);
        let (first, _) = run_piece(&log, Snapshot::default(), "per-record", 1, 2);
        append(200);
        let (second, _) = run_piece(&log, first, "per-record", 2, 2);
        append(150);
        log.close();
        for workers in [1, 2, 3] {
            let late = run_rest(&log, second.clone(), "per-record", workers).late;
            assert_eq!(late, [click(0, 150), click(0, 150)], "on {workers}");
        }
    });
}

/// More keys than are saved in one piece, changed again and again while the job runs.
#[test]
fn a_job_with_many_keys_that_is_stopped_goes_on_on_any_number_of_workers() {
    const KEYS: u64 = 40_000;
    let job = |log: &MemoryLog<u64>, start: Snapshot, workers: usize| {
        let (sink, rows) = collect::<Entry<u64, u64>>();
        let job = Job::new("many", |graph: &Graph| {
            let numbers = graph.input::<u64>("numbers");
            graph.output("counts", numbers.key_by(|number| number % KEYS).count());
        });
        let job = job.source("numbers", log.clone()).sink("counts", sink);
        (job.workers(workers).start_from(start), rows)
    };
    let (first, all) = (KEYS * 5 / 4, KEYS * 5 / 2);
    for mode in ["batch", "micro-batch=1ms", "per-record"] {
        for (first_workers, workers) in [(1, 3), (2, 1), (3, 2), (1, 1)] {
            let name = format!("{mode} on {first_workers}, then on {workers}");
            within(&name, move || {
                let log = MemoryLog::new(3);
                let append = |numbers: std::ops::Range<u64>| {
                    for number in numbers {
                        log.append(number as usize % 3, [number]).unwrap();
                    }
                };
                append(0..first);
                let (early, _) = job(&log, Snapshot::default(), first_workers);
                let early = early.start(mode.parse().unwrap()).unwrap();
                until_read(&early, "numbers", first);
                early.stop();
                let snapshot = early.wait().unwrap().snapshot.unwrap();
                append(first..all);
                log.close();
                let (late, rows) = job(&log, snapshot, workers);
                late.run(mode.parse().unwrap()).unwrap();
                let counts: Vec<_> = sorted(rows.take());
                assert_eq!(counts.len() as u64, KEYS);
                for (key, entry) in (0..).zip(counts) {
                    let expected = 2 + u64::from(key < KEYS / 2);
                    assert_eq!((entry.key, entry.value), (key, expected));
                }
            });
        }
    }
}
