//! What works key by key needs a key.
//! Errors: 5

use serde::{Deserialize, Serialize};
use stream_core::prelude::*;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Click {
    user: u64,
    at: EventTime,
    price: f64,
}

#[pipeline]
fn counted(clicks: Stream<Click>, gap: Gap) -> (Table<u64, u64>, Timed<Windowed<u64, u64>>) {
    let counts = clicks.count();
    let (timed, late) = clicks.event_time(|click| click.at, Lateness::secs(30));
    late.discard();
    let sessions = timed.session(gap).count();
    (counts, sessions)
}

#[pipeline]
fn active(clicks: Timed<Click>) -> Table<u64, u64> {
    let active = clicks.ttl(Gap::days(1)).count();
    active
}

#[pipeline]
fn hourly(clicks: Timed<Click>) -> Timed<Windowed<u64, u64>> {
    let hourly = clicks.global(Size::hours(1)).count();
    hourly
}

#[pipeline]
fn named(clicks: Stream<Click>, names: Table<u64, String>) -> Stream<(Click, Option<String>), Mixed> {
    let named = clicks.lookup_arrival(names);
    named
}

fn main() {}
