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
//! * **A process that sleeps and wakes**, or that was cut off, is refused by the brokers when another run
//!   has initialized the id. The marker says which run has written it, so that a run does not take the id
//!   back from one that has followed it.
//! * **An outcome that is not known** (a timeout, a connection that broke) is never built upon: the
//!   producer is given up, a new one is initialized, and the marker tells.
//! * **A request that was repeated** may still be under way when its repetition is answered, and would hit
//!   the next transaction: commit it half done, or set its marker back. For the client library does not
//!   speak the protocol (KIP-890) that prevents it. It tells nobody that it repeats a request, but waits
//!   before it does; after an answer that came no sooner, a new producer is initialized too, whose
//!   transactions such a request cannot belong to.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;
use stream_core::Problem;
use stream_core::io::Commit;

use super::Settings;
use crate::client::{Batch, Failure, Group, Marker, Producer, Scratch, explain};
use crate::config::Role;

/// How long the client library waits before it repeats a request, give or take a fifth.
const REPEAT_WAIT: Duration = Duration::from_millis(250);

/// An answer that took less is one to the first request.
const REPEATED_AFTER: Duration = Duration::from_millis(200);

/// How long to wait before trying again.
const RETRY_WAIT: Duration = Duration::from_millis(200);

/// A marker is written again after so long, though nothing was written: brokers forget it some days after
/// the last time (`offsets.retention.minutes`).
const MARKER_AGE: Duration = Duration::from_secs(3_600);

/// Why a marker is missing, and what to do.
const FORGOTTEN: &str = "the brokers have forgotten it, as they do some days after the last commit \
    (`offsets.retention.minutes`), and with its topic: start afresh with a state of its own, and another topic or a \
    cleared one";

pub(super) struct Committer {
    settings: Settings,
    id: String,
    /// Tells this run from all others.
    run: String,
    group: Group,
    /// None before the first transaction, and after one behind which something may still be under way.
    producer: Option<Arc<Producer>>,
    scratch: Scratch,
    /// When the marker was written last in this run.
    marked: Option<Instant>,
    /// What was seen before the run took its state, until that is used.
    before: Seen,
}

/// The marker that was there, if any; `None` where it was not read.
pub(super) type Seen = Option<Option<Marker>>;

/// The marker that is decided by now: one of a transaction that is under way is not waited for. Where it cannot be
/// read, the producer finds out what is to be said of that.
pub(super) fn marker_now(settings: &Settings, id: &str) -> Result<Seen, Problem> {
    let group = group(settings, id, "read_uncommitted")?;
    let start_wait = settings.cluster.start_wait_max();
    let wait = settings.waits.request.min(start_wait);
    Ok(group.marker(&settings.topic, wait).ok())
}

/// What the marker says is still to be done.
enum Todo {
    Write,
    /// The records are there, written by another run.
    Mark,
    Nothing,
}

/// What went wrong with a step of a commit.
enum Fault {
    /// It may go well with a new producer.
    Retry(KafkaError),
    /// There is no new producer now.
    Later(Problem),
    /// It will not.
    Problem(Problem),
}

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Self {
        Fault::Problem(problem)
    }
}

impl Committer {
    pub(super) fn new(settings: &Settings, id: &str, before: Seen) -> Result<Self, Problem> {
        // So that a marker of a transaction that is not yet decided is waited for.
        let group = group(settings, id, "read_committed")?;
        Ok(Committer {
            settings: settings.clone(),
            id: id.to_owned(),
            run: format!("{:016x}", RandomState::new().build_hasher().finish()),
            group,
            producer: None,
            scratch: Scratch::default(),
            marked: None,
            before,
        })
    }

