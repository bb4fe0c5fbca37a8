//! Records that an operator keeps in the order of event time.

use std::cmp::Ordering;
use std::collections::VecDeque;

use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::codec;
use crate::graph::Record;
use crate::time::EventTime;

/// Records in the order of time, those of one time as they came. Most keys have none or one, which lies here; all
/// others lie apart.
#[derive(Clone)]
pub(crate) struct ByTime<T> {
    first: Option<(EventTime, T)>,
    /// Those behind the first. Their room is kept.
    others: Option<Box<Others<T>>>,
}

type Others<T> = VecDeque<(EventTime, T)>;

impl<T> Default for ByTime<T> {
    fn default() -> Self {
        ByTime {
            first: None,
            others: None,
        }
    }
}

/// All that is asked is whether there are any.
impl<T> PartialEq for ByTime<T> {
    fn eq(&self, other: &Self) -> bool {
        self.first.is_none() && other.first.is_none()
    }
}

impl<T> ByTime<T> {
    /// The time of the first record, or of the one at this place.
    #[inline]
    pub(super) fn time(&self, place: usize) -> Option<EventTime> {
        let record = match place.checked_sub(1) {
            None => self.first.as_ref(),
            Some(place) => self.others.as_ref().and_then(|others| others.get(place)),
        };
        record.map(|(time, _)| *time)
    }

    /// The time of the last record.
    pub(super) fn last_time(&self) -> Option<EventTime> {
        let last = self.others.as_ref().and_then(|others| others.back());
        last.or(self.first.as_ref()).map(|(time, _)| *time)
    }

    #[inline]
    pub(super) fn insert(&mut self, time: EventTime, record: T) {
        match &self.first {
            None => self.first = Some((time, record)),
            Some(_) => self.insert_other(time, record),
        }
    }

    fn insert_other(&mut self, time: EventTime, record: T) {
        let others = self.others.get_or_insert_default();
        if let Some(first) = self.first.take_if(|(first, _)| time < *first) {
            others.push_front(first);
            self.first = Some((time, record));
        } else {
            let place = end_of(others, |other| other <= time);
            others.insert(place, (time, record));
        }
    }

    /// Takes the first record, if its time is one of these.
    #[inline]
    pub(super) fn pop_if(
        &mut self,
        is_meant: impl FnOnce(EventTime) -> bool,
    ) -> Option<(EventTime, T)> {
        let first = self.first.take_if(|(time, _)| is_meant(*time))?;
        self.first = self.others.as_mut().and_then(|others| others.pop_front());
        Some(first)
    }

    /// The records from a time to another, both included.
    pub(super) fn between(
        &mut self,
        from: EventTime,
        to: EventTime,
    ) -> impl Iterator<Item = &mut (EventTime, T)> {
        let first = self.first.iter_mut();
        let first = first.filter(move |(time, _)| (from..=to).contains(time));
        let others = self.others.iter_mut().flat_map(move |others| {
            let begin = end_of(others, |time| time < from);
            let end = end_of(others, |time| time <= to);
            others.range_mut(begin..end.max(begin))
        });
        first.chain(others)
    }

    /// The last record at a time or before it.
    #[inline]
    pub(super) fn last_until(&mut self, time: EventTime) -> Option<&mut (EventTime, T)> {
        let last = self.others.as_mut().and_then(|others| {
            let end = end_of(others, |other| other <= time);
            others.get_mut(end.checked_sub(1)?)
        });
        last.or(self.first.as_mut().filter(|(first, _)| *first <= time))
    }

    /// Forgets what lies before the last record that is older than this.
    pub(super) fn forget_before_last(&mut self, until: EventTime) {
        while self.time(1).is_some_and(|second| second < until) {
            self.pop_if(|_| true);
        }
    }

    pub(super) fn len(&self) -> usize {
        let others = self.others.as_ref().map_or(0, |others| others.len());
        usize::from(self.first.is_some()) + others
    }
}

/// Among how many of the last records a place is looked for one by one: most come nearly in the order of time.
const NEAR: usize = 4;

