//! Checkpoints that are taken while a job runs are what the job was at their boundaries, and another one
//! goes on from each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::codec;
use crate::engine::Mode;
use crate::error::Problem;
use crate::graph::{Change, Entry, Graph, Key};
use crate::io::{
    Boundedness, Chunk, MemoryLog, Opening, Position, ReadStatus, Reader, Rows, Source, SourceInfo,
    collect, discard,
};
use crate::job::{Handle, Job};
use crate::state::Snapshot;
use crate::state::checkpoint::Part;

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Click {
    user: u64,
    price: u64,
}

const PARTITIONS: u64 = 3;
/// Enough for a save of many pieces.
const USERS: u64 = 9_000;
/// How many clicks of each partition there are before a checkpoint is asked for, and between two.
const FIRST: usize = 12_000;
const BETWEEN: usize = 700;
const CHECKPOINTS: usize = 6;

/// By partition: all clicks. Each user clicks in one.
fn clicks(seed: u64) -> Vec<Vec<Click>> {
    let random = &mut fastrand::Rng::with_seed(seed);
    let mut partition = |partition| {
        let click = |_| Click {
            user: random.u64(0..USERS / PARTITIONS) * PARTITIONS + partition,
            price: random.u64(0..1_000),
        };
        (0..FIRST + CHECKPOINTS * BETWEEN).map(click).collect()
    };
    (0..PARTITIONS).map(&mut partition).collect()
}

fn in_order(hash: &mut u64, price: u64) {
    *hash = hash.wrapping_mul(31).wrapping_add(price);
}

fn pipeline(graph: &Graph) {
    let clicks = graph.input::<Click>("clicks");
    let by_user = clicks.key_by(|click| click.user);
    graph.output("count", by_user.clone().count());
    let order = |hash: &mut u64, click: Click| in_order(hash, click.price);
    graph.output("fold", by_user.clone().fold(|| 0, order));
    let said = |hash: &mut u64, click: Click| {
        in_order(hash, click.price);
        *hash
    };
    graph.output("scan", by_user.scan(|| 0, said));
}

struct Outputs {
    count: Rows<Entry<u64, u64>>,
    fold: Rows<Entry<u64, u64>>,
    scan: Rows<(u64, u64)>,
}

fn job(log: &MemoryLog<Click>, start: Snapshot, workers: usize) -> (Job, Outputs) {
    let (count, count_rows) = collect();
    let (fold, fold_rows) = collect();
    let (scan, scan_rows) = collect();
    let job = Job::new("job", pipeline)
        .source("clicks", log.clone())
        .sink("count", count)
        .sink("fold", fold)
        .sink("scan", scan)
        .workers(workers)
        .start_from(start);
    let outputs = Outputs {
        count: count_rows,
        fold: fold_rows,
        scan: scan_rows,
    };
    (job, outputs)
}

/// By user: how many clicks there were, and what their order comes to.
fn state_of<'a>(clicks: impl Iterator<Item = &'a [Click]>) -> BTreeMap<u64, (u64, u64)> {
    let mut state = BTreeMap::<u64, (u64, u64)>::new();
    for click in clicks.flatten() {
        let (count, hash) = state.entry(click.user).or_default();
        *count += 1;
        in_order(hash, click.price);
    }
    state
}

/// What an operator has left in a snapshot.
fn saved(snapshot: &Snapshot, operator: &str) -> BTreeMap<u64, u64> {
    let shards = snapshot.parts.iter().filter(|((of, part), _)| {
        *of == format!("job/{operator}") && matches!(part, Part::Shard(_))
    });
    let rows = shards.flat_map(|(_, bytes)| {
        let bytes = bytes.read(None).unwrap();
        codec::decode::<Vec<(u64, u64)>>(&bytes).unwrap()
    });
    let mut saved = BTreeMap::new();
    for (key, state) in rows {
        assert!(saved.insert(key, state).is_none(), "{key} twice");
    }
    saved
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(60), "never: {what}");
        thread::yield_now();
    }
}

fn until_read(handle: &Handle, records: usize) {
    until("all is read", || {
        handle.counts().read["clicks"] >= records as u64
    });
}

