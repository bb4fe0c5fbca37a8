//! Word count: lines in, a table of words out.

use stream_core::prelude::*;

/// Counts the words of a text. What is no letter divides words.
#[pipeline]
pub fn word_count(lines: Stream<String>, #[default(1)] shortest: usize) -> Table<String, u64> {
    let words = lines.flat_map(|line| {
        let words = line.split(|c: char| !c.is_alphabetic());
        words.map(str::to_lowercase).collect::<Vec<_>>()
    });
    let counts = words
        .filter(|word| word.len() >= shortest)
        .key_by(String::clone)
        .count();
    counts
}
