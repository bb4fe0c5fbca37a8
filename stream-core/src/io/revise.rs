//! Sources and sinks that whoever runs a job may have otherwise than the program says: at another
//! place, at another speed, kept in memory.
//!
//! The record type of a port says nothing of how its records are read, written or copied, so only
//! the source or the sink itself can know another form of itself. One that is around another hands
//! the question on.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::memory::partitions;
use super::place::Place;
use super::reading::Reading;
use super::sink::{Commit, Sink, SinkInfo, Slot, Writer};
use super::source::{Chunk, Opening, Position, ReadStatus, Reader, Source, SourceInfo, Waker};
use super::{Canonical, lock};
use crate::error::Problem;
use crate::time::Clock;

/// How many records are kept between two looks at how many there are.
const CHUNK_RECORDS: usize = 1_024;

/// Another form of a source or a sink.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Revision {
    /// The same format at another path. Sources and sinks made by [`at`] know it.
    Path(PathBuf),
    /// Event time that goes by so many times as fast. Sources made by
    /// [`replay`](super::SourceExt::replay) know it.
    Replay(f64),
    /// The source or the sink as one run of a job has it, with the connection that its partitions or
    /// writers share. Asked before anything else; what it gives is dropped when the run is over.
    /// Without such a connection there is no other form.
    Connected {
        /// Whether the job's mode goes record by record: then none is to wait for others.
        record_by_record: bool,
    },
    /// The same with a property of its connector: `--kafka.linger.ms=5` is the property `kafka.linger.ms`.
    Property {
        /// The kind of the connector, and the name that it knows.
        name: String,
        /// What it is set to.
        value: String,
    },
    /// The first records of each partition, in memory. Sources made by [`spoolable`] know it.
    Spool {
        /// How many of each partition at most.
        records: usize,
        /// Whether those that cannot be read are left out, or fail it.
        skip_bad: bool,
    },
}

/// The revised form, or `None` where there is none.
pub type Revised<S> = Option<Result<Arc<S>, Problem>>;

/// Makes a source or a sink at a path that the command line can replace: `--input PORT=PATH`,
/// `--output PORT=PATH`. The function is called with the path, here and there.
///
/// ```
/// use stream_core::io::{self, Revision, Source, files};
///
/// let source = io::at("clicks/*.csv", |path| files::csv::<(u32, String)>(path).delimiter(b';'));
/// assert_eq!(source.info().detail, "clicks/*.csv");
/// let revised = source.revised(&Revision::Path("yesterday.csv".into()));
/// assert_eq!(revised.unwrap()?.info().detail, "yesterday.csv");
/// # Ok::<(), stream_core::Problem>(())
/// ```
pub fn at<S, F: Fn(&Path) -> S>(path: impl AsRef<Path>, make: F) -> At<S, F> {
    At {
        here: make(path.as_ref()),
        make,
    }
}

/// The source or sink that [`at`] makes.
pub struct At<S, F> {
    here: S,
    make: F,
}

impl<S: fmt::Debug, F> fmt::Debug for At<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.here.fmt(f)
    }
}

impl<T, S, F> Source<T> for At<S, F>
where
    T: 'static,
    S: Source<T>,
    F: Fn(&Path) -> S + Send + Sync + 'static,
{
    fn info(&self) -> SourceInfo {
        self.here.info()
    }

    fn partitions(&self) -> Result<Vec<String>, Problem> {
        self.here.partitions()
    }

    fn open(&self, partition: usize, opening: Opening) -> Result<Box<dyn Reader<T>>, Problem> {
        self.here.open(partition, opening)
    }

    fn inner(&self) -> Option<&dyn Source<T>> {
        Some(&self.here)
    }

    fn revised(&self, revision: &Revision) -> Revised<dyn Source<T>> {
        match revision {
            Revision::Path(path) => Some(Ok(Arc::new((self.make)(path)))),
            _ => self.here.revised(revision),
        }
    }
}

