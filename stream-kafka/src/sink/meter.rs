//! What a sink measures of itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use stream_core::io::Reading;

use crate::client::Context;

/// What is measured of a sink in one run. Clones are one.
#[derive(Clone, Debug, Default)]
pub(super) struct Meter {
    /// What all clients of the sink tell.
    pub(super) context: Context,
    commits: Arc<Commits>,
}

#[derive(Debug, Default)]
struct Commits {
    count: AtomicU64,
    total_micros: AtomicU64,
    longest_micros: AtomicU64,
}

impl Meter {
    /// Counts a transaction that was committed, from its beginning to the answer.
    pub(super) fn count_commit(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let commits = &self.commits;
        commits.count.fetch_add(1, Ordering::Relaxed);
        commits.total_micros.fetch_add(micros, Ordering::Relaxed);
        commits.longest_micros.fetch_max(micros, Ordering::Relaxed);
    }

    pub(super) fn readings(&self, is_exactly_once: bool) -> Vec<Reading> {
        let read = |value: &AtomicU64| value.load(Ordering::Relaxed);
        let mut readings = Vec::new();
        if is_exactly_once {
            let count = read(&self.commits.count);
            let mean = read(&self.commits.total_micros) / count.max(1);
            let longest = read(&self.commits.longest_micros);
            readings.push(Reading::new("transactions", count));
            readings.push(Reading::new("mean", Duration::from_micros(mean)));
            readings.push(Reading::new("longest", Duration::from_micros(longest)));
        }
        let error = self.context.recent_error();
        readings.extend(error.map(|error| Reading::new("last error", error)));
        readings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transactions_are_told_by_their_number_their_mean_and_the_longest() {
        let meter = Meter::default();
        let told = |meter: &Meter, is_exactly_once| {
            let readings = meter.readings(is_exactly_once);
            readings.iter().map(Reading::to_string).collect::<Vec<_>>()
        };
        assert_eq!(
            told(&meter, true),
            ["transactions 0", "mean 0.0 ms", "longest 0.0 ms"]
        );
        for millis in [2, 6] {
            meter.count_commit(Duration::from_millis(millis));
        }
        assert_eq!(
            told(&meter, true),
            ["transactions 2", "mean 4.0 ms", "longest 6.0 ms"]
        );
        assert!(told(&meter, false).is_empty());
    }
}
