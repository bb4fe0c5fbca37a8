//! What the tests of the Kafka adapter stand on: a real cluster, topics in it, observers that are
//! not the adapter, and a network that fails when told to.
//!
//! A test begins with `let Some(kafka) = Cluster::shared() else { return };` and makes topics of its
//! own, so that all tests of a process can use one cluster at once. Where Java or Maven are missing,
//! the tests are skipped, and that is said.

#![allow(dead_code, reason = "what is here is for tests to come as well")]

mod cluster;
mod console;
mod proxy;
mod topic;

pub(crate) use cluster::Cluster;
pub(crate) use proxy::{Catch, Proxy};
pub(crate) use topic::{Record, Stored, Topic};
