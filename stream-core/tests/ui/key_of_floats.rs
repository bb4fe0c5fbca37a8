//! A key can be compared, hashed and ordered.
//! Errors: 1

use serde::{Deserialize, Serialize};
use stream_core::prelude::*;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Click {
    user: u64,
    at: EventTime,
    price: f64,
}

#[pipeline]
fn by_price(clicks: Stream<Click>) -> Table<u64, u64> {
    let counts = clicks.filter(|click| click.user > 0).key_by(|click| click.price).count();
    counts.discard();
    clicks.key_by(|click| click.user).count()
}

fn main() {}