impl<T, S, F> Sink<T> for At<S, F>
where
    S: Sink<T>,
    F: Fn(&Path) -> S + Send + Sync + 'static,
{
    fn info(&self) -> SinkInfo {
        self.here.info()
    }

    fn recover(&self, last: Option<&Commit>) -> Result<(), Problem> {
        self.here.recover(last)
    }

    fn open(&self, slot: Slot) -> Result<Box<dyn Writer<T>>, Problem> {
        self.here.open(slot)
    }

    fn readings(&self) -> Vec<Reading> {
        self.here.readings()
    }

    fn exclusive(&self) -> Option<Place> {
        self.here.exclusive()
    }

    fn commit(&self, commit: &Commit) -> Result<(), Problem> {
        self.here.commit(commit)
    }

    fn abort(&self) {
        self.here.abort();
    }

    fn canonical(&self) -> Option<Canonical<T>> {
        self.here.canonical()
    }

    fn revised(&self, revision: &Revision) -> Revised<dyn Sink<T>> {
        match revision {
            Revision::Path(path) => Some(Ok(Arc::new((self.make)(path)))),
            _ => self.here.revised(revision),
        }
    }
}

/// Makes a source whose first records can be kept in memory, so that `compare --spool N` reads them
/// again and again, of one that gives each only once.
///
/// ```
/// use stream_core::io::{self, Revision, Source};
///
/// let (sender, source) = io::channel(4);
/// std::thread::spawn(move || ["a", "b", "c"].map(|record| sender.send(record)));
/// let first_two = Revision::Spool { records: 2, skip_bad: false };
/// let kept = io::spoolable(source).revised(&first_two).unwrap()?;
/// stream_core::testing::contract::source(|| kept.clone(), &[vec!["a", "b"]]);
/// # Ok::<(), stream_core::Problem>(())
/// ```
pub fn spoolable<S>(source: S) -> Spoolable<S> {
    Spoolable(source)
}

/// The source that [`spoolable`] makes.
#[derive(Clone, Debug)]
pub struct Spoolable<S>(S);

impl<T: Clone + Send + Sync + 'static, S: Source<T>> Source<T> for Spoolable<S> {
    fn info(&self) -> SourceInfo {
        self.0.info()
    }

    fn partitions(&self) -> Result<Vec<String>, Problem> {
        self.0.partitions()
    }

    fn open(&self, partition: usize, opening: Opening) -> Result<Box<dyn Reader<T>>, Problem> {
        self.0.open(partition, opening)
    }

    fn inner(&self) -> Option<&dyn Source<T>> {
        Some(&self.0)
    }

    fn revised(&self, revision: &Revision) -> Revised<dyn Source<T>> {
        match revision {
            Revision::Spool { records, skip_bad } => Some(spool(&self.0, *records, *skip_bad)),
            _ => Some(
                self.0
                    .revised(revision)?
                    .map(|source| Arc::new(Spoolable(source)) as _),
            ),
        }
    }
}

/// Reads the first records of every partition, one partition after the other, and waits for them.
fn spool<T, S>(source: &S, records: usize, skip_bad: bool) -> Result<Arc<dyn Source<T>>, Problem>
where
    T: Clone + Send + Sync + 'static,
    S: Source<T>,
{
    let count = source.partitions()?.len();
    let kept: Result<Vec<_>, _> = (0..count)
        .map(|partition| spool_partition(source, partition, records, skip_bad))
        .collect();
    Ok(Arc::new(partitions(kept?)))
}

fn spool_partition<T: 'static>(
    source: &impl Source<T>,
    partition: usize,
    records: usize,
    skip_bad: bool,
) -> Result<Vec<T>, Problem> {
    let clock = Clock::machine();
    let bell = Arc::new(Bell::default());
    let rings = bell.clone();
    let opening = Opening {
        goes_on: false,
        from: Position::START,
        waker: Waker::new(move || rings.ring()),
        clock: clock.clone(),
    };
    let mut reader = source.open(partition, opening)?;
    let mut chunk = Chunk::default();
    let mut kept = Vec::new();
    while kept.len() < records {
        chunk.clear();
        let status = reader.read(CHUNK_RECORDS.min(records - kept.len()), &mut chunk)?;
        if let Some(bad) = chunk.bad.first().filter(|_| !skip_bad) {
            return Err(Problem::new(bad.to_string()));
        }
        kept.extend(chunk.records.drain(..).map(|((), record)| record));
        match status {
            ReadStatus::More => {}
            ReadStatus::Ended => break,
            ReadStatus::Waiting => bell.wait(),
            ReadStatus::Until(time) => {
                std::thread::sleep(time.saturating_sub(clock.elapsed()));
            }
        }
    }
    Ok(kept)
}

/// Rings once for however many calls, and remembers that it has.
#[derive(Default)]
struct Bell {
    has_rung: Mutex<bool>,
    rings: Condvar,
}

