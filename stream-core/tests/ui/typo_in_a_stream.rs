//! A typo in a stream's name is the compiler's own message, and no other comes of it.
//! Errors: 1

use stream_core::prelude::*;

#[pipeline]
fn lengths(lines: Stream<String>) -> Stream<usize> {
    let long = lins.filter(|line| line.len() > 3);
    let lengths = long.map(|line| line.len());
    lengths
}

fn main() {}
