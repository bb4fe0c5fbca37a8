//! Reading topics: [`source`].
//!
//! ```text
//! KafkaSource ──connected, once a run──► Connection: one client ──► a reader for each partition
//!   what to read        topics, partitions, where to begin and end        on the worker that owns it
//! ```

mod connection;
mod format;
mod lost;
mod position;
mod range;
mod reader;
mod topics;
mod watch;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use stream_core::Problem;
use stream_core::io::{
    Boundedness, Discovery, Opening, Position, Reader, Reading, Revised, Revision, Source,
    SourceInfo,
};

use self::connection::Connection;
pub use self::format::{
    Bytes, Csv, Decode, DecodeError, Function, Headers, Json, Record, RecordRef, Text, Whole,
};
pub use self::lost::LostRecords;
use self::position::At;
pub use self::range::{End, Start};
use self::reader::PartitionReader;
pub use self::topics::Topics;
use self::watch::Watching;
use crate::{Cluster, KafkaOr, line};

/// How often topics are looked at, unless told.
const WATCH_INTERVAL: Duration = Duration::from_secs(5);

/// Reads topics of the cluster that the environment names; which records they hold is said by a format
/// behind it.
///
/// ```no_run
/// use stream_kafka as kafka;
///
/// # #[derive(serde::Deserialize)] struct Click;
/// let clicks = kafka::source("clicks").json::<Click>();
/// let raw = kafka::source(["clicks", "views-*"]); // two topics, one of them a pattern
/// ```
pub fn source(topics: impl Into<Topics>) -> KafkaSource<Whole> {
    KafkaSource {
        settings: Settings {
            cluster: Cluster::from_env(),
            topics: topics.into(),
            start: Start::Earliest,
            end: End::Never,
            group: None,
            lost: LostRecords::Fail,
            committed_only: true,
            watch: Some(WATCH_INTERVAL),
            buffer_bytes: BUFFER_BYTES,
            skip_tombstones: false,
        },
        format: Whole,
        run: Arc::default(),
    }
}

/// How many bytes wait in memory for the workers, unless told.
const BUFFER_BYTES: usize = 16 << 20;

/// A source of the records of Kafka topics, made by [`source`].
///
/// Each partition is a partition of the source, `topic/number`, and one lane. Positions are offsets,
/// and belong to the job's checkpoints.
#[derive(Clone)]
pub struct KafkaSource<F> {
    settings: Settings,
    format: F,
    /// The connection, once there is one.
    run: Arc<Mutex<Option<Arc<Connection>>>>,
}

/// What is to be read, and how.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    cluster: Cluster,
    pub(crate) topics: Topics,
    pub(crate) start: Start,
    pub(crate) end: End,
    pub(crate) group: Option<String>,
    lost: LostRecords,
    committed_only: bool,
    watch: Option<Duration>,
    buffer_bytes: usize,
    skip_tombstones: bool,
}

impl<F> KafkaSource<F> {
    /// Reads from this cluster.
    #[must_use]
    pub fn at(mut self, cluster: &Cluster) -> Self {
        self.settings.cluster = cluster.clone();
        self
    }

    /// Where to begin; with the earliest record, unless told. A job that goes on from a checkpoint begins
    /// where that left off.
    #[must_use]
    pub fn start(mut self, start: Start) -> Self {
        self.settings.start = start;
        self
    }

    /// Where to end; never, unless told. Batch mode asks for an end.
    #[must_use]
    pub fn until(mut self, end: End) -> Self {
        self.settings.end = end;
        self
    }

    /// Tells this consumer group what a checkpoint covers, when it is complete, so that ordinary tools
    /// see how far the job is. The job itself never looks there.
    #[must_use]
    pub fn group(mut self, name: impl Into<String>) -> Self {
        self.settings.group = Some(name.into());
        self
    }

    /// What to do where the broker has lost records that were to be read; to fail, unless told.
    #[must_use]
    pub fn lost_records(mut self, policy: LostRecords) -> Self {
        self.settings.lost = policy;
        self
    }

    /// Passes records without a value over.
    #[must_use]
    pub fn skip_tombstones(mut self) -> Self {
        self.settings.skip_tombstones = true;
        self
    }

    /// Reads records of open transactions too, and of those that were given up.
    #[must_use]
    pub fn read_uncommitted(mut self) -> Self {
        self.settings.committed_only = false;
        self
    }

    /// How often to look for partitions that were added, for topics that match a pattern by now, and for
    /// topics that were deleted or made anew; every 5 s unless told. A source with an end does not look.
    #[must_use]
    pub fn watch_every(mut self, interval: Duration) -> Self {
        self.settings.watch = Some(interval);
        self
    }

