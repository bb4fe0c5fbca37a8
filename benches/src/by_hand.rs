//! The other side: the same computations in timely 0.32, as somebody writes them who knows it well.
//!
//! What makes these fast, and is easily missed:
//! * `for_each` on the input and the builder of the session, in place of `for_each_stamp` and
//!   `give`;
//! * one operator for a chain of stateless stages;
//! * one hash map a worker with a fast hash, and the first session of a user inside its entry;
//! * a held capability that follows the frontier, so that nothing old is pinned;
//! * a source that stops at a bound of slices in flight and is woken when one is through, for
//!   timely's own queues have no bound.
//!
//! Nothing here handles a failure, a restart, a stop or a late lane; the pipelines do.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use stream_core::run::Wait;
use timely::ExchangeData;
use timely::container::{CapacityContainerBuilder, PushInto};
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::generic::operator::source;
use timely::dataflow::operators::generic::{Operator, OutputBuilder, OutputBuilderSession};
use timely::dataflow::{Scope, StreamVec};
use timely::progress::frontier::MutableAntichain;
use timely::scheduling::Activator;

use crate::latency::{Arrivals, Plan, Schedule, Ticket, WORKERS};
use crate::measure::{Digest, Row, mix};
use crate::overhead::data::{Click, GAP_MINS, LATENESS_SECS, Shares};
use crate::overhead::stages::*;

/// How many records the source sends at once.
const CHUNK_RECORDS: usize = 1_024;
/// How many chunks it sends before the other operators have their turn.
const CHUNKS: usize = 4;
/// How many slices may be in flight.
const SLICES_IN_FLIGHT: u64 = 8;

type Rows<T> = CapacityContainerBuilder<Vec<T>>;
type Map<V> = HashMap<u64, V, FixedState>;

/// Runs a computation on one worker a share, in slices of so many records, and digests its rows.
pub(crate) fn run<T, O>(
    shares: &Shares<T>,
    slice: u64,
    build: for<'s> fn(StreamVec<'s, u64, T>) -> StreamVec<'s, u64, O>,
) -> Digest
where
    T: ExchangeData + Copy + Sync,
    O: Row + Clone,
{
    let total = Arc::new(Mutex::new(Digest::default()));
    let (sum, shares) = (total.clone(), shares.clone());
    let workers = shares.shares.len();
    let config = match workers {
        1 => timely::Config::thread(),
        workers => timely::Config::process(workers),
    };
    let guards = timely::execute(config, move |worker| {
        let pace = Rc::new(Pace::default());
        worker.dataflow::<u64, _, _>(|scope| {
            let share = shares.shares[scope.index()].clone();
            let slice = slice as usize / scope.peers();
            let records = read(scope, share, shares.times, slice, pace.clone());
            digest(build(records), pace.clone(), sum.clone());
        });
        let mut seen = 0;
        while worker.has_dataflows() {
            let acknowledged = pace.acknowledged.get();
            if std::mem::replace(&mut seen, acknowledged) != acknowledged {
                pace.source.borrow().iter().for_each(Activator::activate);
            }
            worker.step_or_park(None);
        }
    });
    drop(guards.expect("the workers start"));
    let total = total.lock().unwrap_or_else(PoisonError::into_inner);
    total.clone()
}

/// What the source and the sink of a worker tell each other.
#[derive(Default)]
struct Pace {
    /// The frontier of the sink: every earlier slice is through.
    acknowledged: Cell<u64>,
    source: RefCell<Option<Activator>>,
}

/// Sends a share in chunks; the slice that it is in is the timestamp.
fn read<T: ExchangeData + Copy + Sync>(
    scope: Scope<'_, u64>,
    share: Arc<[T]>,
    times: usize,
    slice: usize,
    pace: Rc<Pace>,
) -> StreamVec<'_, u64, T> {
    source(scope, "Read", |capability, info| {
        *pace.source.borrow_mut() = Some(scope.activator_for(info.address.clone()));
        let activator = scope.activator_for(info.address);
        let mut capability = Some(capability);
        let (mut next, mut times, mut epoch, mut sent) = (0, times, 0, 0);
        move |output: &mut OutputBuilderSession<'_, u64, Rows<T>>| {
            for _ in 0..CHUNKS {
                let Some(held) = &mut capability else { return };
                if epoch >= pace.acknowledged.get() + SLICES_IN_FLIGHT {
                    return;
                }
                let end = share.len().min(next + CHUNK_RECORDS.min(slice - sent));
                let mut chunk = share[next..end].to_vec();
                sent += chunk.len();
                output.session(&*held).give_container(&mut chunk);
                if sent == slice {
                    (epoch, sent) = (epoch + 1, 0);
                    held.downgrade(&epoch);
                }
                next = end;
                if end == share.len() {
                    (next, times) = (0, times - 1);
                    if times == 0 {
                        capability = None;
                    }
                }
            }
            activator.activate();
        }
    })
}

