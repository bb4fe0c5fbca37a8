//! What the engine asks of records and keys.

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
    note = "for a type of your own: `#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]`",
    note = "floating-point numbers have no total order: use an integer, or wrap them"
)]
pub trait Key: Record + Eq + std::hash::Hash + Ord {}

#[diagnostic::do_not_recommend]
impl<K: Record + Eq + std::hash::Hash + Ord> Key for K {}

/// What travels beside a record: nothing, or its event time. The engine's own; nothing to call.
#[doc(hidden)]
pub trait Stamp: Copy + Send + Serialize + DeserializeOwned + 'static {}

impl Stamp for () {}
impl Stamp for EventTime {}
