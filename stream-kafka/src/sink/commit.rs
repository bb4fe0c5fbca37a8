//! Exactly once: a transaction a checkpoint, with the checkpoint's number inside.
//!
//! What the slots have written since the last checkpoint is staged, and so kept with the checkpoint. Only
//! when that is complete does a transaction begin, with the records and with the *marker*: the
//! checkpoint's number, kept by the broker as the offset of a consumer group that nobody joins. Both are
//! there or neither is. So whatever the broker has forgotten of a transaction, the next run finds by the
//! marker whether it was committed, and has what is needed to do it again.
//!
//! * **A process that was killed** leaves an open transaction at most as long as a commit takes; the next
//!   run ends it at once by [initializing](Producer::init_transactions) the same id, before it looks at
//!   the marker.
//! * **A process that sleeps and wakes** is refused by the broker when another has initialized the id.
//! * **An outcome that is not known** (a timeout, a connection that broke) is never built upon: the
//!   producer is given up, a new one is initialized, and the marker tells. For the client library does not
//!   speak the protocol (KIP-890) by which a late answer could not hit a later transaction.

use std::time::{Duration, Instant};

use rdkafka::error::KafkaError;
use stream_core::Problem;
use stream_core::io::Commit;

use super::Settings;
use crate::client::{Batch, Failure, Group, Producer, Scratch, explain};
use crate::config::Role;

/// How long a request of a transaction may take.
const REQUEST_WAIT: Duration = Duration::from_secs(10);

/// For how long a commit is tried again.
const COMMIT_WAIT: Duration = Duration::from_secs(120);

/// How long to wait before trying again.
const RETRY_WAIT: Duration = Duration::from_millis(200);

/// A marker is written again after so long, though nothing was written: brokers forget it some days after
/// the last time (`offsets.retention.minutes`).
const MARKER_AGE: Duration = Duration::from_secs(3_600);

pub(super) struct Committer {
    settings: Settings,
    id: String,
    group: Group,
    /// None before the first transaction, and after one whose outcome is not known.
    producer: Option<Producer>,
    scratch: Scratch,
    /// When the marker was written last in this run.
    marked: Option<Instant>,
}

/// What went wrong with a step of a commit.
enum Fault {
    /// It may go well with a new producer.
    Retry(KafkaError),
    /// It will not.
    Problem(Problem),
}

impl From<KafkaError> for Fault {
    fn from(error: KafkaError) -> Self {
        Fault::Retry(error)
    }
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        Fault::Retry(KafkaError::MessageProduction(failure.code))
    }
}

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Self {
        Fault::Problem(problem)
    }
}

impl Committer {
    pub(super) fn new(settings: &Settings, id: &str) -> Result<Self, Problem> {
        let needed = [
            ("group.id", id.to_owned()),
            ("enable.auto.commit", "false".to_owned()),
            // So that a marker of a transaction that is not yet decided is waited for.
            ("isolation.level", "read_committed".to_owned()),
        ];
        let config = settings
            .cluster
            .client_config(Role::Consumer, &[], &needed)?;
        let failed = || {
            Problem::new(format!(
                "cannot set up transactions for `{}`",
                settings.topic
            ))
        };
        let group =
            Group::new(&config).map_err(|error| explain::because_error(failed(), &error, None))?;
        Ok(Committer {
            settings: settings.clone(),
            id: id.to_owned(),
            group,
            producer: None,
            scratch: Scratch::default(),
            marked: None,
        })
    }

    /// Brings the topic to where a checkpoint left it.
    pub(super) fn recover(&mut self, last: Option<&Commit>) -> Result<(), Problem> {
        let Some(last) = last else {
            // From now on a marker that is missing is one that the broker has forgotten.
            return self.persist(0, &[], |_, _| Ok(false));
        };
        let batches = decode(last)?;
        let checkpoint = last.checkpoint;
        self.persist(checkpoint, &batches, |committer, marker| match marker {
            None => Err(committer.forgotten(checkpoint)),
            Some(marker) if marker > checkpoint => Err(committer.ahead(checkpoint, marker)),
            Some(marker) => Ok(marker == checkpoint),
        })
    }

    /// Commits a checkpoint, if the marker does not say that this was done.
    pub(super) fn commit(&mut self, commit: &Commit) -> Result<(), Problem> {
        let batches = decode(commit)?;
        let is_fresh = self
            .marked
            .is_some_and(|marked| marked.elapsed() < MARKER_AGE);
        if batches.is_empty() && is_fresh {
            return Ok(());
        }
        let checkpoint = commit.checkpoint;
        self.persist(checkpoint, &batches, |_, marker| {
            Ok(marker >= Some(checkpoint))
        })
    }

