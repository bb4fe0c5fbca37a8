//! A pipeline reads streams and returns streams.
//! Errors: 3

use stream_core::prelude::*;

#[pipeline]
fn nothing(limit: u64) {
    println!("{limit}");
}

fn main() {}
