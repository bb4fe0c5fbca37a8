//! CSV (RFC 4180): fields separated by commas or another byte, quoted where they hold one.

use std::io::{Cursor, SeekFrom};
use std::marker::PhantomData;
use std::mem;
use std::num::IntErrorKind;
use std::sync::Arc;

use csv::{
    ByteRecord, DeserializeError, DeserializeErrorKind, ErrorKind, ReaderBuilder, StringRecord,
};
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer};

use super::decode::{BAD_RECORD_HINT, InputFormat, Rows, column, missing_field};
use super::input::Cutter;
use super::quotes::{Mark, Quotes};
use crate::error::BadRecord;
use crate::error::Problem;

/// The format CSV, and its settings.
#[derive(Clone, Copy, Debug)]
pub struct Csv {
    pub(super) delimiter: u8,
    pub(super) header: bool,
}

impl Default for Csv {
    fn default() -> Self {
        Csv {
            delimiter: b',',
            header: true,
        }
    }
}

impl InputFormat for Csv {
    const KIND: &'static str = "csv";

    type Rows<T: DeserializeOwned + 'static> = CsvRows<T>;

    fn check(&self) -> Result<(), Problem> {
        match self.delimiter {
            b'"' | b'\n' | b'\r' => {
                let what = format!("{:?} cannot separate fields", char::from(self.delimiter));
                Err(Problem::new(what).hint("take `b','`, `b';'`, `b'\\t'` or the like"))
            }
            _ => Ok(()),
        }
    }

    fn cutter(&self) -> impl Cutter {
        Quotes::new(self.delimiter)
    }

    fn rows<T: DeserializeOwned + 'static>(&self) -> CsvRows<T> {
        CsvRows {
            format: *self,
            file: Arc::default(),
            rows: reader(self.delimiter),
            row: ByteRecord::new(),
            text: None,
            header: None,
            names: None,
            width: None,
            lines: Lines::default(),
            records: PhantomData,
        }
    }
}

/// Makes a reader of pieces. Whole rows make each independent of those before.
fn reader(delimiter: u8) -> csv::Reader<Cursor<Vec<u8>>> {
    ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false) // the header is in the first piece only
        .flexible(true) // the number of fields is checked against the header, below
        .from_reader(Cursor::new(Vec::new()))
}

/// The rows of CSV.
pub struct CsvRows<T> {
    format: Csv,
    file: Arc<str>,
    rows: csv::Reader<Cursor<Vec<u8>>>,
    row: ByteRecord,
    /// Its memory is taken in turns with that of `row`, so that no row allocates.
    text: Option<StringRecord>,
    header: Option<ByteRecord>,
    /// The header, if it is UTF-8.
    names: Option<StringRecord>,
    /// How many fields a row of this file has: as many as its first one.
    width: Option<usize>,
    lines: Lines,
    records: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Rows<T> for CsvRows<T> {
    fn start(&mut self, file: Arc<str>) {
        self.file = file;
        self.header = None;
        self.names = None;
        self.width = None;
        self.lines = Lines::default();
        self.rows = reader(self.format.delimiter);
    }

    fn piece(&mut self, rows: Vec<u8>) {
        self.lines.next_piece(self.rows.get_ref().get_ref());
        *self.rows.get_mut() = Cursor::new(rows);
        // This makes the reader begin anew, which costs less than another reader.
        let start = self.rows.seek_raw(SeekFrom::Start(0), csv::Position::new());
        assert!(start.is_ok(), "memory can be read from its start");
    }

    fn step(&mut self) -> Result<bool, Problem> {
        let failed = |error| Problem::new(format!("cannot read `{}`", self.file)).because(error);
        while self.rows.read_byte_record(&mut self.row).map_err(failed)? {
            self.width.get_or_insert(self.row.len());
            if !self.format.header || self.header.is_some() {
                return Ok(true);
            }
            self.names = StringRecord::from_byte_record(self.row.clone()).ok();
            self.header = Some(self.row.clone());
        }
        Ok(false)
    }

    fn record(&mut self) -> Result<Result<T, BadRecord>, Problem> {
        if self.width != Some(self.row.len()) {
            return Ok(Err(self.wrong_width()));
        }
        self.deserialize().map_or_else(
            |error| self.explain(error).map(Err),
            |record| Ok(Ok(record)),
        )
    }

    fn bytes(&self) -> u64 {
        self.rows.position().byte()
    }

    fn end(&mut self) -> Result<(), Problem> {
        if self.format.header && self.header.is_none() {
            let problem = Problem::new(format!("`{}` has no header", self.file));
            return Err(problem
                .detail("the file is empty")
                .hint("remove it, or, if it holds only rows, read it with `.without_header()`"));
        }
        Ok(())
    }
}

impl<T: DeserializeOwned> CsvRows<T> {
    /// Reads the row as text, which is checked to be UTF-8 once and not field by field. Where the
    /// row or the header is not, some `T` may still take it as bytes.
    fn deserialize(&mut self) -> Result<T, csv::Error> {
        if self.header.is_some() && self.names.is_none() {
            return self.row.deserialize(self.header.as_ref());
        }
        let spare = self.text.take().map(StringRecord::into_byte_record);
        let row = mem::replace(&mut self.row, spare.unwrap_or_default());
        match StringRecord::from_byte_record(row) {
            Ok(text) => {
                let result = text.deserialize(self.names.as_ref());
                match result {
                    Ok(_) => self.text = Some(text),
                    Err(_) => self.row = text.into_byte_record(),
                }
                result
            }
            Err(error) => {
                self.row = error.into_byte_record();
                self.row.deserialize(self.header.as_ref())
            }
        }
    }

