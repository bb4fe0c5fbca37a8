//! Tables: `count` and `fold`, which keep one value a key, and what a table holds in the end.
//!
//! When a change is emitted is the mode's business ([`Emission`]): at once, once a key at the
//! close of a batch, or once a key at the end of input.

use std::marker::PhantomData;

use super::keyed::{self, Emit, FULL, KeepsRows, Logic};
use super::ttl;
use super::window::{Fold, Functions, counting};
use crate::engine::{Emission, Mode};
use crate::graph::context::Context;
use crate::graph::fuse::{FilterMap, stateless};
use crate::graph::node::{Port, Render, stage};
use crate::graph::{Change, Class, Entry, Key, Keyed, Kind, Record, Stamp, Table};
use crate::state::hash::hash_of;
use crate::state::rows::{Cursor, Rows};

impl<Q: 'static, T: 'static, K: Kind> Keyed<Q, T, K> {
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
    pub fn count(self) -> Table<Q, u64>
    where
        Q: Key,
        T: Record,
    {
        let kind = ("count", Class::Exact);
        table(self, kind, |_| (), counting(), |_, count| *count)
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
    ) -> Table<Q, A>
    where
        Q: Key,
        T: Record,
    {
        self.fold_with(init, step, |_, state| state.clone())
    }

    /// As [`fold`](Keyed::fold), with a state that is not the value: `finish` makes the value of
    /// the state whenever it is emitted.
    pub fn fold_with<A: Record, V: Record>(
        self,
        init: impl Fn() -> A + 'static,
        step: impl Fn(&mut A, T) + 'static,
        finish: impl Fn(&Q, &A) -> V + 'static,
    ) -> Table<Q, V>
    where
        Q: Key,
        T: Record,
    {
        let kind = ("fold", Class::ExactIfOrderFree);
        table(self, kind, |record| record, folding(init, step), finish)
    }
}

/// The kinds of stages that keep a table, whose changes leave when the mode says.
#[cfg(feature = "cli")]
pub(crate) const KINDS: [&str; 18] = [
    "aggregate",
    "approx_count_distinct",
    "average",
    "count",
    "count_distinct",
    "distinct",
    "early",
    "first",
    "fold",
    "latest",
    "max",
    "max_by",
    "min",
    "min_by",
    "reduce",
    "sum",
    "table",
    "top",
];

fn folding<P: 'static, A: 'static>(
    init: impl Fn() -> A + 'static,
    step: impl Fn(&mut A, P) + 'static,
) -> impl Fold<P, A> {
    let merge = |_: &mut A, _: A| unreachable!("a key has one value");
    Functions { init, step, merge }
}

/// What a table holds in the end, as rows.
pub(crate) fn final_content<Q: Key, V: Record>(
    input: Port<(), Change<Q, V>>,
) -> Port<(), Entry<Q, V>> {
    let graph = input.graph().clone();
    let spec = stage("final_content", vec![input.spec()])
        .keeps::<Q, Option<V>>()
        .exchanged();
    let of = input.node;
    let rows = graph.add(spec, Box::new(FinalContent { input }));
    graph.rename_with(rows.node, of);
    rows
}

struct FinalContent<Q, V> {
    input: Port<(), Change<Q, V>>,
}

impl<Q: Key, V: Record> Render for FinalContent<Q, V> {
    fn render<'s>(self: Box<Self>, node: usize, context: &mut Context<'s>) {
        if context.local.mode.table_emission() == Emission::End {
            // The table says each key once, when it is final, so there is nothing to keep again.
            let rows = FilterMap(|Change { key, value }: Change<Q, V>| {
                let value = value?;
                Some(Entry { key, value })
            });
            let render = stateless::<(), _, _>(self.input.spec(), rows);
            return render.render(node, context);
        }
        let functions = Steps {
            record: |change: Change<Q, V>| (change.key, change.value),
            fold: folding(|| None, |state: &mut Option<V>, value| *state = value),
            emit: |key, state: &Option<V>| state.clone().map(|value| Entry { key, value }),
        };
        let by_key = ByKey {
            input: self.input,
            functions,
            emission: |_| Emission::End,
            state: PhantomData,
        };
        Box::new(by_key).render(node, context);
    }
}

