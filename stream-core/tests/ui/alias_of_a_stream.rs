//! A stream is known by its name.
//! Errors: 1

use stream_core::prelude::*;

type Words = Stream<String>;

#[pipeline]
fn union(lines: Stream<String>, words: Words) -> Stream<String> {
    let both = lines.union(words);
    both
}

fn main() {}
