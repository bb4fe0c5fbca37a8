//! Typed streaming pipelines that run the same in batch, in micro-batches and record by record.
//!
//! A pipeline is a function over typed handles ([`graph::Stream`] and its kin). A [`Job`] binds
//! its ports to [sources and sinks](io) and runs it in a [`Mode`]; the results are the same in
//! every mode. The engine is timely dataflow.

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
pub use state::Snapshot;
pub use time::{EventTime, Gap, Lateness, Size};

/// What a pipeline is written with.
pub mod prelude {
    pub use crate::graph::{Changes, Graph, Keyed, Mixed, Stream, Table, Timed};
    pub use crate::ops::{Change, Entry, Windowed};
    pub use crate::run::{Job, Mode};
    pub use crate::time::{EventTime, Gap, Lateness, Size};
}
