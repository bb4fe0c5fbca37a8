//! A time to live stands right in front of what would keep a key for good.
//! Errors: 6

use stream_core::prelude::*;

fn clicks(clicks: Stream<(u64, i64)>) -> Timed<(u64, i64)> {
    let (timed, late) = clicks.event_time(|click| EventTime::secs(click.1), Lateness::secs(30));
    late.discard();
    timed
}

#[pipeline]
fn windows(clicks: Timed<(u64, i64)>) -> Timed<Windowed<u64, u64>> {
    let lively = clicks.key_by(|click| click.0).ttl(Gap::days(1));
    let windows = lively.tumbling(Size::mins(1)).count();
    windows
}

#[pipeline]
fn looked_up(clicks: Timed<(u64, i64)>, names: Table<u64, String>) -> Timed<((u64, i64), Option<String>)> {
    let lively = clicks.key_by(|click| click.0).ttl(Gap::days(1));
    let looked_up = lively.lookup(names);
    looked_up
}

#[pipeline]
fn without_event_time(clicks: Stream<(u64, i64)>) -> Table<u64, u64> {
    let counts = clicks.key_by(|click| click.0).ttl(Gap::days(1)).count();
    counts
}

#[pipeline]
fn twice(clicks: Timed<(u64, i64)>) -> Table<u64, u64> {
    let counts = clicks.key_by(|click| click.0).ttl(Gap::days(1)).ttl(Gap::days(2)).count();
    counts
}

#[pipeline]
fn before_the_order(clicks: Timed<(u64, i64)>) -> Table<u64, u64> {
    let counts = clicks.key_by(|click| click.0).ttl(Gap::days(1)).in_order().count();
    counts
}

#[pipeline]
fn left(clicks: Timed<(u64, i64)>, prices: Timed<(u64, i64)>) -> Timed<((u64, i64), Option<(u64, i64)>)> {
    let by_user = prices.key_by(|price| price.0);
    let priced = clicks.key_by(|click| click.0).ttl(Gap::days(1)).as_of_join(by_user);
    priced
}

fn main() {}
