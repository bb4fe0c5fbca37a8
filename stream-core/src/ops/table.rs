//! Tables: `count` and `fold`, which keep one value a key, and what a table holds in the end.
//!
//! When a change is emitted is the mode's business ([`Emission`]): at once, once a key at the
//! close of a batch, or once a key at the end of input.

use std::marker::PhantomData;

use hashbrown::HashTable;

use super::keyed::{self, Emit, FULL, Logic};
use crate::engine::{Emission, Mode};
use crate::error::Problem;
use crate::graph::context::Context;
use crate::graph::node::{Port, Render, stage};
use crate::graph::{Change, Class, Entry, Key, Keyed, Kind, Record, Stamp, Table};
use crate::state::SHARDS;
use crate::state::codec;
use crate::state::hash::{by_shard, hash_of, shard_of};

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
        Box::new(ByKey {
            input,
            functions,
            emission,
        }),
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
            Box::new(ByKey {
                input,
                functions,
                emission: Mode::table_emission,
            }),
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
        let flow = context.take(self.input.spec());
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
            move |_: S, item: T| record(item),
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
    Self: Logic<Record = (Q, P), State = Rows<Q, A, P>, Stamp = (), Out = O>,
    Q: Key,
    I: Fn() -> A,
    F: Fn(&mut A, P),
    E: Fn(Q, &A) -> Option<O>,
{
    /// Takes in the first record of a key.
    #[cold]
    #[inline(never)]
    fn add(&self, rows: &mut Rows<Q, A, P>, hash: u64, key: Q, record: P, out: &mut Emit<Self>) {
        let mut state = (self.init)();
        (self.step)(&mut state, record);
        if self.emission == Emission::AtOnce {
            let emitted = (self.emit)(key.clone(), &state);
            out.records.extend(emitted.map(|row| ((), row)));
        }
        let index = rows.insert(hash, (key, state));
        if self.emission == Emission::BatchClose {
            rows.withhold(index, hash);
        }
    }

    /// As `fold_at_end`, for a table that fits no cache: rows are asked for some records ahead.
    #[inline(never)]
    fn fold_large(
        &mut self,
        rows: &mut Rows<Q, A, P>,
        mut records: impl Iterator<Item = (Q, P)>,
        out: &mut Emit<Self>,
    ) {
        let mut ahead = std::mem::take(&mut rows.ahead);
        loop {
            let mask = rows.table.num_buckets() - 1;
            for (key, record) in records.by_ref().take(AHEAD) {
                let hash = hash_of(&key);
                if let Some(row) = rows.table.get_bucket(hash as usize & mask) {
                    prefetch(row);
                }
                ahead.push((hash, key, record));
            }
            if ahead.is_empty() {
                break;
            }
            for (hash, key, record) in ahead.drain(..) {
                if self.emission == Emission::BatchClose {
                    match rows.table.find_bucket_index(hash, |row| row.0 == key) {
                        Some(index) => {
                            if let Some(row) = rows.table.get_bucket_mut(index) {
                                (self.step)(&mut row.1, record);
                            }
                            rows.withhold(index, hash);
                        }
                        None => self.add(rows, hash, key, record, out),
                    }
                } else {
                    rows.changed[shard_of(hash, SHARDS)] = true;
                    match rows.table.find_mut(hash, |row| row.0 == key) {
                        Some(row) => (self.step)(&mut row.1, record),
                        None => self.add(rows, hash, key, record, out),
                    }
                }
            }
        }
        rows.ahead = ahead;
    }

    fn fold_at_end(
        &mut self,
        rows: &mut Rows<Q, A, P>,
        records: impl Iterator<Item = (Q, P)>,
        out: &mut Emit<Self>,
    ) {
        for (key, record) in records {
            let hash = hash_of(&key);
            rows.changed[shard_of(hash, SHARDS)] = true;
            // Most keys are there already, and to find one is faster than to make ready for one more.
            match rows.table.find_mut(hash, |row| row.0 == key) {
                Some(row) => (self.step)(&mut row.1, record),
                None => self.add(rows, hash, key, record, out),
            }
        }
    }

    fn fold_until_close(
        &mut self,
        rows: &mut Rows<Q, A, P>,
        records: impl Iterator<Item = (Q, P)>,
        out: &mut Emit<Self>,
    ) {
        for (key, record) in records {
            let hash = hash_of(&key);
            match rows.table.find_bucket_index(hash, |row| row.0 == key) {
                Some(index) => {
                    if let Some(row) = rows.table.get_bucket_mut(index) {
                        (self.step)(&mut row.1, record);
                    }
                    rows.withhold(index, hash);
                }
                None => self.add(rows, hash, key, record, out),
            }
        }
    }
}

/// How many records are hashed, and their rows asked for, before the first of them is folded.
const AHEAD: usize = 32;
/// From so many buckets on a table is taken to fit no near cache.
const LARGE: usize = 1 << 17;

#[allow(unsafe_code)]
#[inline(always)]
fn prefetch<T>(row: &T) {
    let _ = row;
    // SAFETY: a prefetch reads nothing that the program could see.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(
            std::ptr::from_ref(row).cast(),
        );
    }
}

struct Rows<Q, A, P> {
    /// The shards that have changed since the last checkpoint.
    changed: Box<[bool; SHARDS]>,
    /// Records that were hashed and not yet folded; empty between calls.
    ahead: Vec<(u64, Q, P)>,
    table: HashTable<(Q, A)>,
    /// By bucket: whether its row has changed since the last close, in a table that emits then.
    is_withheld: Vec<u64>,
    /// The buckets that have.
    withheld: Vec<usize>,
    /// The next bucket to be emitted when all are.
    next: usize,
}

