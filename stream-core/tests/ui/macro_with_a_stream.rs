//! A macro would hide what is done with a stream.
//! Errors: 1

use stream_core::prelude::*;

#[pipeline]
fn shown(numbers: Stream<u64>) -> Stream<u64> {
    let shown = dbg!(numbers);
    shown
}

fn main() {}
