//! The store of a job's checkpoints: a log, and the state that its entries name.
//!
//! ```text
//! log/000000000001     opened by generation 1
//! log/000000000002     checkpoint 1: positions, what sinks have staged, fingerprints, and where
//! log/000000000003     checkpoint 2   the parts of the state lie
//! log/000000000004     opened by generation 2
//! log/000000000005     went back to checkpoint 1
//! state/000001-00000001-0000   parts of the state, written by generation 1 for checkpoint 1
//! ```
//!
//! An entry is created under the next number, which only one of several processes can do. So the log
//! has one order, and whoever has opened it keeps all others from adding anything: one that was
//! thought dead finds the next number taken, and stops. The entry of a checkpoint is its commit: what
//! it names was written before, and what no entry names was never part of anything.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
#[cfg(feature = "state")]
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use super::SHARDS;
#[cfg(feature = "state")]
use super::at_url::AtUrl;
use super::checkpoint::{Bytes, Parts, ReadStored, Snapshot, Stored};
use super::log::{Course, Dropped, Entry, Log, Opened, Written, entry_name, now, number_of};
use super::manifest::{Hex, Kept, Manifest, Read, Slot};
use super::objects::{Memory, Objects};
use super::sealed::{self, Kind, checksum, damaged, or_earlier};
use crate::error::{Error, Problem};

/// How many bytes of state are written as one object.
const OBJECT_BYTES: usize = 8 << 20;
/// How many bytes a slot of a sink may have staged that stand in the entry itself.
const STAGED_HERE_MAX: usize = 4 << 10;
/// How many objects a checkpoint may need before some are put together.
const OBJECTS_MAX: usize = 16;
/// How many checkpoints are kept, if nothing else is said.
const KEPT: usize = 3;
/// How often a number in the log is tried that others take.
pub(crate) const TRIES: usize = 16;

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
    pub(super) objects: Arc<dyn Objects>,
    kept: usize,
}

impl StateStore {
    /// A store in memory, which its clones share; for tests.
    pub fn memory() -> Self {
        StateStore::of(Arc::new(Memory::default()))
    }

    /// A store in a folder, or at a URL: `file:///path`, or in a cloud by a feature of this crate:
    ///
    /// | feature | URL | variables of the environment |
    /// |---|---|---|
    /// | `s3` | `s3://bucket/job` | `AWS_*` |
    /// | `gcs` | `gs://bucket/job` | `GOOGLE_*` |
    /// | `azure` | `az://container/job` | `AZURE_*` |
    ///
    /// Credentials and options are read from those variables alone. The bucket must be there. To open a
    /// store of a cloud sends nothing: a server that is not reached is told when the job starts. A request
    /// is tried again for 30 s, and one attempt takes at most another 30 s. The server must refuse to
    /// create an object that is there (`If-None-Match: *`).
    ///
    /// # Errors
    /// When nothing can be kept there, with what to do about it.
    #[cfg(feature = "state")]
    pub fn at(url: &str) -> Result<Self, Error> {
        let objects = AtUrl::open(url).map_err(Error::State)?;
        Ok(StateStore::of(Arc::new(objects)))
    }

