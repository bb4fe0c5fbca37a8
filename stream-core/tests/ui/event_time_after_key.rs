//! Event time comes before the key.
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
fn late(clicks: Stream<Click>, gap: Gap) -> Timed<Windowed<u64, u64>> {
    let (timed, late) = clicks
        .key_by(|click| click.user)
        .event_time(|click| click.at, Lateness::secs(30));
    late.discard();
    timed.session(gap).count()
}

fn main() {}
