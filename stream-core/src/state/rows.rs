//! Rows by key: the table that an operator keeps on one worker.
//!
//! A row is a key and its state, and nothing else: to fold a record is to touch one row that is in
//! no near cache, so its size decides. What else is known of rows lies apart, a bit a row.
//!
//! A small table is one hash table. A large one is divided, so that it never grows at once: a
//! *segment* that is full is split in two by the next bit of its rows' hashes, and a directory says
//! which segment a hash belongs to (Fagin et al., Extendible Hashing, 1979). The bits are those that
//! a key's shard is made of, so a segment is a range of shards or a part of one.
//!
//! Rows may be *marked*, by those that emit them later. A mark goes along when its row is moved.

use std::ops::Range;

use hashbrown::HashTable;

use super::hash::{hash_of, shard_of};
use super::record::{Key, Record};
use super::{SHARDS, WriteShard};
use crate::codec;
use crate::error::Problem;

/// The number of buckets that a segment has when it is split. To move its rows takes about a
/// millisecond.
const SEGMENT_BUCKETS: usize = 1 << 16;
/// How many rows fit into so many buckets.
const SEGMENT_ROWS: usize = SEGMENT_BUCKETS / 8 * 7;
/// The bits of a hash that a segment is found by, at most. Beyond that, which only hashes that are
/// nearly all the same lead to, a segment grows.
const DEPTH_MAX: u32 = 16;
pub(crate) struct Rows<Q, A> {
    segments: Vec<Segment<Q, A>>,
    /// By the first `depth` bits: the segment.
    directory: Vec<u32>,
    depth: u32,
    /// The segments that have marked rows.
    marked: Vec<u32>,
    /// By shard: whether a row was added or changed here. A checkpoint while the job runs will write
    /// those shards alone; a snapshot at a stop writes all.
    changed: Box<[bool; SHARDS]>,
}

struct Segment<Q, A> {
    rows: HashTable<(Q, A)>,
    /// How many bits all hashes in here have in common.
    depth: u32,
    /// How many rows make it be split. Hashes are even, so segments with one limit would all be split
    /// within a few records; each has its own.
    rows_max: usize,
    /// By bucket: whether the row there is marked. Empty until the first is.
    is_marked: Vec<u64>,
    /// The buckets of the marked rows.
    marked: Vec<u32>,
}

/// Where a row lies, until the next one is added.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    segment: u32,
    bucket: u32,
}

/// How far a walk over all rows has come.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cursor {
    segment: usize,
    bucket: usize,
}

impl<Q: Key, A> Rows<Q, A> {
    pub(crate) fn new() -> Self {
        Rows {
            segments: vec![Segment::new(0, 0, 0)],
            directory: vec![0],
            depth: 0,
            marked: Vec::new(),
            changed: Box::new([false; SHARDS]),
        }
    }

    /// Finds the state of a key, to be changed.
    #[inline(always)]
    pub(crate) fn find_mut(&mut self, hash: u64, key: &Q) -> Option<&mut A> {
        self.find_in(self.segment_of(hash), hash, key)
    }

    /// The same in the [segment](Rows::segment_of) of the hash.
    #[inline(always)]
    pub(crate) fn find_in(&mut self, segment: usize, hash: u64, key: &Q) -> Option<&mut A> {
        self.changed[shard_of(hash, SHARDS)] = true;
        let row = self.segments[segment]
            .rows
            .find_mut(hash, |row| row.0 == *key)?;
        Some(&mut row.1)
    }

    /// Finds the place of a key in the segment of its hash.
    #[inline(always)]
    pub(crate) fn place_in(&self, segment: usize, hash: u64, key: &Q) -> Option<Place> {
        let rows = &self.segments[segment].rows;
        let bucket = rows.find_bucket_index(hash, |row| row.0 == *key)?;
        Some(Place {
            segment: segment as u32,
            bucket: bucket as u32,
        })
    }

    /// The state at a place.
    #[inline(always)]
    pub(crate) fn at(&mut self, place: Place) -> Option<&mut A> {
        let rows = &mut self.segments[place.segment as usize].rows;
        Some(&mut rows.get_bucket_mut(place.bucket as usize)?.1)
    }

