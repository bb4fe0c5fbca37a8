//! State is only read as what it is: a snapshot of other windows, keys or types is refused, with
//! both told, and one that differs in names alone is not.

#![allow(clippy::unwrap_used, reason = "what a test cannot do without fails it")]

mod common;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::mem;

use common::{parts, until_read};
use serde::{Deserialize, Serialize};
use stream_core::graph::{Fingerprint, NodeSpec, Output};
use stream_core::io::MemoryLog;
use stream_core::prelude::*;
use stream_core::{Snapshot, io};

type Seconds = Keyed<u8, u64, stream_core::graph::OnTime>;

/// A job of one output over the numbers.
fn job<T: Output + 'static>(
    log: &MemoryLog<u64>,
    pipeline: impl Fn(Stream<u64>) -> T + Send + Sync + 'static,
) -> Job {
    let job = Job::new("x", move |graph| {
        graph.output("out", pipeline(graph.input("numbers")));
    });
    job.source("numbers", log.clone())
        .sink::<T::Row>("out", io::discard())
}

/// The state of a job that has read 1, 12 and 23 and was stopped.
fn stopped<T: Output + 'static>(
    pipeline: impl Fn(Stream<u64>) -> T + Send + Sync + 'static,
) -> Snapshot {
    let log = MemoryLog::new(1);
    log.append(0, [1, 12, 23]).unwrap();
    let handle = job(&log, pipeline).start(Mode::PerRecord).unwrap();
    until_read(&handle, "numbers", 3);
    handle.stop();
    handle.wait().unwrap().snapshot.unwrap()
}

/// What a job says that starts from a snapshot and reads no more.
fn started<T: Output + 'static>(
    snapshot: Snapshot,
    pipeline: impl Fn(Stream<u64>) -> T + Send + Sync + 'static,
) -> Result<(), String> {
    let log = MemoryLog::new(1);
    log.append(0, [1, 12, 23]).unwrap();
    log.close();
    let run = job(&log, pipeline).start_from(snapshot).run(Mode::Batch);
    let error = run.map(|_| ()).err();
    error.map_or(Ok(()), |error| {
        let (what, detail, hint) = parts(&error);
        assert_eq!(what, "the state does not fit the job");
        assert!(hint.unwrap().contains("change that back"));
        Err(detail.unwrap())
    })
}

/// What a job says that starts from what another one kept, which takes it back itself.
fn refusal<T: Output + 'static, U: Output + 'static>(
    kept: impl Fn(Stream<u64>) -> T + Copy + Send + Sync + 'static,
    other: impl Fn(Stream<u64>) -> U + Send + Sync + 'static,
) -> String {
    let snapshot = stopped(kept);
    assert_eq!(started(snapshot.clone(), kept), Ok(()));
    started(snapshot, other).unwrap_err()
}

fn seconds(numbers: Stream<u64>) -> Seconds {
    let time = |n: &u64| EventTime::secs(1_700_000_000 + *n as i64);
    let (timed, late) = numbers.event_time(time, Lateness::secs(1_000));
    late.discard();
    timed.key_by(|n| (n % 2) as u8)
}

fn tumbling(secs: u64) -> impl Fn(Stream<u64>) -> Timed<Windowed<u8, u64>> + Copy {
    move |numbers| seconds(numbers).tumbling(Size::secs(secs)).count()
}

fn session(secs: u64) -> impl Fn(Stream<u64>) -> Timed<Windowed<u8, u64>> + Copy {
    move |numbers| seconds(numbers).session(Gap::secs(secs)).count()
}

#[test]
fn windows_of_another_size_are_refused() {
    let expected = "stage `x/tumbling` kept windows of size=10s, the job has size=7s";
    assert_eq!(refusal(tumbling(10), tumbling(7)), expected);
}

