//! Records as CSV.

use std::any::type_name;

use csv::{ByteRecord, WriterBuilder};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::flat::Flat;
use super::{Encoder, FileRow, OutputFormat};
use crate::error::Problem;
use crate::io::files::Csv;
use crate::shape::{Columns, Names, columns_of};

impl OutputFormat for Csv {
    const NAME: &'static str = "csv";
    const EXTENSION: &'static str = "csv";
    type Encoder = CsvEncoder;
}

/// Writes one row a record. The names of the fields are the header. Tuples have none, and a header of
/// their numbers in a file, where a reader would take the first row for one. A struct within a struct has its columns there, a tuple too: so a row of a table, which is a
/// key and a value, is one of CSV.
#[derive(Debug, Default)]
pub struct CsvEncoder {
    header: Option<Vec<u8>>,
    /// What the header will be if there is no record, and the columns, where the type tells.
    of_type: Vec<u8>,
    columns: Option<Columns>,
    /// How many cells a row has that is written cell by cell; none where the `csv` crate does it.
    width: Option<usize>,
    row: ByteRecord,
    cell: Vec<u8>,
}

impl Encoder for CsvEncoder {
    fn encode<T: Serialize>(&mut self, records: &[T], rows: &mut Vec<u8>) -> Result<(), Problem> {
        let Some(first) = records.first() else {
            return Ok(());
        };
        if self.header.is_none() {
            self.header = Some(self.begin(first)?);
        }
        match self.width {
            Some(width) => self.write_flat(width, records, rows),
            None => self.write_all(records, rows),
        }
    }

    fn header(&self) -> &[u8] {
        self.header.as_deref().unwrap_or_default()
    }

    fn header_of_type(&self) -> &[u8] {
        &self.of_type
    }
}

impl<T: Serialize + DeserializeOwned> FileRow<Csv> for T {
    fn tell(encoder: &mut CsvEncoder) {
        encoder.columns = columns_of::<T>();
        let names = encoder.columns.as_ref().and_then(Columns::names);
        encoder.of_type = names.map(|names| row_of(&names)).unwrap_or_default();
    }
}

impl CsvEncoder {
    /// Finds out how rows are written, and gives the header.
    fn begin<T: Serialize>(&mut self, first: &T) -> Result<Vec<u8>, Problem> {
        let has_names = |columns: &Columns| columns.is_nested() || columns.is_tuple();
        if self.columns.as_ref().is_some_and(has_names) {
            return self.begin_flat(first);
        }
        // What the `csv` crate cannot write may have parts that can be laid side by side.
        header_of(first).or_else(|problem| self.begin_flat(first).map_err(|_| problem))
    }

    fn begin_flat<T: Serialize>(&mut self, first: &T) -> Result<Vec<u8>, Problem> {
        let mut names = Names::default();
        self.fill(first, Some(&mut names))?;
        // A type may be written as other fields than it is read from.
        if self
            .columns
            .as_ref()
            .is_some_and(|columns| columns.width() != self.row.len())
        {
            self.columns = None;
        }
        self.width = Some(self.row.len());
        Ok(row_of(&names.finish()))
    }

    /// Makes the row of a record.
    fn fill<T: Serialize>(&mut self, record: &T, names: Option<&mut Names>) -> Result<(), Problem> {
        self.row.clear();
        let mut flat = Flat {
            row: &mut self.row,
            cell: &mut self.cell,
            at: self.columns.as_ref(),
            names,
        };
        record
            .serialize(&mut flat)
            .map_err(|error| unfit(record, error))
    }

    fn write_flat<T: Serialize>(
        &mut self,
        width: usize,
        records: &[T],
        rows: &mut Vec<u8>,
    ) -> Result<(), Problem> {
        let mut writer = WriterBuilder::new().has_headers(false).from_writer(rows);
        for record in records {
            self.fill(record, None)?;
            if self.row.len() != width {
                let found = self.row.len();
                let what = format!("it has {found} cells, where the first row has {width}");
                return Err(unfit(record, what));
            }
            writer
                .write_byte_record(&self.row)
                .map_err(|error| unfit(record, error))?;
        }
        writer.flush().map_err(cannot_write)
    }

