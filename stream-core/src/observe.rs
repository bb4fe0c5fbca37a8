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

    /// Keeps the greatest number that it was ever told.
    pub(crate) fn raise(&self, n: u64) {
        self.0.fetch_max(n, Ordering::Relaxed);
    }

    pub(crate) fn sub(&self, n: usize) {
        self.0.fetch_sub(n as u64, Ordering::Relaxed);
    }
}

/// How many examples are kept of what a job counts at one operator.
const EXAMPLES_MAX: usize = 3;

/// The first examples of what an operator counts, as text, from one worker.
#[derive(Clone, Debug, Default)]
pub(crate) struct Examples {
    given: usize,
    all: Arc<Mutex<Vec<String>>>,
}

impl Examples {
    /// Keeps an example, if there are not enough; none is made otherwise.
    #[inline]
    pub(crate) fn offer(&mut self, example: impl FnOnce() -> String) {
        if self.given < EXAMPLES_MAX {
            self.given += 1;
            let mut all = lock(&self.all);
            if all.len() < EXAMPLES_MAX {
                all.push(example());
            }
        }
    }
}

/// The counters of a job, one for each (operator, name) and worker, and examples of what they count.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counters(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    counters: Mutex<ByName<Vec<Counter>>>,
    examples: Mutex<ByName<Examples>>,
}

/// By operator and name.
type ByName<V> = BTreeMap<(String, &'static str), V>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Counters {
    /// A new counter; what it counts is added to that of the others with the same names.
    pub(crate) fn counter(&self, operator: &str, name: &'static str) -> Counter {
        let counter = Counter::default();
        lock(&self.0.counters)
            .entry((operator.to_owned(), name))
            .or_default()
            .push(counter.clone());
        counter
    }

    /// What takes examples of what an operator counts; those of all workers come together.
    pub(crate) fn examples(&self, operator: &str, name: &'static str) -> Examples {
        let mut examples = lock(&self.0.examples);
        let known = examples.entry((operator.to_owned(), name)).or_default();
        known.clone()
    }

    /// The examples that were kept.
    pub(crate) fn examples_of(&self, operator: &str, name: &'static str) -> Vec<String> {
        lock(&self.examples(operator, name).all).clone()
    }

    /// The sum over all workers of one counter.
    pub(crate) fn of(&self, operator: &str, name: &'static str) -> u64 {
        let sums = self.by_operator(name);
        sums.get(operator).copied().unwrap_or(0)
    }

    /// The sums over all workers, by operator, of the counters with a name.
    pub(crate) fn by_operator(&self, name: &str) -> BTreeMap<String, u64> {
        let counters = lock(&self.0.counters);
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

    /// The greatest over all workers of one counter.
    pub(crate) fn greatest(&self, operator: &str, name: &'static str) -> u64 {
        let counters = lock(&self.0.counters);
        let all = counters.get(&(operator.to_owned(), name));
        let values = all
            .into_iter()
            .flatten()
            .map(|counter| counter.0.load(Ordering::Relaxed));
        values.max().unwrap_or(0)
    }

    /// The sum over all operators and workers of the counters with a name.
    pub(crate) fn total(&self, name: &str) -> u64 {
        self.by_operator(name).values().sum()
    }
}

/// A number with commas between its thousands.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The partition that has come least far in event time, of those that have not ended: windows wait
/// for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Slowest {
    /// What no record of it that is on time will be older than; `None` where it has given no record.
    pub time: Option<EventTime>,
    /// The input port that it belongs to.
    pub port: String,
    /// The name that its source gives it.
    pub partition: String,
}

/// How far each worker has come in event time, told only once somebody has asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watermarks(Arc<Told>);

#[derive(Debug, Default)]
struct Told {
    is_asked: AtomicBool,
    by_worker: Mutex<BTreeMap<usize, Slowest>>,
}

impl Watermarks {
    /// Whether anybody wants to know.
    pub(crate) fn is_asked(&self) -> bool {
        self.0.is_asked.load(Ordering::Relaxed)
    }

    /// Notes which of this worker's lanes windows wait for; `None` where that is not known, or nothing
    /// more will come.
    pub(crate) fn tell(&self, worker: usize, slowest: Option<Slowest>) {
        let mut told = self.told();
        match slowest {
            Some(slowest) => told.insert(worker, slowest),
            None => told.remove(&worker),
        };
    }

    /// The least of what the workers have told. It is asked for from now on, so the first answer is
    /// that nothing is known.
    pub(crate) fn least(&self) -> Option<Slowest> {
        self.0.is_asked.store(true, Ordering::Relaxed);
        self.told().values().min().cloned()
    }

    fn told(&self) -> MutexGuard<'_, BTreeMap<usize, Slowest>> {
        self.0
            .by_worker
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        let told = [0, 12, 999, 1_000, 31_106, 1_234_567].map(grouped);
        assert_eq!(told, ["0", "12", "999", "1,000", "31,106", "1,234,567"]);
    }

    #[test]
    fn the_least_watermark_counts_once_somebody_has_asked() {
        let marks = Watermarks::default();
        assert!(!marks.is_asked());
        assert_eq!(marks.least(), None);
        assert!(marks.is_asked());
        let at = |time| Slowest {
            time,
            port: "clicks".to_owned(),
            partition: "0".to_owned(),
        };
        let [five, three] = [5, 3].map(|secs| at(Some(EventTime::secs(secs))));
        marks.tell(0, Some(five.clone()));
        marks.tell(1, Some(three.clone()));
        assert_eq!(marks.least(), Some(three));
        marks.tell(1, Some(at(None)));
        assert_eq!(marks.least(), Some(at(None)));
        marks.tell(1, None);
        assert_eq!(marks.least(), Some(five));
    }
}