    /// Marks a row of which the hash is known, and its shard as changed.
    #[inline(always)]
    pub(crate) fn mark(&mut self, place: Place, hash: u64) {
        let segment = &mut self.segments[place.segment as usize];
        let is_first = segment.marked.is_empty();
        if segment.mark(place.bucket) {
            self.changed[shard_of(hash, SHARDS)] = true;
            if is_first {
                self.marked.push(place.segment);
            }
        }
    }

    /// Adds the row of a key that has none.
    pub(crate) fn insert(&mut self, hash: u64, key: Q, state: A) -> Place {
        self.changed[shard_of(hash, SHARDS)] = true;
        self.add(hash, (key, state))
    }

    /// The only segment of a table that was not divided: the way to its rows is shorter.
    #[inline(always)]
    pub(crate) fn only_segment(&mut self) -> Option<Only<'_, Q, A>> {
        let [segment] = &mut self.segments[..] else {
            return None;
        };
        Some(Only {
            segment,
            marked: &mut self.marked,
            changed: &mut self.changed,
        })
    }

    fn add(&mut self, hash: u64, row: (Q, A)) -> Place {
        let mut segment = self.segment_of(hash);
        while self.segments[segment].is_full() {
            self.make_room(segment);
            segment = self.segment_of(hash);
        }
        let rows = &mut self.segments[segment].rows;
        let slot = rows.insert_unique(hash, row, |row| hash_of(&row.0));
        Place {
            segment: segment as u32,
            bucket: slot.bucket_index() as u32,
        }
    }

    /// Asks the memory for the row that a hash most likely leads to. Only time depends on it: where
    /// `hashbrown` puts its rows is its own affair.
    #[inline(always)]
    pub(crate) fn prefetch(&self, segment: usize, hash: u64) {
        let rows = &self.segments[segment].rows;
        let likely = hash as usize & (rows.num_buckets() - 1);
        if let Some(row) = rows.get_bucket(likely) {
            prefetch(row);
        }
    }

    /// How many rows are marked.
    pub(crate) fn marked_count(&self) -> usize {
        let segments = self.marked.iter();
        segments
            .map(|index| self.segments[*index as usize].marked.len())
            .sum()
    }

    /// Takes the marks off up to `max` rows, and hands those over. Tells whether there are more.
    pub(crate) fn take_marked(&mut self, max: usize, mut each: impl FnMut(&Q, &A)) -> bool {
        let mut left = max;
        while let (Some(index), 1..) = (self.marked.last().copied(), left) {
            let segment = &mut self.segments[index as usize];
            let rest = segment.marked.len().saturating_sub(left);
            left -= segment.marked.len() - rest;
            for bucket in segment.marked.drain(rest..) {
                segment.is_marked[bucket as usize / 64] &= !(1 << (bucket % 64));
                if let Some((key, state)) = segment.rows.get_bucket(bucket as usize) {
                    each(key, state);
                }
            }
            if rest == 0 {
                self.marked.pop();
            }
        }
        !self.marked.is_empty()
    }

    /// Hands over up to `max` rows from the cursor on. Tells whether there are more. No row may be
    /// added between the calls of one walk.
    pub(crate) fn walk(
        &self,
        cursor: &mut Cursor,
        max: usize,
        mut each: impl FnMut(&Q, &A),
    ) -> bool {
        let mut left = max;
        while let Some(Segment { rows, .. }) = self.segments.get(cursor.segment) {
            while cursor.bucket < rows.num_buckets() {
                if left == 0 {
                    return true;
                }
                if let Some((key, state)) = rows.get_bucket(cursor.bucket) {
                    each(key, state);
                    left -= 1;
                }
                cursor.bucket += 1;
            }
            cursor.segment += 1;
            cursor.bucket = 0;
        }
        false
    }

    /// How many segments there are.
    #[inline(always)]
    pub(crate) fn segments(&self) -> usize {
        self.segments.len()
    }

    /// The number of rows.
    pub(crate) fn len(&self) -> usize {
        self.segments.iter().map(|segment| segment.rows.len()).sum()
    }

    /// The segment that a hash leads to, until the number of segments changes.
    #[inline(always)]
    pub(crate) fn segment_of(&self, hash: u64) -> usize {
        self.directory[prefix(hash, self.depth)] as usize
    }

    /// Gives a full segment room for more rows: by growing, or by a second segment for half of them.
    #[cold]
    #[inline(never)]
    fn make_room(&mut self, index: usize) {
        let segment = &self.segments[index];
        let (depth, buckets) = (segment.depth, segment.rows.num_buckets());
        if buckets < SEGMENT_BUCKETS || depth == DEPTH_MAX {
            let room = (segment.rows.len() * 2).max(16);
            let old =
                std::mem::replace(&mut self.segments[index], Segment::new(index, depth, room));
            old.pour(|_| index, &mut self.segments);
            return;
        }
        if depth == self.depth {
            let twice = |segment: &u32| [*segment; 2];
            self.directory = self.directory.iter().flat_map(twice).collect();
            self.depth += 1;
        }
        let (old, new) = (index as u32, self.segments.len() as u32);
        let bit = 1 << (self.depth - depth - 1);
        for (place, segment) in self.directory.iter_mut().enumerate() {
            if *segment == old && place & bit != 0 {
                *segment = new;
            }
        }
        let room = segment.rows.len();
        let half = |number| Segment::new(number, depth + 1, room);
        let full = std::mem::replace(&mut self.segments[index], half(index));
        self.segments.push(half(new as usize));
        let has_marks = !full.marked.is_empty();
        let (directory, depth) = (&self.directory, self.depth);
        full.pour(
            |hash| directory[prefix(hash, depth)] as usize,
            &mut self.segments,
        );
        if has_marks {
            self.marked.retain(|segment| *segment != old);
            let has_some = |segment: &u32| !self.segments[*segment as usize].marked.is_empty();
            self.marked.extend([old, new].into_iter().filter(has_some));
        }
    }
}

