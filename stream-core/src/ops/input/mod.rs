//! The source operator: the first step of every record's way.
//!
//! On each worker there is one for each input port, which reads the partitions that the worker
//! owns, in turns ([`ReadyLanes`]). Each activation reads a few chunks and then lets the rest of the
//! graph work. No step looks at all partitions: those that were woken say so themselves, and those
//! that wait for the clock stand in the order of their times.

mod ready;

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use timely::dataflow::operators::Capability;
use timely::scheduling::Activator;
use timely::scheduling::activate::SyncActivator;

use self::ready::ReadyLanes;
use crate::engine::Mode;
use crate::engine::bad_records::BadRecordPolicy;
use crate::engine::batch::{Boxed, Segment};
use crate::engine::bindings::BoundSource;
use crate::engine::discovered::Discovered;
use crate::engine::flow::{Flow, SegmentSession};
use crate::engine::lane::{Lane, Progress};
use crate::engine::local::Local;
use crate::engine::turns::{Next, Turn};
use crate::error::{Error, Problem};
use crate::graph::context::Context;
use crate::graph::node::{Render, stage};
use crate::graph::{Graph, Stream};
use crate::io::{BadRecord, Chunk, Opening, Planned, Position, ReadStatus, Reader, Waker};
use crate::observe::Counter;
use crate::state::checkpoint::{Participant, PartitionEnd};

/// How many records are read at once; so many fit the nearest caches all the way down.
const CHUNK_RECORDS: u64 = 1_024;
/// How many bytes are read at once, as far as the reader counts them.
const CHUNK_BYTES: u64 = 1 << 20;
/// How many full chunks are read before the other operators have their turn, and how many at most, for
/// some readers give one record at a time.
const TURN_FULL: u64 = 4;
const TURN_CHUNKS: usize = 32;

impl Graph {
    /// An input port: the job binds a source to its name.
    pub fn input<T: 'static>(&self, name: &str) -> Stream<T> {
        let mut spec = stage("input", Vec::new()).with("port", name);
        spec.record = std::any::type_name::<T>().to_owned();
        Stream::from_port(self.add(spec, render_input::<T>(name)))
    }
}

/// The step that renders an input port.
fn render_input<T: 'static>(port: &str) -> Box<dyn Render> {
    Box::new(InputStep {
        port: port.to_owned(),
        open: open_typed::<T>,
    })
}

struct InputStep {
    port: String,
    open: OpenReader,
}

/// Opens a partition of a source of records of some type.
type OpenReader = fn(&BoundSource, usize, Opening) -> Result<Box<dyn Reads>, Problem>;

fn open_typed<T: 'static>(
    bound: &BoundSource,
    partition: usize,
    opening: Opening,
) -> Result<Box<dyn Reads>, Problem> {
    let reader = bound.typed::<T>().open(partition, opening)?;
    let chunk = Chunk::default();
    Ok(Box::new(TypedReader { reader, chunk }))
}

/// A reader with the type of its records erased.
trait Reads {
    fn read(&mut self, max: usize) -> Result<(ReadStatus, Got), Problem>;
    fn position(&self) -> Result<Position, Problem>;
}

/// What one call of a reader has brought.
struct Got {
    records: Option<Boxed>,
    count: usize,
    bytes: u64,
    bad: Vec<BadRecord>,
    absent: Vec<String>,
    planned: Option<Planned>,
}

impl Got {
    /// How many records there are, good and bad.
    fn all(&self) -> u64 {
        (self.count + self.bad.len()) as u64
    }
}

struct TypedReader<T> {
    reader: Box<dyn Reader<T>>,
    chunk: Chunk<T>,
}

