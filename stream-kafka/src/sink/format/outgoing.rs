//! A record that is filled in.

use std::convert::Infallible;
use std::fmt;

use serde::Serialize;
use stream_core::{EventTime, Problem};

use crate::client::Draft;

/// A Kafka record that is about to be sent. What is set again is as it was set last.
pub struct OutgoingRecord<'d, 'b>(&'d mut Draft<'b>);

impl<'d, 'b> OutgoingRecord<'d, 'b> {
    pub(crate) fn new(draft: &'d mut Draft<'b>) -> Self {
        OutgoingRecord(draft)
    }

    /// Sets the key.
    pub fn key(&mut self, key: impl AsRef<[u8]>) -> &mut Self {
        let Ok(()) = self.0.key(append(key.as_ref()));
        self
    }

    /// Sets the value. A record without one says that what its key names is gone.
    pub fn value(&mut self, value: impl AsRef<[u8]>) -> &mut Self {
        let Ok(()) = self.0.value(append(value.as_ref()));
        self
    }

    /// Sets the key, in JSON.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn json_key(&mut self, key: &(impl Serialize + ?Sized)) -> Result<&mut Self, Problem> {
        self.0.key(json(key))?;
        Ok(self)
    }

    /// Sets the value, in JSON.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    #[inline]
    pub fn json_value(&mut self, value: &(impl Serialize + ?Sized)) -> Result<&mut Self, Problem> {
        self.0.value(json(value))?;
        Ok(self)
    }

    /// Adds a header.
    pub fn header(&mut self, name: &str, value: impl AsRef<[u8]>) -> &mut Self {
        self.0.header(name, Some(value.as_ref()));
        self
    }

    /// Adds a header without a value.
    pub fn empty_header(&mut self, name: &str) -> &mut Self {
        self.0.header(name, None);
        self
    }

    /// Sets the timestamp, in whole milliseconds.
    pub fn timestamp(&mut self, time: EventTime) -> &mut Self {
        self.0.timestamp_millis(time.as_millis());
        self
    }

    /// Chooses the partition, in place of the key.
    pub fn partition(&mut self, partition: i32) -> &mut Self {
        self.0.partition(partition);
        self
    }
}

fn append(bytes: &[u8]) -> impl FnOnce(&mut Vec<u8>) -> Result<(), Infallible> {
    move |into| {
        into.extend_from_slice(bytes);
        Ok(())
    }
}

#[inline]
fn json(value: &(impl Serialize + ?Sized)) -> impl FnOnce(&mut Vec<u8>) -> Result<(), Problem> {
    move |into| {
        serde_json::to_writer(into, value)
            .map_err(|error| Problem::new("cannot write a row as JSON").because(error))
    }
}

impl fmt::Debug for OutgoingRecord<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OutgoingRecord")
    }
}