    /// Writes records and a marker in one transaction, unless `is_done` says of the marker that is there
    /// that they are. It is asked whenever the marker is not known from the run itself.
    fn persist(
        &mut self,
        marker: u64,
        batches: &[Batch],
        is_done: impl Fn(&Self, Option<u64>) -> Result<bool, Problem>,
    ) -> Result<(), Problem> {
        let started = Instant::now();
        loop {
            let error = match self.try_persist(marker, batches, &is_done) {
                Ok(()) => {
                    self.marked = Some(Instant::now());
                    return Ok(());
                }
                Err(Fault::Problem(problem)) => return Err(problem),
                Err(Fault::Retry(error)) => error,
            };
            // Its outcome is not known: the next one asks the marker.
            let told = self
                .producer
                .take()
                .and_then(|producer| producer.error_since(started));
            if is_fenced(&error) {
                return Err(self.fenced());
            }
            if started.elapsed() >= COMMIT_WAIT {
                let what = format!(
                    "cannot commit checkpoint {marker} to the topic `{}`",
                    self.settings.topic
                );
                return Err(explain::because_error(Problem::new(what), &error, told));
            }
            std::thread::sleep(RETRY_WAIT);
        }
    }

    fn try_persist(
        &mut self,
        marker: u64,
        batches: &[Batch],
        is_done: &impl Fn(&Self, Option<u64>) -> Result<bool, Problem>,
    ) -> Result<(), Fault> {
        if self.producer.is_none() {
            self.producer = Some(self.new_producer()?);
            // Only now is no transaction of another producer of this id under way.
            let known = self.group.marker(&self.settings.topic, REQUEST_WAIT)?;
            if is_done(self, known)? {
                return Ok(());
            }
        }
        let producer = self.producer.as_ref().expect("made above");
        producer.begin_transaction()?;
        for batch in batches {
            producer.send(batch, 0, &mut self.scratch, || true)?;
        }
        // All are acknowledged before the commit, which would wait in steps of 100 ms.
        producer.wait(0)?;
        producer.send_marker(&self.group, marker, REQUEST_WAIT)?;
        producer.commit_transaction(REQUEST_WAIT)?;
        Ok(())
    }

    fn new_producer(&self) -> Result<Producer, Fault> {
        let timeout = self.settings.timeout.as_millis().to_string();
        let producer = self.settings.producer(&[
            ("transactional.id", self.id.clone()),
            ("transaction.timeout.ms", timeout.clone()),
            ("message.timeout.ms", timeout),
        ])?;
        producer.init_transactions(REQUEST_WAIT)?;
        Ok(producer)
    }

    fn problem(&self, what: &str) -> Problem {
        Problem::new(format!("the topic `{}` {what}", self.settings.topic))
    }

    fn forgotten(&self, checkpoint: u64) -> Problem {
        self.problem("cannot be gone on with: it is not known what was written")
            .detail(format!(
                "the brokers know no marker of `{}`, and the job goes on from checkpoint {checkpoint}",
                self.id
            ))
            .hint(
                "they forget it some days after the last commit (`offsets.retention.minutes`), and with \
                 its topic; start afresh with a state of its own, and another topic or a cleared one",
            )
    }

    fn ahead(&self, checkpoint: u64, marker: u64) -> Problem {
        self.problem("cannot be brought back")
            .detail(format!(
                "it holds what was written up to checkpoint {marker}, and the job goes on from {checkpoint}"
            ))
            .hint(
                "go on from the last checkpoint, or start afresh with a state of its own, and another topic",
            )
    }

    fn fenced(&self) -> Problem {
        self.problem("is written by another run")
            .detail(format!(
                "it has taken over the transactions of `{}`",
                self.id
            ))
            .hint("let one run of the job go at a time, and give each job an id of its own")
    }
}

fn is_fenced(error: &KafkaError) -> bool {
    use rdkafka::types::RDKafkaErrorCode as Code;
    let code = match error {
        KafkaError::Transaction(error) => Some(error.code()),
        error => error.rdkafka_error_code(),
    };
    matches!(
        code,
        Some(Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch)
    )
}

/// What the slots have staged; those that have written nothing are left out.
fn decode(commit: &Commit) -> Result<Vec<Batch>, Problem> {
    let staged = commit.staged.iter().filter(|bytes| !bytes.is_empty());
    staged.map(|bytes| Batch::from_staged(bytes)).collect()
}
