//! Rows in JSON.

use serde::Serialize;
use stream_core::Problem;
use stream_core::io::{Canonical, canonical};

use super::{Encode, OutgoingRecord};

/// Rows in JSON.
#[derive(Clone, Copy, Debug)]
pub struct Json;

impl<T: Serialize> Encode<T> for Json {
    #[inline]
    fn encode(&mut self, row: &T, record: &mut OutgoingRecord<'_, '_>) -> Result<(), Problem> {
        record.json_value(row).map(drop)
    }

    fn canonical() -> Option<Canonical<T>> {
        Some(canonical)
    }
}
