//! What a row of the pipeline is turned into.

mod dead_letter;
mod json;
mod outgoing;
mod with;

use std::marker::PhantomData;

use serde::Serialize;
use stream_core::io::{BadRecord, Canonical, canonical};
use stream_core::ops::{Change, Entry};
use stream_core::{EventTime, Problem};

use self::dead_letter::DeadLetters;
use self::json::Json;
pub use self::outgoing::OutgoingRecord;
use self::with::With;
use super::KafkaSink;
use crate::Record;

/// Turns a row of the pipeline into a Kafka record. Each writer has a copy.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no format for rows of type `{T}`",
    label = "this sink has no format for them",
    note = "say how rows are written: `kafka::sink(topic).json::<Row>()`, `.text()`, `.bytes()`, `.encode(…)`; \
            tables and changes are written by `.upserts::<Key, Value>()`"
)]
pub trait Encode<T>: Clone + Send + Sync + 'static {
    /// Fills in a record.
    ///
    /// # Errors
    /// When the row cannot be written; the job fails with it.
    fn encode(&mut self, row: &T, record: &mut OutgoingRecord<'_, '_>) -> Result<(), Problem>;

    /// How rows are told as text, where runs are [compared](stream_core::io::Sink::canonical) by them; `None` where the format
    /// does not know.
    #[must_use]
    fn canonical() -> Option<Canonical<T>> {
        None
    }
}

/// The format of a sink that has none yet.
#[derive(Clone, Copy, Debug)]
pub struct NoFormat;

/// Rows as text.
#[derive(Clone, Copy, Debug)]
pub struct Text;

/// Rows as bytes.
#[derive(Clone, Copy, Debug)]
pub struct Bytes;

/// Rows that are Kafka records: topic, partition and offset are left out.
#[derive(Clone, Copy, Debug)]
pub struct Whole;

/// Rows by a function.
#[derive(Clone, Copy, Debug)]
pub struct Function<F>(F);

/// Changes and entries of a table: the key and the value in JSON, and no value where the key is gone.
#[derive(Clone, Copy, Debug)]
pub struct Upserts;

impl KafkaSink<(), NoFormat> {
    /// Rows in JSON, without a key.
    pub fn json<T: Serialize + 'static>(self) -> KafkaSink<T, Json> {
        self.with_format(|_| Json)
    }

    /// Rows as text, without a key.
    pub fn text<T: AsRef<str> + 'static>(self) -> KafkaSink<T, Text> {
        self.with_format(|_| Text)
    }

    /// Rows as bytes, without a key.
    pub fn bytes<T: AsRef<[u8]> + 'static>(self) -> KafkaSink<T, Bytes> {
        self.with_format(|_| Bytes)
    }

    /// Records with all that they have but the partition and the offset.
    pub fn records(self) -> KafkaSink<Record, Whole> {
        self.with_format(|_| Whole)
    }

    /// Records that could not be read, for [`dead_letter`](stream_core::io::SourceExt::dead_letter): as they
    /// were, with key, value, headers and timestamp, and with further headers: `error.reason`, where known
    /// `error.field` and `error.hint`, and where it stands by `error.topic`, `error.partition` and
    /// `error.offset`. Of records that come from elsewhere there is the beginning of the text, and
    /// `error.place` and `error.line`.
    ///
    /// ```no_run
    /// use stream_core::io::SourceExt;
    /// use stream_kafka as kafka;
    ///
    /// # #[derive(serde::Deserialize)]
    /// # struct Click { user: String }
    /// let dead = kafka::sink("clicks.dead").create_topic(1, 1).dead_letters();
    /// let clicks = kafka::source("clicks").json::<Click>().dead_letter(dead);
    /// ```
    pub fn dead_letters(self) -> KafkaSink<BadRecord, DeadLetters> {
        self.with_format(|_| DeadLetters)
    }

    /// Rows by a function, which fills in a record.
    ///
    /// ```no_run
    /// use stream_kafka as kafka;
    ///
    /// # struct Alarm { sensor: String, celsius: f64 }
    /// let alarms = kafka::sink("alarms").encode(|alarm: &Alarm, record| {
    ///     record.key(&alarm.sensor).value(alarm.celsius.to_be_bytes()).header("unit", "celsius");
    ///     Ok(())
    /// });
    /// ```
    pub fn encode<T, F>(self, encode: F) -> KafkaSink<T, Function<F>>
    where
        T: 'static,
        F: Fn(&T, &mut OutgoingRecord<'_, '_>) -> Result<(), Problem>
            + Clone
            + Send
            + Sync
            + 'static,
    {
        self.with_format(|_| Function(encode))
    }

    /// The changes of a table, or its content: a record a key, whose key and value are in JSON; where the
    /// key is gone, a record without a value (a *tombstone*), as topics that are compacted want it.
    pub fn upserts<K: Serialize + 'static, V: Serialize + 'static>(
        self,
    ) -> KafkaSink<Change<K, V>, Upserts> {
        self.with_format(|_| Upserts)
    }

    /// The content of a table, as [`upserts`](KafkaSink::upserts) writes it.
    pub fn entries<K: Serialize + 'static, V: Serialize + 'static>(
        self,
    ) -> KafkaSink<Entry<K, V>, Upserts> {
        self.with_format(|_| Upserts)
    }
}

