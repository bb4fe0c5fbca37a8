//! A stream is bound once.
//! Errors: 2

use stream_core::prelude::*;

#[pipeline]
fn changed(numbers: Stream<u64>) -> Stream<u64> {
    let mut kept = numbers.filter(|n| *n > 0);
    kept = kept.map(|n| n + 1);
    kept
}

fn main() {}
