//! Running a job: its modes, its workers, their clock, and how it ends.

pub(crate) mod abort;
#[cfg(feature = "cli")]
mod cli;
mod end;
pub(crate) mod epochs;
pub(crate) mod guard;
mod job;
mod limit;
mod mode;
mod report;
pub(crate) mod sink;
pub(crate) mod source;
pub(crate) mod tap;
pub(crate) mod worker;

pub use job::{Handle, Job, Stop};
pub use mode::{BatchCut, Mode, ParseModeError, Wait};
pub use report::{Counts, Outcome, Report};
