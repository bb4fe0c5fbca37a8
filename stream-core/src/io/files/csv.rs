//! CSV (RFC 4180): fields separated by commas or another byte, quoted where they hold one.

use std::fmt;
use std::marker::PhantomData;
use std::num::IntErrorKind;
use std::ops::Range;
use std::str;
use std::sync::Arc;

use csv::{ByteRecord, DeserializeError, DeserializeErrorKind, ErrorKind};
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer};

use super::absent;
use super::decode::{InputFormat, Rows, missing_field};
use super::fields::Header;
use super::input::Cutter;
use super::piece::{Lines, Piece, is_line_end, place};
use super::quotes::Quotes;
use super::row::Row;
use crate::error::BadRecord;
use crate::error::Problem;
use crate::io::source::Chunk;
use crate::shape::{Columns, FieldNames, columns_of};

/// What usually stands for no value, in small letters.
const NO_VALUES: [&str; 13] = [
    "na", "n/a", "#n/a", "null", "none", "nil", "-", "--", "?", ".", "\\n", "missing", "unknown",
];

/// The format CSV, and its settings.
#[derive(Clone, Debug)]
pub struct Csv {
    pub(super) delimiter: u8,
    pub(super) header: bool,
    /// The texts that say that there is no value, beside the empty one.
    pub(super) nulls: Arc<[String]>,
}

impl Default for Csv {
    fn default() -> Self {
        Csv {
            delimiter: b',',
            header: true,
            nulls: Arc::default(),
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
            format: self.clone(),
            nullable: None,
            file: Arc::default(),
            piece: Piece::default(),
            place: 0..0,
            row: Row::new(self.delimiter),
            header: None,
            fields: None,
            absent: Vec::new(),
            width: None,
            lines: Lines::default(),
            records: PhantomData,
        }
    }
}

/// The rows of CSV.
pub struct CsvRows<T> {
    format: Csv,
    file: Arc<str>,
    piece: Piece,
    /// Where the row that was stepped to lies in the piece.
    place: Range<usize>,
    row: Row,
    header: Option<Header>,
    /// The fields of `T`, once there has been a header.
    fields: Option<Option<FieldNames>>,
    /// Those that this file does not have, as long as it has shown no row.
    absent: Vec<String>,
    /// How many fields a row of this file has: as many as its first one.
    width: Option<usize>,
    lines: Lines,
    /// The columns of `T`, once a row with a null has had to be read by the `csv` crate.
    nullable: Option<Option<Columns>>,
    records: PhantomData<fn() -> T>,
}

impl<T> fmt::Debug for CsvRows<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CsvRows")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

impl<T: DeserializeOwned> Rows<T> for CsvRows<T> {
    fn start(&mut self, file: Arc<str>) {
        self.file = file;
        self.piece = Piece::default();
        self.place = 0..0;
        self.row = Row::new(self.format.delimiter);
        self.header = None;
        self.absent.clear();
        self.width = None;
        self.lines = Lines::default();
    }

    fn go_on(&mut self, head: Vec<u8>, lines: u64) -> Result<(), Problem> {
        self.take(head);
        self.step()?;
        self.take(Vec::new());
        self.lines = Lines::behind(lines);
        Ok(())
    }

    fn take(&mut self, piece: Vec<u8>) {
        self.lines.next_piece(self.piece.bytes());
        self.piece = Piece::new(piece);
        self.place = 0..0;
    }

    fn piece(&self) -> &[u8] {
        self.piece.bytes()
    }

    #[inline]
    fn step(&mut self) -> Result<bool, Problem> {
        while let Some(start) = self.next_start() {
            self.place = start..start + self.row.take(&self.piece.bytes()[start..]);
            self.width.get_or_insert(self.row.len());
            if !self.format.header || self.header.is_some() {
                return Ok(true);
            }
            let names = self.copy();
            self.look_for_fields(&names)?;
            self.header = Some(Header::new(names));
        }
        let end = self.piece.bytes().len();
        self.place = end..end;
        Ok(false)
    }

    #[inline]
    fn record(&mut self, into: &mut Chunk<T>) -> Result<(), Problem> {
        if self.width != Some(self.row.len()) {
            into.push_bad(self.wrong_width());
            return Ok(());
        }
        let text = self.piece.text(self.place.clone());
        let fields = text.and_then(|text| self.row.fields(text, self.header.as_ref()));
        if let Some(mut fields) = fields.map(|fields| fields.with_nulls(&self.format.nulls))
            && let Ok(record) = T::deserialize(&mut fields)
        {
            into.push(record);
            return Ok(());
        }
        self.read_again(into)
    }

