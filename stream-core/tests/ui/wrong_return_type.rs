//! A wrong output is told of the last method or the name.
//! Errors: 2

use stream_core::prelude::*;

#[pipeline]
fn lengths(lines: Stream<String>) -> Stream<u64> {
    lines.map(|line| line.len()).filter(|n| *n > 3)
}

#[pipeline]
fn named(lines: Stream<String>) -> Stream<u64> {
    let lengths = lines.map(|line| line.len());
    lengths
}

fn main() {}
