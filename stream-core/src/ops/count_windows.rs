//! Windows by count: of the records of a key each run of `n`.
//!
//! Definition. The records of a key are taken in the order in which they come, and divided into runs of `n`, one
//! behind the other. A run leaves with its last record, as one value, and with the event time of that record, where
//! there is one. A last run of fewer than `n` is not emitted.
//!
//! Which records are in a run depends on their order, so what is emitted is the same in every mode behind
//! `in_order`, and else if each key lives in one lane. What is kept of a key is the value of the run that is not
//! full, and how many records it has; a key that has just filled one has no row.

use std::fmt;
use std::marker::PhantomData;

use super::expiry::{Expire, Out};
use super::keyed::{self, Emit, KeepsRows, Logic};
use super::window::{Fold, Functions};
use crate::engine::Emission;
use crate::error::Problem;
use crate::graph::context::Context;
use crate::graph::handles::Ttl;
use crate::graph::node::{Port, Render, stage};
use crate::graph::{Class, Graph, Handle, Key, Keyed, Kind, Record, Stamp, Stream};
use crate::state::hash::hash_of;
use crate::state::rows::Rows;
use crate::time::EventTime;

/// Records by key in runs of so many, to be folded; made by [`Keyed::count_windows`].
#[must_use = "windows that nobody folds compute nothing"]
pub struct CountWindows<Q, T, K: Kind> {
    input: Port<K::Stamp, (Q, T)>,
    ttl: Option<Ttl<K::Stamp>>,
    size: u64,
}

impl<Q, T, K: Kind> fmt::Debug for CountWindows<Q, T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CountWindows")
            .field(&self.input)
            .field(&self.size)
            .finish()
    }
}

impl<Q: Clone + 'static, T: Clone + 'static, K: Kind> Clone for CountWindows<Q, T, K> {
    fn clone(&self) -> Self {
        CountWindows {
            input: self.input.clone_edge(),
            ..*self
        }
    }
}

impl<Q, T, K: Kind> Handle for CountWindows<Q, T, K> {
    fn graph(&self) -> &Graph {
        self.input.graph()
    }
}

impl<Q: 'static, T: 'static, K: Kind> Keyed<Q, T, K> {
    /// Divides the records of each key into runs of `n`, in the order in which they come. A run is emitted when
    /// its last record has come, and has the event time of that record, if the stream has event time. A last run of
    /// fewer than `n` records is not emitted. An `n` of 0 is refused when the job starts.
    ///
    /// The output is the same in every mode behind [`in_order`](Keyed::in_order), and else if each key lives in one
    /// lane.
    ///
    /// ```
    /// use stream_core::{graph::Stream, testing};
    ///
    /// let sums = |numbers: Stream<u64>| {
    ///     numbers.key_by(|n| n % 2).count_windows(2).fold(|| 0, |sum, n| *sum += n)
    /// };
    /// // 6 and 7 are alone in their runs.
    /// let rows = testing::rows(sums, [1, 2, 3, 4, 6, 5, 9, 7]);
    /// assert_eq!(rows, [(0, 6), (1, 4), (1, 14)]);
    /// ```
    pub fn count_windows(self, n: usize) -> CountWindows<Q, T, K> {
        if n == 0 {
            self.port.problem(
                Problem::new("`count_windows` has windows of 0 records")
                    .hint("give them a length: `count_windows(100)`"),
            );
        }
        CountWindows {
            input: self.port,
            ttl: self.ttl,
            size: n.max(1) as u64,
        }
    }
}

impl<Q: Key, T: Record, K: Kind> CountWindows<Q, T, K> {
    /// A second handle to the same windows.
    #[doc(hidden)]
    pub fn again(&self) -> Self {
        self.clone()
    }

    /// Folds the records of each window into one value, in the order in which they come, and emits it with the
    /// key.
    ///
    /// ```
    /// use stream_core::prelude::*;
    ///
    /// /// By how much each sensor has changed within three readings, by event time.
    /// #[pipeline]
    /// fn changes(readings: Stream<(u8, i64, i32)>) -> Timed<(u8, i32)> {
    ///     let (timed, late) = readings.event_time(|row| EventTime::secs(row.1), Lateness::secs(5));
    ///     late.discard();
    ///     let threes = timed.key_by(|row| row.0).in_order().count_windows(3);
    ///     let ends = threes.fold(|| None, |ends, (_, _, value)| {
    ///         *ends = Some((ends.map_or(value, |(first, _)| first), value));
    ///     });
    ///     ends.filter_map(|(sensor, ends)| ends.map(|(first, last)| (sensor, last - first)))
    /// }
    ///
    /// let readings = [(7, 1, 20), (7, 3, 24), (7, 2, 21), (7, 4, 90)];
    /// assert_eq!(changes::test().readings(readings).rows().output, [(7, 4)]);
    /// ```
    pub fn fold<A: Record>(
        self,
        init: impl Fn() -> A + 'static,
        step: impl Fn(&mut A, T) + 'static,
    ) -> Stream<(Q, A), K::Exchanged> {
        let merge = |_: &mut A, _: A| unreachable!("these windows never meet");
        self.render("fold", Functions { init, step, merge })
    }

