//! The loop that drives a worker: the only place that steps timely.
//!
//! 1. a failure anywhere drops the dataflow at once, before anything can look complete;
//! 2. a stop becomes a cut to the next checkpoint;
//! 3. what has become due is cut, and the sources are woken if anything has moved;
//! 4. timely does its work, or waits;
//! 5. when every sink has passed the end, or the boundary of the stop, and every operator has saved what it
//!    was to, the writers are closed.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use timely::worker::Worker;

use super::Plan;
use super::warnings::Limits;
use crate::engine::Wait;
use crate::engine::local::{Local, Shared};
use crate::error::{Error, Problem};
use crate::graph::context;
use crate::time::epoch::FOREVER;

/// How long a worker sleeps at most before it looks around.
const NAP: Duration = Duration::from_millis(100);
/// How often a worker that spins looks around, where nothing moves, before it leaves its core to
/// whoever wants it. One that never did would keep another worker from sending what it waits for,
/// where there are more threads than cores.
const SPINS: u64 = 50;
/// Every so many looks it leaves its core then: each time costs as much as a few looks.
const SPINS_BETWEEN: u64 = 8;
/// The same where the clock is driven by hand, for nothing says when it will move.
const HAND_NAP: Duration = Duration::from_millis(1);

/// How often a worker tells how far it is, where somebody asks.
const TELL_EVERY: Duration = Duration::from_millis(100);

/// What the workers of a job are given.
#[derive(Clone)]
pub(crate) struct Team {
    pub(crate) plan: Arc<Plan>,
    pub(crate) wait: Wait,
    pub(crate) limits: Limits,
    /// The sinks that are not aborted: they were committed for the last time, or have failed to be.
    pub(crate) settled: Arc<Mutex<BTreeSet<String>>>,
    pub(crate) shared: Shared,
}

/// Runs one worker of a job, from building its graph to closing its writers.
pub(crate) fn work(worker: &mut Worker, team: &Team) {
    team.shared.abort.enlist();
    let result = crate::engine::guard::catch(|| drive(worker, team));
    if let Err(error) = result.and_then(|result| result) {
        team.shared.abort.fail(error);
    }
    // A dataflow that is dropped cannot look complete to anybody.
    for dataflow in worker.installed_dataflows() {
        if let Err(error) = crate::engine::guard::catch(|| worker.drop_dataflow(dataflow)) {
            team.shared.abort.fail(error);
        }
    }
}

fn drive(worker: &mut Worker, team: &Team) -> Result<(), Error> {
    let local = Rc::new(Local::new(&team.shared, worker.index(), worker.peers()));
    let graph = super::build(&team.plan.name, &*team.plan.pipeline)?;
    if graph.spec() != team.plan.spec {
        return Err(Error::Plan(
            Problem::new("the pipeline's function built another graph on a worker than before")
                .hint("what it builds may not depend on anything that changes between calls"),
        ));
    }
    worker.dataflow(|scope| context::render(scope, &graph, &local));
    team.shared.checkpoints.rendered();
    team.shared.turns.rendered();
    if run(worker, team, &local)? {
        let is_end = team.shared.epochs.stop().is_none();
        local.close_writers(is_end.then(|| team.shared.checkpoints.end()));
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
    /// One of another worker may have had the turn that a source here gave way to.
    handed_over: u64,
    is_draining: bool,
    have_all_ended: bool,
}

/// Steps until the end. Tells whether it was a good one.
fn run(worker: &mut Worker, team: &Team, local: &Local) -> Result<bool, Error> {
    let mut seen = Moved::default();
    let mut idle: u64 = 0;
    let mut passed = 0;
    let mut tell_at = Duration::ZERO;
    loop {
        if team.shared.abort.is_failed() {
            return Ok(false);
        }
        if team.shared.abort.is_stopping() {
            team.shared
                .epochs
                .cut_to_stop(|boundary| team.shared.checkpoints.ask_last(boundary));
        }

        let now = team.shared.clock.elapsed();
        let acknowledged = local.acknowledged();
        if acknowledged != passed
            && let Some(timing) = &team.shared.timing
        {
            passed = acknowledged;
            timing.passed(acknowledged, now);
        }
        local.prepare_dead_letters(acknowledged);
        let end = team.shared.epochs.stop().unwrap_or(FOREVER);
        if acknowledged >= end && local.saves.are_done() {
            return Ok(true);
        }
        team.shared.epochs.tick(now, acknowledged);
        if team.shared.watermarks.is_asked() && now >= tell_at {
            tell_at = now + TELL_EVERY;
            team.shared.watermarks.tell(local.index, local.slowest());
        }

        if local.had_no_room.take() {
            seen.has_room = false;
        }
        let moved = Moved {
            epoch: team.shared.epochs.current(),
            acknowledged,
            has_room: local.may_read(),
            handed_over: local.turns.handed_over(),
            is_draining: team.shared.abort.is_draining(),
            have_all_ended: team.shared.epochs.have_all_ended(),
        };
        let alarm = local.alarm.get().is_some_and(|alarm| alarm <= now);
        if moved != seen || alarm {
            (seen, idle) = (moved, 0);
            local.alarm.set(None);
            local.wake_sources();
        }
        match team.wait {
            Wait::Park => worker.step_or_park(Some(nap(team, local, now))),
            Wait::Spin => {
                idle += 1;
                if idle > SPINS && idle.is_multiple_of(SPINS_BETWEEN) {
                    std::thread::yield_now();
                }
                worker.step()
            }
        };
        local.flush_bad_records();
    }
}

/// How long a worker may sleep when nobody wakes it.
fn nap(team: &Team, local: &Local, now: Duration) -> Duration {
    if !team.shared.clock.runs_by_itself() {
        return HAND_NAP;
    }
    let due = [team.shared.epochs.deadline(), local.alarm.get()]
        .into_iter()
        .flatten()
        .min();
    due.map_or(NAP, |due| due.saturating_sub(now).min(NAP))
}
