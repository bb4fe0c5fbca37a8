//! What the operators of one worker share.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use timely::scheduling::Activator;

use super::Mode;
use super::abort::Abort;
use super::bad_records::BadRecordPolicy;
use super::bindings::Bindings;
use super::epochs::Epochs;
use super::lane::{Lane, Progress};
use super::sides::Sides;
use super::tap::Tap;
use super::timing::Timing;
use super::turns::Turns;
use crate::error::BadRecord;
use crate::observe::{Counter, Counters, Slowest, Watermarks};
use crate::state::checkpoint::{Boundary, Checkpoints};
use crate::time::epoch::FOREVER;
use crate::time::{Clock, Leap};

/// What the workers of a job share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) bindings: Arc<Bindings>,
    pub(crate) mode: Mode,
    pub(crate) clock: Clock,
    pub(crate) epochs: Epochs,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) abort: Abort,
    pub(crate) counters: Counters,
    pub(crate) watermarks: Watermarks,
    /// Which inputs are read before others.
    pub(crate) sides: Sides,
    /// Which source reads next.
    pub(crate) turns: Turns,
    /// How many records of each partition are read at most.
    pub(crate) limit: Option<u64>,
    /// How far a record may leap, where the job says so.
    pub(crate) leap: Option<Leap>,
    /// What takes the place of every sink, if anything does.
    pub(crate) tap: Option<Arc<dyn Tap>>,
    /// Who listens to when records are planned, and when they are through.
    pub(crate) timing: Option<Arc<dyn Timing>>,
}

/// What the operators of one worker share: what all workers do, and what is its own.
pub(crate) struct Local {
    pub(crate) index: usize,
    pub(crate) peers: usize,
    shared: Shared,
    sources: RefCell<Vec<Activator>>,
    /// By source node: what to do with records that cannot be read.
    policies: RefCell<BTreeMap<u32, BadRecordPolicy>>,
    /// Whether there are any since the policies were last flushed.
    has_bad_records: Cell<bool>,
    /// By the node and the partition that a lane begins at: its progress in event time.
    progress: RefCell<BTreeMap<u32, Vec<Option<Progress>>>>,
    /// The frontier of each sink.
    frontiers: RefCell<Vec<Rc<Cell<u64>>>>,
    closers: RefCell<Vec<Closer>>,
    /// Whether a source had no room: there may be some by now.
    pub(crate) had_no_room: Cell<bool>,
    /// When a source that waits for the clock wants to be woken.
    pub(crate) alarm: Cell<Option<Duration>>,
    pub(crate) saves: Saves,
}

/// How many operators of a worker are saving their state: what passes a boundary does not wait for them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Saves(Rc<Cell<usize>>);

impl Saves {
    pub(crate) fn begin(&self) {
        self.0.set(self.0.get() + 1);
    }

    pub(crate) fn end(&self) {
        self.0.set(self.0.get() - 1);
    }

    /// Whether none is.
    pub(crate) fn are_done(&self) -> bool {
        self.0.get() == 0
    }
}

/// Closes a sink's writer; at the end of all input it prepares first what is left. What goes wrong
/// ends the job.
type Closer = Box<dyn FnOnce(Option<Boundary>)>;

impl Deref for Local {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.shared
    }
}

impl Local {
    pub(crate) fn new(shared: &Shared, index: usize, peers: usize) -> Self {
        Local {
            index,
            peers,
            shared: shared.clone(),
            sources: RefCell::default(),
            policies: RefCell::default(),
            has_bad_records: Cell::new(false),
            progress: RefCell::default(),
            frontiers: RefCell::default(),
            closers: RefCell::default(),
            had_no_room: Cell::new(false),
            alarm: Cell::new(None),
            saves: Saves::default(),
        }
    }

    /// A counter of an operator on this worker.
    pub(crate) fn counter(&self, operator: &str, name: &'static str) -> Counter {
        self.counters.counter(operator, name)
    }

    /// Adds a source that is to be woken when something has moved.
    pub(crate) fn add_source(&self, node: usize, activator: Activator, policy: BadRecordPolicy) {
        self.sources.borrow_mut().push(activator);
        self.policies.borrow_mut().insert(node as u32, policy);
    }

    /// Treats a record of a lane that cannot be read as the lane's source says. It came in an epoch.
    pub(crate) fn bad_record(&self, epoch: u64, lane: Lane, record: BadRecord) {
        if let Some(policy) = self.policies.borrow_mut().get_mut(&lane.origin) {
            policy.treat(epoch, lane.partition as usize, record, &self.abort);
            self.has_bad_records.set(true);
        }
    }

