//! One row of CSV: where its fields are.
//!
//! They are parts of the piece itself, unless the row has quotes: then a parser copies them
//! without. So much is decided for each row, and not for a file.

use std::str;

use csv::ByteRecord;
use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

use super::fields::{Fields, Header};
use super::plain;

/// The fields of a row, whose memory the next row takes over.
pub(super) struct Row {
    delimiter: u8,
    parser: Reader,
    is_quoted: bool,
    /// The text of the fields of a row with quotes, one behind the other.
    unquoted: Vec<u8>,
    /// Where each field ends, in the row or in its text without quotes.
    ends: Vec<usize>,
}

impl Row {
    pub(super) fn new(delimiter: u8) -> Self {
        let mut parser = ReaderBuilder::new().delimiter(delimiter).build();
        // A parser drops a byte order mark at the head of what it reads first, and no row has one.
        parser.read_record(b"\n", &mut [], &mut []);
        Row {
            delimiter,
            parser,
            is_quoted: false,
            unquoted: Vec::new(),
            ends: Vec::new(),
        }
    }

    /// Takes the row at the head of these bytes, and gives its length with its line end. The `\n`
    /// of a `\r\n` may be left over, as if it were an empty line.
    #[inline]
    pub(super) fn take(&mut self, bytes: &[u8]) -> usize {
        self.ends.clear();
        let length = plain::split(bytes, self.delimiter, &mut self.ends);
        self.is_quoted = length.is_none();
        length.unwrap_or_else(|| self.parse(bytes))
    }

    fn parse(&mut self, bytes: &[u8]) -> usize {
        let (mut read, mut written, mut fields) = (0, 0, 0);
        loop {
            let (result, bytes_read, bytes_written, fields_ended) = self.parser.read_record(
                &bytes[read..],
                &mut self.unquoted[written..],
                &mut self.ends[fields..],
            );
            read += bytes_read;
            written += bytes_written;
            fields += fields_ended;
            match result {
                ReadRecordResult::InputEmpty => {} // the next call has no input, which is the end
                ReadRecordResult::OutputFull => grow(&mut self.unquoted),
                ReadRecordResult::OutputEndsFull => grow(&mut self.ends),
                ReadRecordResult::Record | ReadRecordResult::End => break,
            }
        }
        self.ends.truncate(fields);
        read
    }

    /// How many fields the row has.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The fields of the row that was taken from the bytes of this text.
    #[inline]
    pub(super) fn fields<'a>(
        &'a self,
        text: &'a str,
        header: Option<&'a Header>,
    ) -> Option<Fields<'a>> {
        let (text, gap) = match self.is_quoted {
            true => (str::from_utf8(self.unquoted()).ok()?, 0),
            false => (text, 1),
        };
        Some(Fields::new(text, &self.ends, gap, header))
    }

    /// Copies them, whatever they are.
    pub(super) fn copy(&self, bytes: &[u8]) -> ByteRecord {
        let (text, gap) = match self.is_quoted {
            true => (self.unquoted(), 0),
            false => (bytes, 1),
        };
        let starts = self.ends.iter().map(|end| end + gap);
        let starts = [0].into_iter().chain(starts);
        let fields = starts
            .zip(&self.ends)
            .map(|(start, end)| &text[start..*end]);
        fields.collect()
    }

    fn unquoted(&self) -> &[u8] {
        &self.unquoted[..self.ends.last().copied().unwrap_or_default()]
    }
}

fn grow<T: Clone + Default>(buffer: &mut Vec<T>) {
    buffer.resize((buffer.len() * 2).max(64), T::default());
}
