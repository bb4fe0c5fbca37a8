//! A port is bound to its own type.
//! Errors: 2

use stream_core::prelude::*;

use stream_core::io;

#[pipeline]
fn lengths(lines: Stream<String>) -> Stream<usize> {
    lines.map(|line| line.len())
}

fn run() {
    let (rows, _) = io::collect::<String>();
    lengths::job().lines(io::vec(vec![1_u64])).output(rows).main();
}

fn main() {}
