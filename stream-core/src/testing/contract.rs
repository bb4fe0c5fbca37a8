//! The tests that every [`Source`] and every [`Sink`] passes, for connectors of one's own too.
//!
//! Each function runs a connector through its contract and panics at the first breach, saying what
//! was expected and what came.

use std::fmt::Debug;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use crate::io::{
    Chunk, Commit, Opening, Position, ReadStatus, Reader, Sink, Slot, Source, Waker, Writer,
};
use crate::time::Clock;

/// How long a reader that says [`ReadStatus::Waiting`] may leave its waker uncalled.
pub const WAIT_MAX: Duration = Duration::from_secs(10);

/// How many records are asked for at a time, one reading each.
const READ_SIZES: [usize; 4] = [1, 2, 7, 10_000];

/// From how many positions a partition is read again, at most.
const REPLAYS_MAX: usize = 16;

/// Checks a source against what its partitions are expected to hold.
///
/// `make` makes the source anew, with the same content each time.
/// * The partitions are stable, and each is named once.
/// * Whatever the size of a reading, exactly `expected` comes, in order; never more than was asked
///   for; then the reader says that it has ended.
/// * Positions change with every record; where the source is repeatable, reading again from one gives
///   the rest.
/// * A reader that says `Waiting` calls its waker within [`WAIT_MAX`].
/// * A reader dropped in the middle leaves the source usable.
///
/// # Panics
/// When the source breaks its contract.
///
/// ```
/// use stream_core::io::vec;
///
/// stream_core::testing::contract::source(|| vec(vec![1, 2, 3]), &[vec![1, 2, 3]]);
/// ```
pub fn source<T, S>(make: impl Fn() -> S, expected: &[Vec<T>])
where
    T: Debug + PartialEq + 'static,
    S: Source<T>,
{
    let repeatable = make().info().repeatable;
    let names = partition_names(&make());
    assert_eq!(
        names.len(),
        expected.len(),
        "the number of partitions; they are {names:?}"
    );
    assert_eq!(
        partition_names(&make()),
        names,
        "the partitions differ from one making to another"
    );

    for (partition, expected) in expected.iter().enumerate() {
        for size in READ_SIZES {
            let source = make();
            partition_names(&source);
            let (records, positions) = drain(&source, partition, Position::START, size);
            assert_eq!(
                &records, expected,
                "partition {partition}, read {size} at a time"
            );
            if repeatable && size == 1 {
                check_replays(&source, partition, expected, &positions);
            }
        }
        let source = make();
        partition_names(&source);
        Session::open(&source, partition, Position::START).read(1);
        if repeatable {
            let (records, _) = drain(&source, partition, Position::START, 7);
            assert_eq!(
                &records, expected,
                "partition {partition}, after a reader was dropped"
            );
        }
    }
}

/// What a reader is opened with in a test that never waits for it: from the beginning, with a
/// clock driven by hand.
pub fn opening() -> Opening {
    Opening {
        from: Position::START,
        waker: Waker::new(|| ()),
        clock: Clock::by_hand(),
        goes_on: false,
    }
}

fn partition_names<T: 'static>(source: &impl Source<T>) -> Vec<String> {
    let names = source
        .partitions()
        .unwrap_or_else(|problem| panic!("partitions: {problem}"));
    assert!(!names.is_empty(), "a source has at least one partition");
    let mut unique = names.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(
        unique.len(),
        names.len(),
        "a partition is named twice: {names:?}"
    );
    names
}

/// Reads a partition to its end, and gives its records and the position before each reading.
fn drain<T: 'static>(
    source: &impl Source<T>,
    partition: usize,
    from: Position,
    size: usize,
) -> (Vec<T>, Vec<(usize, Position)>) {
    let mut session = Session::open(source, partition, from);
    let (mut records, mut positions) = (Vec::new(), Vec::new());
    loop {
        positions.push((records.len(), position_of(&*session.reader)));
        let (brought, ended) = session.read(size);
        assert!(
            brought.is_empty() || position_of(&*session.reader) != positions[positions.len() - 1].1,
            "the position changes with records"
        );
        records.extend(brought);
        if ended {
            return (records, positions);
        }
    }
}

fn position_of<T>(reader: &dyn Reader<T>) -> Position {
    must(reader.position(), "position")
}

fn check_replays<T: Debug + PartialEq + 'static>(
    source: &impl Source<T>,
    partition: usize,
    expected: &[T],
    positions: &[(usize, Position)],
) {
    let step = positions.len().div_ceil(REPLAYS_MAX);
    for (index, position) in positions.iter().step_by(step).chain(positions.last()) {
        let (records, _) = drain(source, partition, position.clone(), 7);
        assert_eq!(
            records,
            &expected[*index..],
            "partition {partition}, again behind {index} records"
        );
    }
}

