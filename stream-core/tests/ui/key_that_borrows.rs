//! A key is kept as state and read back, so it owns what it holds.
//! Errors: 2

use stream_core::prelude::*;

#[pipeline]
fn sizes(words: Stream<String>) -> Table<&'static str, u64> {
    let sizes = words.key_by(|word| if word.len() > 3 { "long" } else { "short" }).count();
    sizes
}

#[pipeline]
fn numbers(words: Stream<String>) -> Stream<u64, Mixed> {
    let numbers = words.key_by(|_| "all").scan(|| 0, |count, _| *count + 1);
    numbers.map(|(_, number)| number)
}

fn main() {}
