//! `group_by`: a relation by key, and what is made of the rows of each group.
//!
//! Definition. Of the rows that a group has at the moment, each as many times as it is there, an aggregate makes one
//! value. A group without rows has none: its key is no more in the table.
//!
//! These are operators of our own, not of differential dataflow: what it does with a group of n rows, of which one
//! changes, takes n steps, and what is kept here takes one or log n, and is saved as all tables are. A `count`, a
//! `sum` and an `average` keep a number; `min`, `max`, `top` and the like keep the rows in their order, so that there
//! is a next one when the first is taken back. `aggregate` goes through all rows of a group that has changed, once a
//! batch.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::{Deserialize, Serialize};

use super::{Relation, Row, Update, current, emission};
use crate::graph::context::Context;
use crate::graph::fuse::{Map, add_stage};
use crate::graph::node::{Port, Render, stage};
use crate::graph::{Change, Class, Key, Record, Table};
use crate::ops::aggregate::{Aggregate, Number};
use crate::ops::kept::{self, Out, Upkeep};

/// The rows of a relation in groups, each with a key: what an aggregate is called on.
#[must_use = "groups that nobody reads compute nothing"]
pub struct Groups<K, T> {
    port: Port<(), (K, Update<T>)>,
}

impl<K, T> fmt::Debug for Groups<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Groups").field(&self.port).finish()
    }
}

impl<T: 'static> Relation<T> {
    /// Puts the rows into groups, by what a closure says of each. An aggregate makes a table of them.
    ///
    /// ```
    /// use stream_core::prelude::*;
    ///
    /// /// The mean, over the lots of a category, of the highest bid on each: `(lot, category, price)`.
    /// #[pipeline]
    /// fn categories(bids: Stream<(u32, u8, i64)>) -> Table<u8, i64> {
    ///     let highest = bids.key_by(|bid| (bid.0, bid.1)).max(|bid| bid.2);
    ///     let categories = highest
    ///         .rows()
    ///         .group_by(|((_, category), _)| *category)
    ///         .average(|(_, price)| *price)
    ///         .map_values(|mean| mean.round() as i64);
    ///     categories
    /// }
    ///
    /// let bids = [(1, 7, 10), (2, 7, 20), (1, 7, 40), (3, 8, 5)];
    /// let mut rows = categories::test().bids(bids).rows().categories;
    /// rows.sort();
    /// assert_eq!(rows, [Entry { key: 7, value: 30 }, Entry { key: 8, value: 5 }]);
    /// ```
    pub fn group_by<K: Key>(self, key: impl Fn(&T) -> K + 'static) -> Groups<K, T> {
        let step = Map(move |(row, count): Update<T>| (key(&row), (row, count)));
        Groups {
            port: add_stage(&self.port, "group_by", step),
        }
    }
}

impl<Q: Row, V: Row> Table<Q, V> {
    /// As [`Relation::group_by`], of the rows of a table.
    ///
    /// ```
    /// use stream_core::{graph::Stream, ops::Entry, testing};
    ///
    /// // How many words there are how often.
    /// let often = |words: Stream<String>| {
    ///     words.key_by(|word| word.clone()).count().group_by(|_, count| *count).count()
    /// };
    /// let rows = testing::rows(often, ["a", "b", "a"].map(String::from));
    /// assert_eq!(rows, [Entry { key: 1, value: 1 }, Entry { key: 2, value: 1 }]);
    /// ```
    pub fn group_by<K: Key>(self, key: impl Fn(&Q, &V) -> K + 'static) -> Groups<K, (Q, V)> {
        self.rows().group_by(move |(q, value)| key(q, value))
    }
}

