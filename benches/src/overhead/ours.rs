//! Our side: the pipelines, a source of records that lie in memory, a sink that digests.

use std::sync::{Arc, Mutex, PoisonError};

use stream_core::graph::Graph;
use stream_core::io::{
    Boundedness, Chunk, Opening, Position, ReadStatus, Reader, Sink, SinkInfo, Slot, Source,
    SourceInfo, Staged, Writer,
};
use stream_core::ops::{Change, Windowed};
use stream_core::{Job, Mode, Problem};

use super::data::{Aggregates, Click, Pair, Shares, rank};
use crate::measure::{Digest, Row, Value, mix};

/// A pipeline from the port `in`, or from `left` and `right`, to the port `out`.
pub(super) type Pipeline = fn(&Graph);

/// Runs a pipeline on one worker a share, and digests what comes out.
pub(super) fn run<T, O, const N: usize>(
    pipeline: Pipeline,
    inputs: &[Shares<T>; N],
    mode: Mode,
) -> Digest
where
    T: Copy + Send + Sync + 'static,
    O: Row,
{
    let total = Total::default();
    let mut job = Job::new("bench", pipeline)
        .sink::<O>("out", total.clone())
        .workers(inputs[0].shares.len());
    let ports = if N == 1 {
        &["in"][..]
    } else {
        &["left", "right"]
    };
    for (port, input) in ports.iter().zip(inputs) {
        job = job.source(port, input.clone());
    }
    job.run(mode).expect("the pipelines of the benchmark run");
    total.digest()
}

impl<V: Value> Row for Change<u64, V> {
    #[inline]
    fn digest(&self, digest: &mut Digest) {
        let value = self.value.as_ref();
        digest.upsert(self.key, value.map_or(0, Value::number));
    }
}

impl Value for f64 {
    #[inline]
    fn number(&self) -> u64 {
        self.to_bits()
    }
}

/// Two counts.
impl Value for (u64, u64) {
    #[inline]
    fn number(&self) -> u64 {
        (self.0 << 32) | self.1
    }
}

/// The same in one number.
impl Value for i128 {
    #[inline]
    fn number(&self) -> u64 {
        *self as u64
    }
}

impl Value for Vec<Pair> {
    #[inline]
    fn number(&self) -> u64 {
        self.iter().fold(1, |hash, pair| mix(hash, pair.1)) | 1
    }
}

impl Value for Aggregates {
    #[inline]
    fn number(&self) -> u64 {
        let (count, sum, min, max, mean, last) = self;
        let sums = mix(mix(*count, *sum as u64), mean.to_bits());
        mix(sums, mix(mix(*min, *max), rank(last))) | 1
    }
}

impl Row for Click {
    #[inline]
    fn digest(&self, digest: &mut Digest) {
        digest.add(mix(self.user, self.at.cast_unsigned()));
    }
}

impl Row for (Click, Click) {
    #[inline]
    fn digest(&self, digest: &mut Digest) {
        let times = mix(self.0.at.cast_unsigned(), self.1.at.cast_unsigned());
        digest.add(mix(self.0.user, times));
    }
}

impl Row for Windowed<u64, u64> {
    #[inline]
    fn digest(&self, digest: &mut Digest) {
        let bounds = mix(
            self.start.as_micros().cast_unsigned(),
            self.end.as_micros().cast_unsigned(),
        );
        digest.add(mix(bounds, mix(self.key, self.value)));
    }
}

impl<T: Copy + Send + Sync + 'static> Source<T> for Shares<T> {
    fn info(&self) -> SourceInfo {
        SourceInfo {
            kind: "shares",
            detail: format!("{} records", self.records()),
            boundedness: Boundedness::Bounded,
            repeatable: true,
        }
    }

    fn partitions(&self) -> Result<Vec<String>, Problem> {
        let names = (0..self.shares.len()).map(|number| number.to_string());
        Ok(names.collect())
    }

    fn open(&self, partition: usize, _: Opening) -> Result<Box<dyn Reader<T>>, Problem> {
        Ok(Box::new(ShareReader {
            share: self.shares[partition].clone(),
            next: 0,
            times: self.times,
        }))
    }
}

struct ShareReader<T> {
    share: Arc<[T]>,
    next: usize,
    /// How often the share is still to be read, this time included.
    times: usize,
}

impl<T: Copy> Reader<T> for ShareReader<T> {
    fn read(&mut self, max: usize, into: &mut Chunk<T>) -> Result<ReadStatus, Problem> {
        let end = self.share.len().min(self.next + max);
        into.extend(self.share[self.next..end].iter().copied());
        self.next = end;
        if end == self.share.len() {
            self.next = 0;
            self.times -= 1;
        }
        Ok(match self.times {
            0 => ReadStatus::Ended,
            _ => ReadStatus::More,
        })
    }

    fn position(&self) -> Result<Position, Problem> {
        Position::of(&self.next)
    }
}

/// A sink that keeps nothing but the digest.
#[derive(Clone, Default)]
pub(super) struct Total(Arc<Mutex<Digest>>);

impl Total {
    pub(super) fn digest(&self) -> Digest {
        let total = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        total.clone()
    }
}

impl<T: Row> Sink<T> for Total {
    fn info(&self) -> SinkInfo {
        SinkInfo {
            kind: "digest",
            detail: String::new(),
            atomic: true,
        }
    }

    fn open(&self, _: Slot) -> Result<Box<dyn Writer<T>>, Problem> {
        Ok(Box::new(Digester {
            digest: Digest::default(),
            total: self.clone(),
        }))
    }
}

struct Digester {
    digest: Digest,
    total: Total,
}

impl<T: Row> Writer<T> for Digester {
    fn write(&mut self, records: &mut Vec<T>) -> Result<(), Problem> {
        records
            .iter()
            .for_each(|record| record.digest(&mut self.digest));
        records.clear();
        Ok(())
    }

    fn prepare(&mut self, _: u64) -> Result<Staged, Problem> {
        let mut total = self.total.0.lock().unwrap_or_else(PoisonError::into_inner);
        total.merge(std::mem::take(&mut self.digest));
        Ok(Staged::nothing())
    }
}
