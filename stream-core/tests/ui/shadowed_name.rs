//! A name is bound once, for state is found by it.
//! Errors: 1

use stream_core::prelude::*;

#[pipeline]
fn shadowed(numbers: Stream<u64>) -> Stream<u64> {
    let numbers = numbers.filter(|n| n % 2 == 1);
    let doubled = numbers.map(|n| n * 2);
    doubled
}

fn main() {}
