//! Global windows: all records of a key, of which it is told again and again what they come to.
//!
//! Definition. Event time is divided into periods of one length. At the end of each in which a record of a key came,
//! what all records of the key until then come to is told, in the order of the periods.
//!
//! What is kept of a key is one value of all periods that are over, and one of each that is not. A period is over
//! when the watermark has reached its end, so all of it is the same in every mode, in whatever order records come.

use std::collections::VecDeque;
use std::marker::PhantomData;
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use super::aggregate::{Aggregate, Folded};
use super::operator::{pop_front_if, stage_of};
use super::window::{Fold, Functions, Windowed, Windows, begin_of};
use super::{Cx, KeyedOperator};
use crate::error::Problem;
use crate::graph::node::{Port, stage};
use crate::graph::{Class, EventTimed, Key, Keyed, Kind, OnTime, Record, Timed};
use crate::time::{EventTime, Gap, Size};

/// All records of a key, told of at the end of each period; made by [`Keyed::global`].
#[derive(Clone, Copy, Debug)]
pub struct GlobalWindows {
    every: i64,
    ttl: Option<Gap>,
}

impl<Q: 'static, T: 'static, K: Kind> Keyed<Q, T, K> {
    /// Gathers all records of a key into one window that has no end, and tells what it has come to at the end of each
    /// period of event time in which a record of the key came. Periods begin at multiples of their length since 1970.
    /// The length is a [`Size`] or a [`Duration`](std::time::Duration); 0 is refused when the job starts.
    ///
    /// The start of what is told is the time of the key's first record, its end that of the period; the event time is a
    /// microsecond before. In the last period it is told at the end of input. It is the same in every mode.
    ///
    /// A value a key is kept for good. Behind a [`ttl`](Keyed::ttl), which is rounded up to whole periods, a key is
    /// forgotten when so much time lies between the end of the last period in which it had a record and the begin of the
    /// next.
    ///
    /// What is to be told after every so many records and not by time is said by [`scan`](Keyed::scan).
    ///
    /// ```
    /// use stream_core::prelude::*;
    ///
    /// /// At the end of each day what each account has received by then: minute, account, cents.
    /// #[pipeline]
    /// fn balances(payments: Stream<(i64, u32, i64)>) -> Timed<(String, i64)> {
    ///     let (timed, late) = payments.event_time(|row| EventTime::secs(row.0 * 60), Lateness::mins(10));
    ///     late.discard();
    ///     let days = timed.key_by(|row| row.1).global(Size::days(1));
    ///     let balances = days.fold(|| 0, |sum, row| *sum += row.2, |sum, later| *sum += later);
    ///     balances.map(|balance| (balance.end.to_string(), balance.value))
    /// }
    ///
    /// let payments = [(10, 7, 500), (600, 7, 20), (4_000, 7, 3)];
    /// let rows = balances::test().payments(payments).rows().output;
    /// let told = [("1970-01-02T00:00:00Z", 520), ("1970-01-04T00:00:00Z", 523)];
    /// assert_eq!(rows, told.map(|(end, sum)| (end.to_string(), sum)));
    /// ```
    pub fn global(self, every: impl Into<Size>) -> Windows<Q, T, GlobalWindows>
    where
        K: EventTimed,
    {
        let every = every.into();
        if every.as_micros() == 0 {
            self.port.problem(
                Problem::new("a global window is told of every 0 seconds")
                    .hint("give it a period: `global(Size::hours(1))`"),
            );
        }
        let assign = GlobalWindows {
            every: every.as_micros().max(1),
            ttl: self.ttl.map(|ttl| ttl.gap),
        };
        Windows {
            input: self.port,
            assign,
        }
    }
}

/// Global windows.
impl<Q: Key, T: Record> Windows<Q, T, GlobalWindows> {
    /// Counts the records of each key.
    pub fn count(self) -> Timed<Windowed<Q, u64>> {
        self.render(Class::Exact, "count", counting_all(), |count| *count)
    }