/// Runs a job over all clicks, and asks for checkpoints while it reads. Gives the checkpoints, and the last
/// one of a job that is stopped.
fn with_checkpoints(
    all: &[Vec<Click>],
    mode: &str,
    workers: usize,
    random: &mut fastrand::Rng,
) -> Vec<Snapshot> {
    let log = MemoryLog::new(PARTITIONS as usize);
    let append = |from: usize, count: usize| {
        for (partition, clicks) in all.iter().enumerate() {
            let part = clicks[from..from + count].to_vec();
            log.append(partition, part).unwrap();
        }
        from + count
    };
    let (job, _) = job(&log, Snapshot::default(), workers);
    let handle = job.start(mode.parse::<Mode>().unwrap()).unwrap();
    let team = handle.running().team.clone();
    let mut appended = append(0, FIRST);
    until_read(&handle, FIRST * PARTITIONS as usize);
    let mut boundaries = BTreeSet::new();
    for _ in 0..CHECKPOINTS {
        let before = random.usize(1..BETWEEN);
        appended = append(appended, before);
        let asked = boundaries.len();
        let mut ask = || {
            team.shared.epochs.cut_checkpoint(|boundary| {
                team.shared.checkpoints.ask(boundary);
                boundaries.insert(boundary);
            });
            boundaries.len()
        };
        until("records come", || ask() > asked);
        appended = append(appended, BETWEEN - before);
        if random.bool() {
            until_read(&handle, appended * PARTITIONS as usize);
        }
    }
    until_read(&handle, appended * PARTITIONS as usize);
    assert!(boundaries.len() >= CHECKPOINTS);
    let left = |boundary: &u64| team.shared.checkpoints.left(*boundary);
    let are_whole = || boundaries.iter().all(|boundary| left(boundary).is_some());
    until("all checkpoints are whole", are_whole);
    let mut snapshots: Vec<Snapshot> = boundaries.iter().filter_map(left).collect();
    for snapshot in &mut snapshots {
        snapshot.fingerprints = team.plan.spec.fingerprints();
    }
    if random.bool() {
        handle.stop();
    } else {
        log.close();
    }
    snapshots.extend(handle.wait().unwrap().snapshot);
    snapshots
}

/// Goes on from a checkpoint to the end of all clicks.
fn go_on(all: &[Vec<Click>], snapshot: Snapshot, mode: &str, workers: usize) {
    let log = MemoryLog::new(PARTITIONS as usize);
    for (partition, clicks) in all.iter().enumerate() {
        log.append(partition, clicks.clone()).unwrap();
    }
    log.close();
    let (job, outputs) = job(&log, snapshot, workers);
    job.run(mode.parse().unwrap()).unwrap();
    let expected = state_of(all.iter().map(Vec::as_slice));
    let entries = |rows: &Rows<Entry<u64, u64>>| -> BTreeMap<u64, u64> {
        let rows = rows.take().into_iter();
        rows.map(|entry| (entry.key, entry.value)).collect()
    };
    let [counts, folds] = [&outputs.count, &outputs.fold].map(entries);
    assert!(counts.len() == expected.len() && folds.len() == expected.len());
    for (user, (count, hash)) in &expected {
        assert_eq!((counts[user], folds[user]), (*count, *hash));
    }
    let last: BTreeMap<u64, u64> = outputs.scan.take().into_iter().collect();
    assert!(last.iter().all(|(user, said)| *said == expected[user].1));
}

fn checkpoints_in(mode: &str) {
    for seed in 0..2 {
        for workers in 1..=3 {
            let random = &mut fastrand::Rng::with_seed(seed);
            let all = clicks(seed);
            let snapshots = with_checkpoints(&all, mode, workers, random);
            for snapshot in &snapshots {
                let read = |(partition, clicks): (usize, &'_ [Click])| {
                    let place = ("clicks".to_owned(), partition.to_string());
                    let end = &snapshot.partitions[&place];
                    end.position.read::<usize>().unwrap().min(clicks.len())
                };
                let all = all.iter().map(Vec::as_slice).enumerate();
                let expected = state_of(all.map(|(n, clicks)| &clicks[..read((n, clicks))]));
                let name = format!("seed {seed}, {workers} workers, {}", snapshot.epoch);
                let counts = expected.iter().map(|(user, state)| (*user, state.0));
                assert!(saved(snapshot, "count") == counts.collect(), "{name}");
                let hashes = expected.iter().map(|(user, state)| (*user, state.1));
                let hashes = hashes.collect::<BTreeMap<_, _>>();
                assert!(saved(snapshot, "fold") == hashes, "{name}");
                assert!(saved(snapshot, "scan") == hashes, "{name}");
            }
            let snapshot = random.choice(snapshots).unwrap();
            go_on(&all, snapshot, mode, random.usize(1..=3));
        }
    }
}

#[test]
fn checkpoints_in_batch_mode_are_what_the_job_was_there() {
    checkpoints_in("batch");
}

#[test]
fn checkpoints_between_micro_batches_are_what_the_job_was_there() {
    checkpoints_in("micro-batch=1ms");
    checkpoints_in("micro-batch=100records");
}

