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
//!
//! Rows are *saved* piece by piece, as they were when the save began, while others change them: a walk
//! goes through the segments in the order of their shards, and a row before it that is about to be
//! changed is written first. Which rows have been is a bit a row, too.

use std::ops::Range;

use hashbrown::HashTable;
use serde::Serialize;

use super::hash::{hash_of, shard_of};
use super::record::{Key, Record};
use super::{SHARDS, WriteShard};
use crate::codec::{self, Sequence};
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
    /// By shard: whether a row was added or changed here since the last save began, or ever.
    changed: Box<[bool; SHARDS]>,
    /// Whether every row that is there counts as changed.
    all_changed: bool,
    /// The save that is under way.
    saving: Option<Box<Saving>>,
}

/// How far a save has come. Only rows that were there when it began are written, as they were then.
struct Saving {
    /// By shard: whether it is written at all.
    wants: [bool; SHARDS],
    /// By shard: whether it is written though it has no rows, for it is not as it was in the save before.
    may_be_empty: [bool; SHARDS],
    /// By shard: what has been written of it, until it is whole.
    shards: Vec<Sequence>,
    /// The walk: all rows are written whose hashes begin with fewer than these [`DEPTH_MAX`] bits. A
    /// segment begins here.
    place: usize,
    /// The next bucket of that segment, by words of its bits.
    word: usize,
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
    /// By bucket: whether the row there needs not be written by the save that is under way: it has been,
    /// or was added since. Empty until the first is.
    is_written: Vec<u64>,
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
            all_changed: false,
            saving: None,
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

    /// Finds the place of a row with this hash whose state is so.
    pub(crate) fn find(&self, hash: u64, is_so: impl Fn(&A) -> bool) -> Option<Place> {
        let segment = self.segment_of(hash);
        let rows = &self.segments[segment].rows;
        let is_it = |(key, state): &(Q, A)| is_so(state) && hash_of(key) == hash;
        let bucket = rows.find_bucket_index(hash, is_it)?;
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
        let bucket = slot.bucket_index() as u32;
        if let Some(saving) = &self.saving
            && saving.is_ahead(hash)
        {
            self.segments[segment].note_written(bucket);
        }
        Place {
            segment: segment as u32,
            bucket,
        }
    }

    /// Asks the memory for the row that a hash most likely leads to.
    #[inline(always)]
    pub(crate) fn prefetch(&self, segment: usize, hash: u64) {
        self.segments[segment].prefetch(hash);
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
        self.settle_marked(max, |key, state| {
            each(key, state);
            true
        })
    }

    /// The same for rows that are changed by that, and removed where `each` says that they are not to be kept.
    /// While a save is under way only rows may be marked that were changed since it began.
    #[inline(always)]
    pub(crate) fn settle_marked(
        &mut self,
        max: usize,
        mut each: impl FnMut(&Q, &mut A) -> bool,
    ) -> bool {
        let mut left = max;
        while let (Some(index), 1..) = (self.marked.last().copied(), left) {
            let segment = &mut self.segments[index as usize];
            let rest = segment.marked.len().saturating_sub(left);
            left -= segment.marked.len() - rest;
            for bucket in segment.marked.drain(rest..) {
                segment.is_marked[bucket as usize / 64] &= !(1 << (bucket % 64));
                if let Some((key, state)) = segment.rows.get_bucket_mut(bucket as usize)
                    && !each(key, state)
                    && let Ok(row) = segment.rows.get_bucket_entry(bucket as usize)
                {
                    row.remove();
                }
            }
            if rest == 0 {
                self.marked.pop();
            }
        }
        !self.marked.is_empty()
    }

    /// Removes the row of a key, which is not marked. While a save is under way only rows may be removed that were
    /// changed since it began.
    #[inline]
    pub(crate) fn remove(&mut self, hash: u64, key: &Q) -> Option<(Q, A)> {
        self.changed[shard_of(hash, SHARDS)] = true;
        let rows = &mut self.segments[self.directory[prefix(hash, self.depth)] as usize].rows;
        let entry = rows.find_entry(hash, |row| row.0 == *key).ok()?;
        Some(entry.remove().0)
    }

