//! What a chain gives is bound, or dropped on purpose.
//! Errors: 2

use stream_core::prelude::*;

#[pipeline]
fn thrown(numbers: Stream<u64>) -> Stream<u64> {
    numbers.inspect(|n| println!("{n}"));
    let _ = numbers.map(|n| n + 1);
    numbers.filter(|n| *n > 0)
}

fn main() {}
