//! Items stand outside of the pipeline.
//! Errors: 1

use stream_core::prelude::*;

#[pipeline]
fn outer(numbers: Stream<u64>) -> Stream<u64> {
    fn double(n: u64) -> u64 {
        n * 2
    }
    numbers.map(double)
}

fn main() {}
