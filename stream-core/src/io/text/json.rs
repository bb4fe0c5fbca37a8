//! Records as JSON Lines.

use serde::Serialize;

use super::{Encoder, FileRow, OutputFormat};
use crate::error::Problem;
use crate::io::files::JsonLines;

impl OutputFormat for JsonLines {
    const NAME: &'static str = "json";
    const EXTENSION: &'static str = "jsonl";
    type Encoder = JsonEncoder;
}

impl<T: Serialize> FileRow<JsonLines> for T {
    fn tell(_: &mut JsonEncoder) {}
}

/// Writes one JSON value a line.
#[derive(Debug, Default)]
pub struct JsonEncoder;

impl Encoder for JsonEncoder {
    fn encode<T: Serialize>(&mut self, records: &[T], rows: &mut Vec<u8>) -> Result<(), Problem> {
        for record in records {
            serde_json::to_writer(&mut *rows, record).map_err(|error| {
                let type_name = std::any::type_name::<T>();
                Problem::new(format!("JSON cannot hold a `{type_name}`"))
                    .because(error)
                    .hint("the keys of a map have to be text, numbers or names of variants")
            })?;
            rows.push(b'\n');
        }
        Ok(())
    }
}
