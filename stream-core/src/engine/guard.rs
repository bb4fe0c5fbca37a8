//! Panics of users' code: which stage, where, and what it said.
//!
//! Every stage names itself while it runs what the user wrote. A panic hook, set once a process,
//! keeps the place of a panic on a thread that does a job's work; all other panics go to the hook
//! that was there before.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};
use std::rc::Rc;
use std::sync::Once;

use crate::error::{Error, Problem};

thread_local! {
    static RUNNING: RefCell<Option<Rc<str>>> = const { RefCell::new(None) };
    static PLACE: Cell<Option<String>> = const { Cell::new(None) };
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// The name of a stage.
#[derive(Clone)]
pub(crate) struct Guard(Rc<str>);

/// As long as it lives, the stage is the one that runs on this thread; then the one before is.
pub(crate) struct Entered {
    before: Option<Rc<str>>,
}

impl Guard {
    pub(crate) fn new(stage: &str) -> Self {
        Guard(stage.into())
    }

    pub(crate) fn enter(&self) -> Entered {
        let before = RUNNING.replace(Some(self.0.clone()));
        Entered { before }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        // A panic leaves the innermost name where it is, for `caught` to read.
        if !std::thread::panicking() {
            RUNNING.set(self.before.take());
        }
    }
}

/// A panic that was caught.
pub(crate) struct Caught {
    /// The stage that ran, if one did.
    pub(crate) stage: Option<String>,
    pub(crate) message: String,
    pub(crate) place: String,
}

/// Runs a part of a job's work; a panic in it becomes an error.
pub(crate) fn catch<T>(work: impl FnOnce() -> T) -> Result<T, Error> {
    caught(work).map_err(|panic| match panic.stage {
        Some(operator) => Error::Panic {
            operator,
            message: panic.message,
            place: panic.place,
        },
        None => Error::Engine(
            Problem::new(format!("a worker panicked at {}", panic.place))
                .detail(panic.message)
                .hint(
                    "a value of the job panicked while it was dropped, or else this is a defect \
                     of the engine: then please report it",
                ),
        ),
    })
}

/// As [`catch`], with the name of the stage that runs.
pub(crate) fn catch_in<T>(stage: &str, work: impl FnOnce() -> T) -> Result<T, Error> {
    catch(|| {
        let _entered = Guard::new(stage).enter();
        work()
    })
}

/// As [`catch`], and tells the parts of the panic.
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, Caught> {
    set_hook();
    let inside = INSIDE.replace(true);
    let running = RUNNING.take();
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    INSIDE.set(inside);
    let stage = RUNNING.replace(running);
    result.map_err(|payload| Caught {
        stage: stage.map(|stage| stage.to_string()),
        message: message(&*payload),
        // Whoever has set a hook after ours has the place for himself.
        place: PLACE.take().unwrap_or_else(|| "an unknown place".into()),
    })
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| payload.downcast_ref().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

fn set_hook() {
    static SET: Once = Once::new();
    SET.call_once(|| {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if INSIDE.get() {
                PLACE.set(info.location().map(ToString::to_string));
            } else {
                others(info);
            }
        }));
    });
}
