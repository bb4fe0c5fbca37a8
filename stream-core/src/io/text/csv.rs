//! Records as CSV.

use std::any::type_name;

use csv::WriterBuilder;
use serde::Serialize;
use serde_json::Value;

use super::{Encoder, OutputFormat};
use crate::error::Problem;
use crate::io::files::Csv;

impl OutputFormat for Csv {
    const NAME: &'static str = "csv";
    const EXTENSION: &'static str = "csv";
    type Encoder = CsvEncoder;
}

/// Writes one row a record. The names of the fields are the header; records without names have
/// none.
#[derive(Default)]
pub struct CsvEncoder {
    header: Option<Vec<u8>>,
}

impl Encoder for CsvEncoder {
    /// Every batch is written behind a header, which is then cut off: so the `csv` crate holds
    /// every record against it, and refuses one that has other fields.
    fn encode<T: Serialize>(&mut self, records: &[T], rows: &mut Vec<u8>) -> Result<(), Problem> {
        let Some(first) = records.first() else {
            return Ok(());
        };
        let start = rows.len();
        let header = match &mut self.header {
            Some(header) => header,
            unknown => unknown.insert(header_of(first)?),
        };
        write(true, records, rows)?;
        rows.drain(start..start + header.len());
        Ok(())
    }

    fn header(&self) -> &[u8] {
        self.header.as_deref().unwrap_or_default()
    }
}

/// What the `csv` crate writes before this record.
fn header_of<T: Serialize>(record: &T) -> Result<Vec<u8>, Problem> {
    let (mut headed, mut bare) = (Vec::new(), Vec::new());
    write(true, std::slice::from_ref(record), &mut headed)?;
    write(false, std::slice::from_ref(record), &mut bare)?;
    headed.truncate(headed.len() - bare.len());
    Ok(headed)
}

fn write<T: Serialize>(header: bool, records: &[T], into: &mut Vec<u8>) -> Result<(), Problem> {
    let mut writer = WriterBuilder::new().has_headers(header).from_writer(into);
    for record in records {
        writer
            .serialize(record)
            .map_err(|error| unfit(record, error))?;
    }
    writer
        .flush()
        .map_err(|error| Problem::new("cannot write CSV").because(error))
}

/// Says which field of a record does not fit into a row.
fn unfit<T: Serialize>(record: &T, error: csv::Error) -> Problem {
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
                .detail("it has parts of its own, and a row has only one level")
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
             has parts of its own, and a row has only one level (hint: map it to a struct of plain \
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
