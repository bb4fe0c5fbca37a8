//! Tables: one hash map a worker, whose rows leave at the close of each slice or at the end.

use std::collections::BTreeMap;

use timely::ExchangeData;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

use super::{Map, Rows, follow, least};
use crate::overhead::data::{Aggregates, GROUPS, Pair, TOP, rank};

/// What is kept of a key.
pub(crate) trait State: Default + 'static {
    type In: ExchangeData;
    type Out: Clone + 'static;

    fn key(record: &Self::In) -> u64;

    /// Takes in a record of an input, and says whether the row is another one now.
    fn add(&mut self, input: usize, record: Self::In) -> bool;

    /// The row of the key as it is now, if there is any to tell.
    fn row(&mut self, key: u64) -> Option<Self::Out>;
}

/// A table; every key that has changed is emitted at the close of each slice.
pub(crate) fn by_slice<'s, S: State, const N: usize>(
    inputs: [StreamVec<'s, u64, S::In>; N],
) -> StreamVec<'s, u64, S::Out> {
    let mut builder = OperatorBuilder::new("BySlice".to_owned(), inputs[0].scope());
    let by_key = || Exchange::new(S::key);
    let mut inputs = inputs.map(|input| builder.new_input(input, by_key()));
    let (output, stream) = builder.new_output();
    let mut output = OutputBuilder::<_, Rows<S::Out>>::from(output);
    builder.build(move |mut held| {
        let mut held = held.pop();
        // By key: the state, and the last slice in which it changed.
        let mut states: Map<(S, u64)> = Map::default();
        let mut waiting: BTreeMap<u64, Vec<(usize, Vec<S::In>)>> = BTreeMap::new();
        let mut changed = Vec::new();
        move |frontiers| {
            let mut output = output.activate();
            for (number, input) in inputs.iter_mut().enumerate() {
                input.for_each(|capability, records| {
                    let epoch = *capability.least().expect("every slice has an epoch");
                    let records = (number, std::mem::take(records));
                    waiting.entry(epoch).or_default().push(records);
                });
            }
            let reached = frontiers.iter().map(least).min().unwrap_or(u64::MAX);
            while let Some(first) = waiting.first_entry().filter(|first| *first.key() < reached) {
                let (epoch, chunks) = first.remove_entry();
                for (number, records) in chunks {
                    for record in records {
                        let key = S::key(&record);
                        let (state, changed_in) = states
                            .entry(key)
                            .or_insert_with(|| (S::default(), u64::MAX));
                        let is_news = state.add(number, record);
                        if is_news && std::mem::replace(changed_in, epoch) != epoch {
                            changed.push(key);
                        }
                    }
                }
                if let Some(held) = &mut held {
                    held.downgrade(&epoch);
                    let row = |key| states.get_mut(&key)?.0.row(key);
                    let rows = changed.drain(..).filter_map(row);
                    output.session(&*held).give_iterator(rows);
                }
            }
            follow(&mut held, reached);
        }
    });
    stream
}

/// A table; every key is emitted at the end of input.
pub(crate) fn at_end<'s, S: State, const N: usize>(
    inputs: [StreamVec<'s, u64, S::In>; N],
) -> StreamVec<'s, u64, S::Out> {
    let mut builder = OperatorBuilder::new("AtEnd".to_owned(), inputs[0].scope());
    let by_key = || Exchange::new(S::key);
    let mut inputs = inputs.map(|input| builder.new_input(input, by_key()));
    let (output, stream) = builder.new_output();
    let mut output = OutputBuilder::<_, Rows<S::Out>>::from(output);
    builder.build(move |mut held| {
        let mut held = held.pop();
        let mut states: Map<S> = Map::default();
        move |frontiers| {
            let mut output = output.activate();
            for (number, input) in inputs.iter_mut().enumerate() {
                input.for_each(|_, records| {
                    for record in records.drain(..) {
                        let state = states.entry(S::key(&record)).or_default();
                        state.add(number, record);
                    }
                });
            }
            let reached = frontiers.iter().map(least).min().unwrap_or(u64::MAX);
            if let (u64::MAX, Some(held)) = (reached, &held) {
                let rows = states.drain();
                let rows = rows.filter_map(|(key, mut state)| state.row(key));
                output.session(held).give_iterator(rows);
            }
            follow(&mut held, reached);
        }
    });
    stream
}

/// How many records a key has.
#[derive(Default)]
pub(crate) struct Count(u64);

impl State for Count {
    type In = u64;
    type Out = (u64, u64);

    #[inline]
    fn key(key: &u64) -> u64 {
        *key
    }

    #[inline]
    fn add(&mut self, _: usize, _: u64) -> bool {
        self.0 += 1;
        true
    }

