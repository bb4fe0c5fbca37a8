//! A wrong type is told of the closure or the binding.
//! Errors: 3

use stream_core::prelude::*;

#[pipeline]
fn lengths(lines: Stream<String>) -> (Stream<usize>, Stream<u64>) {
    let lengths = lines.map(|line| line.len()).filter(|n| n.is_empty()).map(|n| n + 1);
    let sums = lines.map(|line| line + 1);
    (lengths, sums)
}

fn main() {}
