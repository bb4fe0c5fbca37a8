//! Every worker builds the same graph, so `if` chooses between no streams.
//! Errors: 1

use stream_core::prelude::*;

#[pipeline]
fn chosen(numbers: Stream<u64>, only_odd: bool) -> Stream<u64> {
    let kept = if only_odd {
        numbers.filter(|n| n % 2 == 1)
    } else {
        numbers
    };
    kept
}

fn main() {}
