//! A quota of records for each partition, so that every run reads the same ones.

use crate::error::Problem;
use crate::io::{Chunk, Position, ReadStatus, Reader};

/// A reader that ends when it has given so many records, good and bad.
pub(crate) struct Limited<T> {
    reader: Box<dyn Reader<T>>,
    left: u64,
}

impl<T> Limited<T> {
    pub(crate) fn new(reader: Box<dyn Reader<T>>, records: u64) -> Self {
        Limited {
            reader,
            left: records,
        }
    }
}

impl<T> Reader<T> for Limited<T> {
    fn read(&mut self, max: usize, into: &mut Chunk<T>) -> Result<ReadStatus, Problem> {
        if self.left == 0 {
            return Ok(ReadStatus::Ended);
        }
        let before = into.len();
        let max = max.min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let status = self.reader.read(max, into)?;
        self.left = self.left.saturating_sub((into.len() - before) as u64);
        Ok(if self.left == 0 {
            ReadStatus::Ended
        } else {
            status
        })
    }

    fn position(&self) -> Position {
        self.reader.position()
    }
}