pub(super) fn table<Q: Key, T: Record, K: Kind, P: Record, A: Record, V: Record>(
    Keyed { port: input, ttl }: Keyed<Q, T, K>,
    (kind, class): (&'static str, Class),
    project: impl Fn(T) -> P + 'static,
    fold: impl Fold<P, A>,
    finish: impl Fn(&Q, &A) -> V + 'static,
) -> Table<Q, V> {
    let spec = stage(kind, vec![input.spec()]);
    if let Some(ttl) = ttl {
        let values = ttl::Values {
            ttl,
            fold,
            value: move |key: &Q, state: &A| Some(finish(key, state)),
            is_there: |_| true,
            records: PhantomData,
        };
        let spec = spec.class(K::class_in_order(class));
        let port = ttl.stage(input, spec, project, values);
        return Table { port };
    }
    let graph = input.graph().clone();
    let spec = spec.class(class).keeps::<Q, A>().grows().exchanged();
    let functions = Steps {
        record: move |(key, record)| (key, project(record)),
        fold,
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
                state: PhantomData,
            }),
        ),
    }
}

/// What is done with a value a key.
struct Steps<R, F, E> {
    record: R,
    fold: F,
    emit: E,
}

struct ByKey<S, T, P, A, F> {
    input: Port<S, T>,
    functions: F,
    emission: fn(&Mode) -> Emission,
    state: PhantomData<fn(P) -> A>,
}

