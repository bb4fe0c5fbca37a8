//! The source operator: the first step of every record's way.
//!
//! On each worker there is one for each input port, which reads the partitions that the worker
//! owns: always the one whose event time has come least far, so that a window need not wait for a
//! lane that lags. Each activation reads a few chunks and then lets the rest of the graph work.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use timely::dataflow::operators::Capability;
use timely::scheduling::Activator;

use crate::engine::bad_records::BadRecordPolicy;
use crate::engine::batch::{Boxed, Segment};
use crate::engine::bindings::BoundSource;
use crate::engine::flow::{Flow, SegmentSession};
use crate::engine::lane::{Lane, Progress};
use crate::engine::limit::Limited;
use crate::engine::local::Local;
use crate::error::{Error, Problem};
use crate::graph::context::Context;
use crate::graph::node::{Render, stage};
use crate::graph::{Graph, Stream};
use crate::io::{BadRecord, Chunk, Opening, Position, ReadStatus, Reader, Waker};
use crate::observe::Counter;
use crate::state::snapshot::PartitionEnd;

/// How many records are read at once; so many fit the nearest caches all the way down.
const CHUNK_RECORDS: u64 = 1_024;
/// How many chunks are read before the other operators have their turn.
const CHUNKS: usize = 4;

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
type OpenReader = fn(&BoundSource, usize, Opening, Option<u64>) -> Result<Box<dyn Reads>, Problem>;

fn open_typed<T: 'static>(
    bound: &BoundSource,
    partition: usize,
    opening: Opening,
    limit: Option<u64>,
) -> Result<Box<dyn Reads>, Problem> {
    let reader = bound.typed::<T>().open(partition, opening)?;
    let reader = match limit {
        Some(limit) => Box::new(Limited::new(reader, limit)),
        None => reader,
    };
    let chunk = Chunk::default();
    Ok(Box::new(TypedReader { reader, chunk }))
}

/// A reader with the type of its records erased.
trait Reads {
    fn read(&mut self, max: usize) -> Result<(ReadStatus, Got), Problem>;
    fn position(&self) -> Position;
}

/// What one call of a reader has brought.
struct Got {
    records: Option<Boxed>,
    count: usize,
    bytes: u64,
    bad: Vec<BadRecord>,
}

struct TypedReader<T> {
    reader: Box<dyn Reader<T>>,
    chunk: Chunk<T>,
}

