//! Cleans and enriches the clicks of a Kafka topic into another one, exactly once. Records that cannot be read
//! go to a topic of dead letters, as they were, with what is wrong in their headers.

use std::process::ExitCode;

use examples::visits::{Visit, visits};
use stream_core::io::SourceExt;
use stream_core::prelude::*;
use stream_kafka as kafka;

/// The clicks are older than what brokers keep unless told.
const KEEP: [(&str, &str); 1] = [("retention.ms", "-1")];

fn main() -> ExitCode {
    let dead = kafka::sink("clicks.dead")
        .create_topic_with(1, 1, KEEP)
        .exactly_once("etl-dead-sink");
    let topic = kafka::sink("visits")
        .create_topic_with(4, 1, KEEP)
        .exactly_once("etl-sink");
    visits::job()
        .clicks(
            kafka::source("clicks")
                .group("etl")
                .json()
                .dead_letter(dead.dead_letters()),
        )
        .visits(
            topic
                .json()
                .key(|visit: &Visit| visit.user.to_string())
                .timestamp(|visit| visit.at),
        )
        .main()
}
