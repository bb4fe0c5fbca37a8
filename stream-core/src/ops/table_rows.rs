//! `map_values` and `filter` of a table: what is done with each row, whenever it changes.
//!
//! Definition. A table is a map, and what these make is the map whose rows are the rows of that
//! one, with other values or fewer of them. A change goes through by itself: the new value of a key
//! is mapped; one that does not pass is the change to no value, whatever the key had before. So
//! nothing is kept, and a row that stops passing goes away.
//!
//! What it leaves out: whether the key had a row before. A deletion of a key without one says
//! nothing new, but `changes` has it.

use crate::graph::fuse::{Map, Step, add_stage};
use crate::graph::{Change, Record, Table};

impl<Q: 'static, V: 'static> Table<Q, V> {
    /// Turns the value of each row into another.
    ///
    /// ```
    /// use stream_core::{graph::Stream, ops::Entry, testing};
    ///
    /// let doubled = |words: Stream<String>| {
    ///     words.key_by(|word| word.clone()).count().map_values(|count| count * 2)
    /// };
    /// let rows = testing::rows(doubled, ["a", "b", "a"].map(String::from));
    /// let entry = |key: &str, value| Entry { key: key.to_string(), value };
    /// assert_eq!(rows, [entry("a", 4), entry("b", 2)]);
    /// ```
    pub fn map_values<W: Record>(self, f: impl Fn(V) -> W + 'static) -> Table<Q, W> {
        let map = move |Change { key, value }: Change<Q, V>| Change {
            key,
            value: value.map(&f),
        };
        self.step("map_values", Map(map))
    }

    /// Keeps the rows for which the closure says so of the key and the value. A row that stops
    /// passing is deleted.
    ///
    /// ```
    /// use stream_core::{graph::Stream, ops::Entry, testing};
    ///
    /// let seldom = |words: Stream<String>| {
    ///     words.key_by(|word| word.clone()).count().filter(|_, count| *count < 2)
    /// };
    /// let rows = testing::rows(seldom, ["a", "b", "a"].map(String::from));
    /// assert_eq!(rows, [Entry { key: "b".to_string(), value: 1 }]);
    /// ```
    pub fn filter(self, f: impl Fn(&Q, &V) -> bool + 'static) -> Table<Q, V> {
        let keep = move |Change { key, value }: Change<Q, V>| {
            let value = value.filter(|value| f(&key, value));
            Change { key, value }
        };
        self.step("filter", Map(keep))
    }

    fn step<W, P>(self, kind: &'static str, step: P) -> Table<Q, W>
    where
        P: Step<Change<Q, V>, (), Out = Change<Q, W>>,
        W: 'static,
    {
        Table {
            port: add_stage(&self.port, kind, step),
        }
    }

    /// What `#[pipeline]` writes around stages that a stream would run as one loop.
    #[doc(hidden)]
    pub fn fuse<R>(self, stages: impl FnOnce(Self) -> R) -> R {
        stages(self)
    }

    /// The same where they go on in another binding.
    #[doc(hidden)]
    pub fn chain(self) -> Self {
        self
    }

    /// The end of that.
    #[doc(hidden)]
    pub fn end(self) -> Self {
        self
    }
}