impl<T: 'static> Reads for TypedReader<T> {
    fn read(&mut self, max: usize) -> Result<(ReadStatus, Got), Problem> {
        let chunk = &mut self.chunk;
        chunk.clear();
        chunk.limit_bytes(CHUNK_BYTES);
        let status = self.reader.read(max, chunk)?;
        let (count, bytes) = (chunk.records.len(), chunk.size());
        let records = match count {
            0 => None,
            _ => Some(Box::new(std::mem::take(&mut chunk.records)) as Boxed),
        };
        let bad = std::mem::take(&mut chunk.bad);
        let got = Got {
            records,
            count,
            bytes,
            bad,
            absent: std::mem::take(&mut chunk.absent),
            planned: chunk.planned,
        };
        Ok((status, got))
    }

    fn position(&self) -> Result<Position, Problem> {
        self.reader.position()
    }
}

impl Render for InputStep {
    fn render<'s>(self: Box<Self>, node: usize, context: &mut Context<'s>) {
        let local = context.local.clone();
        let bound = local.bindings.source(&self.port);
        let (mut builder, guard) = context.operator(node);
        let (mut output, edge) = context.output(&mut builder, node, 0);
        let info = builder.operator_info();
        let activator = || context.scope.activator_for(Rc::clone(&info.address));
        let policy = BadRecordPolicy::new(&self.port, bound, &guard, &local);
        local.add_source(node, activator(), policy);

        let wake = context
            .scope
            .worker()
            .sync_activator_for(info.address.to_vec());
        let mut input = Input {
            node,
            open_reader: self.open,
            wake: Arc::new(Mutex::new(wake)),
            lanes: Vec::new(),
            records: local.counter(&self.port, "in"),
            unread: local.counter(&self.port, "unread"),
            bytes: local.counter(&self.port, "bytes"),
            port: self.port,
            id: context.id(node).to_owned(),
            activator: activator(),
            open: 0,
            ready: ReadyLanes::default(),
            turn: local.turns.join(local.index, node),
            told: Next::NoRoom,
            woken: Woken::default(),
            alarms: BTreeSet::new(),
            activation: 0,
            is_announced: false,
            waits: true,
            is_through: false,
            has_ended: false,
            participant: None,
            discovering: None,
            local: local.clone(),
        };
        for (index, name) in bound.partitions().iter().enumerate() {
            input.open(index, name);
        }
        if let Some((_, discovered)) = bound.discovered() {
            input.discover(discovered.clone());
        }
        builder.build(move |mut capabilities| {
            let mut capability = capabilities.pop();
            move |_| {
                let _entered = guard.enter();
                let ended = match &mut capability {
                    Some(capability) => input.work(capability, &mut output.activate()),
                    None => return,
                };
                if ended {
                    capability = None;
                }
            }
        });
        context.put(node, 0, Flow::Edge(edge));
    }
}

type Wake = Arc<Mutex<SyncActivator>>;

/// The partitions of one source that one worker owns.
struct Input {
    port: String,
    /// The id of the stage, and its node.
    id: String,
    node: usize,
    open_reader: OpenReader,
    wake: Wake,
    lanes: Vec<OpenLane>,
    records: Counter,
    /// Records that could not be read.
    unread: Counter,
    bytes: Counter,
    activator: Activator,
    /// How many lanes have not ended.
    open: usize,
    ready: ReadyLanes,
    /// Its number among the sources of all workers.
    turn: usize,
    /// What it has told the others to have next.
    told: Next,
    woken: Woken,
    /// The lanes that wait for the clock, by when they may be read.
    alarms: BTreeSet<(Duration, usize)>,
    activation: u64,
    is_announced: bool,
    /// Whether other inputs are read before.
    waits: bool,
    /// Whether it was said that all lanes have ended, to those inputs that wait for that, and at all.
    is_through: bool,
    has_ended: bool,
    /// What it leaves at boundaries: how far its lanes have been read. None where it has no lanes.
    participant: Option<Participant>,
    /// The partitions that appear, until it opens no more.
    discovering: Option<Discovering>,
    local: Rc<Local>,
}

/// The partitions of a source that appear while the job runs, as one worker knows them.
struct Discovering {
    discovered: Discovered,
    /// How many of them are known here.
    known: usize,
    /// The lane that stands for those to come.
    lane: Lane,
}

