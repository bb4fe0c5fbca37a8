//! Methods that a handle does not have, so that the compiler says why.
//!
//! A method that is not there is only said not to be there. A method whose bound nothing meets is
//! refused with the bound's own words. So what is called most often on the wrong handle is written
//! here, hidden from the documentation and from completion, and can never be called.

use crate::graph::{Changes, Expiring, InOrder, Key, Keyed, Kind, OnTime, Stream, Table, Timed};
use crate::ops::count_windows::CountWindows;
use crate::ops::global::GlobalWindows;
use crate::ops::operator::Overtaken;
use crate::ops::session::SessionWindows;
use crate::ops::sliding::SlidingWindows;
use crate::ops::tumbling::TumblingWindows;
use crate::ops::window::Windows;
use crate::time::{EventTime, Gap, Size, TimeBounds};

/// A handle whose records have a key.
#[diagnostic::on_unimplemented(
    message = "this works key by key, and these records have no key",
    label = "give them one before: `.key_by(|record| …)`",
    note = "for one result over all records, give all the same key: `.key_by(|_| ())`"
)]
pub trait HasKey<Q> {}

/// A handle whose records have no key yet.
#[diagnostic::on_unimplemented(
    message = "`event_time` comes before `key_by`",
    label = "these records have a key: call `event_time` first, and `key_by` on what is on time",
    note = "whether a record is late depends on the order in its source, which a key gives up"
)]
pub trait HasNoKey {}

/// A handle that has a join without a time; none has.
#[diagnostic::on_unimplemented(
    message = "there is no `join` without a time: what should be joined with what?",
    label = "records that lie close together: `.interval_join(other, before, after)`",
    note = "each record with the latest one of the other stream at its time: `.as_of_join(other)`",
    note = "`left_interval_join` and `full_interval_join` also give the records that make no pair",
    note = "both streams have event time and a key: `.event_time(…)`, then `.key_by(…)`"
)]
pub trait HasJoin {}

/// A handle whose rows can be given another key; none has.
#[diagnostic::on_unimplemented(
    message = "the rows of a table have a key already: a table has no `key_by`",
    label = "to put them into groups by another one: `.group_by(|key, value| …)` on the table",
    note = "what is made of a group follows its rows as they change and go: `.count()`, `.sum(…)`, `.top(n, …)` …",
    note = "the changes of a table are for sinks: how many there are depends on the mode"
)]
pub trait HasKeyedChanges {}

/// What cannot be called says so, and is never run.
pub(super) const NEVER: &str = "no type meets the bound of this method";

impl<T: 'static, K: Kind> Stream<T, K> {
    #[doc(hidden)]
    pub fn count<Q: Key>(self) -> Table<Q, u64>
    where
        Self: HasKey<Q>,
    {
        unreachable!("{NEVER}")
    }

    #[doc(hidden)]
    pub fn fold<Q: Key, A>(
        self,
        _: impl Fn() -> A + 'static,
        _: impl Fn(&mut A, T) + 'static,
    ) -> Table<Q, A>
    where
        Self: HasKey<Q>,
    {
        unreachable!("{NEVER}")
    }

    #[doc(hidden)]
    pub fn scan<Q: Key, A, O: 'static>(
        self,
        _: impl Fn() -> A + 'static,
        _: impl Fn(&mut A, T) -> O + 'static,
    ) -> Stream<(Q, O), K::Exchanged>
    where
        Self: HasKey<Q>,
    {
        unreachable!("{NEVER}")
    }

    #[doc(hidden)]
    pub fn session<Q: Key>(self, _: impl Into<Gap>) -> Windows<Q, T, SessionWindows>
    where
        Self: HasKey<Q>,
    {
        unreachable!("{NEVER}")
    }

    #[doc(hidden)]
    pub fn tumbling<Q: Key>(self, _: impl Into<Size>) -> Windows<Q, T, TumblingWindows>
    where
        Self: HasKey<Q>,
    {
        unreachable!("{NEVER}")
    }
}