/// A reader with a clock that jumps to whatever the reader waits for.
struct Session<T> {
    reader: Box<dyn Reader<T>>,
    clock: Clock,
    woken: Receiver<()>,
}

impl<T: 'static> Session<T> {
    fn open(source: &impl Source<T>, partition: usize, from: Position) -> Self {
        let (wake, woken) = channel();
        let waker = Waker::new(move || wake.send(()).unwrap_or_default());
        let clock = Clock::by_hand();
        let opening = Opening {
            goes_on: false,
            from: from.clone(),
            waker,
            clock: clock.clone(),
        };
        let reader = source
            .open(partition, opening)
            .unwrap_or_else(|problem| panic!("open {partition} from {from:?}: {problem}"));
        if from != Position::START {
            let position = position_of(&*reader);
            assert_eq!(
                position, from,
                "the position of a reader that was just opened"
            );
        }
        Session {
            reader,
            clock,
            woken,
        }
    }

    /// Reads once, after waiting as the reader asks; gives the records, and whether it has ended.
    fn read(&mut self, max: usize) -> (Vec<T>, bool) {
        let mut chunk = Chunk::default();
        let status = self
            .reader
            .read(max, &mut chunk)
            .unwrap_or_else(|e| panic!("read: {e}"));
        assert!(
            chunk.len() <= max,
            "asked for {max} records, got {}",
            chunk.len()
        );
        assert!(chunk.bad.is_empty(), "unexpected {}", chunk.bad[0]);
        match status {
            ReadStatus::More => {}
            ReadStatus::Waiting => match self.woken.recv_timeout(WAIT_MAX) {
                Ok(()) => {}
                Err(RecvTimeoutError::Timeout) => panic!("not woken within {WAIT_MAX:?}"),
                Err(RecvTimeoutError::Disconnected) => panic!("the waker is gone, uncalled"),
            },
            ReadStatus::Until(time) => {
                self.clock
                    .advance(time.saturating_sub(self.clock.elapsed()));
            }
            ReadStatus::Ended => {}
        }
        let records = chunk
            .records
            .into_iter()
            .map(|((), record)| record)
            .collect();
        (records, status == ReadStatus::Ended)
    }
}

/// Checks a sink with the given records, which must differ from each other.
///
/// `make` makes a sink anew and a function that tells what its reader sees at that moment.
/// * All records of two writers are seen after the commit, or after those of two checkpoints where the
///   job keeps state; none is lost, none comes twice.
/// * Writing nothing and flushing have no effect.
/// * An [atomic](crate::io::SinkInfo::atomic) sink shows nothing before the commit, and nothing
///   after an abort, whether its writers have prepared or were dropped.
///
/// # Panics
/// When the sink breaks its contract.
///
/// ```
/// use stream_core::io::collect;
///
/// let make = || {
///     let (sink, rows) = collect();
///     (sink, move || rows.to_vec())
/// };
/// stream_core::testing::contract::sink(make, &["a", "b", "c"]);
/// ```
pub fn sink<T, S, R>(make: impl Fn() -> (S, R), records: &[T])
where
    T: Clone + Debug + Ord,
    S: Sink<T>,
    R: FnMut() -> Vec<T>,
{
    for parts in [&[records][..], &[&[]]] {
        committed_is_seen_once(make(), parts);
    }
    for cut in [0, records.len() / 2, records.len()] {
        let (first, second) = records.split_at(cut);
        let (sink, seen) = make();
        must(sink.recover(None), "recover");
        committed_is_seen_once((sink, seen), &[first, second]);
    }
    for prepares in [true, false] {
        aborted_is_never_seen(make(), records, prepares);
    }
}

/// Writes the parts, and commits each.
fn committed_is_seen_once<T: Clone + Debug + Ord>(
    (sink, mut seen): (impl Sink<T>, impl FnMut() -> Vec<T>),
    parts: &[&[T]],
) {
    let mut writers = open(&sink, 2);
    let mut committed = Vec::new();
    for (number, part) in (1..).zip(parts) {
        write(&mut writers, part);
        let staged = prepare(&mut writers, number);
        if sink.info().atomic {
            let early = seen()
                .into_iter()
                .find(|record| !committed.contains(record));
            assert_eq!(
                early, None,
                "an atomic sink shows records before the commit"
            );
        }
        let mut commit = Commit::new(number, staged);
        if number == parts.len() as u64 {
            commit = commit.last();
            writers.clear();
        }
        must(sink.commit(&commit), "commit");
        committed.extend_from_slice(part);
    }
    is_seen(seen(), committed, "after the commit");
}

