//! What reads files does not write them, nor the other way round.
//! Errors: 2

use stream_core::prelude::*;

use stream_core::io::files;

#[pipeline]
fn trimmed(lines: Stream<String>) -> Stream<String> {
    let trimmed = lines.map(|line| line.trim().to_string());
    trimmed
}

fn run() {
    let job = trimmed::job().lines(files::csv("lines.csv"));
    job.trimmed(files::csv("trimmed.csv")).main();
    let job = trimmed::job().lines(files::to_csv("lines.csv"));
    job.trimmed(files::to_csv("trimmed.csv")).main();
}

fn main() {}
