//! A closure is called for every record, so it keeps its setting.
//! Errors: 1

use stream_core::prelude::*;

#[pipeline]
fn tagged(lines: Stream<String>, tag: String) -> Stream<String> {
    lines.map(|line| tag + &line)
}

fn main() {}
