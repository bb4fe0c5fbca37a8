//! The part of a keyed operator that is compiled once: which records are folded when, what is
//! promised when, and what leaves in which piece.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use timely::dataflow::operators::{Capability, CapabilityTrait, InputCapability};
use timely::scheduling::Activator;

use super::KeyedOperator;
use super::typed::{Folding, Input};
use crate::codec;
use crate::engine::Emission;
use crate::engine::abort::Abort;
use crate::engine::batch::Segment;
use crate::engine::flow::{SegmentSession, epoch_of};
use crate::engine::lane::{Lane, Lanes, Progress};
use crate::engine::local::Saves;
use crate::engine::parcel::Parcel;
use crate::error::{Error, Problem};
use crate::graph::context::Context;
use crate::state::checkpoint::{Boundary, Checkpoints, Part, Participant};
use crate::state::{SHARDS, owner};
use crate::time::EventTime;
use crate::time::epoch::Align;

/// How many records are emitted, folded that have waited, or folded as they come, before others have their turn. In
/// tests there are few, so that many wait.
const BUDGET: usize = if cfg!(all(test, debug_assertions)) {
    16
} else {
    2 * super::FULL
};
/// How many records are folded at once while the state is being saved, for what they are about to change
/// is written before. Larger batches are folded in parts; in tests small ones are, too.
const PART: usize = if cfg!(all(test, debug_assertions)) {
    16
} else {
    super::FULL / 2
};
/// What may be spent on that in an activation: rows that are written.
const SAVING_BUDGET: usize = PART;
/// How many records that change no such row cost as much as one.
const RECORDS_A_ROW: usize = 16;

pub(super) struct Outputs<'a> {
    pub(super) emitted: SegmentSession<'a>,
    pub(super) overtaken: Option<SegmentSession<'a>>,
}

/// The right to emit in one epoch, kept for later.
#[derive(Clone)]
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

    fn each(&mut self) -> impl Iterator<Item = &mut Capability<u64>> {
        [&mut self.emitted].into_iter().chain(&mut self.overtaken)
    }

    /// The right to emit alone.
    fn only(emitted: Capability<u64>) -> Self {
        Kept {
            emitted,
            overtaken: None,
        }
    }
}

/// Records that came before their run was open, and the right to emit for them.
type Waiting = (Kept, Parcel);

/// What is being emitted, a piece after another.
struct Emitting {
    piece: Piece,
    kept: Kept,
    /// What is promised behind the last piece.
    promises: Progress,
    /// Whether this is the first that is heard of the operator's lane.
    announces: bool,
}

/// What a piece is taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    /// What the run that closes has withheld.
    Close,
    /// What the watermark has completed.
    Due,
    /// Everything.
    All,
}

impl Emitting {
    fn new(piece: Piece, kept: Kept, promises: Progress) -> Self {
        Emitting {
            piece,
            kept,
            promises,
            announces: false,
        }
    }

    /// Whether a table is to be emitted that was withheld until every lane had ended.
    fn is_end_of_table(&self, emission: Emission) -> bool {
        let has_ended = self.promises == Progress::End;
        self.piece == Piece::Due && has_ended && emission == Emission::End
    }
}

pub(super) struct Operator {
    folding: Box<dyn Folding>,
    activator: Activator,
    wants_overtaken: bool,
    emission: Emission,
    align: Align,
    /// The run whose records are folded as they come.
    run: u64,
    /// Records of later runs.
    waiting: BTreeMap<u64, VecDeque<Waiting>>,
    /// By epoch: what lanes promise, until the frontier has passed.
    promised: BTreeMap<u64, (Kept, Vec<(Lane, Progress)>)>,
    lanes: Lanes,
    /// What has been applied of the least promise.
    applied: Progress,
    emitting: Option<Emitting>,
    /// The right to emit again what was emitted before the job went on, until that is done.
    repeating: Option<Capability<u64>>,
    /// The right to emit what the open run withholds.
    held: Option<Capability<u64>>,
    /// The right to say that all lanes have ended, while the open run withholds anything.
    ending: Option<Kept>,
    /// Of a table that emits as records come: the last epoch in which it did.
    latest: Option<u64>,
    lane: Lane,
    is_announced: bool,
    /// Whether the state was restored from a mode that had not emitted it, as this one would have.
    owes: bool,
    id: String,
    participant: Participant,
    /// The boundary that the state is being saved at, piece by piece.
    saving: Option<Boundary>,
    /// How many operators of this worker are saving.
    saves: Saves,
    /// How many rows may still be written in this activation before records change them.
    budget: usize,
    /// How many records may still be folded in this activation as they come: a worker that was held up finds
    /// many before it.
    room: usize,
    abort: Abort,
}

