//! Writing topics: [`sink`].
//!
//! ```text
//! at least once   worker: encode ──► its producer ──► broker          prepare: all acknowledged
//! exactly once    worker: encode ──► staged with the checkpoint       commit: one transaction of all slots,
//!                                                                     the checkpoint's number in it
//! ```

mod commit;
mod format;
mod meter;
mod writer;

use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use stream_core::Problem;
use stream_core::io::{
    Canonical, Commit, Place, Reading, Revised, Revision, Sink, SinkInfo, Slot, Writer,
};

use self::commit::{Committer, Seen, marker_now};
pub use self::format::{Encode, NoFormat, OutgoingRecord};
use self::meter::Meter;
use self::writer::{Sending, Staging};
use crate::client::{NewTopic, Producer};
use crate::config::{ClientSettings, Role};
use crate::{Cluster, KafkaOr, line};

/// How many bytes a producer keeps at most that are not yet acknowledged.
const SENDING_KBYTES: &str = "16384";

/// How long an open transaction may block readers, unless told.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a request of a transaction may take.
const REQUEST_WAIT: Duration = Duration::from_secs(10);

/// For how long a commit is tried again.
const COMMIT_WAIT: Duration = Duration::from_secs(120);

/// Writes a topic of the cluster that the environment names; how records look there is said by a format
/// behind it.
///
/// ```no_run
/// use stream_kafka as kafka;
///
/// # #[derive(serde::Serialize)] struct Session { user: u64 }
/// let sessions = kafka::sink("sessions").json::<Session>().key(|session| session.user.to_string());
/// ```
pub fn sink(topic: impl Into<String>) -> KafkaSink<(), NoFormat> {
    KafkaSink {
        settings: Settings {
            cluster: Cluster::from_env(),
            topic: topic.into(),
            transactions: None,
            timeout: TRANSACTION_TIMEOUT,
            waits: Waits {
                request: REQUEST_WAIT,
                commit: COMMIT_WAIT,
            },
            create: None,
            meter: Meter::default(),
        },
        format: NoFormat,
        committer: Arc::default(),
        before: None,
        rows: PhantomData,
    }
}

/// A sink that writes a Kafka topic, made by [`sink`].
///
/// *At least once*, unless told otherwise: records leave as soon as they are made, and a checkpoint counts
/// when the brokers have acknowledged all of them; those behind the last checkpoint come again after a
/// crash. [`exactly_once`](KafkaSink::exactly_once) writes by transactions.
pub struct KafkaSink<T, E> {
    settings: Settings,
    format: E,
    /// What commits, once there is something to.
    committer: Arc<Mutex<Option<Committer>>>,
    /// Of the sink as one run has it: the marker that was there before the run took its state. One that is there
    /// later was written by a run that has followed.
    before: Seen,
    rows: PhantomData<fn(T)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    cluster: Cluster,
    pub(crate) topic: String,
    /// Under which id, where it writes by transactions.
    pub(crate) transactions: Option<String>,
    timeout: Duration,
    waits: Waits,
    create: Option<NewTopic>,
    meter: Meter,
}

#[derive(Clone, Copy, Debug)]
struct Waits {
    /// How long a request of a transaction may take.
    request: Duration,
    /// For how long a commit is tried again.
    commit: Duration,
}

impl<T, E> KafkaSink<T, E> {
    /// Writes to this cluster.
    #[must_use]
    pub fn at(mut self, cluster: &Cluster) -> Self {
        self.settings.cluster = cluster.clone();
        self
    }

    /// Writes each record exactly once, by transactions: what a checkpoint covers is written in one
    /// transaction when that is complete, together with the checkpoint's number. So a reader that asks
    /// for what is committed (`isolation.level=read_committed`) sees it then, and never twice.
    ///
    /// The id tells this sink from all others of the cluster, and must be the same in the next run. It
    /// is the producer's `transactional.id`, and the consumer group under which the number is kept. The
    /// job must [keep its state](stream_core::Job::state).
    #[must_use]
    pub fn exactly_once(mut self, id: impl Into<String>) -> Self {
        self.settings.transactions = Some(id.into());
        self
    }

    /// After what time the broker gives up a transaction, and so the longest that one of a job that was
    /// killed blocks readers; 60 s unless told.
    #[must_use]
    pub fn transaction_timeout(mut self, timeout: Duration) -> Self {
        self.settings.timeout = timeout;
        self
    }

    /// How long a request of a transaction may take, and for how long a commit is tried again; for tests.
    #[doc(hidden)]
    #[must_use]
    pub fn commit_waits(mut self, request: Duration, commit: Duration) -> Self {
        self.settings.waits = Waits { request, commit };
        self
    }

    /// Makes the topic at the start where it is missing, with so many partitions, each on so many brokers.
    #[must_use]
    pub fn create_topic(self, partitions: u32, replicas: u16) -> Self {
        self.create_topic_with(partitions, replicas, [])
    }

