//! The handles that a pipeline is written with.

use std::collections::BTreeMap;
use std::fmt::Display;

use super::fuse::{Chain, Filter, FilterMap, FlatMap, Inspect, Map, Pass, Step, stateless};
use super::node::{Port, stage};
use super::{Key, Record, Stamp};
use crate::engine::tap::Telling;
use crate::io;
use crate::ops;
use crate::time::{EventTime, Lateness};

/// What is known of a stream's records besides their values.
///
/// Sealed: [`Lanes`], [`Mixed`] and [`OnTime`] are all there are.
pub trait Kind: sealed::Sealed + 'static {
    /// What is known of the records after an exchange.
    type Exchanged: Kind<Stamp = Self::Stamp>;
}

mod sealed {
    pub trait Sealed {
        type Stamp: super::Stamp;
    }
}
/// The records of each lane are in the order of their source; they have no event time yet.
pub enum Lanes {}
/// An exchange has mixed the lanes; the records have no event time.
pub enum Mixed {}
/// Every record has an event time and is on time.
pub enum OnTime {}

impl sealed::Sealed for Lanes {
    type Stamp = ();
}
impl sealed::Sealed for Mixed {
    type Stamp = ();
}
impl sealed::Sealed for OnTime {
    type Stamp = EventTime;
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
    message = "a window needs event time, and this stream has none",
    label = "assign it before `key_by`: `.event_time(|record| …, Lateness::secs(…))`",
    note = "event time decides which window a record falls in, so that every mode agrees"
)]
pub trait EventTimed: Kind<Stamp = EventTime> {}
impl EventTimed for OnTime {}

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

    /// Turns each record into another.
    ///
    /// ```
    /// # stream_core::testing::doc(|numbers| {
    /// let doubled = numbers.map(|n| n * 2);
    /// # doubled }, [1, 2, 3], [2, 4, 6]);
    /// ```
    pub fn map<B: 'static>(self, f: impl Fn(T) -> B + 'static) -> Stream<B, K> {
        self.stateless("map", Map(f))
    }

    /// Keeps the records for which the closure says so.
    ///
    /// ```
    /// # stream_core::testing::doc(|numbers| {
    /// let odd = numbers.filter(|n| n % 2 == 1);
    /// # odd }, [1, 2, 3], [1, 3]);
    /// ```
    pub fn filter(self, f: impl Fn(&T) -> bool + 'static) -> Stream<T, K> {
        self.stateless("filter", Filter(f))
    }

    /// Turns each record into another, or drops it.
    ///
    /// ```
    /// # stream_core::testing::doc(|numbers| {
    /// let predecessors = numbers.filter_map(|n| n.checked_sub(2));
    /// # predecessors }, [1, 2, 3], [0, 1]);
    /// ```
    pub fn filter_map<B: 'static>(self, f: impl Fn(T) -> Option<B> + 'static) -> Stream<B, K> {
        self.stateless("filter_map", FilterMap(f))
    }

    /// Turns each record into any number of others.
    ///
    /// ```
    /// # stream_core::testing::doc(|numbers| {
    /// let counted = numbers.flat_map(|n| 0..n);
    /// # counted }, [1, 2, 3], [0, 0, 0, 1, 1, 2]);
    /// ```
    pub fn flat_map<I>(self, f: impl Fn(T) -> I + 'static) -> Stream<I::Item, K>
    where
        I: IntoIterator<Item: 'static>,
    {
        self.stateless("flat_map", FlatMap(f))
    }

    /// Looks at each record and hands it on.
    ///
    /// ```
    /// # stream_core::testing::doc(|numbers| {
    /// let seen = numbers.inspect(|n| println!("{n}"));
    /// # seen }, [1, 2, 3], [1, 2, 3]);
    /// ```
    pub fn inspect(self, f: impl Fn(&T) + 'static) -> Stream<T, K> {
        self.stateless("inspect", Inspect(f))
    }

    /// Runs several stateless stages as one loop over the records, without a batch in between.
    ///
    /// The graph is the same as that of the same methods called on the stream.
    ///
    /// ```
    /// # stream_core::testing::doc(|numbers| {
    /// let squares = numbers.fuse(|chain| chain.filter(|n| n % 2 == 1).map(|n| n * n));
    /// # squares }, [1, 2, 3], [1, 9]);
    /// ```
    pub fn fuse<P: Step<T>>(
        self,
        chain: impl FnOnce(Chain<T, K, Pass>) -> Chain<T, K, P>,
    ) -> Stream<P::Out, K> {
        chain(self.chain()).end()
    }

    /// Begins a chain that is fused until it is [ended](Chain::end): what `#[pipeline]` writes
    /// where a chain goes on in another binding.
    #[doc(hidden)]
    pub fn chain(self) -> Chain<T, K, Pass> {
        Chain::open(self.port)
    }

    fn stateless<P: Step<T>>(self, kind: &'static str, step: P) -> Stream<P::Out, K> {
        let graph = self.port.graph().clone();
        let spec = stage(kind, vec![self.port.spec()]);
        let render = stateless::<K::Stamp, T, P>(self.port.spec(), step);
        Stream::from_port(graph.add(spec, render))
    }

    /// Puts the records of two streams into one. A lane of either stays a lane of its own.
    ///
    /// ```
    /// # stream_core::testing::doc(|numbers| {
    /// let all = numbers.clone().union(numbers.map(|n| n + 10));
    /// # all }, [1, 2], [1, 2, 11, 12]);
    /// ```
    pub fn union(self, other: Stream<T, K>) -> Stream<T, K> {
        Stream::from_port(ops::union::union(self.port, other.port))
    }

    /// Divides the records: first those for which the closure says so, then the rest.
    ///
    /// ```
    /// # stream_core::testing::doc(|numbers| {
    /// let (small, large) = numbers.split(|n| *n < 3);
    /// # small.map(|n| n * 100).union(large) }, [1, 2, 3], [3, 100, 200]);
    /// ```
    pub fn split(self, f: impl Fn(&T) -> bool + 'static) -> (Stream<T, K>, Stream<T, K>) {
        let (yes, no) = ops::split::split(self.port, f);
        (Stream::from_port(yes), Stream::from_port(no))
    }

    /// Gives each record a key. What has the same key is worked on by the same worker, in the
    /// order in which it stands in its lane.
    pub fn key_by<Q: Key>(self, f: impl Fn(&T) -> Q + 'static) -> Keyed<Q, T, K>
    where
        T: Record,
    {
        let key = move |record: T| (f(&record), record);
        Keyed {
            port: self.stateless("key_by", Map(key)).port,
        }
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

impl<T: 'static, K: Kind> Stream<T, K> {
    /// Reads each record's event time, and divides the records that are on time from the late
    /// ones.
    ///
    /// A record is late exactly when it lies behind the highest event time seen *earlier in its
    /// own lane* by more than `lateness`: so it depends on the input alone, not on how it was cut
    /// or read. The two streams together are the input.
    ///
    /// A record that leaps ahead of its lane (for the first one, of the wall clock) by more than
    /// ten years is a bad record, treated as its source says: one record of the year
    /// 9999 does not make all others late.
    pub fn event_time(
        self,
        f: impl Fn(&T) -> EventTime + 'static,
        lateness: Lateness,
    ) -> (Timed<T>, Stream<T>)
    where
        K: KnowsLane,
    {
        let (timed, late) = ops::event_time::event_time(self.port, f, lateness);
        (Stream::from_port(timed), Stream::from_port(late))
    }
}

/// A stream whose records have a key: what aggregates, windows and keyed operators are called on.
#[must_use = "a stream that nobody reads computes nothing"]
pub struct Keyed<Q, T, K: Kind = Lanes> {
    pub(crate) port: Port<K::Stamp, (Q, T)>,
}

impl<Q: Key, T: Record, K: Kind> Keyed<Q, T, K> {
    /// Names the stage that gave the key; see [`Stream::named`].
    pub fn named(self, name: impl Display) -> Self {
        self.port.graph().rename(self.port.node, &name.to_string());
        self
    }
}

impl<Q: Key, T: Record, K: Kind> Clone for Keyed<Q, T, K> {
    fn clone(&self) -> Self {
        Keyed {
            port: self.port.clone_edge(),
        }
    }
}

/// A changing map from keys to values.
///
/// When a change is seen by others depends on the mode: at once, at the batch's close, or at the
/// end of input. What the table holds in the end does not.
#[must_use = "a table that nobody reads computes nothing"]
pub struct Table<Q, V> {
    pub(crate) port: Port<(), ops::Change<Q, V>>,
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
    pub(crate) port: Port<(), ops::Change<Q, V>>,
}

impl<Q: Clone + 'static, V: Clone + 'static> Clone for Changes<Q, V> {
    fn clone(&self) -> Self {
        Changes {
            port: self.port.clone_edge(),
        }
    }
}

impl<Q: Key, V: Record> Table<Q, V> {
    /// The changes of this table, as they come.
    pub fn changes(self) -> Changes<Q, V> {
        Changes { port: self.port }
    }

    /// Names the stage that this table comes out of; see [`Stream::named`].
    pub fn named(self, name: impl Display) -> Self {
        self.port.graph().rename(self.port.node, &name.to_string());
        self
    }
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

    /// What the rows come to, whatever the mode: all of them, but of changes the last of each key.
    #[doc(hidden)]
    fn consolidate(rows: Vec<Self::Row>) -> Vec<Self::Row> {
        rows
    }
}

mod output {
    pub trait Sealed {}
}

impl<T: 'static, K: Kind> output::Sealed for Stream<T, K> {}
impl<T: 'static, K: Kind> Output for Stream<T, K> {
    type Row = T;

    fn connect(self, name: &str) {
        crate::ops::output::output(self.port, name, "rows", Telling::by_sink());
    }
}

impl<Q: Key, V: Record> output::Sealed for Table<Q, V> {}
impl<Q: Key, V: Record> Output for Table<Q, V> {
    type Row = ops::Entry<Q, V>;

    fn connect(self, name: &str) {
        let content = ops::table::final_content(self.port);
        crate::ops::output::output(content, name, "final content", Telling::rows());
    }
}

impl<Q: Key, V: Record> output::Sealed for Changes<Q, V> {}
impl<Q: Key, V: Record> Output for Changes<Q, V> {
    type Row = ops::Change<Q, V>;

    fn connect(self, name: &str) {
        let telling = Telling::changes(
            |change: &Self::Row, into| io::canonical(&change.key, into),
            |change| change.value.is_some(),
        );
        crate::ops::output::output(self.port, name, "changes", telling);
    }

    fn consolidate(rows: Vec<Self::Row>) -> Vec<Self::Row> {
        let last: BTreeMap<_, _> = rows.into_iter().map(|row| (row.key, row.value)).collect();
        last.into_iter()
            .map(|(key, value)| ops::Change { key, value })
            .collect()
    }
}