/// Adds up the rows, and notes which slices are through.
fn digest<O: Row + Clone>(rows: StreamVec<'_, u64, O>, pace: Rc<Pace>, sum: Arc<Mutex<Digest>>) {
    let mut digest = Digest::default();
    rows.sink(Pipeline, "Digest", move |(input, frontier)| {
        input.for_each(|_, rows| rows.drain(..).for_each(|row| row.digest(&mut digest)));
        let reached = least(frontier);
        pace.acknowledged.set(reached);
        if reached == u64::MAX {
            let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
            sum.merge(std::mem::take(&mut digest));
        }
    });
}

/// The frontier as a number; the greatest there is when the input has ended.
fn least(frontier: &MutableAntichain<u64>) -> u64 {
    frontier.frontier().first().copied().unwrap_or(u64::MAX)
}

/// The eight stages in one operator.
pub(crate) fn eight_stages(numbers: StreamVec<'_, u64, u64>) -> StreamVec<'_, u64, u64> {
    numbers.unary::<Rows<u64>, _, _, _>(Pipeline, "EightStages", |_, _| {
        |input, output| {
            input.for_each(|capability, numbers| {
                let mut session = output.session(&capability);
                let builder = session.builder();
                for n in numbers.drain(..) {
                    let n = scale(n);
                    if most(&n) {
                        let n = shift(n);
                        if many(&n) {
                            let n = fold(n);
                            if some(&n) {
                                builder.push_into(turn(spread(n)));
                            }
                        }
                    }
                }
                session.extract_and_send();
            });
        }
    })
}

/// Counts by key; every key that has changed is emitted at the close of each slice.
pub(crate) fn count_by_slice(keys: StreamVec<'_, u64, u64>) -> StreamVec<'_, u64, (u64, u64)> {
    let by_key = Exchange::new(|key: &u64| *key);
    keys.unary_frontier::<Rows<(u64, u64)>, _, _, _>(by_key, "CountBySlice", |held, _| {
        let mut held = Some(held);
        // By key: the count, and the last slice in which it changed.
        let mut counts: Map<(u64, u64)> = Map::default();
        let mut waiting: BTreeMap<u64, Vec<Vec<u64>>> = BTreeMap::new();
        let mut changed = Vec::new();
        move |(input, frontier), output| {
            input.for_each(|capability, keys| {
                let epoch = *capability.least().expect("every slice has an epoch");
                waiting.entry(epoch).or_default().push(std::mem::take(keys));
            });
            let reached = least(frontier);
            while let Some(first) = waiting.first_entry().filter(|first| *first.key() < reached) {
                let (epoch, chunks) = first.remove_entry();
                for key in chunks.into_iter().flatten() {
                    let (count, changed_in) = counts.entry(key).or_insert((0, u64::MAX));
                    *count += 1;
                    if std::mem::replace(changed_in, epoch) != epoch {
                        changed.push(key);
                    }
                }
                if let Some(held) = &mut held {
                    held.downgrade(&epoch);
                    let mut session = output.session(&*held);
                    session.give_iterator(changed.drain(..).map(|key| (key, counts[&key].0)));
                }
            }
            follow(&mut held, reached);
        }
    })
}

/// Counts by key; every key is emitted at the end of input.
pub(crate) fn count_at_end(keys: StreamVec<'_, u64, u64>) -> StreamVec<'_, u64, (u64, u64)> {
    let by_key = Exchange::new(|key: &u64| *key);
    keys.unary_frontier::<Rows<(u64, u64)>, _, _, _>(by_key, "CountAtEnd", |held, _| {
        let mut held = Some(held);
        let mut counts: Map<u64> = Map::default();
        move |(input, frontier), output| {
            input.for_each(|_, keys| {
                for key in keys.drain(..) {
                    *counts.entry(key).or_insert(0) += 1;
                }
            });
            let reached = least(frontier);
            if let (u64::MAX, Some(held)) = (reached, &held) {
                output.session(held).give_iterator(counts.drain());
            }
            follow(&mut held, reached);
        }
    })
}

type Held = timely::dataflow::operators::Capability<u64>;

/// Moves a held capability on to the frontier, and drops it at the end.
fn follow(held: &mut Option<Held>, reached: u64) {
    match held {
        Some(_) if reached == u64::MAX => *held = None,
        Some(held) if *held.time() < reached => held.downgrade(&reached),
        _ => {}
    }
}

/// A session that is complete.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    user: u64,
    start: i64,
    end: i64,
    clicks: u64,
}

impl Row for Session {
    #[inline]
    fn digest(&self, digest: &mut Digest) {
        let bounds = mix(self.start.cast_unsigned(), self.end.cast_unsigned());
        digest.add(mix(bounds, mix(self.user, self.clicks)));
    }
}

const LATENESS: i64 = LATENESS_SECS as i64 * 1_000_000;
const GAP: i64 = GAP_MINS as i64 * 60_000_000;

/// What a worker promises another: no click of mine that is on time will be older.
type Promise = (u64, usize, i64);

/// Sessions: clicks of a user that lie less than a gap apart, without the clicks that are late.
pub(crate) fn sessions(clicks: StreamVec<'_, u64, Click>) -> StreamVec<'_, u64, Session> {
    let (clicks, promises) = on_time(clicks);
    let mut builder = OperatorBuilder::new("Sessions".to_owned(), clicks.scope());
    let peers = clicks.scope().peers();
    let mut clicks = builder.new_input(clicks, Exchange::new(|click: &Click| click.user));
    let mut promises = builder.new_input(promises, Exchange::new(|promise: &Promise| promise.0));
    let (output, stream) = builder.new_output();
    let mut output = OutputBuilder::<_, Rows<Session>>::from(output);
    builder.build(move |mut held| {
        let mut held = held.pop();
        let mut open = OpenSessions::default();
        let mut promised: BTreeMap<u64, Vec<(usize, i64)>> = BTreeMap::new();
        let mut lanes = vec![i64::MIN; peers];
        move |frontiers| {
            let mut output = output.activate();
            promises.for_each(|capability, promises| {
                let epoch = *capability.least().expect("every slice has an epoch");
                let heard = promises.drain(..).map(|(_, lane, time)| (lane, time));
                promised.entry(epoch).or_default().extend(heard);
            });
            let reached = least(&frontiers[0]).min(least(&frontiers[1]));
            while let Some(first) = promised
                .first_entry()
                .filter(|first| *first.key() < reached)
            {
                for (lane, time) in first.remove() {
                    lanes[lane] = lanes[lane].max(time);
                }
            }
            let watermark = lanes.iter().copied().min().unwrap_or(i64::MIN);
            let watermark = if reached == u64::MAX {
                i64::MAX
            } else {
                watermark
            };
            if let Some(held) = &held {
                let mut session = output.session(held);
                open.complete(watermark, |complete| session.give(complete));
            }
            follow(&mut held, reached);
            clicks.for_each(|_, clicks| clicks.drain(..).for_each(|click| open.add(click)));
        }
    });
    stream
}

/// Drops the clicks that are late, and tells every worker how far this one has come.
fn on_time<'s>(
    clicks: StreamVec<'s, u64, Click>,
) -> (StreamVec<'s, u64, Click>, StreamVec<'s, u64, Promise>) {
    let scope = clicks.scope();
    let mut builder = OperatorBuilder::new("OnTime".to_owned(), scope);
    let mut clicks = builder.new_input(clicks, Pipeline);
    let (output, on_time) = builder.new_output();
    let (promises, promised) = builder.new_output();
    let mut output = OutputBuilder::<_, Rows<Click>>::from(output);
    let mut promises = OutputBuilder::<_, Rows<Promise>>::from(promises);
    let (index, peers) = (scope.index(), scope.peers() as u64);
    builder.build(move |_| {
        let mut high = i64::MIN + LATENESS;
        move |_| {
            let (mut output, mut promises) = (output.activate(), promises.activate());
            clicks.for_each(|capability, clicks| {
                let mut session = output.session(&capability);
                let builder = session.builder();
                for click in clicks.drain(..) {
                    if click.at >= high - LATENESS {
                        high = high.max(click.at);
                        builder.push_into(click);
                    }
                }
                session.extract_and_send();
                let all = (0..peers).map(|peer| (peer, index, high - LATENESS));
                promises.session(&capability).give_iterator(all);
            });
        }
    });
    (on_time, promised)
}

/// The sessions that are open, by user, and when to look at a user again.
#[derive(Default)]
struct OpenSessions {
    users: Map<Visits>,
    timers: BinaryHeap<Reverse<(i64, u64)>>,
}

/// The open sessions of a user, of which there is nearly always one.
struct Visits {
    first: Visit,
    others: Vec<Visit>,
}

#[derive(Clone, Copy)]
struct Visit {
    start: i64,
    end: i64,
    /// When a timer is set for it; not after its end.
    timer: i64,
    clicks: u64,
}

impl OpenSessions {
    #[inline]
    fn add(&mut self, Click { user, at }: Click) {
        let end = at + GAP;
        let new = Visit {
            start: at,
            end,
            timer: end,
            clicks: 1,
        };
        match self.users.entry(user) {
            Entry::Vacant(entry) => {
                let others = Vec::new();
                entry.insert(Visits { first: new, others });
                self.timers.push(Reverse((end, user)));
            }
            Entry::Occupied(mut entry) => {
                let visits = entry.get_mut();
                if visits.others.is_empty() && visits.first.overlaps(&new) {
                    visits.first.join(&new);
                } else if visits.add(new) {
                    self.timers.push(Reverse((end, user)));
                }
            }
        }
    }

    /// Emits the sessions that are complete.
    fn complete(&mut self, watermark: i64, mut emit: impl FnMut(Session)) {
        while let Some(Reverse((time, user))) = self.timers.peek().copied() {
            if time > watermark {
                return;
            }
            self.timers.pop();
            let Entry::Occupied(mut entry) = self.users.entry(user) else {
                continue;
            };
            let visits = entry.get_mut();
            let mut emit = |visit: &Visit| {
                emit(Session {
                    user,
                    start: visit.start,
                    end: visit.end,
                    clicks: visit.clicks,
                });
            };
            let complete = |visit: &mut Visit| visit.end <= watermark;
            visits
                .others
                .extract_if(.., complete)
                .for_each(|visit| emit(&visit));
            if visits.first.end <= watermark {
                emit(&visits.first);
                match visits.others.pop() {
                    Some(other) => visits.first = other,
                    None => {
                        entry.remove();
                        continue;
                    }
                }
            }
            for visit in std::iter::once(&mut visits.first).chain(&mut visits.others) {
                if visit.timer == time {
                    visit.timer = visit.end;
                    self.timers.push(Reverse((visit.end, user)));
                }
            }
        }
    }
}

impl Visits {
    /// Adds a click's visit to those that it overlaps. Tells whether it stands alone.
    fn add(&mut self, new: Visit) -> bool {
        self.others.push(self.first);
        let mut joined: Option<Visit> = None;
        for mut visit in self.others.extract_if(.., |visit| visit.overlaps(&new)) {
            if let Some(joined) = &joined {
                visit.timer = visit.timer.min(joined.timer);
                visit.join(joined);
            }
            joined = Some(visit);
        }
        if let Some(joined) = &mut joined {
            joined.join(&new);
        }
        self.first = joined.unwrap_or(new);
        joined.is_none()
    }
}

impl Visit {
    #[inline]
    fn overlaps(&self, other: &Visit) -> bool {
        self.start < other.end && other.start < self.end
    }

    /// Takes another visit in; the timer stays where it is.
    #[inline]
    fn join(&mut self, other: &Visit) {
        self.start = self.start.min(other.start);
        self.end = self.end.max(other.end);
        self.clicks += other.clicks;
    }
}

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
                pace.source.borrow().iter().for_each(Activator::activate);
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
        *pace.source.borrow_mut() = Some(scope.activator_for(info.address));
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
