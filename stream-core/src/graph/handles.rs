//! The handles that a pipeline is written with.

use std::fmt::{self, Display};
use std::marker::PhantomData;

use super::node::Port;
use super::rows::Change;
use crate::state::record::Stamp;
use crate::time::{EventTime, Gap};

/// What is known of a stream's records besides their values.
///
/// Sealed: [`Lanes`], [`Mixed`], [`OnTime`], [`InOrder`] and [`Expiring`] are all there are.
pub trait Kind: sealed::Sealed + 'static {
    /// What is known of the records after an exchange.
    type Exchanged: Kind<Stamp = Self::Stamp>;
}

mod sealed {
    use super::super::Class;

    pub trait Sealed {
        type Stamp: super::Stamp;
        /// Whether the records of each key come in the order of event time.
        const IS_IN_ORDER: bool = false;

        /// The class of what depends on the order of a key's records, and else is of this one.
        fn class_in_order(class: Class) -> Class {
            match Self::IS_IN_ORDER {
                true => class,
                false => Class::ExactIfKeyInOneLane,
            }
        }
    }
}
/// The records of each lane are in the order of their source; they have no event time yet.
#[derive(Debug)]
pub enum Lanes {}
/// An exchange has mixed the lanes; the records have no event time.
#[derive(Debug)]
pub enum Mixed {}
/// Every record has an event time and is on time.
#[derive(Debug)]
pub enum OnTime {}

/// Every record has an event time, and those of each key come in its order; made by
/// [`Keyed::in_order`].
#[derive(Debug)]
pub enum InOrder {}

/// As the kind `K`, and what is kept of a key is forgotten after a silence; made by [`Keyed::ttl`].
#[derive(Debug)]
pub struct Expiring<K>(PhantomData<K>);

impl sealed::Sealed for Lanes {
    type Stamp = ();
}
impl sealed::Sealed for Mixed {
    type Stamp = ();
}
impl sealed::Sealed for OnTime {
    type Stamp = EventTime;
}
impl sealed::Sealed for InOrder {
    type Stamp = EventTime;
    const IS_IN_ORDER: bool = true;
}
impl<K: Kind> sealed::Sealed for Expiring<K> {
    type Stamp = K::Stamp;
    const IS_IN_ORDER: bool = K::IS_IN_ORDER;
}
impl Kind for Lanes {
    type Exchanged = Mixed;
}
impl Kind for Mixed {
    type Exchanged = Mixed;
}
impl Kind for OnTime {
    type Exchanged = OnTime;
}

impl Kind for InOrder {
    type Exchanged = OnTime;
}

impl<K: Kind> Kind for Expiring<K> {
    type Exchanged = K::Exchanged;
}

/// A stream whose lanes are still known, so event time can be assigned.
#[diagnostic::on_unimplemented(
    message = "`event_time` needs records in the order of their source",
    label = "these records have been exchanged between workers, or have an event time already",
    note = "call `event_time` first: before `key_by`, windows and other keyed operators"
)]
pub trait KnowsLane: Kind<Stamp = ()> {}
impl KnowsLane for Lanes {}

/// A stream that has event time, which windows need.
#[diagnostic::on_unimplemented(
    message = "this works in event time, and the stream has none",
    label = "assign it before `key_by`: `.event_time(|record| …, Lateness::secs(…))`",
    note = "event time decides which window a record falls in and when a timer falls due, so that every \
            mode agrees"
)]
pub trait EventTimed: Kind<Stamp = EventTime> {}
impl EventTimed for OnTime {}
impl EventTimed for InOrder {}
impl<K: EventTimed> EventTimed for Expiring<K> {}

/// A stream by key of which nothing is said to be forgotten.
#[diagnostic::on_unimplemented(
    message = "a `ttl` stands right in front of what keeps a key for good, and this does not",
    label = "nothing that a `ttl` could free is kept here: leave it out, or call it behind this",
    note = "it is for `count`, `fold`, `aggregate` and its short forms, `scan`, `table`, `count_windows`, `global`, and \
            the stream that `as_of_join` takes",
    note = "windows, joins and operators of your own forget by themselves"
)]
pub trait Lasting: Kind {}
impl Lasting for Lanes {}
impl Lasting for Mixed {}
impl Lasting for OnTime {}
impl Lasting for InOrder {}

/// A stream that has event time as another one, `K`, has it: both, or neither.
#[diagnostic::on_unimplemented(
    message = "one of these two streams has event time, and the other has none",
    label = "assign it to both, before `key_by`: `.event_time(|record| …, Lateness::secs(…))`"
)]
pub trait TimedAs<K: Kind>: Kind<Stamp = K::Stamp> {}

#[diagnostic::do_not_recommend]
impl<K: Kind, L: Kind<Stamp = K::Stamp>> TimedAs<K> for L {}

/// A stream of records.
///
/// The second parameter says what is known of the records: in a `Stream<T>` their [`Lanes`]; in a
/// [`Timed<T>`] their event time; in a `Stream<T, Mixed>`, which comes out of a keyed operator
/// without event time, neither.
///
/// A handle only describes. Reading a stream twice takes a clone of the handle, and then the
/// records must be `Clone`.
#[must_use = "a stream that nobody reads computes nothing"]
pub struct Stream<T, K: Kind = Lanes> {
    pub(crate) port: Port<K::Stamp, T>,
}

impl<T, K: Kind> fmt::Debug for Stream<T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stream").field(&self.port).finish()
    }
}

/// A stream of records that have an event time and are on time.
pub type Timed<T> = Stream<T, OnTime>;

