//! Inputs and settings are methods of a pipeline's test, which has one of its own.
//! Errors: 1

use stream_core::prelude::*;

#[pipeline]
fn reserved(numbers: Stream<u64>, check_modes: u64) -> Stream<u64> {
    let more = numbers.map(|n| n * check_modes);
    more
}

fn main() {}
