//! What a job binds to the ports of its pipeline: sources and sinks, with their record types erased
//! and to be found again.

use std::any::{Any, type_name};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::bad_records::dead_letters_of;
use super::discovered::Discovered;
use crate::error::{BadRecord, Error, Problem};
use crate::io::{
    BadRecords, Commit, Discovery, Place, Position, Rate, Reading, Revision, Sink, SinkInfo,
    Source, SourceInfo,
};
use crate::state::Snapshot;

/// What is bound to the ports.
#[derive(Clone, Default)]
pub(crate) struct Bindings {
    pub(crate) sources: BTreeMap<String, BoundSource>,
    pub(crate) sinks: BTreeMap<String, BoundSink>,
}

impl Bindings {
    /// The source of an input port.
    pub(crate) fn source(&self, port: &str) -> &BoundSource {
        self.sources
            .get(port)
            .expect("every input is bound before a job starts")
    }

    /// The sink of an output port.
    pub(crate) fn sink(&self, port: &str) -> &BoundSink {
        self.sinks
            .get(port)
            .expect("every output is bound before a job starts")
    }

    /// All sources, by port.
    pub(crate) fn sources(&self) -> impl Iterator<Item = (&str, &BoundSource)> {
        self.sources.iter().map(|(port, bound)| (&**port, bound))
    }

    /// All sinks, by port.
    pub(crate) fn sinks(&self) -> impl Iterator<Item = (&str, &BoundSink)> {
        self.sinks.iter().map(|(port, bound)| (&**port, bound))
    }

    /// Brings every sink to where a checkpoint left it; or the snapshot of nothing, to where a job
    /// that keeps state begins.
    pub(crate) fn recover(&self, last: &Snapshot) -> Result<(), Error> {
        let commit = |port: &str| (last.number > 0).then(|| last.commit(port));
        let failed = |port: &str| {
            let port = port.to_owned();
            move |problem| Error::Sink { port, problem }
        };
        for (port, sink) in self.sinks() {
            sink.recover(commit(port).as_ref()).map_err(failed(port))?;
        }
        for (port, sink) in self.dead_letters() {
            sink.recover(commit(&port).as_ref())
                .map_err(failed(&port))?;
        }
        Ok(())
    }

    /// What sources and sinks tell of how they stand, by port; those that tell nothing are left out.
    pub(crate) fn readings(&self) -> BTreeMap<String, Vec<Reading>> {
        let sources = self.sources.iter();
        let sources = sources.map(|(port, source)| (port.clone(), source.readings()));
        let sinks = self.sinks.iter();
        let sinks = sinks.map(|(port, sink)| (port.clone(), sink.readings()));
        let dead_letters = self.dead_letters();
        let dead_letters = dead_letters.map(|(port, sink)| (port, sink.readings()));
        let all = sources.chain(sinks).chain(dead_letters);
        all.filter(|(_, readings)| !readings.is_empty()).collect()
    }

    /// The sinks of dead letters, by what they are called.
    pub(crate) fn dead_letters(&self) -> impl Iterator<Item = (String, &Arc<dyn Sink<BadRecord>>)> {
        self.sources
            .iter()
            .filter_map(|(port, source)| match &source.bad_records {
                BadRecords::DeadLetter(sink) => Some((dead_letters_of(port), sink)),
                BadRecords::Fail | BadRecords::Skip => None,
            })
    }

    /// The places that sinks write to, by port; those of dead letters too.
    fn places(&self) -> Vec<(String, Place)> {
        let dead_letters = self.dead_letters();
        let dead_letters = dead_letters.filter_map(|(port, sink)| Some((port, sink.exclusive()?)));
        let outputs = self.sinks.iter();
        let outputs = outputs.filter_map(|(port, sink)| Some((port.clone(), sink.exclusive()?)));
        outputs.chain(dead_letters).collect()
    }

    /// Refuses two sinks that would overwrite each other.
    pub(crate) fn check_sinks(&self) -> Result<(), Problem> {
        Place::check_sinks(&self.places())
    }

    /// Refuses a sink that would write over what a source reads. The partitions have been found.
    pub(crate) fn check_sources(&self) -> Result<(), Problem> {
        let written = self.places();
        let mut sources = self.sources.iter();
        sources.try_for_each(|(port, source)| match written.is_empty() {
            true => Ok(()),
            false => Place::check_source(port, &(source.reads)(source), &written),
        })
    }
}

