//! Reads one partition, on the worker that owns it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rdkafka::types::RDKafkaErrorCode;
use stream_core::Problem;
use stream_core::io::{BadRecord, Chunk, Opening, Position, ReadStatus, Reader};

use super::connection::{Connection, Part};
use super::format::{Decode, DecodeError, RecordRef};
use super::lost;
use super::position::At;
use super::range::Start;
use super::watch;
use crate::client::{Event, Failure, Flow, Message, PartitionQueue, explain};

/// How often a partition is begun anew whose offset is refused, before it has given a record.
const BEGUN_MAX: u32 = 5;

pub(super) struct PartitionReader<F> {
    queue: PartitionQueue,
    next: Next,
    format: F,
    /// Declared behind the queue, which goes first.
    connection: Arc<Connection>,
}

/// How far the partition has been read.
struct Next {
    at: At,
    part: Part,
    has_ended: bool,
    skips_tombstones: bool,
    /// An error that is to be looked at when the messages before it have been taken.
    failure: Option<Failure>,
    /// How often reading was begun anew since the last record.
    begun: u32,
}

impl<F: Decode> PartitionReader<F> {
    pub(super) fn open(
        connection: Arc<Connection>,
        number: usize,
        opening: Opening,
        format: F,
    ) -> Result<Self, Problem> {
        let part = connection.part(number)?;
        let at = if opening.from != Position::START {
            opening.from.read()?
        } else if opening.goes_on && connection.settings().start != Start::Earliest {
            // It was added while nobody looked, and is read from its first record.
            At::start(connection.log(&part)?.first, part.topic_id)
        } else {
            At::start(part.start, part.topic_id)
        };
        if at.topic_id.is_some() && part.topic_id.is_some() && at.topic_id != part.topic_id {
            return Err(watch::made_anew(&part.place.topic));
        }
        let has_ended = part.end.is_some_and(|end| at.offset >= end);
        let queue = connection.read(&part, &at, opening.waker)?;
        let skips_tombstones = connection.settings().skip_tombstones;
        Ok(PartitionReader {
            queue,
            next: Next {
                at,
                part,
                has_ended,
                skips_tombstones,
                failure: None,
                begun: 0,
            },
            format,
            connection,
        })
    }
}

impl Next {
    /// Takes what has come out of the queue.
    #[inline]
    fn take<F: Decode>(
        &mut self,
        event: Event<'_>,
        format: &mut F,
        into: &mut Chunk<F::Record>,
    ) -> Flow {
        match event {
            Event::Message(message) => self.take_message(message, format, into),
            Event::End(offset) => {
                // Behind the last record there may be marks of transactions, and records that were given
                // up. To have read them as well tells a log that loses them from one that loses records.
                if offset > self.at.offset {
                    // Nobody says of which term of the leader they are.
                    (self.at.offset, self.at.leader_epoch) = (offset, None);
                }
                self.has_ended = self.part.end.is_some_and(|end| offset >= end);
                self.go_on_unless(self.has_ended)
            }
            Event::Failed(failure) => {
                self.failure = Some(failure);
                Flow::Stop
            }
        }
    }

    #[inline]
    fn take_message<F: Decode>(
        &mut self,
        message: Message<'_>,
        format: &mut F,
        into: &mut Chunk<F::Record>,
    ) -> Flow {
        let offset = message.offset();
        if self.part.end.is_some_and(|end| offset >= end) {
            self.has_ended = true;
            return Flow::Stop;
        }
        if offset < self.at.offset {
            return Flow::GoOn; // of a batch that begins before it
        }
        let record = RecordRef::new(message, &self.part.place);
        into.add_bytes(record.size());
        if !(self.skips_tombstones && record.value().is_none()) {
            match format.decode(&record) {
                Ok(Some(decoded)) => into.push(decoded),
                Ok(None) => {}
                Err(error) => into.push_bad(bad_record(&record, error)),
            }
        }
        self.at.offset = offset + 1;
        self.begun = 0;
        let epoch = message.leader_epoch();
        self.at.leader_epoch = (epoch >= 0).then_some(epoch);
        self.go_on_unless(into.is_full())
    }

