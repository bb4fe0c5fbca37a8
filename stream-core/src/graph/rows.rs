//! What a table is written as.

use serde::{Deserialize, Serialize};

/// A change of a table: the key's new value, or `None` when the key is gone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Change<Q, V> {
    /// The key.
    pub key: Q,
    /// Its value from now on.
    pub value: Option<V>,
}

/// A row of a table's content.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Entry<Q, V> {
    /// The key.
    pub key: Q,
    /// Its value.
    pub value: V,
}
