//! The thin layer over the client library, so that another one could take its place: nothing above it
//! knows librdkafka's types but errors' codes.

mod batch;
mod bounded;
mod consumer;
mod context;
pub(crate) mod explain;
mod producer;
mod queue;
mod raw;
mod send;
mod topics;

pub(crate) use self::batch::{Batch, Draft};
pub(crate) use self::consumer::{Client, Place, Topic};
pub(crate) use self::context::Context;
pub(crate) use self::producer::{Group, Marker, Producer};
pub(crate) use self::queue::{Event, Failure, Flow, Message, PartitionQueue};
pub(crate) use self::raw::TopicId;
pub(crate) use self::send::Scratch;
pub(crate) use self::topics::{NewTopic, unknown as unknown_topic};
