//! JSON Lines: one JSON value a line.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;
use std::str;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::decode::{InputFormat, Rows, column, missing_field};
use super::input::Cutter;
use crate::error::BadRecord;
use crate::error::Problem;
use crate::io::source::Chunk;

/// The format JSON Lines (NDJSON): UTF-8, one JSON value a line.
#[derive(Clone, Copy, Debug, Default)]
pub struct JsonLines;

impl InputFormat for JsonLines {
    const KIND: &'static str = "json-lines";

    type Rows<T: DeserializeOwned + 'static> = JsonRows<T>;

    fn cutter(&self) -> impl Cutter {
        Lines
    }

    fn rows<T: DeserializeOwned + 'static>(&self) -> JsonRows<T> {
        let records = PhantomData;
        JsonRows {
            file: Arc::default(),
            bytes: Vec::new(),
            row: 0..0,
            next: 0,
            line: 0,
            records,
        }
    }
}

/// JSON escapes line ends within strings, so every line end is the end of a row.
struct Lines;

impl Cutter for Lines {
    fn last_end(&mut self, bytes: &[u8]) -> Option<usize> {
        Some(bytes.iter().rposition(|byte| *byte == b'\n')? + 1)
    }
}

/// The rows of JSON Lines.
pub struct JsonRows<T> {
    file: Arc<str>,
    bytes: Vec<u8>,
    row: Range<usize>,
    next: usize,
    /// The number of the line that was stepped to; the file's first is 1.
    line: u64,
    records: PhantomData<fn() -> T>,
}

impl<T> fmt::Debug for JsonRows<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonRows")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

impl<T: DeserializeOwned> Rows<T> for JsonRows<T> {
    fn start(&mut self, file: Arc<str>) {
        self.file = file;
        self.line = 0;
    }

    fn piece(&mut self, rows: Vec<u8>) {
        self.bytes = rows;
        self.next = 0;
    }

    fn step(&mut self) -> Result<bool, Problem> {
        while self.next < self.bytes.len() {
            let rest = &self.bytes[self.next..];
            let length = rest
                .iter()
                .position(|byte| *byte == b'\n')
                .unwrap_or(rest.len());
            self.row = self.next..self.next + length;
            self.next = self.bytes.len().min(self.row.end + 1);
            self.line += 1;
            if !rest[..length].trim_ascii().is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn record(&mut self, into: &mut Chunk<T>) -> Result<(), Problem> {
        let row = &self.bytes[self.row.clone()];
        match serde_json::from_slice(row) {
            Ok(record) => into.push(record),
            Err(error) => into.push_bad(self.explain(row, &error)),
        }
        Ok(())
    }

    fn bytes(&self) -> u64 {
        self.next as u64
    }
}

impl<T: DeserializeOwned> JsonRows<T> {
    #[cold]
    fn explain(&self, row: &[u8], error: &serde_json::Error) -> BadRecord {
        let bad = BadRecord {
            place: self.file.to_string(),
            line: self.line,
            text: BadRecord::excerpt(row),
            ..BadRecord::default()
        };
        if let Err(error) = str::from_utf8(row) {
            let column = Some(column(row, error.valid_up_to()));
            return BadRecord {
                column,
                reason: "expected UTF-8, found other bytes".into(),
                ..bad
            };
        }
        let message = error.to_string();
        let reason = message
            .rsplit_once(" at line ")
            .map_or(&*message, |(reason, _)| reason);
        let hint = match error.classify() {
            Category::Data => bad.hint,
            _ => Some("a line holds one whole JSON value; `jq -c .` writes them so".to_owned()),
        };
        BadRecord {
            column: Some(column(row, error.column().saturating_sub(1))),
            field: missing_field(reason)
                .map(str::to_owned)
                .or_else(|| field_path::<T>(row)),
            reason: reason.to_owned(),
            hint,
            ..bad
        }
    }
}

/// The path of the field that does not fit a `T`: `user`, `items[2].price`.
fn field_path<T: DeserializeOwned>(row: &[u8]) -> Option<String> {
    let mut json = serde_json::Deserializer::from_slice(row);
    let error = serde_path_to_error::deserialize::<_, T>(&mut json).err()?;
    Some(error.path().to_string()).filter(|path| path != "." && path != "?")
}
