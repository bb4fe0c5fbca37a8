//! Every stream is used.
//! Errors: 2

use stream_core::prelude::*;

#[pipeline]
fn counted(words: Stream<String>, numbers: Stream<u64>) -> Stream<usize> {
    let long = words.filter(|word| word.len() > 10);
    words.map(|word| word.len())
}

fn main() {}
