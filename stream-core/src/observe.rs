//! Counters: what a running job has done so far, by operator.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::time::EventTime;

/// One number that one worker counts: of records once a batch, of windows as they open and close.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counter(Arc<AtomicU64>);

impl Counter {
    pub(crate) fn add(&self, n: usize) {
        if n > 0 {
            self.0.fetch_add(n as u64, Ordering::Relaxed);
        }
    }

    pub(crate) fn sub(&self, n: usize) {
        self.0.fetch_sub(n as u64, Ordering::Relaxed);
    }
}

/// The counters of a job, one for each (operator, name) and worker.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counters(Arc<Mutex<ByName>>);

/// By operator and name: the counters of all workers.
type ByName = BTreeMap<(String, &'static str), Vec<Counter>>;

impl Counters {
    /// A new counter; what it counts is added to that of the others with the same names.
    pub(crate) fn counter(&self, operator: &str, name: &'static str) -> Counter {
        let counter = Counter::default();
        let mut counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counters
            .entry((operator.to_owned(), name))
            .or_default()
            .push(counter.clone());
        counter
    }

    /// The sums over all workers, by operator, of the counters with a name.
    pub(crate) fn by_operator(&self, name: &str) -> BTreeMap<String, u64> {
        let counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = |all: &Vec<Counter>| {
            all.iter()
                .map(|counter| counter.0.load(Ordering::Relaxed))
                .fold(0, u64::wrapping_add)
        };
        let named = counters.iter().filter(|((_, other), _)| *other == name);
        named
            .map(|((operator, _), all)| (operator.clone(), sum(all)))
            .collect()
    }

    /// The sum over all operators and workers of the counters with a name.
    pub(crate) fn total(&self, name: &str) -> u64 {
        self.by_operator(name).values().sum()
    }
}

/// How far each worker has come in event time, told only once somebody has asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watermarks(Arc<Told>);

#[derive(Debug, Default)]
struct Told {
    is_asked: AtomicBool,
    by_worker: Mutex<BTreeMap<usize, EventTime>>,
}

impl Watermarks {
    /// Whether anybody wants to know.
    pub(crate) fn is_asked(&self) -> bool {
        self.0.is_asked.load(Ordering::Relaxed)
    }

    /// Notes what no record on time of this worker's lanes will be older than; `None` where that is
    /// not known, or nothing more will come.
    pub(crate) fn tell(&self, worker: usize, time: Option<EventTime>) {
        let mut told = self.told();
        match time {
            Some(time) => told.insert(worker, time),
            None => told.remove(&worker),
        };
    }

    /// The least of what the workers have told. It is asked for from now on, so the first answer is
    /// that nothing is known.
    #[cfg(feature = "cli")]
    pub(crate) fn least(&self) -> Option<EventTime> {
        self.0.is_asked.store(true, Ordering::Relaxed);
        self.told().values().min().copied()
    }

    fn told(&self) -> MutexGuard<'_, BTreeMap<usize, EventTime>> {
        self.0
            .by_worker
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(all(test, feature = "cli"))]
mod tests {
    use super::*;

    #[test]
    fn the_least_watermark_counts_once_somebody_has_asked() {
        let marks = Watermarks::default();
        assert!(!marks.is_asked());
        assert_eq!(marks.least(), None);
        assert!(marks.is_asked());
        marks.tell(0, Some(EventTime::secs(5)));
        marks.tell(1, Some(EventTime::secs(3)));
        assert_eq!(marks.least(), Some(EventTime::secs(3)));
        marks.tell(1, None);
        assert_eq!(marks.least(), Some(EventTime::secs(5)));
    }
}
