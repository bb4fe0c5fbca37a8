//! A hash table that is saved piece by piece while its rows are changed and removed.
//!
//! What is known of a row is a bit: whether it needs not be written by the save that is under way, for it has
//! been, or was added since. A bucket keeps its bit when its row is removed, for whatever comes into it
//! is newer than the save. When the table grows, the bits go along with their rows.
//!
//! The table itself does not know whether a save is under way; its owner says so, and writes a row before it is
//! changed or removed. [`Save`] is the save of a table that is all that its owner keeps.

use hashbrown::HashTable;

use serde::Serialize;

use super::WriteShard;
use super::by_shard::ByShard;
use super::hash::hash_of;
use super::record::Key;
use super::rows::prefetch_row;
use crate::error::Problem;

/// What it costs to look at so many bits as are in a word, in rows that are written.
const WORD_ROWS: usize = 4;
/// How many bytes cost as much as a row more.
const ROW_BYTES: usize = 64;

/// What writes a row of which the hash is known, and tells how many bytes it takes.
pub(crate) type WriteRow<'a, Q, A> = &'a mut dyn FnMut(u64, &(Q, A)) -> Result<usize, Problem>;

pub(crate) struct Noted<Q, A> {
    pub(crate) rows: HashTable<(Q, A)>,
    /// By bucket: whether the row there needs not be written. Empty until the first is noted.
    is_written: Vec<u64>,
    /// How far the walk has come, by words of the bits.
    word: usize,
}

impl<Q, A> Default for Noted<Q, A> {
    fn default() -> Self {
        Noted {
            rows: HashTable::new(),
            is_written: Vec::new(),
            word: 0,
        }
    }
}

impl<Q: Key, A> Noted<Q, A> {
    /// Asks the memory for the row that a hash most likely leads to.
    #[inline(always)]
    pub(crate) fn prefetch(&self, hash: u64) {
        prefetch_row(&self.rows, hash);
    }

    /// Adds the row of a key that has none, while a save is under way that is not to write it.
    #[cold]
    #[inline(never)]
    pub(crate) fn insert_new(&mut self, hash: u64, row: (Q, A)) {
        if self.rows.len() == self.rows.capacity() {
            self.grow();
        }
        let slot = self.rows.insert_unique(hash, row, |row| hash_of(&row.0));
        let bucket = slot.bucket_index();
        self.note(bucket);
    }

    /// Builds the table anew, with room for twice the rows. The walk begins again: what it has met is noted.
    fn grow(&mut self) {
        let room = (self.rows.len() * 2).max(16);
        let new = Noted {
            rows: HashTable::with_capacity(room),
            is_written: Vec::new(),
            word: 0,
        };
        let mut old = std::mem::replace(self, new);
        for bucket in 0..old.rows.num_buckets() {
            let Ok(entry) = old.rows.get_bucket_entry(bucket) else {
                continue;
            };
            let (row, _) = entry.remove();
            let slot = self
                .rows
                .insert_unique(hash_of(&row.0), row, |row| hash_of(&row.0));
            let new = slot.bucket_index();
            if is_set(&old.is_written, bucket) {
                self.note(new);
            }
        }
    }

    /// Notes that the row in a bucket needs not be written; tells whether it needed to be.
    fn note(&mut self, bucket: usize) -> bool {
        if self.is_written.is_empty() {
            self.is_written = vec![0; self.rows.num_buckets().div_ceil(64)];
        }
        let (word, bit) = (&mut self.is_written[bucket / 64], 1 << (bucket % 64));
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    /// The row in a bucket, if it is about to be changed or removed and was not written yet. It is to be
    /// written now.
    pub(crate) fn take_unwritten(&mut self, bucket: usize) -> Option<&(Q, A)> {
        self.rows.get_bucket(bucket)?;
        self.note(bucket).then_some(())?;
        self.rows.get_bucket(bucket)
    }

    /// The same for the row of a key.
    pub(crate) fn take_unwritten_of(&mut self, hash: u64, key: &Q) -> Option<&(Q, A)> {
        let bucket = self.rows.find_bucket_index(hash, |row| row.0 == *key)?;
        self.take_unwritten(bucket)
    }

    /// Writes what is not written yet, as far as there are rows left. Tells whether it is all; then nothing
    /// is known of the rows any more.
    pub(crate) fn save(
        &mut self,
        left: &mut usize,
        write: WriteRow<'_, Q, A>,
    ) -> Result<bool, Problem> {
        let buckets = self.rows.num_buckets();
        for at in self.word..buckets.div_ceil(64) {
            self.word = at;
            if *left == 0 {
                return Ok(false);
            }
            *left = left.saturating_sub(WORD_ROWS);
            for bucket in at * 64..(at * 64 + 64).min(buckets) {
                if *left == 0 {
                    return Ok(false);
                }
                if let Some(row) = self.take_unwritten(bucket) {
                    let bytes = write(hash_of(&row.0), row)?;
                    *left = left.saturating_sub(1 + bytes / ROW_BYTES);
                }
            }
        }
        self.word = 0;
        self.is_written = Vec::new();
        Ok(true)
    }
}

/// The save of a table, if one is under way.
#[derive(Default)]
pub(crate) struct Save(Option<ByShard>);

impl Save {
    pub(crate) fn begin(&mut self) {
        self.0 = Some(ByShard::default());
    }

    pub(crate) fn is_under_way(&self) -> bool {
        self.0.is_some()
    }

    /// Writes about so many more rows, and hands over the shards when it was all. Tells whether there is more.
    pub(crate) fn piece<Q: Key, A: Serialize>(
        &mut self,
        table: &mut Noted<Q, A>,
        rows_max: usize,
        write: WriteShard<'_>,
    ) -> Result<bool, Problem> {
        let Some(saved) = &mut self.0 else {
            return Ok(false);
        };
        saved.check()?;
        let mut left = rows_max;
        if !table.save(&mut left, &mut |hash, row| saved.push(hash, row))? {
            return Ok(true);
        }
        self.0.take().map_or(Ok(()), |saved| saved.finish(write))?;
        Ok(false)
    }

    /// Writes the rows of keys that are about to be changed, as far as it has not come to them. Tells how many.
    pub(crate) fn before_change<'a, Q: Key, A: Serialize>(
        &mut self,
        table: &mut Noted<Q, A>,
        keys: impl Iterator<Item = &'a Q>,
    ) -> Result<usize, Problem> {
        let Some(saved) = &mut self.0 else {
            return Ok(0);
        };
        let mut written = 0;
        for key in keys {
            let hash = hash_of(key);
            if let Some(row) = table.take_unwritten_of(hash, key) {
                saved.push(hash, row)?;
                written += 1;
            }
        }
        Ok(written)
    }

    /// The same of the row in a bucket. What goes wrong is told by the next piece.
    #[cold]
    #[inline(never)]
    pub(crate) fn before_bucket<Q: Key, A: Serialize>(
        &mut self,
        table: &mut Noted<Q, A>,
        bucket: usize,
        hash: u64,
    ) {
        if let Some(saved) = &mut self.0
            && let Some(row) = table.take_unwritten(bucket)
            && let Err(problem) = saved.push(hash, row)
        {
            saved.fail(problem);
        }
    }
}

fn is_set(bits: &[u64], bucket: usize) -> bool {
    let word = bits.get(bucket / 64);
    word.is_some_and(|word| word & (1 << (bucket % 64)) != 0)
}
