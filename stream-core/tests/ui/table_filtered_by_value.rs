//! A row of a table is a key and a value.
//! Errors: 1

use stream_core::prelude::*;

#[pipeline]
fn often(words: Stream<String>) -> Table<String, u64> {
    let counts = words.key_by(|word| word.clone()).count();
    let often = counts.filter(|count| *count > 1);
    often
}

fn main() {}
