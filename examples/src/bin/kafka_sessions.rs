//! The sessions of a shop's visitors, from a Kafka topic of clicks to a topic of sessions, in any mode.
//!
//! Each session is written exactly once, whatever is killed on the way; for that the job keeps its state
//! (`--state FOLDER`).

use std::process::ExitCode;

use examples::sessions::{Session, sessions};
use stream_core::io::{at, comparable, discard, files};
use stream_core::prelude::*;
use stream_kafka as kafka;

fn main() -> ExitCode {
    let clicks = kafka::source("clicks").group("sessions").json();
    let topic = kafka::sink("sessions").create_topic(4, 1);
    let topic = topic.exactly_once("sessions-sink").json();
    sessions::job()
        .clicks(clicks.or(at("", |path| files::csv(path))))
        .gap(Gap::mins(30))
        .sessions(topic.key(|session: &Session| session.user.clone()))
        .late(comparable(discard()))
        .main()
}
