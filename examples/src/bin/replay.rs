//! Replays the shop's half year of clicks in a minute, as if they came now, and prints the sessions
//! as they end. Ctrl-c stops it cleanly; with `--drain` it writes the sessions that are open.

use std::process::ExitCode;

use examples::sessions::{Click, sessions};
use stream_core::io::{SourceExt, discard, files, stdout};
use stream_core::prelude::*;

/// How many seconds of the shop go by in one of ours.
const SPEED: f64 = 250_000.0;

fn main() -> ExitCode {
    let clicks = files::csv::<Click>(examples::data("clicks/*.csv.gz"));
    sessions::job()
        .clicks(clicks.replay(SPEED, |click: &Click| click.timestamp))
        .gap(Gap::mins(30))
        .sessions(stdout::json())
        .late(discard())
        .main()
}
