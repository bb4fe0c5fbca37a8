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

    /// The position, for people.
    pub(super) fn told(&self) -> String {
        let offset = self.offset;
        match self.leader_epoch {
            Some(epoch) => format!("next offset {offset} (leader epoch {epoch})"),
            None => format!("next offset {offset}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use stream_core::io::{Source, SourceExt, files};

    use super::*;

    #[test]
    fn a_position_is_told_by_its_offset() {
        let source = crate::source("clicks").text();
        let source = source.or(files::csv::<String>("clicks.csv")).rate(1.0);
        let told = |at: At| source.told(&at.position().unwrap()).unwrap();
        assert_eq!(told(At::start(42, None)), "next offset 42");
        let behind = At {
            leader_epoch: Some(3),
            ..At::start(42, Some((1, 2)))
        };
        assert_eq!(told(behind), "next offset 42 (leader epoch 3)");
        assert_eq!(source.told(&Position::of("other").unwrap()), None);
    }
}
