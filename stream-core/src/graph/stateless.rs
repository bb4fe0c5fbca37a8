//! The stateless stages, as methods of a stream.

use super::fuse::{
    Chain, Filter, FilterMap, FlatMap, Inspect, Map, MapWithTime, Pass, Step, add_stage,
};
use super::handles::{EventTimed, Keyed, Kind, Stream};
use crate::time::EventTime;

impl<T: 'static, K: Kind> Stream<T, K> {
    /// Turns each record into another.
    ///
    /// ```
    /// # stream_core::testing::doc(|numbers| {
    /// let doubled = numbers.map(|n| n * 2);
    /// # doubled }, [1, 2, 3], [2, 4, 6]);
    /// ```
    pub fn map<B: 'static>(self, f: impl Fn(T) -> B + 'static) -> Stream<B, K> {
        self.stateless("map", Map(f))
    }

    /// Turns each record into another, given its event time, which stays that of the new one.
    ///
    /// What leaves a window has the last microsecond of the window as its event time.
    ///
    /// ```
    /// use stream_core::{EventTime, Lateness, graph::Stream, testing};
    ///
    /// let pipeline = |seconds: Stream<i64>| {
    ///     let (timed, late) = seconds.event_time(|s| EventTime::secs(*s), Lateness::secs(9));
    ///     late.discard();
    ///     timed.map(|s| s % 2).map_with_time(|odd, time| (time, odd))
    /// };
    /// let rows = testing::rows(pipeline, [7, 4]);
    /// assert_eq!(rows, [(EventTime::secs(4), 0), (EventTime::secs(7), 1)]);
    /// ```
    pub fn map_with_time<B: 'static>(self, f: impl Fn(T, EventTime) -> B + 'static) -> Stream<B, K>
    where
        K: EventTimed,
    {
        self.stateless("map_with_time", MapWithTime(f))
    }

    /// Keeps the records for which the closure says so.
    ///
    /// ```
    /// # stream_core::testing::doc(|numbers| {
    /// let odd = numbers.filter(|n| n % 2 == 1);
    /// # odd }, [1, 2, 3], [1, 3]);
    /// ```
    pub fn filter(self, f: impl Fn(&T) -> bool + 'static) -> Stream<T, K> {
        self.stateless("filter", Filter(f))
    }

    /// Turns each record into another, or drops it.
    ///
    /// ```
    /// # stream_core::testing::doc(|numbers| {
    /// let predecessors = numbers.filter_map(|n| n.checked_sub(2));
    /// # predecessors }, [1, 2, 3], [0, 1]);
    /// ```
    pub fn filter_map<B: 'static>(self, f: impl Fn(T) -> Option<B> + 'static) -> Stream<B, K> {
        self.stateless("filter_map", FilterMap(f))
    }

    /// Turns each record into any number of others.
    ///
    /// ```
    /// # stream_core::testing::doc(|numbers| {
    /// let counted = numbers.flat_map(|n| 0..n);
    /// # counted }, [1, 2, 3], [0, 0, 0, 1, 1, 2]);
    /// ```
    pub fn flat_map<I>(self, f: impl Fn(T) -> I + 'static) -> Stream<I::Item, K>
    where
        I: IntoIterator<Item: 'static>,
    {
        self.stateless("flat_map", FlatMap(f))
    }

    /// Looks at each record and hands it on.
    ///
    /// ```
    /// # stream_core::testing::doc(|numbers| {
    /// let seen = numbers.inspect(|n| println!("{n}"));
    /// # seen }, [1, 2, 3], [1, 2, 3]);
    /// ```
    pub fn inspect(self, f: impl Fn(&T) + 'static) -> Stream<T, K> {
        self.stateless("inspect", Inspect(f))
    }

    /// Runs several stateless stages as one loop over the records, without a batch in between.
    ///
    /// The graph is the same as that of the same methods called on the stream.
    ///
    /// ```
    /// # stream_core::testing::doc(|numbers| {
    /// let squares = numbers.fuse(|chain| chain.filter(|n| n % 2 == 1).map(|n| n * n));
    /// # squares }, [1, 2, 3], [1, 9]);
    /// ```
    pub fn fuse<P: Step<T, K::Stamp>>(
        self,
        chain: impl FnOnce(Chain<T, K, Pass>) -> Chain<T, K, P, P::Out>,
    ) -> Stream<P::Out, K> {
        chain(self.chain()).end()
    }

    /// Begins a chain that is fused until it is [ended](Chain::end): what `#[pipeline]` writes
    /// where a chain goes on in another binding.
    #[doc(hidden)]
    pub fn chain(self) -> Chain<T, K, Pass> {
        Chain::open(self.port)
    }

    pub(crate) fn stateless<P>(self, kind: &'static str, step: P) -> Stream<P::Out, K>
    where
        P: Step<T, K::Stamp>,
    {
        Stream::from_port(add_stage(&self.port, kind, step))
    }

    /// Gives each record a key. What has the same key is worked on by the same worker, in the
    /// order in which it stands in its lane.
    ///
    /// What works by key asks that the key is a [`Key`](crate::graph::Key) and the record a
    /// [`Record`](crate::graph::Record).
    ///
    /// ```
    /// use stream_core::{graph::Stream, ops::Entry, testing};
    ///
    /// let parities = |numbers: Stream<u64>| numbers.key_by(|n| n % 2).count();
    /// let rows = testing::rows(parities, [1, 2, 3]);
    /// assert_eq!(rows, [Entry { key: 0, value: 1 }, Entry { key: 1, value: 2 }]);
    /// ```
    pub fn key_by<Q: 'static>(self, f: impl Fn(&T) -> Q + 'static) -> Keyed<Q, T, K> {
        let key = move |record: T| (f(&record), record);
        Keyed::from_port(self.stateless("key_by", Map(key)).port)
    }
}