/// A table that was not divided; its methods are those of [`Rows`].
pub(crate) struct Only<'a, Q, A> {
    segment: &'a mut Segment<Q, A>,
    marked: &'a mut Vec<u32>,
    changed: &'a mut [bool; SHARDS],
}

impl<Q: Key, A> Only<'_, Q, A> {
    #[inline(always)]
    pub(crate) fn find_mut(&mut self, hash: u64, key: &Q) -> Option<&mut A> {
        self.changed[shard_of(hash, SHARDS)] = true;
        let row = self.segment.rows.find_mut(hash, |row| row.0 == *key)?;
        Some(&mut row.1)
    }

    #[inline(always)]
    pub(crate) fn place(&self, hash: u64, key: &Q) -> Option<usize> {
        self.segment
            .rows
            .find_bucket_index(hash, |row| row.0 == *key)
    }

    #[inline(always)]
    pub(crate) fn at(&mut self, bucket: usize) -> Option<&mut A> {
        Some(&mut self.segment.rows.get_bucket_mut(bucket)?.1)
    }

    #[inline(always)]
    pub(crate) fn mark(&mut self, bucket: usize, hash: u64) {
        if self.segment.mark(bucket as u32) {
            self.changed[shard_of(hash, SHARDS)] = true;
            if self.segment.marked.len() == 1 {
                self.marked.push(0);
            }
        }
    }
}

impl<Q: Key, A: Record> Rows<Q, A> {
    /// Writes each shard that has rows, one after another.
    pub(crate) fn save(&self, write: WriteShard<'_>) -> Result<(), Problem> {
        let mut shards: [Vec<&(Q, A)>; SHARDS] = std::array::from_fn(|_| Vec::new());
        let mut written = 0;
        // Segments stand in the order of their shards, so a shard is whole once a segment begins
        // behind it.
        for (place, index) in self.directory.iter().enumerate() {
            if place > 0 && self.directory[place - 1] == *index {
                continue;
            }
            let begin = (place << 8) >> self.depth;
            flush(
                &mut shards,
                std::mem::replace(&mut written, begin)..begin,
                write,
            )?;
            for row in &self.segments[*index as usize].rows {
                shards[shard_of(hash_of(&row.0), SHARDS)].push(row);
            }
        }
        flush(&mut shards, written..SHARDS, write)
    }