    /// Brings the topic to where a checkpoint left it. In any case the marker is then this run's.
    pub(super) fn recover(&mut self, last: Option<&Commit>) -> Result<(), Problem> {
        // A run before this one may have left them, where a sink serves several.
        (self.producer, self.marked) = (None, None);
        let Some(last) = last else {
            // What was there before is given up. What a run has committed since then has followed this one,
            // which was asleep. From now on a marker that is missing is one that the broker has forgotten.
            let before = match self.before.take() {
                None => marker_now(&self.settings, &self.id)?,
                seen => seen,
            };
            return self.persist(0, &[], |committer, marker| {
                let is_new = |marker: &Marker| {
                    let before = before.as_ref();
                    before.is_some_and(|before| before.as_ref() != Some(marker))
                };
                let has_followed = |marker: &Marker| marker.checkpoint > 0 && is_new(marker);
                match marker {
                    Some(marker) if marker == committer.marker(0) => Ok(Todo::Nothing),
                    Some(marker) if has_followed(&marker) => Err(committer.fenced()),
                    _ => Ok(Todo::Write),
                }
            });
        };
        let batches = decode(last)?;
        let checkpoint = last.checkpoint;
        self.persist(checkpoint, &batches, |committer, marker| {
            let marker = marker.ok_or_else(|| committer.missing(checkpoint))?;
            if marker.checkpoint > checkpoint {
                return Err(committer.ahead(checkpoint, marker.checkpoint));
            }
            Ok(match marker.checkpoint == checkpoint {
                true if marker.run == committer.run => Todo::Nothing,
                true => Todo::Mark,
                false => Todo::Write,
            })
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
        self.persist(checkpoint, &batches, |committer, marker| {
            let marker = marker.ok_or_else(|| committer.forgotten(checkpoint))?;
            if marker.run != committer.run {
                return Err(committer.fenced());
            }
            let is_done = marker.checkpoint >= checkpoint;
            Ok(if is_done { Todo::Nothing } else { Todo::Write })
        })
    }

    /// Writes records and a marker in one transaction, as far as `todo` says of the marker that is there
    /// that this is to be done. It is asked whenever the marker is not known from the run itself.
    fn persist(
        &mut self,
        checkpoint: u64,
        batches: &[Batch],
        todo: impl Fn(&Self, Option<Marker>) -> Result<Todo, Problem>,
    ) -> Result<(), Problem> {
        let started = Instant::now();
        loop {
            let error = match self.try_persist(checkpoint, batches, started, &todo) {
                Ok(()) => {
                    self.marked = Some(Instant::now());
                    return Ok(());
                }
                Err(Fault::Problem(problem)) => {
                    self.producer = None;
                    return Err(problem);
                }
                Err(Fault::Later(problem)) => {
                    if started.elapsed() >= self.settings.waits.commit {
                        return Err(problem);
                    }
                    std::thread::sleep(RETRY_WAIT);
                    continue;
                }
                Err(Fault::Retry(error)) => error,
            };
            // Its outcome is not known: the next one asks the marker.
            let told = self
                .producer
                .take()
                .and_then(|producer| producer.error_since(started));
            if is_lasting(&error) {
                return Err(self.failed(checkpoint, &error, None));
            }
            if started.elapsed() >= self.settings.waits.commit {
                return Err(match &error {
                    error if is_fenced(error) => self.fenced(),
                    error if is_unheard(error) && self.is_answered_at_once()? => self.hangs(),
                    error => self.failed(checkpoint, error, told),
                });
            }
            // That the brokers refuse a producer does not yet say that another run has followed: they also
            // do that after they have given up its transaction, and where a request of a run that was
            // killed has reached them late. The marker tells.
            std::thread::sleep(RETRY_WAIT);
        }
    }

    fn try_persist(
        &mut self,
        checkpoint: u64,
        batches: &[Batch],
        started: Instant,
        todo: &impl Fn(&Self, Option<Marker>) -> Result<Todo, Problem>,
    ) -> Result<(), Fault> {
        let wait = self.settings.waits.request;
        let mut batches = batches;
        if self.producer.is_none() {
            self.must_be_ours(wait)?;
            self.producer = Some(Arc::new(self.new_producer(started)?));
            // Only now is no transaction of another producer of this id under way.
            let known = self.group.marker(&self.settings.topic, wait);
            match todo(self, known.map_err(Fault::Retry)?)? {
                Todo::Write => {}
                Todo::Mark => batches = &[],
                Todo::Nothing => return Ok(()),
            }
        }
        let producer = self.producer.as_ref().expect("made above");
        let begun = Instant::now();
        producer.begin_transaction().map_err(Fault::Retry)?;
        for batch in batches {
            let sent = producer.send(batch, 0, &mut self.scratch, || true);
            sent.map_err(|failure| fault(producer, &failure))?;
        }
        // All are acknowledged before the commit, which would wait in steps of 100 ms.
        let sent = producer.wait(0, || true);
        sent.map_err(|failure| fault(producer, &failure))?;
        let mut is_repeated = false;
        let mut timed = |step: Result<(), KafkaError>, began: Instant| {
            is_repeated |= began.elapsed() >= REPEATED_AFTER;
            step.map_err(Fault::Retry)
        };
        let (marker, began) = (self.marker(checkpoint), Instant::now());
        timed(producer.send_marker(&self.group, &marker, wait), began)?;
        let began = Instant::now();
        timed(producer.commit_transaction(wait), began)?;
        self.settings.meter.count_commit(begun.elapsed());
        if is_repeated {
            self.producer = None;
        }
        Ok(())
    }

    /// Looks whether another run has written the marker since this one has, before a new producer would
    /// take the id from it.
    fn must_be_ours(&self, wait: Duration) -> Result<(), Fault> {
        if self.marked.is_none() {
            return Ok(());
        }
        // One that is not yet decided is not waited for: it may be our own.
        let group = group(&self.settings, &self.id, "read_uncommitted")?;
        match group.marker(&self.settings.topic, wait) {
            Ok(Some(marker)) if marker.run != self.run => Err(self.fenced().into()),
            Ok(_) => Ok(()),
            Err(error) => Err(Fault::Retry(error)),
        }
    }

    fn new_producer(&self, started: Instant) -> Result<Producer, Fault> {
        let timeout = self.settings.timeout.as_millis().to_string();
        let needed = [
            ("transactional.id", self.id.clone()),
            ("transaction.timeout.ms", timeout.clone()),
            ("message.timeout.ms", timeout),
            ("retry.backoff.ms", REPEAT_WAIT.as_millis().to_string()),
            ("retry.backoff.max.ms", "1000".to_owned()),
        ];
        let wait = match self.marked {
            None => self.settings.cluster.start_wait_max(),
            Some(_) => self.settings.waits.commit.saturating_sub(started.elapsed()),
        };
        let producer = self.settings.producer(&needed, wait);
        let producer = producer.map_err(|problem| match self.marked {
            None => Fault::Problem(problem),
            Some(_) => Fault::Later(problem),
        })?;
        let initialized = producer.init_transactions(self.settings.waits.request);
        initialized.map_err(Fault::Retry)?;
        Ok(producer)
    }

    fn marker(&self, checkpoint: u64) -> Marker {
        Marker {
            checkpoint,
            run: self.run.clone(),
        }
    }

    fn failed(&self, checkpoint: u64, error: &KafkaError, told: Option<String>) -> Problem {
        let what = format!(
            "cannot commit checkpoint {checkpoint} to the topic `{}`",
            self.settings.topic
        );
        explain::because_error(Problem::new(what), error, told)
    }

    fn problem(&self, what: &str) -> Problem {
        Problem::new(format!("the topic `{}` {what}", self.settings.topic))
    }

    /// At the start of a run, where the id or the topic may be another than that of the run before.
    fn missing(&self, checkpoint: u64) -> Problem {
        let hint = format!(
            "most likely the sink had another id or another topic in the run before: give it those again \
             (`.exactly_once(…)`, here `{}`); else {FORGOTTEN}",
            self.id
        );
        self.unknown(checkpoint).hint(hint)
    }

    fn forgotten(&self, checkpoint: u64) -> Problem {
        self.unknown(checkpoint).hint(FORGOTTEN)
    }

    fn unknown(&self, checkpoint: u64) -> Problem {
        self.problem("cannot be gone on with: it is not known what was written")
            .detail(format!(
                "the brokers know no marker of `{}`, and the job goes on from checkpoint {checkpoint}",
                self.id
            ))
    }

    /// Whether the brokers say what the marker is, where one of a transaction that is under way is not waited for.
    fn is_answered_at_once(&self) -> Result<bool, Problem> {
        Ok(marker_now(&self.settings, &self.id)?.is_some())
    }

    /// The brokers say what the marker is, and for all the time not that it is decided.
    fn hangs(&self) -> Problem {
        let waited = self.settings.waits.commit.as_secs();
        self.problem("cannot be gone on with: a transaction hangs")
            .detail(format!(
                "the brokers know of no transaction of `{}` that is under way, and for {waited} s have kept its marker \
                 back as if there were one",
                self.id
            ))
            .hint(
                "look for it by `kafka-transactions.sh find-hanging`; brokers lose the end of a transaction where a \
                 partition has no leader for a moment, which replicas prevent (docs/KAFKA.md, \"What brokers lose\")",
            )
    }

    fn ahead(&self, checkpoint: u64, marker: u64) -> Problem {
        self.problem("cannot be brought back")
            .detail(format!(
                "it holds what was written up to checkpoint {marker}, and the job goes on from {checkpoint}"
            ))
            .hint(
                "another run may have gone on meanwhile, and is the one to keep; else go on from the last checkpoint, \
                 or start afresh with a state of its own, and another topic",
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

/// The consumer group that the marker is kept under.
fn group(settings: &Settings, id: &str, isolation: &str) -> Result<Group, Problem> {
    let needed = [
        ("group.id", id.to_owned()),
        ("enable.auto.commit", "false".to_owned()),
        ("isolation.level", isolation.to_owned()),
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
    Group::new(&config).map_err(|error| explain::because_error(failed(), &error, None))
}

fn fault(producer: &Producer, failure: &Failure) -> Fault {
    let error = KafkaError::MessageProduction(failure.code);
    match is_lasting(&error) {
        true => Fault::Problem(producer.explain(failure)),
        false => Fault::Retry(error),
    }
}

fn code(error: &KafkaError) -> Option<RDKafkaErrorCode> {
    match error {
        KafkaError::Transaction(error) => Some(error.code()),
        error => error.rdkafka_error_code(),
    }
}

fn is_fenced(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code(error),
        Some(Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch)
    )
}

/// Whether the marker was asked for, and nothing was heard.
fn is_unheard(error: &KafkaError) -> bool {
    matches!(
        error,
        KafkaError::MetadataFetch(RDKafkaErrorCode::OperationTimedOut)
    )
}

/// Whether the brokers will refuse it again.
fn is_lasting(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code(error),
        Some(
            Code::MessageSizeTooLarge
                | Code::InvalidMessageSize
                | Code::InvalidRecord
                | Code::InvalidTimestamp
                | Code::InvalidArgument
                | Code::UnknownPartition
                | Code::TopicAuthorizationFailed
                | Code::GroupAuthorizationFailed
                | Code::ClusterAuthorizationFailed
                | Code::TransactionalIdAuthorizationFailed
                | Code::InvalidTransactionTimeout
        )
    )
}

/// What the slots have staged; those that have written nothing are left out.
fn decode(commit: &Commit) -> Result<Vec<Batch>, Problem> {
    let staged = commit.staged.iter().filter(|bytes| !bytes.is_empty());
    staged.map(|bytes| Batch::from_staged(bytes)).collect()
}
