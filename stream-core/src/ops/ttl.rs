//! `ttl`: a key is forgotten after a silence, for all that would keep it for good.
//!
//! Definition. The records of a key are taken in the order in which they come. One that lies the time to live or
//! more behind the last one by event time finds nothing of its key. A table loses the row of a key when the
//! watermark has come so far behind the key's last record.
//!
//! Which records find something depends on their order, so what comes of it is the same in every mode behind
//! `in_order`, and else if each key lives in one lane.

use std::marker::PhantomData;

use super::expiry::{self, Expire, Out, Row, Told};
use super::window::Fold;
use crate::error::Problem;
use crate::graph::handles::Ttl;
use crate::graph::node::Port;
use crate::graph::{
    Change, EventTimed, Expiring, Key, Keyed, Kind, Lasting, NodeSpec, Record, Stamp,
};
use crate::time::{EventTime, Gap};

impl<Q: 'static, T: 'static, K: Kind> Keyed<Q, T, K> {
    /// Forgets a key when none of its records has come for so long in event time. It stands right in front of what
    /// would keep all keys for good: `count`, `fold`, `aggregate` and the short forms of it, `table`, `scan`,
    /// `count_windows`; and in front of the stream that [`as_of_join`](Keyed::as_of_join) looks records up in.
    ///
    /// A record that lies `ttl` or more behind the last one of its key begins anew, as the first one of a session
    /// with that gap does. A table loses the row of a key when the watermark is `ttl` behind its last record. The end
    /// of input is no time: the rows stay that were there when the lane that came furthest had said its last.
    ///
    /// What comes of it is the same in every mode behind [`in_order`](Keyed::in_order), and else if each key lives in
    /// one lane. The time to live is a [`Gap`] or a [`Duration`](std::time::Duration); 0 is refused when the job
    /// starts. A job may go on from its state with another one, but not from state that was kept without; only `global` and
    /// `as_of_join` do, and keep what they have of a key until its next record comes.
    ///
    /// ```
    /// use stream_core::prelude::*;
    ///
    /// /// How often each user has clicked since the last silence of half an hour. Who has gone has no row.
    /// #[pipeline]
    /// fn active(clicks: Stream<(i64, u32)>) -> Table<u32, u64> {
    ///     let (timed, late) = clicks.event_time(|click| EventTime::secs(click.0 * 60), Lateness::mins(1));
    ///     late.discard();
    ///     let active = timed.key_by(|click| click.1).ttl(Gap::mins(30)).count();
    ///     active
    /// }
    ///
    /// let clicks = [(0, 7), (0, 8), (20, 7), (29, 8), (60, 7), (61, 7)];
    /// assert_eq!(active::test().clicks(clicks).rows().active, [Entry { key: 7, value: 2 }]);
    /// ```
    pub fn ttl(self, ttl: impl Into<Gap>) -> Keyed<Q, T, Expiring<K>>
    where
        K: EventTimed + Lasting,
    {
        let gap = ttl.into();
        if gap.as_micros() == 0 {
            self.port.problem(
                Problem::new("a `ttl` is 0")
                    .detail("every record would find its key forgotten")
                    .hint("give it the silence after which a key is forgotten: `Gap::days(30)`"),
            );
        }
        Keyed {
            port: self.port,
            ttl: Some(Ttl {
                gap,
                time: |time| time,
            }),
        }
    }
}

impl<S: Stamp> Ttl<S> {
    /// The time of a record, and the one from which on its key is forgotten, if no other comes.
    #[inline]
    pub(super) fn times(&self, at: S) -> (EventTime, EventTime) {
        let time = (self.time)(at);
        (time, time.plus(self.gap.as_micros().max(1)))
    }

    /// Adds a stage that forgets.
    pub(super) fn stage<T: 'static, E: Expire<At = S>>(
        self,
        input: Port<S, (E::Key, T)>,
        spec: NodeSpec,
        project: impl Fn(T) -> E::In + 'static,
        expire: E,
    ) -> Port<E::Stamp, E::Out> {
        let graph = input.graph().clone();
        let spec = spec
            .with("ttl", self.gap)
            .keeps::<E::Key, Row<E::State>>()
            .exchanged();
        let render = expiry::Rendering {
            input,
            project,
            length: self.gap.as_micros(),
            expire,
        };
        graph.add(spec, Box::new(render))
    }
}

