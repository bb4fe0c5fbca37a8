//! `reduce`: two records become one.

use super::Aggregate;
use crate::graph::{Class, Record};

/// What is left when a closure makes one record of two, again and again.
///
/// The value is the same in every mode if the closure is pure and it does not matter to it which two come
/// together, and in which order, as for `|a, b| a + b`.
pub fn reduce<T: Record>(join: impl Fn(T, T) -> T + 'static) -> impl Aggregate<T, Value = T> {
    Reduce(join)
}

struct Reduce<F>(F);

impl<T: Record, F: Fn(T, T) -> T + 'static> Aggregate<T> for Reduce<F> {
    const CLASS: Class = Class::ExactIfOrderFree;
    /// Empty only while the closure has its record.
    type State = Option<T>;
    type Value = T;

    fn start(&self, record: &T) -> Option<T> {
        Some(record.clone())
    }

    fn add(&self, joined: &mut Option<T>, record: &T) {
        self.update_owned(joined, record.clone());
    }

    #[inline]
    fn update_owned(&self, joined: &mut Option<T>, record: T) -> bool {
        *joined = Some(match joined.take() {
            Some(earlier) => (self.0)(earlier, record),
            None => record,
        });
        true
    }

    fn merge(&self, joined: &mut Option<T>, later: Option<T>) {
        if let Some(later) = later {
            self.update_owned(joined, later);
        }
    }

    fn finish(&self, joined: &Option<T>) -> T {
        match joined {
            Some(joined) => joined.clone(),
            None => unreachable!("it begins with a record"),
        }
    }
}
