//! Tests of the Kafka adapter against real brokers. They are one program, and share one cluster.

#![allow(clippy::unwrap_used, reason = "what a test cannot do without fails it")]

#[path = "../support/mod.rs"]
mod support;

mod mistakes;
mod processes;
#[cfg(feature = "ssl")]
mod secure;
mod sink_cut;
mod sink_exact;
mod sink_outage;
mod sink_records;
mod sink_recovery;
mod sink_support;
mod source_change;
mod source_goes_on;
mod source_memory;
mod source_outage;
mod source_range;
mod source_records;
mod source_support;
mod support_test;
