//! A place in a partition, as checkpoints keep it.

use serde::{Deserialize, Serialize};
use stream_core::Problem;
use stream_core::io::Position;

use crate::client::TopicId;

/// The offset of the record that comes next, and what tells whether the log before it is still the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct At {
    pub(super) offset: i64,
    /// Of which term of the leader the record before was, if one has been read.
    pub(super) leader_epoch: Option<i32>,
    /// Of the topic, where the brokers know one.
    pub(super) topic_id: Option<TopicId>,
}

impl At {
    pub(super) fn start(offset: i64, topic_id: Option<TopicId>) -> Self {
        At {
            offset,
            topic_id,
            leader_epoch: None,
        }
    }

    pub(super) fn position(&self) -> Result<Position, Problem> {
        Position::of(self)
    }
}
