//! Which bytes of CSV end a field or a row, and which stand in quotes.
//!
//! The rules are those of the `csv` crate: a quote opens a quoted field only at the field's start,
//! and two of them within one stand for a quote.

use super::input::Cutter;

/// Steps through CSV byte by byte.
pub(super) struct Quotes {
    delimiter: u8,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    FieldStart,
    Plain,
    Quoted,
    /// Behind a quote in a quoted field: its end, or the first of two.
    QuoteInQuoted,
}

/// What a byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// Part of a field, or of a row's end.
    Within,
    /// The end of a field that is not the row's last.
    FieldEnd,
    /// The last byte of a row.
    RowEnd,
}

impl Quotes {
    pub(super) fn new(delimiter: u8) -> Self {
        Quotes { delimiter, state: State::FieldStart }
    }

    #[inline]
    pub(super) fn step(&mut self, byte: u8) -> Mark {
        let (state, mark) = match (self.state, byte) {
            (State::Quoted, b'"') => (State::QuoteInQuoted, Mark::Within),
            (State::Quoted, _) => (State::Quoted, Mark::Within),
            (State::FieldStart | State::QuoteInQuoted, b'"') => (State::Quoted, Mark::Within),
            (_, byte) if byte == self.delimiter => (State::FieldStart, Mark::FieldEnd),
            (_, b'\n') => (State::FieldStart, Mark::RowEnd),
            (_, b'\r') => (State::FieldStart, Mark::Within),
            _ => (State::Plain, Mark::Within),
        };
        self.state = state;
        mark
    }
}

impl Cutter for Quotes {
    fn last_end(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut last = None;
        for (place, byte) in bytes.iter().enumerate() {
            if self.step(*byte) == Mark::RowEnd {
                last = Some(place + 1);
            }
        }
        last
    }

    fn is_inside_quotes(&self) -> bool {
        self.state == State::Quoted
    }
}
