//! Prints how many earthquakes there were by hour and region, and writes those that came too late to
//! `late.jsonl` in the folder for temporary files. `--set lateness=1d` waits longer.

use std::process::ExitCode;

use examples::earthquakes::{Earthquake, earthquakes};
use stream_core::io::{files, stdout};
use stream_core::prelude::*;

fn main() -> ExitCode {
    let data = examples::data("earthquakes/earthquakes.jsonl.gz");
    earthquakes::job()
        .earthquakes(files::json_lines::<Earthquake>(data))
        .hours(stdout::json())
        .late(files::to_json_lines(
            std::env::temp_dir().join("late.jsonl"),
        ))
        .main()
}
