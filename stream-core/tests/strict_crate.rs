//! A crate that forbids what generated code might do.
#![forbid(missing_docs, dead_code, unused, unsafe_code)]
#![deny(clippy::all, clippy::pedantic, clippy::nursery)]

use stream_core::prelude::*;

/// Counts long words.
#[pipeline]
pub fn long(
    words: Stream<String>,
    #[default(3)] min: usize,
) -> (Table<String, u64>, Stream<String>) {
    let (long, short) = words.split(|word| word.len() >= min);
    let counts = long.key_by(String::clone).count();
    (counts, short)
}

#[pipeline]
fn private(words: Stream<String>) -> Stream<usize> {
    let lens = words.map(|word| word.len());
    lens
}

enum Kind {
    Word(String),
}

/// A macro that only seems to read a setting.
#[pipeline]
fn seeming(texts: Stream<String>, #[default(3)] min: usize) -> Stream<usize> {
    let words = texts.map(Kind::Word);
    let kept = words.filter(|word| matches!(word, Kind::Word(min) if !min.is_empty()));
    kept.map(|Kind::Word(word)| word.len().max(min))
}

#[test]
fn its_pipelines_run() {
    let words = || ["a", "long"].map(String::from);
    let rows = private::test().words(words()).rows();
    assert_eq!(rows.lens, [1, 4]);
    let rows = seeming::test().texts(words()).rows();
    assert_eq!(rows.output, [3, 4]);
    let rows = long::test().words(words()).rows();
    assert_eq!(rows.short, ["a"]);
}
