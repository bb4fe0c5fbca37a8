//! `raw`: timely's own operators in the midst of a pipeline.
//!
//! Records leave their segments on the way in, and what comes out is one lane a worker (`passage`).

use std::marker::PhantomData;

use timely::dataflow::StreamVec;

use super::passage::{Entered, enter, leave};
use crate::graph::context::Context;
use crate::graph::node::{Port, Render, stage};
use crate::graph::{Class, Kind, Mixed, Stream};
use crate::state::record::Stamp;

/// Records on their way through timely's operators. Their time is the engine's epoch: it increases, and means
/// nothing else.
pub type Records<'s, T> = StreamVec<'s, u64, T>;

/// Timely's own operators on a stream.
pub trait Raw<T: 'static> {
    /// Builds timely's operators on the records, on each worker once.
    ///
    /// ```
    /// use stream_core::prelude::*;
    /// use stream_core::raw::Raw;
    /// use stream_core::raw::timely::dataflow::operators::vec::Map;
    ///
    /// #[pipeline]
    /// fn doubled(numbers: Stream<u64>) -> Stream<u64, Mixed> {
    ///     let doubled = numbers.raw(|numbers| numbers.map(|number| 2 * number));
    ///     doubled
    /// }
    ///
    /// assert_eq!(doubled::test().numbers([1, 2, 3]).rows().doubled, [2, 4, 6]);
    /// ```
    fn raw<B: 'static>(
        self,
        build: impl for<'s> Fn(Records<'s, T>) -> Records<'s, B> + 'static,
    ) -> Stream<B, Mixed>;
}

impl<T: 'static, K: Kind> Raw<T> for Stream<T, K> {
    fn raw<B: 'static>(
        self,
        build: impl for<'s> Fn(Records<'s, T>) -> Records<'s, B> + 'static,
    ) -> Stream<B, Mixed> {
        let graph = self.port.graph().clone();
        let spec = stage("raw", vec![self.port.spec()])
            .class(Class::ExactIfOrderFree)
            .exchanged();
        let render = RawStep {
            input: self.port,
            build,
            made: PhantomData,
        };
        Stream::from_port(graph.add(spec, Box::new(render)))
    }
}

struct RawStep<S, T, B, F> {
    input: Port<S, T>,
    build: F,
    made: PhantomData<fn() -> B>,
}

impl<S, T, B, F> Render for RawStep<S, T, B, F>
where
    S: Stamp,
    T: 'static,
    B: 'static,
    F: for<'s> Fn(Records<'s, T>) -> Records<'s, B> + 'static,
{
    fn render<'s>(self: Box<Self>, node: usize, context: &mut Context<'s>) {
        let flow = context.take(self.input.spec());
        let without_stamp = |_, records: &mut Vec<(S, T)>, out: &mut Vec<T>| {
            out.extend(records.drain(..).map(|(_, record)| record));
        };
        let Entered { records, promises } =
            enter(context, node, (0, flow), |epoch| epoch, without_stamp);
        let made = (self.build)(records);
        leave(context, node, made, promises, |epoch, records, send| {
            send(epoch, std::mem::take(records));
        });
    }
}
