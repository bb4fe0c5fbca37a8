//! Every worker builds the same graph, so `match` chooses between no streams.
//! Errors: 1

use stream_core::prelude::*;

#[pipeline]
fn chosen(numbers: Stream<u64>, kind: Option<u64>) -> Stream<u64> {
    match kind {
        Some(kind) => numbers.filter(move |n| *n == kind),
        None => numbers,
    }
}

fn main() {}
