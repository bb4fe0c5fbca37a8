//! An operator works on the records and the keys that it names, with event time.
//! Errors: 5

use stream_core::prelude::*;

struct Last;

impl KeyedOperator for Last {
    type Key = u8;
    type In = u64;
    type State = u64;
    type Out = u64;

    fn record(&self, _: &u8, number: u64, last: &mut u64, cx: &mut Cx<u64>) {
        cx.emit(std::mem::replace(last, number));
    }
}

#[operator]
fn last() -> Last {
    Last
}

#[pipeline]
fn without_event_time(numbers: Stream<u64>) -> Timed<u64> {
    let before = numbers.key_by(|number| *number as u8).apply(Last);
    before
}

#[pipeline]
fn without_event_time_by_name(numbers: Stream<u64>) -> Timed<u64> {
    let before = numbers.key_by(|number| *number as u8).last();
    before
}

#[pipeline]
fn without_a_key(numbers: Timed<u64>) -> Timed<u64> {
    let before = numbers.last();
    before
}

#[pipeline]
fn of_another_key(numbers: Timed<u64>) -> Timed<u64> {
    let before = numbers.key_by(|number| *number).last();
    before
}

#[pipeline]
fn of_other_records(words: Timed<String>) -> Timed<u64> {
    let before = words.key_by(|word| word.len() as u8).in_order().apply(Last);
    before
}

fn main() {}
