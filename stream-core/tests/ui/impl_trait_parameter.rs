//! The types of ports and settings have names.
//! Errors: 1

use stream_core::prelude::*;

#[pipeline]
fn mapped(numbers: Stream<u64>, f: impl Fn(u64) -> u64) -> Stream<u64> {
    numbers.map(f)
}

fn main() {}
