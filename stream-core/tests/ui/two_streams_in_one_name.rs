//! What gives two streams is bound to two names.
//! Errors: 4

use stream_core::prelude::*;

#[pipeline]
fn timed(times: Stream<i64>) -> (Timed<i64>, Stream<i64>) {
    let timed = times.event_time(|time| EventTime::secs(*time), Lateness::secs(1));
    timed
}

#[pipeline]
fn halves(numbers: Stream<i64>) -> Stream<i64> {
    let odd = numbers.split(|n| n % 2 == 1);
    odd.map(|n| n + 1)
}

#[pipeline]
fn digits(numbers: Stream<i64>) -> Stream<i64> {
    let ones = numbers.split_by(|n| n % 10, [1, 2]);
    ones.map(|n| n + 1)
}

#[pipeline]
fn firsts(clicks: Timed<(u64, i64)>) -> Timed<u64> {
    let firsts = clicks.key_by(|click| click.0).dedup_with_overtaken(Gap::mins(1));
    firsts.map(|click| click.0)
}

fn main() {}
