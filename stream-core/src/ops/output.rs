//! The sink operator: the last step of every record's way.
//!
//! Its input frontier is what tells the sources that a slice is through. The stateless stages in
//! front of it run inside it.

use std::any::type_name;
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::marker::PhantomData;
use std::rc::Rc;

use super::table::final_content;
use super::tapped::{TapPort, Telling};
use crate::engine::abort::Abort;
use crate::engine::batch::Segment;
use crate::engine::flow::{epoch_of, least};
use crate::engine::local::Local;
use crate::error::Problem;
use crate::graph::context::Context;
use crate::graph::handles::output::Sealed;
use crate::graph::node::{Port, Render, stage};
use crate::graph::{
    Change, Changes, Entry, Graph, Key, Kind, Output, PortSpec, Record, Stream, Table,
};
use crate::io::{self, Slot, Staged, Writer};
use crate::observe::Counter;
use crate::state::checkpoint::{Boundary, Held, Participant, Prepared};
use crate::state::record::Stamp;
use crate::time::epoch::FOREVER;

impl Graph {
    /// An output port: the job binds a sink to its name.
    ///
    /// A [`Table`](crate::graph::Table) is written as its final content, [`Changes`](crate::graph::Changes) as
    /// they come.
    pub fn output<O: Output>(&self, name: &str, output: O) {
        self.bound_to(name, || output.connect(name));
    }
}

impl<T: 'static, K: Kind> Sealed for Stream<T, K> {}
impl<T: 'static, K: Kind> Output for Stream<T, K> {
    type Row = T;

    fn connect(self, name: &str) {
        output(self.port, name, "rows", Telling::by_sink());
    }
}

impl<Q: Key, V: Record> Sealed for Table<Q, V> {}
impl<Q: Key, V: Record> Output for Table<Q, V> {
    type Row = Entry<Q, V>;

    fn connect(self, name: &str) {
        let content = final_content(self.port);
        output(content, name, "final content", Telling::rows());
    }
}

impl<Q: Key, V: Record> Sealed for Changes<Q, V> {}
impl<Q: Key, V: Record> Output for Changes<Q, V> {
    type Row = Change<Q, V>;

    fn connect(self, name: &str) {
        let telling = Telling::changes(
            |change: &Self::Row, into| io::canonical(&change.key, into),
            |change| change.value.is_some(),
        );
        output(self.port, name, "changes", telling);
    }

    fn consolidate(rows: Vec<Self::Row>) -> Vec<Self::Row> {
        let last: BTreeMap<_, _> = rows.into_iter().map(|row| (row.key, row.value)).collect();
        let is_there = |(key, value): (Q, Option<V>)| value.map(|value| (key, Some(value)));
        let last = last.into_iter().filter_map(is_there);
        last.map(|(key, value)| Change { key, value }).collect()
    }
}

/// Ends a stream at an output port.
fn output<S: Stamp, T: 'static>(input: Port<S, T>, name: &str, content: &str, telling: Telling<T>) {
    let graph = input.graph().clone();
    let mut spec = stage("output", vec![input.spec()])
        .with("port", name)
        .with("writes", content);
    spec.record = type_name::<T>().to_owned();
    graph.push(
        spec,
        Some(Box::new(OutputStep {
            input: input.spec(),
            port: name.to_owned(),
            open: Box::new(move |port, local| match &local.tap {
                None => Box::new(PortWriter::<S, T>::open(port, local)),
                Some(tap) => Box::new(TapPort::<S, T>::open(port, telling, &**tap, local)),
            }),
        })),
    );
}

struct OutputStep {
    input: PortSpec,
    port: String,
    open: Box<OpenEnd>,
}

type OpenEnd = dyn FnOnce(&str, &Local) -> Box<dyn End>;

/// What takes the records at an output port: the writer of its sink, or a tap in its place.
pub(crate) trait End {
    /// Takes the records out of the segment, and tells how many were written.
    fn take(&mut self, epoch: u64, segment: &mut Segment) -> usize;

    /// Hands on what is buffered.
    fn flush(&mut self);

    /// Prepares what was written since the last checkpoint.
    fn prepare(&mut self, _checkpoint: u64) -> Staged {
        self.flush();
        Staged::nothing()
    }

    /// How many bytes it keeps in memory until a checkpoint is complete.
    fn held(&self) -> u64 {
        0
    }

    /// The last call.
    fn close(&mut self);
}

