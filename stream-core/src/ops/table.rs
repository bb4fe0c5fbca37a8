//! Tables: `count` and `fold`, which keep one value a key, and what a table holds in the end.
//!
//! When a change is emitted is the mode's business ([`Emission`]): at once, once a key at the
//! close of a batch, or once a key at the end of input.

use std::marker::PhantomData;

use super::fold_rows::{Ahead, FoldRows};
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
            ahead: Ahead::default(),
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
    ahead: Ahead<Q, P>,
    records: PhantomData<fn(Q, P) -> (A, O)>,
}

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
        let (fold, emit) = (&self.fold, &self.emit);
        let mut fold_rows = FoldRows {
            rows,
            ahead: &mut self.ahead,
            start: |record| fold.start(record),
            extend: |state: &mut A, record| fold.extend(state, record),
            changed: |key, state: &A| {
                let emitted = emit(key, state);
                out.records.extend(emitted.map(|row| ((), row)));
            },
        };
        match self.emission {
            Emission::AtOnce => fold_rows.fold::<true, false>(records),
            Emission::BatchClose => fold_rows.fold::<false, true>(records),
            Emission::End => fold_rows.fold::<false, false>(records),
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
