//! The worker's part: from pieces of whole rows to records, with the place of each.
//!
//! What the formats have in common is here, what they differ in is their [`Rows`]. The position is
//! put together when somebody asks for it, from the piece at hand.

use std::fmt::Debug;
use std::io;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::input::{Cutter, Piece};
use super::paths::cannot_open;
use super::track::Track;
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

    /// The file that has begun is read from a place behind its first rows on. Its head, in which the
    /// first row is whole, is there for what that row says of the others, and not to be read.
    fn go_on(&mut self, head: Vec<u8>, lines: u64) -> Result<(), Problem>;

    /// Takes a piece of whole rows; the one before is used up.
    fn take(&mut self, piece: Vec<u8>);

    /// The piece, which is empty at the beginning.
    fn piece(&self) -> &[u8];

    /// Steps to the next row, and tells whether there is one in the piece.
    fn step(&mut self) -> Result<bool, Problem>;

    /// Reads the row that was stepped to, and appends it, good or bad. A record is made where it
    /// stays: handing it back would move it more than once.
    fn record(&mut self, into: &mut Chunk<T>) -> Result<(), Problem>;

    /// How many bytes of the piece have been stepped over.
    fn bytes(&self) -> usize;

    /// How many lines of the file end before a place of the piece, which stands behind all rows of
    /// which this was asked before.
    fn lines(&self, place: usize) -> u64;

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
    track: Track,
    /// Where the last record that was read ends in the piece, if it is one of the piece.
    end: Option<usize>,
    /// The position if it is not.
    before: Position,
}

impl<R> FileDecoder<R> {
    pub(super) fn new(rows: R, from: Position) -> Self {
        FileDecoder {
            rows,
            track: Track::default(),
            end: None,
            before: from,
        }
    }

    fn failed(&self, error: io::Error) -> Problem {
        let file = self.track.file();
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Problem::new(format!("`{file}` is cut short"))
                .detail(format!(
                    "its compressed data end after {} whole rows",
                    self.track.rows
                ))
                .hint("fetch the file again"),
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData | io::ErrorKind::Other => {
                Problem::new(format!("cannot decompress `{file}`"))
                    .because(error)
                    .hint("the end of its name says how it is compressed; see whether it is")
            }
            _ => cannot_open(file.as_ref(), error),
        }
    }
}

impl<T, R: Rows<T>> Decoder<T> for FileDecoder<R> {
    type Raw = Piece;

    fn feed(&mut self, raw: Piece) -> Result<(), Problem> {
        self.before = self.position()?;
        self.end = None;
        match raw {
            Piece::Start(file) => {
                self.track.start(file.clone());
                self.rows.start(file);
            }
            Piece::GoOn(before) => {
                self.track.go_on(&before);
                self.rows.go_on(before.head, before.position.lines)?;
            }
            Piece::Rows(bytes) => {
                self.track.next_piece(self.rows.piece(), &bytes);
                self.rows.take(bytes);
            }
            Piece::End => self.rows.end()?,
            Piece::Failed(error) => return Err(self.failed(error)),
        }
        Ok(())
    }

    fn decode(&mut self, max: usize, into: &mut Chunk<T>) -> Result<(), Problem> {
        let (empty, full) = (into.len(), into.len() + max);
        let mut before = self.rows.bytes();
        while into.len() < full && !into.is_full() && self.rows.step()? {
            self.track.rows += 1;
            self.rows.record(into)?;
            let now = self.rows.bytes();
            into.add_bytes((now - before) as u64);
            before = now;
        }
        if into.len() > empty {
            self.end = Some(before);
        }
        into.add_bytes((self.rows.bytes() - before) as u64);
        self.rows.tell(into);
        Ok(())
    }

    fn position(&self) -> Result<Position, Problem> {
        let Some(end) = self.end else {
            return Ok(self.before.clone());
        };
        let lines = self.rows.lines(end);
        Position::of(&self.track.position(self.rows.piece(), end, lines))
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