    /// Reads the rows of a shard.
    pub(crate) fn load(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        for row in codec::decode::<Vec<(Q, A)>>(bytes)? {
            self.add(hash_of(&row.0), row);
        }
        Ok(())
    }
}

/// Writes the shards of a range, and forgets their rows.
fn flush<T: serde::Serialize>(
    shards: &mut [Vec<T>],
    range: Range<usize>,
    write: WriteShard<'_>,
) -> Result<(), Problem> {
    for (shard, rows) in range.clone().zip(&mut shards[range]) {
        let rows = std::mem::take(rows);
        if !rows.is_empty() {
            write(shard, codec::encode(&rows)?)?;
        }
    }
    Ok(())
}

impl<Q: Key, A> Segment<Q, A> {
    fn new(number: usize, depth: u32, room: usize) -> Self {
        // Multiples of the golden ratio lie far apart, however many there are (Knuth, 6.4).
        let apart = (number as u32).wrapping_mul(0x9E37_79B9) as usize >> 16;
        Segment {
            rows: HashTable::with_capacity(room),
            depth,
            rows_max: SEGMENT_ROWS - ((SEGMENT_ROWS * 2 / 5 * apart) >> 16),
            is_marked: Vec::new(),
            marked: Vec::new(),
        }
    }

    fn is_full(&self) -> bool {
        let rows = self.rows.len();
        rows == self.rows.capacity() || rows >= self.rows_max && self.depth < DEPTH_MAX
    }

    /// Marks the row in a bucket; tells whether it was not.
    #[inline(always)]
    fn mark(&mut self, bucket: u32) -> bool {
        if self.is_marked.is_empty() {
            self.is_marked = vec![0; self.rows.num_buckets().div_ceil(64)];
        }
        let (word, bit) = (
            &mut self.is_marked[bucket as usize / 64],
            1 << (bucket % 64),
        );
        let is_new = *word & bit == 0;
        if is_new {
            *word |= bit;
            self.marked.push(bucket);
        }
        is_new
    }

    /// Moves all rows, with their marks, to where their hashes lead.
    fn pour(mut self, segment_of: impl Fn(u64) -> usize, segments: &mut [Segment<Q, A>]) {
        let mut put = |row: (Q, A), is_marked: bool| {
            let hash = hash_of(&row.0);
            let segment = &mut segments[segment_of(hash)];
            let slot = segment.rows.insert_unique(hash, row, |row| hash_of(&row.0));
            let bucket = slot.bucket_index() as u32;
            if is_marked {
                segment.mark(bucket);
            }
        };
        for bucket in self.marked {
            if let Ok(slot) = self.rows.get_bucket_entry(bucket as usize) {
                put(slot.remove().0, true);
            }
        }
        self.rows.into_iter().for_each(|row| put(row, false));
    }
}

/// The first bits of those that a key's shard is made of.
#[inline(always)]
fn prefix(hash: u64, depth: u32) -> usize {
    ((((hash >> 16) as u32 as u64) << depth) >> 32) as usize
}

