//! Prints how far the users of a shop get.

use std::process::ExitCode;

use examples::funnel::funnel;
use stream_core::io::{discard, files, stdout};
use stream_core::prelude::*;

fn main() -> ExitCode {
    funnel::job()
        .clicks(files::csv(examples::data("clicks/*.csv.gz")))
        .steps(stdout::json())
        .buyers(discard())
        .main()
}
