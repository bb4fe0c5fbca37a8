//! The sink operator: the last step of every record's way.
//!
//! Its input frontier is what tells the sources that a slice is through. The stateless stages in
//! front of it run inside it.

use std::any::type_name;
use std::cell::RefCell;
use std::rc::Rc;

use super::abort::Abort;
use super::worker::{Local, least};
use crate::error::Problem;
use crate::graph::Stamp;
use crate::graph::node::{Port, Render, stage};
use crate::graph::render::Context;
use crate::io::Writer;
use crate::time::epoch::FOREVER;

/// Ends a stream at an output port.
pub(crate) fn output<S: Stamp, T: 'static>(input: Port<S, T>, name: &str, content: &str) {
    let graph = input.graph().clone();
    let mut spec = stage("output", vec![input.spec()])
        .with("port", name)
        .with("writes", content);
    spec.record = type_name::<T>().to_owned();
    graph.push(
        spec,
        Some(Box::new(OutputStep {
            input,
            port: name.to_owned(),
        })),
    );
}

struct OutputStep<S, T> {
    input: Port<S, T>,
    port: String,
}

impl<S: Stamp, T: 'static> Render for OutputStep<S, T> {
    fn render<'s>(self: Box<Self>, node: usize, context: &mut Context<'s>) {
        let local = context.local.clone();
        let (mut builder, guard) = context.operator(node);
        let mut pull = context.take(&self.input).open(&mut builder);
        let count = local.counter(&self.port, "out");
        let writer = Rc::new(RefCell::new(PortWriter::<T>::open(&self.port, &local)));
        let closing = writer.clone();
        let name = guard.clone();
        let acknowledged = local.add_sink(Box::new(move || {
            let _entered = name.enter();
            closing.borrow_mut().close();
        }));
        let mut records = Vec::new();
        builder.build(move |_| {
            move |frontiers| {
                let _entered = guard.enter();
                let mut writer = writer.borrow_mut();
                let mut written = false;
                pull.pull(&mut |_, segment| {
                    written |= !segment.records.is_empty();
                    records.extend(segment.records.drain(..).map(|(_, record)| record));
                    count.add(writer.write(&mut records));
                });
                if written {
                    writer.flush();
                }
                // A sink that has failed acknowledges nothing more.
                if !local.abort.is_failed() {
                    acknowledged.set(frontiers.iter().map(least).min().unwrap_or(FOREVER));
                }
            }
        });
    }
}

/// The writer of one port on one worker, if it could be opened.
struct PortWriter<T> {
    port: String,
    writer: Option<Box<dyn Writer<T>>>,
    abort: Abort,
}

impl<T: 'static> PortWriter<T> {
    fn open(port: &str, local: &Local) -> Self {
        let sink = local.bindings.sink(port).typed::<T>();
        let mut writer = PortWriter {
            port: port.to_owned(),
            writer: None,
            abort: local.abort.clone(),
        };
        match sink.open(local.index, local.peers) {
            Ok(opened) => writer.writer = Some(opened),
            Err(problem) => writer.fail(problem),
        }
        writer
    }

    /// Tells how many records were written.
    fn write(&mut self, records: &mut Vec<T>) -> usize {
        let count = records.len();
        self.attempt(|writer| writer.write(records));
        records.clear();
        if self.writer.is_some() { count } else { 0 }
    }

    fn flush(&mut self) {
        self.attempt(|writer| writer.flush());
    }

    fn close(&mut self) {
        self.attempt(|writer| writer.close());
        self.writer = None;
    }

    fn attempt(&mut self, step: impl FnOnce(&mut dyn Writer<T>) -> Result<(), Problem>) {
        let done = self
            .writer
            .as_mut()
            .map_or(Ok(()), |writer| step(&mut **writer));
        done.unwrap_or_else(|problem| self.fail(problem));
    }

    /// Writes no more, and ends the job.
    fn fail(&mut self, problem: Problem) {
        self.writer = None;
        self.abort.fail_sink(&self.port, problem);
    }
}
