//! The one core of all operators that keep state by key.
//!
//! ```text
//!            ┌─────────┐ records, by the owner of their key's shard ┌──────────┐
//!  lanes ──► │ shuffle │ ══════════════════════════════════════════►│ operator │ ──► segments
//!            │         │ progress of each lane, to every worker     │          │ ──► overtaken
//!            └─────────┘ ──────────────────────────────────────────►└──────────┘
//! ```
//!
//! An operator is only its [`Logic`] on one shard. The core does the rest:
//!
//! 1. **Alignment.** Records of the open *run* (a batch or a checkpoint, [`Align`]) are folded as
//!    they come, at any slice. Those of a later run wait until the open one is complete.
//! 2. **Watermarks.** What a lane promises in an epoch is applied once the input frontier has
//!    passed that epoch, for then all records that stood before the promise are in. The watermark
//!    is the least promise of all lanes. Every source worker announces its lanes in the first
//!    epoch, so none is applied before all are known.
//! 3. **Emission.** What a table withholds leaves when its run closes, or when every lane has
//!    ended. A capability that is held for it follows the frontier, and so pins no old slice.
//! 4. **Lanes.** The operator is a lane of its own for those behind it. It announces it in the
//!    first epoch, as a source does, so that no watermark there leaves without it.
//! 5. **Snapshots.** When the frontier reaches a boundary, each shard is written.
//!
//! An empty frontier alone fires nothing: only the lanes' ends do, for a frontier is empty after
//! an abort too.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::rc::Rc;

use serde::{Deserialize, Serialize};
use timely::container::{CapacityContainerBuilder, NoopBuilder};
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::{Capability, CapabilityTrait, InputCapability};

use crate::engine::Emission;
use crate::engine::abort::Abort;
use crate::engine::batch::{Boxed, Parcel, Route, Segment};
use crate::engine::flow::least;
use crate::engine::flow::{Flow, SegmentOutput, SegmentSession, epoch_of};
use crate::engine::lane::{Lane, Lanes, Progress};
use crate::engine::record::{Record, Stamp};
use crate::error::{Error, Problem};
use crate::graph::context::Context;
use crate::state::snapshot::{Part, Snapshots};
use crate::state::{SHARDS, codec, hash, owner};
use crate::time::EventTime;
use crate::time::epoch::{Align, FOREVER};

/// How many records an operator gathers before it sends them.
pub(crate) const FULL: usize = 4_096;

/// What an operator does with the records of one shard.
pub(crate) trait Logic: 'static {
    /// What is sent to the worker that owns the key.
    type Record: Record;
    /// What is kept for the keys of all shards of a worker.
    type State: 'static;
    /// What travels beside a record that is emitted.
    type Stamp: Stamp;
    /// What is emitted.
    type Out: 'static;

    /// The hash of the record's key.
    fn hash(record: &Self::Record) -> u64;

    /// No state.
    fn empty(&self) -> Self::State;

    /// Takes in one record.
    fn fold(
        &mut self,
        state: &mut Self::State,
        hash: u64,
        record: Self::Record,
        emit: &mut Emit<Self>,
    );

    /// Takes in records, one after another.
    #[inline]
    fn fold_all(
        &mut self,
        state: &mut Self::State,
        records: impl Iterator<Item = Self::Record>,
        emit: &mut Emit<Self>,
    ) {
        for record in records {
            let hash = Self::hash(&record);
            self.fold(state, hash, record, emit);
        }
    }

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

    /// Writes each shard that holds anything.
    fn save(&self, state: &Self::State) -> Result<Vec<(usize, Vec<u8>)>, Problem>;

    /// Reads a shard.
    fn load(&mut self, state: &mut Self::State, bytes: &[u8]) -> Result<(), Problem>;
}

/// What an operator has to say.
pub(crate) struct Emit<L: Logic + ?Sized> {
    pub(crate) records: Vec<(L::Stamp, L::Out)>,
    /// Records whose window had been emitted before they came; kept only if they are read.
    pub(crate) overtaken: Vec<((), L::Record)>,
    pub(crate) wants_overtaken: bool,
}

