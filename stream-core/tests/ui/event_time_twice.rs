//! Event time is assigned once.
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
fn twice(clicks: Stream<Click>) -> Timed<Click> {
    let (timed, late) = clicks.event_time(|click| click.at, Lateness::secs(30));
    late.discard();
    let (again, later) = timed.event_time(|click| click.at, Lateness::secs(60));
    later.discard();
    again
}

fn main() {}
