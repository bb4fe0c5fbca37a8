//! The graph: typed handles over plain-data nodes.
//!
//! A pipeline function takes and returns handles ([`Stream`], [`Keyed`], [`Table`], [`Changes`]).
//! Calling their methods only adds nodes to a list: a description ([`NodeSpec`]) and a step that
//! can render the node into a timely scope. The description alone serves `explain`; each worker
//! calls the function once more and renders its own copy (`render`).
//!
//! Stateless stages render to no operator of their own. They stay *lazy* until something that
//! must be an operator pulls its input through them, so a chain of them costs one operator.

mod again;
pub(crate) mod context;
mod fuse;
mod handles;
pub(crate) mod node;
mod outline;
mod scope;
mod spec;

pub use again::ReadTwice;
pub use fuse::{Chain, Step};
pub use handles::{
    Changes, EventTimed, Keyed, Kind, KnowsLane, Lanes, Mixed, OnTime, Output, Stream, Table, Timed,
};
pub use node::Graph;
pub use outline::{Outline, OutlinePort, OutlineSetting, OutlineStage};
#[doc(hidden)]
pub use scope::{Handle, Scope};
pub use spec::{Class, GraphSpec, NodeSpec, Parameter, PortSpec, StateSpec};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::time::EventTime;

/// What a record must be to leave its worker or to be kept as state, from `key_by` on.
///
/// It is implemented for every type that has the parts; nobody implements it by hand.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent to another worker or kept as state",
    label = "after `key_by` a record must be `Clone + Send + Serialize + Deserialize`",
    note = "add `#[derive(Clone, Serialize, Deserialize)]` to the type, and hold no references"
)]
pub trait Record: Clone + Send + Serialize + DeserializeOwned + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Clone + Send + Serialize + DeserializeOwned + 'static> Record for T {}

/// What a key must be: a record that can be compared, hashed and ordered.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a key",
    label = "a key must be `Eq + Hash + Ord + Clone + Send + Serialize + Deserialize`",
    note = "floating-point numbers have no total order: use an integer, or wrap them"
)]
pub trait Key: Record + Eq + std::hash::Hash + Ord {}

#[diagnostic::do_not_recommend]
impl<K: Record + Eq + std::hash::Hash + Ord> Key for K {}

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

/// What travels beside a record: nothing, or its event time. The engine's own; nothing to call.
#[doc(hidden)]
pub trait Stamp: Copy + Send + Serialize + DeserializeOwned + 'static {}

impl Stamp for () {}
impl Stamp for EventTime {}
