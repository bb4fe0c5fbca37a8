//! Runs the sessions from topic to topic in each mode, reads back what was written, and compares it.

use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use examples::sessions::{Session, sessions};
use stream_core::io::{collect, discard};
use stream_core::prelude::*;
use stream_core::run::{Report, StateStore};
use stream_core::{Error, Job, Mode};
use stream_kafka::{self as kafka, End};

/// Writes the sessions of all clicks that there are to a topic of their own.
fn write_sessions(mode: Mode, topic: &str) -> Result<Report, Error> {
    let written = kafka::sink(topic).create_topic(4, 1).exactly_once(topic);
    let sessions = sessions::job()
        .clicks(kafka::source("clicks").json().until(End::Latest))
        .gap(Gap::mins(30))
        .sessions(written.json().key(|session: &Session| session.user.clone()))
        .late(discard())
        .into_job();
    sessions.state(StateStore::memory()).run(mode)
}

/// What a reader finds there, sorted.
fn read_back(topic: &str) -> Result<Vec<Session>, Error> {
    let (sink, rows) = collect();
    let read = Job::new("read", |graph| {
        let sessions = graph.input::<Session>("topic");
        graph.output("rows", sessions);
    });
    let topic = kafka::source(topic).json::<Session>().until(End::Latest);
    read.source("topic", topic)
        .sink("rows", sink)
        .run(Mode::Batch)?;
    let mut rows = rows.take();
    rows.sort();
    Ok(rows)
}

fn compare() -> Result<bool, Error> {
    let run = SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap_or_default()
        .as_millis();
    let mut first: Option<Vec<Session>> = None;
    let mut are_equal = true;
    println!(
        "{:<18}  {:>9}  {:>9}  {:>8}",
        "mode", "clicks/s", "written", "same"
    );
    let micro_batch = Mode::micro_batch(Duration::from_millis(100));
    for mode in [Mode::Batch, micro_batch, Mode::PerRecord] {
        let topic = format!("sessions-{run}-{}", mode.to_string().replace('=', "-"));
        let report = write_sessions(mode, &topic)?;
        let rows = read_back(&topic)?;
        let clicks = report.counts.read["clicks"] as f64;
        let is_same = first.as_ref().is_none_or(|first| *first == rows);
        are_equal &= is_same;
        println!(
            "{:<18}  {:>9.0}  {:>9}  {:>8}",
            mode.to_string(),
            clicks / report.duration.as_secs_f64(),
            rows.len(),
            if is_same { "yes" } else { "NO" },
        );
        first.get_or_insert(rows);
    }
    Ok(are_equal)
}

fn main() -> ExitCode {
    match compare() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("error: the modes have written different sessions");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
