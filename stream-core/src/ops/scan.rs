//! `scan`: a running state per key that says something of every record.
//!
//! Records are taken in the order in which they come, which is kept within a key and a lane. So
//! what is emitted is the same in every mode if each key lives in one lane, as it does behind a
//! keyed topic.

use std::marker::PhantomData;

use super::expiry::{Expire, Out};
use super::keyed::{self, Emit, KeepsRows, Logic};
use crate::engine::Emission;
use crate::graph::context::Context;
use crate::graph::handles::Ttl;
use crate::graph::node::{Port, Render, stage};
use crate::graph::{Class, Key, Keyed, Kind, Record, Stamp, Stream};
use crate::state::hash::hash_of;
use crate::state::rows::Rows;
use crate::time::EventTime;

impl<Q: 'static, T: 'static, K: Kind> Keyed<Q, T, K> {
    /// Keeps a state for each key, and emits the key and what the closure says of each record.
    ///
    /// The output is the same in every mode if each key lives in one lane.
    ///
    /// ```
    /// use stream_core::{graph::Stream, testing};
    ///
    /// let sums = |numbers: Stream<u64>| {
    ///     numbers.key_by(|n| n % 2).scan(|| 0, |sum, n| { *sum += n; *sum })
    /// };
    /// let rows = testing::rows(sums, [1, 2, 3, 4]);
    /// assert_eq!(rows, [(0, 2), (0, 6), (1, 1), (1, 4)]);
    /// ```
    pub fn scan<A: Record, O: 'static>(
        self,
        init: impl Fn() -> A + 'static,
        step: impl Fn(&mut A, T) -> O + 'static,
    ) -> Stream<(Q, O), K::Exchanged>
    where
        Q: Key,
        T: Record,
    {
        let spec = stage("scan", vec![self.port.spec()]).class(Class::ExactIfKeyInOneLane);
        if let Some(ttl) = self.ttl {
            let forgetful = Forgetful {
                ttl,
                init,
                step,
                records: PhantomData,
            };
            let spec = spec.class(K::class_in_order(Class::Exact));
            return Stream::from_port(ttl.stage(self.port, spec, |record| record, forgetful));
        }
        let graph = self.port.graph().clone();
        let spec = spec.keeps::<Q, A>().grows().exchanged();
        let render = Scan {
            input: self.port,
            init,
            step,
            state: PhantomData,
        };
        Stream::from_port(graph.add(spec, Box::new(render)))
    }
}

struct Scan<S, Q, T, A, I, F> {
    input: Port<S, (Q, T)>,
    init: I,
    step: F,
    state: PhantomData<fn() -> A>,
}

impl<S, Q, T, A, O, I, F> Render for Scan<S, Q, T, A, I, F>
where
    S: Stamp,
    Q: Key,
    T: Record,
    A: Record,
    O: 'static,
    I: Fn() -> A + 'static,
    F: Fn(&mut A, T) -> O + 'static,
{
    fn render<'s>(self: Box<Self>, node: usize, context: &mut Context<'s>) {
        let flow = context.take(self.input.spec());
        let Scan { init, step, .. } = *self;
        let logic = Running {
            init,
            step,
            records: PhantomData,
        };
        let to_record = |stamp: S, (key, record): (Q, T)| (stamp, key, record);
        keyed::render(context, node, flow, to_record, Emission::AtOnce, logic);
    }
}

struct Running<S, Q, T, A, O, I, F> {
    init: I,
    step: F,
    records: PhantomData<fn(S, Q, T) -> (A, O)>,
}

impl<S, Q, T, A, O, I, F> Logic for Running<S, Q, T, A, O, I, F>
where
    S: Stamp,
    Q: Key,
    T: Record,
    A: Record,
    O: 'static,
    I: Fn() -> A + 'static,
    F: Fn(&mut A, T) -> O + 'static,
{
    type Record = (S, Q, T);
    type State = Rows<Q, A>;
    type Stamp = S;
    type Out = (Q, O);

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
            let said = match rows.find_mut(hash, &key) {
                Some(state) => (self.step)(state, record),
                None => {
                    let mut state = (self.init)();
                    let said = (self.step)(&mut state, record);
                    rows.insert(hash, key.clone(), state);
                    said
                }
            };
            emit.records.push((stamp, (key, said)));
        }
    }
}

impl<S, Q, T, A, O, I, F> KeepsRows for Running<S, Q, T, A, O, I, F>
where
    Self: Logic<Record = (S, Q, T), State = Rows<Q, A>>,
    Q: Key,
    A: Record,
{
    type Key = Q;
    type Row = A;

    fn changes((_, key, _): &(S, Q, T)) -> Option<&Q> {
        Some(key)
    }
}

/// The same, and a key is forgotten.
struct Forgetful<S, Q, T, A, O, I, F> {
    ttl: Ttl<S>,
    init: I,
    step: F,
    records: PhantomData<fn(Q, T) -> (A, O)>,
}

impl<S, Q, T, A, O, I, F> Expire for Forgetful<S, Q, T, A, O, I, F>
where
    S: Stamp,
    Q: Key,
    T: Record,
    A: Record,
    O: 'static,
    I: Fn() -> A + 'static,
    F: Fn(&mut A, T) -> O + 'static,
{
    type At = S;
    type Key = Q;
    type In = T;
    type State = A;
    type Stamp = S;
    type Out = (Q, O);

    const IS_TABLE: bool = false;

    #[inline]
    fn times(&self, at: S, _: &T) -> (EventTime, EventTime) {
        self.ttl.times(at)
    }

    fn start(&self, key: &Q, at: S, record: T, out: &mut Out<Self>) -> A {
        let mut state = (self.init)();
        self.extend(key, &mut state, at, record, out);
        state
    }

    #[inline]
    fn extend(&self, key: &Q, state: &mut A, at: S, record: T, out: &mut Out<Self>) -> bool {
        let said = (self.step)(state, record);
        out.push((at, (key.clone(), said)));
        true
    }
}
