//! Late records are used, or dropped on purpose.
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
fn counted(clicks: Stream<Click>) -> Table<u64, u64> {
    let (timed, late) = clicks.event_time(|click| click.at, Lateness::secs(30));
    let counts = timed.key_by(|click| click.user).count();
    counts
}

fn main() {}
