//! An operator that is driven by hand in a unit test, whose state can be looked at.

use super::KeyedOperator;
use super::logic::{Counts, Own};
use crate::observe::Counters;
use crate::ops::keyed::{Emit, Logic};
use crate::time::EventTime;

pub(in crate::ops) struct Driven<O: KeyedOperator> {
    own: Own<O>,
    state: <Own<O> as Logic>::State,
    counters: Counters,
}

type Emitted<O> = Vec<(i64, <O as KeyedOperator>::Out)>;

impl<O: KeyedOperator> Driven<O> {
    pub(in crate::ops) fn new(operator: O) -> Self {
        let counters = Counters::default();
        let counts = Counts::of(&counters, "operator");
        let own = Own::new(operator, false, counts);
        Driven {
            state: own.empty(),
            own,
            counters,
        }
    }

    /// Hands over a record of a time, in microseconds.
    pub(in crate::ops) fn take(&mut self, time: i64, key: O::Key, record: O::In) -> Emitted<O> {
        let mut records = [(EventTime::micros(time), key, record)].into_iter();
        self.emitted(|own, state, emit| {
            own.fold_all(state, records.by_ref(), emit);
            false
        })
    }

    /// Applies a watermark.
    pub(in crate::ops) fn advance(&mut self, watermark: EventTime) -> Emitted<O> {
        self.own.begin_advance(watermark);
        self.emitted(Logic::advance)
    }

    fn emitted(
        &mut self,
        mut work: impl FnMut(&mut Own<O>, &mut <Own<O> as Logic>::State, &mut Emit<Own<O>>) -> bool,
    ) -> Emitted<O> {
        let mut emit = Emit::new(false);
        while work(&mut self.own, &mut self.state, &mut emit) {}
        let rows = emit.records.into_iter();
        rows.map(|(time, row)| (time.as_micros(), row)).collect()
    }

    /// How many keys have a row.
    pub(in crate::ops) fn keys(&self) -> u64 {
        self.counters.total("keys")
    }

    /// The state of a key that has a row.
    pub(in crate::ops) fn state(&self, key: &O::Key) -> Option<&O::State> {
        let mut rows = self.state.rows.iter();
        let (_, row) = rows.find(|(other, _)| other == key)?;
        Some(row.state())
    }

    /// How many timers a key has.
    pub(in crate::ops) fn timers(&self, key: &O::Key) -> usize {
        let mut rows = self.state.rows.iter();
        let row = rows.find(|(other, _)| other == key);
        row.map_or(0, |(_, row)| row.timers())
    }
}
