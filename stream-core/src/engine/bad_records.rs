//! What becomes of records that cannot be read: the source's policy, on one worker.

use super::abort::Abort;
use super::bindings::BoundSource;
use super::guard::Guard;
use super::local::Local;
use crate::error::{Error, Problem};
use crate::io::{BadRecord, BadRecords, Slot, Writer};
use crate::observe::{Counter, Examples};
use crate::state::checkpoint::{Boundary, Held, Participant, Prepared};

/// What to do about the record that fails a job, where there is nothing better to say. It is no part
/// of a dead letter, which is kept apart already.
const HINT: &str = "correct it, leave such records out by `.skip_bad_records()` on the source, or \
                    keep them apart by `.dead_letter(…)`";

/// What is done, on one worker, with the records of one source that cannot be read.
pub(crate) struct BadRecordPolicy {
    port: String,
    partitions: Vec<String>,
    guard: Guard,
    action: Action,
    count: Counter,
    examples: Examples,
}

enum Action {
    Fail,
    Skip,
    Write(Box<Letters>),
}

/// The writer of dead letters, which takes those from behind a boundary only once all from before it
/// are prepared.
struct Letters {
    writer: Box<dyn Writer<BadRecord>>,
    /// By epoch: what lies behind a boundary that is still to be prepared.
    waiting: Vec<(u64, BadRecord)>,
    participant: Participant,
    slot: usize,
    held: Held,
}

impl Letters {
    fn take(&mut self, epoch: u64, record: BadRecord) -> Result<(), Problem> {
        match self.participant.due(epoch) {
            None => {
                self.writer.write(&mut vec![record])?;
                self.held.grow(self.writer.held(), &self.participant);
                Ok(())
            }
            Some(_) => {
                self.waiting.push((epoch, record));
                Ok(())
            }
        }
    }

    fn prepare_before(&mut self, until: u64, sink: &str) -> Result<(), Problem> {
        while let Some(boundary) = self.participant.due(until) {
            self.prepare(boundary, sink)?;
            self.participant.leave(boundary);
            for (epoch, record) in std::mem::take(&mut self.waiting) {
                self.take(epoch, record)?;
            }
        }
        Ok(())
    }

    fn prepare(&mut self, boundary: Boundary, sink: &str) -> Result<(), Problem> {
        let staged = self.writer.prepare(boundary.number)?;
        let held = self.held.take(self.writer.held());
        let prepared = Prepared { staged, held };
        self.participant.stage(boundary, sink, self.slot, prepared);
        Ok(())
    }
}

impl BadRecordPolicy {
    pub(crate) fn new(port: &str, bound: &BoundSource, guard: &Guard, local: &Local) -> Self {
        let action = match &bound.bad_records {
            BadRecords::Fail => Action::Fail,
            BadRecords::Skip => Action::Skip,
            BadRecords::DeadLetter(sink) => match sink.open(Slot::new(local.index, local.peers)) {
                Ok(mut writer) => {
                    writer.watch(local.abort.watch());
                    Action::Write(Box::new(Letters {
                        writer,
                        waiting: Vec::new(),
                        participant: local.checkpoints.join(),
                        slot: local.index,
                        held: Held::default(),
                    }))
                }
                Err(problem) => {
                    local.abort.fail_sink(&dead_letters_of(port), problem);
                    Action::Skip
                }
            },
        };
        BadRecordPolicy {
            port: port.to_owned(),
            partitions: bound.partitions().to_vec(),
            guard: guard.clone(),
            action,
            count: local.counter(port, "bad"),
            examples: local.counters.examples(port, "bad"),
        }
    }

    /// The port that the source is bound to.
    pub(crate) fn port(&self) -> &str {
        &self.port
    }

    /// The name of a partition.
    pub(crate) fn place(&self, partition: usize) -> String {
        self.partitions.get(partition).cloned().unwrap_or_default()
    }

    /// Adds the name of a partition that has appeared.
    pub(crate) fn add_place(&mut self, name: &str) {
        self.partitions.push(name.to_owned());
    }

    /// Treats one record.
    pub(crate) fn treat(
        &mut self,
        epoch: u64,
        partition: usize,
        mut record: BadRecord,
        abort: &Abort,
    ) {
        if record.place.is_empty() {
            record.place = self.place(partition);
        }
        self.examples.offer(|| record.told());
        self.count.add(1);
        if let Action::Fail = self.action {
            record.hint.get_or_insert_with(|| HINT.to_owned());
            return abort.fail(Error::BadRecord {
                port: self.port.clone(),
                record: Box::new(record),
            });
        }
        self.attempt(abort, |letters| letters.take(epoch, record));
    }

    /// Hands on what is buffered.
    pub(crate) fn flush(&mut self, abort: &Abort) {
        self.attempt(abort, |letters| letters.writer.flush());
    }

    /// Prepares the checkpoints up to an epoch, of which no bad record from before will come.
    pub(crate) fn prepare_before(&mut self, epoch: u64, abort: &Abort) {
        let sink = dead_letters_of(&self.port);
        self.attempt(abort, |letters| letters.prepare_before(epoch, &sink));
    }

    /// The last call; at the end of all input it prepares what is left.
    pub(crate) fn close(&mut self, end: Option<Boundary>, abort: &Abort) {
        if let Some(end) = end {
            let sink = dead_letters_of(&self.port);
            self.attempt(abort, |letters| letters.prepare(end, &sink));
        }
        self.action = Action::Skip;
    }

    fn attempt(&mut self, abort: &Abort, step: impl FnOnce(&mut Letters) -> Result<(), Problem>) {
        let Action::Write(letters) = &mut self.action else {
            return;
        };
        let _entered = self.guard.enter();
        if let Err(problem) = step(letters) {
            abort.fail_sink(&dead_letters_of(&self.port), problem);
            self.action = Action::Skip; // a writer that has failed is not called again
        }
    }
}

/// What errors call the port of a source's dead letters.
pub(crate) fn dead_letters_of(port: &str) -> String {
    format!("dead letters of {port}")
}