    /// The row's place and text, without what is wrong with it.
    fn bad(&mut self) -> BadRecord {
        let (start, raw) = self.raw();
        let text = BadRecord::excerpt(raw);
        let line = self.lines.at(self.rows.get_ref().get_ref(), start);
        let hint = Some(BAD_RECORD_HINT.to_owned());
        BadRecord {
            place: self.file.to_string(),
            line,
            hint,
            text,
            ..BadRecord::default()
        }
    }

    /// The row as it stands in the piece, and where. What the parser calls its start may lie
    /// before the line end of the row before.
    fn raw(&self) -> (usize, &[u8]) {
        let piece = self.rows.get_ref().get_ref();
        let start = self
            .row
            .position()
            .map_or(0, |position| position.byte() as usize);
        let raw = &piece[start..self.rows.position().byte() as usize];
        let blank = raw
            .iter()
            .take_while(|byte| matches!(byte, b'\r' | b'\n'))
            .count();
        (start + blank, &raw[blank..])
    }

    #[cold]
    fn wrong_width(&mut self) -> BadRecord {
        let (found, expected) = (self.row.len(), self.width.unwrap_or_default());
        let first = if self.format.header {
            "the header"
        } else {
            "the file's first row"
        };
        let reason = format!("the row has {found} fields, {first} has {expected}");
        BadRecord {
            reason,
            ..self.bad()
        }
    }

    #[cold]
    fn explain(&mut self, error: csv::Error) -> Result<BadRecord, Problem> {
        let reason = error.to_string();
        let ErrorKind::Deserialize { err: error, .. } = error.into_kind() else {
            return Ok(BadRecord {
                reason,
                ..self.bad()
            });
        };
        let message = error.kind().to_string();
        if let (Some(header), Some(field)) = (&self.header, missing_field(&message)) {
            return Err(self.no_such_field(header, field));
        }
        let index = error
            .field()
            .map(|index| index as usize)
            .or_else(|| self.refused(&message));
        let name = |index| Some(String::from_utf8_lossy(self.header.as_ref()?.get(index)?).into());
        let field = index.and_then(name);
        let reason = self.reason(&error, index);
        let bad = self.bad();
        let Some(index) = index else {
            return Ok(BadRecord {
                field,
                reason,
                ..bad
            });
        };
        let (lines_down, column) = place(self.raw().1, index, self.format.delimiter);
        let line = bad.line + lines_down;
        Ok(BadRecord {
            line,
            column: Some(column),
            field,
            reason,
            ..bad
        })
    }

    /// The field whose value a type of its own refused with this message: the first that brings
    /// it as the last of a shorter row. The message alone does not tell.
    fn refused(&self, message: &str) -> Option<usize> {
        let within = self.row.deserialize::<FailsWithin<T>>(self.header.as_ref());
        if !within.is_ok_and(|fails| fails.within_field) {
            return None;
        }
        let (mut header, mut row) = (ByteRecord::new(), ByteRecord::new());
        (0..self.row.len()).find(|index| {
            header.push_field(self.header.as_ref().map_or(b"", |header| &header[*index]));
            row.push_field(&self.row[*index]);
            let error = row
                .deserialize::<T>(self.header.is_some().then_some(&header))
                .err();
            matches!(
                error.as_ref().map(csv::Error::kind),
                Some(ErrorKind::Deserialize { err, .. }) if err.kind().to_string() == message
            )
        })
    }