/// Records on their way in.
enum Input<'a> {
    /// From the shuffle.
    Parcel(&'a mut Parcel),
    /// From the chain in front, on a job's only worker.
    Segment(&'a mut Segment),
}

/// An operator with the types of its records erased: the loops over records, the state, and what
/// is to be sent.
trait Folding {
    /// Takes records in.
    fn fold(&mut self, input: Input<'_>);
    /// Takes records away, to be folded later.
    fn keep(&mut self, input: Input<'_>) -> Parcel;
    fn due(&self) -> EventTime;
    fn begin_advance(&mut self, watermark: EventTime);
    fn advance(&mut self) -> bool;
    /// Emits what is withheld, or as much as is [`FULL`]; tells whether there is more.
    fn close(&mut self) -> bool;
    /// Emits all that there is, or as much as is [`FULL`]; tells whether there is more.
    fn emit_all(&mut self) -> bool;
    fn save(&self) -> Result<Vec<(usize, Vec<u8>)>, Problem>;
    fn load(&mut self, bytes: &[u8]) -> Result<(), Problem>;
    /// How many records wait to be sent, emitted and overtaken.
    fn pending(&self) -> [usize; 2];
    /// Takes those.
    fn take_emitted(&mut self) -> (Option<Boxed>, usize);
    fn take_overtaken(&mut self) -> (Option<Boxed>, usize);
}

/// A logic with its state, and how a record of the chain in front becomes one of its own.
struct Typed<S, T, L: Logic, R> {
    logic: L,
    state: L::State,
    emit: Emit<L>,
    to_record: Rc<R>,
    records: PhantomData<fn(S, T)>,
}

impl<S: Stamp, T: 'static, L: Logic, R: Fn(S, T) -> L::Record> Typed<S, T, L, R> {
    /// The loop over records; the logic becomes a part of it.
    #[inline(never)]
    fn fold_parcel(&mut self, records: Vec<L::Record>) {
        let records = records.into_iter();
        self.logic
            .fold_all(&mut self.state, records, &mut self.emit);
    }

    /// The same with what the chain in front makes.
    #[inline(never)]
    fn fold_segment(&mut self, records: &mut Vec<(S, T)>) {
        let to_record = &*self.to_record;
        let records = records
            .drain(..)
            .map(|(stamp, record)| to_record(stamp, record));
        self.logic
            .fold_all(&mut self.state, records, &mut self.emit);
    }
}

impl<S, T, L, R> Folding for Typed<S, T, L, R>
where
    S: Stamp,
    T: 'static,
    L: Logic,
    R: Fn(S, T) -> L::Record,
{
    fn fold(&mut self, input: Input<'_>) {
        match input {
            Input::Parcel(parcel) => self.fold_parcel(std::mem::take(parcel).open()),
            Input::Segment(segment) => self.fold_segment(segment.records()),
        }
    }

    fn keep(&mut self, input: Input<'_>) -> Parcel {
        match input {
            Input::Parcel(parcel) => std::mem::take(parcel),
            Input::Segment(segment) => {
                let records = segment.records::<(S, T)>().drain(..);
                let of = |(stamp, record)| (self.to_record)(stamp, record);
                Parcel::new::<L::Record>(0, records.map(of).collect())
            }
        }
    }

    fn due(&self) -> EventTime {
        self.logic.due()
    }

    fn begin_advance(&mut self, watermark: EventTime) {
        self.logic.begin_advance(watermark);
    }

    fn advance(&mut self) -> bool {
        self.logic.advance(&mut self.state, &mut self.emit)
    }

    fn close(&mut self) -> bool {
        self.logic.close(&mut self.state, &mut self.emit)
    }

    fn emit_all(&mut self) -> bool {
        self.logic.emit_all(&mut self.state, &mut self.emit)
    }

    fn save(&self) -> Result<Vec<(usize, Vec<u8>)>, Problem> {
        self.logic.save(&self.state)
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        self.logic.load(&mut self.state, bytes)
    }

    fn pending(&self) -> [usize; 2] {
        [self.emit.records.len(), self.emit.overtaken.len()]
    }

    fn take_emitted(&mut self) -> (Option<Boxed>, usize) {
        boxed(&mut self.emit.records)
    }

    fn take_overtaken(&mut self) -> (Option<Boxed>, usize) {
        boxed(&mut self.emit.overtaken)
    }
}

fn boxed<T: 'static>(records: &mut Vec<T>) -> (Option<Boxed>, usize) {
    let count = records.len();
    match count {
        0 => (None, 0),
        _ => (Some(Box::new(std::mem::take(records))), count),
    }
}

/// Puts the records of a segment into parcels, one for each worker that owns any of them.
type Pack = dyn Fn(&mut Segment, usize, &mut dyn FnMut(Parcel));

/// Renders an operator behind `flow`. Output 0 is what it emits, output 1 what was overtaken.
pub(crate) fn render<'s, S: Stamp, T: 'static, L: Logic>(
    context: &mut Context<'s>,
    node: usize,
    flow: Flow<'s>,
    to_record: impl Fn(S, T) -> L::Record + 'static,
    emission: Emission,
    logic: L,
) {
    let to_record = Rc::new(to_record);
    let folding = Typed {
        state: logic.empty(),
        logic,
        emit: Emit {
            records: Vec::new(),
            overtaken: Vec::new(),
            wants_overtaken: context.is_read(node, 1),
        },
        to_record: to_record.clone(),
        records: PhantomData,
    };
    if context.local.peers == 1 {
        return render_alone(context, node, flow, emission, Box::new(folding));
    }
    let pack = move |segment: &mut Segment, workers: usize, send: &mut dyn FnMut(Parcel)| {
        let records = segment.records::<(S, T)>();
        let share = records.len() / workers + records.len() / 8 + 1;
        let mut parts: Vec<Vec<L::Record>> = (0..workers).map(|_| Vec::new()).collect();
        for (stamp, record) in records.drain(..) {
            let record = to_record(stamp, record);
            let part = &mut parts[owner(hash::shard_of(L::hash(&record), SHARDS), workers)];
            if part.capacity() == 0 {
                part.reserve(share);
            }
            part.push(record);
        }
        for (worker, part) in parts.into_iter().enumerate() {
            if !part.is_empty() {
                send(Parcel::new(worker, part));
            }
        }
    };
    render_shuffled(
        context,
        node,
        flow,
        Box::new(pack),
        emission,
        Box::new(folding),
    );
}

/// Renders an operator on a job's only worker: nothing is shuffled, so the chain in front runs in
/// here.
fn render_alone<'s>(
    context: &mut Context<'s>,
    node: usize,
    flow: Flow<'s>,
    emission: Emission,
    folding: Box<dyn Folding>,
) {
    let (mut builder, guard) = context.operator(node);
    let mut pull = flow.open(&mut builder);
    let (mut emitted, emitted_edge) = context.output(&mut builder, node, 0);
    let wants_overtaken = context.is_read(node, 1);
    let mut overtaken = wants_overtaken.then(|| {
        let (overtaken, edge) = context.output(&mut builder, node, 1);
        context.put(node, 1, Flow::Edge(edge));
        overtaken
    });
    let mut operator = Operator::new(context, node, emission, folding, wants_overtaken);
    let mut told = BTreeMap::new();
    builder.build(move |_| {
        move |frontiers| {
            let _entered = guard.enter();
            let mut out = Outputs {
                emitted: emitted.activate(),
                overtaken: overtaken.as_mut().map(SegmentOutput::activate),
            };
            let frontier = frontiers.iter().map(least).min();
            operator.advance(frontier.unwrap_or(FOREVER), &mut out);
            pull.pull(&mut |capability, segment| {
                let (lane, progress) = (segment.lane, segment.progress);
                if told.insert(lane, progress) != Some(progress) {
                    operator.hear(capability, [(lane, progress)], &mut out);
                }
                if segment.count() > 0 {
                    operator.take(capability, Input::Segment(segment), &mut out);
                }
            });
        }
    });
    context.put(node, 0, Flow::Edge(emitted_edge));
}