/// What every worker knows alike, as it stands in a snapshot.
#[derive(Serialize, Deserialize)]
struct Common {
    applied: Progress,
    /// Whether what the shards hold waits for the end of input to be emitted.
    is_withheld: bool,
    /// The furthest that any lane has promised.
    furthest: Progress,
}

impl Common {
    /// Snapshots of earlier versions say nothing of the furthest promise.
    fn read(bytes: &[u8]) -> Result<Self, Problem> {
        codec::decode(bytes).or_else(|problem| match codec::decode(bytes) {
            Ok((applied, is_withheld)) => Ok(Common {
                applied,
                is_withheld,
                furthest: applied,
            }),
            Err(_) => Err(problem),
        })
    }
}

impl Operator {
    pub(super) fn new(context: &Context<'_>, keyed: KeyedOperator, activator: Activator) -> Self {
        let KeyedOperator {
            node,
            emission,
            folding,
            wants_overtaken,
        } = keyed;
        let local = &context.local;
        let align = match emission {
            Emission::BatchClose => Align::Batch,
            Emission::AtOnce | Emission::End => Align::Checkpoint,
        };
        let is_eager_table = emission == Emission::AtOnce && folding.is_table();
        let mut operator = Operator {
            folding,
            activator,
            wants_overtaken,
            emission,
            align,
            run: align.run(local.epochs.first()),
            waiting: BTreeMap::new(),
            promised: BTreeMap::new(),
            lanes: Lanes::default(),
            applied: Progress::Open,
            emitting: None,
            repeating: None,
            held: None,
            ending: None,
            latest: is_eager_table.then_some(0),
            lane: Lane::new(
                node,
                context.id(node),
                local.index,
                &local.index.to_string(),
            ),
            is_announced: false,
            owes: false,
            id: context.id(node).to_owned(),
            participant: local.checkpoints.join(),
            saving: None,
            saves: local.saves.clone(),
            budget: 0,
            room: 0,
            abort: local.abort.clone(),
        };
        if let Err(problem) = operator.restore(&local.checkpoints, local.index, local.peers) {
            local.abort.fail(Error::State(problem));
        }
        operator
    }

    /// Takes the right to emit in epoch 0, of each output, if there is anything to emit there.
    pub(super) fn repeat_with(&mut self, capabilities: Vec<Capability<u64>>) {
        if self.folding.repeats() {
            self.repeating = capabilities.into_iter().next();
            self.activator.activate();
        }
    }

