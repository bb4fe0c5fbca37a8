//! The other side of the latency benchmark: a count by key that is emitted at once.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use stream_core::run::Wait;
use timely::container::PushInto;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::generic::operator::source;
use timely::dataflow::operators::generic::{Operator, OutputBuilderSession};
use timely::dataflow::{Scope, StreamVec};
use timely::scheduling::Activator;

use super::{Map, Pace, Rows, least};
use crate::latency::{Arrivals, Plan, Schedule, Ticket, WORKERS};

/// The count by key of the latency benchmark, emitted at once.
///
/// All workers send at one shared timestamp. Whoever sees that everything of it is through moves it
/// on; the others follow.
pub(crate) fn latency(plan: Plan, wait: Wait) -> Arrivals {
    let total = Arc::new(Mutex::new(Arrivals::new(plan)));
    let sum = total.clone();
    let epoch = Arc::new(AtomicU64::new(0));
    let guards = timely::execute(timely::Config::process(WORKERS), move |worker| {
        let pace = Rc::new(Pace::default());
        let due = Rc::new(Cell::new(None));
        worker.dataflow::<u64, _, _>(|scope| {
            let schedule = plan.schedule(scope.index());
            let tickets = tickets(scope, schedule, epoch.clone(), pace.clone(), due.clone());
            arrive(count_at_once(tickets), plan, pace.clone(), sum.clone());
        });
        let mut seen = (0, 0);
        while worker.has_dataflows() {
            let moved = (pace.acknowledged.get(), epoch.load(Ordering::Acquire));
            let is_due = due.get().is_some_and(|due| due <= plan.now());
            if std::mem::replace(&mut seen, moved) != moved || is_due {
                pace.sources.borrow().iter().for_each(Activator::activate);
            }
            match wait {
                Wait::Spin => worker.step(),
                Wait::Park => worker.step_or_park(due.get().map(|due| plan.until(due))),
            };
        }
    });
    drop(guards.expect("the workers start"));
    let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
    std::mem::replace(&mut *total, Arrivals::new(plan))
}

/// Sends what is due. `due` tells when there will be more.
fn tickets(
    scope: Scope<'_, u64>,
    mut schedule: Schedule,
    epoch: Arc<AtomicU64>,
    pace: Rc<Pace>,
    due: Rc<Cell<Option<Duration>>>,
) -> StreamVec<'_, u64, Ticket> {
    source(scope, "Tickets", |capability, info| {
        let woken = scope.activator_for(info.address);
        pace.sources.borrow_mut().push(woken);
        due.set(schedule.due());
        let mut capability = Some(capability);
        let mut sent_in = None;
        move |output: &mut OutputBuilderSession<'_, u64, Rows<Ticket>>| {
            let Some(held) = &mut capability else { return };
            let current = epoch.load(Ordering::Acquire);
            if *held.time() < current {
                held.downgrade(&current);
            }
            let now = schedule.now();
            let mut session = output.session(&*held);
            while let Some(ticket) = schedule.take(now) {
                session.give(ticket);
                sent_in = Some(current);
            }
            drop(session);
            if sent_in == Some(current) && pace.acknowledged.get() >= current {
                // When another worker was faster, this one follows it the next time.
                let next = current + 1;
                let (success, failure) = (Ordering::AcqRel, Ordering::Acquire);
                let moved = epoch.compare_exchange(current, next, success, failure);
                if moved.is_ok() {
                    held.downgrade(&next);
                }
            }
            due.set(schedule.due());
            if due.get().is_none() {
                capability = None;
            }
        }
    })
}

/// Counts by key and emits every count at once, with the time at which its last record was due.
fn count_at_once(tickets: StreamVec<'_, u64, Ticket>) -> StreamVec<'_, u64, (u64, u64, u64)> {
    let by_key = Exchange::new(|ticket: &Ticket| ticket.0);
    tickets.unary::<Rows<(u64, u64, u64)>, _, _, _>(by_key, "CountAtOnce", |_, _| {
        let mut counts: Map<u64> = Map::default();
        move |input, output| {
            input.for_each(|capability, tickets| {
                let mut session = output.session(&capability);
                let builder = session.builder();
                for (key, due) in tickets.drain(..) {
                    let count = counts.entry(key).or_insert(0);
                    *count += 1;
                    builder.push_into((key, *count, due));
                }
                session.extract_and_send();
            });
        }
    })
}

/// Notes when rows arrive, and which timestamps are through.
fn arrive(
    rows: StreamVec<'_, u64, (u64, u64, u64)>,
    plan: Plan,
    pace: Rc<Pace>,
    sum: Arc<Mutex<Arrivals>>,
) {
    let mut arrivals = Some(Arrivals::new(plan));
    rows.sink(Pipeline, "Arrive", move |(input, frontier)| {
        input.for_each(|_, rows| {
            if let Some(arrivals) = &mut arrivals {
                arrivals.note(rows.drain(..).map(|(_, _, due)| due));
            }
        });
        let reached = least(frontier);
        pace.acknowledged.set(reached);
        if let Some(arrivals) = arrivals.take_if(|_| reached == u64::MAX) {
            let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
            sum.merge(&arrivals);
        }
    });
}
