//! Relations: what is computed of tables by differential dataflow.
//!
//! A [`Relation`] is a changing multiset of rows. [`Table::rows`](crate::graph::Table::rows) makes one of a table; joins, `distinct`
//! and [`iterate`](Relation::iterate) make others of it, and [`group_by`](Relation::group_by) leads back to a table.
//!
//! ```text
//!  table ──► rows ═══► join ═══► distinct ═══► group_by … ──► table
//!            │         ▲  computed anew when a job goes on    │
//!            saved     ╚═ rows of others                      saved
//! ```
//!
//! **Updates.** On an edge between relations there are updates: a row, and how many times more or less it is there. A
//! table is kept where it becomes a relation, to tell of a changed row what is to be taken back. That is told
//! once a key when a batch closes, in every mode, and at the end of input in batch mode.
//!
//! **Time.** Differential dataflow counts batches: all updates of one have one time, the last epoch of the batch. So
//! what comes out belongs to the whole batch, and no change is told that is taken back in the same one.
//!
//! **Going on.** What differential dataflow keeps is no part of a checkpoint. When a job goes on, each table
//! tells all its rows once more in epoch 0, and all that follows of them is computed anew. Operators that keep what
//! they are told, and were restored, do not read that (`current`).

mod dataflow;
mod group;
mod iterate;
mod join;
mod rows;
mod tables;

use std::fmt::{self, Debug, Display};
use std::ops::ControlFlow;

use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

pub use self::group::Groups;
pub use self::iterate::{Alongside, InLoop};
use super::union::union;
use crate::engine::flow::{Each, Flow, Open, Pull, epoch_of};
use crate::engine::{Emission, Mode};
use crate::graph::context::Context;
use crate::graph::fuse::{Filter, FilterMap, FlatMap, Map, Step, add_stage};
use crate::graph::node::Port;
use crate::graph::{Graph, Handle, Key, PortSpec, Record};

/// A row, and how many times more it is there; less, if that is negative.
pub(crate) type Update<T> = (T, isize);

/// What a row of a relation must be: a key that can be shown.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a row of a relation",
    label = "rows are compared and hashed: they must be `Debug + Eq + Hash + Ord + Clone + Send + Serialize + \
             Deserialize`",
    note = "for a type of your own: `#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]`",
    note = "floating-point numbers have no total order: map them to integers by `map_values` before `rows`"
)]
pub trait Row: Key + Debug {}

#[diagnostic::do_not_recommend]
impl<T: Key + Debug> Row for T {}

/// A changing multiset of rows; see the [module](self).
///
/// ```
/// use stream_core::prelude::*;
///
/// /// How many customers of each country have ordered: `(customer, country)`, `(order, customer)`.
/// #[pipeline]
/// fn countries(
///     customers: Stream<(u32, String)>,
///     orders: Stream<(u32, u32)>,
/// ) -> Table<String, u64> {
///     let homes = customers.key_by(|customer| customer.0).table(|customer| Some(customer.1));
///     let orderers = orders.key_by(|order| order.1).count();
///     let countries = homes
///         .rows()
///         .join(orderers.rows())
///         .group_by(|(_, (country, _))| country.clone())
///         .count();
///     countries
/// }
///
/// let customers = [(1, "AT"), (2, "DE"), (3, "DE"), (3, "AT")];
/// let test = countries::test().customers(customers.map(|(id, country)| (id, country.to_string())));
/// let rows = test.orders([(100, 1), (101, 3), (102, 3)]).rows().countries;
/// assert_eq!(rows, [Entry { key: "AT".to_string(), value: 2 }]);
/// ```
#[must_use = "a relation that nobody reads computes nothing"]
pub struct Relation<T> {
    port: Port<(), Update<T>>,
}

impl<T> fmt::Debug for Relation<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Relation").field(&self.port).finish()
    }
}

impl<T: Clone + 'static> Clone for Relation<T> {
    fn clone(&self) -> Self {
        Relation {
            port: self.port.clone_edge(),
        }
    }
}

#[doc(hidden)]
impl<T> Handle for Relation<T> {
    fn graph(&self) -> &Graph {
        self.port.graph()
    }
}

