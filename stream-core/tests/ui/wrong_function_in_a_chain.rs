//! A function of another signature is told of where it stands, though its chain is fused: once for the
//! method, once for the chain that the macro ends there.
//! Errors: 2

use stream_core::prelude::*;

fn big(n: u64) -> bool {
    n > 9
}

#[pipeline]
fn bigger(numbers: Stream<u64>) -> Stream<u64> {
    let more = numbers.map(|n| n + 1).filter(big);
    more
}

fn main() {}
