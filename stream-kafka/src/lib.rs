//! Kafka sources and sinks for `stream-core`.

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