impl<T: 'static, E: Encode<T>> KafkaSink<T, E> {
    /// Gives records a key: those with the same one come into one partition, in their order. It is chosen
    /// as the Java client does (`murmur2`).
    pub fn key<K: AsRef<[u8]>>(
        self,
        key: impl Fn(&T) -> K + Clone + Send + Sync + 'static,
    ) -> KafkaSink<T, impl Encode<T>> {
        self.and(move |row, record| {
            record.key(key(row));
        })
    }

    /// Chooses the partition by a function, in place of the key. It must be there: a job that writes exactly
    /// once and has chosen one that is not goes on only when that was added.
    pub fn partition(
        self,
        partition: impl Fn(&T) -> i32 + Clone + Send + Sync + 'static,
    ) -> KafkaSink<T, impl Encode<T>> {
        self.and(move |row, record| {
            record.partition(partition(row));
        })
    }

    /// Gives records a timestamp, in whole milliseconds; without one, or with 1970-01-01T00:00:00Z itself, it
    /// is that of sending.
    pub fn timestamp(
        self,
        time: impl Fn(&T) -> EventTime + Clone + Send + Sync + 'static,
    ) -> KafkaSink<T, impl Encode<T>> {
        self.and(move |row, record| {
            record.timestamp(time(row));
        })
    }

    /// Gives records a header.
    pub fn header<V: AsRef<[u8]>>(
        self,
        name: impl Into<String>,
        value: impl Fn(&T) -> V + Clone + Send + Sync + 'static,
    ) -> KafkaSink<T, impl Encode<T>> {
        let name = name.into();
        self.and(move |row, record| {
            record.header(&name, value(row));
        })
    }

    /// Fills in more, before the format does.
    fn and(
        self,
        fill: impl Fn(&T, &mut OutgoingRecord<'_, '_>) + Clone + Send + Sync + 'static,
    ) -> KafkaSink<T, impl Encode<T>> {
        self.with_format(|format| With {
            format,
            fill,
            rows: PhantomData::<fn(&T)>,
        })
    }
}

impl<T: AsRef<str>> Encode<T> for Text {
    fn encode(&mut self, row: &T, record: &mut OutgoingRecord<'_, '_>) -> Result<(), Problem> {
        record.value(row.as_ref());
        Ok(())
    }

    fn canonical() -> Option<Canonical<T>> {
        Some(|row, into| canonical(&row.as_ref(), into))
    }
}

impl<T: AsRef<[u8]>> Encode<T> for Bytes {
    fn encode(&mut self, row: &T, record: &mut OutgoingRecord<'_, '_>) -> Result<(), Problem> {
        record.value(row.as_ref());
        Ok(())
    }

    fn canonical() -> Option<Canonical<T>> {
        Some(|row, into| canonical(&row.as_ref(), into))
    }
}

impl Encode<Record> for Whole {
    fn encode(&mut self, row: &Record, record: &mut OutgoingRecord<'_, '_>) -> Result<(), Problem> {
        if let Some(key) = &row.key {
            record.key(key);
        }
        if let Some(value) = &row.value {
            record.value(value);
        }
        if let Some(time) = row.timestamp {
            record.timestamp(time);
        }
        for (name, value) in &row.headers {
            match value {
                Some(value) => record.header(name, value),
                None => record.empty_header(name),
            };
        }
        Ok(())
    }

    fn canonical() -> Option<Canonical<Record>> {
        Some(|row, into| {
            let time = row.timestamp.map(EventTime::as_micros);
            canonical(&(&row.key, &row.value, time, &row.headers), into)
        })
    }
}

impl<T, F> Encode<T> for Function<F>
where
    F: Fn(&T, &mut OutgoingRecord<'_, '_>) -> Result<(), Problem> + Clone + Send + Sync + 'static,
{
    fn encode(&mut self, row: &T, record: &mut OutgoingRecord<'_, '_>) -> Result<(), Problem> {
        (self.0)(row, record)
    }
}

impl<K: Serialize, V: Serialize> Encode<Change<K, V>> for Upserts {
    fn encode(
        &mut self,
        row: &Change<K, V>,
        record: &mut OutgoingRecord<'_, '_>,
    ) -> Result<(), Problem> {
        record.json_key(&row.key)?;
        row.value
            .iter()
            .try_for_each(|value| record.json_value(value).map(drop))
    }

    fn canonical() -> Option<Canonical<Change<K, V>>> {
        Some(|row, into| canonical(&(&row.key, &row.value), into))
    }
}

impl<K: Serialize, V: Serialize> Encode<Entry<K, V>> for Upserts {
    fn encode(
        &mut self,
        row: &Entry<K, V>,
        record: &mut OutgoingRecord<'_, '_>,
    ) -> Result<(), Problem> {
        record.json_key(&row.key)?.json_value(&row.value).map(drop)
    }

    fn canonical() -> Option<Canonical<Entry<K, V>>> {
        Some(|row, into| canonical(&(&row.key, &row.value), into))
    }
}
