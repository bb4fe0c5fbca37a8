//! Tables: `count` and `fold`, which keep one value a key, and what a table holds in the end.
//!
//! When a change is emitted is the mode's business ([`Emission`]): at once, once a key at the
//! close of a batch, or once a key at the end of input.

use std::marker::PhantomData;

use hashbrown::HashTable;
use serde::{Deserialize, Serialize};

use super::keyed::{self, Emission, Emit, Logic};
use crate::error::Problem;
use crate::graph::node::{Port, Render, stage};
use crate::graph::render::Context;
use crate::graph::{Class, Key, Keyed, Kind, Record, Stamp, Table};
use crate::run::Mode;
use crate::state::codec;
use crate::state::hash::hash_of;

/// A change of a table: the key's new value, or `None` when the key is gone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Change<Q, V> {
    /// The key.
    pub key: Q,
    /// Its value from now on.
    pub value: Option<V>,
}

/// A row of a table's content.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Entry<Q, V> {
    /// The key.
    pub key: Q,
    /// Its value.
    pub value: V,
}

impl<Q: Key, T: Record, K: Kind> Keyed<Q, T, K> {
    /// Counts the records of each key.
    ///
    /// ```
    /// use stream_core::{graph::Stream, ops::Entry, testing};
    ///
    /// let count = |words: Stream<String>| words.key_by(|word| word.clone()).count();
    /// let rows = testing::rows(count, ["a", "b", "a"].map(String::from));
    /// let entry = |key: &str, value| Entry { key: key.to_string(), value };
    /// assert_eq!(rows, [entry("a", 2), entry("b", 1)]);
    /// ```
    pub fn count(self) -> Table<Q, u64> {
        let step = |count: &mut u64, ()| *count += 1;
        table(
            self.port,
            ("count", Class::Exact),
            |_| (),
            || 0,
            step,
            |_, count| *count,
        )
    }

    /// Folds the records of each key into one value.
    ///
    /// The table's content is the same in every mode if the closures are pure and the order of the
    /// records does not matter to them.
    ///
    /// ```
    /// use stream_core::{graph::Stream, ops::Entry, testing};
    ///
    /// let sums = |numbers: Stream<u64>| {
    ///     numbers.key_by(|n| n % 2).fold(|| 0, |sum, n| *sum += n)
    /// };
    /// let rows = testing::rows(sums, [1, 2, 3, 4]);
    /// assert_eq!(rows, [Entry { key: 0, value: 6 }, Entry { key: 1, value: 4 }]);
    /// ```
    pub fn fold<A: Record>(
        self,
        init: impl Fn() -> A + 'static,
        step: impl Fn(&mut A, T) + 'static,
    ) -> Table<Q, A> {
        self.fold_with(init, step, |_, state| state.clone())
    }

    /// As [`fold`](Keyed::fold), with a state that is not the value: `finish` makes the value of
    /// the state whenever it is emitted.
    pub fn fold_with<A: Record, V: Record>(
        self,
        init: impl Fn() -> A + 'static,
        step: impl Fn(&mut A, T) + 'static,
        finish: impl Fn(&Q, &A) -> V + 'static,
    ) -> Table<Q, V> {
        let kind = ("fold", Class::ExactIfOrderFree);
        table(self.port, kind, |record| record, init, step, finish)
    }
}

/// What a table holds in the end, as rows.
pub(crate) fn final_content<Q: Key, V: Record>(
    input: Port<(), Change<Q, V>>,
) -> Port<(), Entry<Q, V>> {
    let graph = input.graph().clone();
    let spec = stage("final_content", vec![input.spec()])
        .keeps::<Q, Option<V>>()
        .exchanged();
    let functions = Functions {
        record: |change: Change<Q, V>| (change.key, change.value),
        init: || None,
        step: |state: &mut Option<V>, value| *state = value,
        emit: |key, state: &Option<V>| state.clone().map(|value| Entry { key, value }),
    };
    let of = input.node;
    let emission = |_: &Mode| Emission::End;
    let rows = graph.add(
        spec,
        ByKey {
            input,
            functions,
            emission,
        },
    );
    graph.rename_with(rows.node, of);
    rows
}

fn table<S: Stamp, Q: Key, T: Record, P: Record, A: Record, V: Record>(
    input: Port<S, (Q, T)>,
    (kind, class): (&'static str, Class),
    project: impl Fn(T) -> P + 'static,
    init: impl Fn() -> A + 'static,
    step: impl Fn(&mut A, P) + 'static,
    finish: impl Fn(&Q, &A) -> V + 'static,
) -> Table<Q, V> {
    let graph = input.graph().clone();
    let spec = stage(kind, vec![input.spec()])
        .class(class)
        .keeps::<Q, A>()
        .exchanged();
    let functions = Functions {
        record: move |(key, record)| (key, project(record)),
        init,
        step,
        emit: move |key, state: &A| {
            let value = Some(finish(&key, state));
            Some(Change { key, value })
        },
    };
    Table {
        port: graph.add(
            spec,
            ByKey {
                input,
                functions,
                emission: Mode::table_emission,
            },
        ),
    }
}

/// What is done with a value a key.
struct Functions<R, I, F, E> {
    record: R,
    init: I,
    step: F,
    emit: E,
}

struct ByKey<S, T, F> {
    input: Port<S, T>,
    functions: F,
    emission: fn(&Mode) -> Emission,
}

impl<S, T, Q, P, A, O, R, I, F, E> Render for ByKey<S, T, Functions<R, I, F, E>>
where
    S: Stamp,
    T: 'static,
    Q: Key,
    P: Record,
    A: Record,
    O: 'static,
    R: Fn(T) -> (Q, P) + 'static,
    I: Fn() -> A + 'static,
    F: Fn(&mut A, P) + 'static,
    E: Fn(Q, &A) -> Option<O> + 'static,
{
    fn render<'s>(self: Box<Self>, node: usize, context: &mut Context<'s>) {
        let flow = context.take(&self.input);
        let emission = (self.emission)(&context.local.mode);
        let Functions {
            record,
            init,
            step,
            emit,
        } = self.functions;
        let logic = Values {
            init,
            step,
            emit,
            emission,
            records: PhantomData,
        };
        keyed::render(
            context,
            node,
            flow,
            move |_, item| record(item),
            emission,
            logic,
        );
    }
}

