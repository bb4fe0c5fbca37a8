//! One stream as several: `split` by a condition, `split_by` by keys, `try_map` by what went wrong, `outputs` by
//! the variants of an enum.

use std::marker::PhantomData;

use crate::engine::batch::Segment;
use crate::engine::flow::Flow;
use crate::error::Problem;
use crate::graph::context::Context;
use crate::graph::node::{Render, stage};
use crate::graph::{Graph, Kind, PortSpec, Stream};

impl<T: 'static, K: Kind> Stream<T, K> {
    /// Divides the records: first those for which the closure says so, then the rest.
    ///
    /// ```
    /// # stream_core::testing::doc(|numbers| {
    /// let (small, large) = numbers.split(|n| *n < 3);
    /// # small.map(|n| n * 100).union(large) }, [1, 2, 3], [3, 100, 200]);
    /// ```
    pub fn split(self, f: impl Fn(&T) -> bool + 'static) -> (Stream<T, K>, Stream<T, K>) {
        let divided = Divided::of("split", self, 2, move |mut records, parts| {
            let no = records.extract_if(.., |(_, record)| !f(record));
            parts.put(1, no.collect());
            parts.put(0, records);
        });
        (divided.output(0), divided.output(1))
    }

    /// Divides the records by keys that are known beforehand: a stream for each of them, in their order, and
    /// then the rest. A key that stands there twice is refused when the job starts.
    ///
    /// ```
    /// # stream_core::testing::doc(|numbers| {
    /// let ([even, odd], large) = numbers.split_by(|n| if *n < 10 { n % 2 } else { *n }, [0, 1]);
    /// # even.map(|n| n * 100).union(odd.map(|n| n * 10)).union(large) }, [1, 2, 31], [10, 31, 200]);
    /// ```
    pub fn split_by<Q: PartialEq + 'static, const N: usize>(
        self,
        key: impl Fn(&T) -> Q + 'static,
        keys: [Q; N],
    ) -> ([Stream<T, K>; N], Stream<T, K>) {
        if let Some((first, second)) = twice(&keys) {
            self.port.problem(
                Problem::new("`split_by` is given one key twice")
                    .detail(format!(
                        "keys {first} and {second} are equal, so the second stream would be empty"
                    ))
                    .hint("leave out one of the two; a stream can be read as often as you like"),
            );
        }
        let divided = Divided::of("split_by", self, N + 1, move |records, parts| {
            let mut of_keys = [const { Vec::new() }; N];
            let mut rest = Vec::new();
            for (stamp, record) in records {
                let key = key(&record);
                let place = keys.iter().position(|other| *other == key);
                let part = place.map_or(&mut rest, |place| &mut of_keys[place]);
                part.push((stamp, record));
            }
            for (number, of_key) in of_keys.into_iter().enumerate() {
                parts.put(number, of_key);
            }
            parts.put(N, rest);
        });
        let of_keys = std::array::from_fn(|number| divided.output(number));
        (of_keys, divided.output(N))
    }

    /// Turns each record into another, or into an error: what is well comes first, then the errors.
    ///
    /// ```
    /// # stream_core::testing::doc(|numbers| {
    /// let (halves, odd) = numbers.try_map(|n| if n % 2 == 0 { Ok(n / 2) } else { Err(n) });
    /// # halves.map(|n| n * 100).union(odd) }, [1, 2, 3], [1, 3, 100]);
    /// ```
    pub fn try_map<B: 'static, E: 'static>(
        self,
        f: impl Fn(T) -> Result<B, E> + 'static,
    ) -> (Stream<B, K>, Stream<E, K>) {
        let divided = Divided::of("try_map", self, 2, move |records, parts| {
            let (mut made, mut errors) = (Vec::with_capacity(records.len()), Vec::new());
            for (stamp, record) in records {
                match f(record) {
                    Ok(record) => made.push((stamp, record)),
                    Err(error) => errors.push((stamp, error)),
                }
            }
            parts.put(0, made);
            parts.put(1, errors);
        });
        (divided.output(0), divided.output(1))
    }

    /// One stream a variant of the records, in the order of the variants: the named outputs of an operator.
    ///
    /// ```
    /// use stream_core::prelude::*;
    ///
    /// #[derive(Outputs)]
    /// enum Parsed {
    ///     Number(i64),
    ///     Text(String),
    /// }
    ///
    /// #[pipeline]
    /// fn parsed(lines: Stream<String>) -> (Stream<i64>, Stream<String>) {
    ///     let (numbers, texts) = lines
    ///         .map(|line| line.parse().map_or(Parsed::Text(line), Parsed::Number))
    ///         .outputs();
    ///     (numbers, texts)
    /// }
    ///
    /// let rows = parsed::test().lines(["7", "x"].map(String::from)).rows();
    /// assert_eq!((rows.numbers, rows.texts), (vec![7], vec!["x".to_string()]));
    /// ```
    pub fn outputs<O>(self) -> O::Streams<K>
    where
        T: Is<O>,
        O: Outputs,
    {
        let Stream { port } = self;
        O::divide(Stream::from_port(port.graph().port(port.node, port.port)))
    }
}

