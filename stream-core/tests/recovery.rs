//! Every operator through crashes before and after each step of a checkpoint: the outputs are those of
//! a run in which nothing happened.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use stream_core::prelude::*;
use stream_core::testing::{Input, RecoveryCheck};
use stream_core::{Problem, io};

fn records(number: u64) -> Vec<(u64, i64)> {
    let mut rng = fastrand::Rng::with_seed(number);
    (0..number as i64)
        .map(|at| (rng.u64(..7), at + rng.i64(-8..8)))
        .collect()
}

fn at(record: &(u64, i64)) -> EventTime {
    EventTime::secs(1_700_000_000 + record.1)
}

fn timed(records: Stream<(u64, i64)>) -> (Timed<(u64, i64)>, Stream<(u64, i64)>) {
    records.event_time(at, Lateness::secs(5))
}

#[test]
fn stateless_stages() {
    let steps = RecoveryCheck::new(records(80)).run(|records: Stream<(u64, i64)>| {
        records
            .filter(|(key, _)| key % 3 > 0)
            .map(|(key, at)| (at, key))
    });
    println!("{steps:?}");
}

#[test]
fn a_log_that_is_written_to_by_transactions() {
    let check = RecoveryCheck::new(records(80)).seeds(150).into_log();
    let steps = check.run(|records: Stream<(u64, i64)>| {
        let counts = records.clone().key_by(|record| record.0).count();
        (records, counts.changes())
    });
    for step in [
        "recover, done",
        "finish, done",
        "commit",
        "commit, done",
        "went back",
    ] {
        assert!(steps.contains_key(step), "{step}: {steps:?}");
    }
}

#[test]
fn late_records() {
    RecoveryCheck::new(records(80)).run(timed);
}

#[test]
fn bad_records() {
    let leaping = |(key, at): (u64, i64)| match key {
        0 => (key, at + 100 * 366 * 24 * 3_600),
        _ => (key, at),
    };
    let records: Vec<_> = records(80).into_iter().map(leaping).collect();
    let check = RecoveryCheck::new(records).seeds(100).dead_letters();
    check.run(|records: Stream<(u64, i64)>| {
        let (timed, late) = timed(records);
        (
            timed
                .key_by(|record| record.0)
                .session(Gap::secs(4))
                .count(),
            late,
        )
    });
}

#[test]
fn sliding_windows() {
    let steps = RecoveryCheck::new(records(80)).run(|records: Stream<(u64, i64)>| {
        let (timed, late) = timed(records);
        late.discard();
        let windows = timed.key_by(|record| record.0);
        windows.sliding(Size::secs(10), Size::secs(4)).count()
    });
    println!("{steps:?}");
}

#[test]
fn counts() {
    let check = RecoveryCheck::new(records(80)).seeds(400);
    let steps = check.run(|records: Stream<(u64, i64)>| records.key_by(|record| record.0).count());
    for step in [
        "put",
        "put, half done",
        "put, an object done",
        "delete",
        "went back",
    ] {
        assert!(steps.contains_key(step), "{step}: {steps:?}");
    }
}

/// So many keys that only some of their shards change between two checkpoints.
#[test]
fn many_keys() {
    let mut rng = fastrand::Rng::with_seed(1);
    let records: Vec<(u64, i64)> = (0..600).map(|n| (rng.u64(..200), n)).collect();
    let input = Input::new(records).partition_by(|record| record.0);
    RecoveryCheck::new(input)
        .seeds(40)
        .run(|records: Stream<(u64, i64)>| {
            let by_key = || records.clone().key_by(|record| record.0);
            let scanned = by_key().scan(
                || 0,
                |sum, record| {
                    *sum += record.1;
                    *sum
                },
            );
            (by_key().count().changes(), scanned)
        });
}

#[test]
fn sessions_and_windows() {
    RecoveryCheck::new(records(120))
        .seeds(100)
        .run(|records: Stream<(u64, i64)>| {
            let (timed, late) = timed(records);
            let by_key = || timed.clone().key_by(|record| record.0);
            let sessions = by_key().session(Gap::secs(4)).count();
            let windows = by_key().tumbling(Size::secs(10)).count();
            (sessions, windows, late)
        });
}

#[test]
fn scans() {
    let input = Input::new(records(80)).partition_by(|record| record.0);
    RecoveryCheck::new(input).run(|records: Stream<(u64, i64)>| {
        records.key_by(|record| record.0).scan(
            || 0,
            |sum, record| {
                *sum += record.1;
                *sum
            },
        )
    });
}

/// By history: what has reached a topic.
type Topics = Arc<Mutex<BTreeMap<String, Vec<u64>>>>;

/// Writes rows as they come, and says that this is exactly once.
struct AtOnce(Topics, String);

impl io::Sink<u64> for AtOnce {
    fn info(&self) -> io::SinkInfo {
        io::SinkInfo {
            kind: "at once",
            detail: String::new(),
            atomic: true,
        }
    }

    fn open(&self, _: io::Slot) -> Result<Box<dyn io::Writer<u64>>, Problem> {
        Ok(Box::new(AtOnce(self.0.clone(), self.1.clone())))
    }
}

impl io::Writer<u64> for AtOnce {
    fn write(&mut self, records: &mut Vec<u64>) -> Result<(), Problem> {
        let mut topics = self.0.lock().expect("nobody panics");
        topics.entry(self.1.clone()).or_default().append(records);
        Ok(())
    }

    fn prepare(&mut self, _: u64) -> Result<io::Staged, Problem> {
        Ok(io::Staged::nothing())
    }
}

#[test]
#[should_panic(expected = "a run in which nothing happened")]
fn a_sink_of_ones_own_that_writes_twice_is_found_out() {
    let topics = Topics::default();
    RecoveryCheck::new((0..80).collect::<Vec<u64>>()).run_into(
        |history| AtOnce(topics.clone(), history.to_owned()),
        |history| topics.lock().unwrap().remove(history).unwrap_or_default(),
        |numbers: Stream<u64>| numbers,
    );
}

#[test]
fn a_sink_of_ones_own_that_keeps_its_word_passes() {
    let folder = tempfile::tempdir().unwrap();
    let path = |history: &str| folder.path().join(format!("{history}.jsonl"));
    let read = |history: &str| {
        let text = std::fs::read_to_string(path(history)).unwrap_or_default();
        let rows = text.lines().map(|row| row.parse().unwrap());
        rows.collect()
    };
    let steps = RecoveryCheck::new((0..80).collect::<Vec<u64>>())
        .seeds(60)
        .run_into(
            |history| io::files::to_json_lines(path(history)),
            read,
            |numbers: Stream<u64>| numbers,
        );
    for step in ["prepare", "commit, done", "recover", "recover, done"] {
        assert!(steps.contains_key(step), "{step}: {steps:?}");
    }
}
