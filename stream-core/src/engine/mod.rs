//! What a job's workers and operators share while it runs: what travels on edges, the mode and its
//! epochs, what is bound to the ports, and how everything ends.

pub(crate) mod abort;
pub(crate) mod bad_records;
pub(crate) mod batch;
pub(crate) mod bindings;
pub(crate) mod epochs;
pub(crate) mod guard;
pub(crate) mod limit;
mod mode;
pub(crate) mod tap;

pub use mode::{BatchCut, Mode, ParseModeError, ParseWaitError, Wait};
