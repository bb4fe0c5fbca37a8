//! A closure sees records, not streams.
//! Errors: 1

use stream_core::prelude::*;

#[pipeline]
fn captured(words: Stream<String>, numbers: Stream<u64>) -> Stream<String> {
    let both = words.map(|word| format!("{word}{numbers:?}"));
    both
}

fn main() {}