impl Render for OutputStep {
    fn render<'s>(self: Box<Self>, node: usize, context: &mut Context<'s>) {
        let local = context.local.clone();
        let (mut builder, guard) = context.operator(node);
        let flow = context.take(self.input);
        let mut input = context.input(&mut builder, flow);
        let aligned = Aligned {
            end: (self.open)(&self.port, &local),
            count: local.counter(&self.port, "out"),
            waiting: VecDeque::new(),
            participant: local.checkpoints.join(),
            slot: local.index,
            port: self.port,
            held: Held::default(),
        };
        let aligned = Rc::new(RefCell::new(aligned));
        let closing = aligned.clone();
        let name = guard.clone();
        let acknowledged = local.add_sink(Box::new(move |end| {
            let _entered = name.enter();
            closing.borrow_mut().close(end);
        }));
        builder.build(move |_| {
            move |frontiers| {
                let _entered = guard.enter();
                let mut aligned = aligned.borrow_mut();
                let mut written = false;
                input.for_each(|capability, segment| {
                    written |= segment.count() > 0;
                    aligned.take(epoch_of(capability), segment);
                });
                let frontier = frontiers.iter().map(least).min().unwrap_or(FOREVER);
                aligned.prepare_before(frontier);
                if written {
                    aligned.end.flush();
                }
                // A sink that has failed acknowledges nothing more.
                if !local.abort.is_failed() {
                    acknowledged.set(frontier);
                }
            }
        });
    }
}

/// The end of a stream, which takes records from behind a boundary only once all from before it are
/// prepared.
struct Aligned {
    end: Box<dyn End>,
    count: Counter,
    /// What lies behind a boundary that is still to be prepared.
    waiting: VecDeque<(u64, Segment)>,
    participant: Participant,
    port: String,
    slot: usize,
    held: Held,
}

impl Aligned {
    fn take(&mut self, epoch: u64, segment: &mut Segment) {
        match self.participant.due(epoch) {
            None => {
                self.count.add(self.end.take(epoch, segment));
                self.held.grow(self.end.held(), &self.participant);
            }
            Some(_) => self.waiting.push_back((epoch, std::mem::take(segment))),
        }
    }

    /// Prepares the checkpoints whose boundaries the frontier has reached.
    fn prepare_before(&mut self, frontier: u64) {
        while let Some(boundary) = self.participant.due(frontier) {
            self.prepare(boundary);
            self.participant.leave(boundary);
            for (epoch, mut segment) in std::mem::take(&mut self.waiting) {
                self.take(epoch, &mut segment);
            }
        }
    }

    fn prepare(&mut self, boundary: Boundary) {
        let staged = self.end.prepare(boundary.number);
        let held = self.held.take(self.end.held());
        let staged = Prepared { staged, held };
        self.participant
            .stage(boundary, &self.port, self.slot, staged);
    }

    /// Ends it; at the end of all input there is something left to be prepared.
    fn close(&mut self, end: Option<Boundary>) {
        if let Some(end) = end {
            self.prepare(end);
        }
        self.end.close();
    }
}

/// The writer of one port on one worker, if it could be opened.
struct PortWriter<S, T> {
    stamp: PhantomData<S>,
    port: String,
    records: Vec<T>,
    writer: Option<Box<dyn Writer<T>>>,
    abort: Abort,
}

impl<S: Stamp, T: 'static> PortWriter<S, T> {
    fn open(port: &str, local: &Local) -> Self {
        let sink = local.bindings.sink(port).typed::<T>();
        let mut writer = PortWriter {
            stamp: PhantomData,
            port: port.to_owned(),
            records: Vec::new(),
            writer: None,
            abort: local.abort.clone(),
        };
        match sink.open(Slot::new(local.index, local.peers)) {
            Ok(mut opened) => {
                opened.watch(local.abort.watch());
                writer.writer = Some(opened);
            }
            Err(problem) => writer.fail(problem),
        }
        writer
    }

    fn attempt(
        &mut self,
        step: impl FnOnce(&mut dyn Writer<T>, &mut Vec<T>) -> Result<(), Problem>,
    ) {
        let done = match &mut self.writer {
            Some(writer) => step(&mut **writer, &mut self.records),
            None => Ok(()),
        };
        done.unwrap_or_else(|problem| self.fail(problem));
    }

    /// Writes no more, and ends the job.
    fn fail(&mut self, problem: Problem) {
        self.writer = None;
        self.abort.fail_sink(&self.port, problem);
    }
}

impl<S: Stamp, T: 'static> End for PortWriter<S, T> {
    fn take(&mut self, _: u64, segment: &mut Segment) -> usize {
        let records = segment
            .records::<(S, T)>()
            .drain(..)
            .map(|(_, record)| record);
        self.records.extend(records);
        let count = self.records.len();
        self.attempt(|writer, records| writer.write(records));
        self.records.clear();
        if self.writer.is_some() { count } else { 0 }
    }

    fn flush(&mut self) {
        self.attempt(|writer, _| writer.flush());
    }

    fn prepare(&mut self, checkpoint: u64) -> Staged {
        let mut staged = Staged::nothing();
        self.attempt(|writer, _| {
            staged = writer.prepare(checkpoint)?;
            Ok(())
        });
        staged
    }

    fn held(&self) -> u64 {
        self.writer.as_ref().map_or(0, |writer| writer.held())
    }

    fn close(&mut self) {
        self.writer = None;
    }
}