/// The places, counted from 1, of two keys that are equal.
fn twice<Q: PartialEq>(keys: &[Q]) -> Option<(usize, usize)> {
    let mut seconds = keys.iter().enumerate();
    seconds.find_map(|(second, key)| {
        let first = keys[..second].iter().position(|other| other == key)?;
        Some((first + 1, second + 1))
    })
}

/// Says that two types are one, where a bound on the other is to be told in its own words.
#[doc(hidden)]
pub trait Is<T> {}

impl<T> Is<T> for T {}

/// An enum of which each variant is an output: what an operator emits that has several. `#[derive(Outputs)]`
/// implements it for one whose variants hold one value each; [`Stream::outputs`] gives the streams.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no enum of outputs",
    label = "`.outputs()` gives one stream for each variant of an enum",
    note = "add `#[derive(Outputs)]` to an enum whose variants hold one value each: \
            `enum Routed {{ Known(Order), Unknown(Order) }}`"
)]
pub trait Outputs: Sized + 'static {
    /// A tuple of streams, one a variant.
    type Streams<K: Kind>;

    /// Divides a stream by variant.
    #[doc(hidden)]
    fn divide<K: Kind>(stream: Stream<Self, K>) -> Self::Streams<K>;
}

/// A stage with several outputs.
#[doc(hidden)]
#[derive(Debug)]
pub struct Divided<K> {
    graph: Graph,
    node: usize,
    kind: PhantomData<K>,
}

impl<K: Kind> Divided<K> {
    /// Adds a stage that divides the records of each batch into so many parts.
    pub fn of<T: 'static>(
        kind: &'static str,
        stream: Stream<T, K>,
        outputs: usize,
        divide: impl Fn(Vec<(K::Stamp, T)>, &mut Parts<'_>) + 'static,
    ) -> Self {
        let input = stream.port.spec();
        let graph = stream.port.graph().clone();
        let divide = move |from: &mut Segment, to: &mut [Segment]| {
            let records = std::mem::take(from.records());
            divide(records, &mut Parts(to));
        };
        let render = Divide {
            input,
            outputs,
            divide: Box::new(divide),
        };
        let node = graph.push(stage(kind, vec![input]), Some(Box::new(render)));
        Divided {
            graph,
            node,
            kind: PhantomData,
        }
    }

    /// One of the outputs. Its records are of the type that is put into its part.
    pub fn output<T: 'static>(&self, number: usize) -> Stream<T, K> {
        Stream::from_port(self.graph.port(self.node, number))
    }
}

/// The parts that a batch is divided into.
#[doc(hidden)]
#[allow(
    missing_debug_implementations,
    reason = "only the code of `#[derive(Outputs)]` sees one"
)]
pub struct Parts<'a>(&'a mut [Segment]);

impl Parts<'_> {
    /// Puts records into a part.
    pub fn put<S: 'static, T: 'static>(&mut self, number: usize, records: Vec<(S, T)>) {
        let part = &mut self.0[number];
        part.set_count(records.len());
        *part.records() = records;
    }
}

struct Divide {
    input: PortSpec,
    outputs: usize,
    divide: Box<dyn Fn(&mut Segment, &mut [Segment])>,
}

impl Render for Divide {
    fn render<'s>(self: Box<Self>, node: usize, context: &mut Context<'s>) {
        let (mut builder, guard) = context.operator(node);
        let flow = context.take(self.input);
        let mut input = context.input(&mut builder, flow);
        let mut outputs = Vec::with_capacity(self.outputs);
        for port in 0..self.outputs {
            let (output, edge) = context.output(&mut builder, node, port);
            outputs.push(output);
            context.put(node, port, Flow::Edge(edge));
        }
        let divide = self.divide;
        builder.build(move |_| {
            move |_| {
                let _entered = guard.enter();
                let mut outputs: Vec<_> =
                    outputs.iter_mut().map(|output| output.activate()).collect();
                input.for_each(|capability, segment| {
                    let part = || Segment::new(segment.lane, segment.progress);
                    let mut parts: Vec<_> = outputs.iter().map(|_| part()).collect();
                    if segment.count() > 0 {
                        divide(segment, &mut parts);
                    }
                    for (output, part) in outputs.iter_mut().zip(&mut parts) {
                        output.send(capability, part);
                    }
                });
            }
        });
    }
}
