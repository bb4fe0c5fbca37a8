//! Panics of users' closures: which operator, where, and what it said.
//!
//! Every operator names itself while it runs. A panic hook, set once a process, keeps the place
//! and the message of a panic on a thread that is inside an operator; all other panics go to the
//! hook that was there before.

use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};
use std::rc::Rc;
use std::sync::Once;

use crate::error::{Error, Problem};

thread_local! {
    static RUNNING: RefCell<Option<Rc<str>>> = const { RefCell::new(None) };
    static CAUGHT: Cell<Option<(String, String)>> = const { Cell::new(None) };
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// The name of an operator.
pub(crate) struct Guard(Rc<str>);

/// As long as it lives, the operator is the one that runs on this thread.
pub(crate) struct Entered;

impl Guard {
    pub(crate) fn new(operator: &str) -> Self {
        Guard(operator.into())
    }

    pub(crate) fn enter(&self) -> Entered {
        RUNNING.with(|running| *running.borrow_mut() = Some(self.0.clone()));
        Entered
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        // A panic leaves the name where it is, for `catch` to read.
        if !std::thread::panicking() {
            RUNNING.with(|running| *running.borrow_mut() = None);
        }
    }
}

/// Runs a worker's work; a panic in it becomes an error.
pub(crate) fn catch<T>(work: impl FnOnce() -> T) -> Result<T, Error> {
    set_hook();
    let before = INSIDE.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    INSIDE.set(before);
    result.map_err(|_| {
        let (message, place) = CAUGHT.take().unwrap_or_default();
        match RUNNING.with(|running| running.borrow_mut().take()) {
            Some(operator) => Error::Panic {
                operator: operator.to_string(),
                message,
                place,
            },
            None => Error::Engine(
                Problem::new(format!("a worker panicked at {place}"))
                    .detail(message)
                    .hint("this is a defect of the engine: please report it"),
            ),
        }
    })
}

fn set_hook() {
    static SET: Once = Once::new();
    SET.call_once(|| {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !INSIDE.get() {
                return others(info);
            }
            let payload = info.payload();
            let message = payload
                .downcast_ref::<&str>()
                .map(ToString::to_string)
                .or_else(|| payload.downcast_ref::<String>().cloned())
                .unwrap_or_else(|| "no message".to_owned());
            let place = info.location().map(ToString::to_string).unwrap_or_default();
            CAUGHT.set(Some((message, place)));
        }));
    });
}
