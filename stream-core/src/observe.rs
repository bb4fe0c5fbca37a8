//! Counters: what a running job has done so far, by operator.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

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