impl<S, T, Q, P, A, O, R, F, E> Render for ByKey<S, T, P, A, Steps<R, F, E>>
where
    S: Stamp,
    T: 'static,
    Q: Key,
    P: Record,
    A: Record,
    O: 'static,
    R: Fn(T) -> (Q, P) + 'static,
    F: Fold<P, A>,
    E: Fn(Q, &A) -> Option<O> + 'static,
{
    fn render<'s>(self: Box<Self>, node: usize, context: &mut Context<'s>) {
        let flow = context.take(self.input.spec());
        let emission = (self.emission)(&context.local.mode);
        let Steps { record, fold, emit } = self.functions;
        let logic = Values {
            fold,
            emit,
            emission,
            emitted: Cursor::default(),
            ahead: Vec::new(),
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

struct Values<Q, P, A, O, F, E> {
    fold: F,
    emit: E,
    emission: Emission,
    /// How far the walk has come that emits all rows.
    emitted: Cursor,
    /// Records that were hashed and whose segment was found, not yet folded; empty between calls.
    ahead: Vec<(u64, usize, Q, P)>,
    records: PhantomData<fn(Q, P) -> (A, O)>,
}

impl<Q, P, A, O, F, E> Values<Q, P, A, O, F, E>
where
    Self: Logic<Record = (Q, P), State = Rows<Q, A>, Stamp = (), Out = O>,
    Q: Key,
    F: Fold<P, A>,
    E: Fn(Q, &A) -> Option<O>,
{
    /// The loop over records, once for each way to emit: to decide that a record costs a tenth.
    #[inline(always)]
    fn fold_loop<const AT_ONCE: bool, const MARKS: bool>(
        &mut self,
        rows: &mut Rows<Q, A>,
        mut records: impl Iterator<Item = (Q, P)>,
        out: &mut Emit<Self>,
    ) {
        while let Some(mut only) = rows.only_segment() {
            let is_new = loop {
                let Some((key, record)) = records.next() else {
                    return;
                };
                let hash = hash_of(&key);
                // Most keys are there already, and to find one is faster than to make ready for
                // one more.
                if MARKS {
                    let Some(bucket) = only.place(hash, &key) else {
                        break (hash, key, record);
                    };
                    if let Some(state) = only.at(bucket) {
                        self.fold.extend(state, record);
                    }
                    only.mark(bucket, hash);
                    continue;
                }
                let Some(state) = only.find_mut(hash, &key) else {
                    break (hash, key, record);
                };
                self.fold.extend(state, record);
                if AT_ONCE {
                    let emitted = (self.emit)(key, state);
                    out.records.extend(emitted.map(|row| ((), row)));
                }
            };
            let (hash, key, record) = is_new;
            self.add(rows, hash, key, record, out);
        }
        self.fold_ahead::<AT_ONCE, MARKS>(rows, records, out);
    }

    /// The same for a table that fits no near cache: rows are asked for some records ahead.
    #[inline(never)]
    fn fold_ahead<const AT_ONCE: bool, const MARKS: bool>(
        &mut self,
        rows: &mut Rows<Q, A>,
        mut records: impl Iterator<Item = (Q, P)>,
        out: &mut Emit<Self>,
    ) {
        let mut ahead = std::mem::take(&mut self.ahead);
        loop {
            for (key, record) in records.by_ref().take(AHEAD) {
                let hash = hash_of(&key);
                let segment = rows.segment_of(hash);
                rows.prefetch(segment, hash);
                ahead.push((hash, segment, key, record));
            }
            if ahead.is_empty() {
                break;
            }
            let segments = rows.segments();
            for (hash, mut segment, key, record) in ahead.drain(..) {
                if rows.segments() != segments {
                    segment = rows.segment_of(hash);
                }
                self.fold_row::<AT_ONCE, MARKS>(rows, (hash, segment), key, record, out);
            }
        }
        self.ahead = ahead;
    }

    #[inline(always)]
    fn fold_row<const AT_ONCE: bool, const MARKS: bool>(
        &mut self,
        rows: &mut Rows<Q, A>,
        (hash, segment): (u64, usize),
        key: Q,
        record: P,
        out: &mut Emit<Self>,
    ) {
        if MARKS {
            let Some(place) = rows.place_in(segment, hash, &key) else {
                return self.add(rows, hash, key, record, out);
            };
            if let Some(state) = rows.at(place) {
                self.fold.extend(state, record);
            }
            return rows.mark(place, hash);
        }
        let Some(state) = rows.find_in(segment, hash, &key) else {
            return self.add(rows, hash, key, record, out);
        };
        self.fold.extend(state, record);
        if AT_ONCE {
            let emitted = (self.emit)(key, state);
            out.records.extend(emitted.map(|row| ((), row)));
        }
    }

    /// Takes in the first record of a key.
    #[cold]
    #[inline(never)]
    fn add(&self, rows: &mut Rows<Q, A>, hash: u64, key: Q, record: P, out: &mut Emit<Self>) {
        let state = self.fold.start(record);
        if self.emission == Emission::AtOnce {
            let emitted = (self.emit)(key.clone(), &state);
            out.records.extend(emitted.map(|row| ((), row)));
        }
        let place = rows.insert(hash, key, state);
        if self.emission == Emission::BatchClose {
            rows.mark(place, hash);
        }
    }
}

/// How many records are hashed, and their rows asked for, before the first of them is folded.
const AHEAD: usize = 32;

impl<Q, P, A, O, F, E> Logic for Values<Q, P, A, O, F, E>
where
    Q: Key,
    P: Record,
    A: Record,
    O: 'static,
    F: Fold<P, A>,
    E: Fn(Q, &A) -> Option<O> + 'static,
{
    type Record = (Q, P);
    type State = Rows<Q, A>;
    type Stamp = ();
    type Out = O;

    const IS_TABLE: bool = true;

    #[inline]
    fn hash((key, _): &(Q, P)) -> u64 {
        hash_of(key)
    }

    fn empty(&self) -> Rows<Q, A> {
        Rows::new()
    }

    fn fold_all(
        &mut self,
        rows: &mut Rows<Q, A>,
        records: impl Iterator<Item = (Q, P)>,
        out: &mut Emit<Self>,
    ) {
        match self.emission {
            Emission::AtOnce => self.fold_loop::<true, false>(rows, records, out),
            Emission::BatchClose => self.fold_loop::<false, true>(rows, records, out),
            Emission::End => self.fold_loop::<false, false>(rows, records, out),
        }
    }

    fn close(&mut self, rows: &mut Rows<Q, A>, out: &mut Emit<Self>) -> bool {
        out.records.reserve(rows.marked_count().min(FULL));
        rows.take_marked(FULL, |key, state| {
            let emitted = (self.emit)(key.clone(), state);
            out.records.extend(emitted.map(|row| ((), row)));
        })
    }

    fn emit_all(&mut self, rows: &mut Rows<Q, A>, out: &mut Emit<Self>) -> bool {
        let emit = &self.emit;
        out.records.reserve(rows.len().min(FULL));
        rows.walk(&mut self.emitted, FULL, |key, state: &mut A| {
            let emitted = emit(key.clone(), state);
            out.records.extend(emitted.map(|row| ((), row)));
        })
    }
}

impl<Q, P, A, O, F, E> KeepsRows for Values<Q, P, A, O, F, E>
where
    Self: Logic<Record = (Q, P), State = Rows<Q, A>>,
    Q: Key,
    A: Record,
{
    type Key = Q;
    type Row = A;

    fn changes((key, _): &(Q, P)) -> Option<&Q> {
        Some(key)
    }
}
