//! Inputs and settings are methods of a pipeline's test, which has one of its own.
//! Errors: 2

use stream_core::prelude::*;

#[pipeline]
fn reserved(numbers: Stream<u64>, check_modes: u64) -> Stream<u64> {
    let more = numbers.map(|n| n * check_modes);
    more
}

#[pipeline]
fn reserved_too(check_recovery: Stream<u64>) -> Stream<u64> {
    let more = check_recovery.map(|n| n + 1);
    more
}

fn main() {}