    /// Folds the records of each key into one value. `merge` adds the value of later records: those of a period are
    /// folded by themselves.
    ///
    /// The result is the same in every mode if the closures are pure, the order of the records of a period does not
    /// matter to them, and `merge` joins two values as if their records had been folded together.
    pub fn fold<A: Record>(
        self,
        init: impl Fn() -> A + 'static,
        step: impl Fn(&mut A, T) + 'static,
        merge: impl Fn(&mut A, A) + 'static,
    ) -> Timed<Windowed<Q, A>> {
        let functions = Functions { init, step, merge };
        self.render(Class::ExactIfOrderFree, "fold", functions, A::clone)
    }

    /// Makes one value of the records of each key, by an [`Aggregate`] or a tuple of them.
    pub fn aggregate<G: Aggregate<T>>(self, aggregate: G) -> Timed<Windowed<Q, G::Value>> {
        let aggregate = Rc::new(aggregate);
        let fold = Folded(aggregate.clone());
        let value = move |state: &G::State| aggregate.finish(state);
        self.render(G::CLASS, "aggregate", fold, value)
    }

    fn render<A: Record, V: Record>(
        self,
        class: Class,
        fold_name: &str,
        fold: impl Fold<T, A>,
        value: impl Fn(&A) -> V + 'static,
    ) -> Timed<Windowed<Q, V>> {
        let Windows { input, assign } = self;
        let GlobalWindows { every, ttl } = assign;
        let spec = stage("global", vec![input.spec()])
            .with("every", Size::micros(every.unsigned_abs()))
            .with("fold", fold_name)
            .class(class);
        let spec = match ttl {
            Some(ttl) => spec.with("ttl", ttl),
            None => spec.grows(),
        };
        let operator = Global {
            every,
            ttl: ttl.map(|ttl| whole_periods(ttl.as_micros(), every)),
            fold,
            value,
            records: PhantomData::<fn(Q, T) -> A>,
        };
        let input: Port<EventTime, (Q, T)> = input;
        stage_of::<_, OnTime>(input, spec, operator).0
    }
}

fn counting_all<T: 'static>() -> impl Fold<T, u64> {
    Functions {
        init: || 0,
        step: |count: &mut u64, _: T| *count += 1,
        merge: |count: &mut u64, other| *count += other,
    }
}

/// A length that is rounded up to whole periods, at least one. What has begun by the end of a period is known then, and
/// within one it is not.
fn whole_periods(length: i64, every: i64) -> i64 {
    let whole = length.checked_add(every - 1).unwrap_or(i64::MAX) / every;
    whole.max(1).saturating_mul(every)
}

struct Global<F, V, R> {
    every: i64,
    /// A multiple of the period.
    ttl: Option<i64>,
    fold: F,
    value: V,
    records: PhantomData<R>,
}

/// What is kept of a key.
#[derive(Clone, Serialize, Deserialize)]
struct State<A> {
    /// The periods that are over: the end of the last one, and what they come to.
    past: Option<(EventTime, Part<A>)>,
    /// By their ends, the others.
    open: VecDeque<(EventTime, Part<A>)>,
}

/// What some records come to, and the time of the first.
#[derive(Clone, Serialize, Deserialize)]
struct Part<A> {
    first: EventTime,
    value: A,
}

impl<A> Default for State<A> {
    fn default() -> Self {
        State {
            past: None,
            open: VecDeque::new(),
        }
    }
}

/// All that is asked is whether there is anything.
impl<A> PartialEq for State<A> {
    fn eq(&self, other: &Self) -> bool {
        let is_empty = |state: &Self| state.past.is_none() && state.open.is_empty();
        is_empty(self) && is_empty(other)
    }
}

