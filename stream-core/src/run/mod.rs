//! Running a job: its modes, its workers, their clock, and how it ends.

pub(crate) mod abort;
pub(crate) mod bad_records;
pub(crate) mod bindings;
#[cfg(feature = "cli")]
mod cli;
mod end;
pub(crate) mod epochs;
pub(crate) mod guard;
mod handle;
mod job;
mod limit;
mod mode;
mod report;
pub(crate) mod sink;
pub(crate) mod source;
pub(crate) mod tap;
pub(crate) mod worker;

pub use crate::expanded::{Bound, NotBound, RunsAlone};
pub use handle::{Handle, Stop};
pub use job::Job;
pub use mode::{BatchCut, Mode, ParseModeError, Wait};
pub use report::{Counts, Outcome, Report};
