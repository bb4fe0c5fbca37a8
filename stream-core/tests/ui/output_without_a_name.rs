//! Among several outputs each has a name.
//! Errors: 1

use stream_core::prelude::*;

#[pipeline]
fn unnamed(numbers: Stream<u64>) -> (Stream<u64>, Stream<u64>) {
    let (small, large) = numbers.split(|n| *n < 10);
    (small, large.map(|n| n - 10))
}

fn main() {}
