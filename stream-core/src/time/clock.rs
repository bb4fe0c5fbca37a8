//! The one clock: everything that reads the machine's time asks it, so that tests can drive it by
//! hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::EventTime;

/// The time of a job: how long it has run, and what the wall clock says.
///
/// ```
/// use std::time::Duration;
/// use stream_core::time::Clock;
///
/// let clock = Clock::by_hand();
/// clock.advance(Duration::from_secs(5));
/// assert_eq!(clock.elapsed(), Duration::from_secs(5));
/// ```
#[derive(Clone, Debug)]
pub struct Clock(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Machine {
        start: Instant,
    },
    Hand {
        micros: Arc<AtomicU64>,
        /// How far the wall clock was set back.
        back: Arc<AtomicU64>,
    },
}

impl Clock {
    /// The machine's clock, started now.
    pub fn machine() -> Self {
        Clock(Kind::Machine {
            start: Instant::now(),
        })
    }

    /// A clock that stands still until [`advance`](Clock::advance) moves it. Clones move together.
    /// Its wall clock starts at 2100-01-01, so that no record of a test is ahead of it. It is nobody's
    /// date, and no record is too old for it.
    pub fn by_hand() -> Self {
        Clock(Kind::Hand {
            micros: Arc::default(),
            back: Arc::default(),
        })
    }

    /// The time since the clock was started.
    pub fn elapsed(&self) -> Duration {
        match &self.0 {
            Kind::Machine { start } => start.elapsed(),
            Kind::Hand { micros, .. } => Duration::from_micros(micros.load(Ordering::Relaxed)),
        }
    }

    /// Moves a clock that is driven by hand; the machine's clock is left alone.
    pub fn advance(&self, by: Duration) {
        if let Kind::Hand { micros, .. } = &self.0 {
            micros.fetch_add(by.as_micros() as u64, Ordering::Relaxed);
        }
    }

    /// Sets the wall clock of a clock that is driven by hand back, as a machine's is that had gone wrong;
    /// [`elapsed`](Clock::elapsed) only ever grows.
    pub fn set_back(&self, by: Duration) {
        if let Kind::Hand { back, .. } = &self.0 {
            back.fetch_add(by.as_micros() as u64, Ordering::Relaxed);
        }
    }

    /// What the wall clock says.
    pub(crate) fn wall(&self) -> EventTime {
        let since_1970 = match &self.0 {
            Kind::Machine { .. } => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default(),
            Kind::Hand { back, .. } => (Duration::from_secs(4_102_444_800) + self.elapsed())
                .saturating_sub(Duration::from_micros(back.load(Ordering::Relaxed))),
        };
        EventTime::micros(i64::try_from(since_1970.as_micros()).unwrap_or(i64::MAX))
    }

    /// Whether the wall clock tells the date, so that old times can be told from wrong ones.
    pub(crate) fn knows_the_date(&self) -> bool {
        matches!(self.0, Kind::Machine { .. })
    }

    /// Whether waiting on the machine moves this clock.
    pub(crate) fn runs_by_itself(&self) -> bool {
        matches!(self.0, Kind::Machine { .. })
    }
}