struct OpenLane {
    lane: Lane,
    name: String,
    /// `None` once the partition has ended, or its quota is used up.
    reader: Option<Box<dyn Reads>>,
    /// How many records may still be read.
    quota: Option<u64>,
    /// Whether the waker was called since the last read.
    is_woken: Arc<AtomicBool>,
    /// Whether it stands among the alarms.
    waits_for_clock: bool,
    /// How far it had been read before what was read last, while that has no epoch yet.
    before: Option<Position>,
    /// Where it has ended, or is to begin.
    end: PartitionEnd,
}

impl OpenLane {
    /// What tells everybody downstream that there is the lane.
    fn announcement(&self) -> Segment {
        let progress = match self.reader {
            Some(_) => Progress::Open,
            None => Progress::End,
        };
        Segment::new(self.lane, progress)
    }

    /// Reads once, if it has not ended. A partition whose quota is used up ends for this run, and for
    /// no other.
    fn read(&mut self, max: u64, is_strict: bool) -> Result<Option<(ReadStatus, Got)>, Problem> {
        let Some(reader) = &mut self.reader else {
            return Ok(None);
        };
        if is_strict {
            self.before = Some(reader.position()?);
        }
        let max = max.min(self.quota.unwrap_or(u64::MAX));
        let (status, got) = reader.read(max as usize)?;
        if let Some(quota) = &mut self.quota {
            *quota = quota.saturating_sub(got.all());
        }
        let ended = status == ReadStatus::Ended;
        if ended || self.quota == Some(0) {
            self.end = PartitionEnd {
                position: reader.position()?,
                ended,
            };
            self.reader = None;
        }
        Ok(Some((status, got)))
    }

    /// How far it has been read, of what has been sent.
    fn sent(&self) -> Result<PartitionEnd, Problem> {
        let position = match (&self.before, &self.reader) {
            (Some(before), _) => before.clone(),
            (None, Some(reader)) => reader.position()?,
            (None, None) => return Ok(self.end.clone()),
        };
        Ok(PartitionEnd {
            position,
            ended: false,
        })
    }
}

/// The lanes whose wakers were called.
#[derive(Clone, Default)]
struct Woken(Arc<Mutex<Vec<usize>>>);

impl Woken {
    fn push(&self, lane: usize) {
        lock(&self.0).push(lane);
    }

