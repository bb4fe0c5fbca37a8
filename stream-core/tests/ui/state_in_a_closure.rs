//! A closure keeps no state: each worker has its own, and it would be lost with the job.
//! Errors: 2

use std::collections::HashSet;

use stream_core::prelude::*;

#[pipeline]
fn numbered(words: Stream<String>) -> Stream<(u64, String)> {
    let mut count = 0;
    let numbered = words.map(|word| {
        count += 1;
        (count, word)
    });
    numbered
}

#[pipeline]
fn distinct(words: Stream<String>) -> Stream<String> {
    let mut seen = HashSet::new();
    let distinct = words.filter(|word| seen.insert(word.clone()));
    distinct
}

fn main() {}
