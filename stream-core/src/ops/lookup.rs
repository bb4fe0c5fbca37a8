//! `lookup`: each record with the row that a table has of its key, once the table is whole; and `lookup_arrival`, with
//! the row that it has when the record arrives.
//!
//! Definition of `lookup`. The table is made of inputs that end. They are read to their end first (`graph/sides.rs`,
//! `engine/sides.rs`), in every mode; then each record is paired with the row of its key, or with `None`.
//!
//! Definition of `lookup_arrival`. In batch mode the same. In the others each record is paired with what the table has
//! told of its key by then. What the lanes of the table promise holds nothing back: they count as ended.
//!
//! Rows are kept by the worker that owns their key, and records come to them. A table tells all its rows when its
//! inputs have ended at the latest, and what it has told is through before the first record is read.

use std::marker::PhantomData;
use std::ops::ControlFlow;

use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

use super::Either;
use super::keyed::{self, Emit, KeepsRows, Logic};
use super::union::both;
use crate::engine::Emission;
use crate::engine::flow::{Each, Flow, Open, Pull};
use crate::engine::lane::Progress;
use crate::graph::context::Context;
use crate::graph::fuse::restamped;
use crate::graph::node::{Port, Render, stage};
use crate::graph::sides::{LOOKUP, LOOKUP_ARRIVAL};
use crate::graph::{Change, Class, Key, Keyed, Kind, Lasting, Record, Stamp, Stream, Table};
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
        self.looked_up(LOOKUP, Class::Exact, table)
    }

    /// Looks each record up in a table that goes on changing, as it is when the record arrives: the record, with the
    /// row of its key, if there is one.
    ///
    /// What is found depends on what has been read by then, and on the mode: record by record it is what the table has
    /// told so far; in micro-batches what it had told when the batch before was closed, or a later one; in batch mode the
    /// table is read to its end first, as for [`lookup`](Keyed::lookup), and must not be made of what is looked up. After
    /// a crash records may find another row than before. So nothing about it is promised but that it is fast: where the
    /// answer is to be the same each time, [`as_of_join`](Keyed::as_of_join) takes what held at the time of each record.
    ///
    /// ```
    /// use stream_core::prelude::*;
    ///
    /// #[pipeline]
    /// fn priced(orders: Stream<(u32, i64)>, prices: Stream<(u32, i64)>) -> Stream<i64, Mixed> {
    ///     let current = prices.key_by(|price| price.0).table(|price| Some(price.1));
    ///     let priced = orders
    ///         .key_by(|order| order.0)
    ///         .lookup_arrival(current)
    ///         .filter_map(|((_, pieces), price)| Some(pieces * price?));
    ///     priced
    /// }
    ///
    /// // In a test without a mode all is read, as in batch mode.
    /// let rows = priced::test().orders([(7, 2), (8, 1)]).prices([(7, 10), (7, 11)]).rows();
    /// assert_eq!(rows.priced, [22]);
    /// ```
    pub fn lookup_arrival<V: Record>(
        self,
        table: Table<Q, V>,
    ) -> Stream<(T, Option<V>), K::Exchanged>
    where
        K: Lasting,
    {
        self.looked_up(LOOKUP_ARRIVAL, Class::Arrival, table)
    }

    fn looked_up<V: Record>(
        self,
        kind: &'static str,
        class: Class,
        table: Table<Q, V>,
    ) -> Stream<(T, Option<V>), K::Exchanged> {
        let graph = self.port.graph().clone();
        let spec = stage(kind, vec![self.port.spec(), table.port.spec()])
            .class(class)
            .keeps::<Q, V>()
            .exchanged();
        let render = Lookup {
            records: self.port,
            table: table.port,
            is_arrival: class == Class::Arrival,
        };
        Stream::from_port(graph.add(spec, Box::new(render)))
    }
}

struct Lookup<S, Q, T, V> {
    records: Port<S, (Q, T)>,
    table: Port<(), Change<Q, V>>,
    is_arrival: bool,
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
        let table = restamped(table, value, id);
        let table = match self.is_arrival {
            true => Flow::Lazy(Box::new(Unpromising(table))),
            false => table,
        };
        let flow = both([restamped(records, record, id), table], id);
        let logic = Looking(PhantomData::<fn(S, Q, T) -> V>);
        let incoming = |(), incoming| incoming;
        keyed::render(context, node, flow, incoming, Emission::AtOnce, logic);
    }
}

/// A flow whose lanes count as ended: they hold no watermark back.
struct Unpromising<F>(F);

impl<'s> Open<'s> for Unpromising<Flow<'s>> {
    fn open(self: Box<Self>, builder: &mut OperatorBuilder<'s, u64>) -> Box<dyn Pull> {
        Box::new(Unpromising(self.0.open(builder)))
    }
}

impl Pull for Unpromising<Box<dyn Pull>> {
    fn pull(&mut self, each: Each<'_>) -> ControlFlow<()> {
        self.0.pull(&mut |capability, segment| {
            segment.progress = Progress::End;
            each(capability, segment)
        })
    }
}

struct Looking<S, Q, T, V>(PhantomData<fn(S, Q, T) -> V>);

impl<S: Stamp, Q: Key, T: Record, V: Record> Logic for Looking<S, Q, T, V> {
    type Record = (Q, Incoming<S, T, V>);
    type State = Rows<Q, V>;
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
                    let row = place.and_then(|place| rows.at(place).cloned());
                    emit.records.push((stamp, (record, row)));
                }
                Either::Right(None) => drop(rows.remove(hash, &key)),
                Either::Right(Some(value)) => match rows.find_mut(hash, &key) {
                    Some(row) => *row = value,
                    None => drop(rows.insert(hash, key, value)),
                },
            }
        }
    }
}

impl<S: Stamp, Q: Key, T: Record, V: Record> KeepsRows for Looking<S, Q, T, V> {
    type Key = Q;
    type Row = V;

    fn changes((key, incoming): &Self::Record) -> Option<&Q> {
        matches!(incoming, Either::Right(_)).then_some(key)
    }
}
