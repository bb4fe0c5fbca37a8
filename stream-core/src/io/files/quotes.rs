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
        Quotes {
            delimiter,
            state: State::FieldStart,
        }
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
        let is_outside = !matches!(self.state, State::Quoted | State::QuoteInQuoted);
        if is_outside && !bytes.contains(&b'"') {
            // Without quotes only the last row's beginning is of interest.
            let last = bytes.iter().rposition(|byte| *byte == b'\n').map(|n| n + 1);
            for byte in &bytes[last.map_or(0, |end| end - 1)..] {
                self.step(*byte);
            }
            return last;
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(csv: &[u8]) -> Vec<Vec<Vec<u8>>> {
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .from_reader(csv);
        let rows = reader.byte_records().map(|row| row.unwrap());
        rows.map(|row| row.iter().map(<[u8]>::to_vec).collect())
            .collect()
    }

    #[test]
    fn pieces_cut_where_rows_end_parse_as_the_whole() {
        for seed in 0..200_u64 {
            let mut random = seed;
            let mut next = |below: usize| {
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(seed | 1);
                (random >> 33) as usize % below
            };
            let csv: Vec<u8> = (0..60).map(|_| b"ab,\"\"\"\n\n\r"[next(9)]).collect();
            let mut cutter = Quotes::new(b',');
            let (mut from, mut seen, mut pieced) = (0, 0, Vec::new());
            while seen < csv.len() {
                let end = csv.len().min(seen + 1 + next(9));
                if let Some(cut) = cutter.last_end(&csv[seen..end]) {
                    pieced.extend(rows(&csv[from..seen + cut]));
                    from = seen + cut;
                }
                seen = end;
            }
            pieced.extend(rows(&csv[from..]));
            assert_eq!(
                pieced,
                rows(&csv),
                "seed {seed}: {:?}",
                String::from_utf8_lossy(&csv)
            );
        }
    }
}
