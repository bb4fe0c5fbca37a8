//! What becomes of records that cannot be read: the source's policy, on one worker.

use super::abort::Abort;
use super::bindings::BoundSource;
use super::guard::Guard;
use super::local::Local;
use crate::error::{Error, Problem};
use crate::io::{BadRecord, BadRecords, Writer};
use crate::observe::{Counter, Examples};

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
    Write(Box<dyn Writer<BadRecord>>),
}

impl BadRecordPolicy {
    pub(crate) fn new(port: &str, bound: &BoundSource, guard: &Guard, local: &Local) -> Self {
        let action = match &bound.bad_records {
            BadRecords::Fail => Action::Fail,
            BadRecords::Skip => Action::Skip,
            BadRecords::DeadLetter(sink) => match sink.open(local.index, local.peers) {
                Ok(mut writer) => {
                    writer.watch(local.abort.watch());
                    Action::Write(writer)
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

    /// Treats one record.
    pub(crate) fn treat(&mut self, partition: usize, mut record: BadRecord, abort: &Abort) {
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
        self.attempt(abort, |writer| writer.write(&mut vec![record]));
    }

    /// Hands on what the writer has, if there is one.
    pub(crate) fn flush(&mut self, abort: &Abort) {
        self.attempt(abort, |writer| writer.flush());
    }

    /// Closes the writer, if there is one.
    pub(crate) fn close(&mut self, abort: &Abort) {
        self.attempt(abort, |writer| writer.close());
    }

    fn attempt(
        &mut self,
        abort: &Abort,
        step: impl FnOnce(&mut dyn Writer<BadRecord>) -> Result<(), Problem>,
    ) {
        let Action::Write(writer) = &mut self.action else {
            return;
        };
        let _entered = self.guard.enter();
        if let Err(problem) = step(&mut **writer) {
            abort.fail_sink(&dead_letters_of(&self.port), problem);
            self.action = Action::Skip; // a writer that has failed is not called again
        }
    }
}

/// What errors call the port of a source's dead letters.
pub(crate) fn dead_letters_of(port: &str) -> String {
    format!("dead letters of {port}")
}
