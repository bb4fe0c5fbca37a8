//! What the operators of one worker share, and the loop that drives them.
//!
//! The loop is the only place that steps timely:
//! 1. a failure anywhere drops the dataflow at once, before anything can look complete;
//! 2. a stop becomes a cut to the next checkpoint;
//! 3. what has become due is cut, and the sources are woken if anything has moved;
//! 4. timely does its work, or waits;
//! 5. when every sink has passed the end, or the boundary of the stop, the writers are closed.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use timely::progress::frontier::MutableAntichain;
use timely::scheduling::Activator;
use timely::worker::Worker;

use super::Plan;
use crate::engine::abort::Abort;
use crate::engine::bad_records::BadRecordPolicy;
use crate::engine::bindings::Bindings;
use crate::engine::epochs::Epochs;
use crate::engine::tap::Tap;
use crate::engine::{Mode, Wait};
use crate::error::{Error, Problem};
use crate::graph::context;
use crate::io::BadRecord;
use crate::observe::{Counter, Counters};
use crate::state::snapshot::Snapshots;
use crate::time::Clock;
use crate::time::epoch::FOREVER;
use crate::time::lane::{Lane, Progress};

/// How long a worker sleeps at most before it looks around.
const NAP: Duration = Duration::from_millis(100);
/// The same where the clock is driven by hand, for nothing says when it will move.
const HAND_NAP: Duration = Duration::from_millis(1);

/// The least epoch of a frontier; [`FOREVER`] when nothing can come any more.
pub(crate) fn least(frontier: &MutableAntichain<u64>) -> u64 {
    frontier.frontier().first().copied().unwrap_or(FOREVER)
}

/// What the workers of a job share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) plan: Arc<Plan>,
    pub(crate) bindings: Arc<Bindings>,
    pub(crate) mode: Mode,
    pub(crate) wait: Wait,
    pub(crate) clock: Clock,
    pub(crate) epochs: Epochs,
    pub(crate) snapshots: Snapshots,
    pub(crate) abort: Abort,
    pub(crate) counters: Counters,
    pub(crate) limit: Option<u64>,
    pub(crate) tap: Option<Arc<dyn Tap>>,
}

/// What the operators of one worker share.
pub(crate) struct Local {
    pub(crate) index: usize,
    pub(crate) peers: usize,
    pub(crate) mode: Mode,
    pub(crate) clock: Clock,
    pub(crate) epochs: Epochs,
    pub(crate) snapshots: Snapshots,
    pub(crate) abort: Abort,
    pub(crate) bindings: Arc<Bindings>,
    /// How many records of each partition are read at most.
    pub(crate) limit: Option<u64>,
    /// What takes the place of every sink, if anything does.
    pub(crate) tap: Option<Arc<dyn Tap>>,
    counters: Counters,
    sources: RefCell<Vec<Activator>>,
    /// By source node: what to do with records that cannot be read.
    policies: RefCell<BTreeMap<u32, BadRecordPolicy>>,
    /// Whether there are any since the policies were last flushed.
    has_bad_records: Cell<bool>,
    /// The progress that lanes have made in event time.
    progress: RefCell<BTreeMap<Lane, Progress>>,
    /// The frontier of each sink.
    frontiers: RefCell<Vec<Rc<Cell<u64>>>>,
    closers: RefCell<Vec<Closer>>,
    /// When a source that waits for the clock wants to be woken.
    alarm: Cell<Option<Duration>>,
}

/// Closes a sink's writer. What goes wrong ends the job.
type Closer = Box<dyn FnOnce()>;

