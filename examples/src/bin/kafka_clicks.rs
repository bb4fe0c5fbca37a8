//! Fills a Kafka topic with the clicks of a shop's visitors: JSON, with the user as the key and the click's
//! own time as the timestamp.

use std::process::ExitCode;

use examples::sessions::Click;
use stream_core::io::{SourceExt, at, files};
use stream_core::prelude::*;
use stream_kafka as kafka;

/// Hands the clicks on.
#[pipeline]
fn clicks(files: Stream<Click>) -> Stream<Click> {
    let topic = files.filter(|click| !click.user_id.is_empty());
    topic
}

fn main() -> ExitCode {
    let files = at(examples::data("clicks/*.csv.gz"), |path| files::csv(path));
    let topic = kafka::sink("clicks").create_topic(4, 1).json();
    clicks::job()
        .files(files.replay(1.0, |click: &Click| click.timestamp))
        .topic(
            topic
                .key(|click: &Click| click.user_id.clone())
                .timestamp(|click| click.timestamp),
        )
        .main()
}
