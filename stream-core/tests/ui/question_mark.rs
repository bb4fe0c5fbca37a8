//! To build a graph cannot fail.
//! Errors: 1

use stream_core::prelude::*;

#[pipeline]
fn asked(numbers: Stream<u64>) -> Stream<u64> {
    let parsed = numbers.map(|n| n + 1)?;
    parsed
}

fn main() {}