/// Renders an operator behind a shuffle.
fn render_shuffled<'s>(
    context: &mut Context<'s>,
    node: usize,
    flow: Flow<'s>,
    pack: Box<Pack>,
    emission: Emission,
    folding: Box<dyn Folding>,
) {
    let (records, promises) = shuffle(context, node, flow, pack);
    let by_target = Exchange::new(|promise: &Promise| promise.0);

    let (mut builder, guard) = context.operator(node);
    let mut records = builder.new_input(records, Route::pact());
    let mut promises = builder.new_input(promises, by_target);
    let (mut emitted, emitted_edge) = context.output(&mut builder, node, 0);
    let wants_overtaken = context.is_read(node, 1);
    let mut overtaken = wants_overtaken.then(|| {
        let (overtaken, edge) = context.output(&mut builder, node, 1);
        context.put(node, 1, Flow::Edge(edge));
        overtaken
    });
    let mut operator = Operator::new(context, node, emission, folding, wants_overtaken);
    builder.build(move |_| {
        move |frontiers| {
            let _entered = guard.enter();
            let mut out = Outputs {
                emitted: emitted.activate(),
                overtaken: overtaken.as_mut().map(SegmentOutput::activate),
            };
            promises.for_each(|capability, promises| {
                let heard = promises.drain(..);
                let heard = heard.map(|(_, lane, progress)| (lane, progress));
                operator.hear(&capability, heard, &mut out);
            });
            operator.advance(least(&frontiers[0]).min(least(&frontiers[1])), &mut out);
            records.for_each(|capability, parcel| {
                operator.take(&capability, Input::Parcel(parcel), &mut out);
            });
        }
    });
    context.put(node, 0, Flow::Edge(emitted_edge));
}

