//! State that is written row by row, and handed over by shard once all of it is.

use serde::Serialize;

use super::hash::shard_of;
use super::{SHARDS, WriteShard};
use crate::codec::Sequence;
use crate::error::Problem;

/// What has been written of each shard.
pub(crate) struct ByShard {
    shards: Vec<Sequence>,
    /// What went wrong where it could not be told.
    failure: Option<Problem>,
}

impl Default for ByShard {
    fn default() -> Self {
        ByShard {
            shards: (0..SHARDS).map(|_| Sequence::default()).collect(),
            failure: None,
        }
    }
}

impl ByShard {
    /// Writes a row of a key with that hash, and tells how many bytes it takes.
    pub(crate) fn push<T: Serialize>(&mut self, hash: u64, row: &T) -> Result<usize, Problem> {
        self.shards[shard_of(hash, SHARDS)].push(row)
    }

    /// Writes to each shard, as one row, a value together with the rows that others have there, if any.
    pub(crate) fn push_with<T: Serialize>(&mut self, value: &T, rows: Self) -> Result<(), Problem> {
        let mut shards = self.shards.iter_mut().zip(rows.shards);
        shards.try_for_each(|(shard, rows)| shard.push_with(value, rows))
    }

    /// Keeps what went wrong until [`check`](ByShard::check); the first counts.
    pub(crate) fn fail(&mut self, problem: Problem) {
        self.failure.get_or_insert(problem);
    }

    pub(crate) fn check(&mut self) -> Result<(), Problem> {
        self.failure.take().map_or(Ok(()), Err)
    }

    /// Hands over the shards that have rows.
    pub(crate) fn finish(self, write: WriteShard<'_>) -> Result<(), Problem> {
        for (shard, rows) in self.shards.into_iter().enumerate() {
            if let Some(bytes) = rows.finish() {
                write(shard, bytes)?;
            }
        }
        Ok(())
    }
}