impl<K: Key, T: 'static> Groups<K, T> {
    /// How many rows each group has.
    ///
    /// ```
    /// use stream_core::{graph::Stream, ops::Entry, testing};
    ///
    /// let parities = |numbers: Stream<u64>| {
    ///     numbers.key_by(|n| *n).count().group_by(|n, _| n % 2).count()
    /// };
    /// let rows = testing::rows(parities, [1, 2, 3, 3]);
    /// assert_eq!(rows, [Entry { key: 0, value: 1 }, Entry { key: 1, value: 2 }]);
    /// ```
    pub fn count(self) -> Table<K, u64> {
        self.summed("count", |_| (), Count)
    }

    /// The exact sum of what a closure says of the rows of each group, as that of a
    /// [keyed stream](crate::graph::Keyed::sum).
    ///
    /// ```
    /// use stream_core::{graph::Stream, ops::Entry, testing};
    ///
    /// let totals = |numbers: Stream<u64>| {
    ///     numbers.key_by(|n| *n).count().group_by(|n, _| n % 2).sum(|(_, count)| *count)
    /// };
    /// let rows = testing::rows(totals, [1, 2, 3, 3]);
    /// assert_eq!(rows, [Entry { key: 0, value: 1 }, Entry { key: 1, value: 3 }]);
    /// ```
    pub fn sum<N: Number>(self, of: impl Fn(&T) -> N + 'static) -> Table<K, N::Total> {
        self.summed(
            "sum",
            move |row| of(&row),
            Sum::<N, _>(|sum, _| N::total(sum)),
        )
    }

    /// The mean of what a closure says of the rows of each group: their exact sum divided by their count, rounded
    /// once.
    pub fn average<N: Number>(self, of: impl Fn(&T) -> N + 'static) -> Table<K, f64> {
        self.summed("average", move |row| of(&row), Sum::<N, _>(N::mean))
    }

    /// The least of what a closure says of the rows of each group.
    ///
    /// ```
    /// use stream_core::{graph::Stream, ops::Entry, testing};
    ///
    /// // The last price of each shop, and of these the least.
    /// let cheapest = |prices: Stream<(u32, i64)>| {
    ///     let last = prices.key_by(|price| price.0).table(|price| Some(price.1));
    ///     last.group_by(|_, _| ()).min(|(_, price)| *price)
    /// };
    /// let rows = testing::rows(cheapest, [(1, 5), (2, 7), (1, 9)]);
    /// assert_eq!(rows, [Entry { key: (), value: 7 }]);
    /// ```
    pub fn min<V: Record + Ord>(self, of: impl Fn(&T) -> V + 'static) -> Table<K, V> {
        let first = |values: &Values<V>| values.0.keys().next().cloned();
        self.summed("min", move |row| of(&row), InOrder::new(first))
    }

    /// The greatest of what a closure says of the rows of each group.
    pub fn max<V: Record + Ord>(self, of: impl Fn(&T) -> V + 'static) -> Table<K, V> {
        let last = |values: &Values<V>| values.0.keys().next_back().cloned();
        self.summed("max", move |row| of(&row), InOrder::new(last))
    }

    /// The row of each group for which a closure says the least; of several the least one.
    pub fn min_by<V: Record + Ord>(self, of: impl Fn(&T) -> V + 'static) -> Table<K, T>
    where
        T: Row,
    {
        let first = |rows: &Values<(V, T)>| rows.0.keys().next().map(|(_, row)| row.clone());
        self.summed("min_by", move |row| (of(&row), row), InOrder::new(first))
    }

    /// The row of each group for which a closure says the greatest; of several the greatest one.
    pub fn max_by<V: Record + Ord>(self, of: impl Fn(&T) -> V + 'static) -> Table<K, T>
    where
        T: Row,
    {
        let last = |rows: &Values<(V, T)>| rows.0.keys().next_back().map(|(_, row)| row.clone());
        self.summed("max_by", move |row| (of(&row), row), InOrder::new(last))
    }

    /// The `n` rows of each group for which a closure says the greatest, the greatest first; of those for which it
    /// says the same, the greatest rows. All rows are kept, for the first may be taken back.
    ///
    /// ```
    /// use stream_core::{graph::Stream, ops::Entry, testing};
    ///
    /// let often = |words: Stream<String>| {
    ///     let counts = words.key_by(|word| word.clone()).count();
    ///     counts.group_by(|_, _| ()).top(2, |(_, count)| *count)
    /// };
    /// let rows = testing::rows(often, ["c", "a", "b", "a", "c", "c"].map(String::from));
    /// let row = |word: &str, count| (word.to_string(), count);
    /// assert_eq!(rows, [Entry { key: (), value: vec![row("c", 3), row("a", 2)] }]);
    /// ```
    pub fn top<V: Record + Ord>(self, n: usize, of: impl Fn(&T) -> V + 'static) -> Table<K, Vec<T>>
    where
        T: Row,
    {
        let top =
            move |rows: &Values<(V, T)>| Some(rows.last(n).map(|(_, row)| row.clone()).collect());
        self.summed("top", move |row| (of(&row), row), InOrder::new(top))
    }

    /// How many different values a closure says of the rows of each group.
    pub fn count_distinct<V: Record + Ord>(self, of: impl Fn(&T) -> V + 'static) -> Table<K, u64> {
        let count = |values: &Values<V>| Some(values.0.len() as u64);
        self.summed("count_distinct", move |row| of(&row), InOrder::new(count))
    }

    /// Makes one value of the rows of each group, by an [`Aggregate`] or a tuple of them: of all of them once more
    /// whenever one has changed.
    ///
    /// ```
    /// use stream_core::ops::aggregate::{collect, count};
    /// use stream_core::{graph::Stream, ops::Entry, testing};
    ///
    /// let words = |words: Stream<String>| {
    ///     let counts = words.key_by(|word| word.clone()).count();
    ///     counts.group_by(|_, count| *count).aggregate((count(), collect(|row: &(String, u64)| row.0.clone())))
    /// };
    /// let rows = testing::rows(words, ["a", "b", "c", "c"].map(String::from));
    /// assert_eq!(rows[0], Entry { key: 1, value: (2, vec!["a".to_string(), "b".to_string()]) });
    /// ```
    pub fn aggregate<G: Aggregate<T>>(self, aggregate: G) -> Table<K, G::Value>
    where
        T: Row,
    {
        let all = move |rows: &Values<T>| {
            let mut rows = rows.all();
            let mut state = aggregate.start(rows.next()?);
            rows.for_each(|row| aggregate.add(&mut state, row));
            Some(aggregate.finish(&state))
        };
        self.summed_as("aggregate", G::CLASS, |row| row, InOrder::new(all))
    }

    fn summed<S: Summary>(
        self,
        kind: &'static str,
        part: impl Fn(T) -> S::In + 'static,
        summary: S,
    ) -> Table<K, S::Value> {
        self.summed_as(kind, Class::Exact, part, summary)
    }

    fn summed_as<S: Summary>(
        self,
        kind: &'static str,
        class: Class,
        part: impl Fn(T) -> S::In + 'static,
        summary: S,
    ) -> Table<K, S::Value> {
        let graph = self.port.graph().clone();
        let spec = stage(kind, vec![self.port.spec()])
            .class(class)
            .keeps::<K, S::State>()
            .exchanged();
        let render = Summing {
            input: self.port,
            part,
            summary,
        };
        Table {
            port: graph.add(spec, Box::new(render)),
        }
    }
}

struct Summing<K, T, P, S> {
    input: Port<(), (K, Update<T>)>,
    part: P,
    summary: S,
}

impl<K: Key, T: 'static, S: Summary, P: Fn(T) -> S::In + 'static> Render for Summing<K, T, P, S> {
    fn render<'s>(self: Box<Self>, node: usize, context: &mut Context<'s>) {
        let flow = current(context, self.input.spec());
        let part = self.part;
        let record = move |(), (key, (row, count)): (K, Update<T>)| (key, (part(row), count));
        let upkeep = Summed {
            summary: self.summary,
            keys: PhantomData::<fn(K)>,
        };
        kept::render(context, node, flow, record, emission, upkeep);
    }
}

/// What is kept of the rows of a group, and what is told of them.
trait Summary: 'static {
    /// What counts of a row.
    type In: Record;
    type State: Record + Default;
    type Value: Record;

    /// Takes in a row so many times, or takes it back.
    fn change(&self, state: &mut Self::State, part: Self::In, times: isize);

    /// What is told, where there are rows.
    fn value(&self, state: &Self::State) -> Option<Self::Value>;
}

