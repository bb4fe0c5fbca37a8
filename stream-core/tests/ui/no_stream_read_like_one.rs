//! A name that a macro binds is plain Rust, but not where it looks like a stream.
//! Errors: 1

use stream_core::prelude::*;

macro_rules! bound {
    ($name:ident, $value:expr) => {
        let $name = $value;
    };
}

#[pipeline]
fn large(numbers: Stream<u64>) -> Stream<u64> {
    bound!(least, Some(7));
    let known = least.filter(|n| *n > 1);
    let more = known.map(|n| n + 1);
    drop(more);
    numbers.map(|n| n + 1)
}

fn main() {}
