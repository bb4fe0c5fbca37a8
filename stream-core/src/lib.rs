//! Typed streaming pipelines that run the same in batch, in micro-batches and record by record.
//!
//! A pipeline is a function over typed handles ([`graph::Stream`] and its kin). A [`Job`] binds
//! its ports to [sources and sinks](io) and runs it in a [`Mode`]; the results are the same in
//! every mode. The engine is timely dataflow.

pub mod error;
mod expanded;
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
pub use stream_macros::pipeline;
pub use time::{EventTime, Gap, Lateness, Size};

/// What the code that `#[pipeline]` writes names. No part of the API: it may change with any version.
#[doc(hidden)]
pub mod __private {
    pub use crate::expanded::*;
    pub use crate::graph::{GraphSpec, Output, Scope, Setting};
    pub use crate::graph::{Outline, OutlinePort, OutlineSetting, OutlineStage};
    pub use crate::io::{Sink, Source, collect, vec};
    pub use crate::run::{Handle as RunningJob, Job, Mode, Report, Wait};
    pub use crate::testing::check_modes;
    pub use crate::time::Clock;
    pub use crate::{Error, Problem, Snapshot};

    /// What a job has only with a command line.
    #[cfg(feature = "cli")]
    #[macro_export]
    #[doc(hidden)]
    macro_rules! __with_cli {
        ($($item:tt)*) => { $($item)* };
    }
    /// What a job has only with a command line.
    #[cfg(not(feature = "cli"))]
    #[macro_export]
    #[doc(hidden)]
    macro_rules! __with_cli {
        ($($item:tt)*) => {};
    }
    pub use crate::__with_cli as with_cli;
}

/// What a pipeline is written with.
pub mod prelude {
    pub use crate::graph::{Changes, Graph, Keyed, Mixed, Stream, Table, Timed};
    pub use crate::ops::{Change, Entry, Windowed};
    pub use crate::pipeline;
    pub use crate::run::{Job, Mode};
    pub use crate::time::{EventTime, Gap, Lateness, Size};
}
