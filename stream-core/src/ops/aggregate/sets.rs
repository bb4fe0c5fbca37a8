//! `distinct`, `count_distinct` and `collect`: what keeps all values.

use std::collections::BTreeSet;
use std::marker::PhantomData;

use super::Aggregate;
use crate::graph::{Class, Record};

/// The values that a closure says of the records, each once. All of them are kept.
pub fn distinct<T, V: Record + Ord>(
    of: impl Fn(&T) -> V + 'static,
) -> impl Aggregate<T, Value = BTreeSet<V>> {
    Distinct {
        of,
        values: PhantomData,
    }
}

/// How many different values a closure says of the records, exactly. All of them are kept.
pub fn count_distinct<T, V: Record + Ord>(
    of: impl Fn(&T) -> V + 'static,
) -> impl Aggregate<T, Value = u64> {
    CountDistinct(Distinct {
        of,
        values: PhantomData,
    })
}

/// What a closure says of each record, sorted. All of it is kept.
pub fn collect<T, V: Record + Ord>(
    of: impl Fn(&T) -> V + 'static,
) -> impl Aggregate<T, Value = Vec<V>> {
    Collect {
        of,
        values: PhantomData,
    }
}

struct Distinct<F, V> {
    of: F,
    values: PhantomData<fn() -> V>,
}

impl<T, V: Record + Ord, F: Fn(&T) -> V + 'static> Aggregate<T> for Distinct<F, V> {
    const CLASS: Class = Class::Exact;
    type State = BTreeSet<V>;
    type Value = BTreeSet<V>;

    fn start(&self, record: &T) -> BTreeSet<V> {
        BTreeSet::from([(self.of)(record)])
    }

    #[inline]
    fn add(&self, values: &mut BTreeSet<V>, record: &T) {
        self.update(values, record);
    }

    #[inline]
    fn update(&self, values: &mut BTreeSet<V>, record: &T) -> bool {
        values.insert((self.of)(record))
    }

    fn merge(&self, values: &mut BTreeSet<V>, mut later: BTreeSet<V>) {
        values.append(&mut later);
    }

    fn finish(&self, values: &BTreeSet<V>) -> BTreeSet<V> {
        values.clone()
    }
}

struct CountDistinct<F, V>(Distinct<F, V>);

impl<T, V: Record + Ord, F: Fn(&T) -> V + 'static> Aggregate<T> for CountDistinct<F, V> {
    const CLASS: Class = Class::Exact;
    type State = BTreeSet<V>;
    type Value = u64;

    fn start(&self, record: &T) -> BTreeSet<V> {
        self.0.start(record)
    }

    #[inline]
    fn add(&self, values: &mut BTreeSet<V>, record: &T) {
        self.update(values, record);
    }

    #[inline]
    fn update(&self, values: &mut BTreeSet<V>, record: &T) -> bool {
        self.0.update(values, record)
    }

    fn merge(&self, values: &mut BTreeSet<V>, later: BTreeSet<V>) {
        Aggregate::<T>::merge(&self.0, values, later);
    }

    fn finish(&self, values: &BTreeSet<V>) -> u64 {
        values.len() as u64
    }
}

struct Collect<F, V> {
    of: F,
    values: PhantomData<fn() -> V>,
}

impl<T, V: Record + Ord, F: Fn(&T) -> V + 'static> Aggregate<T> for Collect<F, V> {
    const CLASS: Class = Class::Exact;
    type State = Vec<V>;
    type Value = Vec<V>;

    fn start(&self, record: &T) -> Vec<V> {
        vec![(self.of)(record)]
    }

    #[inline]
    fn add(&self, values: &mut Vec<V>, record: &T) {
        values.push((self.of)(record));
    }

    fn merge(&self, values: &mut Vec<V>, mut later: Vec<V>) {
        values.append(&mut later);
    }

    fn finish(&self, values: &Vec<V>) -> Vec<V> {
        let mut values = values.clone();
        values.sort();
        values
    }
}
