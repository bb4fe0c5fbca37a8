//! A pipeline that calls itself would have no end.
//! Errors: 2

use stream_core::prelude::*;

#[pipeline]
fn again(numbers: Stream<u64>) -> Stream<u64> {
    let more = again(numbers.map(|n| n + 1));
    more
}

#[pipeline]
fn by_path(numbers: Stream<u64>) -> Stream<u64> {
    let more = self::by_path(numbers.map(|n| n + 1));
    more
}

fn main() {}
