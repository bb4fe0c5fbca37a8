//! Event time comes before an exchange.
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
fn late(clicks: Stream<Click>) -> Timed<(u64, EventTime)> {
    let lasts = clicks.key_by(|click| click.user).scan(|| 0, |_, click| click.at);
    let (timed, late) = lasts.event_time(|(_, at)| *at, Lateness::secs(30));
    late.discard();
    timed
}

fn main() {}
