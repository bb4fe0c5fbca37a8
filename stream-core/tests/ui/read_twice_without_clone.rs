//! A stream that is read twice has records that can be cloned.
//! Errors: 1

use stream_core::prelude::*;

pub struct Line(String);

#[pipeline]
fn lengths(lines: Stream<Line>) -> (Stream<usize>, Stream<String>) {
    let lengths = lines.map(|line| line.0.len());
    let texts = lines.map(|line| line.0);
    (lengths, texts)
}

fn main() {}
