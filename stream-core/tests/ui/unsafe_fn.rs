//! A pipeline needs no `unsafe`.
//! Errors: 1

use stream_core::prelude::*;

#[pipeline]
unsafe fn risky(numbers: Stream<u64>) -> Stream<u64> {
    numbers.map(|n| n + 1)
}

fn main() {}
