//! `split`: one stream as two, by a condition.

use crate::graph::Stamp;
use crate::graph::node::{Port, Render, stage};
use crate::graph::render::{Context, Flow, Segment, SegmentOutput};

pub(crate) fn split<S: Stamp, T: 'static>(
    input: Port<S, T>,
    f: impl Fn(&T) -> bool + 'static,
) -> (Port<S, T>, Port<S, T>) {
    let graph = input.graph().clone();
    let spec = stage("split", vec![input.spec()]);
    let node = graph.push(spec, Some(Box::new(Split { input, f })));
    (graph.port(node, 0), graph.port(node, 1))
}

struct Split<S, T, F> {
    input: Port<S, T>,
    f: F,
}

impl<S: Stamp, T: 'static, F: Fn(&T) -> bool + 'static> Render for Split<S, T, F> {
    fn render<'s>(self: Box<Self>, node: usize, context: &mut Context<'s>) {
        let (mut builder, guard) = context.operator(node);
        let mut pull = context.take(&self.input).open(&mut builder);
        let (yes, yes_edge) = builder.new_output();
        let (no, no_edge) = builder.new_output();
        let (mut yes, mut no) = (SegmentOutput::from(yes), SegmentOutput::from(no));
        let f = self.f;
        builder.build(move |_| {
            move |_| {
                let _entered = guard.enter();
                let (mut yes, mut no) = (yes.activate(), no.activate());
                pull.pull(&mut |capability, segment| {
                    let mut rest = Segment::new(segment.lane, segment.progress, Vec::new());
                    rest.records
                        .extend(segment.records.extract_if(.., |(_, record)| !f(record)));
                    yes.session_with_builder(capability).give_container(segment);
                    no.session_with_builder(capability)
                        .give_container(&mut rest);
                });
            }
        });
        context.put(node, 0, Flow::<S, T>::Edge(yes_edge));
        context.put(node, 1, Flow::<S, T>::Edge(no_edge));
    }
}
