//! A pipeline borrows nothing.
//! Errors: 3

use stream_core::prelude::*;

#[pipeline]
fn borrowed<'a>(words: Stream<&'a str>, stop: &str) -> Stream<String> {
    words.map(|word| word.to_string())
}

fn main() {}
