//! Two streams that are put together both have event time, or neither has.
//! Errors: 1

use stream_core::prelude::*;

#[pipeline]
fn both(orders: Stream<(u64, i64)>, users: Stream<(u64, String)>) -> Timed<u64> {
    let (timed, late) = orders.event_time(|order| EventTime::secs(order.1), Lateness::secs(30));
    late.discard();
    let either = timed.key_by(|order| order.0).either(users.key_by(|user| user.0));
    let counts = either.scan(|| 0, |count: &mut u64, _| { *count += 1; *count });
    counts.map(|(_, count)| count)
}

fn main() {}
