//! Making topics, and saying that one is missing.

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic as Wanted, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::types::RDKafkaErrorCode;
use stream_core::Problem;

use super::explain;
use crate::config::ClientSettings;

/// A topic that is made where it is missing.
#[derive(Clone, Debug)]
pub(crate) struct NewTopic {
    pub(crate) partitions: u32,
    pub(crate) replicas: u16,
    /// By the names that brokers know.
    pub(crate) config: Vec<(String, String)>,
}

/// Makes a topic; one that somebody else has made meanwhile is as good.
pub(crate) fn make(config: &ClientSettings, topic: &str, new: &NewTopic) -> Result<(), Problem> {
    let failed = || Problem::new(format!("cannot make the topic `{topic}`"));
    let admin: AdminClient<_> = config
        .create(DefaultClientContext)
        .map_err(|error| explain::because_error(failed(), &error, None))?;
    let (partitions, replicas) = (i32::try_from(new.partitions), i32::from(new.replicas));
    let partitions = partitions.map_err(|error| failed().because(error))?;
    let mut wanted = Wanted::new(topic, partitions, TopicReplication::Fixed(replicas));
    for (name, value) in &new.config {
        wanted = wanted.set(name, value);
    }
    let made = pollster::block_on(admin.create_topics([&wanted], &AdminOptions::new()));
    match made.map(|mut topics| topics.pop()) {
        Ok(Some(Ok(_)) | None) | Ok(Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists)))) => Ok(()),
        Ok(Some(Err((_, code)))) => Err(explain::because(failed(), &code.to_string())),
        Err(error) => Err(explain::because_error(failed(), &error, None)),
    }
}

/// Says that there is no such topic.
pub(crate) fn unknown(topic: &str, instead: &str) -> Problem {
    Problem::new(format!("there is no topic `{topic}`")).hint(format!(
        "check its name and the cluster, or {instead} (here: `dev/kafka topics --create --topic {topic} \
         --partitions 4`)"
    ))
}
