//! A port is bound once.
//! Errors: 1

use stream_core::prelude::*;

use stream_core::io;

#[pipeline]
fn lengths(lines: Stream<String>) -> Stream<usize> {
    lines.map(|line| line.len())
}

fn run() {
    let lines = io::vec(vec!["a".to_string()]);
    lengths::job().lines(lines.clone()).lines(lines).output(io::discard()).main();
}

fn main() {}