/// What a lane promises, for one worker.
type Promise = (u64, Lane, Progress);

type Parcels<'s> = timely::dataflow::Stream<'s, u64, Parcel>;
type Promises<'s> = timely::dataflow::StreamVec<'s, u64, Promise>;

/// Ends the stateless chain: records on one edge, what the lanes promise on another.
fn shuffle<'s>(
    context: &Context<'s>,
    node: usize,
    flow: Flow<'s>,
    pack: Box<Pack>,
) -> (Parcels<'s>, Promises<'s>) {
    let (mut builder, guard) = context.operator(node);
    let mut pull = flow.open(&mut builder);
    let (records, records_edge) = builder.new_output();
    let (promises, promises_edge) = builder.new_output();
    let mut records = OutputBuilder::<_, NoopBuilder<Parcel>>::from(records);
    let mut promises = OutputBuilder::<_, CapacityContainerBuilder<_>>::from(promises);
    let workers = context.local.peers;
    let mut told = BTreeMap::new();
    builder.build(move |_| {
        move |_| {
            let _entered = guard.enter();
            let (mut records, mut promises) = (records.activate(), promises.activate());
            pull.pull(&mut |capability, segment| {
                if segment.count() > 0 {
                    pack(segment, workers, &mut |mut parcel| {
                        records
                            .session_with_builder(capability)
                            .give_container(&mut parcel);
                    });
                }
                let (lane, progress) = (segment.lane, segment.progress);
                if told.insert(lane, progress) != Some(progress) {
                    let all = (0..workers as u64).map(|worker| (worker, lane, progress));
                    promises.session(capability).give_iterator(all);
                }
            });
        }
    });
    (records_edge, promises_edge)
}

struct Outputs<'a> {
    emitted: SegmentSession<'a>,
    overtaken: Option<SegmentSession<'a>>,
}

/// The right to emit in one epoch, kept for later.
struct Kept {
    emitted: Capability<u64>,
    overtaken: Option<Capability<u64>>,
}

impl Kept {
    fn new(capability: &InputCapability<u64>, reads_overtaken: bool) -> Self {
        let epoch = epoch_of(capability);
        Kept {
            emitted: capability.delayed(&epoch, 0),
            overtaken: reads_overtaken.then(|| capability.delayed(&epoch, 1)),
        }
    }
}

/// Records that came before their run was open, and the right to emit for them.
type Waiting = (Kept, Parcel);

struct Operator {
    folding: Box<dyn Folding>,
    wants_overtaken: bool,
    emission: Emission,
    align: Align,
    /// The run whose records are folded as they come.
    run: u64,
    /// Records of later runs.
    waiting: BTreeMap<u64, Vec<Waiting>>,
    /// By epoch: what lanes promise, until the frontier has passed.
    promised: BTreeMap<u64, (Kept, Vec<(Lane, Progress)>)>,
    lanes: Lanes,
    /// What has been applied of the least promise.
    applied: Progress,
    /// The right to emit what the open run withholds.
    held: Option<Capability<u64>>,
    lane: Lane,
    is_announced: bool,
    /// Whether the state was restored from a mode that had not emitted it, as this one would have.
    owes: bool,
    id: String,
    snapshots: Snapshots,
    abort: Abort,
    saved: bool,
}

/// What every worker knows alike, as it stands in a snapshot.
#[derive(Serialize, Deserialize)]
struct Common {
    applied: Progress,
    /// Whether what the shards hold waits for the end of input to be emitted.
    is_withheld: bool,
}

