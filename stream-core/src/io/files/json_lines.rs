//! JSON Lines: one JSON value a line.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;
use std::str;
use std::sync::Arc;

use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::error::Category;

use super::absent;
use super::decode::{InputFormat, Rows, column, missing_field};
use super::input::Cutter;
use super::piece::Lines;
use crate::error::BadRecord;
use crate::error::Problem;
use crate::io::source::Chunk;
use crate::shape::FieldNames;

/// How many records of a reader are looked at for fields that none of them has.
const LOOKED_AT_MAX: usize = 1_000;
/// How many names of those that no field has are kept meanwhile.
const NAMES_MAX: usize = 1_000;

/// The format JSON Lines (NDJSON): UTF-8, one JSON value a line.
#[derive(Clone, Copy, Debug, Default)]
pub struct JsonLines;

impl InputFormat for JsonLines {
    const KIND: &'static str = "json-lines";

    type Rows<T: DeserializeOwned + 'static> = JsonRows<T>;

    fn cutter(&self) -> impl Cutter {
        LineEnds
    }

    fn rows<T: DeserializeOwned + 'static>(&self) -> JsonRows<T> {
        let records = PhantomData;
        JsonRows {
            file: Arc::default(),
            piece: Vec::new(),
            row: 0..0,
            next: 0,
            lines: Lines::default(),
            look: Look::of::<T>(),
            records,
        }
    }
}

/// JSON escapes line ends within strings, so every line end is the end of a row.
struct LineEnds;

impl Cutter for LineEnds {
    fn last_end(&mut self, bytes: &[u8]) -> Option<usize> {
        Some(bytes.iter().rposition(|byte| *byte == b'\n')? + 1)
    }
}

/// The rows of JSON Lines.
pub struct JsonRows<T> {
    file: Arc<str>,
    piece: Vec<u8>,
    row: Range<usize>,
    next: usize,
    lines: Lines,
    /// What is found out about fields that no record has, as long as it is.
    look: Option<Look>,
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
        self.piece.clear();
        self.next = 0;
        self.lines = Lines::default();
    }

    fn go_on(&mut self, _: Vec<u8>, lines: u64) -> Result<(), Problem> {
        self.lines = Lines::behind(lines);
        Ok(())
    }

    fn take(&mut self, piece: Vec<u8>) {
        self.lines.next_piece(&self.piece);
        self.piece = piece;
        self.next = 0;
    }

    fn piece(&self) -> &[u8] {
        &self.piece
    }

    fn step(&mut self) -> Result<bool, Problem> {
        while self.next < self.piece.len() {
            let rest = &self.piece[self.next..];
            let length = rest
                .iter()
                .position(|byte| *byte == b'\n')
                .unwrap_or(rest.len());
            self.row = self.next..self.next + length;
            self.next = self.piece.len().min(self.row.end + 1);
            if !rest[..length].trim_ascii().is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn record(&mut self, into: &mut Chunk<T>) -> Result<(), Problem> {
        let row = &self.piece[self.row.clone()];
        match serde_json::from_slice(row) {
            Ok(record) => {
                into.push(record);
                if let Some(look) = &mut self.look {
                    look.at(row);
                }
            }
            Err(error) => into.push_bad(self.explain(row, &error)),
        }
        Ok(())
    }

    fn tell(&mut self, into: &mut Chunk<T>) {
        if let Some(look) = self.look.take_if(|look| look.is_done()) {
            look.tell(&self.file, into);
        }
    }

    fn end(&mut self) -> Result<(), Problem> {
        if let Some(look) = &mut self.look {
            look.has_ended = true;
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.next
    }

    fn lines(&self, place: usize) -> u64 {
        self.lines.before(&self.piece, place)
    }
}

impl<T: DeserializeOwned> JsonRows<T> {
    #[cold]
    fn explain(&self, row: &[u8], error: &serde_json::Error) -> BadRecord {
        let bad = BadRecord {
            place: self.file.to_string(),
            line: self.lines.before(&self.piece, self.row.start) + 1,
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

/// What the first records of a reader say of the fields of their type.
struct Look {
    fields: FieldNames,
    records: usize,
    found: BTreeSet<String>,
    has_ended: bool,
}

impl Look {
    /// None where no field may be missing.
    fn of<T: DeserializeOwned>() -> Option<Self> {
        let fields = FieldNames::of::<T>()?;
        (!fields.absent(|_| false).is_empty()).then(|| Look {
            fields,
            records: 0,
            found: BTreeSet::new(),
            has_ended: false,
        })
    }

    #[cold]
    fn at(&mut self, row: &[u8]) {
        if self.is_done() {
            return;
        }
        self.records += 1;
        // A record may be no object, whatever its type says.
        let row: Result<BTreeMap<String, IgnoredAny>, _> = serde_json::from_slice(row);
        for name in row.into_iter().flat_map(BTreeMap::into_keys) {
            if self.found.len() < NAMES_MAX || self.fields.has(&name) {
                self.found.insert(name);
            }
        }
    }

    fn is_done(&self) -> bool {
        self.records == LOOKED_AT_MAX || self.has_ended
    }

    fn tell<T>(&self, file: &str, into: &mut Chunk<T>) {
        let names = self.found.iter();
        let unread: Vec<_> = names.filter(|name| !self.fields.has(name)).collect();
        for field in self.fields.absent(|name| self.found.contains(name)) {
            if let Some(name) = absent::like(field, &unread) {
                let records = self.records;
                into.absent.push(format!(
                    "`{file}` has no `{field}` in its first {records} records, and `{name}` looks like it"
                ));
            }
        }
    }
}

/// The path of the field that does not fit a `T`: `user`, `items[2].price`.
fn field_path<T: DeserializeOwned>(row: &[u8]) -> Option<String> {
    let mut json = serde_json::Deserializer::from_slice(row);
    let error = serde_path_to_error::deserialize::<_, T>(&mut json).err()?;
    Some(error.path().to_string()).filter(|path| path != "." && path != "?")
}
