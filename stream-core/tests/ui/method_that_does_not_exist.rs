//! A method that is not there is told with the nearest.
//! Errors: 1

use stream_core::prelude::*;

#[pipeline]
fn lengths(lines: Stream<String>) -> Stream<usize> {
    lines.filter(|line| !line.is_empty()).mapp(|line| line.len())
}

fn main() {}
