//! Which source reads next.
//!
//! A source *waits* while it has something to read and does not: for want of room, or because its worker is busy with
//! what others have read. It is *behind* another one that has come further in event time; or, if there is none, that
//! has read more records while it had no room itself. None reads while one of its own worker waits that had no room and
//! has read less, and none reads more than [`LEAD`] records while one of another worker waits that is behind it.
//!
//! Without that the lanes of one worker run ahead of all others: who sees first that there is room takes it all, and who
//! is sent more has less time to read. All that waits for the watermark is kept until the others come.
//!
//! Who gives way to another worker is woken when that one has looked, and none gives way to one that does so itself: so
//! one of them always reads.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::abort::Abort;
use crate::time::EventTime;

/// How many records a source may read while one of another worker is behind it: to hand a turn over takes its time.
const LEAD: u64 = 4_096;
/// So far a source may be ahead that has read while another had nothing.
const AHEAD_MAX: u64 = 1 << 16;

#[derive(Clone)]
pub(crate) struct Turns(Arc<Shared>);

struct Shared {
    sources: Mutex<Vec<Source>>,
    /// How many workers have not added all of theirs.
    to_come: AtomicUsize,
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
    /// How far it has come in event time.
    time: Option<EventTime>,
    next: Next,
    /// Whether it waits for one of another worker.
    gives_way: bool,
    /// How many records had been read when none of another worker was behind that had any.
    abreast: u64,
}

