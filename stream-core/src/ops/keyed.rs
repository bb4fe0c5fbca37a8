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

use serde::{Deserialize, Serialize};
use timely::container::{CapacityContainerBuilder, NoopBuilder};
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::OutputBuilderSession;
use timely::dataflow::operators::{Capability, CapabilityTrait, InputCapability};

use crate::error::{Error, Problem};
use crate::graph::render::{Context, Flow, Segment, SegmentOutput, epoch_of};
use crate::graph::{Record, Stamp};
use crate::run::abort::Abort;
use crate::run::worker::least;
use crate::state::snapshot::{Part, Snapshots};
use crate::state::{SHARDS, codec, hash, owner};
use crate::time::EventTime;
use crate::time::epoch::Align;
use crate::time::lane::{Lane, Lanes, Progress};

/// How many records an operator gathers before it sends them.
pub(crate) const FULL: usize = 4_096;

/// What an operator does with the records of one shard.
pub(crate) trait Logic: 'static {
    /// What is sent to the worker that owns the key.
    type Record: Record;
    /// What is kept for the keys of a shard.
    type Shard: 'static;
    /// What travels beside a record that is emitted.
    type Stamp: Stamp;
    /// What is emitted.
    type Out: 'static;

    /// The hash of the record's key.
    fn hash(record: &Self::Record) -> u64;

    /// A shard without state.
    fn empty(&self) -> Self::Shard;

    /// Takes in one record.
    fn fold(
        &mut self,
        shard: &mut Self::Shard,
        hash: u64,
        record: Self::Record,
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
    fn advance(&mut self, _shards: &mut [Option<Self::Shard>], _emit: &mut Emit<Self>) -> bool {
        false
    }

    /// Emits what a table has withheld.
    fn close(&mut self, _shard: &mut Self::Shard, _emit: &mut Emit<Self>) {}

    /// Marks all that a shard holds as withheld, so that [`close`](Logic::close) emits it.
    fn withhold(&mut self, _shard: &mut Self::Shard) {}

    /// Writes a shard.
    fn save(&self, shard: &Self::Shard) -> Result<Vec<u8>, Problem>;

    /// Reads a shard.
    fn load(&mut self, bytes: &[u8]) -> Result<Self::Shard, Problem>;
}

/// What an operator has to say.
pub(crate) struct Emit<L: Logic + ?Sized> {
    pub(crate) records: Vec<(L::Stamp, L::Out)>,
    /// Records whose window had been emitted before they came; kept only if they are read.
    pub(crate) overtaken: Vec<((), L::Record)>,
    pub(crate) wants_overtaken: bool,
}

/// When an operator emits, which is half of what a mode is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Emission {
    /// As soon as the logic says so.
    AtOnce,
    /// At the close of each batch.
    BatchClose,
    /// When every lane has ended.
    End,
}

/// Renders an operator behind `flow`. Output 0 is what it emits, output 1 what was overtaken.
pub(crate) fn render<'s, S: Stamp, T: 'static, L: Logic>(
    context: &mut Context<'s>,
    node: usize,
    flow: Flow<'s, S, T>,
    to_record: impl Fn(S, T) -> L::Record + 'static,
    emission: Emission,
    logic: L,
) {
    let (records, promises) = shuffle::<S, T, L>(context, node, flow, to_record);
    let workers = context.local.peers;
    let shard = |record: &L::Record| hash::shard_of(L::hash(record), SHARDS);
    let by_owner = Exchange::new(move |record: &L::Record| owner(shard(record), workers) as u64);
    let by_target = Exchange::new(|promise: &Promise| promise.0);

    let (mut builder, guard) = context.operator(node);
    let mut records = builder.new_input(records, by_owner);
    let mut promises = builder.new_input(promises, by_target);
    let (emitted, emitted_edge) = builder.new_output();
    let mut emitted = SegmentOutput::from(emitted);
    let wants_overtaken = context.is_read(node, 1);
    let mut overtaken = wants_overtaken.then(|| {
        let (overtaken, edge) = builder.new_output();
        context.put(node, 1, Flow::<(), L::Record>::Edge(edge));
        SegmentOutput::from(overtaken)
    });
    let mut operator = Operator::new(context, node, emission, logic, wants_overtaken);
    builder.build(move |_| {
        move |frontiers| {
            let _entered = guard.enter();
            let mut out = Outputs {
                emitted: emitted.activate(),
                overtaken: overtaken.as_mut().map(OutputBuilder::activate),
            };
            promises
                .for_each(|capability, promises| operator.hear(&capability, promises, &mut out));
            operator.advance(least(&frontiers[0]).min(least(&frontiers[1])), &mut out);
            records.for_each(|capability, records| operator.take(&capability, records, &mut out));
        }
    });
    context.put(node, 0, Flow::<L::Stamp, L::Out>::Edge(emitted_edge));
}

/// What a lane promises, for one worker.
type Promise = (u64, Lane, Progress);

type Plain<'s, T> = timely::dataflow::StreamVec<'s, u64, T>;

