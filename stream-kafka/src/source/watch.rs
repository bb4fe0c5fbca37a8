//! Looks for partitions that are added, and for topics that go.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use stream_core::Problem;
use stream_core::io::Discovery;

use super::connection::Connection;

/// In how many looks in a row a topic is away before it counts as deleted: a broker that has just
/// started may not know its topics.
const AWAY_MAX: u32 = 3;

pub(super) struct Watching {
    connection: Arc<Connection>,
    interval: Duration,
    /// In how many looks in a row a topic was away.
    away: AtomicU32,
}

impl Watching {
    pub(super) fn new(connection: Arc<Connection>, interval: Duration) -> Self {
        Watching {
            connection,
            interval,
            away: AtomicU32::new(0),
        }
    }
}

impl Discovery for Watching {
    fn interval(&self) -> Duration {
        self.interval
    }

    fn look(&self) -> Result<Vec<String>, Problem> {
        // Brokers that do not answer may come back; the readers wait for them as well.
        let Ok(look) = self.connection.look() else {
            return Ok(Vec::new());
        };
        if let Some(topic) = look.made_anew.first() {
            return Err(made_anew(topic));
        }
        match look.gone.first() {
            None => self.away.store(0, Ordering::Relaxed),
            Some(topic) if self.away.fetch_add(1, Ordering::Relaxed) + 1 >= AWAY_MAX => {
                return Err(Problem::new(format!("the topic `{topic}` is gone")).hint(
                    "it was deleted while the job read it; start afresh when there is another",
                ));
            }
            Some(_) => {}
        }
        Ok(self.connection.add(look.added))
    }
}

/// What is told of a topic whose records are others than those that were read.
pub(super) fn made_anew(topic: &str) -> Problem {
    Problem::new(format!("the topic `{topic}` was deleted and made anew"))
        .detail("its records are others than those that the job has read")
        .hint("start afresh, with a state of its own")
}