    fn bytes(&self) -> usize {
        self.place.end
    }

    fn lines(&self, place: usize) -> u64 {
        self.lines.before(self.piece.bytes(), place)
    }

    fn tell(&mut self, into: &mut Chunk<T>) {
        if !self.absent.is_empty() && !into.is_empty() {
            into.absent.append(&mut self.absent);
        }
    }
}

impl<T: DeserializeOwned> CsvRows<T> {
    /// Where the next row starts: behind empty lines.
    #[inline]
    fn next_start(&self) -> Option<usize> {
        let rest = &self.piece.bytes()[self.place.end..];
        let start = rest.iter().position(|byte| !is_line_end(*byte))?;
        Some(self.place.end + start)
    }

    fn bytes_of_row(&self) -> &[u8] {
        &self.piece.bytes()[self.place.clone()]
    }

    /// Copies the row for the `csv` crate.
    fn copy(&self) -> ByteRecord {
        self.row.copy(self.bytes_of_row())
    }

    /// Finds out which fields of a `T` the header does not have, though they may be missing.
    fn look_for_fields(&mut self, names: &ByteRecord) -> Result<(), Problem> {
        let fields = self.fields.get_or_insert_with(FieldNames::of::<T>);
        if let Some(fields) = fields {
            let names = names
                .iter()
                .map(|name| String::from_utf8_lossy(name).into());
            self.absent = absent::in_header(&self.file, fields, &names.collect::<Vec<String>>())?;
        }
        Ok(())
    }

    fn names(&self) -> Option<&ByteRecord> {
        self.header.as_ref().map(|header| &header.names)
    }

    /// Reads the row by the `csv` crate, which is slower, takes bytes that are not UTF-8 where `T`
    /// does, and says what is wrong.
    #[cold]
    fn read_again(&mut self, into: &mut Chunk<T>) -> Result<(), Problem> {
        let row = self.copy();
        let row = match self.format.nulls.is_empty() {
            true => row,
            false => self.without_nulls(&row),
        };
        match row.deserialize(self.names()) {
            Ok(record) => match self.endless(&row) {
                None => into.push(record),
                Some(index) => into.push_bad(self.no_number(&row, index)),
            },
            Err(error) => into.push_bad(self.explain(&row, error)?),
        }
        Ok(())
    }

    /// The first field of numbers that holds `nan`, `inf` or the like, which Rust takes for numbers. One
    /// that is no field of numbers takes another text, too.
    fn endless(&self, row: &ByteRecord) -> Option<usize> {
        let is_endless = |cell: &[u8]| str::from_utf8(cell).is_ok_and(is_endless);
        let is_of_numbers = |index: &usize| {
            let cells = row.iter().enumerate();
            let other = cells.map(|(at, cell)| if at == *index { b"?" } else { cell });
            let read = other.collect::<ByteRecord>().deserialize::<T>(self.names());
            match read.err().map(csv::Error::into_kind) {
                Some(ErrorKind::Deserialize { err, .. }) => match err.kind() {
                    DeserializeErrorKind::ParseFloat(_) => true,
                    // What is flattened is read as text first.
                    other => other
                        .to_string()
                        .starts_with("invalid type: string \"?\", expected f"),
                },
                _ => false,
            }
        };
        let cells = row.iter().enumerate();
        let found = cells.filter(|(_, cell)| is_endless(cell));
        let mut found = found.map(|(index, _)| index);
        found.find(is_of_numbers)
    }

    #[cold]
    fn no_number(&mut self, row: &ByteRecord, index: usize) -> BadRecord {
        let found = BadRecord::excerpt(&row[index]);
        let reason = format!("expected a finite number, found `{found}`");
        self.bad_at(row, index, reason)
    }

    /// A bad record, of which one field is to blame.
    fn bad_at(&mut self, row: &ByteRecord, index: usize, reason: String) -> BadRecord {
        let name = self.names().and_then(|names| names.get(index));
        let field = name.map(|name| String::from_utf8_lossy(name).into());
        let hint = self.hint(row, index);
        let bad = self.bad();
        let (lines_down, column) = place(self.bytes_of_row(), index, self.format.delimiter);
        BadRecord {
            line: bad.line + lines_down,
            column: Some(column),
            field,
            reason,
            hint,
            ..bad
        }
    }

