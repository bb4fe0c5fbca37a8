//! Fills a Kafka topic with the clicks of a shop's visitors, in the order of their time: JSON, with the user as
//! the key and the click's own time as the timestamp.

use std::process::ExitCode;

use examples::sessions::Click;
use stream_core::io::{SourceExt, collect, files, vec};
use stream_core::prelude::*;
use stream_core::{Error, Mode};
use stream_kafka as kafka;

/// Hands clicks on.
#[pipeline]
fn clicks(clicks: Stream<Click>) -> Stream<Click> {
    let topic = clicks;
    topic
}

/// The clicks of all files.
fn sorted_clicks() -> Result<Vec<Click>, Error> {
    let (rows, read) = collect();
    let files = files::csv(examples::data("clicks/*.csv.gz"));
    clicks::job().clicks(files).topic(rows).run(Mode::Batch)?;
    let mut clicks = read.take();
    clicks.sort_by_key(|click| click.timestamp);
    Ok(clicks)
}

fn main() -> ExitCode {
    let sorted = match sorted_clicks() {
        Ok(clicks) => vec(clicks).replay(f64::MAX, |click: &Click| click.timestamp),
        Err(error) => {
            eprintln!("error: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    // The clicks are older than what brokers keep unless told.
    let topic = kafka::sink("clicks").create_topic_with(4, 1, [("retention.ms", "-1")]);
    clicks::job()
        .clicks(sorted)
        .topic(
            topic
                .json()
                .key(|click: &Click| click.user_id.clone())
                .timestamp(|click| click.timestamp),
        )
        .main()
}
