//! The store of a job's checkpoints: a log, and the state that its entries name.
//!
//! ```text
//! log/000000000001     opened by generation 1
//! log/000000000002     checkpoint 1: positions, what sinks have staged, fingerprints, and where
//! log/000000000003     checkpoint 2   the parts of the state lie
//! log/000000000004     opened by generation 2
//! state/000001-00000001-0000   parts of the state, written by generation 1 for checkpoint 1
//! ```
//!
//! An entry is created under the next number, which only one of several processes can do. So the log
//! has one order, and whoever has opened it keeps all others from adding anything: one that was
//! thought dead finds the next number taken, and stops. The entry of a checkpoint is its commit: what
//! it names was written before, and what no entry names was never part of anything.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
#[cfg(feature = "state")]
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::SHARDS;
#[cfg(feature = "state")]
use super::at_url::AtUrl;
use super::checkpoint::{Bytes, Part, PartitionEnd, Parts, ReadStored, Snapshot, Stored};
use super::fingerprint::Fingerprint;
use super::objects::{Memory, Objects};
use super::sealed::{self, Kind, checksum, damaged};
use crate::error::{Error, Problem};
use crate::io::Position;

/// How many bytes of state are written as one object.
const OBJECT_BYTES: usize = 8 << 20;
/// How many objects a checkpoint may need before some are put together.
const OBJECTS_MAX: usize = 16;
/// How many checkpoints are kept, if nothing else is said.
const KEPT: usize = 3;
/// How often a number in the log is tried that others take.
const TRIES: usize = 16;

/// A place where a job keeps its state, so that it goes on where it was: after a stop, and after a
/// crash. One place is for one job.
///
/// ```
/// use stream_core::run::StateStore;
///
/// let folder = tempfile::tempdir()?;
/// StateStore::folder(folder.path().join("state"))?;
/// let error = StateStore::at("ftp://host").unwrap_err();
/// assert!(error.to_string().starts_with("state: `ftp://host` is no place"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct StateStore {
    objects: Arc<dyn Objects>,
    kept: usize,
}

impl StateStore {
    /// A store in memory, which its clones share; for tests.
    pub fn memory() -> Self {
        StateStore::of(Arc::new(Memory::default()))
    }

    /// A store in a folder, or at a URL: `file:///path`; others need a feature of this crate.
    ///
    /// # Errors
    /// When nothing can be kept there, with what to do about it.
    #[cfg(feature = "state")]
    pub fn at(url: &str) -> Result<Self, Error> {
        let objects = AtUrl::open(url).map_err(Error::State)?;
        Ok(StateStore::of(Arc::new(objects)))
    }

    /// A store in a folder, which is made if there is none.
    ///
    /// # Errors
    /// When the folder cannot be made.
    #[cfg(feature = "state")]
    pub fn folder(path: impl AsRef<Path>) -> Result<Self, Error> {
        let objects = AtUrl::folder(path.as_ref()).map_err(Error::State)?;
        Ok(StateStore::of(Arc::new(objects)))
    }

    pub(crate) fn of(objects: Arc<dyn Objects>) -> Self {
        StateStore {
            objects,
            kept: KEPT,
        }
    }

    /// Sets how many checkpoints are kept, the last one among them; 3 unless told otherwise.
    pub fn keep(mut self, checkpoints: usize) -> Self {
        self.kept = checkpoints.max(1);
        self
    }

    /// Reads a part of the state.
    pub(crate) fn read(&self, part: &Stored) -> Result<Vec<u8>, Problem> {
        let range = part.at..part.at + part.bytes;
        let bytes = self.objects.get(&part.object, Some(range))?;
        let bytes = bytes.ok_or_else(|| damaged(&part.object, "it is not there"))?;
        match checksum(&bytes) == part.checksum && bytes.len() as u64 == part.bytes {
            true => Ok(bytes),
            false => Err(damaged(
                &part.object,
                "the checksum of a part of it is another",
            )),
        }
    }

