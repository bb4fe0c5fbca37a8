//! What makes an operator is a function that names its type.
//! Errors: 6

use stream_core::prelude::*;

struct Twice;

impl Operator for Twice {
    type In = u64;
    type Out = u64;

    fn record(&self, number: u64, emit: &mut impl FnMut(u64)) {
        emit(2 * number);
    }
}

#[operator]
struct Alarm {
    limit: f64,
}

#[operator]
fn hidden() -> impl Operator<In = u64, Out = u64> {
    Twice
}

#[operator]
fn nothing() {}

#[operator]
fn filter() -> Twice {
    Twice
}

#[operator(name = "double")]
fn twice((_, _): (u64, u64)) -> Twice {
    Twice
}

fn main() {}