/// The same of those that keep records, or forget keys.
impl<T: 'static, K: Kind> Stream<T, K> {
    #[doc(hidden)]
    pub fn absence<Q: Key>(self, _: impl Into<Gap>) -> Timed<(Q, EventTime)>
    where
        Self: HasKey<Q>,
    {
        unreachable!("{NEVER}")
    }

    #[doc(hidden)]
    pub fn absence_with_overtaken<Q: Key>(
        self,
        _: impl Into<Gap>,
    ) -> (Timed<(Q, EventTime)>, Overtaken<Q, T>)
    where
        Self: HasKey<Q>,
    {
        unreachable!("{NEVER}")
    }

    #[doc(hidden)]
    pub fn as_of_join<Q: Key, U, L: Kind>(self, _: Keyed<Q, U, L>) -> Timed<(T, Option<U>)>
    where
        Self: HasKey<Q>,
    {
        unreachable!("{NEVER}")
    }

    #[doc(hidden)]
    pub fn count_windows<Q: Key>(self, _: usize) -> CountWindows<Q, T, K>
    where
        Self: HasKey<Q>,
    {
        unreachable!("{NEVER}")
    }

    #[doc(hidden)]
    pub fn dedup<Q: Key>(self, _: impl Into<Gap>) -> Timed<T>
    where
        Self: HasKey<Q>,
    {
        unreachable!("{NEVER}")
    }

    #[doc(hidden)]
    pub fn dedup_with_overtaken<Q: Key>(self, _: impl Into<Gap>) -> (Timed<T>, Overtaken<Q, T>)
    where
        Self: HasKey<Q>,
    {
        unreachable!("{NEVER}")
    }

    #[doc(hidden)]
    pub fn global<Q: Key>(self, _: impl Into<Size>) -> Windows<Q, T, GlobalWindows>
    where
        Self: HasKey<Q>,
    {
        unreachable!("{NEVER}")
    }

    #[doc(hidden)]
    pub fn in_order<Q: Key>(self) -> Keyed<Q, T, InOrder>
    where
        Self: HasKey<Q>,
    {
        unreachable!("{NEVER}")
    }

    #[doc(hidden)]
    pub fn in_order_with_overtaken<Q: Key>(self) -> (Keyed<Q, T, InOrder>, Overtaken<Q, T>)
    where
        Self: HasKey<Q>,
    {
        unreachable!("{NEVER}")
    }

    #[doc(hidden)]
    pub fn interval_join<Q: Key, U, L: Kind>(
        self,
        _: Keyed<Q, U, L>,
        _: impl Into<Gap>,
        _: impl Into<Gap>,
    ) -> Timed<(T, U)>
    where
        Self: HasKey<Q>,
    {
        unreachable!("{NEVER}")
    }

    #[doc(hidden)]
    pub fn lookup<Q: Key, V>(self, _: Table<Q, V>) -> Stream<(T, Option<V>), K::Exchanged>
    where
        Self: HasKey<Q>,
    {
        unreachable!("{NEVER}")
    }

    #[doc(hidden)]
    pub fn lookup_arrival<Q: Key, V>(self, _: Table<Q, V>) -> Stream<(T, Option<V>), K::Exchanged>
    where
        Self: HasKey<Q>,
    {
        unreachable!("{NEVER}")
    }

    #[doc(hidden)]
    pub fn sliding<Q: Key>(
        self,
        _: impl Into<Size>,
        _: impl Into<Size>,
    ) -> Windows<Q, T, SlidingWindows>
    where
        Self: HasKey<Q>,
    {
        unreachable!("{NEVER}")
    }

    #[doc(hidden)]
    pub fn table<Q: Key, V>(self, _: impl Fn(T) -> Option<V> + 'static) -> Table<Q, V>
    where
        Self: HasKey<Q>,
    {
        unreachable!("{NEVER}")
    }

    #[doc(hidden)]
    pub fn ttl<Q: Key>(self, _: impl Into<Gap>) -> Keyed<Q, T, Expiring<K>>
    where
        Self: HasKey<Q>,
    {
        unreachable!("{NEVER}")
    }
}

impl<Q, T: 'static, K: Kind> Keyed<Q, T, K> {
    #[doc(hidden)]
    pub fn event_time(
        self,
        _: impl Fn(&T) -> EventTime + 'static,
        _: impl Into<TimeBounds>,
    ) -> (Keyed<Q, T, OnTime>, Stream<T>)
    where
        Self: HasNoKey,
    {
        unreachable!("{NEVER}")
    }
}

impl<T: 'static, K: Kind> Stream<T, K> {
    #[doc(hidden)]
    pub fn join<O, R>(self, _: O) -> R
    where
        Self: HasJoin,
    {
        unreachable!("{NEVER}")
    }
}

impl<Q, T: 'static, K: Kind> Keyed<Q, T, K> {
    #[doc(hidden)]
    pub fn join<O, R>(self, _: O) -> R
    where
        Self: HasJoin,
    {
        unreachable!("{NEVER}")
    }
}

impl<Q, V> Table<Q, V> {
    #[doc(hidden)]
    pub fn key_by<F, R>(self, _: F) -> R
    where
        Self: HasKeyedChanges,
    {
        unreachable!("{NEVER}")
    }
}

impl<Q, V> Changes<Q, V> {
    #[doc(hidden)]
    pub fn key_by<F, R>(self, _: F) -> R
    where
        Self: HasKeyedChanges,
    {
        unreachable!("{NEVER}")
    }
}
