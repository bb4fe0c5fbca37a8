//! Where the records come from and go: a source that makes its keys and looks at the clock between its reads,
//! and a sink that keeps the last count of each key.

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use stream_core::graph::{Graph, Key};
use stream_core::io::{
    Boundedness, Chunk, Opening, Position, ReadStatus, Reader, Sink, SinkInfo, Slot, Source,
    SourceInfo, Staged, Writer,
};
use stream_core::ops::Change;
use stream_core::time::Clock;
use stream_core::{Job, Problem};

use crate::growth::memory_peak;
use crate::measure::mix;

/// How many records a read gives at most.
const READ_RECORDS: u64 = 1_024;
/// How long a reader waits that has given all it may.
const NAP: Duration = Duration::from_millis(1);
/// An odd number, so that no two numbers become the same key.
const APART: u64 = 0x9E37_79B9_7F4A_7C15;
/// Times that, it is 1.
const TOGETHER: u64 = inverse(APART);

/// What an odd number is to be multiplied by to give 1, by Newton's iteration.
const fn inverse(odd: u64) -> u64 {
    let (mut inverse, mut step) = (odd, 0);
    while step < 6 {
        inverse = inverse.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(inverse)));
        step += 1;
    }
    inverse
}

/// A key that stands for a number.
pub(super) trait Numbered: Key {
    fn of(number: u64) -> Self;
    fn number(&self) -> u64;
}

impl Numbered for u64 {
    fn of(number: u64) -> Self {
        number.wrapping_mul(APART)
    }

    fn number(&self) -> u64 {
        self.wrapping_mul(TOGETHER)
    }
}

impl Numbered for String {
    fn of(number: u64) -> Self {
        format!("user-{:016x}", u64::of(number))
    }

    fn number(&self) -> u64 {
        let digits = self.trim_start_matches("user-");
        u64::from_str_radix(digits, 16).map_or(u64::MAX, |key| key.number())
    }
}

/// What a job reads: each key once, and then some of them again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Input {
    pub(super) keys: u64,
    pub(super) records: u64,
    pub(super) partitions: u64,
    /// Whether they come again in no order, or one after another.
    pub(super) is_mixed: bool,
    /// Whether a reader waits for its next turn after each read, so that no two are in one.
    pub(super) is_stepwise: bool,
}

impl Input {
    /// The number of the key of a record, the partitions together.
    fn key(&self, record: u64) -> u64 {
        match self.is_mixed && record >= self.keys {
            true => mix(record, 1) % self.keys,
            false => record % self.keys,
        }
    }

    /// How many records of all a partition has.
    fn share(&self, records: u64, partition: u64) -> u64 {
        (records + self.partitions - 1 - partition) / self.partitions
    }
}

/// The longest time between the end of a read and the begin of the next of the same reader.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Longest {
    pub(super) wall: Duration,
    /// Of the CPU of its thread.
    pub(super) cpu: Duration,
}

/// What readers tell, and are told.
#[derive(Debug)]
pub(super) struct Gate {
    /// How many records may be read, the partitions together.
    pub(super) allowed: AtomicU64,
    /// How many have been.
    pub(super) read: AtomicU64,
    pub(super) longest: Mutex<Longest>,
    /// When the last of the readers was asked first, or was through with the first time of each key, and the
    /// peak of memory then.
    pub(super) first_read: Mutex<Option<(Instant, u64)>>,
    pub(super) grown: Mutex<Option<(Instant, u64)>>,
}

impl Gate {
    pub(super) fn new(allowed: u64) -> Arc<Self> {
        Arc::new(Gate {
            allowed: AtomicU64::new(allowed),
            read: AtomicU64::new(0),
            longest: Mutex::default(),
            first_read: Mutex::default(),
            grown: Mutex::default(),
        })
    }

    /// Waits until so many records have been read.
    pub(super) fn wait_for(&self, records: u64, is_over: impl Fn() -> bool) {
        while self.read.load(Ordering::Acquire) < records && !is_over() {
            std::thread::sleep(NAP);
        }
    }
}

/// Notes the time, and the peak of memory.
fn note(moment: &Mutex<Option<(Instant, u64)>>) {
    let peak = memory_peak().unwrap_or(0);
    *lock(moment) = Some((Instant::now(), peak));
}

/// A mutex's content.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A source of keys.
struct Keys {
    input: Input,
    gate: Arc<Gate>,
}

impl<Q: Numbered> Source<Q> for Keys {
    fn info(&self) -> SourceInfo {
        SourceInfo {
            kind: "keys",
            detail: format!("{} keys", self.input.keys),
            boundedness: Boundedness::Bounded,
            repeatable: true,
        }
    }

    fn partitions(&self) -> Result<Vec<String>, Problem> {
        Ok((0..self.input.partitions)
            .map(|name| name.to_string())
            .collect())
    }

    fn open(&self, partition: usize, opening: Opening) -> Result<Box<dyn Reader<Q>>, Problem> {
        Ok(Box::new(KeyReader {
            input: self.input,
            partition: partition as u64,
            next: opening.from.read()?,
            clock: opening.clock,
            last: None,
            is_first: true,
            gate: self.gate.clone(),
        }))
    }
}

struct KeyReader {
    input: Input,
    partition: u64,
    next: u64,
    clock: Clock,
    /// When the last read ended that counts.
    last: Option<(Instant, Duration)>,
    is_first: bool,
    gate: Arc<Gate>,
}

/// Now, by the clock and in CPU time of this thread.
fn now() -> (Instant, Duration) {
    let cpu = clock_gettime(ClockId::ThreadCPUTime);
    let cpu = Duration::new(cpu.tv_sec.unsigned_abs(), cpu.tv_nsec as u32);
    (Instant::now(), cpu)
}

