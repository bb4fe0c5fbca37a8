//! Outputs are the variants of an enum, which hold one value each.
//! Errors: 4

use stream_core::ops::Outputs;
use stream_core::prelude::*;

#[derive(Outputs)]
struct Both {
    known: u64,
}

#[derive(Outputs)]
enum Routed {
    Known(u64),
    Unknown,
    Both(u64, u64),
}

#[pipeline]
fn divided(numbers: Stream<u64>) -> (Stream<u64>, Stream<u64>) {
    let (small, large) = numbers.outputs();
    (small, large)
}

fn main() {}
