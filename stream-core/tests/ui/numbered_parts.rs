//! Several streams are taken apart by name.
//! Errors: 2

use stream_core::prelude::*;

#[pipeline]
fn parts(numbers: Stream<u64>) -> Stream<u64> {
    let halves = numbers.split(|n| *n < 10);
    halves.0.union(halves.1)
}

fn main() {}