/// A source that is bound to a port, with its record type to be found again.
#[derive(Clone)]
pub(crate) struct BoundSource {
    source: Arc<dyn Any + Send + Sync>,
    pub(crate) record: &'static str,
    pub(crate) info: SourceInfo,
    pub(crate) bad_records: BadRecords,
    find: fn(&BoundSource) -> Result<Vec<String>, Problem>,
    reads: fn(&BoundSource) -> Vec<Place>,
    pace: fn(&BoundSource, f64) -> BoundSource,
    revise: fn(&BoundSource, &Revision) -> Option<Result<BoundSource, Problem>>,
    discovery: fn(&BoundSource) -> Option<Arc<dyn Discovery>>,
    covered: fn(&BoundSource, u64, &[(String, Position)]),
    readings: fn(&BoundSource) -> Vec<Reading>,
    told: fn(&BoundSource, &Position) -> Option<String>,
    partitions: Vec<String>,
    /// What looks for further partitions, and what it has found.
    discovered: Option<(Arc<dyn Discovery>, Discovered)>,
}

impl BoundSource {
    pub(crate) fn new<T: 'static>(source: Arc<dyn Source<T>>) -> Self {
        BoundSource {
            record: type_name::<T>(),
            info: source.info(),
            bad_records: source.bad_records(),
            source: Arc::new(source),
            find: |bound| bound.typed::<T>().partitions(),
            reads: |bound| bound.typed::<T>().reads(),
            pace: |bound, per_second| {
                let paced = Rate::new(bound.typed::<T>(), per_second);
                BoundSource::new::<T>(Arc::new(paced))
            },
            revise: |bound, revision| {
                let revised = bound.typed::<T>().revised(revision)?;
                Some(revised.map(BoundSource::new::<T>))
            },
            discovery: |bound| bound.typed::<T>().discovery(),
            covered: |bound, checkpoint, positions| {
                bound.typed::<T>().covered(checkpoint, positions);
            },
            readings: |bound| bound.typed::<T>().readings(),
            told: |bound, position| bound.typed::<T>().told(position),
            partitions: Vec::new(),
            discovered: None,
        }
    }

    /// The same source as one run has it.
    pub(crate) fn connect(&mut self, record_by_record: bool) -> Result<(), Problem> {
        let revision = Revision::Connected { record_by_record };
        if let Some(connected) = self.revised(&revision) {
            *self = connected?;
        }
        Ok(())
    }

    /// The source, as what the port carries; the plan has compared the types.
    pub(crate) fn typed<T: 'static>(&self) -> Arc<dyn Source<T>> {
        let source = self.source.downcast_ref::<Arc<dyn Source<T>>>();
        source
            .expect("the types of ports and sources are compared before a job starts")
            .clone()
    }

    /// Finds the partitions, once a job, which looks for further ones or not.
    pub(crate) fn find_partitions(&mut self, looks_for_more: bool) -> Result<(), Problem> {
        self.partitions = (self.find)(self)?;
        let discovery = looks_for_more.then(|| (self.discovery)(self)).flatten();
        let discovered = |discovery| (discovery, Discovered::new(&self.partitions));
        self.discovered = discovery.map(discovered);
        let may_appear = (self.discovery)(self).is_some();
        if self.partitions.is_empty() && may_appear && !looks_for_more {
            return Err(Problem::new("the source has nothing to read yet")
                .detail("a job with a limit reads what is there, and does not look for more")
                .hint("leave out the limit, or start it when there is something"));
        }
        if self.partitions.is_empty() && !may_appear {
            return Err(Problem::new("the source has no partitions")
                .hint("a source without records is one partition that ends at once"));
        }
        let mut names = BTreeSet::new();
        match self.partitions.iter().find(|name| !names.insert(*name)) {
            Some(name) => Err(
                Problem::new(format!("the source has two partitions `{name}`"))
                    .hint("positions are kept by name: give each partition one of its own"),
            ),
            None => Ok(()),
        }
    }

    /// Whether it reads what stands somewhere, such as files; to be asked once the partitions have
    /// been found.
    #[cfg(feature = "cli")]
    pub(crate) fn reads_places(&self) -> bool {
        !(self.reads)(self).is_empty()
    }

    /// The same source at a rate, and with what is to be done with bad records as it was.
    #[cfg_attr(not(feature = "cli"), allow(dead_code, reason = "only commands pace"))]
    pub(crate) fn paced(&self, per_second: f64) -> Self {
        BoundSource {
            bad_records: self.bad_records.clone(),
            ..(self.pace)(self, per_second)
        }
    }

    /// Another form of the source, where it has that; and of the sink of its dead letters, where what is asked
    /// for is not the source's alone.
    pub(crate) fn revised(&self, revision: &Revision) -> Option<Result<Self, Problem>> {
        let source = (self.revise)(self, revision);
        let dead_letters = match (&self.bad_records, revision) {
            (
                BadRecords::DeadLetter(sink),
                Revision::Connected { .. } | Revision::Property { .. },
            ) => sink.revised(revision),
            _ => None,
        };
        if source.is_none() && dead_letters.is_none() {
            return None;
        }
        let revised = || {
            let source = source.transpose()?.unwrap_or_else(|| self.clone());
            let bad_records = match dead_letters.transpose()? {
                Some(sink) => BadRecords::DeadLetter(sink),
                None => self.bad_records.clone(),
            };
            Ok(BoundSource {
                bad_records,
                ..source
            })
        };
        Some(revised())
    }

    pub(crate) fn partitions(&self) -> &[String] {
        &self.partitions
    }

    /// What looks for further partitions, and what it has found.
    pub(crate) fn discovered(&self) -> Option<&(Arc<dyn Discovery>, Discovered)> {
        self.discovered.as_ref()
    }

    /// On how many workers it has to be followed.
    pub(crate) fn workers(&self, all: usize) -> usize {
        match self.discovered {
            Some(_) => all,
            None => self.partitions.len().min(all),
        }
    }

    /// Tells the source how far a checkpoint covers it.
    pub(crate) fn covered(&self, checkpoint: u64, positions: &[(String, Position)]) {
        (self.covered)(self, checkpoint, positions);
    }

    /// A position, for people.
    #[cfg_attr(
        not(all(feature = "cli", feature = "state")),
        allow(dead_code, reason = "only commands ask")
    )]
    pub(crate) fn told(&self, position: &Position) -> Option<String> {
        (self.told)(self, position)
    }

    fn readings(&self) -> Vec<Reading> {
        (self.readings)(self)
    }
}

