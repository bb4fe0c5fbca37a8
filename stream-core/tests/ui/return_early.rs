//! The last expression says the outputs, without `return`.
//! Errors: 1

use stream_core::prelude::*;

#[pipeline]
fn early(numbers: Stream<u64>) -> Stream<u64> {
    return numbers.map(|n| n + 1);
}

fn main() {}