impl<T: 'static> Reads for TypedReader<T> {
    fn read(&mut self, max: usize) -> Result<(ReadStatus, Got), Problem> {
        let chunk = &mut self.chunk;
        chunk.clear();
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
        };
        Ok((status, got))
    }

    fn position(&self) -> Position {
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

        let mut input = Input {
            lanes: Vec::new(),
            records: local.counter(&self.port, "in"),
            bytes: local.counter(&self.port, "bytes"),
            port: self.port,
            id: context.id(node).to_owned(),
            activator: activator(),
            turn: 0,
            is_announced: false,
            is_recorded: false,
            local: local.clone(),
        };
        let wake = context
            .scope
            .worker()
            .sync_activator_for(info.address.to_vec());
        let wake = Arc::new(std::sync::Mutex::new(wake));
        for (index, name) in bound.partitions().iter().enumerate() {
            if index % local.peers == local.index {
                let reader = |opening| (self.open)(bound, index, opening, local.limit);
                input.open(node, &reader, index, name, wake.clone());
            }
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

type Wake = Arc<std::sync::Mutex<timely::scheduling::activate::SyncActivator>>;

/// The partitions of one source that one worker owns.
struct Input {
    port: String,
    /// The id of the stage.
    id: String,
    lanes: Vec<OpenLane>,
    records: Counter,
    bytes: Counter,
    activator: Activator,
    turn: u64,
    is_announced: bool,
    is_recorded: bool,
    local: Rc<Local>,
}

struct OpenLane {
    lane: Lane,
    name: String,
    /// `None` once the partition has ended.
    reader: Option<Box<dyn Reads>>,
    /// Set by the waker: there may be something to read.
    is_ready: Arc<AtomicBool>,
    /// Not to be read before this time.
    until: Duration,
    /// The turn in which it was read last.
    turn: u64,
    end: PartitionEnd,
}

impl Input {
    fn open(
        &mut self,
        node: usize,
        source: &dyn Fn(Opening) -> Result<Box<dyn Reads>, Problem>,
        index: usize,
        name: &str,
        wake: Wake,
    ) {
        let start = self.local.snapshots.read_partition(&self.port, name);
        let end = start.unwrap_or_default();
        let is_ready = Arc::new(AtomicBool::new(true));
        let ready = is_ready.clone();
        let waker = Waker::new(move || {
            ready.store(true, Ordering::Release);
            if let Ok(wake) = wake.lock() {
                // A worker that has gone needs no waking.
                let _ = wake.activate();
            }
        });
        let opening = Opening {
            from: end.position,
            waker,
            clock: self.local.clock.clone(),
        };
        let reader = match end.ended {
            true => Ok(None),
            false => source(opening).map(Some),
        };
        let reader = reader.unwrap_or_else(|problem| {
            self.fail(problem);
            None
        });
        let lane = Lane::new(node, &self.id, index, name);
        let (name, until, turn) = (name.to_owned(), Duration::ZERO, 0);
        self.lanes.push(OpenLane {
            lane,
            name,
            reader,
            is_ready,
            until,
            turn,
            end,
        });
    }

    /// One activation. Tells whether the source has ended.
    fn work(&mut self, capability: &mut Capability<u64>, output: &mut Output<'_>) -> bool {
        let local = self.local.clone();
        if local.abort.is_failed() {
            return false;
        }
        if !self.is_announced {
            capability.downgrade(&local.epochs.first());
            self.announce(capability, output);
        }
        capability.downgrade(&local.epochs.current());
        if local.epochs.stop().is_some() {
            self.record_positions();
            return false; // the capability stays at the boundary, so nothing looks ended
        }
        if local.abort.is_draining() {
            self.end_all(capability, output);
        }
        for _ in 0..CHUNKS {
            // Another worker may stop the job meanwhile: nothing is sent behind the boundary.
            let goes_on = local.epochs.stop().is_none() && local.epochs.has_room();
            if !goes_on || !self.read_chunk(capability, output) {
                break;
            }
        }
        let has_ended = self.lanes.iter().all(|lane| lane.reader.is_none());
        if has_ended || local.epochs.stop().is_some() {
            self.record_positions(); // a stop that comes later will not find it running
        }
        if has_ended {
            return true;
        }
        let now = local.clock.elapsed();
        if local.epochs.has_room() && self.next_lane(now).is_some() {
            self.activator.activate();
        }
        self.set_alarm(now);
        false
    }

    /// Asks to be woken when the first of the lanes that wait for the clock may be read. At every
    /// activation anew, for whoever wakes the sources forgets what they have asked for.
    fn set_alarm(&self, now: Duration) {
        let waiting = self.lanes.iter().filter(|lane| lane.reader.is_some());
        let times = waiting.map(|lane| lane.until).filter(|until| *until > now);
        if let Some(time) = times.min() {
            self.local.wake_at(time);
        }
    }

    /// Tells everybody downstream which lanes there are, in the first epoch.
    fn announce(&mut self, capability: &Capability<u64>, output: &mut Output<'_>) {
        self.is_announced = true;
        for lane in &self.lanes {
            let progress = if lane.reader.is_some() {
                Progress::Open
            } else {
                Progress::End
            };
            send(output, capability, Segment::new(lane.lane, progress));
        }
    }

    /// Ends all lanes where they stand.
    fn end_all(&mut self, capability: &Capability<u64>, output: &mut Output<'_>) {
        for lane in &mut self.lanes {
            if lane.reader.take().is_some() {
                self.local.abort.note_unread();
                send(output, capability, Segment::new(lane.lane, Progress::End));
            }
        }
    }

    /// Reads and sends one chunk. Tells whether there was one.
    fn read_chunk(&mut self, capability: &mut Capability<u64>, output: &mut Output<'_>) -> bool {
        let local = self.local.clone();
        let now = local.clock.elapsed();
        let max = local.epochs.room().min(CHUNK_RECORDS);
        let Some(index) = self.next_lane(now).filter(|_| max > 0) else {
            return false;
        };
        self.turn += 1;
        let lane = &mut self.lanes[index];
        lane.turn = self.turn;
        lane.is_ready.store(false, Ordering::Release);
        let Some(reader) = &mut lane.reader else {
            return false;
        };

        let (status, mut got) = match reader.read(max as usize) {
            Ok(read) => read,
            Err(problem) => {
                self.fail(problem);
                return false;
            }
        };
        lane.end = PartitionEnd {
            position: reader.position(),
            ended: status == ReadStatus::Ended,
        };
        match status {
            ReadStatus::More => lane.is_ready.store(true, Ordering::Release),
            ReadStatus::Waiting => {}
            ReadStatus::Until(time) => {
                lane.until = time;
                lane.is_ready.store(true, Ordering::Release);
            }
            ReadStatus::Ended => lane.reader = None,
        }
        let lane = lane.lane;
        for record in got.bad.drain(..) {
            local.bad_record(lane, record);
        }
        self.send_chunk(lane, status, got, capability, output, now);
        true
    }

    fn send_chunk(
        &mut self,
        lane: Lane,
        status: ReadStatus,
        got: Got,
        capability: &mut Capability<u64>,
        output: &mut Output<'_>,
        now: Duration,
    ) {
        let (epochs, acknowledged) = (&self.local.epochs, self.local.acknowledged());
        let (records, bytes) = (got.count as u64, got.bytes);
        self.records.add(got.count);
        self.bytes.add(bytes as usize);
        let has_ended = status == ReadStatus::Ended;
        if records == 0 && !has_ended {
            return;
        }
        // An end is news, too: its epoch is cut even if nothing else is sent there.
        let records = records.max(1);
        let strict = self.local.mode == crate::engine::Mode::PerRecordStrict;
        if strict && let Some(epoch) = epochs.claim(records, bytes, now, acknowledged) {
            capability.downgrade(&epoch);
        }
        let progress = if has_ended {
            Progress::End
        } else {
            Progress::Open
        };
        let segment = Segment::with(lane, progress, got.records, got.count);
        send(output, capability, segment);
        if !strict {
            epochs.sent(records, bytes, now, acknowledged);
        }
        capability.downgrade(&epochs.current());
    }

    /// The lane to be read next: of those that have something, the one whose event time has come
    /// least far, and of those the one that waits longest.
    fn next_lane(&self, now: Duration) -> Option<usize> {
        let readable = |lane: &OpenLane| {
            let is_ready = lane.is_ready.load(Ordering::Acquire);
            lane.reader.is_some() && is_ready && lane.until <= now
        };
        let lanes = self
            .lanes
            .iter()
            .enumerate()
            .filter(|(_, lane)| readable(lane));
        let order = |lane: &OpenLane| (self.local.progress_of(lane.lane), lane.turn);
        lanes
            .min_by_key(|(_, lane)| order(lane))
            .map(|(index, _)| index)
    }

    fn record_positions(&mut self) {
        if !std::mem::replace(&mut self.is_recorded, true) {
            for lane in &self.lanes {
                if lane.reader.is_some() {
                    self.local.abort.note_unread();
                }
                self.local
                    .snapshots
                    .write_partition(&self.port, &lane.name, lane.end);
            }
        }
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
