//! How often a job that keeps its state is started once more when it fails.

use std::time::Duration;

/// How often a job is started once more when it fails, and how long it waits before.
///
/// ```
/// use std::time::Duration;
/// use stream_core::run::Restarts;
///
/// // After 1 s, then after 2 s, 4 s and so on, at most 60 s.
/// let restarts = Restarts::attempts(5);
/// let sooner = restarts.backoff(Duration::from_millis(100));
/// # let _ = sooner;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restarts {
    pub(super) attempts: u32,
    backoff: Duration,
}

/// How long a job waits before it is started once more, at first and at most.
const BACKOFF: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(60);

impl Restarts {
    /// So often in one run; the first after a second, each other after twice the time.
    pub fn attempts(attempts: u32) -> Self {
        Restarts {
            attempts,
            backoff: BACKOFF,
        }
    }

    /// Sets the pause before the first one.
    #[must_use]
    pub fn backoff(mut self, backoff: Duration) -> Self {
        self.backoff = backoff;
        self
    }

    /// The pause after so many restarts.
    pub(super) fn pause_before(self, restarts: u32) -> Duration {
        let twice = 1_u32.checked_shl(restarts).unwrap_or(u32::MAX);
        self.backoff
            .saturating_mul(twice)
            .min(BACKOFF_MAX.max(self.backoff))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pause_is_twice_the_one_before_up_to_a_minute() {
        let restarts = Restarts::attempts(9);
        let secs = [0, 1, 5, 6, 40].map(|done| restarts.pause_before(done).as_secs());
        assert_eq!(secs, [1, 2, 32, 60, 60]);
        let rare = restarts.backoff(Duration::from_secs(300));
        assert_eq!(rare.pause_before(7).as_secs(), 300);
    }
}
