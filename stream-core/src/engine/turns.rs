//! Which source reads next.
//!
//! A source *waits* while it has something to read: for room, or because its worker is busy with what others have read. It
//! is *behind* another one that has come further in event time, if both are of one input and have come anywhere; or
//! else, that has read more records while it had no room itself.
//!
//! * None reads while one of its own worker waits that had no room and has read less.
//! * None begins to read that is [`LEAD`] records ahead of one of another worker that is behind it: it gives way until that
//!   one has had a turn, so that they read in turns.
//!
//! Without that the lanes of one worker run ahead of all others: who sees first that there is room takes it all, and who
//! is sent more has less time to read. All that waits for the watermark is kept until the others come.
//!
//! Who gives way to another worker is woken when one of another worker has read, and none gives way to one that does so
//! itself: so one of them always reads.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::abort::Abort;
use crate::time::EventTime;

/// How many records a source may read while one of another worker is behind it, before it gives way: to hand a turn over
/// takes its time.
const LEAD: u64 = 4_096;
/// So far a source may be ahead that has read while another of its worker had nothing.
const AHEAD_MAX: u64 = 1 << 16;

#[derive(Clone)]
pub(crate) struct Turns(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    handed_over: AtomicU64,
    /// What wakes the workers.
    abort: Abort,
}

struct State {
    sources: Vec<Source>,
    /// How many workers have not added all of theirs.
    to_come: usize,
}

#[derive(Debug, Default)]
struct Source {
    worker: usize,
    /// The input that it is a part of, by its node.
    input: usize,
    /// How many records were read, or rather more if it had none for long.
    read: u64,
    /// How far it has come in event time.
    time: Option<EventTime>,
    next: Next,
    /// Whether it waits for one of another worker.
    gives_way: bool,
    /// How many records were read since none of another worker was behind that had any.
    ahead: u64,
    /// Whether one that is behind has had a turn since it had its own.
    is_due: bool,
}

/// What a source has to read next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Next {
    #[default]
    Nothing,
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
            state: Mutex::new(State {
                sources: Vec::new(),
                to_come: workers,
            }),
            handed_over: AtomicU64::new(0),
            abort,
        }))
    }

    /// Adds a source of a worker, and gives its number. It is waited for until it says what it has.
    pub(crate) fn join(&self, worker: usize, input: usize) -> usize {
        let sources = &mut self.state().sources;
        sources.push(Source {
            worker,
            input,
            next: Next::NoRoom,
            ..Source::default()
        });
        sources.len() - 1
    }

    /// Says that a worker has added all its sources.
    pub(crate) fn rendered(&self) {
        self.state().to_come -= 1;
        self.hand_over();
    }

    /// Tells whose turn it is, when a source has something to read and there is room. If it is that of another worker,
    /// its own one is woken when it is to look again.
    pub(crate) fn take(&self, source: usize) -> Turn {
        let state = &mut *self.state();
        let turn = state.turn_of(source);
        let source = &mut state.sources[source];
        source.next = source.next.max(Next::Ready);
        source.gives_way = turn == Turn::Other;
        if turn == Turn::Own {
            source.is_due = false;
        }
        turn
    }

    /// Notes what a source has read, how far it has come, and what it has to read next. It has had a turn if it has read
    /// anything, or could have.
    pub(crate) fn read(&self, source: usize, records: u64, time: Option<EventTime>, next: Next) {
        let state = &mut *self.state();
        let worker = state.sources[source].worker;
        let of_worker = state.sources.iter().filter(|other| other.worker == worker);
        let most = of_worker.map(|other| other.read).max().unwrap_or(0);
        let it = &mut state.sources[source];
        it.read += records;
        it.ahead += records;
        (it.time, it.next) = (time, next);
        if next != Next::Nothing {
            it.read = it.read.max(most.saturating_sub(AHEAD_MAX));
        }
        let had_a_turn = records > 0 || next == Next::Ready;
        let mut is_awaited = false;
        for other in 0..state.sources.len() {
            if state.sources[other].worker != worker {
                let is_behind = state.is_behind(source, other);
                let other = &mut state.sources[other];
                other.is_due |= is_behind && had_a_turn;
                is_awaited |= std::mem::take(&mut other.gives_way);
            }
        }
        if is_awaited {
            self.hand_over();
        }
    }

    /// Changes when those that have given way are to look again.
    pub(crate) fn handed_over(&self) -> u64 {
        self.0.handed_over.load(Ordering::Acquire)
    }

    fn hand_over(&self) {
        self.0.handed_over.fetch_add(1, Ordering::Release);
        self.0.abort.wake();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        let state = &self.0.state;
        state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether a source is behind another one.
    fn is_behind(&self, source: usize, other: usize) -> bool {
        let [source, other] = [&self.sources[source], &self.sources[other]];
        match (source.time, other.time) {
            (Some(time), Some(others)) if source.input == other.input => time < others,
            _ => source.has_less_than(other),
        }
    }

    /// Whose turn it is when a source is about to read.
    fn turn_of(&mut self, source: usize) -> Turn {
        let it = &self.sources[source];
        let (mut is_ahead, mut is_awaited) = (self.to_come > 0, self.to_come > 0);
        for (number, other) in self.sources.iter().enumerate() {
            let waits = !other.gives_way;
            if other.next == Next::Nothing {
                continue;
            }
            if other.worker == it.worker {
                if waits && other.has_less_than(it) {
                    return Turn::Neighbour;
                }
            } else if self.is_behind(number, source) {
                is_ahead = true;
                is_awaited |= waits;
            }
        }
        let it = &mut self.sources[source];
        if !is_ahead {
            it.ahead = 0;
        }
        match is_awaited && it.ahead >= LEAD && !it.is_due {
            true => Turn::Other,
            false => Turn::Own,
        }
    }
}

