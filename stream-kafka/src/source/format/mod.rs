//! What a Kafka record is turned into.

mod csv;
mod json;
mod record;

use std::fmt;
use std::marker::PhantomData;
use std::str;

use serde::de::DeserializeOwned;

pub use self::csv::Csv;
pub use self::json::Json;
pub use self::record::{Headers, Record, RecordRef};
use super::KafkaSource;

/// Turns a Kafka record into one of the pipeline's. Each reader of a partition has a copy.
///
/// Most formats are there; for one that needs no buffers of its own,
/// [`decode`](KafkaSource::decode) takes a function.
pub trait Decode: Clone + Send + Sync + 'static {
    /// What the pipeline gets.
    type Record: 'static;

    /// Decodes one record; `None` passes it over.
    ///
    /// # Errors
    /// When the record is not of this format; what becomes of it is the source's policy.
    fn decode(&mut self, record: &RecordRef<'_>) -> Result<Option<Self::Record>, DecodeError>;
}

/// Why a record cannot be decoded.
///
/// ```
/// use stream_kafka::DecodeError;
///
/// let error = DecodeError::new("expected a number, found `x`").field("price").hint("write `0.0`");
/// assert_eq!(error.to_string(), "field `price`: expected a number, found `x`");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError {
    pub(super) reason: String,
    pub(super) field: Option<String>,
    pub(super) hint: Option<String>,
}

impl DecodeError {
    /// Says what is wrong, and what was expected.
    pub fn new(reason: impl Into<String>) -> Self {
        DecodeError {
            reason: reason.into(),
            field: None,
            hint: None,
        }
    }

    /// Names the field that is to blame.
    #[must_use]
    pub fn field(mut self, name: impl Into<String>) -> Self {
        self.field = Some(name.into());
        self
    }

    /// Says what can be done about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    #[cold]
    fn tombstone() -> Self {
        DecodeError::new("it has a key and no value: it says that what the key names is gone")
            .hint("pass such records over by `.skip_tombstones()`, or take them by `.decode(…)`")
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.field {
            Some(field) => write!(f, "field `{field}`: {}", self.reason),
            None => f.write_str(&self.reason),
        }
    }
}

impl std::error::Error for DecodeError {}

/// Records as they are, with everything that Kafka keeps of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Whole;

/// Values as bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bytes;

/// Values as text, in UTF-8.
#[derive(Clone, Copy, Debug, Default)]
pub struct Text;

/// Values or records, by a function.
#[derive(Clone, Copy, Debug)]
pub struct Function<F>(F);

impl<F> KafkaSource<F> {
    /// Values in JSON.
    pub fn json<T: DeserializeOwned + 'static>(self) -> KafkaSource<Json<T>> {
        self.with_format(Json(PhantomData))
    }

    /// Values that are one line of CSV each, without a header: fields in the order of the type's.
    pub fn csv<T: DeserializeOwned + 'static>(self) -> KafkaSource<Csv<T>> {
        self.with_format(Csv::default())
    }

    /// Values as text.
    pub fn text(self) -> KafkaSource<Text> {
        self.with_format(Text)
    }

    /// Values as bytes.
    pub fn bytes(self) -> KafkaSource<Bytes> {
        self.with_format(Bytes)
    }

    /// Records by a function, which sees everything that Kafka keeps of them: the key, headers, the
    /// timestamp; `None` passes one over.
    ///
    /// ```no_run
    /// use stream_core::EventTime;
    /// use stream_kafka as kafka;
    ///
    /// # #[derive(serde::Deserialize)] struct Reading { celsius: f64 }
    /// // Each reading, with the time that Kafka has of it and the sensor that its key names.
    /// let readings = kafka::source("readings").decode(|record| {
    ///     let reading: Reading = record.json()?;
    ///     let sensor = record.key_text()?.to_owned();
    ///     Ok(Some((record.timestamp().unwrap_or(EventTime::MIN), sensor, reading.celsius)))
    /// });
    /// ```
    pub fn decode<T, D>(self, decode: D) -> KafkaSource<Function<D>>
    where
        T: 'static,
        D: Fn(&RecordRef<'_>) -> Result<Option<T>, DecodeError> + Clone + Send + Sync + 'static,
    {
        self.with_format(Function(decode))
    }

    /// Values by any codec: a function from bytes.
    ///
    /// ```no_run
    /// # fn from_bytes(bytes: &[u8]) -> Result<u64, std::num::TryFromIntError> { bytes.len().try_into() }
    /// let clicks = stream_kafka::source("clicks").decode_values(|bytes| from_bytes(bytes));
    /// ```
    pub fn decode_values<T, E, D>(self, decode: D) -> KafkaSource<impl Decode<Record = T>>
    where
        T: 'static,
        E: fmt::Display,
        D: Fn(&[u8]) -> Result<T, E> + Clone + Send + Sync + 'static,
    {
        self.decode(move |record: &RecordRef<'_>| {
            let value = decode(record.expect_value()?);
            value
                .map(Some)
                .map_err(|error| DecodeError::new(error.to_string()))
        })
    }
}

impl Decode for Whole {
    type Record = Record;

    fn decode(&mut self, record: &RecordRef<'_>) -> Result<Option<Record>, DecodeError> {
        Ok(Some(record.to_owned()))
    }
}

impl Decode for Bytes {
    type Record = Vec<u8>;

    fn decode(&mut self, record: &RecordRef<'_>) -> Result<Option<Vec<u8>>, DecodeError> {
        Ok(Some(record.expect_value()?.to_vec()))
    }
}

impl Decode for Text {
    type Record = String;

    fn decode(&mut self, record: &RecordRef<'_>) -> Result<Option<String>, DecodeError> {
        Ok(Some(text(record.expect_value()?)?.to_owned()))
    }
}

impl<T, F> Decode for Function<F>
where
    T: 'static,
    F: Fn(&RecordRef<'_>) -> Result<Option<T>, DecodeError> + Clone + Send + Sync + 'static,
{
    type Record = T;

    fn decode(&mut self, record: &RecordRef<'_>) -> Result<Option<T>, DecodeError> {
        (self.0)(record)
    }
}

fn text(bytes: &[u8]) -> Result<&str, DecodeError> {
    str::from_utf8(bytes).map_err(|_| DecodeError::new("expected UTF-8, found other bytes"))
}
