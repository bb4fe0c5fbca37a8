//! The operators, one a file, in the order of a record's way through a pipeline.
//!
//! Stateless stages are in [`crate::graph`], for they are no operators. Everything with state per
//! key stands on one core, `keyed`, and is only its logic.

mod absence;
pub mod aggregate;
mod as_of_join;
mod by_time;
pub(crate) mod calendar;
mod count_windows;
mod dedup;
mod divide;
mod early;
mod either;
pub(crate) mod event_time;
mod expiry;
#[cfg(all(feature = "cli", feature = "state"))]
pub(crate) mod export;
mod fold_rows;
mod global;
pub(crate) mod input;
mod interval_join;
mod kept;
pub(crate) mod keyed;
mod lookup;
pub(crate) mod operator;
pub(crate) mod output;
mod passage;
pub(crate) mod raw;
mod refusals;
#[cfg(feature = "differential")]
pub mod relation;
pub(crate) mod scan;
pub(crate) mod session;
mod sessions_of_key;
pub(crate) mod sliding;
pub(crate) mod table;
mod table_join;
mod table_rows;
mod tapped;
pub(crate) mod timers;
mod ttl;
pub(crate) mod tumbling;
pub(crate) mod union;
pub(crate) mod window;
mod window_join;

pub use calendar::CalendarWindows;
pub use count_windows::CountWindows;
pub use divide::Outputs;
#[doc(hidden)]
pub use divide::{Divided, Parts};
pub use early::Early;
pub use either::Either;
pub use global::GlobalWindows;
pub use operator::{Apply, Cx, KeyedOperator, Operator, Overtaken};
#[doc(hidden)]
pub use refusals::{HasKey, HasNoKey};
#[cfg(feature = "differential")]
pub use relation::{Groups, Relation};
pub use session::SessionWindows;
pub use sliding::SlidingWindows;
#[doc(inline)]
pub use stream_macros::Outputs;
pub use tumbling::TumblingWindows;
pub use window::{Windowed, Windows};

pub use crate::graph::{Change, Entry};
