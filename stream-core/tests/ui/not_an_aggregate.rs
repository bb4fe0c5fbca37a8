//! Aggregates of what they cannot take.
//! Errors: 4

use stream_core::prelude::*;

#[pipeline]
fn letters(words: Stream<String>) -> Table<char, i128> {
    let letters = words.key_by(|word| word.chars().next().unwrap_or(' ')).sum(|word| word.clone());
    letters
}

#[pipeline]
fn whole(numbers: Stream<i64>) -> Table<(), i64> {
    let whole = numbers.key_by(|_| ()).aggregate(|total: &mut i64, n: i64| *total += n);
    whole
}

#[pipeline]
fn sizes(words: Stream<String>) -> Table<u64, f64> {
    let sizes = words.average(|word| word.len());
    sizes
}

#[pipeline]
fn prices(prices: Stream<(u64, f64)>) -> Table<u64, u64> {
    let prices_of = prices.key_by(|price| price.0).approx_count_distinct(|price| price.1);
    prices_of
}

fn main() {}
