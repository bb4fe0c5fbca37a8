//! The one core of all operators that keep state by key.
//!
//! ```text
//!            ┌─────────┐ records, by the owner of their key's shard ┌──────────┐
//!  lanes ──► │ shuffle │ ══════════════════════════════════════════►│ operator │ ──► segments
//!            │         │ progress of each lane, to every worker     │          │ ──► overtaken
//!            └─────────┘ ──────────────────────────────────────────►└──────────┘
//! ```
//!
//! An operator is only its [`Logic`]. The core does the rest. On a job's only worker nothing is
//! shuffled: the chain in front runs inside the operator.
//!
//! 1. **Alignment.** Records of the open *run* (a batch or a checkpoint, [`Align`]) are folded as
//!    they come, at any slice. Those of a later run wait until the open one is complete.
//! 2. **Watermarks.** What a lane promises in an epoch is applied once the input frontier has
//!    passed that epoch, for then all records that stood before the promise are in. The watermark
//!    is the least promise of all lanes. Every source worker announces its lanes in the first
//!    epoch, so none is applied before all are known.
//! 3. **Emission.** What a table withholds leaves when its run closes, or when every lane has
//!    ended. A capability that is held for it follows the frontier, and so pins no old slice. What
//!    leaves at one moment, a close or a watermark that completes a million windows, leaves piece by
//!    piece, a budget an activation, so that it is never in memory as a whole. Records have such a budget, too:
//!    a worker that was held up would else fold all that has come meanwhile in one go.
//!    Records of a run come in no order of their epochs. What a table emits as they come is never in an epoch
//!    before that of what it has emitted: those behind that wait for a batch take the last word of a key for
//!    the last one.
//! 4. **Lanes.** The operator is a lane of its own for those behind it. It announces it in the
//!    first epoch, as a source does, so that no watermark there leaves without it.
//! 5. **Snapshots.** When the frontier reaches a boundary, each shard is written as it is there: piece by
//!    piece, while the records behind it are folded already. What these are about to change is written
//!    before, so they are folded in parts. A boundary that is reached meanwhile waits.
//!
//! Only what touches records knows their type (`typed.rs`); the rest is compiled once.
//!
//! 6. **Repetition.** A logic behind which something is computed anew when a job goes on
//!    ([`Logic::REPEATS`]) emits what it had emitted before, in epoch 0, before it takes in anything. The first epoch of
//!    a run lies behind it.
//!
//! An empty frontier alone fires nothing: only the lanes' ends do, for a frontier is empty after
//! an abort too.

mod operator;
mod shuffle;
mod typed;

use std::rc::Rc;

use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

use self::operator::{Operator, Outputs};
use self::shuffle::{Pack, Promise, pack, shuffle};
use self::typed::{Folding, Input, Typed};
use crate::engine::Emission;
use crate::engine::flow::{Flow, SegmentOutput, least};
use crate::engine::lane::LaneMap;
use crate::engine::parcel::Route;
use crate::error::Problem;
use crate::graph::context::Context;
use crate::state::WriteShard;
use crate::state::record::{Key, Record, Stamp};
use crate::state::rows::Rows;
use crate::time::EventTime;
use crate::time::epoch::FOREVER;

/// How many records an operator gathers before it sends them.
pub(crate) const FULL: usize = 4_096;

/// How many rows are saved in one piece: that takes some tenths of a millisecond, and a record that goes through
/// waits for several, as many as it takes turns of the worker. In tests there are few, so that a small
/// state is saved in many.
pub(crate) const SAVED_ROWS: usize = if cfg!(all(test, debug_assertions)) {
    64
} else {
    FULL / 2
};

/// What an operator does with its records.
pub(crate) trait Logic: 'static {
    /// What is sent to the worker that owns the key.
    type Record: Record;
    /// What is kept for the keys of all shards of a worker.
    type State: 'static;
    /// What travels beside a record that is emitted.
    type Stamp: Stamp;
    /// What is emitted.
    type Out: 'static;

    /// Whether what is emitted of a key takes the place of what was emitted of it before.
    const IS_TABLE: bool = false;
    /// Whether those behind forget what was emitted, and are told it again when a job goes on.
    const REPEATS: bool = false;

    /// The hash of the record's key.
    fn hash(record: &Self::Record) -> u64;

    /// No state.
    fn empty(&self) -> Self::State;

    /// Takes in records, one after another.
    fn fold_all(
        &mut self,
        state: &mut Self::State,
        records: impl Iterator<Item = Self::Record>,
        emit: &mut Emit<Self>,
    );

    /// The watermark from which on a call of [`advance`](Logic::advance) can do anything.
    fn due(&self) -> EventTime {
        EventTime::MAX
    }

    /// Notes the watermark that all shards are about to be advanced to, or were restored at.
    fn begin_advance(&mut self, _watermark: EventTime) {}

    /// Emits what is complete at the watermark, or as much as is [`FULL`]; tells whether there is
    /// more.
    fn advance(&mut self, _state: &mut Self::State, _emit: &mut Emit<Self>) -> bool {
        false
    }

    /// Emits what a table has withheld, or as much as is [`FULL`]; tells whether there is more.
    fn close(&mut self, _state: &mut Self::State, _emit: &mut Emit<Self>) -> bool {
        false
    }

    /// Emits all that there is, or as much as is [`FULL`]; tells whether there is more.
    fn emit_all(&mut self, _state: &mut Self::State, _emit: &mut Emit<Self>) -> bool {
        false
    }

    /// Emits again what was emitted of a state that was restored, or as much as is [`FULL`]; tells whether there
    /// is more.
    fn repeat(&mut self, _state: &mut Self::State, _emit: &mut Emit<Self>) -> bool {
        false
    }
}