/// The values of a table.
pub(super) struct Values<S, Q, P, A, F, V> {
    pub(super) ttl: Ttl<S>,
    pub(super) fold: F,
    /// What the table has of a key; none if it has been deleted.
    pub(super) value: V,
    pub(super) is_there: fn(&A) -> bool,
    pub(super) records: PhantomData<fn(Q, P)>,
}

impl<S, Q, P, A, F, V, W> Expire for Values<S, Q, P, A, F, V>
where
    S: Stamp,
    Q: Key,
    P: Record,
    A: Record,
    F: Fold<P, A>,
    V: Fn(&Q, &A) -> Option<W> + 'static,
    W: 'static,
{
    type At = S;
    type Key = Q;
    type In = P;
    type State = A;
    type Stamp = ();
    type Out = Change<Q, W>;

    const IS_TABLE: bool = true;

    #[inline]
    fn times(&self, at: S, _: &P) -> (EventTime, EventTime) {
        self.ttl.times(at)
    }

    fn start(&self, _: &Q, _: S, record: P, _: &mut Out<Self>) -> A {
        self.fold.start(record)
    }

    #[inline]
    fn extend(&self, _: &Q, state: &mut A, _: S, record: P, _: &mut Out<Self>) -> bool {
        self.fold.extend(state, record)
    }

    fn is_there(&self, state: &A) -> bool {
        (self.is_there)(state)
    }

    fn tell(&self, key: &Q, state: &mut A, out: &mut Out<Self>) {
        let value = (self.value)(key, state);
        let key = key.clone();
        out.push(((), Change { key, value }));
    }

    fn tell_last(&self, key: &Q, _: &mut A, told: Told, out: &mut Out<Self>) {
        if told != Told::Nothing {
            let (key, value) = (key.clone(), None);
            out.push(((), Change { key, value }));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::operator::logic::Counts;
    use super::super::window::{Functions, counting};
    use super::*;
    use crate::engine::Emission;
    use crate::observe::Counters;
    use crate::ops::expiry::tests::{Step, drive};
    use crate::ops::keyed::{Emit, Logic};

    type Rows = Vec<(i64, Option<u64>)>;

    /// Counts one record a microsecond, each of a key of its own, with the watermark at their heels and batches of a
    /// hundred. Gives how many keys are kept then, and what is told by the end.
    fn count(emission: Emission) -> (u64, Rows) {
        let counters = Counters::default();
        let counts = Counts::of(&counters, "count");
        let values = Values {
            ttl: Ttl {
                gap: Gap::micros(20),
                time: |time: EventTime| time,
            },
            fold: counting(),
            value: |_: &i64, count: &u64| Some(*count),
            is_there: |_| true,
            records: PhantomData,
        };
        let mut logic = expiry::logic(values, emission, counts, 20);
        let mut state = logic.empty();
        let mut emit = Emit::new(false);
        for n in 0..10_000 {
            let time = EventTime::micros(n);
            logic.fold_all(&mut state, [(time, n, ())].into_iter(), &mut emit);
            logic.begin_advance(time);
            while logic.advance(&mut state, &mut emit) {}
            if n % 100 == 99 {
                while logic.close(&mut state, &mut emit) {}
            }
        }
        let kept = counters.total("keys");
        if emission == Emission::End {
            while logic.emit_all(&mut state, &mut emit) {}
        }
        let rows = emit.records.into_iter();
        (kept, rows.map(|((), row)| (row.key, row.value)).collect())
    }

    #[test]
    fn what_is_there_is_what_lives_and_what_goes_is_told_once() {
        let gone = |last: i64| (0..last).map(|n| (n, None));
        let (kept, rows) = count(Emission::AtOnce);
        assert_eq!(kept, 20);
        let mut expected: Rows = (0..10_000)
            .map(|n| (n, Some(1)))
            .chain(gone(9_980))
            .collect();
        expected.sort_by_key(|row| row.0);
        let mut sorted = rows.clone();
        sorted.sort_by_key(|row| row.0);
        assert_eq!(sorted, expected);
        // What comes and goes within a batch is told of to nobody.
        let (kept, rows) = count(Emission::BatchClose);
        assert_eq!(kept, 20);
        let told: Vec<i64> = rows
            .iter()
            .filter(|row| row.1.is_some())
            .map(|row| row.0)
            .collect();
        let untold: Vec<i64> = rows
            .iter()
            .filter(|row| row.1.is_none())
            .map(|row| row.0)
            .collect();
        assert!(told.iter().all(|n| n % 100 >= 80), "{told:?}");
        assert_eq!(told.len(), 2_000);
        assert_eq!(told.iter().filter(|n| **n < 9_980).count(), untold.len());
        let (kept, rows) = count(Emission::End);
        assert_eq!(kept, 20);
        let mut living: Rows = (9_980..10_000).map(|n| (n, Some(1))).collect();
        living.reverse();
        let mut rows = rows;
        rows.sort_by_key(|row| -row.0);
        assert_eq!(rows, living);
    }

    /// A row that was told, and that is deleted and forgotten before its batch closes, is told to be gone.
    #[test]
    fn a_row_that_is_deleted_and_forgotten_in_one_batch_is_told_to_be_gone() {
        let counters = Counters::default();
        let counts = Counts::of(&counters, "table");
        let values = Values {
            ttl: Ttl {
                gap: Gap::micros(20),
                time: |time: EventTime| time,
            },
            fold: Functions {
                init: || None,
                step: |last: &mut Option<u64>, value| *last = value,
                merge: |last: &mut Option<u64>, later| *last = later,
            },
            value: |_: &i64, last: &Option<u64>| *last,
            is_there: Option::is_some,
            records: PhantomData,
        };
        let mut logic = expiry::logic(values, Emission::BatchClose, counts, 20);
        let mut state = logic.empty();
        let mut emit = Emit::new(false);
        let at = EventTime::micros;
        // The second key is deleted in the batch in which it came: nobody has heard of it.
        logic.fold_all(&mut state, [(at(0), 1, Some(5))].into_iter(), &mut emit);
        while logic.close(&mut state, &mut emit) {}
        let deleted = [(at(1), 1, None), (at(1), 2, Some(6)), (at(2), 2, None)];
        logic.fold_all(&mut state, deleted.into_iter(), &mut emit);
        logic.begin_advance(at(50));
        while logic.advance(&mut state, &mut emit) {}
        while logic.close(&mut state, &mut emit) {}
        let rows = emit.records.into_iter();
        let rows: Rows = rows.map(|((), row)| (row.key, row.value)).collect();
        assert_eq!(rows, [(1, Some(5)), (1, None)]);
        assert_eq!(counters.total("keys"), 0);
    }

    #[test]
    fn rows_come_to_the_same_through_crashes_and_other_modes() {
        for seed in 0..3_000 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let mut highest = 0;
            let mut lives = BTreeMap::<i64, (i64, Option<u64>)>::new();
            let runs = (0..rng.usize(1..20)).map(|_| {
                let mut steps = Vec::new();
                for _ in 0..rng.usize(0..8) {
                    let most = [3, 3, 3, 3, 30][rng.usize(0..5)];
                    let time: i64 = highest + rng.i64(-6..=most);
                    highest = highest.max(time);
                    let (key, value) = (rng.i64(0..3), rng.bool().then_some(rng.u64(..9)));
                    // What comes behind a silence begins anew; of what comes before it the last counts.
                    let life = lives.entry(key).or_insert((time, None));
                    *life = match time - life.0 < 9 {
                        true => (life.0.max(time), value.map(|v| v + life.1.unwrap_or(0))),
                        false => (time, value),
                    };
                    steps.push(Step::Take((EventTime::micros(time), key, value)));
                    if rng.bool() {
                        steps.push(Step::Pass(EventTime::micros(highest - 6)));
                    }
                }
                steps
            });
            let mut runs: Vec<_> = runs.collect();
            if let Some(last) = runs.last_mut() {
                last.push(Step::Pass(EventTime::micros(highest - 6)));
            }
            let make = || Values {
                ttl: Ttl {
                    gap: Gap::micros(9),
                    time: |time: EventTime| time,
                },
                fold: Functions {
                    init: || None,
                    step: |last: &mut Option<u64>, value: Option<u64>| {
                        *last = value.map(|value| value + last.unwrap_or(0));
                    },
                    merge: |last: &mut Option<u64>, later| *last = later,
                },
                value: |_: &i64, last: &Option<u64>| *last,
                is_there: Option::is_some,
                records: PhantomData,
            };
            let told = drive(&mut rng, make, &runs);
            let living = lives.into_iter().filter_map(|(key, (last, value))| {
                let lives = last + 9 > highest - 6;
                Some((key, value.filter(|_| lives)?))
            });
            assert_eq!(told, living.collect(), "seed {seed}");
        }
    }
}
