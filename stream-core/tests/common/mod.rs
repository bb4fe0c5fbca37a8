//! What the tests of whole jobs share: a watchdog, gates, a source that follows a script, and a
//! sink that keeps account of how it was treated.

#![allow(dead_code, unused_imports, reason = "each test file uses its own part")]

mod probe;
mod script;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use stream_core::io::{BadRecord, Waker};
use stream_core::run::Handle;
use stream_core::{Error, Mode, Problem};

pub(crate) use probe::{ABORTED, At, COMMITTED, Probe, UNTOUCHED};
pub(crate) use script::{Script, Step};

/// No scenario takes longer, however slow the machine.
pub(crate) const SCENARIO_MAX: Duration = Duration::from_secs(30);

/// Every mode, and micro-batches both cut by count and by time.
pub(crate) const MODES: [&str; 5] = [
    "batch",
    "micro-batch=3records",
    "micro-batch=1ms",
    "per-record",
    "per-record=strict",
];

/// Runs a scenario under a watchdog: what hangs fails. The name stands in what a panic says.
pub(crate) fn within<T: Send + 'static>(
    name: &str,
    scenario: impl FnOnce() -> T + Send + 'static,
) -> T {
    let (done, ended) = mpsc::channel();
    let run = move || {
        let result = scenario();
        let _ = done.send(());
        result
    };
    let thread = thread::Builder::new().name(name.to_owned());
    let thread = thread.spawn(run).expect("a thread can be started");
    if let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(SCENARIO_MAX) {
        panic!("`{name}` hangs: it has not ended after {SCENARIO_MAX:?}");
    }
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Runs a scenario in every mode, on each number of workers, under the watchdog.
pub(crate) fn everywhere(workers: &[usize], scenario: fn(Mode, usize)) {
    for mode in MODES {
        for workers in workers.iter().copied() {
            within(&format!("{mode} on {workers}"), move || {
                scenario(mode.parse().expect("a mode"), workers);
            });
        }
    }
}

/// Waits until something holds that another thread brings about.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < SCENARIO_MAX, "never: {what}");
        thread::yield_now();
    }
}

/// Waits until a job has read so many records from a port.
pub(crate) fn until_read(handle: &Handle, port: &str, records: u64) {
    let read = || handle.counts().read.get(port).copied().unwrap_or(0);
    until(&format!("{records} records of `{port}` read"), || {
        read() >= records
    });
}

/// Of rows with a time in the middle those that are not late. By the definition: late is what lies behind the highest
/// seen earlier in its own partition by more than the lateness.
pub(crate) fn on_time<K: Copy, V: Copy>(
    partitions: &[Vec<(K, i64, V)>],
    lateness: i64,
) -> Vec<(K, i64, V)> {
    let mut rows = Vec::new();
    for partition in partitions {
        for (place, row) in partition.iter().enumerate() {
            let before = &partition[..place];
            if before.iter().all(|other| other.1 - lateness <= row.1) {
                rows.push(*row);
            }
        }
    }
    rows
}

/// The three parts of the problem of an error, to be compared whole.
pub(crate) fn parts(error: &Error) -> (String, Option<String>, Option<String>) {
    let problem = error.problem().expect("an error with a problem");
    let hint = problem.hint_text().map(str::to_owned);
    (problem.what().to_owned(), problem.detail_text(), hint)
}

pub(crate) fn sorted<T: Ord>(mut rows: Vec<T>) -> Vec<T> {
    rows.sort();
    rows
}

/// Something that threads wait at until it is opened.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<Bars>);

#[derive(Default)]
struct Bars {
    open: Mutex<bool>,
    opened: Condvar,
    reached: AtomicBool,
    wakers: Mutex<Vec<Waker>>,
}

impl Gate {
    pub(crate) fn open(&self) {
        *lock(&self.0.open) = true;
        self.0.opened.notify_all();
        lock(&self.0.wakers)
            .drain(..)
            .for_each(|waker| waker.wake());
    }

    pub(crate) fn is_open(&self) -> bool {
        self.0.reached.store(true, Ordering::Release);
        *lock(&self.0.open)
    }

    /// Whether anybody has come to the gate.
    pub(crate) fn is_reached(&self) -> bool {
        self.0.reached.load(Ordering::Acquire)
    }

    /// Blocks the thread until the gate is open.
    pub(crate) fn pass(&self) {
        self.0.reached.store(true, Ordering::Release);
        let open = lock(&self.0.open);
        let waited = self
            .0
            .opened
            .wait_timeout_while(open, SCENARIO_MAX, |open| !*open);
        let (_open, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(!timeout.timed_out(), "the gate was never opened");
    }

    /// Wakes a reader when the gate opens.
    pub(crate) fn wake(&self, waker: &Waker) {
        lock(&self.0.wakers).push(waker.clone());
        if *lock(&self.0.open) {
            waker.wake();
        }
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Numbers that look random and are the same on every run.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Random(seed)
    }

    /// The next number below a limit (SplitMix64).
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % limit
    }
}
