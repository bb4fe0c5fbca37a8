//! Records that could not be read.

use stream_core::Problem;
use stream_core::io::{BadRecord, Canonical, canonical};

use super::{Encode, OutgoingRecord, Whole};
use crate::Record;

/// Records that could not be read, as they were, with what was wrong in their headers.
#[derive(Clone, Copy, Debug)]
pub struct DeadLetters;

impl Encode<BadRecord> for DeadLetters {
    fn encode(&mut self, bad: &BadRecord, out: &mut OutgoingRecord<'_, '_>) -> Result<(), Problem> {
        match Record::from_raw(&bad.raw) {
            Some(origin) => {
                Whole.encode(&origin, out)?;
                out.header("error.topic", &origin.topic)
                    .header("error.partition", origin.partition.to_string())
                    .header("error.offset", origin.offset.to_string());
            }
            // It comes from another kind of source.
            None => {
                out.value(&bad.text).header("error.place", &bad.place);
                if bad.line > 0 {
                    out.header("error.line", bad.line.to_string());
                }
            }
        }
        out.header("error.reason", &bad.reason);
        for (name, told) in [("error.field", &bad.field), ("error.hint", &bad.hint)] {
            if let Some(told) = told {
                out.header(name, told);
            }
        }
        Ok(())
    }

    fn canonical() -> Option<Canonical<BadRecord>> {
        Some(canonical)
    }
}