/// Ends the stateless chain: records on one edge, what the lanes promise on another.
fn shuffle<'s, S: Stamp, T: 'static, L: Logic>(
    context: &Context<'s>,
    node: usize,
    flow: Flow<'s, S, T>,
    to_record: impl Fn(S, T) -> L::Record + 'static,
) -> (Plain<'s, L::Record>, Plain<'s, Promise>) {
    let (mut builder, guard) = context.operator(node);
    let mut pull = flow.open(&mut builder);
    let (records, records_edge) = builder.new_output();
    let (promises, promises_edge) = builder.new_output();
    let mut records = OutputBuilder::<_, CapacityContainerBuilder<_>>::from(records);
    let mut promises = OutputBuilder::<_, CapacityContainerBuilder<_>>::from(promises);
    let workers = context.local.peers as u64;
    let mut told = BTreeMap::new();
    builder.build(move |_| {
        move |_| {
            let _entered = guard.enter();
            let (mut records, mut promises) = (records.activate(), promises.activate());
            pull.pull(&mut |capability, segment| {
                // The length is known, so nothing is asked of a buffer record by record.
                let of = |(stamp, record)| to_record(stamp, record);
                let mut made = segment.records.drain(..).map(of).collect::<Vec<_>>();
                records.session(capability).give_container(&mut made);
                let (lane, progress) = (segment.lane, segment.progress);
                if told.insert(lane, progress) != Some(progress) {
                    let all = (0..workers).map(|worker| (worker, lane, progress));
                    promises.session(capability).give_iterator(all);
                }
            });
        }
    });
    (records_edge, promises_edge)
}

type Session<'a, S, T> = OutputBuilderSession<'a, u64, NoopBuilder<Segment<S, T>>>;

struct Outputs<'a, L: Logic> {
    emitted: Session<'a, L::Stamp, L::Out>,
    overtaken: Option<Session<'a, (), L::Record>>,
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
type Waiting<L> = (Kept, Vec<<L as Logic>::Record>);