/// A sink that is bound to a port, with its record type to be found again.
#[derive(Clone)]
pub(crate) struct BoundSink {
    sink: Arc<dyn Any + Send + Sync>,
    pub(crate) record: &'static str,
    exclusive: fn(&BoundSink) -> Option<Place>,
    readings: fn(&BoundSink) -> Vec<Reading>,
    info: fn(&BoundSink) -> SinkInfo,
    revise: fn(&BoundSink, &Revision) -> Option<Result<BoundSink, Problem>>,
    recover: fn(&BoundSink, Option<&Commit>) -> Result<(), Problem>,
    commit: fn(&BoundSink, &Commit) -> Result<(), Problem>,
    abort: fn(&BoundSink),
}

impl BoundSink {
    pub(crate) fn new<T: 'static>(sink: Arc<dyn Sink<T>>) -> Self {
        BoundSink {
            record: type_name::<T>(),
            exclusive: |bound| bound.typed::<T>().exclusive(),
            readings: |bound| bound.typed::<T>().readings(),
            info: |bound| bound.typed::<T>().info(),
            revise: |bound, revision| {
                let revised = bound.typed::<T>().revised(revision)?;
                Some(revised.map(BoundSink::new::<T>))
            },
            sink: Arc::new(sink),
            recover: |bound, last| bound.typed::<T>().recover(last),
            commit: |bound, commit| bound.typed::<T>().commit(commit),
            abort: |bound| bound.typed::<T>().abort(),
        }
    }

    /// The sink, as what the port carries; the plan has compared the types.
    pub(crate) fn typed<T: 'static>(&self) -> Arc<dyn Sink<T>> {
        let sink = self.sink.downcast_ref::<Arc<dyn Sink<T>>>();
        sink.expect("the types of ports and sinks are compared before a job starts")
            .clone()
    }

    /// What the sink says of itself.
    #[cfg_attr(not(feature = "cli"), allow(dead_code, reason = "only commands ask"))]
    pub(crate) fn info(&self) -> SinkInfo {
        (self.info)(self)
    }

    /// The same sink as one run has it.
    pub(crate) fn connect(&mut self, record_by_record: bool) -> Result<(), Problem> {
        if let Some(connected) = self.revised(&Revision::Connected { record_by_record }) {
            *self = connected?;
        }
        Ok(())
    }

    /// Another form of the sink, where it has that.
    pub(crate) fn revised(&self, revision: &Revision) -> Option<Result<Self, Problem>> {
        (self.revise)(self, revision)
    }

    /// What no other sink of the job may write to.
    fn exclusive(&self) -> Option<Place> {
        (self.exclusive)(self)
    }

    fn readings(&self) -> Vec<Reading> {
        (self.readings)(self)
    }

    pub(crate) fn recover(&self, last: Option<&Commit>) -> Result<(), Problem> {
        (self.recover)(self, last)
    }

    pub(crate) fn commit(&self, commit: &Commit) -> Result<(), Problem> {
        (self.commit)(self, commit)
    }

    pub(crate) fn abort(&self) {
        (self.abort)(self);
    }
}
