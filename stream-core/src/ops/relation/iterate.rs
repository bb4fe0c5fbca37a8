//! `iterate`: a relation that is defined by itself.
//!
//! Definition. Beginning with the rows of a relation, a step is taken again and again until it changes nothing; what
//! is then there is the result. When rows change, differential dataflow takes the steps once more only as far as they
//! come out otherwise.

use std::fmt;

use differential_dataflow::operators::Iterate;
use timely::dataflow::Scope;
use timely::order::Product;

use super::dataflow::{Collection, Inputs};
use super::{Relation, Row, Update};
use crate::error::{Error, Problem};
use crate::graph::PortSpec;
use crate::graph::context::Context;
use crate::graph::node::{Port, Render, stage};

/// How many steps a loop may take before it is told that it comes to no end.
const ROUNDS_MAX: u64 = 100_000;

/// The time in a loop: the batch, and the round.
type Round = Product<u64, u64>;

/// A relation in a step of [`Relation::iterate`].
#[must_use = "a relation that nobody reads computes nothing"]
pub struct InLoop<'s, T: 'static> {
    rows: Collection<'s, Round, T>,
}

impl<T: 'static> fmt::Debug for InLoop<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InLoop")
    }
}

impl<T: Clone + 'static> Clone for InLoop<'_, T> {
    fn clone(&self) -> Self {
        InLoop {
            rows: self.rows.clone(),
        }
    }
}

impl<'s, T: Row> InLoop<'s, T> {
    /// As [`Relation::map`].
    pub fn map<U: Row>(self, f: impl Fn(T) -> U + 'static) -> InLoop<'s, U> {
        InLoop {
            rows: self.rows.map(f),
        }
    }

    /// As [`Relation::filter`].
    pub fn filter(self, f: impl Fn(&T) -> bool + 'static) -> Self {
        InLoop {
            rows: self.rows.filter(f),
        }
    }

    /// As [`Relation::filter_map`].
    pub fn filter_map<U: Row>(self, f: impl Fn(T) -> Option<U> + 'static) -> InLoop<'s, U> {
        self.flat_map(f)
    }

    /// As [`Relation::flat_map`].
    pub fn flat_map<I>(self, f: impl Fn(T) -> I + 'static) -> InLoop<'s, I::Item>
    where
        I: IntoIterator<Item: Row> + 'static,
    {
        InLoop {
            rows: self.rows.flat_map(f),
        }
    }

    /// As [`Relation::union`].
    pub fn union(self, other: Self) -> Self {
        InLoop {
            rows: self.rows.concat(other.rows),
        }
    }

    /// As [`Relation::distinct`].
    pub fn distinct(self) -> Self {
        InLoop {
            rows: self.rows.distinct(),
        }
    }
}

impl<'s, K: Row, V: Row> InLoop<'s, (K, V)> {
    /// As [`Relation::join`].
    pub fn join<W: Row>(self, other: InLoop<'s, (K, W)>) -> InLoop<'s, (K, (V, W))> {
        InLoop {
            rows: self.rows.join(other.rows),
        }
    }

    /// As [`Relation::semi_join`].
    pub fn semi_join(self, other: InLoop<'s, K>) -> Self {
        InLoop {
            rows: self.rows.semijoin(other.rows.distinct()),
        }
    }

    /// As [`Relation::anti_join`].
    pub fn anti_join(self, other: InLoop<'s, K>) -> Self {
        InLoop {
            rows: self.rows.antijoin(other.rows.distinct()),
        }
    }

    /// One row a key, with the least of its values.
    pub fn min(self) -> Self {
        let least = |_: &K, values: &[(&V, isize)], out: &mut Vec<(V, isize)>| {
            out.extend(values.first().map(|(value, _)| ((*value).clone(), 1)));
        };
        InLoop {
            rows: self.rows.reduce(least),
        }
    }

    /// One row a key, with the greatest of its values.
    pub fn max(self) -> Self {
        let greatest = |_: &K, values: &[(&V, isize)], out: &mut Vec<(V, isize)>| {
            out.extend(values.last().map(|(value, _)| ((*value).clone(), 1)));
        };
        InLoop {
            rows: self.rows.reduce(greatest),
        }
    }
}

impl<T: Row> Relation<T> {
    /// Takes a step from these rows, and from what comes of it, again and again until it changes nothing. What is there
    /// then is the result; it follows the rows as they change.
    ///
    /// A step is given what the last one has made, and what it reads besides: a relation, or a tuple of up to four. It is
    /// built once on each worker. One that never comes to rest fails the job after 100,000 rounds: most often
    /// it lacks a [`distinct`](InLoop::distinct), a [`min`](InLoop::min) or a [`max`](InLoop::max) at its end.
    ///
    /// ```
    /// use stream_core::prelude::*;
    ///
    /// /// Which airports can be reached from those that are hubs, by however many flights.
    /// #[pipeline]
    /// fn reached(hubs: Stream<String>, flights: Stream<(String, String)>) -> Table<String, u64> {
    ///     let links = flights.key_by(|flight| flight.clone()).count().rows().map(|(flight, _)| flight);
    ///     let roots = hubs.key_by(|hub| hub.clone()).count().rows().map(|(hub, _)| hub);
    ///     let reached = roots
    ///         .iterate(links, |reached, links| {
    ///             let from = reached.clone().map(|airport| (airport, ()));
    ///             from.join(links).map(|(_, ((), to))| to).union(reached).distinct()
    ///         })
    ///         .group_by(|airport| airport.clone())
    ///         .count();
    ///     reached
    /// }
    ///
    /// let flight = |from: &str, to: &str| (from.to_string(), to.to_string());
    /// let flights = [flight("VIE", "FRA"), flight("FRA", "JFK"), flight("JFK", "VIE"), flight("SYD", "AKL")];
    /// let mut rows = reached::test().hubs(["VIE".to_string()]).flights(flights).rows().reached;
    /// rows.sort();
    /// assert_eq!(rows.iter().map(|row| row.key.as_str()).collect::<Vec<_>>(), ["FRA", "JFK", "VIE"]);
    /// ```
    pub fn iterate<W: Alongside>(
        self,
        with: W,
        step: impl for<'s> Fn(InLoop<'s, T>, W::InLoop<'s>) -> InLoop<'s, T> + 'static,
    ) -> Relation<T> {
        let graph = self.port.graph().clone();
        let mut inputs = vec![self.port.spec()];
        inputs.extend(with.ports());
        let render = Loop {
            start: self.port,
            with,
            step,
        };
        Relation {
            port: graph.add(stage("iterate", inputs).exchanged(), Box::new(render)),
        }
    }
}

/// What a loop reads besides itself: a relation, or a tuple of up to four; `()` if there is nothing.
#[diagnostic::on_unimplemented(
    message = "this cannot be read in a loop",
    label = "a loop reads a relation besides itself, or a tuple of up to four; `()` if there is none",
    note = "a table becomes a relation by `.rows()`"
)]
pub trait Alongside: 'static {
    /// The same in a step.
    type InLoop<'i>;
    #[doc(hidden)]
    type Entered<'s>: Clone;

    #[doc(hidden)]
    fn ports(&self) -> Vec<PortSpec>;

    #[doc(hidden)]
    fn enter<'s>(&self, inputs: &mut Inputs<'_, 's>) -> Self::Entered<'s>;

    #[doc(hidden)]
    fn enter_loop<'i>(outside: Self::Entered<'_>, inside: Scope<'i, Round>) -> Self::InLoop<'i>;
}

impl Alongside for () {
    type InLoop<'i> = ();
    type Entered<'s> = ();