impl Local {
    fn new(shared: &Shared, index: usize, peers: usize) -> Self {
        Local {
            index,
            peers,
            mode: shared.mode,
            clock: shared.clock.clone(),
            epochs: shared.epochs.clone(),
            snapshots: shared.snapshots.clone(),
            abort: shared.abort.clone(),
            bindings: shared.bindings.clone(),
            limit: shared.limit,
            tap: shared.tap.clone(),
            counters: shared.counters.clone(),
            sources: RefCell::default(),
            policies: RefCell::default(),
            has_bad_records: Cell::new(false),
            progress: RefCell::default(),
            frontiers: RefCell::default(),
            closers: RefCell::default(),
            alarm: Cell::new(None),
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

    /// Treats a record of a lane that cannot be read as the lane's source says.
    pub(crate) fn bad_record(&self, lane: Lane, record: BadRecord) {
        if let Some(policy) = self.policies.borrow_mut().get_mut(&lane.origin) {
            policy.treat(lane.partition as usize, record, &self.abort);
            self.has_bad_records.set(true);
        }
    }

    /// Notes a lane's progress in event time.
    pub(crate) fn note_progress(&self, lane: Lane, progress: Progress) {
        self.progress
            .borrow_mut()
            .insert(Lane { path: 0, ..lane }, progress);
    }

    /// The progress of a lane in event time.
    pub(crate) fn progress_of(&self, lane: Lane) -> Progress {
        self.progress
            .borrow()
            .get(&lane)
            .copied()
            .unwrap_or(Progress::Open)
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

    fn wake_sources(&self) {
        self.sources.borrow().iter().for_each(Activator::activate);
    }

    /// Hands on the bad records of this step.
    fn flush_bad_records(&self) {
        if self.has_bad_records.take() {
            for policy in self.policies.borrow_mut().values_mut() {
                policy.flush(&self.abort);
            }
        }
    }

    fn close_writers(&self) {
        for policy in self.policies.borrow_mut().values_mut() {
            policy.close(&self.abort);
        }
        for close in self.closers.take() {
            if !self.abort.is_failed() {
                close();
            }
        }
    }
}

/// Runs one worker of a job, from building its graph to closing its writers.
pub(crate) fn work(worker: &mut Worker, shared: &Shared) {
    shared.abort.enlist();
    let result = crate::engine::guard::catch(|| drive(worker, shared));
    if let Err(error) = result.and_then(|result| result) {
        shared.abort.fail(error);
    }
    // A dataflow that is dropped cannot look complete to anybody.
    for dataflow in worker.installed_dataflows() {
        if let Err(error) = crate::engine::guard::catch(|| worker.drop_dataflow(dataflow)) {
            shared.abort.fail(error);
        }
    }
}

fn drive(worker: &mut Worker, shared: &Shared) -> Result<(), Error> {
    let local = Rc::new(Local::new(shared, worker.index(), worker.peers()));
    let graph = super::build(&shared.plan.name, &*shared.plan.pipeline)?;
    if graph.spec() != shared.plan.spec {
        return Err(Error::Plan(
            Problem::new("the pipeline's function built another graph on a worker than before")
                .hint("what it builds may not depend on anything that changes between calls"),
        ));
    }
    worker.dataflow(|scope| context::render(scope, &graph, &local));
    if run(worker, shared, &local)? {
        local.close_writers();
    }
    Ok(())
}

/// What a source must be woken for when it changes: each may let it read, or end its reading.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Moved {
    epoch: u64,
    acknowledged: u64,
    /// Another worker may make room, which moves nothing else here.
    has_room: bool,
    is_draining: bool,
}

/// Steps until the end. Tells whether it was a good one.
fn run(worker: &mut Worker, shared: &Shared, local: &Local) -> Result<bool, Error> {
    let mut seen = Moved::default();
    loop {
        if shared.abort.is_failed() {
            return Ok(false);
        }
        if shared.abort.is_stopping() {
            shared
                .epochs
                .cut_to_stop(|boundary| shared.snapshots.ask(boundary));
        }

        let now = shared.clock.elapsed();
        let acknowledged = local.acknowledged();
        if acknowledged >= shared.epochs.stop().unwrap_or(FOREVER) {
            return Ok(true);
        }
        shared.epochs.tick(now, acknowledged);

        let moved = Moved {
            epoch: shared.epochs.current(),
            acknowledged,
            has_room: shared.epochs.has_room(),
            is_draining: shared.abort.is_draining(),
        };
        let alarm = local.alarm.get().is_some_and(|alarm| alarm <= now);
        if moved != seen || alarm {
            seen = moved;
            local.alarm.set(None);
            local.wake_sources();
        }
        match shared.wait {
            Wait::Spin => worker.step(),
            Wait::Park => worker.step_or_park(Some(nap(shared, local, now))),
        };
        local.flush_bad_records();
    }
}

/// How long a worker may sleep when nobody wakes it.
fn nap(shared: &Shared, local: &Local, now: Duration) -> Duration {
    if !shared.clock.runs_by_itself() {
        return HAND_NAP;
    }
    let due = [shared.epochs.deadline(), local.alarm.get()]
        .into_iter()
        .flatten()
        .min();
    due.map_or(NAP, |due| due.saturating_sub(now).min(NAP))
}