impl Operator {
    fn new(
        context: &Context<'_>,
        node: usize,
        emission: Emission,
        folding: Box<dyn Folding>,
        wants_overtaken: bool,
    ) -> Self {
        let local = &context.local;
        let align = match emission {
            Emission::BatchClose => Align::Batch,
            Emission::AtOnce | Emission::End => Align::Checkpoint,
        };
        let mut operator = Operator {
            folding,
            wants_overtaken,
            emission,
            align,
            run: align.run(local.epochs.first()),
            waiting: BTreeMap::new(),
            promised: BTreeMap::new(),
            lanes: Lanes::default(),
            applied: Progress::Open,
            held: None,
            lane: Lane::new(
                node,
                context.id(node),
                local.index,
                &local.index.to_string(),
            ),
            is_announced: false,
            owes: false,
            id: context.id(node).to_owned(),
            snapshots: local.snapshots.clone(),
            abort: local.abort.clone(),
            saved: false,
        };
        if let Err(problem) = operator.restore(local.index, local.peers) {
            operator.fail(problem);
        }
        operator
    }

    /// Notes what lanes promise.
    fn hear(
        &mut self,
        capability: &InputCapability<u64>,
        promises: impl IntoIterator<Item = (Lane, Progress)>,
        out: &mut Outputs<'_>,
    ) {
        let epoch = epoch_of(capability);
        if !std::mem::replace(&mut self.is_announced, true) {
            self.announce(capability, out);
        }
        let reads_overtaken = self.wants_overtaken;
        let kept = || Kept::new(capability, reads_overtaken);
        let (_, heard) = self
            .promised
            .entry(epoch)
            .or_insert_with(|| (kept(), Vec::new()));
        heard.extend(promises);
    }

    /// Tells those behind of this operator's lane. The first promise that is heard is a source's
    /// announcement in the first epoch, which cannot be passed before every worker has heard it.
    fn announce(&mut self, capability: &InputCapability<u64>, out: &mut Outputs<'_>) {
        if std::mem::take(&mut self.owes) {
            while self.folding.emit_all() {
                self.send_before(out, capability);
            }
        }
        self.send_segment(out, capability);
        self.send_overtaken(out, capability);
    }

    /// Takes in records: now, if their run is open, or else later.
    fn take(&mut self, capability: &InputCapability<u64>, input: Input<'_>, out: &mut Outputs<'_>) {
        let epoch = epoch_of(capability);
        let run = self.align.run(epoch);
        if run == self.run {
            self.folding.fold(input);
            if self.emission == Emission::BatchClose && self.held.is_none() {
                self.held = Some(capability.delayed(&epoch, 0));
            }
            self.send(out, capability, capability);
        } else {
            let kept = Kept::new(capability, self.wants_overtaken);
            let parcel = self.folding.keep(input);
            self.waiting.entry(run).or_default().push((kept, parcel));
        }
    }

    /// Does what can be done now that every record before the frontier has come.
    fn advance(&mut self, frontier: u64, out: &mut Outputs<'_>) {
        let reached = self.align.run(frontier);
        while self.run < reached {
            self.close_run(out);
            self.apply(frontier.min(self.align.end(self.run)), out);
            let next = self
                .waiting
                .keys()
                .next()
                .copied()
                .unwrap_or(reached)
                .min(reached);
            self.save_if_between(self.run, next);
            self.run = next;
            for (kept, mut parcel) in self.waiting.remove(&next).unwrap_or_default() {
                self.folding.fold(Input::Parcel(&mut parcel));
                self.send(
                    out,
                    &kept.emitted,
                    kept.overtaken.as_ref().unwrap_or(&kept.emitted),
                );
                if self.emission == Emission::BatchClose && self.held.is_none() {
                    self.held = Some(kept.emitted);
                }
            }
        }
        self.apply(frontier, out);
        if let Some(held) = self.held.as_mut().filter(|held| *held.time() < frontier) {
            held.downgrade(&frontier);
        }
    }

    /// Emits what the open run has withheld.
    fn close_run(&mut self, out: &mut Outputs<'_>) {
        let Some(held) = self.held.take() else { return };
        while self.folding.close() {
            self.send(out, &held, &held);
        }
        self.send(out, &held, &held);
    }

