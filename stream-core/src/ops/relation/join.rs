//! `join`, `semi_join`, `anti_join` and `distinct`, by differential dataflow.

use super::dataflow::{Collection, Inputs};
use super::{Relation, Row, Update};
use crate::graph::context::Context;
use crate::graph::node::{Port, Render, stage};

impl<K: Row, V: Row> Relation<(K, V)> {
    /// Each pair of rows of the two that have one key, as many times as the two are there.
    ///
    /// ```
    /// use stream_core::{graph::Stream, ops::Entry, testing};
    ///
    /// // Who shares a first letter with whom.
    /// let pairs = |words: Stream<String>| {
    ///     let words = words.key_by(|word| word.clone()).count().rows();
    ///     let by_letter = words.map(|(word, _)| (word.chars().next(), word));
    ///     by_letter.clone().join(by_letter).group_by(|(letter, _)| *letter).count()
    /// };
    /// let rows = testing::rows(pairs, ["ab", "ac", "b"].map(String::from));
    /// assert_eq!(rows, [Entry { key: Some('a'), value: 4 }, Entry { key: Some('b'), value: 1 }]);
    /// ```
    pub fn join<W: Row>(self, other: Relation<(K, W)>) -> Relation<(K, (V, W))> {
        let (left, right) = (self.port, other.port);
        of_two("join", left, right, |left, right| {
            left.join_map(right, |key, v, w| (key.clone(), (v.clone(), w.clone())))
        })
    }

    /// The rows whose key is in another relation, however many times it is there.
    ///
    /// ```
    /// use stream_core::{graph::Stream, ops::Entry, testing};
    ///
    /// let known = |numbers: Stream<i64>| {
    ///     let counts = numbers.clone().key_by(|n| n.abs()).count();
    ///     let negative = numbers.filter(|n| *n < 0).key_by(|n| n.abs()).count();
    ///     counts.rows().semi_join(negative.rows().map(|(n, _)| n)).group_by(|(n, _)| *n).count()
    /// };
    /// assert_eq!(testing::rows(known, [1, 2, -2]), [Entry { key: 2, value: 1 }]);
    /// ```
    pub fn semi_join(self, other: Relation<K>) -> Relation<(K, V)> {
        let (left, right) = (self.port, other.port);
        of_two("semi_join", left, right, |left, keys| {
            left.semijoin(keys.distinct())
        })
    }

    /// The rows whose key is not in another relation.
    ///
    /// ```
    /// use stream_core::{graph::Stream, ops::Entry, testing};
    ///
    /// let unknown = |numbers: Stream<i64>| {
    ///     let counts = numbers.clone().key_by(|n| n.abs()).count();
    ///     let negative = numbers.filter(|n| *n < 0).key_by(|n| n.abs()).count();
    ///     counts.rows().anti_join(negative.rows().map(|(n, _)| n)).group_by(|(n, _)| *n).count()
    /// };
    /// assert_eq!(testing::rows(unknown, [1, 2, -2]), [Entry { key: 1, value: 1 }]);
    /// ```
    pub fn anti_join(self, other: Relation<K>) -> Relation<(K, V)> {
        let (left, right) = (self.port, other.port);
        of_two("anti_join", left, right, |left, keys| {
            left.antijoin(keys.distinct())
        })
    }
}

impl<T: Row> Relation<T> {
    /// Each row once, however many times it is there.
    ///
    /// ```
    /// use stream_core::{graph::Stream, ops::Entry, testing};
    ///
    /// let lengths = |words: Stream<String>| {
    ///     let words = words.key_by(|word| word.clone()).count().rows();
    ///     words.map(|(word, _)| word.len()).distinct().group_by(|_| ()).count()
    /// };
    /// let rows = testing::rows(lengths, ["a", "b", "cc"].map(String::from));
    /// assert_eq!(rows, [Entry { key: (), value: 2 }]);
    /// ```
    pub fn distinct(self) -> Relation<T> {
        let graph = self.port.graph().clone();
        let spec = stage("distinct", vec![self.port.spec()]).exchanged();
        Relation {
            port: graph.add(spec, Box::new(Distinct(self.port))),
        }
    }
}

fn of_two<A: Row, B: Row, O: Row>(
    kind: &'static str,
    left: Port<(), Update<A>>,
    right: Port<(), Update<B>>,
    build: impl for<'s> FnOnce(Collection<'s, u64, A>, Collection<'s, u64, B>) -> Collection<'s, u64, O>
    + 'static,
) -> Relation<O> {
    let graph = left.graph().clone();
    let spec = stage(kind, vec![left.spec(), right.spec()]).exchanged();
    Relation {
        port: graph.add(spec, Box::new(OfTwo { left, right, build })),
    }
}

struct OfTwo<A, B, F> {
    left: Port<(), Update<A>>,
    right: Port<(), Update<B>>,
    build: F,
}

impl<A: Row, B: Row, O: Row, F> Render for OfTwo<A, B, F>
where
    F: for<'s> FnOnce(Collection<'s, u64, A>, Collection<'s, u64, B>) -> Collection<'s, u64, O>
        + 'static,
{
    fn render<'s>(self: Box<Self>, node: usize, context: &mut Context<'s>) {
        let mut inputs = Inputs::new(context, node);
        let left = inputs.enter(self.left.spec());
        let right = inputs.enter(self.right.spec());
        inputs.leave((self.build)(left, right));
    }
}

struct Distinct<T>(Port<(), Update<T>>);

impl<T: Row> Render for Distinct<T> {
    fn render<'s>(self: Box<Self>, node: usize, context: &mut Context<'s>) {
        let mut inputs = Inputs::new(context, node);
        let rows = inputs.enter::<T>(self.0.spec());
        inputs.leave(rows.distinct());
    }
}