    /// The store at a place where there is one already.
    #[cfg(all(feature = "cli", feature = "state"))]
    pub(crate) fn existing(url: &str) -> Result<Self, Problem> {
        let none = || {
            Problem::new(format!("`{url}` holds no state of a job"))
                .hint("name the place that the job is run with, `--state PLACE`")
        };
        let path = url.strip_prefix("file://").unwrap_or(url);
        if !path.contains("://") && !Path::new(path).is_dir() {
            return Err(none()); // to look at a place is no reason to make it
        }
        let store = StateStore::of(Arc::new(AtUrl::open(url)?));
        match store.objects.list("log")?.is_empty() {
            true => Err(none()),
            false => Ok(store),
        }
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

    /// Reads a part of the state. Where that is damaged, the error offers an earlier checkpoint.
    fn read(
        &self,
        part: &Stored,
        earlier: impl FnOnce() -> Option<u64>,
    ) -> Result<Vec<u8>, Problem> {
        let read = self.read_part(part)?;
        read.map_err(|damage| or_earlier(damage, earlier()))
    }

    /// Reads a part of the state, or finds out how it is damaged.
    pub(super) fn read_part(&self, part: &Stored) -> Result<Result<Vec<u8>, Problem>, Problem> {
        let range = part.at..part.at + part.bytes;
        let bytes = self.objects.get(&part.object, Some(range))?;
        let detail = match bytes {
            None => "it is not there",
            Some(bytes)
                if checksum(&bytes) == part.checksum && bytes.len() as u64 == part.bytes =>
            {
                return Ok(Ok(bytes));
            }
            Some(_) => "the checksum of a part of it is another",
        };
        Ok(Err(damaged(&part.object, detail)))
    }

    /// Lets the next run of the job go on from an earlier checkpoint, as that was kept: what lies behind
    /// it is given up once that run has begun, and its rows come again. A run that is under way ends
    /// with an error at its next checkpoint.
    ///
    /// ```
    /// use stream_core::run::StateStore;
    /// use stream_core::{Job, Mode, io};
    ///
    /// let (store, log) = (StateStore::memory(), io::MemoryLog::new(1));
    /// let run = |mode| {
    ///     let (sink, rows) = io::collect::<u64>();
    ///     let job = Job::new("copy", |graph| graph.output("out", graph.input::<u64>("in")));
    ///     job.source("in", log.clone()).sink("out", sink).state(store.clone()).run(mode)?;
    ///     Ok::<_, stream_core::Error>(rows.take())
    /// };
    /// log.append(0, 0..3_u64)?;
    /// log.close();
    /// assert_eq!(run(Mode::Batch)?, [0, 1, 2]);
    /// assert_eq!(run(Mode::Batch)?, [0_u64; 0]);
    /// store.go_back_to(1)?;
    /// let error = store.go_back_to(9).unwrap_err();
    /// assert_eq!(error.to_string(), "checkpoint 9 is not kept (hint: there are 1, 2)");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When the checkpoint is not kept.
    pub fn go_back_to(&self, checkpoint: u64) -> Result<(), Problem> {
        self.change(|course| {
            course.go_to(checkpoint)?;
            course.dropped.clear();
            Ok(true)
        })
    }

    /// The numbers of the checkpoints that can be gone on from.
    pub(crate) fn kept(&self) -> Result<Vec<u64>, Problem> {
        let course = self.log()?.course();
        Ok(course
            .checkpoints
            .values()
            .map(|kept| kept.number)
            .collect())
    }

    /// Forgets the state of stages, so that the next run starts without it: a stage that was removed
    /// from the pipeline keeps it from starting no more, and one that is there begins with nothing.
    /// [`go_back_to`](StateStore::go_back_to) the same checkpoint takes that back.
    ///
    /// # Errors
    /// When the checkpoint that the next run starts from has no state of one of them.
    pub fn drop_stages(&self, stages: &[String]) -> Result<(), Problem> {
        self.change(|course| course.drop_stages(stages).map(|()| false))
    }

    /// Adds an entry to the log that says what was changed: where the next run starts, or only what it
    /// starts without.
    fn change(&self, change: impl Fn(&mut Course) -> Result<bool, Problem>) -> Result<(), Problem> {
        for _ in 0..TRIES {
            let log = self.log()?;
            let mut course = log.course();
            let goes = change(&mut course)?;
            let generation = log.generation();
            let entry = match goes {
                true => course.went_back(generation, false),
                false => Entry::Dropped(Dropped {
                    generation,
                    stages: course.dropped,
                    at: now(),
                }),
            };
            if self.append(log.last + 1, &entry)? {
                return Ok(());
            }
        }
        Err(Problem::new("the state cannot be changed")
            .detail("a run of the job adds to its log all the time")
            .hint("stop it first"))
    }

    /// Opens it for a run: finds where that starts. Nothing is changed before it is claimed.
    pub(crate) fn open(&self, wish: &Wish<'_>) -> Result<Session, Problem> {
        let mut log = self.log()?;
        let mut course = log.course();
        match (wish.from, course.damaged) {
            (Some(from), _) => course.go_to(from)?,
            (None, Some(damaged)) => {
                let newest = course.checkpoints.values().next_back();
                let newest = newest.map(|kept| kept.number);
                if let Some(problem) = log.take_damage(damaged) {
                    return Err(or_earlier(problem, newest));
                }
            }
            (None, None) => {}
        }
        let was_dropped = course.dropped.len();
        if !wish.dropped.is_empty() {
            course.drop_stages(wish.dropped)?;
        }
        let generation = log.generation() + 1;
        let number = log.last + 1;
        let opened = Entry::Opened(Opened {
            generation,
            job: wish.job.to_owned(),
            workers: wish.workers,
            from: course.start,
            at: now(),
        });
        if let Some(other) = log.job().filter(|other| *other != wish.job) {
            let what = format!("the state is that of the job `{other}`");
            return Err(Problem::new(what)
                .detail(format!("this one is `{}`", wish.job))
                .hint("give each job a place of its own"));
        }
        Ok(Session {
            store: self.clone(),
            generation,
            next: number,
            drops: course.dropped.len() > was_dropped,
            course,
            opened,
        })
    }

    /// Adds an entry under a number. Tells whether it stands there for all that come after.
    fn append(&self, number: u64, entry: &Entry) -> Result<bool, Problem> {
        let body = serde_json::to_vec_pretty(&Written::new(entry));
        let unwritable =
            |error| Problem::new("an entry of the log cannot be written").because(error);
        let object = sealed::seal(Kind::Entry, &body.map_err(unwritable)?);
        let name = entry_name(number);
        if !self.objects.create(&name, object)? {
            return Ok(false);
        }
        let was_next = self.was_next(number)?;
        if !was_next {
            self.objects.delete(&[name])?; // it stands before all that counts
        }
        Ok(was_next)
    }

    /// Whether the entry that was just created was the next one. Old entries are removed, and their
    /// numbers are free again: a process that slept so long finds checkpoints of others behind its own.
    /// One that was overtaken since finds that they opened the log first, and so have read its entry.
    fn was_next(&self, number: u64) -> Result<bool, Problem> {
        if self.last_entry()? <= number {
            return Ok(true);
        }
        let next = entry_name(number + 1);
        let Some(object) = self.objects.get(&next, None)? else {
            return Ok(false);
        };
        Ok(!matches!(
            Entry::read(&next, &object)?,
            Entry::Checkpoint(_)
        ))
    }

    /// The number of the last entry; 0 where there is none.
    fn last_entry(&self) -> Result<u64, Problem> {
        let names = self.objects.list("log")?;
        let numbers = names.iter().filter_map(|name| number_of(name));
        Ok(numbers.max().unwrap_or(0))
    }

    /// Reads the whole log. What is damaged stands for itself: it matters only if it is needed.
    pub(super) fn log(&self) -> Result<Log, Problem> {
        let mut log = Log {
            entries: BTreeMap::new(),
            last: 0,
        };
        for name in self.objects.list("log")? {
            let Some(number) = number_of(&name) else {
                continue;
            };
            let Some(object) = self.objects.get(&name, None)? else {
                continue; // removed meanwhile
            };
            log.last = log.last.max(number);
            log.entries.insert(number, Entry::read(&name, &object));
        }
        Ok(log)
    }
}

/// What a run wants of a store.
#[derive(Debug)]
pub(crate) struct Wish<'a> {
    pub(crate) job: &'a str,
    pub(crate) workers: usize,
    /// The checkpoint to go on from; the last one, if nothing is said.
    pub(crate) from: Option<u64>,
    /// The stages whose state is to be forgotten.
    pub(crate) dropped: &'a [String],
}

