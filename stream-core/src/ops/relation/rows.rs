//! `rows`: a table as a relation.

use std::marker::PhantomData;

use serde::{Deserialize, Serialize};

use super::{Relation, Row, Update, emission};
use crate::graph::context::Context;
use crate::graph::node::{Port, Render, stage};
use crate::graph::{Change, Key, Table};
use crate::ops::kept::{self, Out, Upkeep};

impl<Q: Key, V> Table<Q, V> {
    /// The rows of the table as a relation: pairs of a key and its value. The table is kept here, to tell of a key
    /// whose value changes what it was before.
    pub fn rows(self) -> Relation<(Q, V)>
    where
        Q: Row,
        V: Row,
    {
        let graph = self.port.graph().clone();
        let spec = stage("rows", vec![self.port.spec()])
            .keeps::<Q, Value<V>>()
            .exchanged();
        Relation {
            port: graph.add(spec, Box::new(TableRows(self.port))),
        }
    }
}

struct TableRows<Q, V>(Port<(), Change<Q, V>>);

impl<Q: Row, V: Row> Render for TableRows<Q, V> {
    fn render<'s>(self: Box<Self>, node: usize, context: &mut Context<'s>) {
        let flow = context.take(self.0.spec());
        let record = |(), Change { key, value }: Change<Q, V>| (key, value);
        kept::render(context, node, flow, record, emission, Rows(PhantomData));
    }
}

/// The value of a key.
#[derive(Clone, Serialize, Deserialize)]
pub(super) enum Value<V> {
    /// It was told.
    Told(V),
    /// What was told, and what is to be.
    Changed(Option<V>, Option<V>),
}

impl<V> Default for Value<V> {
    fn default() -> Self {
        Value::Changed(None, None)
    }
}

struct Rows<Q, V>(PhantomData<fn(Q, V)>);

impl<Q: Row, V: Row> Upkeep for Rows<Q, V> {
    type Key = Q;
    type In = Option<V>;
    type Row = Value<V>;
    type Out = Update<(Q, V)>;

    const REPEATS: bool = true;

    fn take(&self, row: &mut Value<V>, value: Option<V>) {
        let told = match std::mem::take(row) {
            Value::Told(told) => Some(told),
            Value::Changed(told, _) => told,
        };
        *row = Value::Changed(told, value);
    }

    fn tell(&self, key: &Q, row: &mut Value<V>, out: &mut Out<Self>) -> bool {
        let (told, now) = match std::mem::take(row) {
            Value::Told(told) => (Some(told.clone()), Some(told)),
            Value::Changed(told, now) => (told, now),
        };
        if told != now {
            let (less, more) = (
                told.map(|value| (value, -1)),
                now.clone().map(|value| (value, 1)),
            );
            let updates = less.into_iter().chain(more);
            out.extend(updates.map(|(value, count)| ((), ((key.clone(), value), count))));
        }
        let is_kept = now.is_some();
        *row = now.map_or_else(Value::default, Value::Told);
        is_kept
    }

    fn repeat(&self, key: &Q, row: &Value<V>, out: &mut Out<Self>) {
        let (Value::Told(value) | Value::Changed(Some(value), _)) = row else {
            return;
        };
        out.push(((), ((key.clone(), value.clone()), 1)));
    }
}
