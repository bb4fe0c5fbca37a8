//! An operator that works on single records is applied before the key.
//! Errors: 1

use stream_core::prelude::*;

struct Length;

impl Operator for Length {
    type In = String;
    type Out = usize;

    fn record(&self, word: String, emit: &mut impl FnMut(usize)) {
        emit(word.len());
    }
}

#[operator]
fn length() -> Length {
    Length
}

#[pipeline]
fn lengths(words: Timed<String>) -> Timed<usize> {
    let lengths = words.key_by(|word| word.clone()).length();
    lengths
}

fn main() {}
