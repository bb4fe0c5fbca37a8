//! Typed streaming pipelines that run the same in batch, in micro-batches and record by record.

pub mod error;
pub mod graph;
pub mod io;
pub(crate) mod observe;
pub mod ops;
pub mod run;
pub(crate) mod state;
pub mod testing;
pub mod time;

pub use error::{Error, Problem};
pub use run::{Job, Mode};
pub use time::{EventTime, Gap, Lateness, Size};