/// How the state of a logic is saved, and read again.
pub(crate) trait Saves: Logic {
    /// Begins to save the state as it is now: all, or at least the shards that were changed since the
    /// last save began. Tells whether it is all.
    fn begin_save(&mut self, _state: &mut Self::State, _everything: bool) -> bool {
        true
    }

    /// Writes more of the state as it was when the save began: each shard that holds anything, one after
    /// another. Tells whether there is more. A logic that is not told what is about to be changed
    /// writes all at once.
    fn save(&mut self, state: &mut Self::State, write: WriteShard<'_>) -> Result<bool, Problem>;

    /// Is told what is about to be folded while a save is under way. Tells how many rows it has written.
    fn save_before_change(
        &mut self,
        _state: &mut Self::State,
        _records: &[Self::Record],
    ) -> Result<usize, Problem> {
        Ok(0)
    }

    /// Reads a shard.
    fn load(&mut self, state: &mut Self::State, bytes: &[u8]) -> Result<(), Problem>;
}

/// A logic whose whole state is rows by key.
pub(crate) trait KeepsRows: Logic<State = Rows<Self::Key, Self::Row>> {
    type Key: Key;
    type Row: Record;

    /// The key whose row a record changes, or may add; of all others it changes none.
    fn changes(record: &Self::Record) -> Option<&Self::Key>;
}

impl<L: KeepsRows> Saves for L {
    fn begin_save(&mut self, rows: &mut Self::State, everything: bool) -> bool {
        rows.begin_save(everything);
        everything
    }

    fn save(&mut self, rows: &mut Self::State, write: WriteShard<'_>) -> Result<bool, Problem> {
        rows.save(SAVED_ROWS, write)
    }

    fn save_before_change(
        &mut self,
        rows: &mut Self::State,
        records: &[Self::Record],
    ) -> Result<usize, Problem> {
        rows.save_before_change(records.iter().filter_map(Self::changes))
    }

    fn load(&mut self, rows: &mut Self::State, bytes: &[u8]) -> Result<(), Problem> {
        rows.load(bytes)
    }
}

/// What an operator has to say.
pub(crate) struct Emit<L: Logic + ?Sized> {
    pub(crate) records: Vec<(L::Stamp, L::Out)>,
    /// Records whose window had been emitted before they came; kept only if they are read.
    pub(crate) overtaken: Vec<((), L::Record)>,
    pub(crate) wants_overtaken: bool,
}

impl<L: Logic + ?Sized> Emit<L> {
    /// Nothing yet.
    pub(crate) fn new(wants_overtaken: bool) -> Self {
        Emit {
            records: Vec::new(),
            overtaken: Vec::new(),
            wants_overtaken,
        }
    }
}

/// Renders an operator behind `flow`. Output 0 is what it emits, output 1 what was overtaken.
pub(crate) fn render<'s, S: Stamp, T: 'static, L: Saves>(
    context: &mut Context<'s>,
    node: usize,
    flow: Flow<'s>,
    to_record: impl Fn(S, T) -> L::Record + 'static,
    emission: Emission,
    logic: L,
) {
    let wants_overtaken = context.is_read(node, 1);
    let to_record = Rc::new(to_record);
    let folding = Typed::new(logic, to_record.clone(), wants_overtaken);
    let keyed = KeyedOperator {
        node,
        emission,
        folding: Box::new(folding),
        wants_overtaken,
    };
    match context.local.peers {
        1 => keyed.render_alone(context, flow),
        _ => keyed.render_shuffled(context, flow, pack::<S, T, L>(to_record)),
    }
}

/// An operator that is still to be rendered.
struct KeyedOperator {
    node: usize,
    emission: Emission,
    folding: Box<dyn Folding>,
    wants_overtaken: bool,
}

impl KeyedOperator {
    /// On a job's only worker: nothing is shuffled, so the chain in front runs in here.
    fn render_alone<'s>(self, context: &mut Context<'s>, flow: Flow<'s>) {
        let (mut builder, guard) = context.operator(self.node);
        let mut input = context.input(&mut builder, flow);
        let (mut ports, mut operator) = self.open(context, &mut builder);
        let mut told = LaneMap::default();
        builder.build_reschedule(move |capabilities| {
            operator.repeat_with(capabilities);
            move |frontiers| {
                let _entered = guard.enter();
                let mut out = ports.activate();
                let frontier = frontiers.iter().map(least).min();
                operator.advance(frontier.unwrap_or(FOREVER), &mut out);
                input.for_each(|capability, segment| {
                    let (lane, progress) = (segment.lane, segment.progress);
                    if told.insert(lane.name, progress) != Some(progress) {
                        operator.hear(capability, [(lane, progress)], &mut out);
                    }
                    if segment.count() > 0 {
                        operator.take(capability, Input::Segment(segment), &mut out);
                    }
                });
                operator.is_saving()
            }
        });
    }