impl<Q: Numbered> Reader<Q> for KeyReader {
    fn read(&mut self, max: usize, into: &mut Chunk<Q>) -> Result<ReadStatus, Problem> {
        if std::mem::take(&mut self.is_first) {
            note(&self.gate.first_read);
        }
        if let Some((last, last_cpu)) = self.last.take() {
            let (now, cpu) = now();
            let mut longest = lock(&self.gate.longest);
            longest.wall = longest.wall.max(now - last);
            longest.cpu = longest.cpu.max(cpu.saturating_sub(last_cpu));
        }
        let allowed = self.gate.allowed.load(Ordering::Acquire);
        let allowed = self.input.share(allowed, self.partition);
        let end = allowed.min(self.next + READ_RECORDS.min(max as u64));
        let (input, partition) = (self.input, self.partition);
        let record = |number| Q::of(input.key(number * input.partitions + partition));
        let count = end.saturating_sub(self.next);
        into.extend((self.next..end).map(record));
        self.next += count;
        self.gate.read.fetch_add(count, Ordering::AcqRel);
        let grown = input.share(input.keys, partition);
        if self.next - count < grown && grown <= self.next {
            note(&self.gate.grown);
        }
        if self.next == input.share(input.records, partition) {
            return Ok(ReadStatus::Ended);
        }
        if count == 0 {
            return Ok(ReadStatus::Until(self.clock.elapsed() + NAP));
        }
        // The first time that each key comes is no part of what is measured: the table grows.
        if self.input.is_stepwise {
            self.last = (self.next >= grown).then(now);
            return Ok(ReadStatus::Until(self.clock.elapsed()));
        }
        Ok(ReadStatus::More)
    }

    fn position(&self) -> Result<Position, Problem> {
        Position::of(&self.next)
    }
}

/// A sink that keeps the last count of each key.
#[derive(Clone)]
pub(super) struct Latest(Arc<Mutex<Vec<u64>>>);

impl Latest {
    /// Fails unless each key has as many as it should.
    pub(super) fn check(&self, input: Input) -> Result<(), Box<dyn Error>> {
        let mut expected = vec![0; input.keys as usize];
        for record in 0..input.records {
            expected[input.key(record) as usize] += 1;
        }
        let got = lock(&self.0);
        let wrong = |(number, count): (usize, &u64)| got.get(number).unwrap_or(&0) != count;
        let wrong = expected
            .iter()
            .enumerate()
            .filter(|row| wrong(*row))
            .count();
        match wrong == 0 && got.len() == expected.len() {
            true => Ok(()),
            false => Err(format!(
                "the result is wrong: {wrong} of {} keys; {} came",
                expected.len(),
                got.len()
            )
            .into()),
        }
    }
}

impl<Q: Numbered> Sink<Change<Q, u64>> for Latest {
    fn info(&self) -> SinkInfo {
        SinkInfo {
            kind: "latest",
            detail: String::new(),
            atomic: false,
        }
    }

    fn open(&self, _: Slot) -> Result<Box<dyn Writer<Change<Q, u64>>>, Problem> {
        Ok(Box::new(LatestWriter {
            own: Vec::new(),
            sink: self.clone(),
        }))
    }
}

struct LatestWriter {
    own: Vec<u64>,
    sink: Latest,
}

impl<Q: Numbered> Writer<Change<Q, u64>> for LatestWriter {
    fn write(&mut self, changes: &mut Vec<Change<Q, u64>>) -> Result<(), Problem> {
        for change in changes.drain(..) {
            let number = usize::try_from(change.key.number()).unwrap_or(usize::MAX);
            if number > u32::MAX as usize {
                return Err(Problem::new("a key came that was not read"));
            }
            if number >= self.own.len() {
                self.own.resize((number + 1).next_power_of_two(), 0);
            }
            self.own[number] = change.value.unwrap_or(0);
        }
        Ok(())
    }

    fn prepare(&mut self, _: u64) -> Result<Staged, Problem> {
        Ok(Staged::nothing())
    }
}

impl Drop for LatestWriter {
    /// Counts only grow, and a key stays on its worker.
    fn drop(&mut self) {
        let mut all = lock(&self.sink.0);
        let keys = self.own.iter().rposition(|count| *count > 0);
        let keys = keys.map_or(0, |last| last + 1).max(all.len());
        all.resize(keys, 0);
        for (all, own) in all.iter_mut().zip(&self.own) {
            *all = (*all).max(*own);
        }
    }
}

/// A count by key of this input.
pub(super) fn job<Q: Numbered>(input: Input, workers: u64, gate: &Arc<Gate>) -> (Job, Latest) {
    let latest = Latest(Arc::default());
    let gate = gate.clone();
    let job = Job::new("state", |graph: &Graph| {
        let counts = graph.input::<Q>("in").key_by(Q::clone).count();
        graph.output("out", counts.changes());
    })
    .source::<Q>("in", Keys { input, gate })
    .sink::<Change<Q, u64>>("out", latest.clone());
    (job.workers(workers as usize), latest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_tells_its_number() {
        for number in [0, 1, 77, u64::MAX] {
            assert_eq!(u64::of(number).number(), number);
            assert_eq!(String::of(number).number(), number);
        }
    }

    #[test]
    fn partitions_have_all_records_together() {
        for (records, partitions) in [(0, 1), (10, 3), (11, 3), (12, 3)] {
            let input = Input {
                keys: 5,
                records,
                partitions,
                is_mixed: true,
                is_stepwise: false,
            };
            let all: u64 = (0..partitions).map(|at| input.share(records, at)).sum();
            assert_eq!(all, records);
        }
    }
}
