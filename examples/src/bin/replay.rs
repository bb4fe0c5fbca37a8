//! Replays the shop's half year of clicks in a minute, as if they came now, and prints the sessions
//! as they end. Ctrl-c stops it cleanly; with `--drain` it writes the sessions that are open.

use std::process::ExitCode;

use examples::sessions::{Click, Session, sessions};
use stream_core::io::{SourceExt, files, stdout};
use stream_core::prelude::*;

/// How many seconds of the shop go by in one of ours.
const SPEED: f64 = 250_000.0;

fn main() -> ExitCode {
    let clicks = files::csv::<Click>(examples::data("clicks/*.csv.gz"));
    Job::new("replay", |graph| {
        let (sessions, late) = sessions(graph.input("clicks"), Gap::mins(30));
        graph.output("sessions", sessions);
        late.discard();
    })
    .source(
        "clicks",
        clicks.replay(SPEED, |click: &Click| click.timestamp),
    )
    .sink::<Session>("sessions", stdout::json())
    .main()
}