    /// As [`create_topic`](KafkaSink::create_topic), with [properties] of the topic. One that matters where
    /// records have a timestamp of their own: brokers remove those that are older than `retention.ms`, a week
    /// unless told, by that timestamp; -1 keeps them.
    ///
    /// ```no_run
    /// let clicks = stream_kafka::sink("clicks").create_topic_with(4, 1, [("retention.ms", "-1")]);
    /// ```
    ///
    /// [properties]: https://kafka.apache.org/documentation/#topicconfigs
    #[must_use]
    pub fn create_topic_with<'p>(
        mut self,
        partitions: u32,
        replicas: u16,
        properties: impl IntoIterator<Item = (&'p str, &'p str)>,
    ) -> Self {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        self.settings.create = Some(NewTopic {
            partitions,
            replicas,
            config: properties.into_iter().map(owned).collect(),
        });
        self
    }

    /// Writes to another sink where the command line names a place that is none of Kafka:
    /// `--output sessions=today.jsonl`. Where it names one, `--output sessions=kafka:sessions`, or none,
    /// this one is written.
    pub fn or<S>(self, other: S) -> KafkaOr<Self, S> {
        KafkaOr::new(self, other)
    }

    fn with_format<U, F>(self, format: impl FnOnce(E) -> F) -> KafkaSink<U, F> {
        KafkaSink {
            settings: self.settings,
            format: format(self.format),
            committer: Arc::default(),
            before: None,
            rows: PhantomData,
        }
    }

    /// Works with what commits, which is made if there is none.
    fn with_committer<R>(
        &self,
        id: &str,
        work: impl FnOnce(&mut Committer) -> Result<R, Problem>,
    ) -> Result<R, Problem> {
        let mut committer = self
            .committer
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let committer = match &mut *committer {
            Some(committer) => committer,
            none => none.insert(Committer::new(&self.settings, id, self.before.clone())?),
        };
        work(committer)
    }
}

impl Settings {
    /// Makes a producer, once the topic is there; waits so long for brokers that do not answer.
    fn producer(&self, needed: &[(&str, String)], wait: Duration) -> Result<Producer, Problem> {
        let config = self.producer_config(needed)?;
        let context = self.meter.context.clone();
        Producer::new(&config, &self.topic, self.create.as_ref(), wait, context)
    }

    /// The settings of a producer; `needed` comes to those that every producer needs.
    fn producer_config(&self, needed: &[(&str, String)]) -> Result<ClientSettings, Problem> {
        let profile = self.cluster.profile_or_default();
        let mut preferred = profile.producer();
        preferred.extend([
            ("partitioner", "murmur2_random".to_owned()),
            ("queue.buffering.max.kbytes", SENDING_KBYTES.to_owned()),
            ("queue.buffering.max.messages", "50000".to_owned()),
        ]);
        let mut all = vec![
            ("enable.idempotence", "true".to_owned()),
            // Else a broker may make the topic as it likes when it is first asked for it.
            ("allow.auto.create.topics", "false".to_owned()),
            ("acks", "all".to_owned()),
            ("delivery.report.only.error", "false".to_owned()),
        ];
        all.extend(needed.iter().cloned());
        self.cluster.client_config(Role::Producer, &preferred, &all)
    }
}

#[cfg(test)]
impl<T, E> KafkaSink<T, E> {
    pub(crate) fn settings_for_tests(&self) -> Settings {
        self.settings.clone()
    }
}

impl<T, E> fmt::Debug for KafkaSink<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.fmt(f)
    }
}

impl<T: 'static, E: Encode<T>> Sink<T> for KafkaSink<T, E> {
    fn info(&self) -> SinkInfo {
        let Settings {
            cluster,
            topic,
            transactions,
            ..
        } = &self.settings;
        SinkInfo {
            kind: "kafka",
            detail: format!("{topic} at {}", cluster.bootstrap()),
            atomic: transactions.is_some(),
        }
    }

    fn recover(&self, last: Option<&Commit>) -> Result<(), Problem> {
        let Some(id) = &self.settings.transactions else {
            return Ok(());
        };
        self.with_committer(id, |committer| committer.recover(last))
    }

    fn open(&self, _: Slot) -> Result<Box<dyn Writer<T>>, Problem> {
        if self.settings.transactions.is_none() {
            let sending = Sending::new(&self.settings, self.format.clone())?;
            return Ok(Box::new(sending));
        }
        let committer = self
            .committer
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if committer.is_none() {
            let what = format!(
                "the topic `{}` cannot be written exactly once",
                self.settings.topic
            );
            return Err(Problem::new(what)
                .detail("the job keeps no state, so nobody knows after a crash what was written")
                .hint(
                    "keep its state (`.state(…)`, `--state FOLDER`), or leave out `.exactly_once(…)`",
                ));
        }
        Ok(Box::new(Staging::new(self.format.clone())))
    }

    fn revised(&self, revision: &Revision) -> Revised<dyn Sink<T>> {
        let mut settings = Settings {
            meter: Meter::default(),
            ..self.settings.clone()
        };
        let before = match revision {
            Revision::Connected { record_by_record } => {
                settings.cluster = settings.cluster.for_mode(*record_by_record);
                let id = settings.transactions.as_ref();
                id.map_or(Ok(None), |id| marker_now(&settings, id))
            }
            Revision::Path(path) => line::sink_at(path, &mut settings)?.map(|()| None),
            Revision::Property { name, value } => {
                settings.cluster = settings.cluster.revised(name, value)?;
                Ok(None)
            }
            _ => return None,
        };
        let sink = |before| {
            Arc::new(KafkaSink {
                settings,
                format: self.format.clone(),
                committer: Arc::default(),
                before,
                rows: PhantomData,
            }) as _
        };
        Some(before.map(sink))
    }

    /// Two sinks cannot share the id of their transactions.
    fn exclusive(&self) -> Option<Place> {
        let id = self.settings.transactions.as_ref()?;
        let bootstrap = self.settings.cluster.bootstrap();
        Some(Place::named(&format!(
            "the transactions `{id}` at {bootstrap}"
        )))
    }

    fn readings(&self) -> Vec<Reading> {
        let is_exactly_once = self.settings.transactions.is_some();
        self.settings.meter.readings(is_exactly_once)
    }

    fn canonical(&self) -> Option<Canonical<T>> {
        E::canonical()
    }

    fn commit(&self, commit: &Commit) -> Result<(), Problem> {
        match &self.settings.transactions {
            Some(id) => self.with_committer(id, |committer| committer.commit(commit)),
            None => Ok(()),
        }
    }
}