struct Values<Q, P, A, O, I, F, E> {
    init: I,
    step: F,
    emit: E,
    emission: Emission,
    records: PhantomData<fn(Q, P) -> (A, O)>,
}

impl<Q, P, A, O, I, F, E> Values<Q, P, A, O, I, F, E>
where
    Self: Logic<Record = (Q, P), Shard = Shard<Q, A>, Stamp = (), Out = O>,
    Q: Key,
    I: Fn() -> A,
    F: Fn(&mut A, P),
    E: Fn(Q, &A) -> Option<O>,
{
    /// Takes in the first record of a key.
    #[cold]
    #[inline(never)]
    fn add(&self, shard: &mut Shard<Q, A>, hash: u64, key: Q, record: P, out: &mut Emit<Self>) {
        let mut state = (self.init)();
        (self.step)(&mut state, record);
        let is_withheld = self.emission == Emission::BatchClose;
        match self.emission {
            Emission::AtOnce => {
                let emitted = (self.emit)(key.clone(), &state);
                out.records.extend(emitted.map(|row| ((), row)));
            }
            Emission::BatchClose => shard.withheld.push(hash),
            Emission::End => {}
        }
        shard.insert(
            hash,
            Row {
                key,
                state,
                is_withheld,
            },
        );
    }
}

struct Shard<Q, A> {
    rows: HashTable<Row<Q, A>>,
    /// The hashes of the rows that are withheld, one for each.
    withheld: Vec<u64>,
}

struct Row<Q, A> {
    key: Q,
    state: A,
    /// Whether it has changed since the last close, in a table that emits at a batch's close.
    is_withheld: bool,
}

impl<Q: Key, A> Shard<Q, A> {
    fn insert(&mut self, hash: u64, row: Row<Q, A>) {
        self.rows.insert_unique(hash, row, |row| hash_of(&row.key));
    }
}

impl<Q, P, A, O, I, F, E> Logic for Values<Q, P, A, O, I, F, E>
where
    Q: Key,
    P: Record,
    A: Record,
    O: 'static,
    I: Fn() -> A + 'static,
    F: Fn(&mut A, P) + 'static,
    E: Fn(Q, &A) -> Option<O> + 'static,
{
    type Record = (Q, P);
    type Shard = Shard<Q, A>;
    type Stamp = ();
    type Out = O;

    #[inline]
    fn hash((key, _): &(Q, P)) -> u64 {
        hash_of(key)
    }

    fn empty(&self) -> Shard<Q, A> {
        Shard {
            rows: HashTable::new(),
            withheld: Vec::new(),
        }
    }

    #[inline(always)]
    fn fold(
        &mut self,
        shard: &mut Shard<Q, A>,
        hash: u64,
        (key, record): (Q, P),
        out: &mut Emit<Self>,
    ) {
        // Most keys are there already, and to find one is faster than to make ready for one more.
        let Some(row) = shard.rows.find_mut(hash, |row| row.key == key) else {
            return self.add(shard, hash, key, record, out);
        };
        (self.step)(&mut row.state, record);
        match self.emission {
            Emission::AtOnce => {
                out.records
                    .extend((self.emit)(key, &row.state).map(|row| ((), row)));
            }
            Emission::BatchClose if !row.is_withheld => {
                row.is_withheld = true;
                shard.withheld.push(hash);
            }
            Emission::BatchClose | Emission::End => {}
        }
    }

    fn close(&mut self, shard: &mut Shard<Q, A>, out: &mut Emit<Self>) {
        let mut emit = |row: &Row<Q, A>| {
            let emitted = (self.emit)(row.key.clone(), &row.state);
            out.records.extend(emitted.map(|row| ((), row)));
        };
        if self.emission == Emission::End {
            return shard.rows.iter().for_each(emit);
        }
        for hash in shard.withheld.drain(..) {
            // Keys whose hashes are equal are withheld once each, so each search finds another.
            let is_due = |row: &Row<Q, A>| row.is_withheld && hash_of(&row.key) == hash;
            if let Some(row) = shard.rows.find_mut(hash, is_due) {
                row.is_withheld = false;
                emit(row);
            }
        }
    }

    fn withhold(&mut self, shard: &mut Shard<Q, A>) {
        for row in shard.rows.iter_mut().filter(|row| !row.is_withheld) {
            row.is_withheld = true;
            shard.withheld.push(hash_of(&row.key));
        }
    }

    fn save(&self, shard: &Shard<Q, A>) -> Result<Vec<u8>, Problem> {
        let rows = shard.rows.iter().map(|row| (&row.key, &row.state));
        codec::encode(&rows.collect::<Vec<_>>())
    }

    fn load(&mut self, bytes: &[u8]) -> Result<Shard<Q, A>, Problem> {
        let mut shard = self.empty();
        for (key, state) in codec::decode::<Vec<(Q, A)>>(bytes)? {
            shard.insert(
                hash_of(&key),
                Row {
                    key,
                    state,
                    is_withheld: false,
                },
            );
        }
        Ok(shard)
    }
}
