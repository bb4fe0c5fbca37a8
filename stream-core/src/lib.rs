//! Typed streaming pipelines that run the same in batch, in micro-batches and record by record.

pub mod error;
pub mod io;
pub(crate) mod state;
pub mod testing;
pub mod time;

pub use error::{Error, Problem};
pub use time::{EventTime, Gap, Lateness, Size};
