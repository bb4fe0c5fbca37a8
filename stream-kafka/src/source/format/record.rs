//! A Kafka record, with everything that Kafka keeps of it.

use std::fmt;

use bincode::config;
use serde::de::DeserializeOwned;
use stream_core::EventTime;

use super::{DecodeError, json, text};
use crate::client::{Message, Place};

/// What the bytes of a record begin with that cannot be read.
const RAW: &[u8] = b"kafka record 1";

/// A record that still lies where the client library has put it: looking at it copies nothing.
#[derive(Clone, Copy)]
pub struct RecordRef<'a> {
    message: Message<'a>,
    place: &'a Place,
}

impl<'a> RecordRef<'a> {
    pub(crate) fn new(message: Message<'a>, place: &'a Place) -> Self {
        RecordRef { message, place }
    }

    /// The topic that it comes from.
    pub fn topic(&self) -> &'a str {
        &self.place.topic
    }

    /// The number of the partition.
    pub fn partition(&self) -> i32 {
        self.place.partition
    }

    /// Its offset in the partition.
    pub fn offset(&self) -> u64 {
        u64::try_from(self.message.offset()).unwrap_or_default()
    }

    /// The key, if it has one.
    pub fn key(&self) -> Option<&'a [u8]> {
        self.message.key()
    }

    /// The value; one without says that what its key names is gone (a *tombstone*).
    pub fn value(&self) -> Option<&'a [u8]> {
        self.message.value()
    }

    /// When it was made or appended, as the topic is set up (`message.timestamp.type`).
    pub fn timestamp(&self) -> Option<EventTime> {
        self.message.timestamp_millis().map(EventTime::millis)
    }

    /// Its headers, in their order; a name may be there more than once.
    pub fn headers(&self) -> Headers<'a> {
        Headers {
            message: self.message,
            next: 0,
        }
    }

    /// The last header of that name that has a value.
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        let named = self
            .headers()
            .filter(|(other, _)| *other == name.as_bytes());
        named.filter_map(|(_, value)| value).last()
    }

    /// The value as JSON.
    ///
    /// # Errors
    /// When there is none, or it is not the JSON that is expected.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        json::decode(self.expect_value()?)
    }

    /// The value as text.
    ///
    /// # Errors
    /// When there is none, or it is not UTF-8.
    pub fn text(&self) -> Result<&'a str, DecodeError> {
        text(self.expect_value()?)
    }

    /// The key as text.
    ///
    /// # Errors
    /// When there is none, or it is not UTF-8.
    pub fn key_text(&self) -> Result<&'a str, DecodeError> {
        text(
            self.key()
                .ok_or_else(|| DecodeError::new("it has no key"))?,
        )
        .map_err(|error| error.field("key"))
    }

    /// The value, which must be there.
    ///
    /// # Errors
    /// When there is none.
    #[inline]
    pub fn expect_value(&self) -> Result<&'a [u8], DecodeError> {
        self.value().ok_or_else(DecodeError::tombstone)
    }

    /// A copy that lasts.
    pub fn to_owned(&self) -> Record {
        let headers = self.headers().map(|(name, value)| {
            let name = String::from_utf8_lossy(name).into_owned();
            (name, value.map(<[u8]>::to_vec))
        });
        Record {
            topic: self.topic().to_owned(),
            partition: self.partition(),
            offset: self.offset(),
            timestamp: self.timestamp(),
            key: self.key().map(<[u8]>::to_vec),
            value: self.value().map(<[u8]>::to_vec),
            headers: headers.collect(),
        }
    }

    /// How many bytes the key and the value have.
    pub(crate) fn size(&self) -> u64 {
        let size = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len) as u64;
        size(self.key()) + size(self.value())
    }
}

impl fmt::Debug for RecordRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "RecordRef({}/{}@{})",
            self.topic(),
            self.partition(),
            self.offset()
        )
    }
}

/// The headers of a record: names and values.
#[derive(Clone)]
pub struct Headers<'a> {
    message: Message<'a>,
    next: usize,
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        let header = self.message.header(self.next)?;
        self.next += 1;
        Some(header)
    }
}

impl fmt::Debug for Headers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}

/// A Kafka record, with everything that Kafka keeps of it.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub struct Record {
    /// The topic that it comes from.
    pub topic: String,
    /// The number of the partition.
    pub partition: i32,
    /// Its offset in the partition.
    pub offset: u64,
    /// When it was made or appended, as the topic is set up.
    pub timestamp: Option<EventTime>,
    /// The key, if it has one.
    pub key: Option<Vec<u8>>,
    /// The value; one without says that what its key names is gone.
    pub value: Option<Vec<u8>>,
    /// The headers, in their order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Record {
    /// The record as [`BadRecord::raw`](stream_core::io::BadRecord::raw) keeps it.
    pub(crate) fn to_raw(&self) -> Vec<u8> {
        let mut bytes = RAW.to_vec();
        match bincode::serde::encode_into_std_write(self, &mut bytes, config::standard()) {
            Ok(_) => bytes,
            Err(_) => Vec::new(), // to memory it does not fail
        }
    }

    /// The record that [`to_raw`](Record::to_raw) has kept, if it was one.
    pub(crate) fn from_raw(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.strip_prefix(RAW)?;
        let decoded = bincode::serde::decode_from_slice(bytes, config::standard());
        decoded.ok().map(|(record, _)| record)
    }
}
