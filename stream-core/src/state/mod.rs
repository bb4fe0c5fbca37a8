//! State by shard: how a key finds its shard, how shards are kept, written and read.

pub(crate) mod codec;
pub(crate) mod hash;
pub(crate) mod snapshot;

pub use snapshot::Snapshot;

/// How many shards the state of a job is divided into, whatever the number of workers.
pub(crate) const SHARDS: usize = 256;

/// The worker that a shard lives on.
pub(crate) const fn owner(shard: usize, workers: usize) -> usize {
    shard % workers
}
