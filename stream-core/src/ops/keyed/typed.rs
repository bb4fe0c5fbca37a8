//! The part of a keyed operator that knows the type of its records: the loops over them, the state,
//! and what is to be sent.

use std::marker::PhantomData;
use std::rc::Rc;

use super::{Emit, Logic, Saves};
use crate::engine::batch::{Boxed, Segment};
use crate::engine::parcel::Parcel;
use crate::error::Problem;
use crate::state::WriteShard;
use crate::state::record::Stamp;
use crate::time::EventTime;

/// Records on their way in.
pub(super) enum Input<'a> {
    /// From the shuffle.
    Parcel(&'a mut Parcel),
    /// From the chain in front, on a job's only worker.
    Segment(&'a mut Segment),
}

impl Input<'_> {
    pub(super) fn count(&self) -> usize {
        match self {
            Input::Parcel(parcel) => parcel.count(),
            Input::Segment(segment) => segment.count(),
        }
    }
}

/// An operator with the types of its records erased.
pub(super) trait Folding {
    /// Takes records in. Tells how many rows were written before they were changed.
    ///
    /// # Errors
    /// When they come from another process and cannot be read, or what is saved cannot be written.
    fn fold(&mut self, input: Input<'_>) -> Result<usize, Problem>;
    /// Takes records away, to be folded later.
    fn keep(&mut self, input: Input<'_>) -> Parcel;
    /// Divides records that were kept, in their order, into parts of so many at most.
    ///
    /// # Errors
    /// When they come from another process and cannot be read.
    fn split(&mut self, parcel: Parcel, part: usize) -> Result<Vec<Parcel>, Problem>;
    fn due(&self) -> EventTime;
    fn begin_advance(&mut self, watermark: EventTime);
    /// Emits what is complete, or as much as is [`FULL`](super::FULL); tells whether there is more.
    fn advance(&mut self) -> bool;
    /// Emits what is withheld, likewise.
    fn close(&mut self) -> bool;
    /// Emits all that there is, likewise.
    fn emit_all(&mut self) -> bool;
    /// Whether what is emitted of a key takes the place of what was.
    fn is_table(&self) -> bool;
    /// Whether what was emitted is emitted again when a job goes on.
    fn repeats(&self) -> bool;
    /// Emits it, likewise.
    fn repeat(&mut self) -> bool;
    /// Begins to save the state as it is now.
    fn begin_save(&mut self, everything: bool) -> bool;
    /// Saves the next piece; tells whether there is more.
    fn save(&mut self, write: WriteShard<'_>) -> Result<bool, Problem>;
    fn load(&mut self, bytes: &[u8]) -> Result<(), Problem>;
    /// How many records wait to be sent, emitted and overtaken.
    fn pending(&self) -> [usize; 2];
    /// Takes those.
    fn take_emitted(&mut self) -> (Option<Boxed>, usize);
    fn take_overtaken(&mut self) -> (Option<Boxed>, usize);
}

/// A logic with its state, and how a record of the chain in front becomes one of its own.
pub(super) struct Typed<S, T, L: Logic, R> {
    logic: L,
    state: L::State,
    emit: Emit<L>,
    /// Whether a save is under way.
    is_saving: bool,
    to_record: Rc<R>,
    records: PhantomData<fn(S, T)>,
}

impl<S: Stamp, T: 'static, L: Logic, R: Fn(S, T) -> L::Record> Typed<S, T, L, R> {
    pub(super) fn new(logic: L, to_record: Rc<R>, wants_overtaken: bool) -> Self {
        Typed {
            state: logic.empty(),
            logic,
            emit: Emit::new(wants_overtaken),
            is_saving: false,
            to_record,
            records: PhantomData,
        }
    }

    /// The loop over records; the logic becomes a part of it.
    #[inline(never)]
    fn fold_own(&mut self, records: Vec<L::Record>) {
        let (state, emit) = (&mut self.state, &mut self.emit);
        self.logic.fold_all(state, records.into_iter(), emit);
    }

    /// The same with what the chain in front makes.
    #[inline(never)]
    fn fold_chain(&mut self, records: &mut Vec<(S, T)>) {
        let to_record = &*self.to_record;
        let own = |(stamp, record)| to_record(stamp, record);
        let (state, emit) = (&mut self.state, &mut self.emit);
        self.logic.fold_all(state, records.drain(..).map(own), emit);
    }
}

impl<S, T, L, R> Folding for Typed<S, T, L, R>
where
    S: Stamp,
    T: 'static,
    L: Saves,
    R: Fn(S, T) -> L::Record,
{
    fn fold(&mut self, input: Input<'_>) -> Result<usize, Problem> {
        if self.is_saving {
            let records = self.keep(input).open()?;
            let written = self.logic.save_before_change(&mut self.state, &records)?;
            self.fold_own(records);
            return Ok(written);
        }
        match input {
            Input::Parcel(parcel) => self.fold_own(std::mem::take(parcel).open()?),
            Input::Segment(segment) => self.fold_chain(segment.records()),
        }
        Ok(0)
    }

    fn keep(&mut self, input: Input<'_>) -> Parcel {
        match input {
            Input::Parcel(parcel) => std::mem::take(parcel),
            Input::Segment(segment) => {
                let records = segment.records::<(S, T)>().drain(..);
                let make = |(stamp, record)| (self.to_record)(stamp, record);
                Parcel::new(0, records.map(make).collect())
            }
        }
    }

    fn split(&mut self, parcel: Parcel, part: usize) -> Result<Vec<Parcel>, Problem> {
        let mut records = parcel.open::<L::Record>()?.into_iter();
        let mut parts = Vec::with_capacity(records.len().div_ceil(part));
        while records.len() > 0 {
            parts.push(Parcel::new(0, records.by_ref().take(part).collect()));
        }
        Ok(parts)
    }

    fn due(&self) -> EventTime {
        self.logic.due()
    }

    fn begin_advance(&mut self, watermark: EventTime) {
        self.logic.begin_advance(watermark);
    }

    fn advance(&mut self) -> bool {
        self.logic.advance(&mut self.state, &mut self.emit)
    }

    fn close(&mut self) -> bool {
        self.logic.close(&mut self.state, &mut self.emit)
    }

    fn emit_all(&mut self) -> bool {
        self.logic.emit_all(&mut self.state, &mut self.emit)
    }

    fn is_table(&self) -> bool {
        L::IS_TABLE
    }

    fn repeats(&self) -> bool {
        L::REPEATS
    }

    fn repeat(&mut self) -> bool {
        self.logic.repeat(&mut self.state, &mut self.emit)
    }

    fn begin_save(&mut self, everything: bool) -> bool {
        self.is_saving = true;
        self.logic.begin_save(&mut self.state, everything)
    }

    fn save(&mut self, write: WriteShard<'_>) -> Result<bool, Problem> {
        self.is_saving = self.logic.save(&mut self.state, write)?;
        Ok(self.is_saving)
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        self.logic.load(&mut self.state, bytes)
    }

    fn pending(&self) -> [usize; 2] {
        [self.emit.records.len(), self.emit.overtaken.len()]
    }

    fn take_emitted(&mut self) -> (Option<Boxed>, usize) {
        boxed(&mut self.emit.records)
    }

    fn take_overtaken(&mut self) -> (Option<Boxed>, usize) {
        boxed(&mut self.emit.overtaken)
    }
}

fn boxed<T: 'static>(records: &mut Vec<T>) -> (Option<Boxed>, usize) {
    let count = records.len();
    match count {
        0 => (None, 0),
        _ => (Some(Box::new(std::mem::take(records))), count),
    }
}
