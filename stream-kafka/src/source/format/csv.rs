//! Values that are lines of CSV.

use std::fmt;
use std::marker::PhantomData;

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};
use serde::de::DeserializeOwned;

use super::{Decode, DecodeError, RecordRef};

/// Values that are one line of CSV each, without a header.
pub struct Csv<T> {
    delimiter: u8,
    lines: Reader,
    fields: csv::ByteRecord,
    buffer: Vec<u8>,
    ends: Vec<usize>,
    decoded: PhantomData<fn() -> T>,
}

impl<T> Default for Csv<T> {
    fn default() -> Self {
        Csv::with_delimiter(b',')
    }
}

impl<T> Csv<T> {
    fn with_delimiter(delimiter: u8) -> Self {
        Csv {
            delimiter,
            lines: ReaderBuilder::new().delimiter(delimiter).build(),
            fields: csv::ByteRecord::new(),
            buffer: vec![0; 256],
            ends: vec![0; 16],
            decoded: PhantomData,
        }
    }

    /// Takes a line apart; nothing may come behind it.
    fn split(&mut self, line: &[u8]) -> Result<(), DecodeError> {
        self.lines.reset();
        let (mut from, mut written, mut count) = (0, 0, 0);
        loop {
            let rest = &line[from..];
            let (result, read, bytes, fields) =
                self.lines
                    .read_record(rest, &mut self.buffer[written..], &mut self.ends[count..]);
            (from, written, count) = (from + read, written + bytes, count + fields);
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => self.buffer.resize(2 * self.buffer.len(), 0),
                ReadRecordResult::OutputEndsFull => self.ends.resize(2 * self.ends.len(), 0),
                ReadRecordResult::Record | ReadRecordResult::End => break,
            }
        }
        if line[from..].iter().any(|byte| !b"\r\n".contains(byte)) {
            return Err(DecodeError::new("expected one line, found more"));
        }
        self.fields.clear();
        let mut start = 0;
        for end in &self.ends[..count] {
            self.fields.push_field(&self.buffer[start..*end]);
            start = *end;
        }
        Ok(())
    }
}

impl<T> Clone for Csv<T> {
    fn clone(&self) -> Self {
        Csv::with_delimiter(self.delimiter)
    }
}

impl<T> fmt::Debug for Csv<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Csv")
    }
}

impl<T: DeserializeOwned + 'static> Decode for Csv<T> {
    type Record = T;

    fn decode(&mut self, record: &RecordRef<'_>) -> Result<Option<T>, DecodeError> {
        self.split(record.expect_value()?)?;
        self.fields
            .deserialize(None)
            .map(Some)
            .map_err(|error| DecodeError::new(format!("not the line that is expected: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_taken_apart_whatever_its_length() {
        let mut csv = Csv::<(String, u32)>::default();
        let mut decode = |line: &str| {
            csv.split(line.as_bytes())?;
            let row: (String, u32) = csv.fields.deserialize(None).unwrap();
            Ok::<_, DecodeError>(row)
        };
        let long = "x".repeat(3_000);
        assert_eq!(decode("a,1"), Ok(("a".into(), 1)));
        assert_eq!(decode(&format!("{long},2\r\n")), Ok((long, 2)));
        assert_eq!(decode("\"a,\"\"b\n\",3\n"), Ok(("a,\"b\n".into(), 3)));
        assert!(decode("a,1\nb,2").is_err());
        let many = vec!["7"; 100].join(",");
        csv.split(many.as_bytes()).unwrap();
        assert_eq!(csv.fields.len(), 100);
    }
}
