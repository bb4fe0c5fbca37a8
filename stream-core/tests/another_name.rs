//! The library under another name.
extern crate stream_core as streams;

use streams::prelude::*;

#[pipeline(crate = "streams")]
fn lens(words: Stream<String>) -> Stream<usize> {
    let lens = words.map(|word| word.len());
    lens
}

#[test]
fn it_is_found() {
    let rows = lens::test().words(["a".to_string()]).rows();
    assert_eq!(rows.lens, [1]);
}
