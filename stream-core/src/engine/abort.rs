//! The first error of a job, and the word to all workers to end.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Thread;

use crate::error::{Error, Problem};
use crate::io::{Watch, Wish};

/// What a job's workers and whoever started it tell each other about its end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Abort(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    failed: AtomicBool,
    /// [`GO_ON`], [`STOP`] or [`DRAIN`].
    wish: AtomicU8,
    unread: AtomicBool,
    closed: AtomicBool,
    error: Mutex<Option<Error>>,
    workers: Mutex<Vec<Thread>>,
}

const GO_ON: u8 = 0;
const STOP: u8 = 1;
const DRAIN: u8 = 2;

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

    /// Asks the sources to stop; with `drain` as if their input had ended. The first word counts,
    /// for a job that has begun to do the one cannot do the other.
    pub(crate) fn stop(&self, drain: bool) {
        let wish = if drain { DRAIN } else { STOP };
        let (done, failed) = (Ordering::AcqRel, Ordering::Acquire);
        let _ = self.0.wish.compare_exchange(GO_ON, wish, done, failed);
        self.wake();
    }

    /// What tells a writer how the job stands.
    pub(crate) fn watch(&self) -> Watch {
        let abort = self.clone();
        Watch::new(move || {
            if abort.is_failed() {
                Wish::Abandon
            } else if abort.is_stopping() || abort.is_draining() {
                Wish::Stop
            } else {
                Wish::GoOn
            }
        })
    }

    /// Notes that a partition was left before its end, because of a stop or a drain.
    pub(crate) fn note_unread(&self) {
        self.0.unread.store(true, Ordering::Release);
    }

    /// Whether all workers are to drop everything.
    pub(crate) fn is_failed(&self) -> bool {
        self.0.failed.load(Ordering::Acquire)
    }

    /// Whether the sources are to stop where they are.
    pub(crate) fn is_stopping(&self) -> bool {
        self.0.wish.load(Ordering::Acquire) == STOP
    }

    /// Whether the sources are to end where they are.
    pub(crate) fn is_draining(&self) -> bool {
        self.0.wish.load(Ordering::Acquire) == DRAIN
    }

    /// Whether a partition was left before its end.
    pub(crate) fn has_unread(&self) -> bool {
        self.0.unread.load(Ordering::Acquire)
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

    /// Wakes all workers.
    pub(crate) fn wake(&self) {
        lock(&self.0.workers).iter().for_each(Thread::unpark);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