/// A store that is open for one run of a job.
#[derive(Debug)]
pub(crate) struct Session {
    store: StateStore,
    generation: u64,
    /// The number of the next entry.
    next: u64,
    course: Course,
    /// Whether the run forgets more than the log says.
    drops: bool,
    /// What claims the state.
    opened: Entry,
}

impl Session {
    /// Reads what the store has.
    pub(crate) fn reader(&self) -> ReadStored {
        let store = self.store.clone();
        let start = self.course.start.unwrap_or(0);
        let all = self.course.checkpoints.values();
        let earlier = all.filter(|kept| kept.number < start);
        let earlier: Vec<Manifest> = earlier.cloned().collect();
        Arc::new(move |stored| {
            let is_whole = |kept: &&Manifest| !kept.objects().any(|name| name == stored.object);
            let earlier = || earlier.iter().rev().find(is_whole);
            store.read(stored, || earlier().map(Manifest::number))
        })
    }

    /// The number of the last checkpoint, if the job ended there with all its input read.
    pub(crate) fn finished(&self) -> Option<u64> {
        let last = self.last().filter(|last| last.is_finished);
        last.map(|last| last.number)
    }

    /// The last checkpoint.
    pub(crate) fn last(&self) -> Option<&Manifest> {
        self.course.checkpoint(self.course.start?)
    }

