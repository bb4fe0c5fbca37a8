//! `min`, `max`, `min_by`, `max_by`, `first`, `latest` and `top`: what comes first in an order.
//!
//! The order is total, so that what comes first does not depend on what came first. By key; what is not
//! equal to itself, as NaN, comes last whichever end is asked for; then by how it is written (the bytes of
//! its encoding), from the same end.

use std::cmp::Ordering;
use std::marker::PhantomData;

use serde::{Deserialize, Serialize};

use super::Aggregate;
use crate::codec;
use crate::graph::{Class, Record};
use crate::time::EventTime;

/// The least of what a closure says of the records. NaN counts only where there is nothing else.
pub fn min<T, V: Record + PartialOrd>(
    of: impl Fn(&T) -> V + 'static,
) -> impl Aggregate<T, Value = V> {
    Extreme::<_, _, false> {
        of,
        values: PhantomData,
    }
}

/// The greatest of what a closure says of the records. NaN counts only where there is nothing else.
pub fn max<T, V: Record + PartialOrd>(
    of: impl Fn(&T) -> V + 'static,
) -> impl Aggregate<T, Value = V> {
    Extreme::<_, _, true> {
        of,
        values: PhantomData,
    }
}

/// The record with the least key; of several the one whose encoding is the least.
pub fn min_by<T: Record, K: Record + PartialOrd>(
    key: impl Fn(&T) -> K + 'static,
) -> impl Aggregate<T, Value = T> {
    ExtremeBy::<_, _, false> {
        key,
        keys: PhantomData,
    }
}

/// The record with the greatest key; of several the one whose encoding is the greatest.
pub fn max_by<T: Record, K: Record + PartialOrd>(
    key: impl Fn(&T) -> K + 'static,
) -> impl Aggregate<T, Value = T> {
    ExtremeBy::<_, _, true> {
        key,
        keys: PhantomData,
    }
}

/// The record with the earliest time; of several the one whose encoding is the least.
pub fn first<T: Record>(time: impl Fn(&T) -> EventTime + 'static) -> impl Aggregate<T, Value = T> {
    min_by(time)
}

/// The record with the latest time; of several the one whose encoding is the greatest.
pub fn latest<T: Record>(time: impl Fn(&T) -> EventTime + 'static) -> impl Aggregate<T, Value = T> {
    max_by(time)
}

/// The `n` records with the greatest keys, the greatest first; those of one key in the order of their
/// encoding, the greatest first. No more than `n` records are kept.
pub fn top<T: Record, K: Record + PartialOrd>(
    n: usize,
    key: impl Fn(&T) -> K + 'static,
) -> impl Aggregate<T, Value = Vec<T>> {
    Top {
        n,
        key,
        keys: PhantomData,
    }
}

/// The order from the end that comes first: from the greatest or the least. Which it is is known when the program is
/// built, so that no record costs a branch.
#[inline]
fn turn<const GREATEST: bool>(order: Ordering) -> Ordering {
    if GREATEST { order.reverse() } else { order }
}

/// Compares two keys: `Less` comes first.
#[inline]
fn by_key<K: PartialOrd, const GREATEST: bool>(a: &K, b: &K) -> Ordering {
    let is_undefined = |key: &K| key.partial_cmp(key).is_none();
    match (is_undefined(a), is_undefined(b)) {
        (false, false) => turn::<GREATEST>(a.partial_cmp(b).unwrap_or(Ordering::Equal)),
        (a, b) => a.cmp(&b),
    }
}

/// Compares two records: `Less` comes first.
#[inline]
fn compare<K: PartialOrd, T: Serialize, const GREATEST: bool>(
    a: (&K, &T),
    b: (&K, &T),
) -> Ordering {
    by_key::<K, GREATEST>(a.0, b.0).then_with(|| turn::<GREATEST>(by_encoding(a.1, b.1)))
}

#[cold]
fn by_encoding<T: Serialize>(a: &T, b: &T) -> Ordering {
    codec::compare(a, b)
}

struct Extreme<F, V, const GREATEST: bool> {
    of: F,
    values: PhantomData<fn() -> V>,
}

impl<F, V: Record + PartialOrd, const GREATEST: bool> Extreme<F, V, GREATEST> {
    #[inline]
    fn keep(&self, kept: &mut V, value: V) -> bool {
        let is_first = compare::<_, _, GREATEST>((&value, &value), (kept, kept)).is_lt();
        if is_first {
            *kept = value;
        }
        is_first
    }
}

impl<T, V, F, const GREATEST: bool> Aggregate<T> for Extreme<F, V, GREATEST>
where
    V: Record + PartialOrd,
    F: Fn(&T) -> V + 'static,
{
    const CLASS: Class = Class::Exact;
    type State = V;
    type Value = V;

    #[inline]
    fn start(&self, record: &T) -> V {
        (self.of)(record)
    }

    #[inline]
    fn add(&self, kept: &mut V, record: &T) {
        self.update(kept, record);
    }

    #[inline]
    fn update(&self, kept: &mut V, record: &T) -> bool {
        self.keep(kept, (self.of)(record))
    }

    fn merge(&self, kept: &mut V, later: V) {
        self.keep(kept, later);
    }

    fn finish(&self, kept: &V) -> V {
        kept.clone()
    }
}

