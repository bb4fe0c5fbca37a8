//! Our side: the pipelines, a source of records that lie in memory, a sink that digests.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use smallvec::SmallVec;
use stream_core::graph::{Graph, Keyed, OnTime};
use stream_core::io::{
    Boundedness, Chunk, Opening, Position, ReadStatus, Reader, Sink, SinkInfo, Slot, Source,
    SourceInfo, Staged, Writer,
};
use stream_core::ops::{Change, Cx, KeyedOperator, Windowed};
use stream_core::{EventTime, Gap, Job, Lateness, Mode, Problem};

use super::data::{Click, GAP_MINS, LATENESS_SECS, Shares};
use super::stages::*;
use crate::measure::{Digest, Row, mix};

/// A pipeline from the port `in` to the port `out`.
pub(super) type Pipeline = fn(&Graph);

/// Runs a pipeline from the port `in` to the port `out`, and digests what comes out.
pub(super) fn run<T, O>(pipeline: Pipeline, shares: &Shares<T>, mode: Mode) -> Digest
where
    T: Copy + Send + Sync + 'static,
    O: Row,
{
    let total = Total::default();
    Job::new("bench", pipeline)
        .source("in", shares.clone())
        .sink::<O>("out", total.clone())
        .workers(shares.shares.len())
        .run(mode)
        .expect("the pipelines of the benchmark run");
    total.digest()
}

/// Eight stages as one chain.
pub(super) fn fused(graph: &Graph) {
    let numbers = graph.input::<u64>("in").fuse(|chain| {
        let chain = chain.map(scale).filter(most).map(shift).filter(many);
        chain.map(fold).filter(some).map(spread).map(turn)
    });
    graph.output("out", numbers);
}

/// The same stages, each by a method of its own.
pub(super) fn chained(graph: &Graph) {
    let numbers = graph.input::<u64>("in");
    let numbers = numbers.map(scale).filter(most).map(shift).filter(many);
    let numbers = numbers.map(fold).filter(some).map(spread).map(turn);
    graph.output("out", numbers);
}

pub(super) fn count(graph: &Graph) {
    let counts = graph.input::<u64>("in").key_by(|key| *key).count();
    graph.output("out", counts.changes());
}

pub(super) fn sessions(graph: &Graph) {
    let sessions = by_user(graph).session(Gap::mins(GAP_MINS));
    graph.output("out", sessions.count());
}

/// The clicks on time, by user.
fn by_user(graph: &Graph) -> Keyed<u64, Click, OnTime> {
    let clicks = graph.input::<Click>("in");
    let (timed, _) = clicks.event_time(
        |click| EventTime::micros(click.at),
        Lateness::secs(LATENESS_SECS),
    );
    timed.key_by(|click| click.user)
}

/// Counts the clicks of each user so far.
pub(super) fn scan(graph: &Graph) {
    let counts = by_user(graph).scan(u64::default, |count, _| {
        *count += 1;
        *count
    });
    graph.output("out", counts);
}

/// The same by an operator of a user's own.
pub(super) fn own_scan(graph: &Graph) {
    graph.output("out", by_user(graph).apply(Counting));
}

struct Counting;

impl KeyedOperator for Counting {
    type Key = u64;
    type In = Click;
    type State = u64;
    type Out = (u64, u64);

    fn record(&self, user: &u64, _: Click, count: &mut u64, cx: &mut Cx<(u64, u64)>) {
        *count += 1;
        cx.emit((*user, *count));
    }
}

/// Sessions by an operator of a user's own.
pub(super) fn own_sessions(graph: &Graph) {
    let gap = Duration::from_secs(60 * GAP_MINS);
    let sessions = by_user(graph).apply(Sessions { gap });
    graph.output("out", sessions);
}

struct Sessions {
    gap: Duration,
}

/// The first click of a session, the last, and how many there are.
type Open = (EventTime, EventTime, u64);

impl KeyedOperator for Sessions {
    type Key = u64;
    type In = Click;
    type State = SmallVec<[Open; 1]>;
    type Out = Windowed<u64, u64>;

    fn record(&self, _: &u64, _: Click, open: &mut Self::State, cx: &mut Cx<Self::Out>) {
        let (mut first, mut last, mut count) = (cx.time(), cx.time(), 1);
        if let [session] = &mut open[..]
            && first < session.1 + self.gap
            && session.0 < last + self.gap
        {
            *session = (session.0.min(first), session.1.max(last), session.2 + 1);
            return; // its timer is set anew when it falls due
        }
        open.retain(|session| {
            let meets = first < session.1 + self.gap && session.0 < last + self.gap;
            if meets {
                first = first.min(session.0);
                last = last.max(session.1);
                count += session.2;
            }
            !meets
        });
        open.push((first, last, count));
        cx.set_timer(last + self.gap);
    }

    fn timer(&self, user: &u64, at: EventTime, open: &mut Self::State, cx: &mut Cx<Self::Out>) {
        open.retain(|&mut (first, last, count)| {
            let end = last + self.gap;
            if end > at {
                cx.set_timer(end);
                return true;
            }
            let (key, start, value) = (*user, first, count);
            cx.emit(Windowed {
                key,
                start,
                end,
                value,
            });
            false
        });
    }

    fn end(&self, user: &u64, open: &mut Self::State, cx: &mut Cx<Self::Out>) {
        for (start, last, value) in open.drain(..) {
            let (key, end) = (*user, last + self.gap);
            cx.emit(Windowed {
                key,
                start,
                end,
                value,
            });
        }
    }
}

impl Row for Change<u64, u64> {
    #[inline]
    fn digest(&self, digest: &mut Digest) {
        digest.upsert(self.key, self.value.unwrap_or(0));
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
struct Total(Arc<Mutex<Digest>>);

impl Total {
    fn digest(&self) -> Digest {
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
