//! What travels on edges, with the type of the records erased.
//!
//! All edges carry one of two containers, so timely's machinery is compiled once, in this crate: a
//! [`Segment`] stays on its worker, a [`Parcel`] goes to another. Typed code finds its records
//! again by one comparison of types a batch.

use std::any::Any;

use timely::bytes::arc::Bytes;
use timely::communication::Push;
use timely::container::Accountable;
use timely::dataflow::channels::pact::DistributorPact;
use timely::dataflow::channels::pushers::exchange::Distributor;
use timely::dataflow::channels::{ContainerBytes, Message};
use timely::progress::Stamp;

use super::lane::{Lane, Progress};
use super::record::Record;
use crate::state::codec;

/// A `Vec` of records, boxed.
pub(crate) type Boxed = Box<dyn Any>;

/// How to clone a `Vec` of records.
pub(crate) type Cloner = fn(&dyn Any) -> Boxed;

const WRONG: &str = "an edge is read as the type it has";

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

/// Records that may leave their thread, and their process.
trait Portable: Any + Send {
    fn encode(&self) -> Vec<u8>;
}

impl<T: Record> Portable for Vec<T> {
    fn encode(&self) -> Vec<u8> {
        codec::encode(self).unwrap_or_else(|problem| panic!("{problem}"))
    }
}

/// Records on their way to one worker.
#[derive(Default)]
pub(crate) struct Parcel {
    target: u64,
    count: u64,
    payload: Payload,
}

#[derive(Default)]
enum Payload {
    #[default]
    Nothing,
    /// Within a process.
    Local(Box<dyn Portable>),
    /// From another process.
    Bytes(Bytes),
}

impl Parcel {
    pub(crate) fn new<T: Record>(target: usize, records: Vec<T>) -> Self {
        Parcel {
            target: target as u64,
            count: records.len() as u64,
            payload: Payload::Local(Box::new(records)),
        }
    }

    /// The records, as what they are.
    pub(crate) fn open<T: Record>(self) -> Vec<T> {
        match self.payload {
            Payload::Nothing => Vec::new(),
            Payload::Local(records) => {
                let records: Boxed = records;
                *records.downcast().expect(WRONG)
            }
            Payload::Bytes(bytes) => {
                codec::decode(&bytes).unwrap_or_else(|problem| panic!("{problem}"))
            }
        }
    }
}

impl Accountable for Parcel {
    fn record_count(&self) -> i64 {
        self.count as i64 + 1
    }
}

const HEAD: usize = 24;

impl ContainerBytes for Parcel {
    fn from_bytes(mut bytes: Bytes) -> Self {
        let head = bytes.extract_to(HEAD);
        let number = |at: usize| {
            let eight = head[at..at + 8].try_into().expect("eight bytes");
            u64::from_le_bytes(eight)
        };
        let body = bytes.extract_to(number(16) as usize);
        Parcel {
            target: number(0),
            count: number(8),
            payload: Payload::Bytes(body),
        }
    }

    // Timely asks for the length first and for the bytes then: a prototype encodes twice.
    fn length_in_bytes(&self) -> usize {
        HEAD + self.body().len().next_multiple_of(8)
    }

    fn into_bytes<W: std::io::Write>(&self, writer: &mut W) {
        let body = self.body();
        let mut all = Vec::with_capacity(HEAD + body.len() + 8);
        for number in [self.target, self.count, body.len() as u64] {
            all.extend(number.to_le_bytes());
        }
        all.extend(&body);
        all.resize(HEAD + body.len().next_multiple_of(8), 0);
        writer.write_all(&all).expect("timely has room for it");
    }
}

impl Parcel {
    fn body(&self) -> Vec<u8> {
        match &self.payload {
            Payload::Nothing => Vec::new(),
            Payload::Local(records) => records.encode(),
            Payload::Bytes(bytes) => bytes.to_vec(),
        }
    }
}

/// Hands whole parcels to the workers that they are for.
pub(crate) struct Route;

impl Route {
    pub(crate) fn pact() -> DistributorPact<fn(usize) -> Route> {
        DistributorPact(|_| Route)
    }
}

impl Distributor<Parcel> for Route {
    fn partition<T: Clone, P: Push<Message<T, Parcel>>>(
        &mut self,
        parcel: &mut Parcel,
        stamp: &Stamp<T>,
        pushers: &mut [P],
    ) {
        let target = parcel.target as usize;
        Message::push_at(parcel, stamp.clone(), &mut pushers[target]);
    }

    fn flush<T: Clone, P: Push<Message<T, Parcel>>>(&mut self, _: &Stamp<T>, _: &mut [P]) {}
}
