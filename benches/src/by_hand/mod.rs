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

mod in_time;
mod joins;
mod latency;
mod sessions;
mod tables;
mod windows;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use timely::ExchangeData;
use timely::container::{CapacityContainerBuilder, PushInto};
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::operator::source;
use timely::dataflow::operators::generic::{Operator, OutputBuilderSession};
use timely::dataflow::{Scope, StreamVec};
use timely::progress::frontier::MutableAntichain;
use timely::scheduling::Activator;

pub(crate) use self::in_time::in_time;
pub(crate) use self::joins::IntervalJoin;
pub(crate) use self::latency::latency;
pub(crate) use self::sessions::Sessions;
pub(crate) use self::tables::{
    Count, Counts, Six, Top, at_end, by_slice, means_at_end, means_by_slice,
};
pub(crate) use self::windows::{Dedup, Sliding};
use crate::measure::{Digest, Row};
use crate::overhead::data::Shares;
use crate::overhead::stages::*;

/// How many records the source sends at once.
const CHUNK_RECORDS: usize = 1_024;
/// How many chunks it sends before the other operators have their turn.
const CHUNKS: usize = 4;
/// How many slices may be in flight.
const SLICES_IN_FLIGHT: u64 = 8;

type Rows<T> = CapacityContainerBuilder<Vec<T>>;
type Map<V> = HashMap<u64, V, FixedState>;

/// A computation on so many inputs.
pub(crate) type Computation<T, O, const N: usize> =
    for<'s> fn([StreamVec<'s, u64, T>; N]) -> StreamVec<'s, u64, O>;

/// Runs a computation on one worker a share, in slices of so many records of all inputs together, and digests
/// its rows.
pub(crate) fn run<T, O, const N: usize>(
    inputs: &[Shares<T>; N],
    slice: u64,
    build: Computation<T, O, N>,
) -> Digest
where
    T: ExchangeData + Copy + Sync,
    O: Row + Clone,
{
    let total = Arc::new(Mutex::new(Digest::default()));
    let (sum, inputs) = (total.clone(), inputs.clone());
    let workers = inputs[0].shares.len();
    let config = match workers {
        1 => timely::Config::thread(),
        workers => timely::Config::process(workers),
    };
    let guards = timely::execute(config, move |worker| {
        let pace = Rc::new(Pace::default());
        worker.dataflow::<u64, _, _>(|scope| {
            let slice = slice as usize / scope.peers() / N;
            let records = inputs.each_ref().map(|input| {
                let share = input.shares[scope.index()].clone();
                read(scope, share, input.times, slice, pace.clone())
            });
            digest(build(records), pace.clone(), sum.clone());
        });
        let mut seen = 0;
        while worker.has_dataflows() {
            let acknowledged = pace.acknowledged.get();
            if std::mem::replace(&mut seen, acknowledged) != acknowledged {
                pace.sources.borrow().iter().for_each(Activator::activate);
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
    sources: RefCell<Vec<Activator>>,
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
        let woken = scope.activator_for(info.address.clone());
        pace.sources.borrow_mut().push(woken);
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
pub(crate) fn eight_stages<'s>([numbers]: [StreamVec<'s, u64, u64>; 1]) -> StreamVec<'s, u64, u64> {
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

type Held = timely::dataflow::operators::Capability<u64>;

/// Moves a held capability on to the frontier, and drops it at the end.
fn follow(held: &mut Option<Held>, reached: u64) {
    match held {
        Some(_) if reached == u64::MAX => *held = None,
        Some(held) if *held.time() < reached => held.downgrade(&reached),
        _ => {}
    }
}