    /// Adds the name of a partition of a source, the one behind those that are known.
    pub(crate) fn add_place(&self, node: usize, name: &str) {
        if let Some(policy) = self.policies.borrow_mut().get_mut(&(node as u32)) {
            policy.add_place(name);
        }
    }

    /// The name of the partition that a lane begins at.
    pub(crate) fn place_of(&self, lane: Lane) -> String {
        let policies = self.policies.borrow();
        let policy = policies.get(&lane.origin);
        policy.map_or_else(String::new, |policy| policy.place(lane.partition as usize))
    }

    /// Notes a lane's progress in event time; where it is told twice, the greatest counts.
    pub(crate) fn note_progress(&self, lane: Lane, progress: Progress) {
        if lane.is_of_discovery() {
            return; // it holds nothing up
        }
        let mut known = self.progress.borrow_mut();
        let lanes = known.entry(lane.origin).or_default();
        let partition = lane.partition as usize;
        if partition >= lanes.len() {
            lanes.resize(partition + 1, None);
        }
        lanes[partition] = lanes[partition].max(Some(progress));
    }

    /// The progress of a lane in event time.
    pub(crate) fn progress_of(&self, lane: Lane) -> Progress {
        let known = self.progress.borrow();
        let lanes = known.get(&lane.origin);
        let progress = lanes.and_then(|lanes| lanes.get(lane.partition as usize));
        progress.copied().flatten().unwrap_or(Progress::Open)
    }

    /// The lane of this worker that has come least far in event time, of those that have not ended.
    pub(crate) fn slowest(&self) -> Option<Slowest> {
        let (known, policies) = (self.progress.borrow(), self.policies.borrow());
        let lanes = known.iter().flat_map(|(origin, lanes)| {
            let lanes = lanes.iter().enumerate();
            lanes.filter_map(|(partition, progress)| Some(((*progress)?, *origin, partition)))
        });
        let (progress, origin, partition) = lanes.min()?;
        let time = match progress {
            Progress::Open => None,
            Progress::At(time) => Some(time),
            Progress::End => return None,
        };
        let policy = policies.get(&origin)?;
        Some(Slowest {
            time,
            port: policy.port().to_owned(),
            partition: policy.place(partition),
        })
    }

    /// Adds a sink: where it keeps its frontier, and how its writer is closed.
    pub(crate) fn add_sink(&self, close: Closer) -> Rc<Cell<u64>> {
        let frontier = Rc::new(Cell::new(0));
        self.frontiers.borrow_mut().push(frontier.clone());
        self.closers.borrow_mut().push(close);
        frontier
    }

    /// Asks to be woken at a time of the job's clock.
    pub(crate) fn wake_at(&self, time: Duration) {
        self.alarm
            .set(Some(self.alarm.get().map_or(time, |alarm| alarm.min(time))));
    }

    /// Every record of an earlier epoch has passed all sinks of all workers.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.frontiers
            .borrow()
            .iter()
            .map(|frontier| frontier.get())
            .min()
            .unwrap_or(FOREVER)
    }

    /// Whether sources may read.
    pub(crate) fn may_read(&self) -> bool {
        self.epochs.has_room() && !self.checkpoints.is_full()
    }

    pub(crate) fn wake_sources(&self) {
        self.sources.borrow().iter().for_each(Activator::activate);
    }

    /// Hands on the bad records of this step.
    pub(crate) fn flush_bad_records(&self) {
        if self.has_bad_records.take() {
            for policy in self.policies.borrow_mut().values_mut() {
                policy.flush(&self.abort);
            }
        }
    }

    /// Prepares the dead letters of checkpoints that all sinks have passed: no bad record from before
    /// them will come.
    pub(crate) fn prepare_dead_letters(&self, acknowledged: u64) {
        for policy in self.policies.borrow_mut().values_mut() {
            policy.prepare_before(acknowledged, &self.abort);
        }
    }

    /// Closes the writers; at the end of all input they prepare first what is left.
    pub(crate) fn close_writers(&self, end: Option<Boundary>) {
        for policy in self.policies.borrow_mut().values_mut() {
            policy.close(end, &self.abort);
        }
        for close in self.closers.take() {
            if !self.abort.is_failed() {
                close(end);
            }
        }
    }
}