    /// Notes what lanes promise.
    pub(super) fn hear(
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
            let kept = Kept::new(capability, self.wants_overtaken);
            self.emitting = Some(Emitting {
                announces: true,
                ..Emitting::new(Piece::All, kept, self.applied)
            });
            self.activator.activate();
        } else {
            self.send_segment(out, capability);
            self.send_overtaken(out, capability);
        }
    }

    /// Takes in records: now, if their run is open, or else later.
    pub(super) fn take(
        &mut self,
        capability: &InputCapability<u64>,
        input: Input<'_>,
        out: &mut Outputs<'_>,
    ) {
        let epoch = epoch_of(capability);
        let run = self.align.run(epoch);
        // Behind records that still wait for the same run, these wait, too: order is kept.
        let is_open = run == self.run && !self.holds_back() && !self.waiting.contains_key(&run);
        if is_open && self.affords(input.count()) {
            self.room = self.room.saturating_sub(input.count());
            self.fold(input);
            if self.emission == Emission::BatchClose && self.held.is_none() {
                self.held = Some(capability.delayed(&epoch, 0));
            }
            match self.later_than(epoch) {
                None => self.send(out, capability, capability),
                Some(later) => self.send(out, &capability.delayed(&later, 0), capability),
            }
        } else {
            let kept = Kept::new(capability, self.wants_overtaken);
            let parcel = self.folding.keep(input);
            let waiting = self.waiting.entry(run).or_default();
            waiting.push_back((kept, parcel));
            if is_open {
                self.activator.activate();
            }
        }
    }

    /// The epoch in which a table emits what records of an epoch have changed, if that is a later one.
    fn later_than(&mut self, epoch: u64) -> Option<u64> {
        let latest = self.latest.as_mut()?;
        *latest = epoch.max(*latest);
        (*latest > epoch).then_some(*latest)
    }

    /// Whether so many records may be folded now: while the state is being saved it is dear.
    fn affords(&self, records: usize) -> bool {
        match self.is_saving() {
            true => records <= PART && self.budget > 0,
            false => self.room > 0,
        }
    }

    /// Whether rows are being emitted that no record may change meanwhile.
    fn holds_back(&self) -> bool {
        let is_table = |emitting: &Emitting| !matches!(emitting.piece, Piece::Due);
        self.repeating.is_some() || self.emitting.as_ref().is_some_and(is_table)
    }

    fn fold(&mut self, input: Input<'_>) {
        let records = input.count();
        match self.folding.fold(input) {
            Ok(written) => {
                let cost = written + records.div_ceil(RECORDS_A_ROW);
                self.budget = self.budget.saturating_sub(cost);
            }
            Err(problem) => self.fail(problem),
        }
    }

    /// Does what can be done now that every record before the frontier has come: as much as its
    /// budget is, and the rest when it is activated again.
    pub(super) fn advance(&mut self, frontier: u64, out: &mut Outputs<'_>) {
        if let Some(boundary) = self.saving {
            self.save_piece(boundary);
        }
        self.budget = SAVING_BUDGET;
        self.room = BUDGET;
        if let Some(capability) = self.repeating.take() {
            let has_more = self.folding.repeat();
            if self.folding.pending()[0] > 0 {
                self.send_before(out, &capability);
            }
            self.repeating = has_more.then_some(capability);
            return self.activator.activate();
        }
        let mut budget = BUDGET;
        while let Some(records) = self.step(frontier, out) {
            if records >= budget || self.is_saving() && self.budget == 0 {
                return self.activator.activate();
            }
            budget -= records;
        }
    }

    /// Takes the next step, and tells how many records it was about; `None` when there is none.
    fn step(&mut self, frontier: u64, out: &mut Outputs<'_>) -> Option<usize> {
        if let Some(emitting) = self.emitting.take() {
            return Some(self.emit(emitting, out));
        }
        if let Some((kept, parcel)) = self.next_waiting() {
            return Some(self.take_waiting(kept, parcel, out));
        }
        let reached = self.align.run(frontier);
        if self.run < reached {
            if let Some(held) = self.held.take() {
                let kept = Kept::only(held);
                self.emitting = Some(Emitting::new(Piece::Close, kept, self.applied));
                return Some(0);
            }
            if let Some(kept) = self.ending.take() {
                let epoch = *kept.emitted.time();
                self.promised.entry(epoch).or_insert((kept, Vec::new()));
            }
            if self.apply_before(frontier.min(self.align.end(self.run)), out) {
                return Some(0);
            }
            let next = self.next_run().map_or(reached, |next| next.min(reached));
            if !self.save_before(next) {
                return None; // goes on when the last piece has been saved
            }
            self.run = next;
            return Some(0);
        }
        if self.apply_before(frontier, out) {
            return Some(0);
        }
        let kept = self.ending.iter_mut().flat_map(Kept::each);
        let rights = self.held.iter_mut().chain(kept);
        for right in rights.filter(|right| *right.time() < frontier) {
            right.downgrade(&frontier);
        }
        None
    }

    /// The next run that has anything: records that wait, or promises, which must be applied in theirs,
    /// for what they complete is gone from the state at the end of it.
    fn next_run(&self) -> Option<u64> {
        let records = self.waiting.keys().next().copied();
        let promises = self.promised.keys().next();
        let promises = promises.map(|epoch| self.align.run(*epoch));
        records.into_iter().chain(promises).min()
    }

    /// The next records that waited for the open run.
    fn next_waiting(&mut self) -> Option<Waiting> {
        let mut first = self.waiting.first_entry()?;
        if *first.key() > self.run {
            return None;
        }
        let waiting = first.get_mut().pop_front();
        if first.get().is_empty() {
            first.remove();
        }
        waiting
    }

    fn take_waiting(&mut self, kept: Kept, mut parcel: Parcel, out: &mut Outputs<'_>) -> usize {
        if self.is_saving() && parcel.count() > PART {
            parcel = self.first_part(&kept, parcel);
        }
        let count = parcel.count();
        self.fold(Input::Parcel(&mut parcel));
        let overtaken = kept.overtaken.as_ref().unwrap_or(&kept.emitted);
        match self.later_than(*kept.emitted.time()) {
            None => self.send(out, &kept.emitted, overtaken),
            Some(later) => self.send(out, &kept.emitted.delayed(&later), overtaken),
        }
        if self.emission == Emission::BatchClose && self.held.is_none() {
            self.held = Some(kept.emitted);
        }
        count
    }

    /// The first part of records that have waited. The others go on waiting in front of all others.
    fn first_part(&mut self, kept: &Kept, parcel: Parcel) -> Parcel {
        let parts = self.folding.split(parcel, PART);
        let mut parts = match parts {
            Ok(parts) => parts.into_iter(),
            Err(problem) => {
                self.fail(problem);
                return Parcel::default();
            }
        };
        let first = parts.next().unwrap_or_default();
        let waiting = self
            .waiting
            .entry(self.align.run(*kept.emitted.time()))
            .or_default();
        for part in parts.rev() {
            waiting.push_front((kept.clone(), part));
        }
        first
    }

    /// Applies what was promised in the first epoch before `until`, if anything was.
    fn apply_before(&mut self, until: u64, out: &mut Outputs<'_>) -> bool {
        let first = self.promised.first_entry();
        let Some(first) = first.filter(|first| *first.key() < until) else {
            return false;
        };
        let (kept, promises) = first.remove();
        for (lane, progress) in promises {
            self.lanes.note(lane, progress);
        }
        let mut progress = self.lanes.least();
        if progress == Progress::End && self.lanes.furthest() > self.applied {
            // The end comes behind the last watermark, in every mode: whether lanes said both at once is
            // not to be seen.
            progress = self.lanes.furthest();
            let epoch = *kept.emitted.time();
            self.promised.insert(epoch, (kept.clone(), Vec::new()));
        }
        if progress == Progress::End && self.held.is_some() {
            // The batch may go on for long with other inputs. What it withholds comes before the end.
            self.ending = Some(kept);
            return true;
        }
        if progress > self.applied {
            let watermark = match progress {
                Progress::Open => EventTime::MIN,
                Progress::At(watermark) => watermark,
                Progress::End => EventTime::MAX,
            };
            let is_due = progress == Progress::End || watermark >= self.folding.due();
            self.folding.begin_advance(watermark);
            let mut kept = kept;
            if let Some(later) = self.later_than(*kept.emitted.time()) {
                kept.emitted = kept.emitted.delayed(&later);
            }
            let may_withhold = is_due && progress != Progress::End;
            if may_withhold && self.emission == Emission::BatchClose && self.held.is_none() {
                self.held = Some(kept.emitted.clone());
            }
            let emitting = Emitting::new(Piece::Due, kept, progress);
            match is_due {
                true => self.emitting = Some(emitting),
                false => self.finish(&emitting, out),
            }
        }
        true
    }

    /// Emits the next piece, and tells how many records it was about: one behind which there is more is full, though what
    /// has fallen due may have had nothing to say.
    fn emit(&mut self, mut emitting: Emitting, out: &mut Outputs<'_>) -> usize {
        let has_more = match emitting.piece {
            Piece::Close => self.folding.close(),
            Piece::Due => self.folding.advance(),
            Piece::All => self.folding.emit_all(),
        };
        let [mut records, _] = self.folding.pending();
        if has_more {
            records = records.max(super::FULL);
        }
        if emitting.piece == Piece::Due {
            self.budget = self.budget.saturating_sub(records); // rows that are removed are written before
        }
        if has_more {
            self.send_before(out, &emitting.kept.emitted);
            self.emitting = Some(emitting);
        } else if emitting.is_end_of_table(self.emission) {
            emitting.piece = Piece::All;
            self.emitting = Some(emitting);
        } else {
            self.finish(&emitting, out);
        }
        records
    }

    /// Sends the last piece, with what is promised behind it.
    fn finish(&mut self, emitting: &Emitting, out: &mut Outputs<'_>) {
        self.applied = emitting.promises;
        let Kept { emitted, overtaken } = &emitting.kept;
        match emitting.piece {
            Piece::Close => self.send(out, emitted, emitted),
            Piece::Due | Piece::All => {
                self.send_segment(out, emitted);
                // The overtaken's lane was announced by nobody yet, or will say no more.
                let speaks = emitting.announces || self.applied == Progress::End;
                if let (true, Some(overtaken)) = (speaks, overtaken) {
                    self.send_overtaken(out, overtaken);
                }
            }
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
        self.send_promising(self.applied, out, capability);
    }

    /// Sends a part of what the watermark has completed: nothing is promised behind it yet.
    fn send_before<C: CapabilityTrait<u64>>(&mut self, out: &mut Outputs<'_>, capability: &C) {
        self.send_promising(Progress::Open, out, capability);
    }

    fn send_promising<C: CapabilityTrait<u64>>(
        &mut self,
        progress: Progress,
        out: &mut Outputs<'_>,
        capability: &C,
    ) {
        let (records, count) = self.folding.take_emitted();
        let mut segment = Segment::with(self.lane, progress, records, count);
        out.emitted.send(capability, &mut segment);
    }

    /// Begins to save the state at the boundaries up to a run that is about to begin. A boundary begins a
    /// run, and no record of this one has been folded yet. Tells whether the run may begin: not while a
    /// boundary waits for the save at another.
    fn save_before(&mut self, run: u64) -> bool {
        while let Some(boundary) = self.participant.due(self.align.begin(run)) {
            if self.is_saving() {
                return false;
            }
            self.begin_save(boundary);
        }
        true
    }

    fn begin_save(&mut self, boundary: Boundary) {
        self.participant.begin(boundary);
        let common = codec::encode(&Common {
            applied: self.applied,
            is_withheld: self.emission == Emission::End && self.applied != Progress::End,
            furthest: self.lanes.furthest(),
        });
        match common {
            Ok(bytes) => self
                .participant
                .write(boundary, &self.id, Part::Common, bytes),
            Err(problem) => return self.fail(problem),
        }
        let everything = !self.participant.knows_the_rest();
        if !self.folding.begin_save(everything) {
            self.participant.leave_the_rest(boundary, &self.id);
        }
        self.saving = Some(boundary);
        self.saves.begin();
        self.save_piece(boundary);
    }

    /// Saves the next piece of the state at a boundary. After the last one all is left there.
    fn save_piece(&mut self, boundary: Boundary) {
        let (participant, id) = (&self.participant, &self.id);
        let has_more = self.folding.save(&mut |shard, bytes| {
            participant.write(boundary, id, Part::Shard(shard), bytes);
            Ok(())
        });
        match has_more {
            Ok(true) => self.activator.activate(),
            Ok(false) => {
                self.saving = None;
                self.saves.end();
                self.participant.leave(boundary);
            }
            Err(problem) => self.fail(problem),
        }
    }

    /// Whether the state is being saved.
    pub(super) fn is_saving(&self) -> bool {
        self.saving.is_some()
    }

    fn restore(
        &mut self,
        checkpoints: &Checkpoints,
        worker: usize,
        workers: usize,
    ) -> Result<(), Problem> {
        if let Some(bytes) = checkpoints.read(&self.id, Part::Common)? {
            let common = Common::read(&bytes)?;
            self.applied = common.applied;
            self.lanes.goes_on_from(common.furthest);
            self.owes = common.is_withheld && self.emission != Emission::End;
            if let Progress::At(watermark) = self.applied {
                self.folding.begin_advance(watermark);
            }
        }
        for index in (0..SHARDS).filter(|shard| owner(*shard, workers) == worker) {
            if let Some(bytes) = checkpoints.read(&self.id, Part::Shard(index))? {
                self.folding.load(&bytes)?;
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
