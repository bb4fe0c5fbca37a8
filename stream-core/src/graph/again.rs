//! Reading a stream twice: what `#[pipeline]` writes where a binding is read again later.

use super::{Changes, Key, Keyed, Kind, Record, Stream, Table};

/// A stream that can be read twice: its records are `Clone`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is read more than once, and its records are not `Clone`",
    label = "read here, and again further down",
    note = "add `#[derive(Clone)]` to the type of the records, or read the stream once"
)]
pub trait ReadTwice {}

#[diagnostic::do_not_recommend]
impl<T: Clone + 'static, K: Kind> ReadTwice for Stream<T, K> {}

impl<T: 'static, K: Kind> Stream<T, K> {
    /// A second handle to the same stream.
    #[doc(hidden)]
    pub fn again(&self) -> Self
    where
        Self: ReadTwice + Clone,
    {
        self.clone()
    }
}

impl<Q, T, K: Kind> Keyed<Q, T, K> {
    /// A second handle to the same stream.
    #[doc(hidden)]
    pub fn again(&self) -> Self
    where
        Q: Key,
        T: Record,
    {
        self.clone()
    }
}

impl<Q, V> Table<Q, V> {
    /// A second handle to the same table.
    #[doc(hidden)]
    pub fn again(&self) -> Self
    where
        Q: Key,
        V: Record,
    {
        self.clone()
    }
}

impl<Q, V> Changes<Q, V> {
    /// A second handle to the same changes.
    #[doc(hidden)]
    pub fn again(&self) -> Self
    where
        Q: Key,
        V: Record,
    {
        self.clone()
    }
}
