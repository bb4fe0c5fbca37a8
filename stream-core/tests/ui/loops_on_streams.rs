//! Every worker builds the same graph, so no loop repeats stages.
//! Errors: 2

use stream_core::prelude::*;

#[pipeline]
fn repeated(numbers: Stream<u64>, times: u64) -> Stream<u64> {
    for _ in 0..times {
        numbers.map(|n| n + 1).discard();
    }
    while times > 0 {
        numbers.map(|n| n + 1).discard();
    }
    numbers.map(|n| n + 1)
}

fn main() {}
