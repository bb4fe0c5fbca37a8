//! A key is kept as state and read back, so it owns what it holds.
//! Errors: 1

use stream_core::prelude::*;

#[pipeline]
fn sizes(words: Stream<String>) -> Table<&'static str, u64> {
    let sizes = words.key_by(|word| if word.len() > 3 { "long" } else { "short" }).count();
    sizes
}

fn main() {}
