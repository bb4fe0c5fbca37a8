//! Where the rows of a check of recovery are kept from one run to the next.

use std::cell::Cell;
use std::fmt::Debug;
use std::sync::Arc;

use super::faults::Faults;
use super::ports::{Keep, Outputs, numbered};
use crate::Job;
use crate::graph::Output;
use crate::io::Sink;

/// What keeps the rows of outputs.
pub(super) trait Keeping<O: Outputs> {
    /// The rows of one history: runs of which each goes on where the one before it was.
    type Kept;

    /// Begins a history.
    fn begin(&self) -> Self::Kept;

    /// Makes the sinks of a run.
    fn bind(&self, kept: &Self::Kept, faults: &Arc<Faults>, job: Job) -> Job;

    /// Takes what is committed in the end.
    fn rows(&self, kept: &Self::Kept) -> O::Rows;
}

impl<O: Outputs> Keeping<O> for Keep {
    type Kept = O::Kept;

    fn begin(&self) -> O::Kept {
        O::kept(*self)
    }

    fn bind(&self, kept: &O::Kept, faults: &Arc<Faults>, job: Job) -> Job {
        O::bind(kept, faults, job, &mut 0)
    }

    fn rows(&self, kept: &O::Kept) -> O::Rows {
        O::rows(kept)
    }
}

/// A sink of the user's own for the only output, made anew for each run, and how its rows are read.
pub(super) struct Own<F, R> {
    pub(super) sink: F,
    pub(super) read: R,
    /// How many histories have begun.
    pub(super) begun: Cell<u64>,
}

impl<O, S, F, R> Keeping<O> for Own<F, R>
where
    O: Output<Row: Debug + Send>,
    S: Sink<O::Row>,
    F: Fn(&str) -> S,
    R: Fn(&str) -> Vec<O::Row>,
{
    /// The name of the history.
    type Kept = String;

    fn begin(&self) -> String {
        self.begun.set(self.begun.get() + 1);
        format!("history-{}", self.begun.get())
    }

    fn bind(&self, history: &String, faults: &Arc<Faults>, job: Job) -> Job {
        let sink = faults.around_sink(Arc::new((self.sink)(history)));
        job.sink(&numbered("out", &mut 0), sink)
    }

    fn rows(&self, history: &String) -> Vec<O::Row> {
        (self.read)(history)
    }
}
