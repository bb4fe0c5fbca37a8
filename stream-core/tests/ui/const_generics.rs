//! What a pipeline can be told is a setting.
//! Errors: 1

use stream_core::prelude::*;

#[pipeline]
fn capped<const MAX: u64>(numbers: Stream<u64>) -> Stream<u64> {
    numbers.filter(|n| *n < MAX)
}

fn main() {}