    /// Opens it for a run: reads the last checkpoint, and keeps earlier runs from adding another.
    pub(crate) fn open(&self, job: &str, workers: usize) -> Result<Session, Problem> {
        for _ in 0..TRIES {
            let mut log = self.log()?;
            let checkpoints = log.checkpoints()?;
            let generation = log.generation() + 1;
            let number = log.last + 1;
            let opened = Entry::Opened(Opened {
                generation,
                job: job.to_owned(),
                workers,
                from: checkpoints
                    .last_key_value()
                    .map(|(_, manifest)| manifest.number),
                at: now(),
            });
            if !self.append(number, &opened)? {
                continue; // another run has opened it at the same time
            }
            if let Some(other) = log.job().filter(|other| *other != job) {
                let what = format!("the state is that of the job `{other}`");
                return Err(Problem::new(what)
                    .detail(format!("this one is `{job}`"))
                    .hint("give each job a place of its own"));
            }
            let mut session = Session {
                store: self.clone(),
                generation,
                next: number + 1,
                checkpoints,
            };
            session.remove_orphans()?;
            return Ok(session);
        }
        Err(Problem::new("the state cannot be opened")
            .detail("other runs open it again and again")
            .hint("let one run of the job have it"))
    }

    fn append(&self, number: u64, entry: &Entry) -> Result<bool, Problem> {
        let body = serde_json::to_vec_pretty(entry);
        let unwritable =
            |error| Problem::new("an entry of the log cannot be written").because(error);
        let object = sealed::seal(Kind::Entry, &body.map_err(unwritable)?);
        self.objects.create(&entry_name(number), object)
    }

    /// Reads the whole log. What is damaged stands for itself: it matters only if it is needed.
    fn log(&self) -> Result<Log, Problem> {
        let mut log = Log {
            entries: BTreeMap::new(),
            last: 0,
        };
        for name in self.objects.list("log")? {
            let number = name
                .strip_prefix("log/")
                .and_then(|number| number.parse().ok());
            let Some(number) = number else { continue };
            let Some(object) = self.objects.get(&name, None)? else {
                continue; // removed meanwhile
            };
            log.last = log.last.max(number);
            log.entries.insert(number, Entry::read(&name, &object));
        }
        Ok(log)
    }
}

fn entry_name(number: u64) -> String {
    format!("log/{number:012}")
}

