//! Aggregates: what is made of many records in one pass, for a table or for windows.
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use stream_core::ops::aggregate::{average, count, max};
//! use stream_core::prelude::*;
//!
//! #[derive(Clone, Serialize, Deserialize)]
//! struct Reading { room: u32, celsius: f64 }
//!
//! #[pipeline]
//! fn rooms(readings: Stream<Reading>) -> Table<u32, (u64, f64, f64)> {
//!     let rooms = readings.key_by(|reading| reading.room).aggregate((
//!         count(),
//!         average(|reading: &Reading| reading.celsius),
//!         max(|reading: &Reading| reading.celsius),
//!     ));
//!     rooms
//! }
//!
//! let reading = |celsius| Reading { room: 7, celsius };
//! let rows = rooms::test().readings([20.5, 22.0, 21.5].map(reading)).rows();
//! assert_eq!(rows.rooms, [Entry { key: 7, value: (3, 64.0 / 3.0, 22.0) }]);
//! ```
//!
//! A tuple of two to eight aggregates is an aggregate. One of your own implements [`Aggregate`].

mod approx;
mod exact;
mod extremes;
mod methods;
mod reduce;
mod refusals;
mod sets;
mod sums;

use std::rc::Rc;

pub use self::approx::{Hashed, approx_count_distinct};
pub use self::exact::ExactSum;
pub use self::extremes::{first, latest, max, max_by, min, min_by, top};
pub use self::reduce::reduce;
pub use self::sets::{collect, count_distinct, distinct};
pub use self::sums::{Number, average, count, sum};
use super::window::Fold;
use crate::graph::{Class, Record};

/// What is made of many records of a type: of those of a key, or of those of a window.
///
/// There is at least one record, with which it begins. Records come in no fixed order, and in windows the
/// records of two states may meet later: a result that depends on neither is the same in every mode.
///
/// ```
/// use stream_core::ops::aggregate::{Aggregate, count};
/// use stream_core::prelude::*;
/// use stream_core::testing;
///
/// /// How far the numbers lie apart.
/// struct Spread;
///
/// impl Aggregate<i64> for Spread {
///     type State = (i64, i64);
///     type Value = u64;
///
///     fn start(&self, number: &i64) -> (i64, i64) {
///         (*number, *number)
///     }
///
///     fn add(&self, (least, greatest): &mut (i64, i64), number: &i64) {
///         *least = *number.min(least);
///         *greatest = *number.max(greatest);
///     }
///
///     fn merge(&self, state: &mut (i64, i64), later: (i64, i64)) {
///         *state = (state.0.min(later.0), state.1.max(later.1));
///     }
///
///     fn finish(&self, (least, greatest): &(i64, i64)) -> u64 {
///         greatest.abs_diff(*least)
///     }
/// }
///
/// let spread = |numbers: Stream<i64>| numbers.key_by(|_| ()).aggregate((Spread, count()));
/// assert_eq!(testing::rows(spread, [4, -1, 7]), [Entry { key: (), value: (8, 3) }]);
/// ```
#[diagnostic::on_unimplemented(
    message = "this is no aggregate of `{T}`",
    label = "`Aggregate` is not implemented for it",
    note = "`stream_core::ops::aggregate` has `count()`, `sum(…)`, `max(…)` and others; a tuple of two to \
            eight is one, too"
)]
pub trait Aggregate<T>: 'static {
    /// When the value is the same in every mode. Those of this library are exact.
    const CLASS: Class = Class::ExactIfOrderFree;
    /// What is kept.
    type State: Record;
    /// What is told.
    type Value: Record;

    /// Begins with the first record.
    fn start(&self, record: &T) -> Self::State;

    /// Takes in a record.
    fn add(&self, state: &mut Self::State, record: &T);

    /// Takes in a record as [`add`](Aggregate::add) does, and tells whether the state is another one now. A table says
    /// nothing new of a key whose state is as it was, so that a maximum that seldom changes seldom leaves. `true` is
    /// never wrong; `false` of a state that has changed loses the change, in what is told and in checkpoints.
    #[inline]
    fn update(&self, state: &mut Self::State, record: &T) -> bool {
        self.add(state, record);
        true
    }

    /// As [`update`](Aggregate::update), of a record that may be kept.
    #[inline]
    fn update_owned(&self, state: &mut Self::State, record: T) -> bool {
        self.update(state, &record)
    }

    /// Takes in what was made of other records: as if they had been added one by one.
    fn merge(&self, state: &mut Self::State, later: Self::State);

    /// Makes the value of the state.
    fn finish(&self, state: &Self::State) -> Self::Value;
}

macro_rules! tuples {
    ($(($($name:ident $index:tt),*))*) => {$(
        impl<T, $($name: Aggregate<T>),*> Aggregate<T> for ($($name,)*) {
            const CLASS: Class = weakest(&[$($name::CLASS),*]);
            type State = ($($name::State,)*);
            type Value = ($($name::Value,)*);

            #[inline]
            fn start(&self, record: &T) -> Self::State {
                ($(self.$index.start(record),)*)
            }

            #[inline]
            fn add(&self, state: &mut Self::State, record: &T) {
                $(self.$index.add(&mut state.$index, record);)*
            }

            #[inline]
            fn update(&self, state: &mut Self::State, record: &T) -> bool {
                [$(self.$index.update(&mut state.$index, record)),*].contains(&true)
            }

            fn merge(&self, state: &mut Self::State, later: Self::State) {
                $(self.$index.merge(&mut state.$index, later.$index);)*
            }

            fn finish(&self, state: &Self::State) -> Self::Value {
                ($(self.$index.finish(&state.$index),)*)
            }
        }
    )*};
}

tuples! {
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
    (A 0, B 1, C 2, D 3, E 4)
    (A 0, B 1, C 2, D 3, E 4, F 5)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7)
}

/// The class of what has parts of these classes.
const fn weakest(classes: &[Class]) -> Class {
    let mut weakest = Class::Exact;
    let mut n = 0;
    while n < classes.len() {
        match classes[n] {
            Class::Exact => {}
            Class::ExactIfOrderFree if matches!(weakest, Class::Exact) => weakest = classes[n],
            Class::ExactIfOrderFree => {}
            Class::ExactIfKeyInOneLane if matches!(weakest, Class::Arrival) => {}
            Class::ExactIfKeyInOneLane | Class::Arrival => weakest = classes[n],
        }
        n += 1;
    }
    weakest
}

/// An aggregate as what the records of a key or a window are folded by.
pub(super) struct Folded<G>(pub(super) Rc<G>);

impl<T, G: Aggregate<T>> Fold<T, G::State> for Folded<G> {
    type Value = G::Value;

    #[inline]
    fn start(&self, record: T) -> G::State {
        self.0.start(&record)
    }

    #[inline]
    fn extend(&self, state: &mut G::State, record: T) -> bool {
        self.0.update_owned(state, record)
    }

    fn merge(&self, state: &mut G::State, later: G::State) {
        self.0.merge(state, later);
    }

    #[inline]
    fn finish(&self, state: G::State) -> G::Value {
        self.0.finish(&state)
    }
}