    /// Behind a shuffle.
    fn render_shuffled<'s>(self, context: &mut Context<'s>, flow: Flow<'s>, pack: Box<Pack>) {
        let (records, promises) = shuffle(context, self.node, flow, pack);
        let (mut builder, guard) = context.operator(self.node);
        let mut records = builder.new_input(records, Route::pact());
        let by_target = Exchange::new(|promise: &Promise| promise.0);
        let mut promises = builder.new_input(promises, by_target);
        let (mut ports, mut operator) = self.open(context, &mut builder);
        builder.build_reschedule(move |capabilities| {
            operator.repeat_with(capabilities);
            move |frontiers| {
                let _entered = guard.enter();
                let mut out = ports.activate();
                promises.for_each(|capability, promises| {
                    let heard = promises.drain(..);
                    let heard = heard.map(|(_, lane, progress)| (lane, progress));
                    operator.hear(&capability, heard, &mut out);
                });
                operator.advance(least(&frontiers[0]).min(least(&frontiers[1])), &mut out);
                records.for_each(|capability, parcel| {
                    operator.take(&capability, Input::Parcel(parcel), &mut out);
                });
                operator.is_saving()
            }
        });
    }

    /// Adds the outputs, and makes the operator.
    fn open<'s>(
        self,
        context: &mut Context<'s>,
        builder: &mut OperatorBuilder<'s, u64>,
    ) -> (Ports, Operator) {
        let (emitted, edge) = context.output(builder, self.node, 0);
        context.put(self.node, 0, Flow::Edge(edge));
        let overtaken = self.wants_overtaken.then(|| {
            let (overtaken, edge) = context.output(builder, self.node, 1);
            context.put(self.node, 1, Flow::Edge(edge));
            overtaken
        });
        let activator = context.scope.activator_for(builder.operator_info().address);
        let operator = Operator::new(context, self, activator);
        (Ports { emitted, overtaken }, operator)
    }
}

/// The outputs of an operator.
struct Ports {
    emitted: SegmentOutput,
    overtaken: Option<SegmentOutput>,
}

impl Ports {
    fn activate(&mut self) -> Outputs<'_> {
        Outputs {
            emitted: self.emitted.activate(),
            overtaken: self.overtaken.as_mut().map(SegmentOutput::activate),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::graph::Graph;
    use crate::run::{BatchCut, StateStore};
    use crate::{Job, Mode, io};

    /// Checkpoints are made all the time, and in tests a save takes many pieces, between which batches are
    /// folded in small parts.
    #[test]
    fn records_keep_their_order_though_they_are_folded_in_parts_during_a_save() {
        const KEYS: u64 = 2_000;
        const RECORDS: u64 = 40_000;
        let cut = BatchCut {
            records: Some(3_000),
            ..BatchCut::default()
        };
        for mode in [Mode::PerRecord, Mode::MicroBatch(cut), Mode::Batch] {
            for workers in [1, 2] {
                let (sink, rows) = io::collect::<(u64, bool)>();
                let job = Job::new("order", |graph: &Graph| {
                    let numbers = graph.input::<u64>("in").key_by(|number| number % KEYS);
                    let in_order = numbers.scan(
                        || None,
                        |last: &mut Option<u64>, number| {
                            let before = last.replace(number);
                            (number, before == number.checked_sub(KEYS))
                        },
                    );
                    graph.output("out", in_order.map(|(_, row)| row));
                });
                job.source("in", io::vec((0..RECORDS).collect::<Vec<u64>>()))
                    .sink("out", sink)
                    .workers(workers)
                    .state(StateStore::memory())
                    .checkpoint_interval(Duration::from_millis(1))
                    .run(mode)
                    .unwrap();
                let mut rows = rows.take();
                rows.sort_unstable();
                assert!(rows.iter().all(|(_, is_next)| *is_next), "{mode}");
                assert!(rows.into_iter().map(|(number, _)| number).eq(0..RECORDS));
            }
        }
    }
}