fn now() -> String {
    Timestamp::now().to_string()
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Entry {
    Opened(Opened),
    Checkpoint(Box<Manifest>),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Opened {
    generation: u64,
    job: String,
    workers: usize,
    from: Option<u64>,
    at: String,
}

impl Entry {
    fn read(name: &str, object: &[u8]) -> Result<Self, Problem> {
        let body = sealed::open(name, Kind::Entry, object)?;
        serde_json::from_slice(body).map_err(|error| damaged(name, &error.to_string()))
    }
}

/// What a checkpoint is made of.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Manifest {
    number: u64,
    generation: u64,
    at: String,
    epoch: u64,
    /// Whether the job stopped or ended there.
    is_last: bool,
    /// Whether all input has been read.
    is_finished: bool,
    shards: usize,
    stages: BTreeMap<String, Fingerprint>,
    partitions: Vec<Read>,
    /// By sink: what its slots have staged.
    staged: BTreeMap<String, Vec<Hex>>,
    parts: Vec<Kept>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Read {
    input: String,
    partition: String,
    position: Hex,
    ended: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Kept {
    stage: String,
    part: String,
    #[serde(flatten)]
    stored: Stored,
}

/// Bytes as text, two digits each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Hex(Vec<u8>);

impl From<Hex> for String {
    fn from(hex: Hex) -> Self {
        hex.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl TryFrom<String> for Hex {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let pairs = text.as_bytes().chunks(2).map(|pair| {
            let digits = std::str::from_utf8(pair)
                .ok()
                .filter(|pair| pair.len() == 2);
            digits.and_then(|pair| u8::from_str_radix(pair, 16).ok())
        });
        let bytes: Option<Vec<u8>> = pairs.collect();
        bytes
            .map(Hex)
            .ok_or("bytes are told by two hexadecimal digits each")
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Shard(number) => write!(f, "shard-{number}"),
            Part::Common => f.write_str("common"),
            Part::Worker(number) => write!(f, "worker-{number}"),
        }
    }
}

impl FromStr for Part {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let numbered = |prefix: &str| text.strip_prefix(prefix)?.parse().ok();
        match (numbered("shard-"), numbered("worker-")) {
            (Some(number), _) => Ok(Part::Shard(number)),
            (_, Some(number)) => Ok(Part::Worker(number)),
            _ if text == "common" => Ok(Part::Common),
            _ => Err(Problem::new(format!("`{text}` is no part of state"))),
        }
    }
}

impl Manifest {
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The checkpoint that a job starts from. Its parts are read when they are asked for.
    fn snapshot(&self) -> Result<Snapshot, Problem> {
        let mut snapshot = Snapshot {
            number: self.number,
            epoch: self.epoch,
            is_last: self.is_last,
            fingerprints: self.stages.clone(),
            ..Snapshot::default()
        };
        for read in &self.partitions {
            let key = (read.input.clone(), read.partition.clone());
            let position = Position::from_bytes(read.position.0.clone());
            let ended = read.ended;
            let end = PartitionEnd { position, ended };
            snapshot.partitions.insert(key, end);
        }
        for (sink, slots) in &self.staged {
            let slots = slots.iter().map(|slot| slot.0.clone());
            snapshot.staged.insert(sink.clone(), slots.collect());
        }
        snapshot.parts = self.parts()?;
        Ok(snapshot)
    }

    /// Where its parts are.
    fn parts(&self) -> Result<Parts, Problem> {
        let parts = self.parts.iter().map(|kept| {
            let key = (kept.stage.clone(), kept.part.parse()?);
            Ok((key, Bytes::Stored(kept.stored.clone())))
        });
        parts.collect()
    }

    /// The objects that it needs.
    fn objects(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().map(|kept| kept.stored.object.as_str())
    }
}

/// The entries of a log.
struct Log {
    entries: BTreeMap<u64, Result<Entry, Problem>>,
    /// The number of the last one; 0 where there is none.
    last: u64,
}

impl Log {
    /// By their numbers: the checkpoints that can be gone on from.
    ///
    /// # Errors
    /// When an entry behind them all is damaged, for it may be that of a later one.
    fn checkpoints(&mut self) -> Result<BTreeMap<u64, Manifest>, Problem> {
        let mut checkpoints = BTreeMap::new();
        for (number, entry) in &self.entries {
            if let Ok(Entry::Checkpoint(manifest)) = entry {
                checkpoints.insert(*number, (**manifest).clone());
            }
        }
        let newest = checkpoints
            .last_key_value()
            .map_or(0, |(number, _)| *number);
        for (number, entry) in self.entries.split_off(&(newest + 1)) {
            self.entries.insert(number, Ok(entry?));
        }
        Ok(checkpoints)
    }

    fn generation(&self) -> u64 {
        let generations = self.entries.values().flatten().map(|entry| match entry {
            Entry::Opened(opened) => opened.generation,
            Entry::Checkpoint(manifest) => manifest.generation,
        });
        generations.max().unwrap_or(0)
    }

    fn job(&self) -> Option<&str> {
        self.entries
            .values()
            .flatten()
            .find_map(|entry| match entry {
                Entry::Opened(opened) => Some(opened.job.as_str()),
                Entry::Checkpoint(_) => None,
            })
    }
}

/// A store that is open for one run of a job.
#[derive(Debug)]
pub(crate) struct Session {
    store: StateStore,
    generation: u64,
    /// The number of the next entry.
    next: u64,
    /// By the numbers of their entries: the checkpoints that are kept.
    checkpoints: BTreeMap<u64, Manifest>,
}

impl Session {
    /// Reads what the store has.
    pub(crate) fn reader(&self) -> ReadStored {
        let store = self.store.clone();
        Arc::new(move |stored| store.read(stored))
    }

    /// The number of the last checkpoint, if the job ended there with all its input read.
    pub(crate) fn finished(&self) -> Option<u64> {
        let last = self.last().filter(|last| last.is_finished);
        last.map(|last| last.number)
    }

    /// The last checkpoint.
    pub(crate) fn last(&self) -> Option<&Manifest> {
        self.checkpoints
            .last_key_value()
            .map(|(_, manifest)| manifest)
    }

    /// Where the run starts, for people.
    pub(crate) fn told(&self) -> String {
        let Some(last) = self.last() else {
            return "begins afresh".to_owned();
        };
        let age = last.at.parse::<Timestamp>().ok();
        let age = age.map(|at| Timestamp::now().duration_since(at).as_secs().max(0));
        let age = age.map_or_else(String::new, |secs| format!(", {secs} s old"));
        let ended = last.partitions.iter().filter(|read| read.ended).count();
        let all = last.partitions.len();
        let (number, at) = (last.number, &last.at);
        format!(
            "goes on from checkpoint {number} of {at}{age}; {ended} of {all} partitions are read to their end"
        )
    }

    /// What the run starts from.
    pub(crate) fn start(&self) -> Result<Snapshot, Problem> {
        self.last()
            .map_or(Ok(Snapshot::default()), Manifest::snapshot)
    }

    /// Writes a checkpoint. When it returns, the checkpoint is there, and nothing takes it back. Gives
    /// the places of its parts.
    pub(crate) fn write(&mut self, snapshot: &Snapshot, is_finished: bool) -> Result<Parts, Error> {
        let parts = self.write_parts(snapshot).map_err(Error::State)?;
        let partitions = snapshot
            .partitions
            .iter()
            .map(|((input, partition), end)| Read {
                input: input.clone(),
                partition: partition.clone(),
                position: Hex(end.position.as_bytes().to_vec()),
                ended: end.ended,
            });
        let staged = snapshot.staged.iter().map(|(sink, slots)| {
            let slots = slots.iter().map(|slot| Hex(slot.clone()));
            (sink.clone(), slots.collect())
        });
        let manifest = Manifest {
            number: snapshot.number,
            generation: self.generation,
            at: now(),
            epoch: snapshot.epoch,
            is_last: snapshot.is_last,
            is_finished,
            shards: SHARDS,
            stages: snapshot.fingerprints.clone(),
            partitions: partitions.collect(),
            staged: staged.collect(),
            parts,
        };
        let entry = Entry::Checkpoint(Box::new(manifest.clone()));
        let is_next = self.store.append(self.next, &entry).map_err(Error::State)?;
        if !is_next {
            let problem = Problem::new("another run of the job has taken over its state");
            return Err(Error::TakenOver(
                problem
                    .detail(format!("this one is generation {}", self.generation))
                    .hint("let one run of the job have it"),
            ));
        }
        let parts = manifest.parts().map_err(Error::State)?;
        self.checkpoints.insert(self.next, manifest);
        self.next += 1;
        Ok(parts)
    }

    /// Reads parts of objects of which little is still needed, so that they are written together: what
    /// changes seldom would else lie in ever more objects.
    pub(crate) fn gather(&self, parts: &mut Parts) -> Result<(), Problem> {
        let mut needed = BTreeMap::<&str, u64>::new();
        for bytes in parts.values() {
            if let Bytes::Stored(stored) = bytes {
                *needed.entry(&stored.object).or_default() += stored.bytes;
            }
        }
        if needed.len() <= OBJECTS_MAX {
            return Ok(());
        }
        let mut least: Vec<_> = needed
            .into_iter()
            .map(|(object, bytes)| (bytes, object))
            .collect();
        least.sort();
        least.truncate(least.len() - OBJECTS_MAX / 2);
        let mut room = OBJECT_BYTES as u64;
        let fits = |(bytes, _): &&(u64, &str)| {
            room = room.saturating_sub(*bytes);
            room > 0
        };
        let small: BTreeSet<_> = least
            .iter()
            .take_while(fits)
            .map(|(_, name)| (*name).to_owned())
            .collect();
        for bytes in parts.values_mut() {
            if let Bytes::Stored(stored) = bytes
                && small.contains(&stored.object)
            {
                *bytes = Bytes::Here(self.store.read(stored)?);
            }
        }
        Ok(())
    }

    /// Writes what is not stored yet, several parts an object.
    fn write_parts(&self, snapshot: &Snapshot) -> Result<Vec<Kept>, Problem> {
        let mut packed = Packed::default();
        let mut parts = Vec::with_capacity(snapshot.parts.len());
        for ((stage, part), bytes) in &snapshot.parts {
            let stored = match bytes {
                Bytes::Stored(stored) => stored.clone(),
                Bytes::Here(bytes) => packed.add(bytes, |object| {
                    let (generation, number) = (self.generation, snapshot.number);
                    format!("state/{generation:06}-{number:08}-{object:04}")
                }),
            };
            parts.push(Kept {
                stage: stage.clone(),
                part: part.to_string(),
                stored,
            });
        }
        self.store.objects.put(packed.finish())?;
        Ok(parts)
    }

    /// Removes the checkpoints that are no longer kept, then what no other one needs. A run that
    /// was thought dead can harm nobody: it removes only what is older than itself.
    pub(crate) fn clean_up(&mut self) -> Result<(), Problem> {
        let more = self.checkpoints.len().saturating_sub(self.store.kept);
        let Some(first_kept) = self
            .checkpoints
            .keys()
            .nth(more)
            .copied()
            .filter(|_| more > 0)
        else {
            return Ok(());
        };
        let kept = self.checkpoints.split_off(&first_kept);
        let removed = std::mem::replace(&mut self.checkpoints, kept);
        let names = self.store.objects.list("log")?;
        let is_old = |name: &String| *name < entry_name(first_kept);
        let old: Vec<_> = names.into_iter().filter(is_old).collect();
        self.store.objects.delete(&old)?;
        let needed: BTreeSet<_> = self
            .checkpoints
            .values()
            .flat_map(Manifest::objects)
            .collect();
        let unneeded = removed.values().flat_map(Manifest::objects);
        let unneeded: BTreeSet<_> = unneeded.filter(|name| !needed.contains(name)).collect();
        let unneeded: Vec<_> = unneeded.into_iter().map(str::to_owned).collect();
        self.store.objects.delete(&unneeded)
    }

    /// Removes state of earlier runs that no entry names: of checkpoints that were never complete.
    fn remove_orphans(&mut self) -> Result<(), Problem> {
        let needed: BTreeSet<_> = self
            .checkpoints
            .values()
            .flat_map(Manifest::objects)
            .collect();
        let names = self.store.objects.list("state")?;
        let own = format!("state/{:06}-", self.generation);
        let is_orphan = |name: &&String| !needed.contains(name.as_str()) && **name < own;
        let orphans: Vec<_> = names.iter().filter(is_orphan).cloned().collect();
        self.store.objects.delete(&orphans)
    }
}

/// Parts that are put together to objects.
#[derive(Default)]
struct Packed {
    done: Vec<(String, Vec<u8>)>,
    open: Option<(String, Vec<u8>)>,
}

impl Packed {
    fn add(&mut self, bytes: &[u8], name: impl Fn(usize) -> String) -> Stored {
        let number = self.done.len();
        let (name, body) = self.open.get_or_insert_with(|| (name(number), Vec::new()));
        let stored = Stored {
            object: name.clone(),
            at: (sealed::HEAD + body.len()) as u64,
            bytes: bytes.len() as u64,
            checksum: checksum(bytes),
        };
        body.extend_from_slice(bytes);
        if body.len() >= OBJECT_BYTES {
            self.close();
        }
        stored
    }

    fn close(&mut self) {
        if let Some((name, body)) = self.open.take() {
            self.done.push((name, sealed::seal(Kind::State, &body)));
        }
    }

    fn finish(mut self) -> Vec<(String, Vec<u8>)> {
        self.close();
        self.done
    }
}
