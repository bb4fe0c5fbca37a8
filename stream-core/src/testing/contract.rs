//! The tests that every [`Source`] and every [`Sink`] passes, for connectors of one's own too.
//!
//! Each function runs a connector through its contract and panics at the first breach, saying what
//! was expected and what came.

use std::fmt::Debug;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use crate::io::{Chunk, Opening, Position, ReadStatus, Reader, Sink, Source, Waker, Writer};
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
    T: Debug + PartialEq,
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
    }
}

fn partition_names<T>(source: &impl Source<T>) -> Vec<String> {
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
fn drain<T>(
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
        assert_eq!(
            position_of(&*session.reader) != positions[positions.len() - 1].1,
            !brought.is_empty(),
            "the position changes with records, and only with them"
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

fn check_replays<T: Debug + PartialEq>(
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

impl<T> Session<T> {
    fn open(source: &impl Source<T>, partition: usize, from: Position) -> Self {
        let (wake, woken) = channel();
        let waker = Waker::new(move || wake.send(()).unwrap_or_default());
        let clock = Clock::by_hand();
        let opening = Opening {
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
/// * All records of two writers are seen after the commit; none is lost, none comes twice.
/// * Writing nothing and flushing have no effect.
/// * An [atomic](crate::io::SinkInfo::atomic) sink shows nothing before the commit, and nothing
///   after an abort, whether its writers were closed or dropped.
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
    committed_is_seen_once(make(), records);
    committed_is_seen_once(make(), &[]);
    for close in [true, false] {
        aborted_is_never_seen(make(), records, close);
    }
}

fn committed_is_seen_once<T: Clone + Debug + Ord>(
    (sink, mut seen): (impl Sink<T>, impl FnMut() -> Vec<T>),
    records: &[T],
) {
    for writer in &mut write(&sink, records) {
        must(writer.close(), "close");
    }
    if sink.info().atomic {
        assert_eq!(seen(), [], "an atomic sink shows records before the commit");
    }
    must(sink.commit(), "commit");
    let (mut seen, mut expected) = (seen(), records.to_vec());
    seen.sort();
    expected.sort();
    assert_eq!(seen, expected, "what is seen after the commit");
}

fn aborted_is_never_seen<T: Clone + Debug + Ord>(
    (sink, mut seen): (impl Sink<T>, impl FnMut() -> Vec<T>),
    records: &[T],
    close: bool,
) {
    let mut writers = write(&sink, records);
    if close {
        writers
            .iter_mut()
            .for_each(|writer| must(writer.close(), "close"));
    }
    drop(writers);
    sink.abort();
    if sink.info().atomic {
        assert_eq!(seen(), [], "an atomic sink shows records after an abort");
    }
}

/// Spreads the records over two writers, with empty writes and flushes between.
fn write<T: Clone>(sink: &impl Sink<T>, records: &[T]) -> Vec<Box<dyn Writer<T>>> {
    let open = |worker| must(sink.open(worker, 2), "open");
    let mut writers = vec![open(0), open(1)];
    for (number, records) in records.chunks(3).enumerate() {
        let writer = &mut writers[number % 2];
        let mut batch = records.to_vec();
        must(writer.write(&mut batch), "write");
        assert!(
            batch.is_empty(),
            "a writer takes all records out of the vector"
        );
        must(writer.write(&mut batch), "write nothing");
        must(writer.flush(), "flush");
    }
    writers
}

fn must<V>(result: Result<V, crate::Problem>, step: &str) -> V {
    result.unwrap_or_else(|problem| panic!("{step}: {problem}"))
}

#[cfg(test)]
mod tests;
