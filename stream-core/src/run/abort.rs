//! The first error of a job, and the word to all workers to end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Thread;

use crate::error::{Error, Problem};

/// What a job's workers and whoever started it tell each other about its end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Abort(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    failed: AtomicBool,
    stopped: AtomicBool,
    draining: AtomicBool,
    closed: AtomicBool,
    error: Mutex<Option<Error>>,
    workers: Mutex<Vec<Thread>>,
}

impl Abort {
    /// Ends the job with an error; the first one counts.
    pub(crate) fn fail(&self, error: Error) {
        lock(&self.0.error).get_or_insert(error);
        self.0.failed.store(true, Ordering::Release);
        self.wake();
    }

    /// Ends the job because of a sink: cleanly, if who read its output has closed it.
    pub(crate) fn fail_sink(&self, port: &str, problem: Problem) {
        if problem.is_closed() {
            self.output_closed();
        } else {
            let port = port.to_owned();
            self.fail(Error::Sink { port, problem });
        }
    }

    fn output_closed(&self) {
        self.0.closed.store(true, Ordering::Release);
        self.0.failed.store(true, Ordering::Release);
        self.wake();
    }

    /// Asks the sources to stop; with `drain` as if their input had ended.
    pub(crate) fn stop(&self, drain: bool) {
        self.0.draining.fetch_or(drain, Ordering::AcqRel);
        self.0.stopped.store(true, Ordering::Release);
        self.wake();
    }

    /// Whether all workers are to drop everything.
    pub(crate) fn is_failed(&self) -> bool {
        self.0.failed.load(Ordering::Acquire)
    }

    /// Whether the sources are to stop.
    pub(crate) fn is_stopped(&self) -> bool {
        self.0.stopped.load(Ordering::Acquire)
    }

    /// Whether the sources are to end when they stop.
    pub(crate) fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::Acquire)
    }

    /// Whether an output was closed by who read it, and nothing else went wrong.
    pub(crate) fn is_output_closed(&self) -> bool {
        self.0.closed.load(Ordering::Acquire)
    }

    /// Takes the error that ended the job.
    pub(crate) fn take(&self) -> Option<Error> {
        lock(&self.0.error).take()
    }

    /// Notes the calling thread as one to be woken.
    pub(crate) fn enlist(&self) {
        lock(&self.0.workers).push(std::thread::current());
    }

    fn wake(&self) {
        lock(&self.0.workers).iter().for_each(Thread::unpark);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
