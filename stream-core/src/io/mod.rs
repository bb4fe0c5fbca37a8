//! Where records come from and where they go: the contracts [`Source`] and [`Sink`], and the
//! connectors that this crate brings.
//!
//! A source is a number of partitions, each an ordered sequence that can be read again from a
//! [`Position`]. A sink is a writer on each worker, whose work counts only when the whole job has
//! succeeded. Every implementation passes the same tests: [`crate::testing::contract`].

mod bad;
mod sink;
mod source;

pub use bad::{BadRecord, BadRecords};
pub use sink::{Sink, SinkInfo, Writer};
pub use source::{
    Boundedness, Chunk, Opening, Position, ReadStatus, Reader, Source, SourceInfo, Waker,
};
