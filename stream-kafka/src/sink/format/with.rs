//! A format with something more.

use std::marker::PhantomData;

use stream_core::Problem;
use stream_core::io::Canonical;

use super::{Encode, OutgoingRecord};

/// Fills in something, and then what a format does.
pub(super) struct With<T: ?Sized, E, F> {
    pub(super) format: E,
    pub(super) fill: F,
    pub(super) rows: PhantomData<T>,
}

impl<T: ?Sized, E: Clone, F: Clone> Clone for With<T, E, F> {
    fn clone(&self) -> Self {
        With {
            format: self.format.clone(),
            fill: self.fill.clone(),
            rows: PhantomData,
        }
    }
}

impl<T, E, F> Encode<T> for With<fn(&T), E, F>
where
    T: 'static,
    E: Encode<T>,
    F: Fn(&T, &mut OutgoingRecord<'_, '_>) + Clone + Send + Sync + 'static,
{
    #[inline]
    fn encode(&mut self, row: &T, record: &mut OutgoingRecord<'_, '_>) -> Result<(), Problem> {
        (self.fill)(row, record);
        self.format.encode(row, record)
    }

    fn canonical() -> Option<Canonical<T>> {
        E::canonical()
    }
}
