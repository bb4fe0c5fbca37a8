//! A piece of a file of CSV: whole rows, and where in them a line or a field stands.

use std::cell::Cell;
use std::ops::Range;
use std::str;

use super::decode::column;
use super::quotes::{Mark, Quotes};

/// Whole rows. That they are UTF-8 is checked once and not row by row; where they are not, each of
/// them may still be.
pub(super) enum Piece {
    Text(String),
    Mixed(Vec<u8>),
}

impl Default for Piece {
    fn default() -> Self {
        Piece::Text(String::new())
    }
}

impl Piece {
    pub(super) fn new(rows: Vec<u8>) -> Self {
        String::from_utf8(rows).map_or_else(|error| Piece::Mixed(error.into_bytes()), Piece::Text)
    }

    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Piece::Text(text) => text.as_bytes(),
            Piece::Mixed(bytes) => bytes,
        }
    }

    /// The row at this place, if it is UTF-8.
    #[inline]
    pub(super) fn text(&self, place: Range<usize>) -> Option<&str> {
        match self {
            Piece::Text(text) => text.get(place),
            Piece::Mixed(bytes) => str::from_utf8(&bytes[place]).ok(),
        }
    }
}

/// Where a field begins in a row: how many lines down, and the column there.
pub(super) fn place(row: &[u8], field: usize, delimiter: u8) -> (u64, u64) {
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
pub(super) struct Lines {
    before: Cell<u64>,
    counted: Cell<usize>,
}

impl Lines {
    /// Goes on behind so many lines.
    pub(super) fn behind(lines: u64) -> Self {
        Lines {
            before: Cell::new(lines),
            counted: Cell::default(),
        }
    }

    /// How many lines of the file end before this place of the piece, which stands behind those that
    /// were asked for before.
    pub(super) fn before(&self, piece: &[u8], place: usize) -> u64 {
        let counted = self.counted.replace(place);
        let lines = self.before.get() + count_lines(&piece[counted..place]);
        self.before.set(lines);
        lines
    }

    pub(super) fn next_piece(&self, piece: &[u8]) {
        self.before(piece, piece.len());
        self.counted.set(0);
    }
}

pub(super) fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

pub(super) fn count_lines(bytes: &[u8]) -> u64 {
    let count = |part: &[u8]| part.iter().map(|byte| u8::from(*byte == b'\n')).sum::<u8>();
    bytes.chunks(255).map(|part| u64::from(count(part))).sum()
}
