//! State by shard: how a key finds its shard, and how shards are written and read.

pub(crate) mod hash;