    /// The stages whose state is forgotten.
    pub(crate) fn dropped(&self) -> &BTreeSet<String> {
        &self.course.dropped
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
        let goes = match self.course.goes_back {
            true => "goes back to",
            false => "goes on from",
        };
        let mut told = format!(
            "{goes} checkpoint {number} of {at}{age}; {ended} of {all} partitions are read to their end"
        );
        for stage in &self.course.dropped {
            told += &format!("; the state of stage `{stage}` is forgotten");
        }
        told
    }

    /// What the run starts from.
    pub(crate) fn start(&self) -> Result<Snapshot, Problem> {
        let Some(number) = self.course.start else {
            let given = self.course.given;
            return Ok(Snapshot {
                given,
                ..Snapshot::default()
            });
        };
        let mut snapshot = self
            .course
            .expect(number)?
            .snapshot(|stored| self.store.read(stored, || None))?;
        snapshot.given = self.course.given;
        snapshot.goes_back = self.course.goes_back;
        for stage in &self.course.dropped {
            snapshot.parts.retain(|(operator, _), _| operator != stage);
            snapshot.fingerprints.remove(stage);
        }
        Ok(snapshot)
    }

    /// Whether others have added to the log since it was opened.
    pub(crate) fn is_behind(&self) -> Result<bool, Problem> {
        Ok(self.store.last_entry()? >= self.next)
    }

    /// Keeps earlier runs from adding anything. Tells whether it could: not if one has added to the log since it
    /// was opened.
    pub(crate) fn claim(&mut self) -> Result<bool, Problem> {
        let is_next = self.store.append(self.next, &self.opened)?;
        self.next += u64::from(is_next);
        Ok(is_next)
    }

    /// Says that the run begins: what stands behind its start is given up.
    pub(crate) fn begin(&mut self) -> Result<(), Error> {
        if self.course.goes_back {
            self.add(&self.course.went_back(self.generation, true))?;
            self.course.begin();
        } else if self.drops {
            self.add(&Entry::Dropped(Dropped {
                generation: self.generation,
                stages: self.course.dropped.clone(),
                at: now(),
            }))?;
        }
        self.remove_orphans().map_err(Error::State)
    }

    fn add(&mut self, entry: &Entry) -> Result<(), Error> {
        let is_next = self.store.append(self.next, entry);
        if !is_next.map_err(Error::State)? {
            return Err(self.taken_over());
        }
        self.next += 1;
        Ok(())
    }

    /// What an error comes from: a run that others have gone on from finds that state which it needs was
    /// cleaned up.
    pub(crate) fn explain(&self, error: Error) -> Error {
        let is_of_state = matches!(error, Error::State(_));
        let newest = || self.store.log().map_or(0, |log| log.generation());
        match is_of_state && newest() > self.generation {
            true => self.taken_over(),
            false => error,
        }
    }

    fn taken_over(&self) -> Error {
        let log = self.store.log();
        let holder = log.as_ref().ok().and_then(|log| log.holder());
        let holder = holder.filter(|holder| holder.generation > self.generation);
        let now = holder.map_or_else(String::new, |holder| {
            let Opened { generation, at, .. } = holder;
            format!("; generation {generation} has had it since {at}")
        });
        Error::TakenOver(
            Problem::new("another run of the job has taken over its state")
                .detail(format!("this one is generation {}{now}", self.generation))
                .hint("let one run of the job have it"),
        )
    }

