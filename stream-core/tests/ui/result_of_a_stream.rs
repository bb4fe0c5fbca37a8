//! To build a graph cannot fail.
//! Errors: 1

use stream_core::prelude::*;

#[pipeline]
fn parsed(texts: Stream<String>) -> Result<Stream<u64>, std::num::ParseIntError> {
    let parsed = texts.filter_map(|text| text.parse().ok());
    Ok(parsed)
}

fn main() {}