impl<Q: Key, A, P> Rows<Q, A, P> {
    /// Adds a row, and tells its bucket.
    fn insert(&mut self, hash: u64, row: (Q, A)) -> usize {
        if self.table.len() == self.table.capacity() {
            self.grow();
        }
        let slot = self.table.insert_unique(hash, row, |row| hash_of(&row.0));
        slot.bucket_index()
    }

    #[inline]
    fn withhold(&mut self, index: usize, hash: u64) {
        let (word, bit) = (&mut self.is_withheld[index / 64], 1 << (index % 64));
        if *word & bit == 0 {
            *word |= bit;
            self.changed[shard_of(hash, SHARDS)] = true;
            self.withheld.push(index);
        }
    }

    /// Makes room, and finds the buckets again.
    fn grow(&mut self) {
        let room = (self.table.len() * 2).max(16);
        if self.withheld.is_empty() {
            self.table
                .reserve(room - self.table.len(), |row| hash_of(&row.0));
            self.is_withheld = vec![0; self.table.num_buckets().div_ceil(64)];
            return;
        }
        let mut old = std::mem::replace(&mut self.table, HashTable::with_capacity(room));
        let words = self.table.num_buckets().div_ceil(64);
        let was = std::mem::replace(&mut self.is_withheld, vec![0; words]);
        self.withheld.clear();
        for index in 0..old.num_buckets() {
            if let Ok(slot) = old.get_bucket_entry(index) {
                let (row, _) = slot.remove();
                let hash = hash_of(&row.0);
                let slot = self.table.insert_unique(hash, row, |row| hash_of(&row.0));
                let now = slot.bucket_index();
                if was[index / 64] & (1 << (index % 64)) != 0 {
                    self.withhold(now, hash);
                }
            }
        }
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
    type State = Rows<Q, A, P>;
    type Stamp = ();
    type Out = O;

    #[inline]
    fn hash((key, _): &(Q, P)) -> u64 {
        hash_of(key)
    }

    fn empty(&self) -> Rows<Q, A, P> {
        Rows {
            table: HashTable::new(),
            is_withheld: Vec::new(),
            withheld: Vec::new(),
            next: 0,
            changed: Box::new([false; SHARDS]),
            ahead: Vec::new(),
        }
    }

    fn fold(
        &mut self,
        rows: &mut Rows<Q, A, P>,
        hash: u64,
        (key, record): (Q, P),
        out: &mut Emit<Self>,
    ) {
        rows.changed[shard_of(hash, SHARDS)] = true;
        let Some(row) = rows.table.find_mut(hash, |row| row.0 == key) else {
            return self.add(rows, hash, key, record, out);
        };
        (self.step)(&mut row.1, record);
        let emitted = (self.emit)(key, &row.1);
        out.records.extend(emitted.map(|row| ((), row)));
    }

    #[inline]
    fn fold_all(
        &mut self,
        rows: &mut Rows<Q, A, P>,
        records: impl Iterator<Item = (Q, P)>,
        out: &mut Emit<Self>,
    ) {
        if self.emission != Emission::AtOnce && rows.table.num_buckets() >= LARGE {
            return self.fold_large(rows, records, out);
        }
        match self.emission {
            Emission::AtOnce => {
                for (key, record) in records {
                    let hash = hash_of(&key);
                    self.fold(rows, hash, (key, record), out);
                }
            }
            Emission::BatchClose => self.fold_until_close(rows, records, out),
            Emission::End => self.fold_at_end(rows, records, out),
        }
    }

    fn close(&mut self, rows: &mut Rows<Q, A, P>, out: &mut Emit<Self>) -> bool {
        let rest = rows.withheld.len().saturating_sub(FULL);
        out.records.reserve(rows.withheld.len() - rest);
        for index in rows.withheld.drain(rest..) {
            rows.is_withheld[index / 64] &= !(1 << (index % 64));
            if let Some((key, state)) = rows.table.get_bucket(index) {
                let emitted = (self.emit)(key.clone(), state);
                out.records.extend(emitted.map(|row| ((), row)));
            }
        }
        rest > 0
    }

    fn emit_all(&mut self, rows: &mut Rows<Q, A, P>, out: &mut Emit<Self>) -> bool {
        out.records.reserve(FULL.min(rows.table.len()));
        while rows.next < rows.table.num_buckets() {
            if let Some((key, state)) = rows.table.get_bucket(rows.next) {
                let emitted = (self.emit)(key.clone(), state);
                out.records.extend(emitted.map(|row| ((), row)));
            }
            rows.next += 1;
            if out.records.len() >= FULL {
                return true;
            }
        }
        false
    }

    fn save(&self, rows: &Rows<Q, A, P>) -> Result<Vec<(usize, Vec<u8>)>, Problem> {
        let rows = by_shard(rows.table.iter().map(|row| (hash_of(&row.0), row)));
        let save = |(shard, rows)| Ok((shard, codec::encode(&rows)?));
        rows.into_iter().map(save).collect()
    }

    fn load(&mut self, rows: &mut Rows<Q, A, P>, bytes: &[u8]) -> Result<(), Problem> {
        for row in codec::decode::<Vec<(Q, A)>>(bytes)? {
            rows.insert(hash_of(&row.0), row);
        }
        Ok(())
    }
}
