//! Prints how often each word stands in the text of the licence; `--set shortest=5` leaves short ones
//! out.

use std::process::ExitCode;

use examples::word_count::word_count;
use stream_core::io::{self, stdout};
use stream_core::prelude::*;

fn main() -> ExitCode {
    let text = include_str!("../../../LICENSE-MIT");
    let lines: Vec<_> = text.lines().map(str::to_owned).collect();
    word_count::job()
        .lines(io::vec(lines))
        .counts(stdout::table())
        .main()
}