#[test]
fn checkpoints_between_records_are_what_the_job_was_there() {
    checkpoints_in("per-record");
}

/// Keys, 1,024 a read: each of so many once, and then any of them. Nothing is read before the worker has
/// come round, so the longest time between two reads is what holds it up.
struct Keys<F> {
    make: F,
    read: Arc<AtomicU64>,
    longest: Arc<Mutex<Duration>>,
}

const MEASURED: u64 = 1_000_000;

impl<Q: Send + 'static, F: Fn(u64) -> Q + Clone + Send + Sync + 'static> Source<Q> for Keys<F> {
    fn info(&self) -> SourceInfo {
        SourceInfo {
            kind: "keys",
            detail: String::new(),
            boundedness: Boundedness::Unbounded,
            repeatable: true,
        }
    }

    fn partitions(&self) -> Result<Vec<String>, Problem> {
        Ok(vec!["0".to_owned()])
    }

    fn open(&self, _: usize, opening: Opening) -> Result<Box<dyn Reader<Q>>, Problem> {
        let keys = Keys {
            make: self.make.clone(),
            read: self.read.clone(),
            longest: self.longest.clone(),
        };
        Ok(Box::new((keys, opening, None)))
    }
}

impl<Q: 'static, F: Fn(u64) -> Q> Reader<Q> for (Keys<F>, Opening, Option<Instant>) {
    fn read(&mut self, max: usize, into: &mut Chunk<Q>) -> Result<ReadStatus, Problem> {
        let (keys, opening, last) = self;
        if let Some(last) = last {
            let mut longest = keys.longest.lock().unwrap();
            *longest = longest.max(last.elapsed());
        }
        let from = keys.read.load(Ordering::Relaxed);
        let to = from + max.min(1_024) as u64;
        let number = |n: u64| match n < MEASURED {
            true => n,
            false => n.wrapping_mul(0x9E37_79B9_7F4A_7C15) % MEASURED,
        };
        into.extend((from..to).map(|n| (keys.make)(number(n))));
        keys.read.store(to, Ordering::Relaxed);
        *last = Some(Instant::now());
        Ok(ReadStatus::Until(opening.clock.elapsed()))
    }

    fn position(&self) -> Result<Position, Problem> {
        Position::of(&self.0.read.load(Ordering::Relaxed))
    }
}

fn measure<Q: Key + Sync>(
    name: &str,
    mode: &str,
    make: impl Fn(u64) -> Q + Clone + Send + Sync + 'static,
) {
    let (read, longest) = (
        Arc::<AtomicU64>::default(),
        Arc::<Mutex<Duration>>::default(),
    );
    let keys = Keys {
        make,
        read: read.clone(),
        longest: longest.clone(),
    };
    let job = Job::new("keys", |graph: &Graph| {
        let counts = graph.input::<Q>("in").key_by(Clone::clone).count();
        graph.output("out", counts.changes());
    });
    let job = job
        .source("in", keys)
        .sink::<Change<Q, u64>>("out", discard());
    let handle = job.start(mode.parse::<Mode>().unwrap()).unwrap();
    let team = handle.running().team.clone();
    let go_on = |records: u64| {
        let to = read.load(Ordering::Relaxed) + records;
        while read.load(Ordering::Relaxed) < to {
            thread::sleep(Duration::from_millis(1));
        }
        std::mem::take(&mut *longest.lock().unwrap())
    };
    go_on(MEASURED);
    for _ in 0..3 {
        let before = go_on(MEASURED);
        let (start, from) = (Instant::now(), read.load(Ordering::Relaxed));
        let mut asked = 0;
        team.shared.epochs.cut_checkpoint(|boundary| {
            team.shared.checkpoints.ask(boundary);
            asked = boundary;
        });
        while team.shared.checkpoints.left(asked).is_none() {
            thread::sleep(Duration::from_millis(1));
        }
        let (took, read) = (start.elapsed(), read.load(Ordering::Relaxed) - from);
        let meanwhile = go_on(1);
        println!(
            "{name}, {mode}: at most {before:?} between two reads before, {meanwhile:?} during a save that \
             took {took:?} while {read} records were read"
        );
    }
    let start = Instant::now();
    handle.stop();
    handle.wait().unwrap();
    println!("{name}, {mode}: the stop took {:?}", start.elapsed());
}

#[test]
#[ignore = "a measurement, for a release build"]
fn how_long_a_save_holds_a_worker_up() {
    let scattered = |n: u64| n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    for mode in ["per-record", "micro-batch=10ms"] {
        measure("u64", mode, scattered);
        measure("String", mode, move |n| {
            format!("user-{:016x}", scattered(n))
        });
    }
}
