//! The methods of handles: `aggregate`, and short forms for single aggregates.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::{Aggregate, Folded, Number};
use crate::graph::{Class, Key, Keyed, Kind, Record, Stream, Table, Timed};
use crate::ops::Overtaken;
use crate::ops::count_windows::CountWindows;
use crate::ops::table::table;
use crate::ops::window::{Assign, Windowed, Windows};
use crate::time::EventTime;

impl<Q: 'static, T: 'static, K: Kind> Keyed<Q, T, K> {
    /// Makes one value of the records of each key, by an [`Aggregate`] or a tuple of them.
    ///
    /// ```
    /// use stream_core::ops::aggregate::{count, sum};
    /// use stream_core::{graph::Stream, ops::Entry, testing};
    ///
    /// let pipeline = |numbers: Stream<i64>| {
    ///     numbers.key_by(|n| n % 2).aggregate((count(), sum(|n: &i64| *n)))
    /// };
    /// let rows = testing::rows(pipeline, [1, 2, 3]);
    /// assert_eq!(rows, [Entry { key: 0, value: (1, 2) }, Entry { key: 1, value: (2, 4) }]);
    /// ```
    pub fn aggregate<G: Aggregate<T>>(self, aggregate: G) -> Table<Q, G::Value>
    where
        Q: Key,
        T: Record,
    {
        self.aggregated("aggregate", |record| record, aggregate)
    }

