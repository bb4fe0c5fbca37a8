//! Tests of the Kafka adapter against real brokers. They are one program, and share one cluster.

#![allow(clippy::unwrap_used, reason = "what a test cannot do without fails it")]

#[path = "../support/mod.rs"]
mod support;

mod support_test;
