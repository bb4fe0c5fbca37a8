//! Which source reads next, where there is not room for all.
//!
//! A source *waits* that has something to read and no room for it. Meanwhile none of its worker reads that has read
//! more, and none of another worker that has read more by [`LEAD`]. Without that whoever sees first that there is room
//! takes it all, and its lanes run ahead of the others: all that waits for the watermark would be kept until these come.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::abort::Abort;

/// So far the source of another worker may be ahead: to hand a turn over takes its time.
const LEAD: u64 = 4_096;
/// So far a source may be ahead that has read while another had nothing.
const AHEAD_MAX: u64 = 1 << 16;

#[derive(Clone)]
pub(crate) struct Turns(Arc<Shared>);

struct Shared {
    sources: Mutex<Vec<Source>>,
    /// How often a source has taken its turn that another one had given way to.
    handed_over: AtomicU64,
    /// What wakes the workers.
    abort: Abort,
}

#[derive(Debug, Default)]
struct Source {
    worker: usize,
    /// How many records were read, or rather more if it had none for long.
    read: u64,
    /// Whether it has had no room, or it was not its turn.
    waits: bool,
    /// Whether it was that of another worker.
    gives_way: bool,
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    Own,
    /// That of another source of the same worker.
    Neighbour,
    /// That of a source of another worker.
    Other,
}

impl Turns {
    pub(crate) fn new(abort: Abort) -> Self {
        Turns(Arc::new(Shared {
            sources: Mutex::default(),
            handed_over: AtomicU64::new(0),
            abort,
        }))
    }

    /// Adds a source of a worker, and gives its number.
    pub(crate) fn join(&self, worker: usize) -> usize {
        let mut sources = self.sources();
        sources.push(Source {
            worker,
            ..Source::default()
        });
        sources.len() - 1
    }

    /// Notes that a source has something to read and no room for it.
    pub(crate) fn wait(&self, source: usize) {
        wait(&mut self.sources(), source);
    }

    /// Tells whose turn it is, when a source is about to read, and `can`, for it has something and there is room. It
    /// waits no more if it is its own. If it is that of another worker it gives way, and its worker is woken when that
    /// one has looked.
    pub(crate) fn take(&self, source: usize, can: bool) -> Turn {
        let mut sources = self.sources();
        let is_awaited = std::mem::take(&mut sources[source].waits);
        let turn = match can {
            true => turn_of(&sources, source),
            false => Turn::Own,
        };
        if turn != Turn::Own {
            wait(&mut sources, source);
        }
        sources[source].gives_way = turn == Turn::Other;
        if is_awaited && turn == Turn::Own {
            let mut woken = 0;
            for other in sources.iter_mut() {
                woken += u64::from(std::mem::take(&mut other.gives_way));
            }
            drop(sources);
            if woken > 0 {
                self.0.handed_over.fetch_add(woken, Ordering::Release);
                self.0.abort.wake();
            }
        }
        turn
    }

    /// Notes what a source has read.
    pub(crate) fn add(&self, source: usize, records: u64) {
        self.sources()[source].read += records;
    }

    /// Changes when a source has taken its turn that another one has given way to.
    pub(crate) fn handed_over(&self) -> u64 {
        self.0.handed_over.load(Ordering::Acquire)
    }

    fn sources(&self) -> MutexGuard<'_, Vec<Source>> {
        let sources = &self.0.sources;
        sources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wait(sources: &mut [Source], source: usize) {
    let most = sources.iter().map(|other| other.read).max().unwrap_or(0);
    let source = &mut sources[source];
    source.waits = true;
    source.read = source.read.max(most.saturating_sub(AHEAD_MAX));
}

/// Whose turn it is when a source is about to read.
fn turn_of(sources: &[Source], source: usize) -> Turn {
    let Source { worker, read, .. } = sources[source];
    let waiting = || sources.iter().filter(|other| other.waits);
    if waiting().any(|other| other.worker == worker && other.read < read) {
        return Turn::Neighbour;
    }
    match waiting().any(|other| other.worker != worker && other.read + LEAD < read) {
        true => Turn::Other,
        false => Turn::Own,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_reads_before_one_that_waits_and_has_read_less() {
        let turns = Turns::new(Abort::default());
        let [first, second, far] = [0, 0, 1].map(|worker| turns.join(worker));
        assert_eq!(turns.take(first, true), Turn::Own);
        turns.add(first, 10);
        turns.wait(second);
        assert_eq!(turns.take(first, true), Turn::Neighbour);
        assert_eq!(turns.take(far, true), Turn::Own);
        assert_eq!(turns.take(second, true), Turn::Own);
        turns.add(second, 9);
        assert_eq!(turns.take(first, true), Turn::Own);
        turns.wait(second);
        assert_eq!(
            turns.take(first, false),
            Turn::Own,
            "it has nothing to read"
        );
    }

    #[test]
    fn the_source_of_another_worker_may_be_a_little_ahead_and_is_woken_when_it_has_given_way() {
        let turns = Turns::new(Abort::default());
        let [first, second] = [0, 1].map(|worker| turns.join(worker));
        turns.add(first, LEAD);
        turns.wait(second);
        assert_eq!(turns.take(first, true), Turn::Own);
        turns.add(first, 1);
        assert_eq!(turns.take(first, true), Turn::Other);
        assert_eq!(turns.handed_over(), 0);
        assert_eq!(turns.take(second, true), Turn::Own);
        assert_eq!(turns.handed_over(), 1);
        assert_eq!(turns.take(second, true), Turn::Own);
        assert_eq!(turns.handed_over(), 1, "none gives way any more");
        assert_eq!(turns.take(first, true), Turn::Own);
    }

    #[test]
    fn who_had_nothing_for_long_is_not_let_read_all_that_it_has_missed() {
        let turns = Turns::new(Abort::default());
        let [first, second] = [0, 1].map(|worker| turns.join(worker));
        turns.add(first, 10 * AHEAD_MAX);
        turns.wait(second);
        turns.add(second, AHEAD_MAX - LEAD);
        turns.wait(second);
        assert_eq!(turns.take(first, true), Turn::Own);
    }
}
