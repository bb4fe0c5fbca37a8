//! A sink that keeps account of how it was treated, and fails where it is told to.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use stream_core::Problem;
use stream_core::io::{Commit, Sink, SinkInfo, Slot, Staged, Writer};

use super::{Gate, lock};

/// A step in the life of a sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    Open,
    Write,
    Flush,
    Prepare,
    Commit,
}

/// A sink whose clones share one account.
pub(crate) struct Probe<T>(Arc<Account<T>>);

struct Account<T> {
    fails: Option<Failure>,
    /// Writers wait here before they take anything.
    gate: Option<Gate>,
    rows: Mutex<Vec<T>>,
    written: AtomicUsize,
    open_writers: AtomicUsize,
    commits: AtomicUsize,
    aborts: AtomicUsize,
    /// How many writers were still open when the sink was committed or aborted.
    open_at_end: AtomicUsize,
}

#[derive(Clone, Copy)]
struct Failure {
    at: At,
    /// Only on this worker.
    worker: usize,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Breaks,
    IsClosed,
    Panics,
}

impl<T> Clone for Probe<T> {
    fn clone(&self) -> Self {
        Probe(self.0.clone())
    }
}

impl<T> Probe<T> {
    pub(crate) fn new() -> Self {
        Probe::with(None, None)
    }

    pub(crate) fn breaks(at: At) -> Self {
        Probe::breaks_on(0, at)
    }

    pub(crate) fn breaks_on(worker: usize, at: At) -> Self {
        let kind = Kind::Breaks;
        Probe::with(Some(Failure { at, worker, kind }), None)
    }

    pub(crate) fn is_closed(at: At) -> Self {
        let kind = Kind::IsClosed;
        let worker = 0;
        Probe::with(Some(Failure { at, worker, kind }), None)
    }

    pub(crate) fn panics(at: At) -> Self {
        let kind = Kind::Panics;
        let worker = 0;
        Probe::with(Some(Failure { at, worker, kind }), None)
    }

    pub(crate) fn behind(gate: &Gate) -> Self {
        Probe::with(None, Some(gate.clone()))
    }

    fn with(fails: Option<Failure>, gate: Option<Gate>) -> Self {
        Probe(Arc::new(Account {
            fails,
            gate,
            rows: Mutex::default(),
            written: AtomicUsize::new(0),
            open_writers: AtomicUsize::new(0),
            commits: AtomicUsize::new(0),
            aborts: AtomicUsize::new(0),
            open_at_end: AtomicUsize::new(0),
        }))
    }

    /// How often it was committed, and how often aborted.
    pub(crate) fn ends(&self) -> (usize, usize) {
        let count = |number: &AtomicUsize| number.load(Ordering::SeqCst);
        assert_eq!(count(&self.0.open_at_end), 0, "a writer outlived its sink");
        (count(&self.0.commits), count(&self.0.aborts))
    }

    /// Everything that was written, committed or not.
    pub(crate) fn rows(&self) -> Vec<T>
    where
        T: Clone,
    {
        lock(&self.0.rows).clone()
    }

    pub(crate) fn written(&self) -> usize {
        self.0.written.load(Ordering::SeqCst)
    }
}

pub(crate) const COMMITTED: (usize, usize) = (1, 0);
pub(crate) const ABORTED: (usize, usize) = (0, 1);
pub(crate) const UNTOUCHED: (usize, usize) = (0, 0);

impl<T> Account<T> {
    fn step(&self, at: At, worker: usize) -> Result<(), Problem> {
        let told = |failure: &Failure| failure.at == at && failure.worker == worker;
        match self.fails.filter(told).map(|failure| failure.kind) {
            None => Ok(()),
            Some(Kind::Breaks) => {
                Err(Problem::new(format!("the sink broke at {at:?}")).hint("mend it"))
            }
            Some(Kind::IsClosed) => Err(Problem::closed("the reader has gone")),
            Some(Kind::Panics) => panic!("the sink slipped at {at:?}"),
        }
    }

    fn note_end(&self, ends: &AtomicUsize) {
        let open = self.open_writers.load(Ordering::SeqCst);
        self.open_at_end.fetch_add(open, Ordering::SeqCst);
        ends.fetch_add(1, Ordering::SeqCst);
    }
}

impl<T: Send + 'static> Sink<T> for Probe<T> {
    fn info(&self) -> SinkInfo {
        SinkInfo {
            kind: "probe",
            detail: String::new(),
            atomic: false,
        }
    }

    fn open(&self, slot: Slot) -> Result<Box<dyn Writer<T>>, Problem> {
        let worker = slot.index;
        self.0.step(At::Open, worker)?;
        self.0.open_writers.fetch_add(1, Ordering::SeqCst);
        let account = self.0.clone();
        Ok(Box::new(ProbeWriter { account, worker }))
    }

    fn commit(&self, _: &Commit) -> Result<(), Problem> {
        self.0.note_end(&self.0.commits);
        self.0.step(At::Commit, 0)
    }

    fn abort(&self) {
        self.0.note_end(&self.0.aborts);
    }
}

struct ProbeWriter<T> {
    account: Arc<Account<T>>,
    worker: usize,
}

impl<T> Writer<T> for ProbeWriter<T> {
    fn write(&mut self, records: &mut Vec<T>) -> Result<(), Problem> {
        if let (Some(gate), false) = (&self.account.gate, records.is_empty()) {
            gate.pass();
        }
        if !records.is_empty() {
            self.account.step(At::Write, self.worker)?;
        }
        self.account
            .written
            .fetch_add(records.len(), Ordering::SeqCst);
        lock(&self.account.rows).append(records);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Problem> {
        self.account.step(At::Flush, self.worker)
    }

    fn prepare(&mut self, _: u64) -> Result<Staged, Problem> {
        self.account.step(At::Prepare, self.worker)?;
        Ok(Staged::nothing())
    }
}

impl<T> Drop for ProbeWriter<T> {
    fn drop(&mut self) {
        self.account.open_writers.fetch_sub(1, Ordering::SeqCst);
    }
}
