//! A pipeline between two topics as a benchmark of engines asks for it: told by its environment what to do,
//! it reads `in` from the earliest record on and writes `out`, until it is told to end.
//!
//! | variable | what it says |
//! |---|---|
//! | `BOOTSTRAP` | the brokers |
//! | `WORKLOAD` | `S`: a filter and a map; `K`: a running sum a user; `B`: bytes as they are |
//! | `MODE` | `alo`: at least once; `eo`: exactly once |
//! | `RUN_ID` | the id of its transactions |
//! | `STATE_DIR` | where it keeps its state |
//! | `PEER_MODE` | `per-record` unless told, or `micro-batch=10ms` |
//! | `PEER_WORKERS` | 1 unless told |
//! | `CHECKPOINT_MS` | how often it commits, if it does: each 100 ms unless told |
//! | `TRANSACTION_TIMEOUT_MS` | how long an open transaction may block readers; 60000 unless told |
//! | `LINGER_MS` | how long records wait for others to be sent together; 0 unless told |
//! | `PROPERTIES` | further properties of librdkafka, `NAME=VALUE …` |

use std::env;
use std::error::Error;
use std::num::ParseIntError;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use stream_core::prelude::*;
use stream_core::run::StateStore;
use stream_core::{Job, Mode};
use stream_kafka::{self as kafka, Cluster, DecodeError, KafkaSink, NoFormat, RecordRef};

/// A record of the topic `in`.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Input {
    user: u64,
    amount: u64,
    at: i64,
    seq: u64,
    due_us: i64,
}

/// What workload S writes.
#[derive(Debug, Serialize)]
struct Priced {
    user: u64,
    amount: u64,
    at: i64,
    seq: u64,
    due_us: i64,
    cents: u64,
}

/// What workload K writes.
#[derive(Debug, Serialize)]
struct Summed {
    user: u64,
    sum: u64,
    seq: u64,
    due_us: i64,
}

/// Workload S: some are dropped, the others get a price.
#[pipeline]
fn stateless(input: Stream<Input>) -> Stream<Priced> {
    let output = input
        .filter(|input| input.amount % 10 != 0)
        .map(|input: Input| Priced {
            user: input.user,
            amount: input.amount,
            at: input.at,
            seq: input.seq,
            due_us: input.due_us,
            cents: input.amount * 100,
        });
    output
}

/// Workload K: each gets the running sum of its user.
#[pipeline]
fn keyed(input: Stream<Input>) -> Stream<Summed, Mixed> {
    let output = input
        .key_by(|input| input.user)
        .scan(u64::default, |sum, input: Input| {
            *sum += input.amount;
            Summed {
                user: input.user,
                sum: *sum,
                seq: input.seq,
                due_us: input.due_us,
            }
        })
        .map(|(_, summed)| summed);
    output
}

/// Workload B: bytes as they are.
#[pipeline]
fn bytes(input: Stream<Pair>) -> Stream<Pair> {
    let output = input.filter(|(_, value)| !value.is_empty());
    output
}

/// A key and a value.
type Pair = (Vec<u8>, Vec<u8>);

fn pair(record: &RecordRef<'_>) -> Result<Option<Pair>, DecodeError> {
    let key = record.key().unwrap_or_default();
    Ok(Some((key.to_vec(), record.expect_value()?.to_vec())))
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut cluster = Cluster::at(variable("BOOTSTRAP", "localhost:9092"))
        .property("linger.ms", variable("LINGER_MS", "0"));
    for property in variable("PROPERTIES", "").split_whitespace() {
        let (name, value) = property
            .split_once('=')
            .ok_or("PROPERTIES are `NAME=VALUE …`")?;
        cluster = cluster.property(name, value);
    }
    let job = match &*variable("WORKLOAD", "S") {
        "S" => stateless::job()
            .input(kafka::source("in").at(&cluster).json())
            .output(
                sink(&cluster)?
                    .json()
                    .key(|row: &Priced| row.user.to_string()),
            )
            .into_job(),
        "K" => keyed::job()
            .input(kafka::source("in").at(&cluster).json())
            .output(
                sink(&cluster)?
                    .json()
                    .key(|row: &Summed| row.user.to_string()),
            )
            .into_job(),
        "B" => bytes::job()
            .input(kafka::source("in").at(&cluster).decode(pair))
            .output(sink(&cluster)?.encode(|(key, value): &Pair, record| {
                record.key(key).value(value);
                Ok(())
            }))
            .into_job(),
        other => return Err(format!("`{other}` is no workload").into()),
    };
    run(job)
}

/// The topic that is written, with the guarantee that is asked for.
fn sink(cluster: &Cluster) -> Result<KafkaSink<(), NoFormat>, ParseIntError> {
    let sink = kafka::sink("out").at(cluster);
    Ok(match is_exactly_once() {
        true => sink
            .exactly_once(format!("peer-{}", variable("RUN_ID", "1")))
            .transaction_timeout(millis("TRANSACTION_TIMEOUT_MS", "60000")?),
        false => sink,
    })
}

/// Runs the job until the process is told to end.
fn run(mut job: Job) -> Result<(), Box<dyn Error>> {
    if is_exactly_once() {
        job = job
            .state(StateStore::folder(variable("STATE_DIR", "peer-state"))?)
            .checkpoint_interval(millis("CHECKPOINT_MS", "100")?);
    }
    let mode: Mode = variable("PEER_MODE", "per-record").parse()?;
    let workers = variable("PEER_WORKERS", "1").parse()?;
    let handle = job.workers(workers).start(mode)?;
    let stopper = handle.stopper();
    ctrlc::set_handler(move || stopper.stop())?;
    handle.wait()?;
    Ok(())
}

fn is_exactly_once() -> bool {
    variable("MODE", "alo") == "eo"
}

fn millis(name: &str, otherwise: &str) -> Result<Duration, ParseIntError> {
    variable(name, otherwise).parse().map(Duration::from_millis)
}

fn variable(name: &str, otherwise: &str) -> String {
    env::var(name).unwrap_or_else(|_| otherwise.to_owned())
}
