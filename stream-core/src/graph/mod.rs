//! The graph: typed handles over plain-data nodes.
//!
//! A pipeline function takes and returns handles ([`Stream`], [`Keyed`], [`Table`], [`Changes`]).
//! Calling their methods only adds nodes to a list: a description ([`NodeSpec`]) and a step that
//! can render the node into a timely scope. The description alone serves `explain`; each worker
//! calls the function once more and renders its own copy (`context`).
//!
//! Stateless stages render to no operator of their own. They stay *lazy* until something that
//! must be an operator pulls its input through them, so a chain of them costs one operator.

mod again;
pub(crate) mod context;
pub(crate) mod fuse;
pub(crate) mod handles;
pub(crate) mod node;
#[doc(hidden)]
pub mod outline;
mod rows;
mod sample;
mod scope;
pub(crate) mod sides;
mod spec;
mod stateless;

pub use crate::state::Fingerprint;
#[doc(hidden)]
pub use again::ReadTwice;
pub use fuse::{Chain, Step};
pub use handles::{
    Changes, EventTimed, Expiring, InOrder, Keyed, Kind, KnowsLane, Lanes, Lasting, Mixed, OnTime,
    Output, Stream, Table, Timed, TimedAs,
};
pub use node::Graph;
pub use outline::{Outline, OutlinePort, OutlineSetting, OutlineStage};
pub use rows::{Change, Entry};
#[doc(hidden)]
pub use scope::{Handle, Scope};
pub use spec::{Class, GraphSpec, NodeSpec, Parameter, PortSpec, StateSpec};

#[doc(hidden)]
pub use crate::state::record::Stamp;
pub use crate::state::record::{Key, Record};

/// What a setting of a pipeline must be: every worker has a copy.
///
/// It is implemented for every type that has the parts; nobody implements it by hand.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a setting of a pipeline",
    label = "a setting must be `Clone + Send + Sync + 'static`",
    note = "every worker builds its own copy of the graph, with its own copy of the settings",
    note = "what is meant to be a stream is written as `Stream<…>`, by this name"
)]
pub trait Setting: Clone + Send + Sync + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Clone + Send + Sync + 'static> Setting for T {}
