//! A window needs event time.
//! Errors: 2

use serde::{Deserialize, Serialize};
use stream_core::prelude::*;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Click {
    user: u64,
    at: EventTime,
    price: f64,
}

#[pipeline]
fn windows(clicks: Stream<Click>, gap: Gap) -> Timed<Windowed<u64, u64>> {
    clicks.key_by(|click| click.user).session(gap).count()
}

#[pipeline]
fn hourly(clicks: Stream<Click>) -> Timed<Windowed<u64, u64>> {
    clicks.key_by(|click| click.user).global(Size::hours(1)).count()
}

fn main() {}
