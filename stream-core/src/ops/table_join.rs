//! `join`, `left_join` and `full_join` of two tables, and `table`, which makes one of changes.
//!
//! Definition. Two tables are two maps with keys of one type. The inner join has the keys that are in both, the
//! left join those of the left one, the full join those of either; the value is the pair of what the two have.
//!
//! As a key has one row on either side, nothing is matched: both sides of a key are one row of one table. A change
//! of either costs what a change of a table costs, and a key that is on neither side is gone.

use serde::{Deserialize, Serialize};
use std::marker::PhantomData;

use super::Either;
use super::kept::{self, Out, Upkeep};
use super::ttl;
use super::union::both;
use super::window::Functions;
use crate::engine::Mode;
use crate::graph::context::Context;
use crate::graph::fuse::{Map, through};
use crate::graph::node::{Port, Render, stage};
use crate::graph::{Change, Class, Key, Keyed, Kind, Record, Stamp, Table};

impl<Q: Key, V: Record> Table<Q, V> {
    /// The rows of the keys that are in both tables.
    ///
    /// ```
    /// use stream_core::prelude::*;
    ///
    /// /// How many orders a customer has placed, and what they come to.
    /// #[pipeline]
    /// fn customers(orders: Stream<(u32, i64)>) -> Table<u32, (u64, i128)> {
    ///     let placed = orders.key_by(|order| order.0);
    ///     let customers = placed.count().join(placed.sum(|order| order.1));
    ///     customers
    /// }
    ///
    /// let mut rows = customers::test().orders([(7, 20), (8, 5), (7, 30)]).rows().customers;
    /// rows.sort();
    /// assert_eq!(rows, [Entry { key: 7, value: (2, 50) }, Entry { key: 8, value: (1, 5) }]);
    /// ```
    pub fn join<W: Record>(self, other: Table<Q, W>) -> Table<Q, (V, W)> {
        let pair = |left: &Option<V>, right: &Option<W>| left.clone().zip(right.clone());
        joined("join", self, other, pair)
    }

    /// The rows of the keys that are in this table, with what the other one has of them.
    ///
    /// ```
    /// use stream_core::{graph::Stream, ops::Entry, testing};
    ///
    /// let pipeline = |numbers: Stream<i64>| {
    ///     let even = numbers.clone().filter(|n| n % 2 == 0).key_by(|n| n.abs()).count();
    ///     numbers.key_by(|n| n.abs()).sum(|n| *n).left_join(even)
    /// };
    /// let rows = testing::rows(pipeline, [2, -2, 3]);
    /// assert_eq!(rows, [Entry { key: 2, value: (0, Some(2)) }, Entry { key: 3, value: (3, None) }]);
    /// ```
    pub fn left_join<W: Record>(self, other: Table<Q, W>) -> Table<Q, (V, Option<W>)> {
        let pair = |left: &Option<V>, right: &Option<W>| Some((left.clone()?, right.clone()));
        joined("left_join", self, other, pair)
    }

    /// The rows of the keys that are in either table.
    ///
    /// ```
    /// use stream_core::{graph::Stream, ops::Entry, testing};
    ///
    /// let pipeline = |numbers: Stream<i64>| {
    ///     let small = numbers.clone().filter(|n| *n < 10).key_by(|n| n % 2).count();
    ///     let large = numbers.filter(|n| *n > 10).key_by(|n| n % 2).count();
    ///     small.full_join(large)
    /// };
    /// let rows = testing::rows(pipeline, [2, 4, 11]);
    /// assert_eq!(rows, [
    ///     Entry { key: 0, value: (Some(2), None) },
    ///     Entry { key: 1, value: (None, Some(1)) },
    /// ]);
    /// ```
    pub fn full_join<W: Record>(self, other: Table<Q, W>) -> Table<Q, (Option<V>, Option<W>)> {
        let pair = |left: &Option<V>, right: &Option<W>| {
            let has_any = left.is_some() || right.is_some();
            has_any.then(|| (left.clone(), right.clone()))
        };
        joined("full_join", self, other, pair)
    }
}

