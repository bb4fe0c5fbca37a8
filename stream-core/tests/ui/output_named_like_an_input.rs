//! Ports are methods of the job, so their names differ.
//! Errors: 1

use stream_core::prelude::*;

#[pipeline]
fn passed(numbers: Stream<u64>) -> (Stream<u64>, Stream<u64>) {
    let doubled = numbers.map(|n| n * 2);
    (numbers, doubled)
}

fn main() {}
