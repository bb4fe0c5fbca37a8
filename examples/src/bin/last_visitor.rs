//! Who did each kind of thing last in the shop, told by arrival rather than by event time: wrong on
//! purpose. The four files are read side by side, so which click comes last depends on the mode.
//! `compare` finds it.

use std::process::ExitCode;

use examples::sessions::Click;
use stream_core::io::{files, stdout};
use stream_core::ops::Entry;
use stream_core::prelude::*;

fn main() -> ExitCode {
    Job::new("last_visitor", |graph| {
        let clicks = graph.input::<Click>("clicks");
        let last = clicks
            .key_by(|click| click.event.clone())
            .fold(String::new, |last, click| *last = click.user_id);
        graph.output("last", last);
    })
    .source(
        "clicks",
        files::csv::<Click>(examples::data("clicks/*.csv.gz")),
    )
    .sink::<Entry<String, String>>("last", stdout::json())
    .main()
}