    fn go_on_unless(&self, stop: bool) -> Flow {
        if stop { Flow::Stop } else { Flow::GoOn }
    }
}

impl<F: Decode> Reader<F::Record> for PartitionReader<F> {
    fn read(&mut self, max: usize, into: &mut Chunk<F::Record>) -> Result<ReadStatus, Problem> {
        if self.next.has_ended {
            return Ok(ReadStatus::Ended);
        }
        let (next, format) = (&mut self.next, &mut self.format);
        let shown = self.queue.read(max, |event| next.take(event, format, into));
        if let Some(failure) = self.next.failure.take() {
            self.get_over(failure)?;
        }
        let next = &self.next;
        next.part.next.store(next.at.offset, Ordering::Relaxed);
        Ok(match (self.next.has_ended, shown) {
            (true, _) => ReadStatus::Ended,
            (false, 0) => ReadStatus::Waiting,
            (false, _) => ReadStatus::More,
        })
    }

    fn position(&self) -> Result<Position, Problem> {
        self.next.at.position()
    }
}

impl<F> PartitionReader<F> {
    /// Goes on after an error of the partition, where that is possible.
    fn get_over(&mut self, failure: Failure) -> Result<(), Problem> {
        let part = &self.next.part;
        match failure.code {
            RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange => {
                if is_truncation(&failure) {
                    return Err(truncated(part, failure));
                }
                self.next.begun += 1;
                if self.next.begun > BEGUN_MAX {
                    return Err(unreadable(part, &failure));
                }
                let log = self.connection.log(part)?;
                let policy = self.connection.settings().lost;
                let offset = lost::go_on(policy, &part.place, self.next.at.offset, &log)?;
                self.connection.read_on(part, offset)?;
                self.next.at = At::start(offset, self.next.at.topic_id);
                self.next.has_ended = part.end.is_some_and(|end| offset >= end);
                Ok(())
            }
            RDKafkaErrorCode::LogTruncation => Err(truncated(part, failure)),
            RDKafkaErrorCode::UnknownTopicOrPartition
            | RDKafkaErrorCode::UnknownPartition
            | RDKafkaErrorCode::UnknownTopic => {
                let what = format!("the partition `{}` is not there", part.name());
                Err(Problem::new(what)
                    .detail(failure.text)
                    .hint("the topic was deleted; start afresh when there is another"))
            }
            _ => Err(unreadable(part, &failure)),
        }
    }
}

impl<F> Drop for PartitionReader<F> {
    fn drop(&mut self) {
        self.connection.stop_reading(&self.next.part);
    }
}

/// Whether an offset is not there because the log was cut. The client tells that by its text alone. It
/// says so as well of a log that has lost all its records, and with them its history.
fn is_truncation(failure: &Failure) -> bool {
    failure.text.contains("truncation") && !failure.text.contains("No epoch found")
}

fn unreadable(part: &Part, failure: &Failure) -> Problem {
    let problem = Problem::new(format!("cannot read the partition `{}`", part.name()));
    explain::because(problem, &failure.text)
}

fn truncated(part: &Part, failure: Failure) -> Problem {
    let what = format!(
        "the log of `{}` was cut behind what was read of it",
        part.name()
    );
    Problem::new(what).detail(failure.text).hint(
        "a replica that was behind has become the leader (`unclean.leader.election.enable`), or a \
         broker has lost what it had not yet written: start afresh, with a state of its own",
    )
}

#[cold]
fn bad_record(record: &RecordRef<'_>, error: DecodeError) -> BadRecord {
    let bytes = record.value().unwrap_or_default();
    BadRecord {
        place: format!(
            "{}/{}@{}",
            record.topic(),
            record.partition(),
            record.offset()
        ),
        field: error.field,
        reason: error.reason,
        hint: error.hint,
        text: BadRecord::excerpt(bytes),
        raw: record.to_owned().to_raw(),
        ..BadRecord::default()
    }
}