    /// Every row of the file would fail alike, so the file does.
    fn no_such_field(&self, header: &ByteRecord, field: &str) -> Problem {
        let quoted = |name| format!("`{}`", String::from_utf8_lossy(name));
        let fields: Vec<String> = header.iter().map(quoted).collect();
        Problem::new(format!(
            "`{}`, line 1: the header has no field `{field}`",
            self.file
        ))
        .detail(format!("it has {}", fields.join(", ")))
        .hint(
            "name the field by `#[serde(rename = \"…\")]`, set `.delimiter(…)`, or, if the \
                 first row is a record, `.without_header()`",
        )
    }

    /// What was expected, and what was found.
    fn reason(&self, error: &DeserializeError, field: Option<usize>) -> String {
        let value = field
            .and_then(|index| self.row.get(index))
            .unwrap_or_default();
        let found = match value {
            [] => "nothing".to_owned(),
            value => format!("`{}`", BadRecord::excerpt(value)),
        };
        match error.kind() {
            DeserializeErrorKind::ParseInt(error) => match error.kind() {
                IntErrorKind::PosOverflow => format!("{found} is too large for the field's type"),
                IntErrorKind::NegOverflow => format!("{found} is too small for the field's type"),
                _ if value.starts_with(b"-") && value[1..].iter().all(u8::is_ascii_digit) => {
                    format!("expected a whole number of 0 or more, found {found}")
                }
                _ => format!("expected a whole number, found {found}"),
            },
            DeserializeErrorKind::ParseFloat(_) => format!("expected a number, found {found}"),
            DeserializeErrorKind::ParseBool(_) => {
                format!("expected `true` or `false`, found {found}")
            }
            DeserializeErrorKind::InvalidUtf8(_) => format!("expected UTF-8, found {found}"),
            DeserializeErrorKind::UnexpectedEndOfRow => {
                format!("the row has only {} fields", self.row.len())
            }
            other => other.to_string(),
        }
    }
}

/// Where a field begins in a row: how many lines down, and the column there.
fn place(row: &[u8], field: usize, delimiter: u8) -> (u64, u64) {
    let mut quotes = Quotes::new(delimiter);
    let ends = row
        .iter()
        .enumerate()
        .filter(|(_, byte)| quotes.step(**byte) == Mark::FieldEnd);
    let start = match field {
        0 => 0,
        field => ends
            .map(|(end, _)| end + 1)
            .nth(field - 1)
            .unwrap_or(row.len()),
    };
    let line = row[..start]
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |end| end + 1);
    (
        count_lines(&row[..start]),
        column(&row[line..], start - line),
    )
}

/// Counts the lines of a file, but only as far as somebody asks.
#[derive(Default)]
struct Lines {
    before: u64,
    counted: usize,
}

impl Lines {
    /// The number of the line at this place of the piece; the file's first is 1.
    fn at(&mut self, piece: &[u8], place: usize) -> u64 {
        self.before += count_lines(&piece[self.counted..place]);
        self.counted = place;
        self.before + 1
    }

    fn next_piece(&mut self, piece: &[u8]) {
        self.at(piece, piece.len());
        self.counted = 0;
    }
}

fn count_lines(bytes: &[u8]) -> u64 {
    let count = |part: &[u8]| part.iter().map(|byte| u8::from(*byte == b'\n')).sum::<u8>();
    bytes.chunks(255).map(|part| u64::from(count(part))).sum()
}

/// Reads a `T` only to learn whether it fails at one of its fields, or as a whole.
struct FailsWithin<T> {
    within_field: bool,
    read: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for FailsWithin<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut track = serde_path_to_error::Track::new();
        let result = T::deserialize(serde_path_to_error::Deserializer::new(from, &mut track));
        let within_field = result.is_err() && track.path().iter().next().is_some();
        Ok(FailsWithin {
            within_field,
            read: PhantomData,
        })
    }
}
