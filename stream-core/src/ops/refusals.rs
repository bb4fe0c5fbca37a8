//! Methods that a handle does not have, so that the compiler says why.
//!
//! A method that is not there is only said not to be there. A method whose bound nothing meets is
//! refused with the bound's own words. So what is called most often on the wrong handle is written
//! here, hidden from the documentation and from completion, and can never be called.

use crate::graph::{Changes, Key, Keyed, Kind, OnTime, Stream, Table};
use crate::ops::session::SessionWindows;
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