    /// Adds up what a closure says of the records of each key. The sum is exact: of integers it is an `i128`, of
    /// floating-point numbers the `f64` nearest to it, whatever their order.
    ///
    /// ```
    /// use stream_core::{graph::Stream, ops::Entry, testing};
    ///
    /// let pipeline = |numbers: Stream<i64>| {
    ///     numbers.key_by(|n| n % 2).sum(|n| *n)
    /// };
    /// let rows = testing::rows(pipeline, [1, 2, 3]);
    /// assert_eq!(rows, [Entry { key: 0, value: 2 }, Entry { key: 1, value: 4 }]);
    /// ```
    pub fn sum<N: Number>(self, of: impl Fn(&T) -> N + 'static) -> Table<Q, N::Total>
    where
        Q: Key,
        T: Record,
    {
        self.aggregated(
            "sum",
            move |record| of(&record),
            super::sum(|number: &N| *number),
        )
    }

    /// The mean of what a closure says of the records of each key: their exact sum divided by their count,
    /// rounded once.
    ///
    /// ```
    /// use stream_core::{graph::Stream, ops::Entry, testing};
    ///
    /// let pipeline = |numbers: Stream<i64>| {
    ///     numbers.key_by(|n| n % 2).average(|n| *n).map_values(|mean| mean.to_string())
    /// };
    /// let rows = testing::rows(pipeline, [1, 2, 4]);
    /// assert_eq!(rows, [Entry { key: 0, value: "3".to_string() }, Entry { key: 1, value: "1".to_string() }]);
    /// ```
    pub fn average<N: Number>(self, of: impl Fn(&T) -> N + 'static) -> Table<Q, f64>
    where
        Q: Key,
        T: Record,
    {
        self.aggregated(
            "average",
            move |record| of(&record),
            super::average(|number: &N| *number),
        )
    }

    /// The least of what a closure says of the records of each key. NaN counts only where there is nothing else.
    ///
    /// ```
    /// use stream_core::{graph::Stream, ops::Entry, testing};
    ///
    /// let pipeline = |numbers: Stream<i64>| {
    ///     numbers.key_by(|n| n % 2).min(|n| *n)
    /// };
    /// let rows = testing::rows(pipeline, [5, 2, 3]);
    /// assert_eq!(rows, [Entry { key: 0, value: 2 }, Entry { key: 1, value: 3 }]);
    /// ```
    pub fn min<V: Record + PartialOrd>(self, of: impl Fn(&T) -> V + 'static) -> Table<Q, V>
    where
        Q: Key,
        T: Record,
    {
        self.aggregated("min", |record| record, super::min(of))
    }

    /// The greatest of what a closure says of the records of each key. NaN counts only where there is nothing
    /// else.
    ///
    /// ```
    /// use stream_core::{graph::Stream, ops::Entry, testing};
    ///
    /// let pipeline = |numbers: Stream<i64>| {
    ///     numbers.key_by(|n| n % 2).max(|n| *n)
    /// };
    /// let rows = testing::rows(pipeline, [5, 2, 3]);
    /// assert_eq!(rows, [Entry { key: 0, value: 2 }, Entry { key: 1, value: 5 }]);
    /// ```
    pub fn max<V: Record + PartialOrd>(self, of: impl Fn(&T) -> V + 'static) -> Table<Q, V>
    where
        Q: Key,
        T: Record,
    {
        self.aggregated("max", |record| record, super::max(of))
    }

    /// The record of each key for which a closure says the least; of several the one whose encoding is the least.
    ///
    /// ```
    /// use stream_core::{graph::Stream, ops::Entry, testing};
    ///
    /// let pipeline = |numbers: Stream<i64>| {
    ///     numbers.key_by(|n| n.rem_euclid(2)).min_by(|n| n.abs())
    /// };
    /// let rows = testing::rows(pipeline, [-5, 2, 3]);
    /// assert_eq!(rows, [Entry { key: 0, value: 2 }, Entry { key: 1, value: 3 }]);
    /// ```
    pub fn min_by<V: Record + PartialOrd>(self, of: impl Fn(&T) -> V + 'static) -> Table<Q, T>
    where
        Q: Key,
        T: Record,
    {
        self.aggregated("min_by", |record| record, super::min_by(of))
    }

    /// The record of each key for which a closure says the greatest; of several the one whose encoding is the
    /// greatest.
    ///
    /// ```
    /// use stream_core::{graph::Stream, ops::Entry, testing};
    ///
    /// let pipeline = |numbers: Stream<i64>| {
    ///     numbers.key_by(|n| n.rem_euclid(2)).max_by(|n| n.abs())
    /// };
    /// let rows = testing::rows(pipeline, [-5, 2, 3]);
    /// assert_eq!(rows, [Entry { key: 0, value: 2 }, Entry { key: 1, value: -5 }]);
    /// ```
    pub fn max_by<V: Record + PartialOrd>(self, of: impl Fn(&T) -> V + 'static) -> Table<Q, T>
    where
        Q: Key,
        T: Record,
    {
        self.aggregated("max_by", |record| record, super::max_by(of))
    }

    /// The earliest record of each key by its time, whenever it comes; of several the one whose encoding is the
    /// least.
    ///
    /// ```
    /// use stream_core::{EventTime, graph::Stream, ops::Entry, testing};
    ///
    /// let pipeline = |clicks: Stream<(i64, String)>| {
    ///     clicks.key_by(|_| ()).first(|click| EventTime::secs(click.0))
    /// };
    /// let click = |at, page: &str| (at, page.to_string());
    /// let rows = testing::rows(pipeline, [click(2, "b"), click(1, "a"), click(3, "c")]);
    /// assert_eq!(rows, [Entry { key: (), value: click(1, "a") }]);
    /// ```
    pub fn first(self, time: impl Fn(&T) -> EventTime + 'static) -> Table<Q, T>
    where
        Q: Key,
        T: Record,
    {
        self.aggregated("first", |record| record, super::first(time))
    }

    /// The latest record of each key by its time, whenever it comes; of several the one whose encoding is the
    /// greatest.
    ///
    /// ```
    /// use stream_core::{EventTime, graph::Stream, ops::Entry, testing};
    ///
    /// let pipeline = |clicks: Stream<(i64, String)>| {
    ///     clicks.key_by(|_| ()).latest(|click| EventTime::secs(click.0))
    /// };
    /// let click = |at, page: &str| (at, page.to_string());
    /// let rows = testing::rows(pipeline, [click(2, "b"), click(1, "a"), click(3, "c")]);
    /// assert_eq!(rows, [Entry { key: (), value: click(3, "c") }]);
    /// ```
    pub fn latest(self, time: impl Fn(&T) -> EventTime + 'static) -> Table<Q, T>
    where
        Q: Key,
        T: Record,
    {
        self.aggregated("latest", |record| record, super::latest(time))
    }

    /// The `n` records of each key for which a closure says the greatest, the greatest first. No more than `n`
    /// are kept.
    ///
    /// ```
    /// use stream_core::{graph::Stream, ops::Entry, testing};
    ///
    /// let pipeline = |numbers: Stream<i64>| {
    ///     numbers.key_by(|n| n % 2).top(2, |n| *n)
    /// };
    /// let rows = testing::rows(pipeline, [1, 2, 3, 5]);
    /// assert_eq!(rows, [Entry { key: 0, value: vec![2] }, Entry { key: 1, value: vec![5, 3] }]);
    /// ```
    pub fn top<V: Record + PartialOrd>(
        self,
        n: usize,
        of: impl Fn(&T) -> V + 'static,
    ) -> Table<Q, Vec<T>>
    where
        Q: Key,
        T: Record,
    {
        self.aggregated("top", |record| record, super::top(n, of))
    }

    /// What a closure says of the records of each key, each value once. All of them are kept, and all are told
    /// whenever the key's row is.
    ///
    /// ```
    /// use stream_core::{graph::Stream, ops::Entry, testing};
    ///
    /// let pipeline = |numbers: Stream<i64>| {
    ///     numbers.key_by(|n| n % 2).distinct(|n| n / 4)
    /// };
    /// let rows = testing::rows(pipeline, [1, 3, 5, 7]);
    /// assert_eq!(rows, [Entry { key: 1, value: [0, 1].into() }]);
    /// ```
    pub fn distinct<V: Record + Ord>(self, of: impl Fn(&T) -> V + 'static) -> Table<Q, BTreeSet<V>>
    where
        Q: Key,
        T: Record,
    {
        self.aggregated("distinct", |record| record, super::distinct(of))
    }

    /// How many different values a closure says of the records of each key, exactly. All of them are kept.
    ///
    /// ```
    /// use stream_core::{graph::Stream, ops::Entry, testing};
    ///
    /// let pipeline = |numbers: Stream<i64>| {
    ///     numbers.key_by(|n| n % 2).count_distinct(|n| n / 4)
    /// };
    /// let rows = testing::rows(pipeline, [1, 3, 5, 7]);
    /// assert_eq!(rows, [Entry { key: 1, value: 2 }]);
    /// ```
    pub fn count_distinct<V: Record + Ord>(self, of: impl Fn(&T) -> V + 'static) -> Table<Q, u64>
    where
        Q: Key,
        T: Record,
    {
        self.aggregated("count_distinct", |record| record, super::count_distinct(of))
    }

    /// About how many different values a closure says of the records of each key, by a sketch that does not grow with
    /// them: see [`approx_count_distinct`](super::approx_count_distinct()).
    ///
    /// ```
    /// use stream_core::{graph::Stream, ops::Entry, testing};
    ///
    /// let pipeline = |numbers: Stream<i64>| {
    ///     numbers.key_by(|n| n % 2).approx_count_distinct(|n| n / 4)
    /// };
    /// let rows = testing::rows(pipeline, [1, 3, 5, 7]);
    /// assert_eq!(rows, [Entry { key: 1, value: 2 }]);
    /// ```
    pub fn approx_count_distinct<V: super::approx::Hashed + 'static>(
        self,
        of: impl Fn(&T) -> V + 'static,
    ) -> Table<Q, u64>
    where
        Q: Key,
        T: Record,
    {
        let aggregate = super::approx_count_distinct(of);
        self.aggregated("approx_count_distinct", |record| record, aggregate)
    }

    /// Makes one record of two, again and again, until one of each key is left.
    ///
    /// The table's content is the same in every mode if the closure is pure and it does not matter to it which
    /// two come together, and in which order.
    ///
    /// ```
    /// use stream_core::{graph::Stream, ops::Entry, testing};
    ///
    /// let pipeline = |numbers: Stream<i64>| {
    ///     numbers.key_by(|n| n % 2).reduce(|a, b| a * b)
    /// };
    /// let rows = testing::rows(pipeline, [2, 3, 4, 5]);
    /// assert_eq!(rows, [Entry { key: 0, value: 8 }, Entry { key: 1, value: 15 }]);
    /// ```
    pub fn reduce(self, join: impl Fn(T, T) -> T + 'static) -> Table<Q, T>
    where
        Q: Key,
        T: Record,
    {
        self.aggregated("reduce", |record| record, super::reduce(join))
    }

    fn aggregated<P: Record, G: Aggregate<P>>(
        self,
        kind: &'static str,
        project: impl Fn(T) -> P + 'static,
        aggregate: G,
    ) -> Table<Q, G::Value>
    where
        Q: Key,
        T: Record,
    {
        let aggregate = Rc::new(aggregate);
        let fold = Folded(aggregate.clone());
        let finish = move |_: &Q, state: &G::State| aggregate.finish(state);
        table(self, (kind, G::CLASS), project, fold, finish)
    }
}

impl<Q: Key, T: Record, K: Kind> CountWindows<Q, T, K> {
    /// Makes one value of the records of each window, by an [`Aggregate`] or a tuple of them, and emits it with the
    /// key.
    ///
    /// ```
    /// use stream_core::ops::aggregate::{max, sum};
    /// use stream_core::{graph::Stream, testing};
    ///
    /// let pipeline = |numbers: Stream<i64>| {
    ///     let pairs = numbers.key_by(|n| n % 2).count_windows(2);
    ///     pairs.aggregate((sum(|n: &i64| *n), max(|n: &i64| *n)))
    /// };
    /// assert_eq!(testing::rows(pipeline, [1, 2, 5, 3]), [(1, (6, 5))]);
    /// ```
    pub fn aggregate<G: Aggregate<T>>(self, aggregate: G) -> Stream<(Q, G::Value), K::Exchanged> {
        self.render("aggregate", Folded(Rc::new(aggregate)))
    }
}

/// Windows of either kind.
#[expect(
    private_bounds,
    reason = "how windows are assigned is the engine's own"
)]
impl<Q: 'static, T: 'static, W: Assign> Windows<Q, T, W> {
    /// Makes one value of the records of each window, by an [`Aggregate`] or a tuple of them.
    ///
    /// ```
    /// use stream_core::ops::aggregate::{count, max};
    /// use stream_core::{EventTime, Lateness, Size, graph::Stream, testing};
    ///
    /// let pipeline = |seconds: Stream<i64>| {
    ///     let (timed, _) = seconds.event_time(|s| EventTime::secs(*s), Lateness::secs(0));
    ///     let tens = timed.key_by(|_| ()).tumbling(Size::secs(10));
    ///     tens.aggregate((count(), max(|second: &i64| *second))).map(|window| window.value)
    /// };
    /// assert_eq!(testing::rows(pipeline, [1, 9, 10]), [(1, 10), (2, 9)]);
    /// ```
    pub fn aggregate<G: Aggregate<T>>(self, aggregate: G) -> Timed<Windowed<Q, G::Value>>
    where
        Q: Key,
        T: Record,
    {
        self.aggregate_with_overtaken(aggregate).0
    }

    /// As [`aggregate`](Windows::aggregate), and hands over the records that came after their window had
    /// been emitted, with their event times and keys.
    pub fn aggregate_with_overtaken<V: Record>(
        self,
        aggregate: impl Aggregate<T, Value = V>,
    ) -> (Timed<Windowed<Q, V>>, Overtaken<Q, T>)
    where
        Q: Key,
        T: Record,
    {
        let class = class_of(&aggregate);
        let fold = Folded(Rc::new(aggregate));
        self.render(class, "aggregate", |record| record, fold)
    }
}

fn class_of<T, G: Aggregate<T>>(_: &G) -> Class {
    G::CLASS
}