struct Operator<L: Logic> {
    logic: L,
    emission: Emission,
    align: Align,
    /// The run whose records are folded as they come.
    run: u64,
    /// Records of later runs.
    waiting: BTreeMap<u64, Vec<Waiting<L>>>,
    /// By epoch: what lanes promise, until the frontier has passed.
    promised: BTreeMap<u64, (Kept, Vec<(Lane, Progress)>)>,
    lanes: Lanes,
    /// What has been applied of the least promise.
    applied: Progress,
    shards: Vec<Option<L::Shard>>,
    /// The shards that withhold something, with a mark a shard.
    touched: Vec<usize>,
    is_touched: Vec<bool>,
    /// The right to emit what the open run withholds.
    held: Option<Capability<u64>>,
    emit: Emit<L>,
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

impl<L: Logic> Operator<L> {
    fn new(
        context: &Context<'_>,
        node: usize,
        emission: Emission,
        logic: L,
        wants_overtaken: bool,
    ) -> Self {
        let local = &context.local;
        let align = match emission {
            Emission::BatchClose => Align::Batch,
            Emission::AtOnce | Emission::End => Align::Checkpoint,
        };
        let mut operator = Operator {
            logic,
            emission,
            align,
            run: align.run(local.epochs.first()),
            waiting: BTreeMap::new(),
            promised: BTreeMap::new(),
            lanes: Lanes::default(),
            applied: Progress::Open,
            shards: (0..SHARDS).map(|_| None).collect(),
            touched: Vec::new(),
            is_touched: vec![false; SHARDS],
            held: None,
            emit: Emit {
                records: Vec::new(),
                overtaken: Vec::new(),
                wants_overtaken,
            },
            lane: Lane::new(node, local.index),
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
        promises: &mut Vec<Promise>,
        out: &mut Outputs<'_, L>,
    ) {
        let epoch = epoch_of(capability);
        if !std::mem::replace(&mut self.is_announced, true) {
            self.announce(capability, out);
        }
        let reads_overtaken = self.emit.wants_overtaken;
        let kept = || Kept::new(capability, reads_overtaken);
        let (_, heard) = self
            .promised
            .entry(epoch)
            .or_insert_with(|| (kept(), Vec::new()));
        heard.extend(
            promises
                .drain(..)
                .map(|(_, lane, progress)| (lane, progress)),
        );
    }

    /// Tells those behind of this operator's lane. The first promise that is heard is a source's
    /// announcement in the first epoch, which cannot be passed before every worker has heard it.
    fn announce(&mut self, capability: &InputCapability<u64>, out: &mut Outputs<'_, L>) {
        if std::mem::take(&mut self.owes) {
            for shard in self.shards.iter_mut().flatten() {
                self.logic.withhold(shard);
                self.logic.close(shard, &mut self.emit);
            }
        }
        self.send_segment(out, capability);
        self.send_overtaken(out, capability);
    }

    /// Takes in records: now, if their run is open, or else later.
    fn take(
        &mut self,
        capability: &InputCapability<u64>,
        records: &mut Vec<L::Record>,
        out: &mut Outputs<'_, L>,
    ) {
        let epoch = epoch_of(capability);
        let run = self.align.run(epoch);
        if run == self.run {
            self.fold(records.drain(..));
            if self.emission == Emission::BatchClose && self.held.is_none() {
                self.held = Some(capability.delayed(&epoch, 0));
            }
            self.send(out, capability, capability);
        } else {
            let kept = Kept::new(capability, self.emit.wants_overtaken);
            self.waiting
                .entry(run)
                .or_default()
                .push((kept, std::mem::take(records)));
        }
    }

    /// Does what can be done now that every record before the frontier has come.
    fn advance(&mut self, frontier: u64, out: &mut Outputs<'_, L>) {
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
            for (kept, mut records) in self.waiting.remove(&next).unwrap_or_default() {
                self.fold(records.drain(..));
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

    /// The loop over records; the logic becomes a part of it.
    #[inline(never)]
    fn fold(&mut self, records: std::vec::Drain<'_, L::Record>) {
        let withholds = self.emission == Emission::BatchClose;
        let (logic, shards, emit) = (&mut self.logic, &mut self.shards[..], &mut self.emit);
        for record in records {
            let hash = L::hash(&record);
            let index = hash::shard_of(hash, SHARDS);
            let shard = shards[index].get_or_insert_with(|| logic.empty());
            logic.fold(shard, hash, record, emit);
            if withholds && !self.is_touched[index] {
                self.is_touched[index] = true;
                self.touched.push(index);
            }
        }
    }

    /// Emits what the open run has withheld.
    fn close_run(&mut self, out: &mut Outputs<'_, L>) {
        let Some(held) = self.held.take() else { return };
        for index in std::mem::take(&mut self.touched) {
            self.is_touched[index] = false;
            if let Some(shard) = &mut self.shards[index] {
                self.logic.close(shard, &mut self.emit);
            }
            if self.emit.records.len() >= FULL {
                self.send(out, &held, &held);
            }
        }
        self.send(out, &held, &held);
    }

    /// Applies what was promised in epochs before `until`.
    fn apply(&mut self, until: u64, out: &mut Outputs<'_, L>) {
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
        out: &mut Outputs<'_, L>,
    ) {
        let watermark = match progress {
            Progress::Open => return,
            Progress::At(watermark) => watermark,
            Progress::End => EventTime::MAX,
        };
        let ended = progress == Progress::End;
        let fires = ended || watermark >= self.logic.due();
        self.logic.begin_advance(watermark);
        while fires && self.logic.advance(&mut self.shards, &mut self.emit) {
            self.send_before(out, capability);
        }
        let closes = ended && self.emission == Emission::End;
        for index in 0..if closes { SHARDS } else { 0 } {
            if let Some(shard) = &mut self.shards[index] {
                self.logic.close(shard, &mut self.emit);
            }
            if self.emit.records.len() >= FULL {
                self.send_before(out, capability);
            }
        }
    }

    /// Sends what there is, if there is anything.
    fn send<C: CapabilityTrait<u64>, D: CapabilityTrait<u64>>(
        &mut self,
        out: &mut Outputs<'_, L>,
        emitted: &C,
        overtaken: &D,
    ) {
        if !self.emit.records.is_empty() {
            self.send_segment(out, emitted);
        }
        if !self.emit.overtaken.is_empty() {
            self.send_overtaken(out, overtaken);
        }
    }

    /// Sends what was overtaken, where it is read, with what is now promised behind it.
    fn send_overtaken<C: CapabilityTrait<u64>>(
        &mut self,
        out: &mut Outputs<'_, L>,
        capability: &C,
    ) {
        if let Some(output) = &mut out.overtaken {
            let records = std::mem::take(&mut self.emit.overtaken);
            let mut segment = Segment::new(self.lane, self.applied, records);
            output
                .session_with_builder(capability)
                .give_container(&mut segment);
        }
    }

    /// Sends what there is with what is now promised behind it.
    fn send_segment<C: CapabilityTrait<u64>>(&mut self, out: &mut Outputs<'_, L>, capability: &C) {
        let records = std::mem::take(&mut self.emit.records);
        let mut segment = Segment::new(self.lane, self.applied, records);
        out.emitted
            .session_with_builder(capability)
            .give_container(&mut segment);
    }

    /// Sends a part of what the watermark has completed: nothing is promised behind it yet.
    fn send_before(&mut self, out: &mut Outputs<'_, L>, capability: &Capability<u64>) {
        let records = std::mem::take(&mut self.emit.records);
        let mut segment = Segment::new(self.lane, Progress::Open, records);
        out.emitted
            .session_with_builder(capability)
            .give_container(&mut segment);
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
        for (index, shard) in self.shards.iter().enumerate() {
            if let Some(shard) = shard {
                self.snapshots
                    .write(&self.id, Part::Shard(index), self.logic.save(shard)?);
            }
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
                self.logic.begin_advance(watermark);
            }
        }
        for index in (0..SHARDS).filter(|shard| owner(*shard, workers) == worker) {
            if let Some(bytes) = self.snapshots.read(&self.id, Part::Shard(index)) {
                self.shards[index] = Some(self.logic.load(bytes)?);
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
