//! Records on their way to another worker, with their type erased.
//!
//! Between threads a parcel is handed over as it is. To another process it goes as bytes: a head of
//! four numbers (for which worker, how many records, what the body is, how long), then the body, then
//! zeros up to a multiple of eight. Records that cannot be written send the reason in their place,
//! so the job fails where they are opened, and nothing is lost without a word.

use std::any::Any;
use std::cell::OnceCell;
use std::io::Write;

use timely::bytes::arc::Bytes;
use timely::communication::Push;
use timely::container::Accountable;
use timely::dataflow::channels::pact::DistributorPact;
use timely::dataflow::channels::pushers::exchange::Distributor;
use timely::dataflow::channels::{ContainerBytes, Message};
use timely::progress::Stamp;

use super::batch::{Boxed, WRONG};
use crate::codec;
use crate::error::Problem;
use crate::state::record::Record;

/// Records on their way to one worker.
#[derive(Default)]
pub(crate) struct Parcel {
    target: u64,
    count: u64,
    payload: Payload,
    /// The bytes, made once: timely asks for their length first.
    body: OnceCell<Body>,
}

#[derive(Default)]
enum Payload {
    #[default]
    Nothing,
    /// Within a process.
    Local(Box<dyn Portable>),
    /// From another process: records.
    Records(Bytes),
    /// From another process: why its records could not be written.
    Failure(Bytes),
}

/// What goes to another process.
struct Body {
    kind: u64,
    bytes: Vec<u8>,
}

const RECORDS: u64 = 0;
const FAILURE: u64 = 1;

/// Records that may leave their thread, and their process.
trait Portable: Any + Send {
    fn encode(&self) -> Result<Vec<u8>, Problem>;
}

impl<T: Record> Portable for Vec<T> {
    fn encode(&self) -> Result<Vec<u8>, Problem> {
        codec::encode(self)
    }
}

impl Parcel {
    pub(crate) fn new<T: Record>(target: usize, records: Vec<T>) -> Self {
        Parcel {
            target: target as u64,
            count: records.len() as u64,
            payload: Payload::Local(Box::new(records)),
            body: OnceCell::new(),
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.count as usize
    }

    /// The records, as what they are.
    ///
    /// # Errors
    /// When they come from another process, and could not be written there or cannot be read here.
    pub(crate) fn open<T: Record>(self) -> Result<Vec<T>, Problem> {
        let unsent = || Problem::new("records cannot be sent to another process");
        match self.payload {
            Payload::Nothing => Ok(Vec::new()),
            Payload::Local(records) => {
                let records: Boxed = records;
                Ok(*records.downcast().expect(WRONG))
            }
            Payload::Records(bytes) => codec::decode(&bytes).map_err(|problem| {
                unsent()
                    .because(problem)
                    .hint("what `Serialize` writes of the record's type, `Deserialize` must read")
            }),
            Payload::Failure(reason) => {
                Err(unsent().detail(String::from_utf8_lossy(&reason).into_owned()))
            }
        }
    }

    fn body(&self) -> &Body {
        self.body.get_or_init(|| {
            let (kind, bytes) = match &self.payload {
                Payload::Nothing => (RECORDS, Vec::new()),
                Payload::Records(bytes) => (RECORDS, bytes.to_vec()),
                Payload::Failure(reason) => (FAILURE, reason.to_vec()),
                Payload::Local(records) => match records.encode() {
                    Ok(bytes) => (RECORDS, bytes),
                    Err(problem) => (FAILURE, problem.to_string().into_bytes()),
                },
            };
            Body { kind, bytes }
        })
    }
}

impl Accountable for Parcel {
    fn record_count(&self) -> i64 {
        self.count as i64 + 1
    }
}

const NUMBER: usize = 8;
const HEAD: usize = 4 * NUMBER;

impl ContainerBytes for Parcel {
    fn from_bytes(mut bytes: Bytes) -> Self {
        let head = bytes.extract_to(HEAD);
        let number = |index: usize| {
            let eight = head[index * NUMBER..][..NUMBER].try_into();
            u64::from_le_bytes(eight.expect("eight bytes"))
        };
        let body = bytes.extract_to(number(3) as usize);
        Parcel {
            target: number(0),
            count: number(1),
            payload: match number(2) {
                FAILURE => Payload::Failure(body),
                _ => Payload::Records(body),
            },
            body: OnceCell::new(),
        }
    }

    fn length_in_bytes(&self) -> usize {
        HEAD + self.body().bytes.len().next_multiple_of(NUMBER)
    }

    fn into_bytes<W: Write>(&self, writer: &mut W) {
        let Body { kind, bytes } = self.body();
        let mut write = |bytes: &[u8]| writer.write_all(bytes).expect("timely has room for it");
        for number in [self.target, self.count, *kind, bytes.len() as u64] {
            write(&number.to_le_bytes());
        }
        write(bytes);
        write(&[0; NUMBER][..bytes.len().next_multiple_of(NUMBER) - bytes.len()]);
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

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use timely::bytes::arc::BytesMut;

    use super::*;

    /// What another process makes of the bytes of a parcel.
    fn across(parcel: &Parcel) -> Parcel {
        let mut bytes = Vec::new();
        parcel.into_bytes(&mut bytes);
        assert_eq!(bytes.len(), parcel.length_in_bytes());
        assert_eq!(bytes.len() % NUMBER, 0);
        let arrived = Parcel::from_bytes(BytesMut::from(bytes).freeze());
        let head = |parcel: &Parcel| (parcel.target, parcel.count, parcel.record_count());
        assert_eq!(head(&arrived), head(parcel));
        arrived
    }

    #[test]
    fn records_come_through_as_bytes_and_go_on_as_they_came() {
        for words in [vec![], vec!["a"], vec!["to", "be", "or not"]] {
            let words: Vec<String> = words.into_iter().map(String::from).collect();
            let parcel = Parcel::new(3, words.clone());
            let arrived = across(&across(&parcel));
            assert_eq!(arrived.open::<String>().unwrap(), words);
            assert_eq!(parcel.open::<String>().unwrap(), words);
        }
        assert!(Parcel::default().open::<u8>().unwrap().is_empty());
    }

    /// Can be written, or read, only where its number is even.
    #[derive(Clone, Debug)]
    struct Even(u64);

    impl Serialize for Even {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            match self.0 % 2 {
                0 => serializer.serialize_u64(self.0),
                _ => Err(serde::ser::Error::custom("it is odd")),
            }
        }
    }

    impl<'de> Deserialize<'de> for Even {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            match u64::deserialize(deserializer)? {
                4 => Err(serde::de::Error::custom("four is refused")),
                number => Ok(Even(number)),
            }
        }
    }

    #[test]
    fn what_cannot_be_written_or_read_fails_where_it_is_opened() {
        assert_eq!(
            across(&Parcel::new(0, vec![Even(2)]))
                .open::<Even>()
                .unwrap()[0]
                .0,
            2
        );
        for (number, reason) in [(3, "it is odd"), (4, "four is refused")] {
            let problem = across(&Parcel::new(0, vec![Even(number)])).open::<Even>();
            let problem = problem.unwrap_err().to_string();
            assert!(problem.starts_with("records cannot be sent"), "{problem}");
            assert!(problem.contains(reason), "{problem}");
        }
    }
}
