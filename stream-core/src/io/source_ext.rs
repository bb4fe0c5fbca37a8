//! What every source can be told: [`SourceExt`].

use std::sync::Arc;

use super::bad::BadRecords;
use super::pace::{Rate, Replay};
use super::revise::{Revised, Revision};
use super::sink::Sink;
use super::source::{Opening, Reader, Source, SourceInfo};
use crate::error::BadRecord;
use crate::error::Problem;
use crate::time::EventTime;

/// Settings of any source: its pace, and what becomes of records that cannot be read.
pub trait SourceExt<T: 'static>: Source<T> + Sized {
    /// Gives so many records a second, all partitions together, in turn.
    ///
    /// A source that has fallen behind catches up. When a partition has ended, the others do not
    /// take over its share. A source without end gives at most so many, and a pause of it is not made up
    /// for; one that somebody closes, such as a channel, cannot be paced. With a rate that is not above 0
    /// the job does not start.
    ///
    /// ```
    /// use stream_core::io::{SourceExt, vec};
    ///
    /// let make = || vec(vec!["a", "b", "c"]).rate(0.5); // one record in two seconds
    /// stream_core::testing::contract::source(make, &[vec!["a", "b", "c"]]);
    /// ```
    fn rate(self, records_per_second: f64) -> Rate<Self> {
        Rate::new(self, records_per_second)
    }

    /// Gives each record when its event time has come, `speed` times as fast as it went by.
    ///
    /// Time begins with the first record that any partition reads; records older than that come
    /// at once, as do records behind one that came before them. Only for a bounded source, and a
    /// speed above 0; else the job does not start.
    ///
    /// ```
    /// use stream_core::EventTime;
    /// use stream_core::io::{SourceExt, vec};
    ///
    /// // Two records that lie a day apart, given one second apart.
    /// let make = || vec(vec![0, 86_400]).replay(86_400.0, |secs| EventTime::secs(*secs));
    /// stream_core::testing::contract::source(make, &[vec![0, 86_400]]);
    /// ```
    fn replay<F>(self, speed: f64, event_time: F) -> Replay<Self, F>
    where
        F: Fn(&T) -> EventTime + Send + Sync + 'static,
    {
        Replay::new(self, speed, event_time)
    }

    /// Leaves out records that cannot be read; the report counts them.
    ///
    /// ```
    /// use stream_core::io::{BadRecords, Source, SourceExt, vec};
    ///
    /// let source = vec(vec![1]).skip_bad_records();
    /// assert!(matches!(source.bad_records(), BadRecords::Skip));
    /// ```
    fn skip_bad_records(self) -> WithBadRecords<Self> {
        WithBadRecords {
            source: self,
            bad_records: BadRecords::Skip,
        }
    }

    /// Sends records that cannot be read to a sink of their own; the report counts them.
    ///
    /// ```
    /// use stream_core::io::{BadRecords, Source, SourceExt, collect, vec};
    ///
    /// let (sink, _rows) = collect();
    /// let source = vec(vec![1]).dead_letter(sink);
    /// assert!(matches!(source.bad_records(), BadRecords::DeadLetter(_)));
    /// ```
    fn dead_letter(self, sink: impl Sink<BadRecord>) -> WithBadRecords<Self> {
        WithBadRecords {
            source: self,
            bad_records: BadRecords::DeadLetter(Arc::new(sink)),
        }
    }
}

impl<T: 'static, S: Source<T>> SourceExt<T> for S {}

/// A source with another policy for bad records; made by [`SourceExt::skip_bad_records`] or
/// [`SourceExt::dead_letter`].
#[derive(Clone, Debug)]
pub struct WithBadRecords<S> {
    source: S,
    bad_records: BadRecords,
}

impl<T: 'static, S: Source<T>> Source<T> for WithBadRecords<S> {
    fn info(&self) -> SourceInfo {
        self.source.info()
    }

    fn partitions(&self) -> Result<Vec<String>, Problem> {
        self.source.partitions()
    }

    fn open(&self, partition: usize, opening: Opening) -> Result<Box<dyn Reader<T>>, Problem> {
        self.source.open(partition, opening)
    }

    fn bad_records(&self) -> BadRecords {
        self.bad_records.clone()
    }

    fn inner(&self) -> Option<&dyn Source<T>> {
        Some(&self.source)
    }

    fn revised(&self, revision: &Revision) -> Revised<dyn Source<T>> {
        let bad_records = self.bad_records.clone();
        let around = |source| WithBadRecords {
            source,
            bad_records,
        };
        Some(
            self.source
                .revised(revision)?
                .map(|source| Arc::new(around(source)) as _),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::vec;

    #[test]
    fn a_paced_source_keeps_its_policy() {
        let source = vec(vec![0])
            .skip_bad_records()
            .rate(1.0)
            .replay(1.0, |_| EventTime::MIN);
        assert!(matches!(source.bad_records(), BadRecords::Skip));
    }
}
