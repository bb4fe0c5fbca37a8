//! A wrong type is told of the closure.
//! Errors: 2

use stream_core::prelude::*;

#[pipeline]
fn odd(numbers: Stream<u64>) -> Stream<u64> {
    let odd = numbers.filter(|n| n % 2);
    odd.map(|n| n + 1).filter(|n| n + 1)
}

fn main() {}
