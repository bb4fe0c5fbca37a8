//! A part of pipelines has no job.
//! Errors: 1

use stream_core::prelude::*;

#[pipeline]
fn keyed(numbers: Stream<u64>) -> Keyed<u64, u64> {
    numbers.key_by(|n| n % 2)
}

fn run() {
    keyed::job();
}

fn main() {}