impl<T: 'static> Relation<T> {
    /// Turns each row into another. Rows that become equal are one row that is there several times.
    ///
    /// ```
    /// use stream_core::{graph::Stream, ops::Entry, testing};
    ///
    /// let digits = |words: Stream<String>| {
    ///     let rows = words.key_by(|word| word.clone()).count().rows();
    ///     rows.map(|(word, _)| word.len()).group_by(|len| *len).count()
    /// };
    /// let rows = testing::rows(digits, ["a", "b", "cc"].map(String::from));
    /// assert_eq!(rows, [Entry { key: 1, value: 2 }, Entry { key: 2, value: 1 }]);
    /// ```
    pub fn map<U: Row>(self, f: impl Fn(T) -> U + 'static) -> Relation<U> {
        self.stage("map", Map(move |(row, count): Update<T>| (f(row), count)))
    }

    /// Keeps the rows for which the closure says so.
    ///
    /// ```
    /// use stream_core::{graph::Stream, ops::Entry, testing};
    ///
    /// let often = |words: Stream<String>| {
    ///     let rows = words.key_by(|word| word.clone()).count().rows();
    ///     rows.filter(|(_, count)| *count > 1).group_by(|_| ()).count()
    /// };
    /// let rows = testing::rows(often, ["a", "b", "a"].map(String::from));
    /// assert_eq!(rows, [Entry { key: (), value: 1 }]);
    /// ```
    pub fn filter(self, f: impl Fn(&T) -> bool + 'static) -> Relation<T> {
        self.stage("filter", Filter(move |(row, _): &Update<T>| f(row)))
    }

    /// Turns each row into another, or leaves it out.
    pub fn filter_map<U: Row>(self, f: impl Fn(T) -> Option<U> + 'static) -> Relation<U> {
        let step = FilterMap(move |(row, count): Update<T>| Some((f(row)?, count)));
        self.stage("filter_map", step)
    }

    /// Turns each row into any number of others.
    ///
    /// ```
    /// use stream_core::{graph::Stream, ops::Entry, testing};
    ///
    /// let letters = |words: Stream<String>| {
    ///     let words = words.key_by(|word| word.clone()).count().rows();
    ///     let letters = words.flat_map(|(word, _)| word.chars().collect::<Vec<_>>());
    ///     letters.group_by(|letter| *letter).count()
    /// };
    /// let rows = testing::rows(letters, ["ab", "b", "b"].map(String::from));
    /// assert_eq!(rows, [Entry { key: 'a', value: 1 }, Entry { key: 'b', value: 2 }]);
    /// ```
    pub fn flat_map<I>(self, f: impl Fn(T) -> I + 'static) -> Relation<I::Item>
    where
        I: IntoIterator<Item: Row> + 'static,
    {
        let step = move |(row, count): Update<T>| f(row).into_iter().map(move |row| (row, count));
        self.stage("flat_map", FlatMap(step))
    }

    /// The rows of both, each as many times as it is in the two together.
    ///
    /// ```
    /// use stream_core::{graph::Stream, ops::Entry, testing};
    ///
    /// let both = |numbers: Stream<u64>| {
    ///     let rows = numbers.key_by(|n| *n).count().rows().map(|(n, _)| n);
    ///     rows.clone().union(rows.map(|n| n + 1)).group_by(|n| *n).count()
    /// };
    /// let entry = |key, value| Entry { key, value };
    /// assert_eq!(testing::rows(both, [1, 2]), [entry(1, 1), entry(2, 2), entry(3, 1)]);
    /// ```
    pub fn union(self, other: Relation<T>) -> Relation<T> {
        Relation {
            port: union(self.port, other.port),
        }
    }

    fn stage<U: 'static, P: Step<Update<T>, (), Out = Update<U>>>(
        self,
        kind: &'static str,
        step: P,
    ) -> Relation<U> {
        Relation {
            port: add_stage(&self.port, kind, step),
        }
    }
}

impl<T> Relation<T> {
    /// Ends the relation: nobody reads it, and that is meant.
    pub fn discard(self) {}

    /// Names the stage that this relation comes out of; see [`Stream::named`](crate::graph::Stream::named).
    pub fn named(self, name: impl Display) -> Self {
        self.port.graph().rename(self.port.node, &name.to_string());
        self
    }

    /// What `#[pipeline]` writes around stages that a stream would run as one loop.
    #[doc(hidden)]
    pub fn fuse<R>(self, stages: impl FnOnce(Self) -> R) -> R {
        stages(self)
    }

    /// The same where they go on in another binding.
    #[doc(hidden)]
    pub fn chain(self) -> Self {
        self
    }

    /// The end of that.
    #[doc(hidden)]
    pub fn end(self) -> Self {
        self
    }

    /// A second handle to the same relation.
    #[doc(hidden)]
    pub fn again(&self) -> Self
    where
        T: Record,
    {
        self.clone()
    }
}

/// When a table tells those behind it what has changed, where it is read by relations or made by one: when a batch
/// closes. In batch mode that is at the end of input, and then it tells all that it holds.
fn emission(mode: &Mode) -> Emission {
    match mode.table_emission() {
        Emission::End => Emission::End,
        Emission::AtOnce | Emission::BatchClose => Emission::BatchClose,
    }
}

/// Reads a relation as an operator does that keeps what it is told: without what is told again when a job goes
/// on.
fn current<'s>(context: &mut Context<'s>, port: PortSpec) -> Flow<'s> {
    let first = context.local.epochs.first();
    let flow = context.take(port);
    Flow::Lazy(Box::new(Current { first, flow }))
}

struct Current<F> {
    /// The first epoch of this run.
    first: u64,
    flow: F,
}

impl<'s> Open<'s> for Current<Flow<'s>> {
    fn open(self: Box<Self>, builder: &mut OperatorBuilder<'s, u64>) -> Box<dyn Pull> {
        Box::new(Current {
            first: self.first,
            flow: self.flow.open(builder),
        })
    }
}

impl Pull for Current<Box<dyn Pull>> {
    fn pull(&mut self, each: Each<'_>) -> ControlFlow<()> {
        let first = self.first;
        self.flow.pull(&mut |capability, segment| {
            if epoch_of(capability) < first {
                return ControlFlow::Continue(());
            }
            each(capability, segment)
        })
    }
}