    #[inline]
    fn row(&mut self, key: u64) -> Option<(u64, u64)> {
        Some((key, self.0))
    }
}

/// How many records a key has in either of two inputs.
#[derive(Default)]
pub(crate) struct Counts([u64; 2]);

impl State for Counts {
    type In = u64;
    type Out = (u64, (u64, u64));

    #[inline]
    fn key(key: &u64) -> u64 {
        *key
    }

    #[inline]
    fn add(&mut self, input: usize, _: u64) -> bool {
        self.0[input] += 1;
        true
    }

    #[inline]
    fn row(&mut self, key: u64) -> Option<Self::Out> {
        let [left, right] = self.0;
        (left > 0 && right > 0).then_some((key, (left, right)))
    }
}

/// The records of a key with the greatest values, the greatest first.
#[derive(Default)]
pub(crate) struct Top(Vec<Pair>);

impl State for Top {
    type In = Pair;
    type Out = (u64, Vec<Pair>);

    #[inline]
    fn key(pair: &Pair) -> u64 {
        pair.0
    }

    #[inline]
    fn add(&mut self, _: usize, pair: Pair) -> bool {
        let kept = &mut self.0;
        if kept.len() == TOP {
            if kept[TOP - 1].1 >= pair.1 {
                return false;
            }
            kept.pop();
        }
        let place = kept.partition_point(|other| other.1 >= pair.1);
        kept.insert(place, pair);
        true
    }

    #[inline]
    fn row(&mut self, key: u64) -> Option<Self::Out> {
        Some((key, self.0.clone()))
    }
}

/// Six aggregates of the values of a key.
#[derive(Default)]
pub(crate) struct Six {
    count: u64,
    sum: u64,
    min: u64,
    max: u64,
    last: Pair,
}

impl State for Six {
    type In = Pair;
    type Out = (u64, Aggregates);

    #[inline]
    fn key(pair: &Pair) -> u64 {
        pair.0
    }

    #[inline]
    fn add(&mut self, _: usize, pair: Pair) -> bool {
        let value = pair.1;
        if self.count == 0 || rank(&pair) > rank(&self.last) {
            self.last = pair;
        }
        self.min = if self.count == 0 {
            value
        } else {
            self.min.min(value)
        };
        self.max = self.max.max(value);
        self.count += 1;
        self.sum += value;
        true
    }

    #[inline]
    fn row(&mut self, key: u64) -> Option<Self::Out> {
        let mean = self.sum as f64 / self.count as f64;
        let sum = i128::from(self.sum);
        Some((key, (self.count, sum, self.min, self.max, mean, self.last)))
    }
}

/// The greatest value of each key, and of each group of keys the mean of these, in a table behind another.
pub(crate) fn means_by_slice<'s>(
    pairs: [StreamVec<'s, u64, Pair>; 1],
) -> StreamVec<'s, u64, (u64, f64)> {
    by_slice::<Mean, 1>([by_slice::<Greatest, 1>(pairs)])
}

pub(crate) fn means_at_end<'s>(
    pairs: [StreamVec<'s, u64, Pair>; 1],
) -> StreamVec<'s, u64, (u64, f64)> {
    at_end::<Mean, 1>([at_end::<Greatest, 1>(pairs)])
}

/// The greatest value of a key, and what its group was told.
#[derive(Default)]
struct Greatest {
    now: u64,
    told: u64,
}

/// A group, by how much its sum is more, and how many keys more it has.
type More = (u64, u64, u64);

impl State for Greatest {
    type In = Pair;
    type Out = More;

    #[inline]
    fn key(pair: &Pair) -> u64 {
        pair.0
    }

    #[inline]
    fn add(&mut self, _: usize, pair: Pair) -> bool {
        let is_more = self.now < pair.1;
        self.now = self.now.max(pair.1);
        is_more
    }

    #[inline]
    fn row(&mut self, key: u64) -> Option<More> {
        let told = std::mem::replace(&mut self.told, self.now);
        // Values are above 0, so 0 was told of no key.
        (told < self.now).then_some((key % GROUPS, self.now - told, u64::from(told == 0)))
    }
}

#[derive(Default)]
struct Mean {
    sum: u64,
    keys: u64,
}

impl State for Mean {
    type In = More;
    type Out = (u64, f64);

    #[inline]
    fn key(more: &More) -> u64 {
        more.0
    }

    #[inline]
    fn add(&mut self, _: usize, (_, more, keys): More) -> bool {
        self.sum += more;
        self.keys += keys;
        true
    }

    #[inline]
    fn row(&mut self, group: u64) -> Option<(u64, f64)> {
        Some((group, self.sum as f64 / self.keys as f64))
    }
}