    /// Every batch is written behind a header, which is then cut off: so the `csv` crate holds
    /// every record against it, and refuses one that has other fields.
    fn write_all<T: Serialize>(&self, records: &[T], rows: &mut Vec<u8>) -> Result<(), Problem> {
        let start = rows.len();
        write(true, records, rows)?;
        rows.drain(start..start + self.header().len());
        Ok(())
    }
}

/// A row of texts.
fn row_of(cells: &[String]) -> Vec<u8> {
    let mut row = Vec::new();
    let mut writer = WriterBuilder::new().from_writer(&mut row);
    // Into memory, and of one length.
    let written = writer
        .write_record(cells)
        .and_then(|()| Ok(writer.flush()?));
    drop(writer);
    written.map(|()| row).unwrap_or_default()
}

/// What the `csv` crate writes before this record.
fn header_of<T: Serialize>(record: &T) -> Result<Vec<u8>, Problem> {
    let (mut headed, mut bare) = (Vec::new(), Vec::new());
    write(true, std::slice::from_ref(record), &mut headed)?;
    write(false, std::slice::from_ref(record), &mut bare)?;
    headed.truncate(headed.len() - bare.len());
    Ok(headed)
}

fn cannot_write(error: std::io::Error) -> Problem {
    Problem::new("cannot write CSV").because(error)
}

fn write<T: Serialize>(header: bool, records: &[T], into: &mut Vec<u8>) -> Result<(), Problem> {
    let mut writer = WriterBuilder::new().has_headers(header).from_writer(into);
    for record in records {
        writer
            .serialize(record)
            .map_err(|error| unfit(record, error))?;
    }
    writer.flush().map_err(cannot_write)
}

/// Says which field of a record does not fit into a row.
fn unfit<T: Serialize>(
    record: &T,
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Problem {
    let name = type_name::<T>();
    let fields = match serde_json::to_value(record) {
        Ok(Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    let nested = fields
        .iter()
        .find(|(_, value)| value.is_array() || value.is_object());
    let problem = match nested {
        Some((field, _)) => {
            Problem::new(format!("CSV cannot hold the field `{field}` of `{name}`"))
                .detail("it is a list, a map or a variant with fields, and a row has only cells")
        }
        None => Problem::new(format!("CSV cannot hold a `{name}`")).because(error),
    };
    problem.hint("map it to a struct of plain fields before the sink, or write JSON Lines")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Cart {
        user: u32,
        items: Option<Vec<u32>>,
    }

    #[test]
    fn the_header_is_apart_from_the_rows() {
        let mut encoder = CsvEncoder::default();
        let mut rows = Vec::new();
        let carts = [
            Cart {
                user: 1,
                items: None,
            },
            Cart {
                user: 2,
                items: None,
            },
        ];
        encoder.encode(&carts[..1], &mut rows).unwrap();
        encoder.encode(&carts[1..], &mut rows).unwrap();
        assert_eq!(encoder.header(), b"user,items\n");
        assert_eq!(rows, b"1,\n2,\n");
    }

    #[test]
    fn a_record_without_names_has_no_header() {
        let (mut encoder, mut rows) = (CsvEncoder::default(), Vec::new());
        encoder.encode(&[(1, "a,b"), (2, "c")], &mut rows).unwrap();
        assert_eq!(
            (encoder.header(), rows.as_slice()),
            (&b""[..], &b"1,\"a,b\"\n2,c\n"[..])
        );
    }

    #[test]
    fn a_nested_field_is_refused_by_name_even_behind_flat_records() {
        let nested = Cart {
            user: 2,
            items: Some(vec![1, 2]),
        };
        let flat = Cart {
            user: 1,
            items: None,
        };
        let problem = CsvEncoder::default()
            .encode(&[flat, nested], &mut Vec::new())
            .unwrap_err();
        assert_eq!(
            problem.to_string(),
            "CSV cannot hold the field `items` of `stream_core::io::text::csv::tests::Cart`: it \
             is a list, a map or a variant with fields, and a row has only cells (hint: map it to a struct of plain \
             fields before the sink, or write JSON Lines)",
        );
    }

    #[test]
    fn a_map_is_refused_by_its_type() {
        let map = std::collections::BTreeMap::from([("a", 1)]);
        let problem = CsvEncoder::default()
            .encode(&[map], &mut Vec::new())
            .unwrap_err();
        assert!(
            problem
                .to_string()
                .starts_with("CSV cannot hold a `alloc::"),
            "{problem}"
        );
    }
}
