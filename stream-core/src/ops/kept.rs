//! Rows that come and go: what the operators behind tables keep by key, on the core of all keyed ones.
//!
//! An operator is only its [`Upkeep`]: what a record does to a row, and what the row then has to say. A row that
//! has nothing more to keep is removed when it has said so. When rows are asked is the mode's business; at
//! the close of a batch each that was changed is asked once.

use super::fold_rows::{Ahead, FoldRows};
use super::keyed::{self, Emit, FULL, KeepsRows, Logic};
use crate::engine::flow::Flow;
use crate::engine::{Emission, Mode};
use crate::graph::context::Context;
use crate::graph::{Key, Record, Stamp};
use crate::state::hash::hash_of;
use crate::state::rows::{Cursor, Rows};

/// What is kept for a key, and what is told of it.
pub(super) trait Upkeep: 'static {
    type Key: Key;
    /// What comes for a key.
    type In: Record;
    /// What is kept; the default is nothing.
    type Row: Record + Default;
    type Out: 'static;
    /// Whether those behind forget what they were told, and are told again when a job goes on from a checkpoint.
    const REPEATS: bool = false;

    fn take(&self, row: &mut Self::Row, record: Self::In);

    /// Tells what a row has to say, or what is new of it; and whether anything is left to keep.
    fn tell(&self, key: &Self::Key, row: &mut Self::Row, out: &mut Out<Self>) -> bool;

    /// Tells what was told of a row.
    fn repeat(&self, _key: &Self::Key, _row: &Self::Row, _out: &mut Out<Self>) {}
}

/// Where an upkeep tells it.
pub(super) type Out<U> = Vec<((), <U as Upkeep>::Out)>;

/// The logic of an upkeep.
struct Kept<U: Upkeep> {
    upkeep: U,
    emission: Emission,
    /// How far the walk has come that asks all rows.
    walked: Cursor,
    ahead: Ahead<U::Key, U::In>,
}

/// Renders an upkeep behind a flow. `when` says of a mode when rows are asked.
pub(super) fn render<'s, S: Stamp, T: 'static, U: Upkeep>(
    context: &mut Context<'s>,
    node: usize,
    flow: Flow<'s>,
    record: impl Fn(S, T) -> (U::Key, U::In) + 'static,
    when: fn(&Mode) -> Emission,
    upkeep: U,
) {
    let emission = when(&context.local.mode);
    let logic = Kept {
        upkeep,
        emission,
        walked: Cursor::default(),
        ahead: Ahead::default(),
    };
    keyed::render(context, node, flow, record, emission, logic);
}

impl<U: Upkeep> Kept<U> {
    /// Asks so many of the rows that were changed. Tells whether there are more.
    fn ask_changed(&self, rows: &mut Rows<U::Key, U::Row>, max: usize, out: &mut Out<U>) -> bool {
        rows.settle_marked(max, |key, row| self.upkeep.tell(key, row, out))
    }
}

impl<U: Upkeep> Logic for Kept<U> {
    type Record = (U::Key, U::In);
    type State = Rows<U::Key, U::Row>;
    type Stamp = ();
    type Out = U::Out;

    const IS_TABLE: bool = true;
    const REPEATS: bool = U::REPEATS;

    #[inline]
    fn hash((key, _): &(U::Key, U::In)) -> u64 {
        hash_of(key)
    }

    fn empty(&self) -> Self::State {
        Rows::new()
    }

    fn fold_all(
        &mut self,
        rows: &mut Self::State,
        records: impl Iterator<Item = Self::Record>,
        emit: &mut Emit<Self>,
    ) {
        let upkeep = &self.upkeep;
        let mut fold_rows = FoldRows {
            rows,
            ahead: &mut self.ahead,
            start: |record| {
                let mut row = U::Row::default();
                upkeep.take(&mut row, record);
                row
            },
            extend: |row: &mut U::Row, record| {
                upkeep.take(row, record);
                true
            },
            changed: |_, _: &U::Row| {},
        };
        match self.emission {
            Emission::AtOnce | Emission::BatchClose => {
                fold_rows.fold::<false, true>(records);
            }
            Emission::End => fold_rows.fold::<false, false>(records),
        }
        if self.emission == Emission::AtOnce {
            self.ask_changed(rows, usize::MAX, &mut emit.records);
        }
    }

    fn close(&mut self, rows: &mut Self::State, emit: &mut Emit<Self>) -> bool {
        self.ask_changed(rows, FULL, &mut emit.records)
    }

    fn emit_all(&mut self, rows: &mut Self::State, emit: &mut Emit<Self>) -> bool {
        rows.note_all_changed();
        let (upkeep, out) = (&self.upkeep, &mut emit.records);
        // What has nothing to keep stays: the walk is at the end of input, or follows a run that ended there.
        rows.walk(&mut self.walked, FULL, |key, row| {
            upkeep.tell(key, row, out);
        })
    }

    fn repeat(&mut self, rows: &mut Self::State, emit: &mut Emit<Self>) -> bool {
        let (upkeep, out) = (&self.upkeep, &mut emit.records);
        let has_more = rows.walk(&mut self.walked, FULL, |key, row| {
            upkeep.repeat(key, row, out);
        });
        if !has_more {
            self.walked = Cursor::default();
        }
        has_more
    }
}

impl<U: Upkeep> KeepsRows for Kept<U> {
    type Key = U::Key;
    type Row = U::Row;

    fn changes((key, _): &(U::Key, U::In)) -> Option<&U::Key> {
        Some(key)
    }
}
