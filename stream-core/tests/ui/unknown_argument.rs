//! The attribute has one argument, the name.
//! Errors: 1

use stream_core::prelude::*;

#[pipeline(name = "odd", mode = "batch")]
fn odd_numbers(numbers: Stream<u64>) -> Stream<u64> {
    numbers.filter(|n| n % 2 == 1)
}

fn main() {}
