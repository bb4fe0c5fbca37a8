//! Prints the sessions of a shop's visitors as JSON Lines, in any mode.

use std::process::ExitCode;

use examples::sessions::sessions;
use stream_core::io::{at, comparable, discard, files, stdout};
use stream_core::prelude::*;

fn main() -> ExitCode {
    sessions::job()
        .clicks(at(examples::data("clicks/*.csv.gz"), |path| {
            files::csv(path)
        }))
        .gap(Gap::mins(30))
        .sessions(stdout::json())
        .late(comparable(discard()))
        .main()
}