impl Source {
    /// Whether it had no room, and has read less than another one.
    fn has_less_than(&self, other: &Source) -> bool {
        self.next == Next::NoRoom && self.read < other.read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sources of one input and of these workers, which have said that they have nothing.
    fn turns<const N: usize>(workers: [usize; N]) -> (Turns, [usize; N]) {
        let turns = Turns::new(1, Abort::default());
        let sources = workers.map(|worker| turns.join(worker, 0));
        turns.rendered();
        for source in sources {
            turns.read(source, 0, None, Next::Nothing);
        }
        (turns, sources)
    }

    #[test]
    fn none_reads_far_before_all_have_said_what_they_have() {
        let turns = Turns::new(2, Abort::default());
        let first = turns.join(0, 0);
        turns.rendered();
        assert_eq!(turns.take(first), Turn::Own);
        turns.read(first, LEAD, None, Next::Ready);
        assert_eq!(turns.take(first), Turn::Other);
        let second = turns.join(1, 0);
        let before = turns.handed_over();
        turns.rendered();
        assert_eq!(turns.handed_over(), before + 1);
        assert_eq!(turns.take(first), Turn::Other);
        turns.read(second, 0, None, Next::Nothing);
        assert_eq!(turns.handed_over(), before + 2);
        assert_eq!(turns.take(first), Turn::Own);
    }

    #[test]
    fn none_reads_before_one_of_its_worker_that_had_no_room_and_has_read_less() {
        let (turns, [first, second]) = turns([0, 0]);
        turns.read(first, 10, None, Next::Ready);
        turns.read(second, 9, None, Next::Ready);
        assert_eq!(turns.take(first), Turn::Own);
        turns.read(second, 0, None, Next::NoRoom);
        assert_eq!(turns.take(first), Turn::Neighbour);
        assert_eq!(turns.take(second), Turn::Own);
        turns.read(second, 2, None, Next::NoRoom);
        assert_eq!(turns.take(first), Turn::Own);
    }

    /// Two sources of two workers.
    struct Two {
        turns: Turns,
    }

    impl Two {
        fn new(inputs: [usize; 2]) -> Self {
            let turns = Turns::new(1, Abort::default());
            for (worker, input) in inputs.into_iter().enumerate() {
                let source = turns.join(worker, input);
                turns.read(source, 0, None, Next::Nothing);
            }
            turns.rendered();
            Two { turns }
        }

        /// A source reads as long as it is its turn, at most so many fourths of the lead, and has come to a time then.
        /// Gives how often it has.
        fn reads(&self, source: usize, times: u64, time: Option<i64>, next: Next) -> u64 {
            for read in 0..times {
                if self.turns.take(source) != Turn::Own {
                    return read;
                }
                let time = time.map(EventTime::micros);
                self.turns.read(source, LEAD / 4, time, next);
            }
            times
        }
    }

    #[test]
    fn who_is_ahead_of_another_worker_in_event_time_reads_in_turns_with_it() {
        let two = Two::new([0, 0]);
        assert_eq!(two.reads(1, 2, Some(5), Next::Ready), 2);
        assert_eq!(two.reads(0, 9, Some(7), Next::Ready), 4);
        let before = two.turns.handed_over();
        assert_eq!(two.reads(1, 1, Some(6), Next::Ready), 1);
        assert_eq!(two.turns.handed_over(), before + 1);
        assert_eq!(two.reads(0, 9, Some(7), Next::Ready), 1, "one for one");
        assert_eq!(two.reads(1, 2, Some(6), Next::Ready), 2);
        assert_eq!(two.reads(0, 9, Some(7), Next::Ready), 1, "or for two");
        assert_eq!(two.reads(1, 1, Some(8), Next::Ready), 1);
        assert_eq!(two.reads(0, 9, Some(7), Next::Ready), 9, "it is behind");
        assert!(two.reads(1, 9, Some(8), Next::Ready) < 9);
        assert_eq!(two.reads(0, 1, Some(7), Next::Nothing), 1);
        assert_eq!(two.reads(1, 9, Some(8), Next::Ready), 9, "none waits");
    }

    #[test]
    fn times_of_two_inputs_are_not_compared() {
        let two = Two::new([0, 1]);
        assert_eq!(two.reads(1, 1, Some(5), Next::Ready), 1);
        assert_eq!(two.reads(0, 9, Some(7), Next::Ready), 9);
    }

    #[test]
    fn without_event_time_none_is_far_ahead_of_one_that_had_no_room() {
        let two = Two::new([0, 0]);
        assert_eq!(two.reads(1, 2, None, Next::Ready), 2);
        assert_eq!(two.reads(0, 9, None, Next::Ready), 9);
        two.turns.read(1, 0, None, Next::NoRoom);
        assert_eq!(two.reads(0, 9, None, Next::Ready), 3);
        assert_eq!(two.reads(1, 9, None, Next::NoRoom), 9);
        assert_eq!(two.reads(0, 9, None, Next::Ready), 1);
        assert_eq!(two.reads(1, 3, None, Next::NoRoom), 3);
        assert!(two.reads(0, 6, None, Next::NoRoom) > 1);
    }

    #[test]
    fn none_gives_way_to_one_that_gives_way() {
        let (turns, sources) = turns([0, 1, 2]);
        for (source, time) in sources.into_iter().zip([1, 2, 3]) {
            let time = Some(EventTime::micros(time));
            turns.read(source, LEAD, time, Next::Ready);
        }
        let before = turns.handed_over();
        for _ in 0..3 {
            assert_eq!(turns.take(sources[1]), Turn::Other);
            assert_eq!(turns.take(sources[2]), Turn::Other);
        }
        assert_eq!(turns.handed_over(), before, "they do not wake each other");
        assert_eq!(turns.take(sources[0]), Turn::Own);
        turns.read(sources[0], LEAD, None, Next::Nothing);
        assert_eq!(turns.handed_over(), before + 1);
        assert_eq!(
            turns.take(sources[2]),
            Turn::Other,
            "the second may look again"
        );
        assert_eq!(turns.take(sources[1]), Turn::Own);
    }

    #[test]
    fn who_had_nothing_for_long_is_not_let_read_all_that_it_has_missed() {
        let (turns, [first, second]) = turns([0, 0]);
        turns.read(first, 10 * AHEAD_MAX, None, Next::Ready);
        turns.read(second, 0, None, Next::NoRoom);
        assert_eq!(turns.take(first), Turn::Neighbour);
        turns.read(second, AHEAD_MAX, None, Next::NoRoom);
        assert_eq!(turns.take(first), Turn::Own);
    }
}
