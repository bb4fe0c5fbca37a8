//! A pipeline is a plain function.
//! Errors: 1

use stream_core::prelude::*;

#[pipeline]
async fn waited(numbers: Stream<u64>) -> Stream<u64> {
    numbers.map(|n| n + 1)
}

fn main() {}
