//! `lookup`: each record with the row that a table has of its key, once the table is whole.
//!
//! Definition. The table is made of inputs that end. They are read to their end first (`graph/sides.rs`,
//! `engine/sides.rs`), in every mode; then each record is paired with the row of its key, or with `None`.
//!
//! Rows are kept by the worker that owns their key, and records come to them. A table tells all its rows when its
//! inputs have ended at the latest, and what it has told is through before the first record is read.

use std::marker::PhantomData;

use super::Either;
use super::keyed::{self, Emit, KeepsRows, Logic};
use super::union::both;
use crate::engine::Emission;
use crate::engine::flow::Flow;
use crate::graph::context::Context;
use crate::graph::fuse::restamped;
use crate::graph::node::{Port, Render, stage};
use crate::graph::sides::LOOKUP;
use crate::graph::{Change, Key, Keyed, Kind, Lasting, Record, Stamp, Stream, Table};
use crate::state::hash::hash_of;
use crate::state::rows::Rows;

impl<Q: Key, T: Record, K: Kind> Keyed<Q, T, K> {
    /// Looks each record up in a table that does not change any more: the record, with the row of its key, if there
    /// is one.
    ///
    /// What the table is made of is read to its end before the first record is, and has to end. For a table that goes
    /// on changing, [`as_of_join`](Keyed::as_of_join) takes what it was at the time of each record.
    ///
    /// ```
    /// use stream_core::prelude::*;
    ///
    /// #[pipeline]
    /// fn named(readings: Stream<(u32, i64)>, sensors: Stream<(u32, String)>) -> Stream<(String, i64), Mixed> {
    ///     let names = sensors.key_by(|sensor| sensor.0).table(|sensor| Some(sensor.1));
    ///     let named = readings
    ///         .key_by(|reading| reading.0)
    ///         .lookup(names)
    ///         .filter_map(|((_, celsius), name)| Some((name?, celsius)));
    ///     named
    /// }
    ///
    /// let sensors = [(1, "attic".to_string()), (2, "cellar".to_string())];
    /// let rows = named::test().readings([(2, 11), (3, 20)]).sensors(sensors).rows();
    /// assert_eq!(rows.named, [("cellar".to_string(), 11)]);
    /// ```
    pub fn lookup<V: Record>(self, table: Table<Q, V>) -> Stream<(T, Option<V>), K::Exchanged>
    where
        K: Lasting,
    {
        let graph = self.port.graph().clone();
        let spec = stage(LOOKUP, vec![self.port.spec(), table.port.spec()])
            .keeps::<Q, Option<V>>()
            .exchanged();
        let render = Lookup {
            records: self.port,
            table: table.port,
        };
        Stream::from_port(graph.add(spec, Box::new(render)))
    }
}

struct Lookup<S, Q, T, V> {
    records: Port<S, (Q, T)>,
    table: Port<(), Change<Q, V>>,
}

/// What comes for a key: a record with what travels beside it, or a value of the table.
type Incoming<S, T, V> = Either<(S, T), Option<V>>;

impl<S: Stamp, Q: Key, T: Record, V: Record> Render for Lookup<S, Q, T, V> {
    fn render<'s>(self: Box<Self>, node: usize, context: &mut Context<'s>) {
        let records = context.take(self.records.spec());
        let table = context.take(self.table.spec());
        let id = context.id(node);
        let record = |stamp: S, (key, record): (Q, T)| {
            let incoming: Incoming<S, T, V> = Either::Left((stamp, record));
            ((), (key, incoming))
        };
        let value = |(), Change { key, value }: Change<Q, V>| {
            let incoming: Incoming<S, T, V> = Either::Right(value);
            ((), (key, incoming))
        };
        let flow: Flow<'s> = both(
            [restamped(records, record, id), restamped(table, value, id)],
            id,
        );
        let logic = Looking(PhantomData::<fn(S, Q, T) -> V>);
        let incoming = |(), incoming| incoming;
        keyed::render(context, node, flow, incoming, Emission::AtOnce, logic);
    }
}

struct Looking<S, Q, T, V>(PhantomData<fn(S, Q, T) -> V>);

impl<S: Stamp, Q: Key, T: Record, V: Record> Logic for Looking<S, Q, T, V> {
    type Record = (Q, Incoming<S, T, V>);
    /// Rows that were deleted are few: the table has ended.
    type State = Rows<Q, Option<V>>;
    type Stamp = S;
    type Out = (T, Option<V>);

    #[inline]
    fn hash((key, _): &Self::Record) -> u64 {
        hash_of(key)
    }

    fn empty(&self) -> Self::State {
        Rows::new()
    }

    fn fold_all(
        &mut self,
        rows: &mut Self::State,
        incoming: impl Iterator<Item = Self::Record>,
        emit: &mut Emit<Self>,
    ) {
        for (key, incoming) in incoming {
            let hash = hash_of(&key);
            match incoming {
                Either::Left((stamp, record)) => {
                    let place = rows.place_in(rows.segment_of(hash), hash, &key);
                    let row = place.and_then(|place| rows.at(place).cloned()).flatten();
                    emit.records.push((stamp, (record, row)));
                }
                Either::Right(value) => match rows.find_mut(hash, &key) {
                    Some(row) => *row = value,
                    None => {
                        rows.insert(hash, key, value);
                    }
                },
            }
        }
    }
}

impl<S: Stamp, Q: Key, T: Record, V: Record> KeepsRows for Looking<S, Q, T, V> {
    type Key = Q;
    type Row = Option<V>;

    fn changes((key, incoming): &Self::Record) -> Option<&Q> {
        matches!(incoming, Either::Right(_)).then_some(key)
    }
}