impl<Q, T, A, F, V, O> KeyedOperator for Global<F, V, fn(Q, T) -> A>
where
    Q: Key,
    T: Record,
    A: Record,
    F: Fold<T, A>,
    V: Fn(&A) -> O + 'static,
    O: Record,
{
    type Key = Q;
    type In = T;
    type State = State<A>;
    type Out = Windowed<Q, O>;

    fn record(&self, _: &Q, record: T, state: &mut State<A>, cx: &mut Cx<Self::Out>) {
        let time = cx.time();
        let end = begin_of(time, self.every, 0).plus(self.every);
        let place = state.open.partition_point(|(other, _)| *other < end);
        match state.open.get_mut(place) {
            Some((other, part)) if *other == end => {
                part.first = part.first.min(time);
                self.fold.extend(&mut part.value, record);
            }
            _ => {
                let value = self.fold.start(record);
                let part = Part { first: time, value };
                state.open.insert(place, (end, part));
                cx.set_timer(end);
            }
        }
    }

    fn timer(&self, key: &Q, at: EventTime, state: &mut State<A>, cx: &mut Cx<Self::Out>) {
        self.forget(at, state);
        if let Some((end, part)) = pop_front_if(&mut state.open, |(end, _)| *end <= at) {
            self.tell(key, end, part, state, cx);
        }
        self.wait(state, cx);
    }

    fn end(&self, key: &Q, state: &mut State<A>, cx: &mut Cx<Self::Out>) {
        // A period may end with time itself.
        while let Some((end, part)) = state.open.pop_front() {
            self.tell(key, end, part, state, cx);
        }
    }
}

impl<F, V, R> Global<F, V, R> {
    /// When a key is forgotten whose last period ended then.
    fn until(&self, end: EventTime) -> Option<EventTime> {
        self.ttl.map(|ttl| end.plus(ttl))
    }

    /// Forgets what is past if its time is over, and no period that has begun before goes on with it.
    fn forget<A>(&self, at: EventTime, state: &mut State<A>) {
        let until = state.past.as_ref().and_then(|(end, _)| self.until(*end));
        let goes_on = |until| {
            let next = state.open.front();
            next.is_some_and(|(end, _)| end.minus(self.every) < until)
        };
        if until.is_some_and(|until| until <= at && !goes_on(until)) {
            state.past = None;
        }
    }

    /// Adds a period to those that are past, and tells what they come to.
    fn tell<Q: Key, T, A, O>(
        &self,
        key: &Q,
        end: EventTime,
        part: Part<A>,
        state: &mut State<A>,
        cx: &mut Cx<Windowed<Q, O>>,
    ) where
        F: Fold<T, A>,
        V: Fn(&A) -> O,
    {
        let past = match state.past.take() {
            Some((_, mut past)) => {
                self.fold.merge(&mut past.value, part.value);
                past
            }
            None => part,
        };
        let row = Windowed {
            key: key.clone(),
            start: past.first,
            end,
            value: (self.value)(&past.value),
        };
        cx.emit_at(end.minus(1), row);
        state.past = Some((end, past));
    }

    /// Sees to it that a key is forgotten in time. There is one timer for that, beside those of open periods: it is not
    /// moved with each period that is over, but set anew when it falls due.
    fn wait<A, O>(&self, state: &State<A>, cx: &mut Cx<O>) {
        let past = state.past.as_ref();
        if let Some(until) = past.and_then(|(end, _)| self.until(*end))
            && until > cx.time() // else it goes on with a period that has a timer
            && cx.timers().len() <= state.open.len()
        {
            cx.set_timer(until);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::operator::driven::Driven;

    /// However many periods a time to live has, a key has one timer for it.
    #[test]
    fn a_key_has_few_timers_and_is_forgotten() {
        let mut driven = Driven::new(Global {
            every: 10,
            ttl: Some(10_000),
            fold: counting_all(),
            value: |count: &u64| *count,
            records: PhantomData::<fn(u8, ()) -> u64>,
        });
        for n in 0..500 {
            driven.take(10 * n, 7, ());
            let told = driven.advance(EventTime::micros(10 * n + 10));
            assert_eq!(told.len(), 1);
            assert_eq!(told[0].1.value, n as u64 + 1);
            assert!(driven.timers(&7) <= 2, "{n}: {}", driven.timers(&7));
        }
        // The last period ended at 5,000.
        driven.advance(EventTime::micros(14_999));
        assert_eq!(driven.keys(), 1);
        driven.advance(EventTime::micros(15_000));
        assert_eq!(driven.keys(), 0);
    }
}