    fn ports(&self) -> Vec<PortSpec> {
        Vec::new()
    }

    fn enter(&self, _: &mut Inputs<'_, '_>) {}

    fn enter_loop((): (), _: Scope<'_, Round>) {}
}

impl<A: Row> Alongside for Relation<A> {
    type InLoop<'i> = InLoop<'i, A>;
    type Entered<'s> = Collection<'s, u64, A>;

    fn ports(&self) -> Vec<PortSpec> {
        vec![self.port.spec()]
    }

    fn enter<'s>(&self, inputs: &mut Inputs<'_, 's>) -> Self::Entered<'s> {
        inputs.enter(self.port.spec())
    }

    fn enter_loop<'i>(outside: Self::Entered<'_>, inside: Scope<'i, Round>) -> InLoop<'i, A> {
        InLoop {
            rows: outside.enter(inside),
        }
    }
}

macro_rules! tuples {
    ($(($($name:ident $index:tt),*))*) => {$(
        impl<$($name: Row),*> Alongside for ($(Relation<$name>,)*) {
            type InLoop<'i> = ($(InLoop<'i, $name>,)*);
            type Entered<'s> = ($(Collection<'s, u64, $name>,)*);

            fn ports(&self) -> Vec<PortSpec> {
                vec![$(self.$index.port.spec()),*]
            }

            fn enter<'s>(&self, inputs: &mut Inputs<'_, 's>) -> Self::Entered<'s> {
                ($(self.$index.enter(inputs),)*)
            }

            fn enter_loop<'i>(outside: Self::Entered<'_>, inside: Scope<'i, Round>) -> Self::InLoop<'i> {
                ($(Relation::<$name>::enter_loop(outside.$index, inside),)*)
            }
        }
    )*};
}

tuples! {
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
}

struct Loop<T, W, F> {
    start: Port<(), Update<T>>,
    with: W,
    step: F,
}

impl<T, W, F> Render for Loop<T, W, F>
where
    T: Row,
    W: Alongside,
    F: for<'s> Fn(InLoop<'s, T>, W::InLoop<'s>) -> InLoop<'s, T> + 'static,
{
    fn render<'s>(self: Box<Self>, node: usize, context: &mut Context<'s>) {
        let (id, abort) = (context.id(node).to_owned(), context.local.abort.clone());
        let mut inputs = Inputs::new(context, node);
        let start = inputs.enter::<T>(self.start.spec());
        let with = self.with.enter(&mut inputs);
        let settled = start.iterate(|inside, rows| {
            let made = (self.step)(InLoop { rows }, W::enter_loop(with, inside));
            // What cancels out must not go round.
            made.rows.consolidate().inspect(move |(_, time, _)| {
                if time.inner >= ROUNDS_MAX {
                    abort.fail(Error::Engine(comes_to_no_end(&id)));
                }
            })
        });
        inputs.leave(settled);
    }
}

fn comes_to_no_end(id: &str) -> Problem {
    Problem::new(format!("the loop `{id}` has changed its rows in each of {ROUNDS_MAX} rounds"))
        .hint("a step must come to rest: end it with `distinct`, `min` or `max`, and let no value grow for ever")
}
