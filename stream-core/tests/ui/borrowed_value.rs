//! A record owns what it holds.
//! Errors: 1

use stream_core::prelude::*;

#[pipeline]
fn firsts(lines: Stream<String>) -> Stream<&'static str> {
    lines.map(|line| line.as_str())
}

fn main() {}
