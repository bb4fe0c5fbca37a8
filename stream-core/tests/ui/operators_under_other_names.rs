//! Operators that others have, under other names.
//! Errors: 2

use stream_core::prelude::*;

#[pipeline]
fn joined(orders: Stream<(u64, u64)>, users: Stream<(u64, String)>) -> Stream<u64> {
    let joined = orders.key_by(|order| order.0).join(users.key_by(|user| user.0));
    joined
}

#[pipeline]
fn again(words: Stream<String>) -> Table<u64, u64> {
    let counts = words.key_by(|word| word.clone()).count();
    let sizes = counts.changes().key_by(|change| change.value).count();
    sizes
}

fn main() {}
