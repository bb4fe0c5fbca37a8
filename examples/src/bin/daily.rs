//! Prints how many sessions of at least twenty clicks ended on each day.

use std::process::ExitCode;

use examples::daily::daily;
use stream_core::io::{discard, files, stdout};
use stream_core::prelude::*;

fn main() -> ExitCode {
    daily::job()
        .clicks(files::csv(examples::data("clicks/*.csv.gz")))
        .gap(Gap::mins(30))
        .busy(20)
        .all_days(discard())
        .busy_days(stdout::json())
        .main()
}