struct Summed<K, S> {
    summary: S,
    keys: PhantomData<fn(K)>,
}

impl<K: Key, S: Summary> Upkeep for Summed<K, S> {
    type Key = K;
    type In = Update<S::In>;
    type Row = S::State;
    type Out = Change<K, S::Value>;

    fn take(&self, state: &mut S::State, (part, times): Update<S::In>) {
        self.summary.change(state, part, times);
    }

    fn tell(&self, key: &K, state: &mut S::State, out: &mut Out<Self>) -> bool {
        let value = self.summary.value(state);
        let is_kept = value.is_some();
        let key = key.clone();
        out.push(((), Change { key, value }));
        is_kept
    }
}

struct Count;

impl Summary for Count {
    type In = ();
    type State = i64;
    type Value = u64;

    fn change(&self, count: &mut i64, (): (), times: isize) {
        *count += times as i64;
    }

    fn value(&self, count: &i64) -> Option<u64> {
        u64::try_from(*count).ok().filter(|count| *count > 0)
    }
}

/// What is made of a sum and a count.
struct Sum<N: Number, V>(fn(&N::Partial, u64) -> V);

/// A sum, and of how many numbers.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Balanced<B> {
    sum: B,
    count: i64,
}

impl<N: Number, V: Record> Summary for Sum<N, V> {
    type In = N;
    type State = Balanced<N::Balance>;
    type Value = V;