impl<T: Clone + 'static, K: Kind> Clone for Stream<T, K> {
    fn clone(&self) -> Self {
        Stream {
            port: self.port.clone_edge(),
        }
    }
}

impl<T: 'static, K: Kind> Stream<T, K> {
    pub(crate) fn from_port(port: Port<K::Stamp, T>) -> Self {
        Stream { port }
    }

    /// Ends the stream: nobody reads it, and that is meant.
    pub fn discard(self) {}

    /// Names the stage that this stream comes out of. State is found by the name, so a named stage
    /// keeps its state when others are added around it.
    pub fn named(self, name: impl Display) -> Self {
        self.port.graph().rename(self.port.node, &name.to_string());
        self
    }
}

/// A stream whose records have a key: what aggregates, windows and keyed operators are called on.
#[must_use = "a stream that nobody reads computes nothing"]
pub struct Keyed<Q, T, K: Kind = Lanes> {
    pub(crate) port: Port<K::Stamp, (Q, T)>,
    /// After which silence a key is forgotten, if that is said.
    pub(crate) ttl: Option<Ttl<K::Stamp>>,
}

/// After which silence a key is forgotten, and how a record's time is known.
#[derive(Clone, Copy)]
pub(crate) struct Ttl<S> {
    pub(crate) gap: Gap,
    pub(crate) time: fn(S) -> EventTime,
}

impl<Q, T, K: Kind> fmt::Debug for Keyed<Q, T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Keyed").field(&self.port).finish()
    }
}

impl<Q: 'static, T: 'static, K: Kind> Keyed<Q, T, K> {
    pub(crate) fn from_port(port: Port<K::Stamp, (Q, T)>) -> Self {
        Keyed { port, ttl: None }
    }

    /// Ends the records by key: nobody reads them, and that is meant.
    pub fn discard(self) {}

    /// Names the stage that gave the key; see [`Stream::named`].
    pub fn named(self, name: impl Display) -> Self {
        self.port.graph().rename(self.port.node, &name.to_string());
        self
    }
}

impl<Q: Clone + 'static, T: Clone + 'static, K: Kind> Clone for Keyed<Q, T, K> {
    fn clone(&self) -> Self {
        Keyed {
            port: self.port.clone_edge(),
            ..*self
        }
    }
}

/// A changing map from keys to values.
///
/// When a change is seen by others depends on the mode: at once, at the batch's close, or at the
/// end of input. What the table holds in the end does not.
#[must_use = "a table that nobody reads computes nothing"]
pub struct Table<Q, V> {
    pub(crate) port: Port<(), Change<Q, V>>,
}

impl<Q, V> fmt::Debug for Table<Q, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Table").field(&self.port).finish()
    }
}

impl<Q: Clone + 'static, V: Clone + 'static> Clone for Table<Q, V> {
    fn clone(&self) -> Self {
        Table {
            port: self.port.clone_edge(),
        }
    }
}

/// The changes of a table, as they come; how many there are depends on the mode.
///
/// Only what consolidates them may read them: a sink that upserts, or a person.
#[must_use = "changes that nobody reads compute nothing"]
pub struct Changes<Q, V> {
    pub(crate) port: Port<(), Change<Q, V>>,
}

impl<Q, V> fmt::Debug for Changes<Q, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Changes").field(&self.port).finish()
    }
}

impl<Q: Clone + 'static, V: Clone + 'static> Clone for Changes<Q, V> {
    fn clone(&self) -> Self {
        Changes {
            port: self.port.clone_edge(),
        }
    }
}

impl<Q: 'static, V: 'static> Table<Q, V> {
    /// Ends the table: nobody reads it, and that is meant.
    pub fn discard(self) {}

    /// The changes of this table, as they come. A row may be told again with the value that it had; an
    /// [aggregate](crate::ops::aggregate) that can say so says nothing of a key that is as it was.
    pub fn changes(self) -> Changes<Q, V> {
        Changes { port: self.port }
    }

    /// Names the stage that this table comes out of; see [`Stream::named`].
    pub fn named(self, name: impl Display) -> Self {
        self.port.graph().rename(self.port.node, &name.to_string());
        self
    }
}

impl<Q, V> Changes<Q, V> {
    /// Ends the changes: nobody reads them, and that is meant.
    pub fn discard(self) {}
}

/// What can be bound to an output port.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an output",
    label = "an output is a stream, a table or the changes of a table",
    note = "records by key become a table by `.count()` or `.fold(…)`, and a stream by a window"
)]
pub trait Output: output::Sealed {
    /// What a sink of the port is given.
    type Row: 'static;

    #[doc(hidden)]
    fn connect(self, name: &str);

    /// What the rows come to, whatever the mode: all of them, but of changes the last of each key that has a value.
    #[doc(hidden)]
    fn consolidate(rows: Vec<Self::Row>) -> Vec<Self::Row> {
        rows
    }
}

pub(crate) mod output {
    pub trait Sealed {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Job;

    #[test]
    fn a_handle_shows_the_stage_that_it_comes_out_of() {
        let job = Job::new("job", |graph| {
            let words: Stream<String> = graph.input("words");
            assert_eq!(format!("{words:?}"), r#"Stream("job/words")"#);
            let counts = words.key_by(String::clone).count().named("counts");
            assert_eq!(format!("{counts:?}"), r#"Table("job/counts")"#);
            counts.discard();
        });
        assert!(format!("{job:?}").starts_with(r#"Job { name: "job""#));
        job.explain().unwrap();
    }
}