    /// How many bytes may wait in memory for the workers, all partitions together; 16 MiB unless told.
    #[must_use]
    pub fn buffer_bytes(mut self, bytes: usize) -> Self {
        self.settings.buffer_bytes = bytes;
        self
    }

    /// Reads another source where the command line names a place that is none of Kafka:
    /// `--input clicks=today.csv`. Where it names one, `--input clicks=kafka:clicks`, or none, this one is
    /// read.
    ///
    /// ```no_run
    /// use stream_core::io::{at, files};
    /// use stream_kafka as kafka;
    ///
    /// # #[derive(Clone, serde::Serialize, serde::Deserialize)] struct Click { user: u64 }
    /// let clicks = kafka::source("clicks").json::<Click>();
    /// let clicks = clicks.or(at("clicks.csv", |path| files::csv::<Click>(path)));
    /// ```
    pub fn or<S>(self, other: S) -> KafkaOr<Self, S> {
        KafkaOr::new(self, other)
    }

    fn with_format<G>(self, format: G) -> KafkaSource<G> {
        KafkaSource {
            settings: self.settings,
            format,
            run: Arc::default(),
        }
    }

    fn connection(&self) -> Option<Arc<Connection>> {
        let run = self.run.lock().unwrap_or_else(PoisonError::into_inner);
        run.clone()
    }
}

#[cfg(test)]
impl<F> KafkaSource<F> {
    pub(crate) fn settings_for_tests(&self) -> Settings {
        self.settings.clone()
    }
}

impl<F> fmt::Debug for KafkaSource<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.fmt(f)
    }
}

impl<F: Decode> Source<F::Record> for KafkaSource<F> {
    fn info(&self) -> SourceInfo {
        SourceInfo {
            kind: "kafka",
            detail: format!(
                "{} at {}",
                self.settings.topics,
                self.settings.cluster.bootstrap()
            ),
            boundedness: match self.settings.end {
                End::Never => Boundedness::Unbounded,
                _ => Boundedness::Bounded,
            },
            repeatable: true,
        }
    }

    fn partitions(&self) -> Result<Vec<String>, Problem> {
        let mut run = self.run.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connection) = &*run {
            return Ok(connection.names());
        }
        let connection = Connection::new(&self.settings)?;
        let names = connection.names();
        *run = Some(Arc::new(connection));
        Ok(names)
    }

    fn open(
        &self,
        partition: usize,
        opening: Opening,
    ) -> Result<Box<dyn Reader<F::Record>>, Problem> {
        let connection = self.connection().ok_or_else(|| {
            Problem::new("a partition of Kafka cannot be opened before all have been found")
        })?;
        let reader = PartitionReader::open(connection, partition, opening, self.format.clone())?;
        Ok(Box::new(reader))
    }

    fn discovery(&self) -> Option<Arc<dyn Discovery>> {
        let interval = self
            .settings
            .watch
            .filter(|_| self.settings.end == End::Never)?;
        Some(Arc::new(Watching::new(self.connection()?, interval)))
    }

    fn readings(&self) -> Vec<Reading> {
        let Some(connection) = self.connection() else {
            return Vec::new();
        };
        let lag = connection.lag();
        let total: u64 = lag.iter().map(|(_, lag)| lag).sum();
        let mut readings = vec![Reading::new("lag", total)];
        let of_parts = lag.into_iter();
        readings.extend(of_parts.map(|(part, lag)| Reading::new("lag", lag).of(part)));
        let error = connection.recent_error();
        readings.extend(error.map(|error| Reading::new("last error", error)));
        readings
    }

    fn covered(&self, _checkpoint: u64, positions: &[(String, Position)]) {
        if let Some(connection) = self.connection() {
            connection.tell_group(positions);
        }
    }

    fn told(&self, position: &Position) -> Option<String> {
        let at: At = position.read().ok()?;
        Some(at.told())
    }

    fn revised(&self, revision: &Revision) -> Revised<dyn Source<F::Record>> {
        let mut settings = self.settings.clone();
        let revised = match revision {
            Revision::Connected { record_by_record } => {
                settings.cluster = settings.cluster.for_mode(*record_by_record);
                Ok(())
            }
            Revision::Path(path) => line::source_at(path, &mut settings)?,
            Revision::Property { name, value } => {
                settings.cluster = settings.cluster.revised(name, value)?;
                Ok(())
            }
            _ => return None,
        };
        let format = self.format.clone();
        let source = |()| {
            let run = Arc::default();
            Arc::new(KafkaSource {
                settings,
                format,
                run,
            }) as _
        };
        Some(revised.map(source))
    }
}