#[test]
fn windows_with_another_offset_are_refused() {
    let shifted = |secs| {
        move |numbers| {
            let windows = seconds(numbers).tumbling(Size::secs(10));
            windows.offset(Size::secs(secs)).count()
        }
    };
    let expected = "stage `x/tumbling` kept windows of offset=3s, the job has offset=4s";
    assert_eq!(refusal(shifted(3), shifted(4)), expected);
    let expected = "stage `x/tumbling` kept windows of offset=none, the job has offset=3s";
    assert_eq!(refusal(tumbling(10), shifted(3)), expected);
    let expected = "stage `x/tumbling` kept windows of offset=3s, the job has offset=none";
    assert_eq!(refusal(shifted(3), tumbling(10)), expected);
    assert_eq!(started(stopped(tumbling(10)), shifted(20)), Ok(()));
}

#[test]
fn windows_of_another_calendar_are_refused() {
    let of = |calendar: fn(&'static str) -> Calendar, zone| {
        move |numbers| seconds(numbers).calendar(calendar(zone)).count()
    };
    let (days, weeks) = (Calendar::days as fn(&'static str) -> _, Calendar::weeks);
    let expected =
        "stage `x/calendar` kept windows of calendar=days Europe/Vienna, the job has calendar=";
    let refused = refusal(of(days, "Europe/Vienna"), of(weeks, "Europe/Vienna"));
    assert_eq!(refused, format!("{expected}weeks Europe/Vienna"));
    let refused = refusal(of(days, "Europe/Vienna"), of(days, "UTC"));
    assert_eq!(refused, format!("{expected}days UTC"));
}

#[test]
fn sessions_of_another_gap_are_refused() {
    let expected = "stage `x/session` kept sessions of gap=1m, the job has gap=1m 30s";
    assert_eq!(refusal(session(60), session(90)), expected);
}

/// What is kept is the highest time of each lane, which is the same under any lateness.
#[test]
fn another_lateness_is_taken() {
    let late = |secs| {
        move |numbers: Stream<u64>| {
            let time = |n: &u64| EventTime::secs(1_700_000_000 + *n as i64);
            numbers.event_time(time, Lateness::secs(secs)).1
        }
    };
    assert_eq!(started(stopped(late(5)), late(50)), Ok(()));
}

#[test]
fn a_scan_of_another_type_is_refused_before_it_reads_the_wrong_numbers() {
    let unsigned = |numbers: Stream<u64>| numbers.key_by(|_| 0_u8).scan(|| 0_u64, mem::replace);
    let signed = |numbers: Stream<u64>| {
        let keyed = numbers.key_by(|_| 0_u8);
        keyed.scan(|| 0_i64, |last, n| mem::replace(last, n as i64))
    };
    let expected = "stage `x/scan` kept state `u64`, the job keeps `i64`";
    assert_eq!(refusal(unsigned, signed), expected);
}

#[test]
fn another_type_of_keys_is_refused() {
    let by = |numbers: Stream<u64>| numbers.key_by(|n| n % 2).count();
    let by_signed = |numbers: Stream<u64>| numbers.key_by(|n| (n % 2) as i64).count();
    let both = "stage `x/count` kept keys `u64`, the job keeps `i64`; \
                stage `x/out/final_content` kept keys `u64`, the job keeps `i64`";
    assert_eq!(refusal(by, by_signed), both);
}

#[test]
fn a_stage_of_another_kind_under_the_same_name_is_refused() {
    let count = |numbers: Stream<u64>| numbers.key_by(|_| 0_u8).count().named("kept");
    let fold = |numbers: Stream<u64>| {
        let keyed = numbers.key_by(|_| 0_u8);
        keyed.fold(|| 0_u64, |sum, n| *sum += n).named("kept")
    };
    let expected = "stage `x/kept` was `count`, the job has `fold`";
    assert_eq!(refusal(count, fold), expected);
}

/// Folds into a default value of a type.
fn kept<A>() -> impl Fn(Stream<u64>) -> Table<u8, A> + Copy
where
    A: Default + Debug + Clone + Send + Serialize + serde::de::DeserializeOwned + 'static,
{
    |numbers| numbers.key_by(|_| 0_u8).fold(A::default, |_, _| {})
}

mod before {
    use super::*;

    #[derive(Clone, Debug, Default, Serialize, Deserialize)]
    pub(super) enum State {
        #[default]
        New,
        Seen {
            times: u32,
            by: Vec<String>,
        },
    }

    #[derive(Clone, Debug, Default, Serialize, Deserialize)]
    pub(super) struct Visitor {
        first: u64,
        last: Option<u64>,
        friends: BTreeMap<String, Visitor>,
    }
}

mod after {
    use super::*;

    #[derive(Clone, Debug, Default, Serialize, Deserialize)]
    pub(super) enum State {
        #[default]
        New,
        Seen {
            times: u32,
            by: Vec<String>,
        },
        Gone,
    }

    #[derive(Clone, Debug, Default, Serialize, Deserialize)]
    pub(super) struct Visitor {
        first: u64,
        last: Option<u64>,
        friends: BTreeMap<String, Visitor>,
        name: String,
    }

    /// As [`before::Visitor`], with other names.
    #[derive(Clone, Debug, Default, Serialize, Deserialize)]
    pub(super) struct Guest {
        first: u64,
        #[serde(rename = "last")]
        latest: Option<Second>,
        friends: BTreeMap<String, Guest>,
    }

    #[derive(Clone, Debug, Default, Serialize, Deserialize)]
    struct Second(u64);
}

#[test]
fn a_variant_that_was_added_is_told() {
    let told = refusal(kept::<before::State>(), kept::<after::State>());
    let fold = "stage `x/fold` kept state `enum {New, Seen {times: u32, by: [String]}}`, \
                the job keeps `enum {New, Seen {times: u32, by: [String]}, Gone}`";
    assert!(told.starts_with(fold), "{told}");
}

#[test]
fn a_field_that_was_added_is_told() {
    let told = refusal(kept::<before::Visitor>(), kept::<after::Visitor>());
    let fold = "stage `x/fold` kept state \
                `{first: u64, last: Option<u64>, friends: map<String, ^2>}`, the job keeps \
                `{first: u64, last: Option<u64>, friends: map<String, ^2>, name: String}`";
    assert!(told.starts_with(fold), "{told}");
}

#[test]
fn a_type_with_another_name_and_the_same_shape_is_taken() {
    let snapshot = stopped(kept::<before::Visitor>());
    assert_eq!(started(snapshot.clone(), kept::<after::Guest>()), Ok(()));
    assert_eq!(started(snapshot, kept::<before::Visitor>()), Ok(()));
}

#[test]
fn a_stage_that_was_renamed_is_compared_as_what_it_was() {
    #[pipeline(name = "numbers")]
    fn before(numbers: Stream<u64>) -> Table<u64, u64> {
        let parities = numbers.key_by(|n| n % 2).count();
        parities
    }

    #[pipeline(name = "numbers")]
    fn renamed(numbers: Stream<u64>) -> Table<i64, u64> {
        #[was("parities")]
        let odd_and_even = numbers.key_by(|n| (n % 2) as i64).count();
        odd_and_even
    }

    let log = MemoryLog::new(1);
    log.append(0, [1, 2, 3]).unwrap();
    let job = before::job().numbers(log.clone()).parities(io::discard());
    let handle = job.start(Mode::PerRecord).unwrap();
    until_read(&handle, "numbers", 3);
    handle.stop();
    let snapshot = handle.wait().unwrap().snapshot.unwrap();
    log.close();
    let job = renamed::job().numbers(log).odd_and_even(io::discard());
    let error = job.start_from(snapshot).run(Mode::Batch).unwrap_err();
    let told = parts(&error).1.unwrap();
    let expected = "stage `numbers/odd_and_even/count` kept keys `u64`, the job keeps `i64`";
    assert!(told.starts_with(expected), "{told}");
}

fn fingerprint<T: Output + 'static>(
    pipeline: impl Fn(Stream<u64>) -> T + Send + Sync + 'static,
) -> Fingerprint {
    let graph = job(&MemoryLog::new(1), pipeline).explain().unwrap();
    graph
        .nodes
        .iter()
        .rev()
        .find_map(NodeSpec::fingerprint)
        .unwrap()
}

#[test]
fn a_fingerprint_can_be_read() {
    let told = fingerprint(tumbling(10)).to_string();
    assert_eq!(told, "tumbling size=10s fold=count of u64 by u8");
}