    /// Applies what was promised in epochs before `until`.
    fn apply(&mut self, until: u64, out: &mut Outputs<'_>) {
        while let Some(first) = self
            .promised
            .first_entry()
            .filter(|first| *first.key() < until)
        {
            let (kept, promises) = first.remove();
            promises
                .into_iter()
                .for_each(|(lane, progress)| self.lanes.note(lane, progress));
            let progress = self.lanes.least();
            if progress > self.applied {
                self.applied = progress;
                self.advance_shards(progress, &kept.emitted, out);
                self.send_segment(out, &kept.emitted);
                if let (Progress::End, Some(capability)) = (progress, &kept.overtaken) {
                    self.send_overtaken(out, capability);
                }
            }
        }
    }

    fn advance_shards(
        &mut self,
        progress: Progress,
        capability: &Capability<u64>,
        out: &mut Outputs<'_>,
    ) {
        let watermark = match progress {
            Progress::Open => return,
            Progress::At(watermark) => watermark,
            Progress::End => EventTime::MAX,
        };
        let ended = progress == Progress::End;
        let fires = ended || watermark >= self.folding.due();
        self.folding.begin_advance(watermark);
        while fires && self.folding.advance() {
            self.send_before(out, capability);
        }
        let closes = ended && self.emission == Emission::End;
        while closes && self.folding.emit_all() {
            self.send_before(out, capability);
        }
    }

    /// Sends what there is, if there is anything.
    fn send<C: CapabilityTrait<u64>, D: CapabilityTrait<u64>>(
        &mut self,
        out: &mut Outputs<'_>,
        emitted: &C,
        overtaken: &D,
    ) {
        let [records, overtaken_records] = self.folding.pending();
        if records > 0 {
            self.send_segment(out, emitted);
        }
        if overtaken_records > 0 {
            self.send_overtaken(out, overtaken);
        }
    }

    /// Sends what was overtaken, where it is read, with what is now promised behind it.
    fn send_overtaken<C: CapabilityTrait<u64>>(&mut self, out: &mut Outputs<'_>, capability: &C) {
        if let Some(output) = &mut out.overtaken {
            let (records, count) = self.folding.take_overtaken();
            let mut segment = Segment::with(self.lane, self.applied, records, count);
            output.send(capability, &mut segment);
        }
    }

    /// Sends what there is with what is now promised behind it.
    fn send_segment<C: CapabilityTrait<u64>>(&mut self, out: &mut Outputs<'_>, capability: &C) {
        let (records, count) = self.folding.take_emitted();
        let mut segment = Segment::with(self.lane, self.applied, records, count);
        out.emitted.send(capability, &mut segment);
    }

    /// Sends a part of what the watermark has completed: nothing is promised behind it yet.
    fn send_before<C: CapabilityTrait<u64>>(&mut self, out: &mut Outputs<'_>, capability: &C) {
        let (records, count) = self.folding.take_emitted();
        let mut segment = Segment::with(self.lane, Progress::Open, records, count);
        out.emitted.send(capability, &mut segment);
    }

    /// Writes the state if the boundary lies where one run ends and another begins.
    fn save_if_between(&mut self, run: u64, next: u64) {
        let Some(boundary) = self.snapshots.boundary() else {
            return;
        };
        let boundary = self.align.run(boundary);
        if self.saved || !(run < boundary && boundary <= next) {
            return;
        }
        self.saved = true;
        if let Err(problem) = self.save() {
            self.fail(problem);
        }
    }

    fn save(&self) -> Result<(), Problem> {
        for (index, bytes) in self.folding.save()? {
            self.snapshots.write(&self.id, Part::Shard(index), bytes);
        }
        let common = codec::encode(&Common {
            applied: self.applied,
            is_withheld: self.emission == Emission::End && self.applied != Progress::End,
        })?;
        self.snapshots.write(&self.id, Part::Common, common);
        Ok(())
    }

    fn restore(&mut self, worker: usize, workers: usize) -> Result<(), Problem> {
        if let Some(bytes) = self.snapshots.read(&self.id, Part::Common) {
            let common: Common = codec::decode(bytes)?;
            self.applied = common.applied;
            self.owes = common.is_withheld && self.emission != Emission::End;
            if let Progress::At(watermark) = self.applied {
                self.folding.begin_advance(watermark);
            }
        }
        for index in (0..SHARDS).filter(|shard| owner(*shard, workers) == worker) {
            if let Some(bytes) = self.snapshots.read(&self.id, Part::Shard(index)) {
                self.folding.load(bytes)?;
            }
        }
        Ok(())
    }

    fn fail(&self, problem: Problem) {
        self.abort.fail(Error::Engine(
            problem.hint(format!("the operator is `{}`", self.id)),
        ));
    }
}
