//! From a relation to a table without an aggregate: `join_on`.

use std::marker::PhantomData;

use super::{Relation, Row, Update, current, emission};
use crate::graph::context::Context;
use crate::graph::node::{Port, Render, stage};
use crate::graph::{Change, Key, Table};
use crate::ops::kept::{self, Out, Upkeep};

impl<Q: Row, V: Row> Table<Q, V> {
    /// Looks up, for each row, the row of another table whose key a closure says: a join on a foreign key. A row
    /// whose key the other table does not have is left out until it has. A change of a row there changes all rows
    /// here that look it up.
    ///
    /// ```
    /// use stream_core::prelude::*;
    ///
    /// /// Orders with the cities that their customers live in now.
    /// #[pipeline]
    /// fn deliveries(
    ///     orders: Stream<(u32, u32)>,
    ///     customers: Stream<(u32, String)>,
    /// ) -> Table<u32, String> {
    ///     let cities = customers.key_by(|customer| customer.0).table(|customer| Some(customer.1));
    ///     let deliveries = orders
    ///         .key_by(|order| order.0)
    ///         .table(|order| Some(order.1))
    ///         .join_on(cities, |_, customer| *customer)
    ///         .map_values(|(_, city)| city);
    ///     deliveries
    /// }
    ///
    /// let customers = [(7, "Graz"), (8, "Linz"), (7, "Wien")].map(|(id, city)| (id, city.to_string()));
    /// let rows = deliveries::test().orders([(1, 7), (2, 9)]).customers(customers).rows();
    /// assert_eq!(rows.deliveries, [Entry { key: 1, value: "Wien".to_string() }]);
    /// ```
    pub fn join_on<K: Row, W: Row>(
        self,
        other: Table<K, W>,
        key: impl Fn(&Q, &V) -> K + 'static,
    ) -> Table<Q, (V, W)> {
        let by_key = self
            .rows()
            .map(move |(q, value)| (key(&q, &value), (q, value)));
        let joined = by_key.join(other.rows());
        // Each row of this table has one partner at most.
        joined
            .map(|(_, ((q, value), other))| (q, (value, other)))
            .settled()
    }
}

impl<Q: Row, V: Row> Relation<(Q, V)> {
    /// The table of a relation in which no key has two rows at the close of a batch.
    fn settled(self) -> Table<Q, V> {
        let graph = self.port.graph().clone();
        let spec = stage("settle", vec![self.port.spec()])
            .keeps::<Q, Vec<Update<V>>>()
            .exchanged();
        Table {
            port: graph.add(spec, Box::new(Settle(self.port))),
        }
    }
}

struct Settle<Q, V>(Port<(), Update<(Q, V)>>);

impl<Q: Row, V: Row> Render for Settle<Q, V> {
    fn render<'s>(self: Box<Self>, node: usize, context: &mut Context<'s>) {
        let flow = current(context, self.0.spec());
        let record = |(), ((key, value), count): Update<(Q, V)>| (key, (value, count));
        kept::render(context, node, flow, record, emission, Settled(PhantomData));
    }
}

/// The value of a key, and in the midst of a batch what has been taken back of it and added.
struct Settled<Q, V>(PhantomData<fn(Q, V)>);

impl<Q: Key, V: Row> Upkeep for Settled<Q, V> {
    type Key = Q;
    type In = Update<V>;
    type Row = Vec<Update<V>>;
    type Out = Change<Q, V>;

    fn take(&self, values: &mut Vec<Update<V>>, (value, count): Update<V>) {
        match values.iter().position(|(other, _)| *other == value) {
            None => values.push((value, count)),
            Some(place) => {
                values[place].1 += count;
                if values[place].1 == 0 {
                    values.swap_remove(place);
                }
            }
        }
    }

    fn tell(&self, key: &Q, values: &mut Vec<Update<V>>, out: &mut Out<Self>) -> bool {
        let value = values.first().map(|(value, _)| value.clone());
        let is_kept = value.is_some();
        let key = key.clone();
        out.push(((), Change { key, value }));
        is_kept
    }
}
