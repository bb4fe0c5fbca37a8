//! Every port is bound and every setting given before a job runs.
//! Errors: 8

use stream_core::prelude::*;

use stream_core::io;

#[pipeline]
fn lengths(lines: Stream<String>, min: usize) -> (Stream<usize>, Stream<String>) {
    let (long, short) = lines.split(|line| line.len() >= min);
    let lengths = long.map(|line| line.len());
    (lengths, short)
}

fn run() {
    let (lengths_rows, _) = io::collect::<usize>();
    lengths::job().lengths(lengths_rows).run(Mode::Batch).ok();
    lengths::job().main();
    lengths::test().rows();
}

fn main() {}