impl Bell {
    fn ring(&self) {
        *lock(&self.has_rung) = true;
        self.rings.notify_one();
    }

    fn wait(&self) {
        let has_rung = lock(&self.has_rung);
        let waited = self.rings.wait_while(has_rung, |has_rung| !*has_rung);
        *waited.unwrap_or_else(PoisonError::into_inner) = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EventTime;
    use crate::io::{self, BadRecords, SourceExt};

    #[test]
    fn what_is_around_a_source_hands_the_question_on() {
        let source = io::at("3", |path| {
            let numbers: Option<u64> = path.to_str().and_then(|text| text.parse().ok());
            io::vec((0..numbers.unwrap_or(0)).collect())
        });
        let source = io::spoolable(source)
            .skip_bad_records()
            .replay(1.0, |_: &u64| EventTime::MIN)
            .rate(1e9);
        let spool = |records| Revision::Spool {
            records,
            skip_bad: true,
        };
        let revised = |revision| source.revised(&revision).unwrap().unwrap();
        let more = revised(Revision::Path("5".into()));
        assert_eq!(more.info().detail, "5 records");
        assert!(matches!(more.bad_records(), BadRecords::Skip));
        let fewer = more.revised(&spool(2)).unwrap().unwrap();
        assert_eq!(fewer.info().detail, "2 records");
        assert_eq!(revised(Revision::Replay(5.0)).info().detail, "3 records");
        assert!(io::vec(vec![1]).revised(&spool(1)).is_none());
    }

    /// Says all that a source may say beyond what it must.
    struct Telling(Mutex<u64>);

    impl Source<u64> for Telling {
        fn info(&self) -> SourceInfo {
            io::vec(vec![1_u64]).info()
        }

        fn partitions(&self) -> Result<Vec<String>, Problem> {
            io::vec(vec![1_u64]).partitions()
        }

        fn open(&self, number: usize, opening: Opening) -> Result<Box<dyn Reader<u64>>, Problem> {
            io::vec(vec![1_u64]).open(number, opening)
        }

        fn bad_records(&self) -> BadRecords {
            BadRecords::Skip
        }

        fn reads(&self) -> Vec<Place> {
            vec![Place::named("here")]
        }

        fn discovery(&self) -> Option<Arc<dyn io::Discovery>> {
            struct Never;
            impl io::Discovery for Never {
                fn interval(&self) -> std::time::Duration {
                    std::time::Duration::MAX
                }

                fn look(&self) -> Result<Vec<String>, Problem> {
                    Ok(Vec::new())
                }
            }
            Some(Arc::new(Never))
        }

        fn covered(&self, checkpoint: u64, _: &[(String, Position)]) {
            *lock(&self.0) = checkpoint;
        }

        fn readings(&self) -> Vec<io::Reading> {
            vec![io::Reading::new("covered", *lock(&self.0))]
        }

        fn told(&self, _: &Position) -> Option<String> {
            Some("here".to_owned())
        }
    }

    #[test]
    fn what_is_around_a_source_says_what_that_says() {
        let make = |_: &Path| Arc::new(Telling(Mutex::default()));
        let source = io::spoolable(io::at("x", make))
            .replay(1.0, |_: &u64| EventTime::MIN)
            .rate(1e9);
        let source: Arc<dyn Source<u64>> = Arc::new(source);
        source.covered(7, &[]);
        assert!(matches!(source.bad_records(), BadRecords::Skip));
        assert_eq!(source.reads(), [Place::named("here")]);
        assert!(source.discovery().is_some());
        assert_eq!(source.readings(), [io::Reading::new("covered", 7_u64)]);
        let (sink, _rows) = io::collect();
        let source = source.dead_letter(sink);
        assert!(matches!(source.bad_records(), BadRecords::DeadLetter(_)));
        assert_eq!(source.told(&Position::START).as_deref(), Some("here"));
    }

    #[test]
    fn what_is_kept_follows_the_policy_for_bad_records() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("numbers.jsonl");
        std::fs::write(&path, "1\nx\n2\n").unwrap();
        let source = io::spoolable(io::files::json_lines::<u64>(path));
        let kept = |skip_bad| {
            let all = Revision::Spool {
                records: 9,
                skip_bad,
            };
            source.revised(&all).unwrap().map(|source| source.info())
        };
        assert_eq!(kept(true).unwrap().detail, "2 records");
        let refused = kept(false).unwrap_err().to_string();
        assert!(refused.contains("numbers.jsonl:2"), "{refused}");
    }
}
