//! `split`: one stream as two, by a condition.

use crate::engine::batch::Segment;
use crate::engine::flow::Flow;
use crate::graph::context::Context;
use crate::graph::node::{Port, Render, stage};
use crate::graph::{Kind, PortSpec, Stream};
use crate::state::record::Stamp;

impl<T: 'static, K: Kind> Stream<T, K> {
    /// Divides the records: first those for which the closure says so, then the rest.
    ///
    /// ```
    /// # stream_core::testing::doc(|numbers| {
    /// let (small, large) = numbers.split(|n| *n < 3);
    /// # small.map(|n| n * 100).union(large) }, [1, 2, 3], [3, 100, 200]);
    /// ```
    pub fn split(self, f: impl Fn(&T) -> bool + 'static) -> (Stream<T, K>, Stream<T, K>) {
        let (yes, no) = split(self.port, f);
        (Stream::from_port(yes), Stream::from_port(no))
    }
}

fn split<S: Stamp, T: 'static>(
    input: Port<S, T>,
    f: impl Fn(&T) -> bool + 'static,
) -> (Port<S, T>, Port<S, T>) {
    let graph = input.graph().clone();
    let spec = stage("split", vec![input.spec()]);
    let divide = move |from: &mut Segment, rest: &mut Segment| {
        let records = from.records::<(S, T)>();
        let no = rest.records::<(S, T)>();
        no.extend(records.extract_if(.., |(_, record)| !f(record)));
        let (yes, no) = (records.len(), no.len());
        from.set_count(yes);
        rest.set_count(no);
    };
    let render = Split {
        input: input.spec(),
        divide: Box::new(divide),
    };
    let node = graph.push(spec, Some(Box::new(render)));
    (graph.port(node, 0), graph.port(node, 1))
}

struct Split {
    input: PortSpec,
    divide: Box<dyn Fn(&mut Segment, &mut Segment)>,
}

impl Render for Split {
    fn render<'s>(self: Box<Self>, node: usize, context: &mut Context<'s>) {
        let (mut builder, guard) = context.operator(node);
        let flow = context.take(self.input);
        let mut input = context.input(&mut builder, flow);
        let (mut yes, yes_edge) = context.output(&mut builder, node, 0);
        let (mut no, no_edge) = context.output(&mut builder, node, 1);
        let divide = self.divide;
        builder.build(move |_| {
            move |_| {
                let _entered = guard.enter();
                let (mut yes, mut no) = (yes.activate(), no.activate());
                input.for_each(|capability, segment| {
                    let mut rest = Segment::new(segment.lane, segment.progress);
                    divide(segment, &mut rest);
                    yes.send(capability, segment);
                    no.send(capability, &mut rest);
                });
            }
        });
        context.put(node, 0, Flow::Edge(yes_edge));
        context.put(node, 1, Flow::Edge(no_edge));
    }
}