/// The place behind the first of some that lie in the order of time, those whose times are among these.
#[inline]
pub(super) fn end_of<T>(
    records: &VecDeque<(EventTime, T)>,
    is_in: impl Fn(EventTime) -> bool,
) -> usize {
    let mut last = records.iter().rev().take(NEAR);
    match last.position(|(time, _)| is_in(*time)) {
        Some(behind) => records.len() - behind,
        None if records.len() <= NEAR => 0,
        None => records.partition_point(|(time, _)| is_in(*time)),
    }
}

impl<T: Record> ByTime<T> {
    /// Keeps one record a time: of two the one whose encoding is less, or greater, than the other's.
    pub(super) fn insert_one(&mut self, time: EventTime, record: T, wanted: Ordering) {
        match self.last_until(time) {
            Some((other, kept)) if *other == time => {
                let [new, old] = [&record, &*kept].map(|record| codec::encode(record).ok());
                if new.cmp(&old) == wanted {
                    *kept = record;
                }
            }
            _ => self.insert(time, record),
        }
    }
}

/// It is written as a sequence.
impl<T: Serialize> Serialize for ByTime<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut records = serializer.serialize_seq(Some(self.len()))?;
        let others = self.others.iter().flat_map(|others| others.iter());
        for record in self.first.iter().chain(others) {
            records.serialize_element(record)?;
        }
        records.end()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for ByTime<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut others = Others::deserialize(deserializer)?;
        Ok(ByTime {
            first: others.pop_front(),
            others: (!others.is_empty()).then(|| Box::new(others)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against a vector that is searched from end to end.
    #[test]
    fn it_is_as_a_naive_list_says() {
        for seed in 0..400 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let mut records = ByTime::<u32>::default();
            let mut oracle = Vec::<(EventTime, u32)>::new();
            for number in 0..60 {
                let mut some_time = || EventTime::micros(rng.i64(-6..6));
                let [time, other] = [some_time(), some_time()];
                match rng.u8(0..6) {
                    0 | 1 => {
                        records.insert(time, number);
                        oracle.push((time, number));
                        oracle.sort_by_key(|(time, _)| *time); // stable
                    }
                    2 => {
                        let [less, greater] = [time.min(other), time.max(other)];
                        let found: Vec<_> = records.between(less, greater).map(|r| *r).collect();
                        let is_between = |r: &&(EventTime, u32)| less <= r.0 && r.0 <= greater;
                        let expected: Vec<_> = oracle.iter().filter(is_between).copied().collect();
                        assert_eq!(found, expected, "seed {seed}");
                    }
                    3 => {
                        let first = oracle.first().copied().filter(|r| r.0 < time);
                        assert_eq!(records.pop_if(|t| t < time), first, "seed {seed}");
                        oracle.drain(..usize::from(first.is_some()));
                    }
                    4 => {
                        records.insert_one(time, number, Ordering::Greater);
                        match oracle.iter_mut().rev().find(|r| r.0 == time) {
                            Some(kept) => kept.1 = number,
                            None => oracle.push((time, number)),
                        }
                        oracle.sort_by_key(|(time, _)| *time);
                    }
                    _ => {
                        records.forget_before_last(time);
                        let older = oracle.iter().filter(|r| r.0 < time).count();
                        oracle.drain(..older.saturating_sub(1));
                    }
                }
                let last = oracle.iter().rev().find(|r| r.0 <= other).copied();
                let found = records.last_until(other).copied();
                assert_eq!(found, last, "seed {seed}");
                let times: Vec<_> = (0..).map_while(|place| records.time(place)).collect();
                assert_eq!(times, oracle.iter().map(|r| r.0).collect::<Vec<_>>());
                assert_eq!(records.last_time(), times.last().copied());
                let bytes = codec::encode(&records).unwrap();
                assert_eq!(bytes, codec::encode(&oracle).unwrap(), "seed {seed}");
                records = codec::decode(&bytes).unwrap();
            }
        }
    }
}