/// A record with its key.
#[derive(Clone, Serialize, Deserialize)]
struct Ranked<K, T> {
    key: K,
    record: T,
}

struct ExtremeBy<F, K, const GREATEST: bool> {
    key: F,
    keys: PhantomData<fn() -> K>,
}

impl<F, K: PartialOrd, const GREATEST: bool> ExtremeBy<F, K, GREATEST> {
    #[inline]
    fn is_first<T: Record>(&self, key: &K, record: &T, kept: &Ranked<K, T>) -> bool {
        compare::<_, _, GREATEST>((key, record), (&kept.key, &kept.record)).is_lt()
    }
}

impl<T, K, F, const GREATEST: bool> Aggregate<T> for ExtremeBy<F, K, GREATEST>
where
    T: Record,
    K: Record + PartialOrd,
    F: Fn(&T) -> K + 'static,
{
    const CLASS: Class = Class::Exact;
    type State = Ranked<K, T>;
    type Value = T;

    #[inline]
    fn start(&self, record: &T) -> Self::State {
        Ranked {
            key: (self.key)(record),
            record: record.clone(),
        }
    }

    #[inline]
    fn add(&self, kept: &mut Self::State, record: &T) {
        self.update(kept, record);
    }

    #[inline]
    fn update(&self, kept: &mut Self::State, record: &T) -> bool {
        let key = (self.key)(record);
        let is_first = self.is_first(&key, record, kept);
        if is_first {
            kept.key = key;
            kept.record.clone_from(record);
        }
        is_first
    }

    #[inline]
    fn update_owned(&self, kept: &mut Self::State, record: T) -> bool {
        let key = (self.key)(&record);
        let is_first = self.is_first(&key, &record, kept);
        if is_first {
            *kept = Ranked { key, record };
        }
        is_first
    }

    fn merge(&self, kept: &mut Self::State, later: Self::State) {
        if self.is_first(&later.key, &later.record, kept) {
            *kept = later;
        }
    }

    fn finish(&self, kept: &Self::State) -> T {
        kept.record.clone()
    }
}

struct Top<F, K> {
    n: usize,
    key: F,
    keys: PhantomData<fn() -> K>,
}

impl<F, K: PartialOrd> Top<F, K> {
    /// Where a record would stand, if it is among the first.
    #[inline]
    fn place<T: Record>(&self, kept: &[Ranked<K, T>], key: &K, record: &T) -> Option<usize> {
        let is_before = |other: &Ranked<K, T>| {
            let other = (&other.key, &other.record);
            compare::<_, _, true>(other, (key, record)).is_le()
        };
        let last = self.n.checked_sub(1)?;
        if kept.get(last).is_some_and(is_before) {
            return None;
        }
        Some(kept.partition_point(is_before))
    }

    fn insert<T>(&self, kept: &mut Vec<Ranked<K, T>>, place: usize, ranked: Ranked<K, T>) {
        kept.insert(place, ranked);
        kept.truncate(self.n);
    }

    /// A checkpoint of a job that kept more may have been restored. Tells whether it was.
    fn shorten<T>(&self, kept: &mut Vec<Ranked<K, T>>) -> bool {
        let is_longer = kept.len() > self.n;
        kept.truncate(self.n);
        is_longer
    }
}

impl<T, K, F> Aggregate<T> for Top<F, K>
where
    T: Record,
    K: Record + PartialOrd,
    F: Fn(&T) -> K + 'static,
{
    const CLASS: Class = Class::Exact;
    type State = Vec<Ranked<K, T>>;
    type Value = Vec<T>;

    fn start(&self, record: &T) -> Self::State {
        let mut kept = Vec::new();
        self.add(&mut kept, record);
        kept
    }

    #[inline]
    fn add(&self, kept: &mut Self::State, record: &T) {
        self.update(kept, record);
    }

    #[inline]
    fn update(&self, kept: &mut Self::State, record: &T) -> bool {
        let key = (self.key)(record);
        let place = self.place(kept, &key, record);
        if let Some(place) = place {
            let record = record.clone();
            self.insert(kept, place, Ranked { key, record });
        }
        place.is_some() || self.shorten(kept)
    }

    #[inline]
    fn update_owned(&self, kept: &mut Self::State, record: T) -> bool {
        let key = (self.key)(&record);
        let place = self.place(kept, &key, &record);
        if let Some(place) = place {
            self.insert(kept, place, Ranked { key, record });
        }
        place.is_some() || self.shorten(kept)
    }

    fn merge(&self, kept: &mut Self::State, later: Self::State) {
        for ranked in later {
            if let Some(place) = self.place(kept, &ranked.key, &ranked.record) {
                self.insert(kept, place, ranked);
            }
        }
    }

    fn finish(&self, kept: &Self::State) -> Vec<T> {
        let kept = kept.iter().take(self.n); // see `shorten`
        let records = kept.map(|ranked| ranked.record.clone());
        records.collect()
    }
}
