//! What a job's workers and operators share while it runs: what travels on edges, the mode and its
//! epochs, what is bound to the ports, and how everything ends.

pub(crate) mod abort;
pub(crate) mod bad_records;
pub(crate) mod batch;
pub(crate) mod bindings;
pub(crate) mod discovered;
pub(crate) mod epochs;
pub(crate) mod flow;
pub(crate) mod guard;
pub(crate) mod lane;
pub(crate) mod lane_state;
pub(crate) mod local;
mod mode;
pub(crate) mod parcel;
pub(crate) mod sides;
pub(crate) mod tap;
pub(crate) mod timing;
pub(crate) mod turns;

pub(crate) use mode::Emission;
pub use mode::{BatchCut, Mode, ParseModeError, ParseWaitError, Wait};
