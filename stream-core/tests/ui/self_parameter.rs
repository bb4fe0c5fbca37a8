//! A pipeline is a free function.
//! Errors: 1

use stream_core::prelude::*;

struct Settings;

impl Settings {
    #[pipeline]
    fn kept(&self, numbers: Stream<u64>) -> Stream<u64> {
        numbers.map(|n| n + 1)
    }
}

fn main() {}
