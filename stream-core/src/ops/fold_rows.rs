//! The loop that folds records into rows by key, for tables and for what stands behind them.

use crate::graph::{Key, Record};
use crate::state::hash::hash_of;
use crate::state::rows::Rows;

/// How many records are hashed, and their rows asked for, before the first of them is folded.
const AHEAD: usize = 32;

/// Records that were hashed and whose segment was found, not yet folded; empty between calls.
pub(super) struct Ahead<Q, P>(Vec<(u64, usize, Q, P)>);

impl<Q, P> Default for Ahead<Q, P> {
    fn default() -> Self {
        Ahead(Vec::new())
    }
}

/// What the loop does, with what and where.
pub(super) struct FoldRows<'a, Q, P, A, I, F, C> {
    pub(super) rows: &'a mut Rows<Q, A>,
    pub(super) ahead: &'a mut Ahead<Q, P>,
    /// Makes a row of the first one of a key.
    pub(super) start: I,
    /// Folds another one into it, and tells whether that has changed it.
    pub(super) extend: F,
    /// Is told of each row that is new or changed, if `AT_ONCE`.
    pub(super) changed: C,
}

impl<Q, P, A, I, F, C> FoldRows<'_, Q, P, A, I, F, C>
where
    Q: Key,
    A: Record,
    I: Fn(P) -> A,
    F: Fn(&mut A, P) -> bool,
    C: FnMut(Q, &A),
{
    /// Folds all records. `AT_ONCE` and `MARKS` say what becomes of a row that was changed: it is told, or marked. To
    /// decide that a record would cost a tenth.
    #[inline(always)]
    pub(super) fn fold<const AT_ONCE: bool, const MARKS: bool>(
        &mut self,
        mut records: impl Iterator<Item = (Q, P)>,
    ) {
        while let Some(mut only) = self.rows.only_segment() {
            let is_new = loop {
                let Some((key, record)) = records.next() else {
                    return;
                };
                let hash = hash_of(&key);
                // Most keys are there already, and to find one is faster than to make ready for
                // one more.
                if MARKS {
                    let Some(bucket) = only.place(hash, &key) else {
                        break (hash, key, record);
                    };
                    if let Some(state) = only.at(bucket)
                        && (self.extend)(state, record)
                    {
                        only.mark(bucket, hash);
                    }
                    continue;
                }
                let Some(state) = only.find_mut(hash, &key) else {
                    break (hash, key, record);
                };
                if (self.extend)(state, record) && AT_ONCE {
                    (self.changed)(key, state);
                }
            };
            let (hash, key, record) = is_new;
            self.add::<AT_ONCE, MARKS>(hash, key, record);
        }
        self.fold_ahead::<AT_ONCE, MARKS>(records);
    }

    /// The same for a table that fits no near cache: rows are asked for some records ahead.
    #[inline(never)]
    fn fold_ahead<const AT_ONCE: bool, const MARKS: bool>(
        &mut self,
        mut records: impl Iterator<Item = (Q, P)>,
    ) {
        let mut ahead = std::mem::take(&mut self.ahead.0);
        loop {
            for (key, record) in records.by_ref().take(AHEAD) {
                let hash = hash_of(&key);
                let segment = self.rows.segment_of(hash);
                self.rows.prefetch(segment, hash);
                ahead.push((hash, segment, key, record));
            }
            if ahead.is_empty() {
                break;
            }
            let segments = self.rows.segments();
            for (hash, mut segment, key, record) in ahead.drain(..) {
                if self.rows.segments() != segments {
                    segment = self.rows.segment_of(hash);
                }
                self.fold_row::<AT_ONCE, MARKS>((hash, segment), key, record);
            }
        }
        self.ahead.0 = ahead;
    }

    #[inline(always)]
    fn fold_row<const AT_ONCE: bool, const MARKS: bool>(
        &mut self,
        (hash, segment): (u64, usize),
        key: Q,
        record: P,
    ) {
        if MARKS {
            let Some(place) = self.rows.place_in(segment, hash, &key) else {
                return self.add::<AT_ONCE, MARKS>(hash, key, record);
            };
            if let Some(state) = self.rows.at(place)
                && (self.extend)(state, record)
            {
                self.rows.mark(place, hash);
            }
            return;
        }
        let Some(state) = self.rows.find_in(segment, hash, &key) else {
            return self.add::<AT_ONCE, MARKS>(hash, key, record);
        };
        if (self.extend)(state, record) && AT_ONCE {
            (self.changed)(key, state);
        }
    }

    /// Takes in the first record of a key.
    #[cold]
    #[inline(never)]
    fn add<const AT_ONCE: bool, const MARKS: bool>(&mut self, hash: u64, key: Q, record: P) {
        let state = (self.start)(record);
        if AT_ONCE {
            (self.changed)(key.clone(), &state);
        }
        let place = self.rows.insert(hash, key, state);
        if MARKS {
            self.rows.mark(place, hash);
        }
    }
}