    /// What to do about a text that usually stands for no value.
    fn hint(&mut self, row: &ByteRecord, index: usize) -> Option<String> {
        let text = str::from_utf8(row.get(index)?).ok()?;
        let plain = text.trim().to_lowercase();
        if !NO_VALUES.contains(&&*plain) && !is_endless(&plain) {
            return None;
        }
        self.nullable.get_or_insert_with(columns_of::<T>);
        let option = match self.is_optional(index) {
            true => "",
            false => " and an `Option` for the field",
        };
        Some(format!(
            "where it stands for no value, say so by `.nulls([{text:?}])` on the source{option}; or \
             leave such records out by `.skip_bad_records()`"
        ))
    }

    /// The row with nothing where an optional field holds a text that means nothing: that is what
    /// the `csv` crate takes for none.
    fn without_nulls(&mut self, row: &ByteRecord) -> ByteRecord {
        self.nullable.get_or_insert_with(columns_of::<T>);
        let is_null = |cell: &[u8]| self.format.nulls.iter().any(|null| null.as_bytes() == cell);
        let cells = row.iter().enumerate();
        let cell = |(index, cell)| match is_null(cell) && self.is_optional(index) {
            true => &[],
            false => cell,
        };
        cells.map(cell).collect()
    }

    /// Whether the field of a column may be nothing, as far as that is known.
    fn is_optional(&self, index: usize) -> bool {
        let name = self.names().and_then(|names| names.get(index));
        let name = name.and_then(|name| str::from_utf8(name).ok());
        match (name, &self.fields, &self.nullable) {
            (Some(name), Some(Some(fields)), _) => fields.is_optional(name),
            (_, _, Some(Some(columns))) => columns.is_optional(name, index),
            _ => false,
        }
    }

    /// The row's place and text, without what is wrong with it.
    fn bad(&mut self) -> BadRecord {
        let text = BadRecord::excerpt(self.bytes_of_row());
        let line = self.lines(self.place.start) + 1;
        BadRecord {
            place: self.file.to_string(),
            line,
            text,
            ..BadRecord::default()
        }
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
    fn explain(&mut self, row: &ByteRecord, error: csv::Error) -> Result<BadRecord, Problem> {
        let reason = error.to_string();
        let ErrorKind::Deserialize { err: error, .. } = error.into_kind() else {
            return Ok(BadRecord {
                reason,
                ..self.bad()
            });
        };
        let message = error.kind().to_string();
        if let (Some(names), Some(field)) = (self.names(), missing_field(&message)) {
            return Err(self.no_such_field(names, field));
        }
        let index = error
            .field()
            .map(|index| index as usize)
            .or_else(|| self.refused(row, &message));
        let reason = told(row, &error, index);
        Ok(match index {
            Some(index) => self.bad_at(row, index, reason),
            None => BadRecord {
                reason,
                ..self.bad()
            },
        })
    }

    /// The field whose value a type of its own refused with this message: the first that brings
    /// it as the last of a shorter row. The message alone does not tell.
    fn refused(&self, row: &ByteRecord, message: &str) -> Option<usize> {
        let names = self.names();
        let within = row.deserialize::<FailsWithin<T>>(names);
        if !within.is_ok_and(|fails| fails.within_field) {
            return None;
        }
        let (mut names_to, mut row_to) = (ByteRecord::new(), ByteRecord::new());
        (0..row.len()).find(|index| {
            names_to.push_field(names.map_or(b"", |names| &names[*index]));
            row_to.push_field(&row[*index]);
            let error = row_to.deserialize::<T>(names.map(|_| &names_to)).err();
            matches!(
                error.as_ref().map(csv::Error::kind),
                Some(ErrorKind::Deserialize { err, .. }) if err.kind().to_string() == message
            )
        })
    }

    /// Every row of the file would fail alike, so the file does.
    fn no_such_field(&self, names: &ByteRecord, field: &str) -> Problem {
        let quoted = |name| format!("`{}`", String::from_utf8_lossy(name));
        let fields: Vec<String> = names.iter().map(quoted).collect();
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
}

/// Whether a text is read as a number, but is none that can be counted with.
fn is_endless(text: &str) -> bool {
    text.parse().is_ok_and(|number: f64| !number.is_finite())
}

/// Tells what was expected, and what was found.
fn told(row: &ByteRecord, error: &DeserializeError, field: Option<usize>) -> String {
    let value = field.and_then(|index| row.get(index)).unwrap_or_default();
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
            format!("the row has only {} fields", row.len())
        }
        other => other.to_string(),
    }
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
