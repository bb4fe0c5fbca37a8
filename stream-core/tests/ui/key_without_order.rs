//! A key has an order.
//! Errors: 1

use serde::{Deserialize, Serialize};
use stream_core::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct User(u64);

#[pipeline]
fn counts(users: Stream<u64>) -> Table<User, u64> {
    let counts = users.key_by(|user| User(*user)).count();
    counts
}

fn main() {}