    pub(super) fn render<A: Record, V: 'static>(
        self,
        fold: &str,
        functions: impl Fold<T, A, Value = V>,
    ) -> Stream<(Q, V), K::Exchanged> {
        let spec = stage("count_windows", vec![self.input.spec()])
            .with("size", self.size)
            .with("fold", fold)
            .class(K::class_in_order(Class::Exact));
        if let Some(ttl) = self.ttl {
            let forgetful = Forgetful {
                ttl,
                size: self.size,
                fold: functions,
                records: PhantomData,
            };
            return Stream::from_port(ttl.stage(self.input, spec, |record| record, forgetful));
        }
        let graph = self.input.graph().clone();
        let spec = spec.keeps::<Q, (u64, A)>().grows().exchanged();
        let render = Step {
            input: self.input,
            size: self.size,
            functions,
            value: PhantomData,
        };
        Stream::from_port(graph.add(spec, Box::new(render)))
    }
}

struct Step<S, Q, T, A, F> {
    input: Port<S, (Q, T)>,
    size: u64,
    functions: F,
    value: PhantomData<fn() -> A>,
}

impl<S, Q, T, A, F> Render for Step<S, Q, T, A, F>
where
    S: Stamp,
    Q: Key,
    T: Record,
    A: Record,
    F: Fold<T, A>,
{
    fn render<'s>(self: Box<Self>, node: usize, context: &mut Context<'s>) {
        let flow = context.take(self.input.spec());
        let logic = Runs {
            size: self.size,
            fold: self.functions,
            records: PhantomData,
        };
        let to_record = |stamp: S, (key, record): (Q, T)| (stamp, key, record);
        keyed::render(context, node, flow, to_record, Emission::AtOnce, logic);
    }
}

struct Runs<S, Q, T, A, F> {
    size: u64,
    fold: F,
    records: PhantomData<fn(S, Q, T) -> A>,
}

impl<S, Q, T, A, F> Logic for Runs<S, Q, T, A, F>
where
    S: Stamp,
    Q: Key,
    T: Record,
    A: Record,
    F: Fold<T, A>,
{
    type Record = (S, Q, T);
    /// How many records the run of a key has, and their value.
    type State = Rows<Q, (u64, A)>;
    type Stamp = S;
    type Out = (Q, F::Value);

    #[inline]
    fn hash((_, key, _): &(S, Q, T)) -> u64 {
        hash_of(key)
    }

    fn empty(&self) -> Self::State {
        Rows::new()
    }

    fn fold_all(
        &mut self,
        rows: &mut Self::State,
        records: impl Iterator<Item = Self::Record>,
        emit: &mut Emit<Self>,
    ) {
        for (stamp, key, record) in records {
            let hash = hash_of(&key);
            let full = match rows.find_mut(hash, &key) {
                Some((count, value)) => {
                    self.fold.extend(value, record);
                    *count += 1;
                    match *count < self.size {
                        true => None,
                        false => rows.remove(hash, &key),
                    }
                }
                None => {
                    let row = (1, self.fold.start(record));
                    match 1 < self.size {
                        true => {
                            rows.insert(hash, key, row);
                            None
                        }
                        false => Some((key, row)),
                    }
                }
            };
            if let Some((key, (_, value))) = full {
                emit.records.push((stamp, (key, self.fold.finish(value))));
            }
        }
    }
}

impl<S, Q, T, A, F> KeepsRows for Runs<S, Q, T, A, F>
where
    Self: Logic<Record = (S, Q, T), State = Rows<Q, (u64, A)>>,
    Q: Key,
    A: Record,
{
    type Key = Q;
    type Row = (u64, A);

    fn changes((_, key, _): &(S, Q, T)) -> Option<&Q> {
        Some(key)
    }
}

/// The same, and a key is forgotten.
struct Forgetful<S, Q, T, A, F> {
    ttl: Ttl<S>,
    size: u64,
    fold: F,
    records: PhantomData<fn(Q, T) -> A>,
}

impl<S, Q, T, A, F> Expire for Forgetful<S, Q, T, A, F>
where
    S: Stamp,
    Q: Key,
    T: Record,
    A: Record,
    F: Fold<T, A>,
{
    type At = S;
    type Key = Q;
    type In = T;
    /// How many records the run has, and their value; nothing when it is full.
    type State = Option<(u64, A)>;
    type Stamp = S;
    type Out = (Q, F::Value);

    const IS_TABLE: bool = false;

    #[inline]
    fn times(&self, at: S, _: &T) -> (EventTime, EventTime) {
        self.ttl.times(at)
    }

    fn start(&self, key: &Q, at: S, record: T, out: &mut Out<Self>) -> Self::State {
        let mut run = None;
        self.extend(key, &mut run, at, record, out);
        run
    }

    #[inline]
    fn extend(
        &self,
        key: &Q,
        run: &mut Self::State,
        at: S,
        record: T,
        out: &mut Out<Self>,
    ) -> bool {
        let (count, value) = match run.take() {
            Some((count, mut value)) => {
                self.fold.extend(&mut value, record);
                (count + 1, value)
            }
            None => (1, self.fold.start(record)),
        };
        match count < self.size {
            true => *run = Some((count, value)),
            false => out.push((at, (key.clone(), self.fold.finish(value)))),
        }
        true
    }

    fn is_there(&self, run: &Self::State) -> bool {
        run.is_some()
    }
}