    fn change(&self, state: &mut Self::State, number: N, times: isize) {
        number.change(&mut state.sum, times);
        state.count += times as i64;
    }

    fn value(&self, state: &Self::State) -> Option<V> {
        let count = Count.value(&state.count)?;
        Some((self.0)(&N::balanced(&state.sum), count))
    }
}

/// Values in their order, and how many times each is there.
#[derive(Clone, Serialize, Deserialize)]
#[serde(bound(
    serialize = "V: Ord + Serialize",
    deserialize = "V: Ord + Deserialize<'de>"
))]
struct Values<V>(BTreeMap<V, i64>);

impl<V> Default for Values<V> {
    fn default() -> Self {
        Values(BTreeMap::new())
    }
}

impl<V> Values<V> {
    /// All of them, each as many times as it is there.
    fn all(&self) -> impl Iterator<Item = &V> {
        self.0
            .iter()
            .flat_map(|(value, times)| (0..*times).map(move |_| value))
    }

    /// The last of them, from behind.
    fn last(&self, n: usize) -> impl Iterator<Item = &V> {
        let each = self.0.iter().rev();
        each.flat_map(|(value, times)| (0..*times).map(move |_| value))
            .take(n)
    }
}

/// What is told of the values of a group.
struct InOrder<V, F> {
    tell: F,
    values: PhantomData<fn(V)>,
}

impl<V, W, F: Fn(&Values<V>) -> Option<W>> InOrder<V, F> {
    fn new(tell: F) -> Self {
        InOrder {
            tell,
            values: PhantomData,
        }
    }
}

impl<V: Record + Ord, W: Record, F: Fn(&Values<V>) -> Option<W> + 'static> Summary
    for InOrder<V, F>
{
    type In = V;
    type State = Values<V>;
    type Value = W;

    fn change(&self, values: &mut Values<V>, value: V, times: isize) {
        // Of what several workers say, the less may come before the more.
        let count = values.0.entry(value.clone()).or_default();
        *count += times as i64;
        if *count == 0 {
            values.0.remove(&value);
        }
    }

    fn value(&self, values: &Values<V>) -> Option<W> {
        match values.0.is_empty() {
            true => None,
            false => (self.tell)(values),
        }
    }
}
