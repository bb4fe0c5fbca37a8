//! Where records come from and where they go: the contracts [`Source`] and [`Sink`], and the
//! connectors that this crate brings.
//!
//! A source is a number of partitions, each an ordered sequence that can be read again from a
//! [`Position`]. A sink is a writer on each worker, whose work counts only when the whole job has
//! succeeded. Every implementation passes the same tests: [`crate::testing::contract`].

mod bad;
mod canonical;
mod channel;
mod collect;
#[cfg(feature = "files")]
pub mod files;
mod log;
mod memory;
mod pace;
mod place;
mod reading;
mod revise;
mod sink;
mod source;
mod source_ext;
#[cfg(feature = "files")]
pub mod stdout;
#[cfg(feature = "files")]
mod text;
pub mod threaded;
mod wake;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use bad::BadRecords;
pub use canonical::{Canonical, Comparable, canonical, comparable};
pub use channel::{ChannelSink, ChannelSource, Sender, channel, to_channel};
pub use collect::{Collect, Discard, Rows, collect, discard};
pub use log::{LogSink, MemoryLog};
pub use memory::{Partitions, partitions, vec};
pub use pace::{Rate, Replay};
pub use place::Place;
pub use reading::{Measure, Reading};
pub use revise::{At, Revised, Revision, Spoolable, at, spoolable};
pub use sink::{Commit, Sink, SinkInfo, Slot, Staged, Watch, Wish, Writer};
pub(crate) use source::Planned;
pub use source::{
    Boundedness, Chunk, Discovery, Opening, Position, ReadStatus, Reader, Source, SourceInfo, Waker,
};
pub use source_ext::{SourceExt, WithBadRecords};

pub use crate::error::BadRecord;

/// Locks what connectors share. A panic elsewhere while it was held is no reason to panic here:
/// no connector leaves its state half changed.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
