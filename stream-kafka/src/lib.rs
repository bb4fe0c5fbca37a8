//! Kafka sources and sinks for [`stream_core`].
//!
//! ```no_run
//! use serde::{Deserialize, Serialize};
//! use stream_core::prelude::*;
//! use stream_core::run::StateStore;
//! use stream_kafka as kafka;
//!
//! #[derive(Clone, Serialize, Deserialize)]
//! struct Order { customer: String, cents: u64 }
//!
//! #[pipeline]
//! fn large(orders: Stream<Order>) -> Stream<Order> {
//!     let large = orders.filter(|order| order.cents >= 100_000);
//!     large
//! }
//!
//! let large_orders = kafka::sink("large-orders").exactly_once("large-orders-job").json();
//! large::job()
//!     .orders(kafka::source("orders").json())
//!     .large(large_orders.key(|order: &Order| order.customer.clone()))
//!     .state(StateStore::folder("state")?)
//!     .run(Mode::PerRecord)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | | at least once | exactly once |
//! |---|---|---|
//! | [source] | – | positions belong to the job's checkpoints; records of transactions that were given up are not seen |
//! | [sink], unless told | an idempotent producer; what a crash leaves behind the last checkpoint comes again | – |
//! | sink with [`exactly_once`](KafkaSink::exactly_once) | – | a transaction a checkpoint, with the checkpoint's number inside |
//!
//! Nothing of that depends on the mode. `docs/KAFKA.md` leads from an empty machine to a running pipeline,
//! and says what happens when something goes wrong.

mod client;
mod config;
mod line;
mod or;
mod sink;
mod source;

pub use self::config::{Cluster, Profile, Sasl, Secret};
pub use self::or::KafkaOr;
pub use self::sink::{Encode, KafkaSink, NoFormat, OutgoingRecord, sink};
pub use self::source::{
    Bytes, Csv, Decode, DecodeError, End, Function, Headers, Json, KafkaSource, LostRecords,
    Record, RecordRef, Start, Text, Topics, Whole, source,
};

#[doc = include_str!("../../docs/KAFKA.md")]
#[cfg(doctest)]
pub struct Guide;
