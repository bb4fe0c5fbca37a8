//! Kafka sources and sinks for `stream-core`.
//!
//! This crate has no items yet. Pipelines read and write today what `stream-core` itself offers.
//!
//! # What it will be
//!
//! A source and a sink, as implementations of the source and sink contracts of `stream-core`. They
//! are in a crate of their own because the client library is heavy to build, and no Kafka type
//! appears in `stream-core`.
//!
//! - The source reads the partitions of a topic, each as one lane: one ordered sequence of
//!   records. Positions belong to the job's checkpoints; those of a consumer group are not used.
//!   It will have a policy, with a safe default, for what can happen to a topic: partitions that
//!   are added, a topic that is made anew, a log that is truncated, a range that is lost, a record
//!   that cannot be decoded.
//! - The sink writes with one of two guarantees. *At least once*: records leave as soon as they
//!   are made. *Exactly once*: the records of a checkpoint leave in one transaction, together with
//!   a marker that names the checkpoint, so that a restart can tell what was written.
//!
//! # What it leaves out
//!
//! Group membership and rebalancing: which worker reads a partition is the job's decision.
