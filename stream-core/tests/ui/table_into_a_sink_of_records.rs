//! A table is written as its entries.
//! Errors: 1

use stream_core::prelude::*;

use stream_core::io;

#[pipeline]
fn counts(words: Stream<String>) -> Table<String, u64> {
    words.key_by(|word| word.clone()).count()
}

fn run() {
    let (rows, _) = io::collect::<(String, u64)>();
    counts::job().words(io::vec(Vec::new())).output(rows).main();
}

fn main() {}
