//! There is one type for each output.
//! Errors: 2

use stream_core::prelude::*;

#[pipeline]
fn divided(numbers: Stream<u64>) -> (Stream<u64>, Stream<u64>, Stream<u64>) {
    let (small, large) = numbers.split(|n| *n < 10);
    (small, large)
}

#[pipeline]
fn called(numbers: Stream<u64>) -> Stream<u64> {
    divided(numbers)
}

fn main() {}
