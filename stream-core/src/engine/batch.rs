//! What travels on edges, with the type of the records erased.
//!
//! All edges carry one of two containers, so timely's machinery is compiled once, in this crate, and
//! not again for each type of a user's records: a [`Segment`] stays on its worker, a
//! [`Parcel`](super::parcel::Parcel) goes to another. Typed code finds its records again by one
//! comparison of types a batch.

use std::any::Any;

use timely::container::Accountable;

use super::lane::{Lane, Progress};

/// A `Vec` of records, boxed.
pub(crate) type Boxed = Box<dyn Any>;

/// How to clone a `Vec` of records.
pub(crate) type Cloner = fn(&dyn Any) -> Boxed;

pub(super) const WRONG: &str = "an edge is read as the type it has";

/// A piece of one lane in one slice: what travels on an edge up to an exchange.
///
/// The progress holds behind the records. A segment without records still carries it, so every
/// segment counts as one thing more than its records, and none is ever empty to timely.
pub(crate) struct Segment {
    pub(crate) lane: Lane,
    pub(crate) progress: Progress,
    /// A `Vec<(S, T)>`, if there are any records.
    records: Option<Boxed>,
    /// How many records there were when it was sent.
    count: usize,
    /// How to clone them, on an edge that is read twice.
    cloner: Option<Cloner>,
}

impl Segment {
    pub(crate) fn new(lane: Lane, progress: Progress) -> Self {
        Segment {
            lane,
            progress,
            records: None,
            count: 0,
            cloner: None,
        }
    }

    pub(crate) fn with(
        lane: Lane,
        progress: Progress,
        records: Option<Boxed>,
        count: usize,
    ) -> Self {
        Segment {
            records,
            count,
            ..Segment::new(lane, progress)
        }
    }

    /// The records, as what they are.
    #[inline]
    pub(crate) fn records<T: 'static>(&mut self) -> &mut Vec<T> {
        let records = self
            .records
            .get_or_insert_with(|| Box::new(Vec::<T>::new()));
        records.downcast_mut().expect(WRONG)
    }

    /// Notes how many records there are.
    #[inline]
    pub(crate) fn set_count(&mut self, count: usize) {
        self.count = count;
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn set_cloner(&mut self, cloner: Option<Cloner>) {
        self.cloner = cloner;
    }

    pub(crate) fn drop_records(&mut self) {
        self.records = None;
    }
}

impl Default for Segment {
    fn default() -> Self {
        Segment::new(Lane::default(), Progress::Open)
    }
}

impl Clone for Segment {
    fn clone(&self) -> Self {
        let clone = |records: &Boxed| {
            let cloner = self.cloner.expect("two handles came from a clone");
            cloner(&**records)
        };
        Segment {
            records: self.records.as_ref().map(clone),
            ..*self
        }
    }
}

impl Accountable for Segment {
    fn record_count(&self) -> i64 {
        self.count as i64 + 1
    }
}

/// The cloner of records of a type.
pub(crate) fn cloner<T: Clone + 'static>() -> Cloner {
    |records| Box::new(records.downcast_ref::<Vec<T>>().expect(WRONG).clone())
}