fn is_seen<T: Debug + Ord>(mut seen: Vec<T>, mut expected: Vec<T>, when: &str) {
    seen.sort();
    expected.sort();
    if seen != expected {
        let lost = expected.iter().find(|record| !seen.contains(record));
        let twice = seen
            .windows(2)
            .find(|two| two[0] == two[1])
            .map(|two| &two[0]);
        panic!(
            "what is seen {when}: {} records of {}; lost: {lost:?}; twice: {twice:?}",
            seen.len(),
            expected.len(),
        );
    }
}

fn aborted_is_never_seen<T: Clone + Debug + Ord>(
    (sink, mut seen): (impl Sink<T>, impl FnMut() -> Vec<T>),
    records: &[T],
    prepares: bool,
) {
    let mut writers = open(&sink, 2);
    write(&mut writers, records);
    if prepares {
        prepare(&mut writers, 1);
    }
    drop(writers);
    sink.abort();
    if sink.info().atomic {
        is_seen(seen(), Vec::new(), "of an atomic sink after an abort");
    }
}

/// Checks that a sink gives each record exactly once through crashes: it is left alone after each step
/// that it can be left after, and another one goes on from the checkpoint that was last complete, with
/// another number of writers. It also [goes back](crate::io::Commit::goes_back) from each checkpoint to each
/// earlier one: what was committed behind that one is gone, or the sink refuses to with a hint. Records
/// differ from each other.
///
/// `place` makes a place to write to, `make` a sink at such a place, and `seen` tells what a reader
/// sees there.
///
/// # Panics
/// When a record is lost or comes twice.
///
/// ```
/// use stream_core::io::files;
/// use stream_core::testing::contract::sink_recovers;
///
/// let seen = |folder: &tempfile::TempDir| {
///     let rows = std::fs::read_to_string(folder.path().join("rows.jsonl"));
///     let rows = rows.unwrap_or_default();
///     rows.lines().map(|line| line.parse().expect("a number")).collect()
/// };
/// sink_recovers(
///     || tempfile::tempdir().expect("a folder"),
///     |folder| files::to_json_lines(folder.path().join("rows.jsonl")),
///     seen,
///     &(0..20_u64).collect::<Vec<_>>(),
/// );
/// ```
pub fn sink_recovers<T, S, P>(
    place: impl Fn() -> P,
    make: impl Fn(&P) -> S,
    seen: impl Fn(&P) -> Vec<T>,
    records: &[T],
) where
    T: Clone + Debug + Ord,
    S: Sink<T>,
{
    let third = records.len().div_ceil(3).max(1);
    let parts: Vec<&[T]> = records.chunks(third).collect();
    for crash in Crash::all(parts.len()) {
        for slots in [1, 3] {
            let place = place();
            let commits = run_until(&make(&place), &parts, crash);
            let last = commits.last();
            // Another crash while it recovers.
            must_recover(make(&place), last);
            let sink = must_recover(make(&place), last);
            let done = commits.len();
            write_rest(&*sink, slots, done as u64 + 1, &parts[done..].concat());
            let when = format!("when it was left {crash:?}, and {slots} writers went on");
            is_seen(seen(&place), records.to_vec(), &when);
        }
        for slots in [1, 3] {
            goes_back(&place, &make, &seen, &parts, crash, slots);
        }
    }
}

/// Goes back to each checkpoint but the last one before the sink is left alone.
fn goes_back<T, S, P>(
    place: &impl Fn() -> P,
    make: &impl Fn(&P) -> S,
    seen: &impl Fn(&P) -> Vec<T>,
    parts: &[&[T]],
    crash: Crash,
    slots: usize,
) where
    T: Clone + Debug + Ord,
    S: Sink<T>,
{
    for back in 1.. {
        let place = place();
        let mut commits = run_until(&make(&place), parts, crash);
        if back >= commits.len() {
            break;
        }
        let next = commits.len() as u64 + 2; // the way back has a number as well
        let back_to = commits.swap_remove(back - 1).going_back();
        let sink = std::mem::ManuallyDrop::new(make(&place));
        if let Err(problem) = sink.recover(Some(&back_to)) {
            let told = problem.hint_text();
            assert!(
                told.is_some(),
                "a way back is refused without a hint: {problem}"
            );
            continue;
        }
        // Another crash before anything is written.
        let sink = must_recover(make(&place), Some(&back_to));
        write_rest(&*sink, slots, next, &parts[back..].concat());
        let when = format!(
            "when it was left {crash:?}, went back to checkpoint {back}, and {slots} writers went on"
        );
        is_seen(seen(&place), parts.concat(), &when);
    }
}

