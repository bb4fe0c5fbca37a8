//! A key has an order, also where records by key are read twice.
//! Errors: 2

use serde::{Deserialize, Serialize};
use stream_core::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct User(u64);

#[pipeline]
fn counts(users: Stream<u64>) -> (Table<User, u64>, Table<User, u64>) {
    let by_user = users.key_by(|user| User(*user));
    let counts = by_user.count();
    let sums = by_user.fold(|| 0, |sum, n| *sum += n).filter(|_, n| *n > 3);
    (counts, sums)
}

fn main() {}
