//! What is known of the order of records is a part of a stream's type.
//! Errors: 2

use stream_core::prelude::*;

#[pipeline]
fn numbered(words: Stream<String>) -> Stream<(usize, u64)> {
    let numbered = words.key_by(|word| word.len()).scan(|| 0_u64, |count, _| *count + 1);
    numbered
}

#[pipeline]
fn timed(times: Stream<i64>) -> (Stream<i64>, Stream<i64>) {
    let (timed, late) = times.event_time(|time| EventTime::secs(*time), Lateness::secs(1));
    (timed, late)
}

fn main() {}
