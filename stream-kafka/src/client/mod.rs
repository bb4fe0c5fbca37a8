//! The thin layer over the client library, so that another one could take its place: nothing above it
//! knows librdkafka's types but errors' codes.

mod consumer;
mod context;
pub(crate) mod explain;
mod queue;
mod raw;

pub(crate) use self::consumer::{Client, Place, Topic};
pub(crate) use self::queue::{Event, Failure, Flow, Message, PartitionQueue};
pub(crate) use self::raw::TopicId;