impl<Q: 'static, T: 'static, K: Kind> Keyed<Q, T, K> {
    /// The table whose changes the records are: the last record of a key says what its value is, or that it is
    /// gone.
    ///
    /// The records of a key must lie in one lane, or come in the order of event time by
    /// [`in_order`](Keyed::in_order): else which one is the last depends on the run.
    ///
    /// ```
    /// use stream_core::{graph::Stream, ops::Entry, testing};
    ///
    /// let prices = |changes: Stream<(u32, Option<i64>)>| {
    ///     changes.key_by(|change| change.0).table(|change| change.1)
    /// };
    /// let changes = [(7, Some(20)), (8, Some(5)), (7, Some(30)), (8, None)];
    /// assert_eq!(testing::rows(prices, changes), [Entry { key: 7, value: 30 }]);
    /// ```
    pub fn table<V: Record>(self, value: impl Fn(T) -> Option<V> + 'static) -> Table<Q, V>
    where
        Q: Key,
        T: Record,
    {
        let spec = stage("table", vec![self.port.spec()]).class(K::class_in_order(Class::Exact));
        if let Some(ttl) = self.ttl {
            let values = ttl::Values {
                ttl,
                fold: Functions {
                    init: || None,
                    step: |last: &mut Option<V>, value| *last = value,
                    merge: |last: &mut Option<V>, later| *last = later,
                },
                value: |_: &Q, last: &Option<V>| last.clone(),
                is_there: Option::is_some,
                records: PhantomData,
            };
            let port = ttl.stage(self.port, spec, value, values);
            return Table { port };
        }
        let graph = self.port.graph().clone();
        let spec = spec.keeps::<Q, Option<V>>().exchanged();
        let render = Assigned {
            input: self.port,
            value,
            values: PhantomData,
        };
        Table {
            port: graph.add(spec, Box::new(render)),
        }
    }
}

/// What both sides have of a key.
#[derive(Clone, Serialize, Deserialize)]
struct Sides<V, W>(Option<V>, Option<W>);

impl<V, W> Default for Sides<V, W> {
    fn default() -> Self {
        Sides(None, None)
    }
}

fn joined<Q: Key, V: Record, W: Record, O: Record>(
    kind: &'static str,
    left: Table<Q, V>,
    right: Table<Q, W>,
    pair: impl Fn(&Option<V>, &Option<W>) -> Option<O> + 'static,
) -> Table<Q, O> {
    let graph = left.port.graph().clone();
    let spec = stage(kind, vec![left.port.spec(), right.port.spec()])
        .keeps::<Q, Sides<V, W>>()
        .exchanged();
    let render = Join {
        left: left.port,
        right: right.port,
        pair,
    };
    Table {
        port: graph.add(spec, Box::new(render)),
    }
}

struct Join<Q, V, W, F> {
    left: Port<(), Change<Q, V>>,
    right: Port<(), Change<Q, W>>,
    pair: F,
}

impl<Q, V, W, O, F> Render for Join<Q, V, W, F>
where
    Q: Key,
    V: Record,
    W: Record,
    O: Record,
    F: Fn(&Option<V>, &Option<W>) -> Option<O> + 'static,
{
    fn render<'s>(self: Box<Self>, node: usize, context: &mut Context<'s>) {
        let [left, right] = [self.left.spec(), self.right.spec()].map(|port| context.take(port));
        let id = context.id(node);
        type Side<V, W> = Either<Option<V>, Option<W>>;
        let of_left = |Change { key, value }: Change<Q, V>| (key, Side::<V, W>::Left(value));
        let of_right = |Change { key, value }: Change<Q, W>| (key, Side::<V, W>::Right(value));
        let flows = [
            through::<(), _, _>(left, Map(of_left), id),
            through::<(), _, _>(right, Map(of_right), id),
        ];
        let flow = both(flows, id);
        let upkeep: Pairs<Q, V, W, F> = Pairs {
            pair: self.pair,
            records: PhantomData,
        };
        kept::render(
            context,
            node,
            flow,
            |(): (), record| record,
            Mode::table_emission,
            upkeep,
        );
    }
}

struct Pairs<Q, V, W, F> {
    pair: F,
    records: PhantomData<fn(Q, V, W)>,
}

impl<Q, V, W, O, F> Upkeep for Pairs<Q, V, W, F>
where
    Q: Key,
    V: Record,
    W: Record,
    O: Record,
    F: Fn(&Option<V>, &Option<W>) -> Option<O> + 'static,
{
    type Key = Q;
    type In = Either<Option<V>, Option<W>>;
    type Row = Sides<V, W>;
    type Out = Change<Q, O>;

    fn take(&self, row: &mut Sides<V, W>, record: Self::In) {
        match record {
            Either::Left(value) => row.0 = value,
            Either::Right(value) => row.1 = value,
        }
    }

    fn tell(&self, key: &Q, row: &mut Sides<V, W>, out: &mut Out<Self>) -> bool {
        let Sides(left, right) = row;
        let change = Change {
            key: key.clone(),
            value: (self.pair)(left, right),
        };
        out.push(((), change));
        left.is_some() || right.is_some()
    }
}

struct Assigned<S, Q, T, V, F> {
    input: Port<S, (Q, T)>,
    value: F,
    values: PhantomData<fn() -> V>,
}

impl<S, Q, T, V, F> Render for Assigned<S, Q, T, V, F>
where
    S: Stamp,
    Q: Key,
    T: Record,
    V: Record,
    F: Fn(T) -> Option<V> + 'static,
{
    fn render<'s>(self: Box<Self>, node: usize, context: &mut Context<'s>) {
        let flow = context.take(self.input.spec());
        let value = self.value;
        let change = move |_: S, (key, record): (Q, T)| (key, value(record));
        let when = Mode::table_emission;
        kept::render(context, node, flow, change, when, Last(PhantomData));
    }
}

struct Last<Q, V>(PhantomData<fn(Q, V)>);

impl<Q: Key, V: Record> Upkeep for Last<Q, V> {
    type Key = Q;
    type In = Option<V>;
    type Row = Option<V>;
    type Out = Change<Q, V>;

    fn take(&self, row: &mut Option<V>, value: Option<V>) {
        *row = value;
    }

    fn tell(&self, key: &Q, row: &mut Option<V>, out: &mut Out<Self>) -> bool {
        let (key, value) = (key.clone(), row.clone());
        let is_kept = value.is_some();
        out.push(((), Change { key, value }));
        is_kept
    }
}
