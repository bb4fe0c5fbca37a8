//! The last expression says the outputs, without a `;`.
//! Errors: 1

use stream_core::prelude::*;

#[pipeline]
fn silent(numbers: Stream<u64>) -> Stream<u64> {
    let odd = numbers.filter(|n| n % 2 == 1);
    odd.map(|n| n + 1);
}

fn main() {}
