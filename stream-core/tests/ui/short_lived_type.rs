//! Records outlive the function that describes their way.
//! Errors: 1

use stream_core::prelude::*;

#[pipeline]
fn same<T: Clone + Send>(records: Stream<T>) -> Stream<T> {
    let same = records.filter(|_| true);
    same
}

fn main() {}