/// Writes what is left, and commits it as the last checkpoint.
pub(super) fn write_rest<T: Clone>(sink: &impl Sink<T>, slots: usize, checkpoint: u64, rest: &[T]) {
    let mut writers = open(sink, slots);
    write(&mut writers, rest);
    let commit = Commit::new(checkpoint, prepare(&mut writers, checkpoint)).last();
    drop(writers);
    must(sink.commit(&commit), "commit");
}

/// When a sink is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Crash {
    /// After what belongs to a checkpoint was written.
    Written(u64),
    /// After the first writer has prepared it.
    HalfPrepared(u64),
    /// After all have, and what they have staged is done, but it is not known to be.
    Prepared(u64),
    /// When that is known, and the checkpoint is complete.
    Complete(u64),
    Committed(u64),
}

impl Crash {
    pub(super) fn all(checkpoints: usize) -> impl Iterator<Item = Crash> {
        use Crash::*;
        let steps = [Written, HalfPrepared, Prepared, Complete, Committed];
        let all = (1..=checkpoints as u64).map(move |number| steps.map(|step| step(number)));
        all.flatten()
    }
}

/// Writes the parts, each before a checkpoint, until the sink is left alone. Gives the checkpoints that
/// were complete.
pub(super) fn run_until<T: Clone>(
    sink: &impl Sink<T>,
    parts: &[&[T]],
    crash: Crash,
) -> Vec<Commit> {
    must(sink.recover(None), "recover");
    let mut writers = open(sink, 2);
    let mut complete = Vec::new();
    let mut early = 0; // records of the next part that were written before all had prepared this one
    for (number, part) in (1..).zip(parts) {
        write(&mut writers, &part[early..]);
        if crash == Crash::Written(number) {
            break;
        }
        let mut staged = prepare(&mut writers[..1], number);
        let next = parts.get(number as usize).copied().unwrap_or_default();
        early = next.len() / 2;
        write(&mut writers[..1], &next[..early]);
        if crash == Crash::HalfPrepared(number) {
            break;
        }
        staged.append(&mut prepare(&mut writers[1..], number));
        let commit = Commit::new(number, staged);
        let commit = match number == parts.len() as u64 {
            true => commit.last(),
            false => commit,
        };
        if crash == Crash::Prepared(number) {
            break;
        }
        complete.push(commit.clone());
        if crash == Crash::Complete(number) {
            break;
        }
        must(sink.commit(&commit), "commit");
        if crash == Crash::Committed(number) {
            break;
        }
    }
    std::mem::forget(writers); // a process that is killed cleans up nothing
    complete
}

/// Recovers a sink that is never dropped.
pub(super) fn must_recover<T, S: Sink<T>>(
    sink: S,
    last: Option<&Commit>,
) -> std::mem::ManuallyDrop<S> {
    must(sink.recover(last), "recover");
    std::mem::ManuallyDrop::new(sink)
}

/// Opens all writers.
pub(super) fn open<T>(sink: &impl Sink<T>, slots: usize) -> Vec<Box<dyn Writer<T>>> {
    let open = |index| must(sink.open(Slot::new(index, slots)), "open");
    (0..slots).map(open).collect()
}

/// Spreads the records over the writers, with empty writes and flushes between.
pub(super) fn write<T: Clone>(writers: &mut [Box<dyn Writer<T>>], records: &[T]) {
    let count = writers.len();
    for (number, records) in records.chunks(3).enumerate() {
        let writer = &mut writers[number % count];
        let mut batch = records.to_vec();
        must(writer.write(&mut batch), "write");
        assert!(
            batch.is_empty(),
            "a writer takes all records out of the vector"
        );
        must(writer.write(&mut batch), "write nothing");
        must(writer.flush(), "flush");
    }
}

/// Prepares a checkpoint, and does what is staged.
pub(super) fn prepare<T>(writers: &mut [Box<dyn Writer<T>>], checkpoint: u64) -> Vec<Vec<u8>> {
    let prepare = |writer: &mut Box<dyn Writer<T>>| must(writer.prepare(checkpoint), "prepare");
    let staged: Vec<_> = writers.iter_mut().map(prepare).collect();
    staged
        .into_iter()
        .map(|staged| must(staged.finish(), "finish"))
        .collect()
}

pub(super) fn must<V>(result: Result<V, crate::Problem>, step: &str) -> V {
    result.unwrap_or_else(|problem| panic!("{step}: {problem}"))
}

#[cfg(test)]
mod tests;
