//! Ports and settings are methods of the job, beside those that it has.
//! Errors: 3

use stream_core::prelude::*;

#[pipeline]
fn reserved(run: Stream<u64>, workers: u64) -> Stream<u64> {
    let explain = run.map(|n| n * workers);
    explain
}

fn main() {}
