//! State by shard: how a key finds its shard, how rows are kept, written and read.

#[cfg(feature = "state")]
mod at_url;
pub(crate) mod by_shard;
pub(crate) mod checkpoint;
#[cfg(feature = "state")]
mod cloud;
pub(crate) mod fingerprint;
pub(crate) mod hash;
mod log;
#[cfg(all(feature = "cli", feature = "state"))]
pub(crate) mod look;
pub(crate) mod manifest;
pub(crate) mod noted;
pub(crate) mod objects;
pub(crate) mod record;
pub(crate) mod rows;
mod sealed;
pub(crate) mod store;

pub use checkpoint::Snapshot;
pub use fingerprint::Fingerprint;
pub use store::StateStore;

use crate::error::Problem;

/// How many shards the state of a job is divided into, whatever the number of workers.
pub(crate) const SHARDS: usize = 256;

/// What takes the bytes of each shard that holds anything, one after another.
pub(crate) type WriteShard<'a> = &'a mut dyn FnMut(usize, Vec<u8>) -> Result<(), Problem>;

/// The worker that a shard lives on.
pub(crate) const fn owner(shard: usize, workers: usize) -> usize {
    shard % workers
}
