//! Faults that a check brings about: a process that is gone between two steps, a call that fails.
//!
//! What is *durable*, the store and what sinks have kept, is shared by all runs of a check; each run
//! reaches it through [`Faults`] of its own. Once a run has crashed, none of its calls has an effect any
//! more, whatever its threads still do: so is a process that was killed.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::Problem;
use crate::io::{Canonical, Commit, Place, Reading, Sink, SinkInfo, Slot, Staged, Writer};
use crate::state::objects::Objects;

/// The step that a writer takes for each piece that it is given.
const WRITE: &str = "write";

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The process is gone.
    Crash,
    /// The call fails, and the job with it.
    Failure,
}

/// Before which step it goes wrong, counted from 0: of all, or of those that are no writes, of which there are many
/// more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    Step(u64),
    NoWrite(u64),
}

/// How many steps were taken.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Taken {
    pub(super) all: u64,
    pub(super) no_writes: u64,
}

/// The faults of one run.
#[doc(hidden)]
pub struct Faults(Mutex<State>);

struct State {
    /// Where it goes wrong, and how.
    fault: Option<(At, Fault)>,
    steps: Taken,
    has_crashed: bool,
    wrong_at: Option<&'static str>,
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("Faults")
            .field("fault", &state.fault)
            .field("at", &state.wrong_at)
            .finish_non_exhaustive()
    }
}

impl Faults {
    /// A run in which nothing goes wrong.
    pub(super) fn none() -> Arc<Self> {
        Faults::at(None)
    }

    pub(super) fn at(fault: Option<(At, Fault)>) -> Arc<Self> {
        Arc::new(Faults(Mutex::new(State {
            fault,
            steps: Taken::default(),
            has_crashed: false,
            wrong_at: None,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many steps were taken.
    pub(super) fn steps(&self) -> Taken {
        self.state().steps
    }

    /// The step before which it went wrong.
    pub(super) fn wrong_at(&self) -> Option<&'static str> {
        self.state().wrong_at
    }

    /// Takes a step, unless it goes wrong before.
    fn step(&self, name: &'static str) -> Result<(), Problem> {
        let mut state = self.state();
        if state.has_crashed {
            return Err(Problem::new("the process is gone"));
        }
        let Taken { all, no_writes } = state.steps;
        let is_write = name == WRITE;
        state.steps.all += 1;
        state.steps.no_writes += u64::from(!is_write);
        let is_here = |at| match at {
            At::Step(number) => number == all,
            At::NoWrite(number) => !is_write && number == no_writes,
        };
        match state.fault {
            Some((at, fault)) if is_here(at) => {
                state.wrong_at = Some(name);
                state.has_crashed = fault == Fault::Crash;
                Err(Problem::new(format!("{fault:?} before step {all}, {name}")))
            }
            _ => Ok(()),
        }
    }

    /// A sink whose steps go wrong.
    pub(super) fn around_sink<S: ?Sized>(self: &Arc<Self>, sink: Arc<S>) -> FaultySink<S> {
        let faults = self.clone();
        FaultySink { sink, faults }
    }

    /// A store whose steps go wrong.
    pub(super) fn around_store(self: &Arc<Self>, objects: Arc<dyn Objects>) -> Arc<dyn Objects> {
        let faults = self.clone();
        Arc::new(FaultyObjects { objects, faults })
    }
}

#[derive(Debug)]
struct FaultyObjects {
    objects: Arc<dyn Objects>,
    faults: Arc<Faults>,
}

impl Objects for FaultyObjects {
    fn put(&self, objects: Vec<(String, Vec<u8>)>) -> Result<(), Problem> {
        self.faults.step("put")?;
        for (name, bytes) in objects {
            // A crash while an object is written may leave anything under its name.
            let half = bytes[..bytes.len() / 2].to_vec();
            let zeroed = vec![0; bytes.len()];
            for torn in [half, zeroed] {
                self.objects.put(vec![(name.clone(), torn)])?;
                self.faults.step("put, half done")?;
            }
            self.objects.put(vec![(name, bytes)])?;
            self.faults.step("put, an object done")?;
        }
        Ok(())
    }

    fn create(&self, name: &str, bytes: Vec<u8>) -> Result<bool, Problem> {
        self.faults.step("create")?;
        let created = self.objects.create(name, bytes)?;
        self.faults.step("create, done")?;
        Ok(created)
    }

    fn get(&self, name: &str, part: Option<Range<u64>>) -> Result<Option<Vec<u8>>, Problem> {
        self.faults.step("get")?;
        self.objects.get(name, part)
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, Problem> {
        self.faults.step("list")?;
        self.objects.list(folder)
    }

    fn delete(&self, names: &[String]) -> Result<(), Problem> {
        for name in names {
            self.faults.step("delete")?;
            self.objects.delete(std::slice::from_ref(name))?;
        }
        Ok(())
    }
}

/// A sink whose steps go wrong.
pub(super) struct FaultySink<S: ?Sized> {
    sink: Arc<S>,
    faults: Arc<Faults>,
}

impl<T: 'static, S: Sink<T> + ?Sized> Sink<T> for FaultySink<S> {
    fn info(&self) -> SinkInfo {
        self.sink.info()
    }

    fn recover(&self, last: Option<&Commit>) -> Result<(), Problem> {
        self.faults.step("recover")?;
        self.sink.recover(last)?;
        self.faults.step("recover, done")
    }

    fn open(&self, slot: Slot) -> Result<Box<dyn Writer<T>>, Problem> {
        self.faults.step("open")?;
        let (writer, faults) = (self.sink.open(slot)?, self.faults.clone());
        Ok(Box::new(FaultyWriter { writer, faults }))
    }

    fn readings(&self) -> Vec<Reading> {
        self.sink.readings()
    }

    fn exclusive(&self) -> Option<Place> {
        self.sink.exclusive()
    }

    fn commit(&self, commit: &Commit) -> Result<(), Problem> {
        self.faults.step("commit")?;
        self.sink.commit(commit)?;
        self.faults.step("commit, done")
    }

    fn abort(&self) {
        self.sink.abort();
    }

    fn canonical(&self) -> Option<Canonical<T>> {
        self.sink.canonical()
    }
}

struct FaultyWriter<T> {
    writer: Box<dyn Writer<T>>,
    faults: Arc<Faults>,
}

impl<T> Writer<T> for FaultyWriter<T> {
    fn write(&mut self, records: &mut Vec<T>) -> Result<(), Problem> {
        self.faults.step(WRITE)?;
        self.writer.write(records)
    }

    fn flush(&mut self) -> Result<(), Problem> {
        self.writer.flush()
    }

    fn prepare(&mut self, checkpoint: u64) -> Result<Staged, Problem> {
        self.faults.step("prepare")?;
        let staged = self.writer.prepare(checkpoint)?;
        let faults = self.faults.clone();
        Ok(Staged::by(move || {
            faults.step("finish")?;
            let bytes = staged.finish()?;
            faults.step("finish, done")?;
            Ok(bytes)
        }))
    }
}
