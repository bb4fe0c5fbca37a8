//! `scan`: a running state per key that says something of every record.
//!
//! Records are taken in the order in which they come, which is kept within a key and a lane. So
//! what is emitted is the same in every mode if each key lives in one lane, as it does behind a
//! keyed topic.

use std::marker::PhantomData;

use hashbrown::HashTable;

use super::keyed::{self, Emit, Logic};
use crate::engine::Emission;
use crate::error::Problem;
use crate::graph::context::Context;
use crate::graph::node::{Port, Render, stage};
use crate::graph::{Class, Key, Keyed, Kind, Record, Stamp, Stream};
use crate::state::codec;
use crate::state::hash::{by_shard, hash_of};

impl<Q: Key, T: Record, K: Kind> Keyed<Q, T, K> {
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
    ) -> Stream<(Q, O), K::Exchanged> {
        let graph = self.port.graph().clone();
        let spec = stage("scan", vec![self.port.spec()])
            .class(Class::ExactIfKeyInOneLane)
            .keeps::<Q, A>()
            .exchanged();
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
    type State = HashTable<(Q, A)>;
    type Stamp = S;
    type Out = (Q, O);

    #[inline]
    fn hash((_, key, _): &(S, Q, T)) -> u64 {
        hash_of(key)
    }

    fn empty(&self) -> Self::State {
        HashTable::new()
    }

    #[inline]
    fn fold(
        &mut self,
        shard: &mut Self::State,
        hash: u64,
        (stamp, key, record): (S, Q, T),
        emit: &mut Emit<Self>,
    ) {
        let same = |(other, _): &(Q, A)| *other == key;
        let slot = shard.entry(hash, same, |(key, _)| hash_of(key));
        let mut slot = slot.or_insert_with(|| (key.clone(), (self.init)()));
        let said = (self.step)(&mut slot.get_mut().1, record);
        emit.records.push((stamp, (key, said)));
    }

    fn save(&self, state: &Self::State) -> Result<Vec<(usize, Vec<u8>)>, Problem> {
        let rows = by_shard(state.iter().map(|row| (hash_of(&row.0), row)));
        let save = |(shard, rows)| Ok((shard, codec::encode(&rows)?));
        rows.into_iter().map(save).collect()
    }

    fn load(&mut self, state: &mut Self::State, bytes: &[u8]) -> Result<(), Problem> {
        for (key, value) in codec::decode::<Vec<(Q, A)>>(bytes)? {
            state.insert_unique(hash_of(&key), (key, value), |(key, _)| hash_of(key));
        }
        Ok(())
    }
}