/// What a source has to read next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Next {
    #[default]
    Nothing,
    /// What it reads now.
    Reading,
    /// Something.
    Ready,
    /// The same, but there was no room for it.
    NoRoom,
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
    pub(crate) fn new(workers: usize, abort: Abort) -> Self {
        Turns(Arc::new(Shared {
            sources: Mutex::default(),
            to_come: AtomicUsize::new(workers),
            handed_over: AtomicU64::new(0),
            abort,
        }))
    }

    /// Adds a source of a worker, and gives its number. It is waited for until it has looked.
    pub(crate) fn join(&self, worker: usize) -> usize {
        let mut sources = self.sources();
        sources.push(Source {
            worker,
            next: Next::NoRoom,
            ..Source::default()
        });
        sources.len() - 1
    }

    /// Says that a worker has added all its sources.
    pub(crate) fn rendered(&self) {
        self.0.to_come.fetch_sub(1, Ordering::AcqRel);
        self.hand_over(1);
    }

    /// Notes what a source has read, how far it has come, and what it has to read next.
    pub(crate) fn read(&self, source: usize, records: u64, time: Option<EventTime>, next: Next) {
        let mut sources = self.sources();
        sources[source].read += records;
        sources[source].time = time;
        wait(&mut sources, source, next);
    }

    /// Tells whose turn it is, when a source is about to read, and `can`, for it has something and there is room. If it
    /// is that of another one it gives way, and its worker is woken when one of another worker has looked.
    pub(crate) fn take(&self, source: usize, can: bool) -> Turn {
        let mut sources = self.sources();
        let was = std::mem::replace(&mut sources[source].next, Next::Reading);
        let have_all_come = self.0.to_come.load(Ordering::Acquire) == 0;
        let turn = match can {
            true => turn_of(&mut sources, source, have_all_come),
            false => Turn::Own,
        };
        sources[source].gives_way = turn == Turn::Other;
        if turn != Turn::Own {
            wait(&mut sources, source, was.max(Next::Ready));
        }
        let mut given = 0;
        if was >= Next::Ready {
            let worker = sources[source].worker;
            for other in sources.iter_mut().filter(|other| other.worker != worker) {
                given += u64::from(std::mem::take(&mut other.gives_way));
            }
        }
        drop(sources);
        if given > 0 {
            self.hand_over(given);
        }
        turn
    }

    fn hand_over(&self, turns: u64) {
        self.0.handed_over.fetch_add(turns, Ordering::Release);
        self.0.abort.wake();
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

fn wait(sources: &mut [Source], source: usize, next: Next) {
    let most = sources.iter().map(|other| other.read).max().unwrap_or(0);
    let source = &mut sources[source];
    source.next = next;
    if next != Next::Nothing {
        source.read = source.read.max(most.saturating_sub(AHEAD_MAX));
    }
}

/// Whose turn it is when a source is about to read.
fn turn_of(sources: &mut [Source], source: usize, have_all_come: bool) -> Turn {
    let Source {
        worker, read, time, ..
    } = sources[source];
    let has_less = |other: &Source| other.next == Next::NoRoom && other.read < read;
    let is_behind = |other: &Source| match (other.time, time) {
        (Some(other), Some(time)) => other < time,
        _ => has_less(other),
    };
    let (mut is_ahead, mut is_awaited) = (!have_all_come, !have_all_come);
    for other in sources.iter().filter(|other| other.next != Next::Nothing) {
        let waits = other.next >= Next::Ready && !other.gives_way;
        if other.worker != worker && is_behind(other) {
            is_ahead = true;
            is_awaited |= waits;
        } else if other.worker == worker && waits && has_less(other) {
            return Turn::Neighbour;
        }
    }
    let source = &mut sources[source];
    if !is_ahead {
        source.abreast = read;
    }
    match is_awaited && read >= source.abreast + LEAD {
        true => Turn::Other,
        false => Turn::Own,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sources of these workers, which have looked.
    fn turns<const N: usize>(workers: [usize; N]) -> (Turns, [usize; N]) {
        let turns = Turns::new(1, Abort::default());
        let sources = workers.map(|worker| turns.join(worker));
        turns.rendered();
        for source in sources {
            turns.read(source, 0, None, Next::Nothing);
        }
        (turns, sources)
    }

    #[test]
    fn none_reads_far_before_all_have_looked() {
        let turns = Turns::new(2, Abort::default());
        let first = turns.join(0);
        turns.rendered();
        assert_eq!(turns.take(first, true), Turn::Own);
        turns.read(first, LEAD, None, Next::Ready);
        assert_eq!(turns.take(first, true), Turn::Other);
        let second = turns.join(1);
        let before = turns.handed_over();
        turns.rendered();
        assert!(turns.handed_over() > before);
        assert_eq!(turns.take(first, true), Turn::Other);
        assert_eq!(turns.take(second, false), Turn::Own);
        assert!(turns.handed_over() > before + 1);
        turns.read(second, 0, None, Next::Nothing);
        assert_eq!(turns.take(first, true), Turn::Own);
    }

    #[test]
    fn none_reads_before_one_of_its_worker_that_had_no_room_and_has_read_less() {
        let (turns, [first, second]) = turns([0, 0]);
        turns.read(first, 10, None, Next::Ready);
        turns.read(second, 9, None, Next::Ready);
        assert_eq!(turns.take(first, true), Turn::Own);
        turns.read(second, 0, None, Next::NoRoom);
        assert_eq!(turns.take(first, true), Turn::Neighbour);
        assert_eq!(turns.take(first, false), Turn::Own, "it cannot read");
        assert_eq!(turns.take(second, true), Turn::Own);
        turns.read(second, 2, None, Next::NoRoom);
        assert_eq!(turns.take(first, true), Turn::Own);
    }

    /// What each worker says, and what its source has read and how far it has come, is up to the test.
    struct Two {
        turns: Turns,
        reads: [u64; 2],
    }

    impl Two {
        fn new() -> Self {
            let reads = [0; 2];
            let (turns, sources) = turns([0, 1]);
            assert_eq!(sources, [0, 1]);
            Two { turns, reads }
        }

        /// A source reads as long as it is its turn, at most so many times a fourth of the lead.
        fn reads(&mut self, source: usize, times: usize, time: Option<i64>, next: Next) -> Turn {
            for _ in 0..times {
                match self.turns.take(source, true) {
                    Turn::Own => {}
                    turn => return turn,
                }
                self.reads[source] += 1;
                let time = time.map(EventTime::micros);
                self.turns.read(source, LEAD / 4, time, next);
            }
            Turn::Own
        }
    }

    #[test]
    fn one_is_not_far_ahead_of_one_of_another_worker_that_lies_behind_in_event_time() {
        let mut two = Two::new();
        assert_eq!(two.reads(1, 2, Some(5), Next::Ready), Turn::Own);
        assert_eq!(two.reads(0, 9, Some(7), Next::Ready), Turn::Other);
        assert_eq!(two.reads, [4, 2]);
        let before = two.turns.handed_over();
        assert_eq!(two.reads(1, 1, Some(6), Next::Ready), Turn::Own);
        assert_eq!(two.turns.handed_over(), before + 1);
        assert_eq!(two.reads(0, 9, Some(7), Next::Ready), Turn::Other, "still");
        assert_eq!(two.reads(1, 1, Some(8), Next::Ready), Turn::Own);
        assert_eq!(two.reads(0, 9, Some(7), Next::Ready), Turn::Own);
        assert_eq!(two.reads(1, 9, Some(8), Next::Ready), Turn::Other);
        assert_eq!(two.reads(0, 9, Some(7), Next::Nothing), Turn::Own);
        assert_eq!(
            two.reads(1, 9, Some(8), Next::Ready),
            Turn::Own,
            "none waits"
        );
    }

    #[test]
    fn without_event_time_none_is_far_ahead_of_one_that_had_no_room() {
        let mut two = Two::new();
        assert_eq!(two.reads(1, 2, None, Next::Ready), Turn::Own);
        assert_eq!(two.reads(0, 9, None, Next::Ready), Turn::Own);
        two.turns.read(1, 0, None, Next::NoRoom);
        assert_eq!(two.reads(0, 9, None, Next::Ready), Turn::Other);
        assert_eq!(two.reads, [12, 2]);
        assert_eq!(two.reads(1, 9, None, Next::NoRoom), Turn::Own);
        assert_eq!(two.reads(0, 9, None, Next::Ready), Turn::Other);
        assert_eq!(two.reads, [12, 11]);
        assert_eq!(two.reads(1, 3, None, Next::NoRoom), Turn::Own);
        assert_eq!(two.reads(0, 6, None, Next::NoRoom), Turn::Own);
    }

    #[test]
    fn none_gives_way_to_one_that_gives_way() {
        let (turns, sources) = turns([0, 1, 2]);
        for (source, time) in sources.into_iter().zip([1, 2, 3]) {
            let time = Some(EventTime::micros(time));
            turns.read(source, LEAD, time, Next::Ready);
        }
        assert_eq!(turns.take(sources[1], true), Turn::Other);
        assert_eq!(turns.take(sources[0], true), Turn::Own);
        turns.read(sources[0], LEAD, None, Next::Nothing);
        assert_eq!(
            turns.take(sources[2], true),
            Turn::Other,
            "the second may look again"
        );
        assert_eq!(turns.take(sources[1], true), Turn::Own);
    }

    #[test]
    fn who_had_nothing_for_long_is_not_let_read_all_that_it_has_missed() {
        let (turns, [first, second]) = turns([0, 0]);
        turns.read(first, 10 * AHEAD_MAX, None, Next::Ready);
        turns.read(second, 0, None, Next::NoRoom);
        assert_eq!(turns.take(first, true), Turn::Neighbour);
        turns.read(second, AHEAD_MAX, None, Next::NoRoom);
        assert_eq!(turns.take(first, true), Turn::Own);
    }
}