#[allow(unsafe_code)]
#[inline(always)]
fn prefetch<T>(row: &T) {
    let _ = row;
    // SAFETY: a prefetch reads nothing that the program could see.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(
            std::ptr::from_ref(row).cast(),
        );
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    const MANY: u64 = 1_000_000;

    fn key(n: u64) -> u64 {
        n.wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }

    fn place(rows: &Rows<u64, u64>, n: u64) -> Option<Place> {
        let hash = hash_of(&key(n));
        rows.place_in(rows.segment_of(hash), hash, &key(n))
    }

    /// Some rows that need several segments, every third marked while the table grows.
    fn many() -> Rows<u64, u64> {
        let mut rows = Rows::new();
        for n in 0..MANY {
            let hash = hash_of(&key(n));
            let place = rows.insert(hash, key(n), n);
            if n % 3 == 0 {
                rows.mark(place, hash);
            }
        }
        rows
    }

    #[test]
    fn a_table_that_was_divided_finds_every_row() {
        let mut rows = many();
        assert!(rows.segments.len() >= 4, "{}", rows.segments.len());
        assert_eq!(rows.len(), MANY as usize);
        for n in 0..MANY {
            let (key, hash) = (key(n), hash_of(&key(n)));
            rows.prefetch(rows.segment_of(hash), hash);
            assert_eq!(rows.find_mut(hash, &key).copied(), Some(n));
            let place = rows.place_in(rows.segment_of(hash), hash, &key).unwrap();
            assert_eq!(rows.at(place).copied(), Some(n));
        }
        assert_eq!(rows.find_mut(hash_of(&1_u64), &1), None);
    }

    #[test]
    fn the_shards_that_change_are_noted() {
        let mut rows = Rows::new();
        let mut expected = [false; SHARDS];
        for n in 0..40 {
            rows.insert(hash_of(&key(n)), key(n), n);
            expected[shard_of(hash_of(&key(n)), SHARDS)] = true;
        }
        assert_eq!(*rows.changed, expected);
        let mut again = Rows::<u64, u64>::new();
        let write = &mut |_, bytes: Vec<u8>| again.load(&bytes);
        rows.save(write).unwrap();
        assert_eq!(
            *again.changed, [false; SHARDS],
            "what was read is not changed"
        );
        let hash = hash_of(&key(3));
        let place = place(&again, 3).unwrap();
        assert_eq!(*again.changed, [false; SHARDS], "to look is not to change");
        again.mark(place, hash);
        assert!(again.changed[shard_of(hash, SHARDS)]);
    }

    #[test]
    fn no_segment_grows_beyond_its_bound() {
        let rows = many();
        let buckets = |segment: &Segment<u64, u64>| segment.rows.num_buckets();
        assert!(
            rows.segments
                .iter()
                .map(buckets)
                .all(|n| n <= SEGMENT_BUCKETS)
        );
    }

    #[test]
    fn marks_go_along_with_their_rows_and_are_taken_once() {
        let mut rows = many();
        let mut taken = BTreeSet::new();
        let mut calls = 0;
        loop {
            let mut count = 0;
            let more = rows.take_marked(1_000, |_, n| {
                assert!(taken.insert(*n), "{n} twice");
                count += 1;
            });
            assert!(count <= 1_000);
            calls += 1;
            if !more {
                break;
            }
        }
        assert_eq!(calls, 334);
        assert_eq!(taken, (0..MANY).step_by(3).collect());
        assert!(!rows.take_marked(1, |_, n| panic!("{n} is marked still")));
        let (hash, place) = (hash_of(&key(5)), place(&rows, 5));
        rows.mark(place.unwrap(), hash);
        rows.mark(place.unwrap(), hash);
        rows.take_marked(9, |_, n| assert_eq!(*n, 5));
        assert!(!rows.take_marked(9, |_, n| panic!("{n} is marked still")));
    }

    #[test]
    fn a_walk_in_pieces_sees_every_row_once() {
        let rows = many();
        let (mut cursor, mut seen) = (Cursor::default(), BTreeSet::new());
        loop {
            let before = seen.len();
            let more = rows.walk(&mut cursor, 4_096, |_, n| {
                assert!(seen.insert(*n));
            });
            assert!(seen.len() - before <= 4_096);
            if !more {
                break;
            }
        }
        assert_eq!(seen, (0..MANY).collect());
    }

    #[test]
    fn shards_are_written_whole_and_read_again() {
        for count in [0, 1, 1_000, MANY] {
            let mut rows = Rows::new();
            for n in 0..count {
                rows.insert(hash_of(&key(n)), key(n), n);
            }
            let mut saved = BTreeMap::new();
            let write = &mut |shard, bytes| {
                assert!(saved.insert(shard, bytes).is_none(), "shard {shard} twice");
                Ok(())
            };
            rows.save(write).unwrap();
            let mut again = Rows::new();
            for (shard, bytes) in &saved {
                for (key, _) in codec::decode::<Vec<(u64, u64)>>(bytes).unwrap() {
                    assert_eq!(shard_of(hash_of(&key), SHARDS), *shard);
                }
                again.load(bytes).unwrap();
            }
            assert_eq!(again.len(), count as usize);
            for n in 0..count {
                assert_eq!(again.find_mut(hash_of(&key(n)), &key(n)).copied(), Some(n));
            }
        }
    }
}
