//! Prints the sessions of a shop's visitors as JSON Lines, in any mode.

use std::process::ExitCode;

use examples::sessions::{Click, Session, sessions};
use stream_core::io::{files, stdout};
use stream_core::prelude::*;

fn main() -> ExitCode {
    Job::new("sessions", |graph| {
        let (sessions, late) = sessions(graph.input("clicks"), Gap::mins(30));
        graph.output("sessions", sessions);
        late.discard();
    })
    .source(
        "clicks",
        files::csv::<Click>(examples::data("clicks/*.csv.gz")),
    )
    .sink::<Session>("sessions", stdout::json())
    .main()
}
