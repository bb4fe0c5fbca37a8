//! The contract tests find connectors that break the contract.

use super::*;
use crate::Problem;
use crate::io::{Partitions, SinkInfo, SourceInfo, vec};

/// A source of 1, 2, 3 with a fault.
struct Faulty {
    inner: Partitions<u8>,
    fault: Fault,
}

#[derive(Clone, Copy)]
enum Fault {
    IgnoresMax,
    IgnoresPosition,
    Repeats,
}

struct FaultyReader(Box<dyn Reader<u8>>, u64, Fault);

impl Source<u8> for Faulty {
    fn info(&self) -> SourceInfo {
        self.inner.info()
    }

    fn partitions(&self) -> Result<Vec<String>, Problem> {
        self.inner.partitions()
    }

    fn open(&self, number: usize, opening: Opening) -> Result<Box<dyn Reader<u8>>, Problem> {
        let asked = opening.from.read()?;
        let from = match self.fault {
            Fault::IgnoresPosition => Position::START,
            _ => opening.from,
        };
        let inner = self.inner.open(number, Opening { from, ..opening })?;
        Ok(Box::new(FaultyReader(inner, asked, self.fault)))
    }
}

impl Reader<u8> for FaultyReader {
    fn read(&mut self, max: usize, into: &mut Chunk<u8>) -> Result<ReadStatus, Problem> {
        let before = into.len();
        let max = if matches!(self.2, Fault::IgnoresMax) {
            max + 1
        } else {
            max
        };
        let status = self.0.read(max, into)?;
        if matches!(self.2, Fault::Repeats) && max > 1 {
            into.push(3);
        }
        self.1 += (into.len() - before) as u64;
        Ok(status)
    }

    fn position(&self) -> Result<Position, Problem> {
        Position::of(&self.1)
    }
}

fn check(fault: Fault) {
    let inner = vec(vec![1, 2, 3]);
    source(
        || Faulty {
            inner: inner.clone(),
            fault,
        },
        &[vec![1, 2, 3]],
    );
}

#[test]
#[should_panic(expected = "asked for 1 records, got 2")]
fn a_source_that_gives_too_much_is_found() {
    check(Fault::IgnoresMax);
}

#[test]
#[should_panic(expected = "partition 0, again behind 1 records")]
fn a_source_that_begins_elsewhere_is_found() {
    check(Fault::IgnoresPosition);
}

#[test]
#[should_panic(expected = "partition 0, again behind 0 records")]
fn a_source_that_repeats_a_record_is_found() {
    check(Fault::Repeats);
}

/// A sink whose records are seen at once.
struct Open(std::sync::mpsc::Sender<u8>, bool);

impl Sink<u8> for Open {
    fn info(&self) -> SinkInfo {
        SinkInfo {
            kind: "open",
            detail: String::new(),
            atomic: self.1,
        }
    }

    fn open(&self, _: Slot) -> Result<Box<dyn Writer<u8>>, Problem> {
        Ok(Box::new(Forward(self.0.clone(), self.1)))
    }
}

/// Loses every other record when it does not claim to be atomic.
struct Forward(std::sync::mpsc::Sender<u8>, bool);

impl Writer<u8> for Forward {
    fn write(&mut self, records: &mut Vec<u8>) -> Result<(), Problem> {
        let kept = records.drain(..).filter(|record| self.1 || record % 2 == 0);
        kept.for_each(|record| self.0.send(record).unwrap());
        Ok(())
    }
}

fn check_open(atomic: bool) {
    let make = || {
        let (sender, receiver) = channel();
        (Open(sender, atomic), move || receiver.try_iter().collect())
    };
    sink(make, &[1, 2, 3]);
}

#[test]
#[should_panic(expected = "an atomic sink shows records before the commit")]
fn a_sink_that_is_seen_too_soon_is_found() {
    check_open(true);
}

#[test]
#[should_panic(expected = "what is seen after the commit")]
fn a_sink_that_loses_a_record_is_found() {
    check_open(false);
}

/// A log as a sink that is not told of ways back.
struct Onward(crate::io::LogSink<u8>);

impl Sink<u8> for Onward {
    fn info(&self) -> SinkInfo {
        self.0.info()
    }

    fn recover(&self, last: Option<&Commit>) -> Result<(), Problem> {
        let last = last.cloned().map(|mut last| {
            last.goes_back = false;
            last
        });
        self.0.recover(last.as_ref())
    }

    fn open(&self, slot: Slot) -> Result<Box<dyn Writer<u8>>, Problem> {
        self.0.open(slot)
    }

    fn commit(&self, commit: &Commit) -> Result<(), Problem> {
        self.0.commit(commit)
    }
}

#[test]
#[should_panic(expected = "went back to checkpoint 1")]
fn a_sink_that_does_not_go_back_is_found() {
    sink_recovers(
        || crate::io::MemoryLog::new(1),
        |log| Onward(log.transactional("job")),
        |log| log.records().concat(),
        &[1, 2, 3, 4],
    );
}
