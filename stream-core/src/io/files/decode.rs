//! The worker's part: from pieces of whole rows to records, with the place of each.
//!
//! What the formats have in common is here, what they differ in is their [`Rows`]. A position is
//! the number of rows before it, good and bad, over all files of the partition.

use std::fmt::Debug;
use std::io;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::input::{Cutter, Piece};
use super::paths::cannot_open;
use crate::error::Problem;
use crate::io::source::{Chunk, Position};
use crate::io::threaded::Decoder;

/// A format that files are read in.
pub trait InputFormat: Clone + Debug + Send + Sync + 'static {
    /// The format's name, in one word.
    const KIND: &'static str;

    /// Decodes the format's rows.
    type Rows<T: DeserializeOwned + 'static>: Rows<T> + 'static;

    /// Finds settings that make no sense.
    fn check(&self) -> Result<(), Problem> {
        Ok(())
    }

    /// Makes what finds the ends of rows in one file.
    fn cutter(&self) -> impl Cutter;

    /// Makes what decodes rows.
    fn rows<T: DeserializeOwned + 'static>(&self) -> Self::Rows<T>;
}

/// The rows of one file after the other.
pub trait Rows<T> {
    /// A file begins.
    fn start(&mut self, file: Arc<str>);

    /// Takes whole rows; those before are used up.
    fn piece(&mut self, rows: Vec<u8>);

    /// Steps to the next row, and tells whether there is one in the piece.
    fn step(&mut self) -> Result<bool, Problem>;

    /// Reads the row that was stepped to, and appends it, good or bad. A record is made where it
    /// stays: handing it back would move it more than once.
    fn record(&mut self, into: &mut Chunk<T>) -> Result<(), Problem>;

    /// How many bytes of the piece have been stepped over.
    fn bytes(&self) -> u64;

    /// Says what it has found out that whoever runs the job should know. Asked once a read.
    fn tell(&mut self, _into: &mut Chunk<T>) {}

    /// The file has ended.
    fn end(&mut self) -> Result<(), Problem> {
        Ok(())
    }
}

/// Decodes the files of a partition.
pub(super) struct FileDecoder<R> {
    rows: R,
    file: Arc<str>,
    rows_in_file: u64,
    /// How many rows have been stepped over, in all files.
    stepped: u64,
    /// Where to begin: rows before it are stepped over and not read.
    from: u64,
}

impl<R> FileDecoder<R> {
    pub(super) fn new(rows: R, from: u64) -> Self {
        FileDecoder {
            rows,
            file: Arc::default(),
            rows_in_file: 0,
            stepped: 0,
            from,
        }
    }

    fn failed(&self, error: io::Error) -> Problem {
        let file = &self.file;
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Problem::new(format!("`{file}` is cut short"))
                .detail(format!(
                    "its compressed data end after {} whole rows",
                    self.rows_in_file
                ))
                .hint("fetch the file again"),
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData | io::ErrorKind::Other => {
                Problem::new(format!("cannot decompress `{file}`"))
                    .because(error)
                    .hint("the end of its name says how it is compressed; see whether it is")
            }
            _ => cannot_open(file.as_ref().as_ref(), error),
        }
    }
}

impl<T, R: Rows<T>> Decoder<T> for FileDecoder<R> {
    type Raw = Piece;

    fn feed(&mut self, raw: Piece) -> Result<(), Problem> {
        match raw {
            Piece::Start(file) => {
                self.rows_in_file = 0;
                self.file = file.clone();
                self.rows.start(file);
            }
            Piece::Rows(bytes) => self.rows.piece(bytes),
            Piece::End => self.rows.end()?,
            Piece::Failed(error) => return Err(self.failed(error)),
        }
        Ok(())
    }

    fn decode(&mut self, max: usize, into: &mut Chunk<T>) -> Result<(), Problem> {
        let full = into.len() + max;
        let mut before = self.rows.bytes();
        while into.len() < full && !into.is_full() && self.rows.step()? {
            self.stepped += 1;
            self.rows_in_file += 1;
            if self.stepped <= self.from {
                continue;
            }
            self.rows.record(into)?;
            let now = self.rows.bytes();
            into.add_bytes(now - before);
            before = now;
        }
        into.add_bytes(self.rows.bytes() - before);
        self.rows.tell(into);
        Ok(())
    }

    fn position(&self) -> Result<Position, Problem> {
        Position::of(&self.stepped.max(self.from))
    }

    fn finish(&mut self) -> Result<(), Problem> {
        if self.stepped >= self.from {
            return Ok(());
        }
        let what = format!("cannot go on at record {} of the files", self.from);
        let detail = format!("they hold only {}; they have changed since", self.stepped);
        Err(Problem::new(what)
            .detail(detail)
            .hint("restore the files, or start afresh"))
    }
}

/// The field of which a message of serde says that it is missing.
pub(super) fn missing_field(message: &str) -> Option<&str> {
    message.strip_prefix("missing field `")?.split('`').next()
}

/// How many characters there are before the byte at this place, and one: a column.
pub(super) fn column(line: &[u8], place: usize) -> u64 {
    let before = &line[..place.min(line.len())];
    before
        .iter()
        .filter(|byte| **byte & 0b1100_0000 != 0b1000_0000)
        .count() as u64
        + 1
}
