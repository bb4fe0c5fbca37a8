//! Records that an operator keeps in the order of event time.

use std::cmp::Ordering;
use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::operator::pop_front_if;
use crate::codec;
use crate::graph::Record;
use crate::time::EventTime;

/// Records in the order of time, those of one time as they came.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct ByTime<T>(VecDeque<(EventTime, T)>);

impl<T> Default for ByTime<T> {
    fn default() -> Self {
        ByTime(VecDeque::new())
    }
}

/// All that is asked is whether there are any.
impl<T> PartialEq for ByTime<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0.is_empty() && other.0.is_empty()
    }
}

impl<T> ByTime<T> {
    /// The time of the first record, or of the one at this place.
    pub(super) fn time(&self, place: usize) -> Option<EventTime> {
        self.0.get(place).map(|(time, _)| *time)
    }

    pub(super) fn insert(&mut self, time: EventTime, record: T) {
        let place = self.0.partition_point(|(other, _)| *other <= time);
        self.0.insert(place, (time, record));
    }

    /// Takes the first record, if its time is one of these.
    pub(super) fn pop_if(
        &mut self,
        is_meant: impl FnOnce(EventTime) -> bool,
    ) -> Option<(EventTime, T)> {
        pop_front_if(&mut self.0, |(time, _)| is_meant(*time))
    }

    /// The records from a time to another, both included.
    pub(super) fn between(
        &mut self,
        from: EventTime,
        to: EventTime,
    ) -> impl Iterator<Item = &mut (EventTime, T)> {
        let begin = self.0.partition_point(|(time, _)| *time < from);
        let end = self.0.partition_point(|(time, _)| *time <= to);
        self.0.range_mut(begin..end.max(begin))
    }

    /// The last record at a time or before it.
    pub(super) fn last_until(&self, time: EventTime) -> Option<&(EventTime, T)> {
        let end = self.0.partition_point(|(other, _)| *other <= time);
        self.0.get(end.checked_sub(1)?)
    }

    /// Forgets what lies before the last record that is older than this.
    pub(super) fn forget_before_last(&mut self, until: EventTime) {
        let older = self.0.partition_point(|(time, _)| *time < until);
        self.0.drain(..older.saturating_sub(1));
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl<T: Record> ByTime<T> {
    /// Keeps one record a time: of two the one whose encoding is less, or greater, than the other's.
    pub(super) fn insert_one(&mut self, time: EventTime, record: T, wanted: Ordering) {
        let place = self.0.partition_point(|(other, _)| *other < time);
        match self.0.get_mut(place) {
            Some((other, kept)) if *other == time => {
                let [new, old] = [&record, &*kept].map(|record| codec::encode(record).ok());
                if new.cmp(&old) == wanted {
                    *kept = record;
                }
            }
            _ => self.0.insert(place, (time, record)),
        }
    }
}