    /// The same of the row at a place.
    pub(crate) fn remove_at(&mut self, place: Place, hash: u64) -> Option<(Q, A)> {
        self.changed[shard_of(hash, SHARDS)] = true;
        let rows = &mut self.segments[place.segment as usize].rows;
        let entry = rows.get_bucket_entry(place.bucket as usize).ok()?;
        Some(entry.remove().0)
    }

    /// Notes that the row of a hash was changed.
    pub(crate) fn note_changed(&mut self, hash: u64) {
        self.changed[shard_of(hash, SHARDS)] = true;
    }

    /// The same of every row. A shard that has none is none of this worker, or was saved as empty.
    pub(crate) fn note_all_changed(&mut self) {
        self.all_changed = true;
    }

    /// Hands over up to `max` rows from the cursor on. Tells whether there are more. No row may be
    /// added between the calls of one walk.
    pub(crate) fn walk(
        &mut self,
        cursor: &mut Cursor,
        max: usize,
        mut each: impl FnMut(&Q, &mut A),
    ) -> bool {
        let mut left = max;
        while let Some(Segment { rows, .. }) = self.segments.get_mut(cursor.segment) {
            while cursor.bucket < rows.num_buckets() {
                if left == 0 {
                    return true;
                }
                if let Some((key, state)) = rows.get_bucket_mut(cursor.bucket) {
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
        if let Some(saving) = &mut self.saving {
            saving.word = 0; // what is walked through once more has bits that say so
        }
        let segment = &self.segments[index];
        let (depth, buckets) = (segment.depth, segment.rows.num_buckets());
        // What fills it may be the places of rows that were removed.
        let is_half_empty = segment.rows.len() < segment.rows_max / 2;
        if buckets < SEGMENT_BUCKETS || is_half_empty || depth == DEPTH_MAX {
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

impl Saving {
    /// Whether the row of a hash is still to be written, if it was there when the save began.
    #[inline]
    fn is_ahead(&self, hash: u64) -> bool {
        prefix(hash, DEPTH_MAX) >= self.place && self.wants[shard_of(hash, SHARDS)]
    }

    /// Writes a row, if its shard is wanted. Tells what it costs, in rows.
    fn write<T: Serialize>(&mut self, hash: u64, row: &T) -> Result<usize, Problem> {
        let shard = shard_of(hash, SHARDS);
        let bytes = match self.wants[shard] {
            true => self.shards[shard].push(row)?,
            false => 0,
        };
        Ok(1 + bytes / ROW_BYTES)
    }

    /// The shards that a segment at the walk's place has rows of.
    fn shards_of(&self, depth: u32) -> Range<usize> {
        shard_at(self.place)..shard_at(self.end_of(depth) - 1) + 1
    }

    /// The end of a segment at the walk's place.
    fn end_of(&self, depth: u32) -> usize {
        self.place + (1 << (DEPTH_MAX - depth))
    }

    /// Goes on behind a segment, and hands over the shards that are whole now.
    fn pass(&mut self, depth: u32, write: WriteShard<'_>) -> Result<(), Problem> {
        let next = self.end_of(depth);
        let whole = shard_at(self.place)..shard_at(next);
        (self.place, self.word) = (next, 0);
        for shard in whole {
            let bytes = match std::mem::take(&mut self.shards[shard]).finish() {
                None if self.may_be_empty[shard] => codec::encode(&[(); 0][..])?,
                None => continue,
                Some(bytes) => bytes,
            };
            write(shard, bytes)?;
        }
        Ok(())
    }
}

/// The shard of hashes that begin with these [`DEPTH_MAX`] bits.
fn shard_at(place: usize) -> usize {
    (place * SHARDS) >> DEPTH_MAX
}

/// What it costs to look at so many bits as are in a word, in rows that are written.
const WORD_ROWS: usize = 4;
/// How many bytes cost as much as a row more.
const ROW_BYTES: usize = 64;
/// How many rows are asked for before the first of them is looked at.
const AHEAD: usize = 32;

impl<Q: Key, A: Record> Rows<Q, A> {
    /// Begins to save the rows as they are now: all, or those of the shards that were changed since the
    /// last save began.
    pub(crate) fn begin_save(&mut self, everything: bool) {
        let changed = std::mem::replace(&mut *self.changed, [false; SHARDS]);
        let all = everything || std::mem::take(&mut self.all_changed);
        self.saving = Some(Box::new(Saving {
            wants: changed.map(|is_changed| is_changed || all),
            may_be_empty: changed.map(|is_changed| is_changed && !everything),
            shards: (0..SHARDS).map(|_| Sequence::default()).collect(),
            place: 0,
            word: 0,
        }));
    }

    /// Writes about so many more rows, and hands over each shard that is whole. Tells whether there is
    /// more.
    pub(crate) fn save(&mut self, rows_max: usize, write: WriteShard<'_>) -> Result<bool, Problem> {
        let Some(saving) = &mut self.saving else {
            return Ok(false);
        };
        let mut left = rows_max;
        while saving.place < 1 << DEPTH_MAX {
            let index = self.directory[saving.place >> (DEPTH_MAX - self.depth)];
            let segment = &mut self.segments[index as usize];
            let is_wanted = saving.wants[saving.shards_of(segment.depth)].contains(&true);
            if is_wanted && !segment.save(saving, &mut left)? {
                return Ok(true);
            }
            segment.is_written = Vec::new();
            saving.pass(segment.depth, write)?;
        }
        self.saving = None;
        Ok(false)
    }

    /// Writes the rows of keys that are about to be changed, as far as the save that is under way has not
    /// come to them. Tells how many.
    pub(crate) fn save_before_change<'a>(
        &mut self,
        keys: impl Iterator<Item = &'a Q>,
    ) -> Result<usize, Problem> {
        let Rows {
            segments,
            directory,
            depth,
            saving: Some(saving),
            ..
        } = self
        else {
            return Ok(0);
        };
        let mut keys = keys.map(|key| (hash_of(key), key));
        let mut ahead = Vec::with_capacity(AHEAD);
        let mut found = Vec::with_capacity(AHEAD);
        let (mut is_end, mut written) = (false, 0);
        while !is_end {
            // Rows are asked for some keys ahead, and found before the first is written: few of a large
            // table are in a near cache.
            while ahead.len() < AHEAD && !is_end {
                let next = keys.next();
                is_end = next.is_none();
                if let Some((hash, key)) = next.filter(|(hash, _)| saving.is_ahead(*hash)) {
                    let segment = directory[prefix(hash, *depth)] as usize;
                    segments[segment].prefetch(hash);
                    ahead.push((hash, segment, key));
                }
            }
            for (hash, segment, key) in ahead.drain(..) {
                let bucket = segments[segment].take_unwritten(hash, key);
                found.extend(bucket.map(|bucket| (hash, segment, bucket)));
            }
            for (hash, segment, bucket) in found.drain(..) {
                if let Some(row) = segments[segment].rows.get_bucket(bucket) {
                    saving.write(hash, row)?;
                    written += 1;
                }
            }
        }
        Ok(written)
    }

    /// The same for the row at a place.
    pub(crate) fn save_before_place(&mut self, place: Place, hash: u64) -> Result<(), Problem> {
        let Some(saving) = self.saving.as_mut().filter(|saving| saving.is_ahead(hash)) else {
            return Ok(());
        };
        let segment = &mut self.segments[place.segment as usize];
        if segment.note_written(place.bucket)
            && let Some(row) = segment.rows.get_bucket(place.bucket as usize)
        {
            saving.write(hash, row)?;
        }
        Ok(())
    }

    /// Reads the rows of a shard.
    pub(crate) fn load(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        self.load_each(bytes, |_, _| {})
    }

    /// The same, and hands over the hash and the state of each.
    pub(crate) fn load_each(
        &mut self,
        bytes: &[u8],
        mut each: impl FnMut(u64, &A),
    ) -> Result<(), Problem> {
        for row in codec::decode::<Vec<(Q, A)>>(bytes)? {
            let hash = hash_of(&row.0);
            each(hash, &row.1);
            self.add(hash, row);
        }
        Ok(())
    }
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
            is_written: Vec::new(),
        }
    }

    fn is_full(&self) -> bool {
        let rows = self.rows.len();
        rows == self.rows.capacity() || rows >= self.rows_max && self.depth < DEPTH_MAX
    }

    #[inline(always)]
    fn prefetch(&self, hash: u64) {
        prefetch_row(&self.rows, hash);
    }

    /// Notes that the row in a bucket needs not be written; tells whether it needed to be.
    fn note_written(&mut self, bucket: u32) -> bool {
        self.make_bits();
        let (word, bit) = (
            &mut self.is_written[bucket as usize / 64],
            1 << (bucket % 64),
        );
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    fn make_bits(&mut self) {
        if self.is_written.is_empty() {
            self.is_written = vec![0; self.rows.num_buckets().div_ceil(64)];
        }
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

    /// Moves all rows, with their marks and what is known of them, to where their hashes lead.
    fn pour(mut self, segment_of: impl Fn(u64) -> usize, segments: &mut [Segment<Q, A>]) {
        let mut put = |row: (Q, A), is_marked: bool, is_written: bool| {
            let hash = hash_of(&row.0);
            let segment = &mut segments[segment_of(hash)];
            let slot = segment.rows.insert_unique(hash, row, |row| hash_of(&row.0));
            let bucket = slot.bucket_index() as u32;
            if is_marked {
                segment.mark(bucket);
            }
            if is_written {
                segment.note_written(bucket);
            }
        };
        let written = self.is_written;
        let is_written = |bucket: usize| {
            let word = written.get(bucket / 64);
            word.is_some_and(|word| word & (1 << (bucket % 64)) != 0)
        };
        for bucket in self.marked {
            let bucket = bucket as usize;
            if let Ok(slot) = self.rows.get_bucket_entry(bucket) {
                put(slot.remove().0, true, is_written(bucket));
            }
        }
        let buckets = 0..written.len() * 64;
        for bucket in buckets.filter(|bucket| is_written(*bucket)) {
            if let Ok(slot) = self.rows.get_bucket_entry(bucket) {
                put(slot.remove().0, false, true);
            }
        }
        let rest = self.rows.into_iter();
        rest.for_each(|row| put(row, false, false));
    }
}

impl<Q: Key, A: Record> Segment<Q, A> {
    /// Writes what is not written yet, as far as there are rows left. Tells whether it is all.
    fn save(&mut self, saving: &mut Saving, left: &mut usize) -> Result<bool, Problem> {
        self.make_bits();
        let mut found = Vec::with_capacity(64);
        for (at, word) in self.is_written.iter_mut().enumerate().skip(saving.word) {
            saving.word = at;
            if *left == 0 {
                return Ok(false);
            }
            *left = left.saturating_sub(WORD_ROWS);
            // All are hashed before the first is written: what several keys point to is fetched at once.
            let mut rest = !*word;
            while rest != 0 {
                let bit = rest.trailing_zeros();
                rest &= rest - 1;
                if let Some(row) = self.rows.get_bucket(at * 64 + bit as usize) {
                    found.push((bit, hash_of(&row.0), row));
                }
            }
            for (bit, hash, row) in found.drain(..) {
                if *left == 0 {
                    return Ok(false);
                }
                *word |= 1 << bit;
                *left = left.saturating_sub(saving.write(hash, row)?);
            }
        }
        Ok(true)
    }

    /// Finds the row of a key, if there is one that is not written yet, to be written.
    fn take_unwritten(&mut self, hash: u64, key: &Q) -> Option<usize> {
        let bucket = self.rows.find_bucket_index(hash, |row| row.0 == *key)?;
        self.note_written(bucket as u32).then_some(bucket)
    }
}

/// The first bits of those that a key's shard is made of.
#[inline(always)]
fn prefix(hash: u64, depth: u32) -> usize {
    ((((hash >> 16) as u32 as u64) << depth) >> 32) as usize
}

/// Asks the memory for the row that a hash most likely leads to. Only time depends on it: where `hashbrown` puts
/// its rows is its own affair.
#[inline(always)]
pub(super) fn prefetch_row<R>(rows: &HashTable<R>, hash: u64) {
    let likely = hash as usize & rows.num_buckets().wrapping_sub(1);
    if let Some(row) = rows.get_bucket(likely) {
        prefetch(row, 0);
        if size_of::<R>() > LINE / 2 {
            prefetch(row, size_of::<R>() - 1); // it may lie in two lines
        }
    }
}

/// How many bytes the memory gives at once.
const LINE: usize = 64;

#[allow(unsafe_code)]
#[inline(always)]
fn prefetch<T>(row: &T, byte: usize) {
    let _ = (row, byte);
    // SAFETY: a prefetch reads nothing that the program could see.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(
            std::ptr::from_ref(row).cast::<i8>().wrapping_add(byte),
        );
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::time::{Duration, Instant};

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

    /// Saves all rows at once.
    fn save(rows: &mut Rows<u64, u64>, write: WriteShard<'_>) {
        rows.begin_save(true);
        assert!(!rows.save(usize::MAX, write).unwrap());
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
        save(&mut rows, write);
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
        let mut rows = many();
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
            save(&mut rows, write);
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

    /// Folds a batch of keys as an operator does: what is changed is written before.
    fn fold(rows: &mut Rows<u64, u64>, now: &mut BTreeMap<u64, u64>, keys: &[u64], value: u64) {
        rows.save_before_change(keys.iter()).unwrap();
        for key in keys {
            let hash = hash_of(key);
            match rows.find_mut(hash, key) {
                Some(state) => *state = value,
                None => {
                    let place = rows.insert(hash, *key, value);
                    if value.is_multiple_of(3) {
                        rows.mark(place, hash);
                    }
                }
            }
            now.insert(*key, value);
        }
    }

    fn shard_of_key(key: u64) -> usize {
        shard_of(hash_of(&key), SHARDS)
    }

    /// Settles some marked rows, of which some are removed.
    fn settle(rows: &mut Rows<u64, u64>, now: &mut BTreeMap<u64, u64>, max: usize) {
        rows.settle_marked(max, |key, _| {
            let is_kept = key % 16 != 0;
            if !is_kept {
                now.remove(key);
            }
            is_kept
        });
    }

    /// One save in pieces while rows are added, changed and removed, and the table is divided.
    fn save_while_changing(
        rows: &mut Rows<u64, u64>,
        now: &mut BTreeMap<u64, u64>,
        everything: bool,
        random: &mut fastrand::Rng,
    ) {
        settle(rows, now, usize::MAX);
        let changed = *rows.changed;
        let mut expected = now.clone();
        expected.retain(|key, _| everything || changed[shard_of_key(*key)]);
        let mut saved = BTreeMap::new();
        let mut shards = BTreeSet::new();
        let keys_max = now.len() as u64 * 2 + 100;
        let grows = random.bool();
        let most = 1 << random.u32(0..15);
        rows.begin_save(everything);
        let write = &mut |shard, bytes: Vec<u8>| {
            assert!(shards.insert(shard), "shard {shard} twice");
            for (key, value) in codec::decode::<Vec<(u64, u64)>>(&bytes)? {
                assert_eq!(shard_of_key(key), shard);
                assert!(saved.insert(key, value).is_none(), "{key} twice");
            }
            Ok(())
        };
        while rows.save(random.usize(1..8_000), write).unwrap() {
            let mut batch: Vec<_> = (0..random.usize(0..=most))
                .map(|_| key(random.u64(0..keys_max)))
                .collect();
            if grows {
                let new = now.len() as u64..;
                batch.extend(new.take(random.usize(0..2_000)).map(key));
            }
            fold(rows, now, &batch, random.u64(..));
            if random.u8(0..4) == 0 {
                settle(rows, now, random.usize(0..500));
            }
        }
        assert!(saved == expected, "what was saved is not what was there");
        assert!(rows.saving.is_none());
        let mut segments = rows.segments.iter();
        assert!(segments.all(|segment| segment.is_written.is_empty()));
        for (key, value) in now {
            let hash = hash_of(key);
            let place = rows.place_in(rows.segment_of(hash), hash, key).unwrap();
            assert_eq!(rows.at(place).copied(), Some(*value));
        }
    }

    #[test]
    fn a_save_in_pieces_writes_what_was_there_when_it_began() {
        let mut splits = 0;
        for seed in 0..32 {
            let random = &mut fastrand::Rng::with_seed(seed);
            let (mut rows, mut now) = (Rows::new(), BTreeMap::new());
            let count = [0, 30, 1_000, 50_000, 55_000, 85_000][random.usize(0..6)];
            let keys: Vec<_> = (0..count).map(key).collect();
            fold(&mut rows, &mut now, &keys, 0);
            for _ in 0..3 {
                let (everything, before) = (random.bool(), rows.segments());
                save_while_changing(&mut rows, &mut now, everything, random);
                splits += rows.segments() - before;
            }
        }
        assert!(splits > 10, "{splits} segments were split during a save");
    }

    #[test]
    fn a_row_that_is_removed_during_a_save_is_written_as_it_was() {
        let random = &mut fastrand::Rng::with_seed(1);
        let (mut rows, mut now) = (Rows::new(), BTreeMap::new());
        fold(
            &mut rows,
            &mut now,
            &(0..5_000).map(key).collect::<Vec<_>>(),
            1,
        );
        let (expected, mut saved) = (now.clone(), BTreeMap::new());
        rows.begin_save(true);
        let write = &mut |_, bytes: Vec<u8>| {
            saved.extend(codec::decode::<Vec<(u64, u64)>>(&bytes)?);
            Ok(())
        };
        while rows.save(64, write).unwrap() {
            let batch: Vec<_> = (0..200).map(|_| key(random.u64(0..8_000))).collect();
            fold(&mut rows, &mut now, &batch, 2);
            for key in &batch[..100] {
                let removed = rows.remove(hash_of(key), key);
                assert_eq!(removed, now.remove(key).map(|value| (*key, value)));
            }
        }
        assert!(saved == expected, "what was saved is not what was there");
        assert_eq!(rows.len(), now.len());
    }

    #[test]
    fn only_the_shards_that_were_changed_since_the_last_save_are_written() {
        let mut rows = Rows::new();
        for n in 0..10_000 {
            rows.insert(hash_of(&key(n)), key(n), n);
        }
        save(&mut rows, &mut |_, _| Ok(()));
        let changed = [3, 77, 4_000].map(key);
        for key in changed {
            *rows.find_mut(hash_of(&key), &key).unwrap() += 1;
        }
        for expected in [BTreeSet::from(changed.map(shard_of_key)), BTreeSet::new()] {
            let mut shards = BTreeSet::new();
            rows.begin_save(false);
            let write = &mut |shard, _| {
                shards.insert(shard);
                Ok(())
            };
            assert!(!rows.save(usize::MAX, write).unwrap());
            assert_eq!(shards, expected);
        }
    }

    #[test]
    fn a_shard_that_has_become_empty_is_written_as_such() {
        let mut rows = Rows::new();
        let hash = hash_of(&key(1));
        let place = rows.insert(hash, key(1), 1_u64);
        save(&mut rows, &mut |_, _| Ok(()));
        rows.mark(place, hash);
        rows.settle_marked(1, |_, _| false);
        for (everything, expected) in [(false, vec![shard_of(hash, SHARDS)]), (true, vec![])] {
            let mut shards = Vec::new();
            rows.begin_save(everything);
            let write = &mut |shard, bytes: Vec<u8>| {
                assert!(codec::decode::<Vec<(u64, u64)>>(&bytes)?.is_empty());
                shards.push(shard);
                Ok(())
            };
            assert!(!rows.save(usize::MAX, write).unwrap());
            assert_eq!(shards, expected);
        }
    }

    /// What has no rows may be another worker's.
    #[test]
    fn of_all_rows_only_the_shards_that_have_some_are_written() {
        let mut rows = Rows::new();
        let hash = hash_of(&key(1));
        rows.insert(hash, key(1), 1_u64);
        save(&mut rows, &mut |_, _| Ok(()));
        for expected in [vec![shard_of(hash, SHARDS)], vec![]] {
            let mut shards = Vec::new();
            if !expected.is_empty() {
                rows.note_all_changed();
            }
            rows.begin_save(false);
            let write = &mut |shard, _| {
                shards.push(shard);
                Ok(())
            };
            assert!(!rows.save(usize::MAX, write).unwrap());
            assert_eq!(shards, expected);
        }
    }

    #[test]
    fn a_piece_is_bounded_by_rows_and_by_bytes() {
        let mut rows = Rows::new();
        for n in 0..1_000 {
            rows.insert(hash_of(&key(n)), key(n), vec![1_u8; 64_000]);
        }
        rows.begin_save(true);
        let mut pieces = 0;
        while rows.save(10_000, &mut |_, _| Ok(())).unwrap() {
            pieces += 1;
        }
        assert!((90..=110).contains(&pieces), "{pieces}");
    }

    /// Prints how long the pieces of a save take, without anything beside it, and with batches of records
    /// that change rows that have not been written.
    fn measure<Q: Key>(name: &str, key: impl Fn(u64) -> Q) {
        let mut rows = Rows::new();
        for n in 0..MANY {
            rows.insert(hash_of(&key(n)), key(n), n);
        }
        for batch in [0, 4_096, 65_536] {
            let random = &mut fastrand::Rng::with_seed(batch);
            let keys: Vec<_> = (0..batch).map(|_| key(random.u64(0..MANY))).collect();
            let (mut pieces, mut changes) = (Vec::new(), Vec::new());
            let mut bytes = 0;
            rows.begin_save(true);
            loop {
                let start = Instant::now();
                let more = rows.save(8_192, &mut |_, shard| {
                    bytes += shard.len();
                    std::mem::forget(shard); // as a checkpoint keeps it
                    Ok(())
                });
                pieces.push(start.elapsed());
                let start = Instant::now();
                rows.save_before_change(keys.iter()).unwrap();
                changes.push(start.elapsed());
                if !more.unwrap() {
                    break;
                }
            }
            let (longest, sum) = (pieces.iter().max(), pieces.iter().sum::<Duration>());
            let before = changes.iter().max();
            println!(
                "{name}, {batch} records a piece: {} pieces, the longest {longest:?}, all {sum:?}, \
                 {bytes} bytes; before a change at most {before:?}",
                pieces.len()
            );
        }
        let start = Instant::now();
        let mut shards: Vec<Vec<&(Q, u64)>> = (0..SHARDS).map(|_| Vec::new()).collect();
        for row in rows.segments.iter().flat_map(|segment| &segment.rows) {
            shards[shard_of(hash_of(&row.0), SHARDS)].push(row);
        }
        let whole = |rows: &Vec<&(Q, u64)>| codec::encode(rows).unwrap();
        let whole: Vec<_> = shards.iter().map(whole).collect();
        println!("{name}, at once: {:?}", start.elapsed());
        drop(whole);
    }

    #[test]
    #[ignore = "a measurement, for a release build"]
    fn how_long_a_piece_takes() {
        measure("u64", key);
        measure("String", |n| format!("user-{:016x}", key(n)));
    }
}
