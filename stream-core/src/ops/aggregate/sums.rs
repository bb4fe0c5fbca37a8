//! `count`, `sum` and `average`.

use std::marker::PhantomData;

use serde::{Deserialize, Serialize};

use super::Aggregate;
use super::exact::{ExactSum, mean_of_whole};
use crate::graph::{Class, Record};

/// How many records there are.
pub fn count<T>() -> impl Aggregate<T, Value = u64> {
    Count
}

/// The sum of what a closure says of the records: of integers as an `i128`, which nothing overflows, of
/// floating-point numbers as the `f64` nearest to their exact sum, whatever their order.
pub fn sum<T, N: Number>(of: impl Fn(&T) -> N + 'static) -> impl Aggregate<T, Value = N::Total> {
    Sum {
        of,
        numbers: PhantomData,
    }
}

/// The mean of what a closure says of the records: their exact sum divided by their count, rounded once.
pub fn average<T, N: Number>(of: impl Fn(&T) -> N + 'static) -> impl Aggregate<T, Value = f64> {
    Average(Sum {
        of,
        numbers: PhantomData,
    })
}

/// What can be added up exactly: integers of up to 64 bits, `f32` and `f64`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be added up",
    label = "a number is an integer of up to 64 bits, `f32` or `f64`",
    note = "for other types: `.reduce(…)`, or an `Aggregate` of your own"
)]
pub trait Number: Record + Copy + sealed::Sealed {
    /// What the sum is told as: `i128` for integers, `f64` for floating-point numbers.
    type Total: Record;
    #[doc(hidden)]
    type Partial: Record + Default;

    #[doc(hidden)]
    fn add(self, partial: &mut Self::Partial);
    #[doc(hidden)]
    fn merge(partial: &mut Self::Partial, other: &Self::Partial);
    #[doc(hidden)]
    fn total(partial: &Self::Partial) -> Self::Total;
    #[doc(hidden)]
    fn mean(partial: &Self::Partial, count: u64) -> f64;

    /// A sum of which numbers are taken back.
    #[doc(hidden)]
    type Balance: Record + Default;
    #[doc(hidden)]
    fn change(self, balance: &mut Self::Balance, times: isize);
    #[doc(hidden)]
    fn balanced(balance: &Self::Balance) -> Self::Partial;
}

/// A sum of floating-point numbers of which some are taken back: what is not finite cannot be subtracted, so it
/// is counted.
#[doc(hidden)]
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Balance {
    finite: ExactSum,
    /// How many times infinity, its negative and NaN are in it.
    beyond: [i64; BEYOND.len()],
}

const BEYOND: [f64; 3] = [f64::INFINITY, f64::NEG_INFINITY, f64::NAN];

impl Balance {
    fn change(&mut self, number: f64, times: isize) {
        if number.is_finite() {
            let number = if times < 0 { -number } else { number };
            (0..times.unsigned_abs()).for_each(|_| self.finite.add(number));
        } else {
            let is_it = |beyond: &f64| *beyond == number || beyond.is_nan() && number.is_nan();
            let place = BEYOND.iter().position(is_it);
            let count = place.and_then(|place| self.beyond.get_mut(place));
            count.into_iter().for_each(|count| *count += times as i64);
        }
    }

    fn sum(&self) -> ExactSum {
        let mut sum = self.finite.clone();
        for (number, count) in BEYOND.into_iter().zip(self.beyond) {
            if count > 0 {
                sum.add(number);
            }
        }
        sum
    }
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! integers {
    ($($name:ident)*) => {$(
        impl sealed::Sealed for $name {}

        impl Number for $name {
            type Total = i128;
            type Partial = i128;

            #[inline]
            fn add(self, partial: &mut i128) {
                *partial += self as i128;
            }

            fn merge(partial: &mut i128, other: &i128) {
                *partial += other;
            }

            fn total(partial: &i128) -> i128 {
                *partial
            }

            #[inline]
            fn mean(partial: &i128, count: u64) -> f64 {
                mean_of_whole(*partial, count)
            }

            type Balance = i128;

            fn change(self, balance: &mut i128, times: isize) {
                *balance += self as i128 * times as i128;
            }

            fn balanced(balance: &i128) -> i128 {
                *balance
            }
        }
    )*};
}

integers! { i8 i16 i32 i64 isize u8 u16 u32 u64 usize }

macro_rules! floats {
    ($($name:ident)*) => {$(
        impl sealed::Sealed for $name {}

        impl Number for $name {
            type Total = f64;
            type Partial = ExactSum;

            #[inline]
            fn add(self, partial: &mut ExactSum) {
                partial.add(self.into());
            }

            fn merge(partial: &mut ExactSum, other: &ExactSum) {
                partial.merge(other);
            }

            fn total(partial: &ExactSum) -> f64 {
                partial.total()
            }

            fn mean(partial: &ExactSum, count: u64) -> f64 {
                partial.mean(count)
            }

            type Balance = Balance;

            fn change(self, balance: &mut Balance, times: isize) {
                balance.change(self.into(), times);
            }

            fn balanced(balance: &Balance) -> ExactSum {
                balance.sum()
            }
        }
    )*};
}

floats! { f32 f64 }

struct Count;

impl<T> Aggregate<T> for Count {
    const CLASS: Class = Class::Exact;
    type State = u64;
    type Value = u64;

    #[inline]
    fn start(&self, _: &T) -> u64 {
        1
    }

    #[inline]
    fn add(&self, count: &mut u64, _: &T) {
        *count += 1;
    }

    fn merge(&self, count: &mut u64, later: u64) {
        *count += later;
    }

    fn finish(&self, count: &u64) -> u64 {
        *count
    }
}

struct Sum<F, N> {
    of: F,
    numbers: PhantomData<fn() -> N>,
}

impl<T, N: Number, F: Fn(&T) -> N + 'static> Aggregate<T> for Sum<F, N> {
    const CLASS: Class = Class::Exact;
    type State = N::Partial;
    type Value = N::Total;

    #[inline]
    fn start(&self, record: &T) -> N::Partial {
        let mut partial = N::Partial::default();
        self.add(&mut partial, record);
        partial
    }

    #[inline]
    fn add(&self, partial: &mut N::Partial, record: &T) {
        (self.of)(record).add(partial);
    }

    fn merge(&self, partial: &mut N::Partial, later: N::Partial) {
        N::merge(partial, &later);
    }

    fn finish(&self, partial: &N::Partial) -> N::Total {
        N::total(partial)
    }
}

struct Average<F, N>(Sum<F, N>);

/// A sum, and of how many numbers.
#[derive(Clone, Serialize, Deserialize)]
struct Mean<P> {
    sum: P,
    count: u64,
}

impl<T, N: Number, F: Fn(&T) -> N + 'static> Aggregate<T> for Average<F, N> {
    const CLASS: Class = Class::Exact;
    type State = Mean<N::Partial>;
    type Value = f64;

    #[inline]
    fn start(&self, record: &T) -> Self::State {
        let sum = self.0.start(record);
        Mean { sum, count: 1 }
    }

    #[inline]
    fn add(&self, mean: &mut Self::State, record: &T) {
        self.0.add(&mut mean.sum, record);
        mean.count += 1;
    }

    fn merge(&self, mean: &mut Self::State, later: Self::State) {
        N::merge(&mut mean.sum, &later.sum);
        mean.count += later.count;
    }

    fn finish(&self, mean: &Self::State) -> f64 {
        N::mean(&mean.sum, mean.count)
    }
}