    /// Writes a checkpoint. When it returns, the checkpoint is there, and nothing takes it back. Gives
    /// the places of its parts.
    pub(crate) fn write(&mut self, snapshot: &Snapshot, is_finished: bool) -> Result<Parts, Error> {
        let (parts, staged) = self.write_parts(snapshot).map_err(Error::State)?;
        let partitions = snapshot
            .partitions
            .iter()
            .map(|((input, partition), end)| Read {
                input: input.clone(),
                partition: partition.clone(),
                position: Hex(end.position.as_bytes().to_vec()),
                ended: end.ended,
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
            staged,
            parts,
        };
        let (number, parts) = (manifest.number, manifest.parts().map_err(Error::State)?);
        self.add(&Entry::Checkpoint(Box::new(manifest.clone())))?;
        self.course.checkpoints.insert(self.next - 1, manifest);
        self.course.start = Some(number);
        self.course.goes_back = false;
        self.course.dropped.clear();
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
                *bytes = Bytes::Here(self.store.read(stored, || None)?);
            }
        }
        Ok(())
    }

    /// Writes what is not stored yet, several parts an object.
    fn write_parts(
        &self,
        snapshot: &Snapshot,
    ) -> Result<(Vec<Kept>, BTreeMap<String, Vec<Slot>>), Problem> {
        let mut packed = Packed::default();
        let name = |object| {
            let (generation, number) = (self.generation, snapshot.number);
            format!("state/{generation:06}-{number:08}-{object:04}")
        };
        let mut parts = Vec::with_capacity(snapshot.parts.len());
        for ((stage, part), bytes) in &snapshot.parts {
            let stored = match bytes {
                Bytes::Stored(stored) => stored.clone(),
                Bytes::Here(bytes) => packed.add(bytes, name),
            };
            parts.push(Kept {
                stage: stage.clone(),
                part: part.to_string(),
                stored,
            });
        }
        let staged = snapshot.staged.iter().map(|(sink, slots)| {
            let slots = slots.iter().map(|bytes| match bytes.len() {
                0..=STAGED_HERE_MAX => Slot::Here(Hex(bytes.clone())),
                _ => Slot::Stored(packed.add(bytes, name)),
            });
            (sink.clone(), slots.collect())
        });
        let staged = staged.collect();
        self.store.objects.put(packed.finish())?;
        Ok((parts, staged))
    }

    /// Removes the checkpoints that are no longer kept, then what no other one needs; nothing once another run has
    /// added to the log, for it may have gone back to one of them.
    ///
    /// Entries go the last one first: so the number behind one that is free again has no old entry.
    pub(crate) fn clean_up(&mut self) -> Result<(), Problem> {
        let more = self
            .course
            .checkpoints
            .len()
            .saturating_sub(self.store.kept);
        let Some(first_kept) = self
            .course
            .checkpoints
            .keys()
            .nth(more)
            .copied()
            .filter(|_| more > 0)
        else {
            return Ok(());
        };
        let kept = self.course.checkpoints.split_off(&first_kept);
        let removed = std::mem::replace(&mut self.course.checkpoints, kept);
        let names = self.store.objects.list("log")?;
        let mut numbers: Vec<_> = names.iter().filter_map(|name| number_of(name)).collect();
        if numbers.iter().any(|number| *number >= self.next) {
            return Ok(());
        }
        numbers.retain(|number| *number < first_kept);
        numbers.sort_unstable_by_key(|number| Reverse(*number));
        let old: Vec<_> = numbers.into_iter().map(entry_name).collect();
        self.store.objects.delete(&old)?;
        let needed = self.needed();
        let unneeded = removed.values().flat_map(Manifest::objects);
        let unneeded: BTreeSet<_> = unneeded.filter(|name| !needed.contains(name)).collect();
        let unneeded: Vec<_> = unneeded.into_iter().map(str::to_owned).collect();
        self.store.objects.delete(&unneeded)
    }

    /// The objects that a checkpoint has something in.
    fn needed(&self) -> BTreeSet<&str> {
        let kept = self.course.checkpoints.values();
        kept.flat_map(Manifest::objects).collect()
    }

    /// Removes state of earlier runs that no entry names: of checkpoints that were never complete.
    fn remove_orphans(&mut self) -> Result<(), Problem> {
        let needed = self.needed();
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
