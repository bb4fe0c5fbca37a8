//! The methods of records with a key on those without, so that the compiler says why.

use std::collections::BTreeSet;

use super::{Aggregate, Number};
use crate::graph::{Key, Kind, Record, Stream, Table};
use crate::ops::refusals::{HasKey, NEVER};
use crate::time::EventTime;

impl<T: 'static, K: Kind> Stream<T, K> {
    #[doc(hidden)]
    pub fn aggregate<Q: Key, G: Aggregate<T>>(self, _: G) -> Table<Q, G::Value>
    where
        Self: HasKey<Q>,
    {
        unreachable!("{NEVER}")
    }

    #[doc(hidden)]
    pub fn approx_count_distinct<Q: Key, V>(self, _: impl Fn(&T) -> V + 'static) -> Table<Q, u64>
    where
        Self: HasKey<Q>,
    {
        unreachable!("{NEVER}")
    }

    #[doc(hidden)]
    pub fn average<Q: Key, N: Number>(self, _: impl Fn(&T) -> N + 'static) -> Table<Q, f64>
    where
        Self: HasKey<Q>,
    {
        unreachable!("{NEVER}")
    }

    #[doc(hidden)]
    pub fn count_distinct<Q: Key, V: Record>(self, _: impl Fn(&T) -> V + 'static) -> Table<Q, u64>
    where
        Self: HasKey<Q>,
    {
        unreachable!("{NEVER}")
    }

    #[doc(hidden)]
    pub fn distinct<Q: Key, V: Record>(self, _: impl Fn(&T) -> V + 'static) -> Table<Q, BTreeSet<V>>
    where
        Self: HasKey<Q>,
    {
        unreachable!("{NEVER}")
    }

    #[doc(hidden)]
    pub fn first<Q: Key>(self, _: impl Fn(&T) -> EventTime + 'static) -> Table<Q, T>
    where
        Self: HasKey<Q>,
    {
        unreachable!("{NEVER}")
    }

    #[doc(hidden)]
    pub fn latest<Q: Key>(self, _: impl Fn(&T) -> EventTime + 'static) -> Table<Q, T>
    where
        Self: HasKey<Q>,
    {
        unreachable!("{NEVER}")
    }

    #[doc(hidden)]
    pub fn max<Q: Key, V: Record>(self, _: impl Fn(&T) -> V + 'static) -> Table<Q, V>
    where
        Self: HasKey<Q>,
    {
        unreachable!("{NEVER}")
    }

    #[doc(hidden)]
    pub fn max_by<Q: Key, V: Record>(self, _: impl Fn(&T) -> V + 'static) -> Table<Q, T>
    where
        Self: HasKey<Q>,
    {
        unreachable!("{NEVER}")
    }

    #[doc(hidden)]
    pub fn min<Q: Key, V: Record>(self, _: impl Fn(&T) -> V + 'static) -> Table<Q, V>
    where
        Self: HasKey<Q>,
    {
        unreachable!("{NEVER}")
    }

    #[doc(hidden)]
    pub fn min_by<Q: Key, V: Record>(self, _: impl Fn(&T) -> V + 'static) -> Table<Q, T>
    where
        Self: HasKey<Q>,
    {
        unreachable!("{NEVER}")
    }

    #[doc(hidden)]
    pub fn reduce<Q: Key>(self, _: impl Fn(T, T) -> T + 'static) -> Table<Q, T>
    where
        Self: HasKey<Q>,
    {
        unreachable!("{NEVER}")
    }

    #[doc(hidden)]
    pub fn sum<Q: Key, N: Number>(self, _: impl Fn(&T) -> N + 'static) -> Table<Q, N::Total>
    where
        Self: HasKey<Q>,
    {
        unreachable!("{NEVER}")
    }

    #[doc(hidden)]
    pub fn top<Q: Key, V: Record>(self, _: usize, _: impl Fn(&T) -> V + 'static) -> Table<Q, Vec<T>>
    where
        Self: HasKey<Q>,
    {
        unreachable!("{NEVER}")
    }
}
