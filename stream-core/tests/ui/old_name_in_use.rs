//! The state kept under a name goes to one binding.
//! Errors: 1

use stream_core::prelude::*;

#[pipeline]
fn renamed(numbers: Stream<u64>) -> Table<u64, u64> {
    let odd = numbers.filter(|n| n % 2 == 1);
    #[was("odd")]
    let counts = odd.key_by(|n| *n).count();
    counts
}

fn main() {}