    fn take(&self) -> Vec<usize> {
        std::mem::take(&mut lock(&self.0))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Input {
    /// Opens a partition, if this worker owns it.
    fn open(&mut self, index: usize, name: &str) {
        if index % self.local.peers != self.local.index {
            return;
        }
        let checkpoints = &self.local.checkpoints;
        self.participant.get_or_insert_with(|| checkpoints.join());
        let goes_on = checkpoints.has_read(&self.port);
        let end = checkpoints.read_partition(&self.port, name);
        let end = end.cloned().unwrap_or_default();
        let number = self.lanes.len();
        let is_woken = Arc::new(AtomicBool::new(false));
        let (flag, woken, wake) = (is_woken.clone(), self.woken.clone(), self.wake.clone());
        let waker = Waker::new(move || {
            if !flag.swap(true, Ordering::AcqRel) {
                woken.push(number);
            }
            // A worker that has gone needs no waking.
            let _ = lock(&wake).activate();
        });
        let opening = Opening {
            from: end.position.clone(),
            waker,
            clock: self.local.clock.clone(),
            goes_on,
        };
        let quota = self.local.limit;
        let reader = match end.ended || quota == Some(0) {
            true => Ok(None),
            false => {
                let bound = self.local.bindings.source(&self.port);
                (self.open_reader)(bound, index, opening).map(Some)
            }
        };
        let reader = reader.unwrap_or_else(|problem| {
            self.fail(problem);
            None
        });
        self.ready.add();
        if reader.is_some() {
            self.open += 1;
            self.ready.put(number);
        }
        let lane = Lane::new(self.node, &self.id, index, name);
        self.lanes.push(OpenLane {
            lane,
            name: name.to_owned(),
            reader,
            quota,
            is_woken,
            waits_for_clock: false,
            before: None,
            end,
        });
    }

    /// From now on it opens those of the partitions that appear which this worker owns.
    fn discover(&mut self, discovered: Discovered) {
        let checkpoints = &self.local.checkpoints;
        self.participant.get_or_insert_with(|| checkpoints.join());
        self.discovering = Some(Discovering {
            discovered,
            known: 0,
            lane: Lane::of_discovery(self.node, &self.id, self.local.index),
        });
    }

    /// Moves to an epoch, through those in which partitions begin.
    fn advance(&mut self, capability: &mut Capability<u64>, epoch: u64, output: &mut Output<'_>) {
        let appeared = self.discovering.as_mut().map(|discovering| {
            let appeared = discovering.discovered.until(epoch, discovering.known);
            discovering.known += appeared.len();
            appeared
        });
        for partition in appeared.into_iter().flatten() {
            self.move_to(capability, partition.begin);
            self.local.add_place(self.node, &partition.name);
            let known = self.lanes.len();
            self.open(partition.number, &partition.name);
            for lane in &self.lanes[known..] {
                send(output, capability, lane.announcement());
            }
        }
        self.move_to(capability, epoch);
    }

    /// Lowers the capability to an epoch. At each boundary on the way it leaves how far the lanes have
    /// been read: all that has been sent was sent before it.
    fn move_to(&mut self, capability: &mut Capability<u64>, epoch: u64) {
        if let Err(problem) = self.leave_positions(epoch) {
            return self.fail(problem);
        }
        capability.downgrade(&epoch);
    }

    fn leave_positions(&mut self, until: u64) -> Result<(), Problem> {
        let Some(participant) = &mut self.participant else {
            return Ok(());
        };
        while let Some(boundary) = participant.due(until) {
            for lane in &self.lanes {
                participant.write_partition(boundary, &self.port, &lane.name, lane.sent()?);
            }
            participant.leave(boundary);
        }
        Ok(())
    }

    /// One activation. Tells whether the source has ended.
    fn work(&mut self, capability: &mut Capability<u64>, output: &mut Output<'_>) -> bool {
        let local = self.local.clone();
        if local.abort.is_failed() {
            return false;
        }
        if !self.is_announced {
            self.move_to(capability, local.epochs.first());
            self.announce(capability, output);
        }
        self.advance(capability, local.epochs.current(), output);
        if local.epochs.stop().is_some() {
            if self.open > 0 || self.discovering.is_some() {
                local.abort.note_unread();
            }
            return false; // the capability stays at the boundary, so nothing looks ended
        }
        if local.abort.is_draining() {
            self.end_all(capability, output);
        }
        self.activation += 1;
        self.look_around();
        if self.waits && !local.sides.lets_begin(self.node, local.acknowledged()) {
            self.has_read(0, Next::Nothing);
            return false; // whoever wakes the sources does so when more is through
        }
        self.waits = false;
        if self.next() == Next::Ready {
            self.told = Next::Ready;
            match local.turns.take(self.turn) {
                Turn::Own => {}
                Turn::Neighbour => {
                    local.wake_sources();
                    return false;
                }
                Turn::Other => return false,
            }
        }
        let (mut records, mut bytes) = (0, 0);
        for _ in 0..TURN_CHUNKS {
            // Another worker may stop the job meanwhile: nothing is sent behind the boundary.
            let goes_on = local.epochs.stop().is_none() && local.may_read();
            let is_full = records >= TURN_FULL * CHUNK_RECORDS || bytes >= TURN_FULL * CHUNK_BYTES;
            if !goes_on || is_full {
                break;
            }
            let Some(read) = self.read_chunk(capability, output) else {
                break;
            };
            (records, bytes) = (records + read.0, bytes + read.1);
        }
        let next = self.next();
        self.has_read(records, next);
        if self.open == 0 && self.discovering.is_none() {
            self.let_others_begin(*capability.time());
            return self.follow_to_the_end(capability);
        }
        match next {
            Next::Nothing => {}
            Next::Ready => self.activator.activate(),
            Next::NoRoom => local.had_no_room.set(true),
        }
        // At every activation anew, for whoever wakes the sources forgets what they have asked for.
        if let Some((time, _)) = self.alarms.first() {
            local.wake_at(*time);
        }
        false
    }

    /// What it has to read next.
    fn next(&self) -> Next {
        match (
            self.open == 0 || self.ready.is_empty(),
            self.local.may_read(),
        ) {
            (true, _) => Next::Nothing,
            (false, true) => Next::Ready,
            (false, false) => Next::NoRoom,
        }
    }

    /// Tells the others that it has read so many records, and what it has to read next.
    fn has_read(&mut self, records: u64, next: Next) {
        let told = std::mem::replace(&mut self.told, next);
        if [told, next] == [Next::Nothing; 2] && records == 0 {
            return; // nobody waits for it
        }
        let time = match self.ready.least() {
            Progress::At(time) => Some(time),
            Progress::Open | Progress::End => None,
        };
        self.local.turns.read(self.turn, records, time, next);
    }

    /// Says once that all its lanes have ended. What waits for that goes on when they are through, and what tables
    /// withhold of them, so the batch is closed.
    fn let_others_begin(&mut self, epoch: u64) {
        let is_news = !std::mem::replace(&mut self.is_through, true);
        if is_news && self.local.sides.has_ended(self.node, epoch) {
            self.local.epochs.close_batch();
        }
    }

    /// Follows the epoch until the other sources have ended, too: what stands behind this one has still
    /// to leave its state at the boundaries until then. Tells whether they have.
    fn follow_to_the_end(&mut self, capability: &mut Capability<u64>) -> bool {
        let local = self.local.clone();
        if self.participant.is_none() {
            return true; // another worker has its lanes
        }
        if !std::mem::replace(&mut self.has_ended, true) && local.epochs.source_ended() {
            local.abort.wake();
        }
        let have_all = local.epochs.have_all_ended();
        if have_all {
            self.move_to(capability, local.epochs.current());
            let end = local.checkpoints.end(); // no other boundary will come any more
            if let Some(participant) = &self.participant {
                for lane in &self.lanes {
                    participant.write_partition(end, &self.port, &lane.name, lane.end.clone());
                }
            }
        }
        have_all
    }

    /// Finds out which lanes have something to say since the last look.
    fn look_around(&mut self) {
        for number in self.woken.take() {
            let lane = &self.lanes[number];
            if lane.reader.is_some() && !lane.waits_for_clock {
                self.ready.put(number);
            }
        }
        let now = self.local.clock.elapsed();
        while let Some((_, number)) = self
            .alarms
            .first()
            .filter(|(time, _)| *time <= now)
            .copied()
        {
            self.alarms.pop_first();
            self.lanes[number].waits_for_clock = false;
            self.ready.put(number);
        }
    }

    /// Tells everybody downstream which lanes there are, in the first epoch.
    fn announce(&mut self, capability: &Capability<u64>, output: &mut Output<'_>) {
        self.is_announced = true;
        if let Some(discovering) = &self.discovering {
            let more = Segment::new(discovering.lane, Progress::Open);
            send(output, capability, more);
        }
        for lane in &self.lanes {
            send(output, capability, lane.announcement());
        }
    }

    /// Ends all lanes where they stand.
    fn end_all(&mut self, capability: &Capability<u64>, output: &mut Output<'_>) {
        let local = self.local.clone();
        if let Some(discovering) = self.discovering.take() {
            local.abort.note_unread();
            let no_more = Segment::new(discovering.lane, Progress::End);
            send(output, capability, no_more);
        }
        for lane in self.lanes.iter_mut().filter(|lane| lane.reader.is_some()) {
            let sent = lane.sent();
            lane.reader = None;
            self.open -= 1;
            local.abort.note_unread();
            send(output, capability, Segment::new(lane.lane, Progress::End));
            match sent {
                Ok(sent) => lane.end = sent,
                Err(problem) => return self.fail(problem),
            }
        }
    }

    /// Reads and sends one chunk. Gives its records and bytes, if there was one.
    fn read_chunk(
        &mut self,
        capability: &mut Capability<u64>,
        output: &mut Output<'_>,
    ) -> Option<(u64, u64)> {
        let room = self.local.epochs.room().min(CHUNK_RECORDS);
        if room == 0 {
            return None;
        }
        let progress_of = |number: usize| self.local.progress_of(self.lanes[number].lane);
        let number = self.ready.take(self.activation, progress_of)?;
        let lane = &mut self.lanes[number];
        // An exchange, no mere store: what was there before a call that this one forgets is read now.
        lane.is_woken.swap(false, Ordering::AcqRel);
        let is_strict = self.local.mode == Mode::PerRecordStrict;
        let (status, got) = match lane.read(room, is_strict) {
            Ok(Some(read)) => read,
            Ok(None) => return Some((0, 0)), // it was ended meanwhile
            Err(problem) => {
                self.fail(problem);
                return None;
            }
        };
        let read = (got.all(), got.bytes);
        let has_ended = lane.reader.is_none();
        match status {
            _ if has_ended => self.open -= 1,
            ReadStatus::Until(time) => {
                lane.waits_for_clock = true;
                self.alarms.insert((time, number));
            }
            ReadStatus::More => self.ready.put(number),
            ReadStatus::Waiting | ReadStatus::Ended => {}
        }
        self.send_chunk(number, has_ended, got, capability, output);
        Some(read)
    }

    /// Sends what was read, and counts it: records that could not be read count, too, for they come
    /// out of the same bounds.
    fn send_chunk(
        &mut self,
        number: usize,
        has_ended: bool,
        got: Got,
        capability: &mut Capability<u64>,
        output: &mut Output<'_>,
    ) {
        let local = self.local.clone();
        let (epochs, acknowledged) = (&local.epochs, local.acknowledged());
        let (all, now) = (got.all(), local.clock.elapsed());
        let is_news = all > 0 || has_ended;
        // An end is news, too: its epoch is cut even if nothing else is sent there.
        let count = all.max(1);
        let strict = local.mode == Mode::PerRecordStrict;
        if is_news
            && strict
            && let Some(epoch) = epochs.claim(count, got.bytes, now, acknowledged)
        {
            self.advance(capability, epoch, output);
        }
        self.lanes[number].before = None;
        let lane = self.lanes[number].lane;
        self.records.add(got.count);
        self.unread.add(got.bad.len());
        self.bytes.add(got.bytes as usize);
        for record in got.bad {
            local.bad_record(*capability.time(), lane, record);
        }
        for told in got.absent {
            local.counter(&self.port, "absent").add(1);
            let mut examples = local.counters.examples(&self.port, "absent");
            examples.offer(|| told);
        }
        if !is_news {
            return;
        }
        if let (Some(timing), Some(planned)) = (&local.timing, got.planned) {
            timing.sent(*capability.time(), planned);
        }
        if got.count > 0 || has_ended {
            let progress = match has_ended {
                true => Progress::End,
                false => Progress::Open,
            };
            let segment = Segment::with(lane, progress, got.records, got.count);
            send(output, capability, segment);
        }
        if !strict {
            epochs.sent(count, got.bytes, now, acknowledged);
        }
        self.advance(capability, epochs.current(), output);
    }

    fn fail(&self, problem: Problem) {
        self.local.abort.fail(Error::Source {
            port: self.port.clone(),
            problem,
        });
    }
}

type Output<'a> = SegmentSession<'a>;

fn send(output: &mut Output<'_>, capability: &Capability<u64>, mut segment: Segment) {
    output.send(capability, &mut segment);
}
