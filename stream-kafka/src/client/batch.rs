//! Records that are to be sent, side by side in one piece of memory.

use bincode::config;
use serde::{Deserialize, Serialize};
use stream_core::Problem;

/// The first byte of a staged batch: how it is written.
const FORMAT: u8 = 1;

/// Records that are to be sent. Once it has grown, nothing is allocated for a record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Batch {
    /// Keys, values and headers of all records.
    #[serde(with = "as_bytes")]
    bytes: Vec<u8>,
    records: Vec<Layout>,
    headers: Vec<(Span, Option<Span>)>,
}

/// Where something lies in the bytes: from and to.
type Span = (usize, usize);

/// Where the parts of a record lie.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Layout {
    key: Option<Span>,
    value: Option<Span>,
    partition: Option<i32>,
    timestamp_millis: Option<i64>,
    /// From and to, in the headers of the batch.
    headers: Span,
}

impl Batch {
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// How much memory it takes, about.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len() + self.records.len() * size_of::<Layout>()
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.records.clear();
        self.headers.clear();
    }

    /// Adds a record that `fill` fills in; nothing where that fails.
    pub(crate) fn add<E>(
        &mut self,
        fill: impl FnOnce(&mut Draft<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let (bytes, headers) = (self.bytes.len(), self.headers.len());
        let mut layout = Layout {
            headers: (headers, headers),
            ..Layout::default()
        };
        let filled = fill(&mut Draft {
            bytes: &mut self.bytes,
            headers: &mut self.headers,
            layout: &mut layout,
            refused: None,
        });
        if filled.is_err() {
            self.bytes.truncate(bytes);
            self.headers.truncate(headers);
            return filled;
        }
        layout.headers.1 = self.headers.len();
        self.records.push(layout);
        Ok(())
    }

    pub(crate) fn view(&self, index: usize) -> RecordView<'_> {
        RecordView {
            batch: self,
            layout: &self.records[index],
        }
    }

    /// How many records from one on have neither headers nor a timestamp of their own.
    pub(crate) fn plain_run(&self, from: usize) -> usize {
        let rest = self.records[from..].iter();
        let is_plain = |layout: &&Layout| {
            layout.headers.0 == layout.headers.1 && layout.timestamp_millis.is_none()
        };
        rest.take_while(is_plain).count()
    }

    /// The batch as bytes, to be kept with a checkpoint.
    pub(crate) fn to_staged(&self) -> Result<Vec<u8>, Problem> {
        let mut bytes = Vec::with_capacity(1 + self.size());
        bytes.push(FORMAT);
        bincode::serde::encode_into_std_write(self, &mut bytes, config::standard())
            .map_err(|error| Problem::new("cannot stage records").because(error))?;
        Ok(bytes)
    }

    /// The batch that [`to_staged`](Batch::to_staged) has made bytes of.
    pub(crate) fn from_staged(bytes: &[u8]) -> Result<Self, Problem> {
        let damaged = || Problem::new("what was staged for Kafka cannot be read");
        let body = match bytes.split_first() {
            Some((&FORMAT, body)) => body,
            Some((format, _)) => {
                let detail = format!("it is of format {format}, which this version does not know");
                return Err(damaged().detail(detail));
            }
            None => return Err(damaged().detail("there is nothing")),
        };
        match bincode::serde::decode_from_slice(body, config::standard()) {
            Ok((batch, read)) if read == body.len() => Ok(batch),
            Ok(_) => Err(damaged().detail("there is more than the records")),
            Err(error) => Err(damaged().because(error)),
        }
    }

    fn at(&self, span: Span) -> &[u8] {
        &self.bytes[span.0..span.1]
    }
}

/// Bytes in one piece; serde itself takes them one by one.
mod as_bytes {
    use std::fmt;

    use serde::de::{Deserializer, Error, Visitor};
    use serde::ser::Serializer;

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<Vec<u8>, D::Error> {
        from.deserialize_byte_buf(Bytes)
    }

    struct Bytes;

    impl Visitor<'_> for Bytes {
        type Value = Vec<u8>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("bytes")
        }

        fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
            Ok(bytes.to_vec())
        }

        fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
            Ok(bytes)
        }
    }
}

/// A record of a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordView<'a> {
    batch: &'a Batch,
    layout: &'a Layout,
}

impl<'a> RecordView<'a> {
    pub(crate) fn key(&self) -> Option<&'a [u8]> {
        self.layout.key.map(|span| self.batch.at(span))
    }

    pub(crate) fn value(&self) -> Option<&'a [u8]> {
        self.layout.value.map(|span| self.batch.at(span))
    }

    pub(crate) fn partition(&self) -> Option<i32> {
        self.layout.partition
    }

    pub(crate) fn timestamp_millis(&self) -> Option<i64> {
        self.layout.timestamp_millis
    }

    pub(crate) fn headers(&self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + use<'a> {
        let (batch, (from, to)) = (self.batch, self.layout.headers);
        let headers = batch.headers[from..to].iter();
        headers.map(move |(name, value)| (batch.at(*name), value.map(|span| batch.at(span))))
    }
}

/// A record while it is filled in.
#[derive(Debug)]
pub(crate) struct Draft<'a> {
    bytes: &'a mut Vec<u8>,
    headers: &'a mut Vec<(Span, Option<Span>)>,
    layout: &'a mut Layout,
    /// Why it cannot be sent.
    refused: Option<String>,
}

impl Draft<'_> {
    /// Tells what is wrong with what was filled in. To be asked before the record is kept: one that is
    /// staged cannot be refused any more.
    pub(crate) fn check(&mut self) -> Result<(), Problem> {
        match self.refused.take() {
            Some(detail) => Err(Problem::new("a row is no record of Kafka").detail(detail)),
            None => Ok(()),
        }
    }

    pub(crate) fn key<E>(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.layout.key = Some(self.span(write)?);
        Ok(())
    }

    pub(crate) fn value<E>(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.layout.value = Some(self.span(write)?);
        Ok(())
    }

    pub(crate) fn partition(&mut self, partition: i32) {
        if partition < 0 {
            self.refused = Some(format!("there is no partition {partition}"));
        }
        self.layout.partition = Some(partition);
    }

    pub(crate) fn timestamp_millis(&mut self, millis: i64) {
        if millis < 0 {
            self.refused = Some(format!(
                "{millis} ms is a time before 1970, which Kafka has not"
            ));
        }
        self.layout.timestamp_millis = Some(millis);
    }

    pub(crate) fn header(&mut self, name: &str, value: Option<&[u8]>) {
        if name.contains('\0') {
            self.refused = Some(format!("the name {name:?} of a header has a zero byte"));
        }
        let name = self.append(name.as_bytes());
        let value = value.map(|value| self.append(value));
        self.headers.push((name, value));
    }

    fn append(&mut self, bytes: &[u8]) -> Span {
        let from = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        (from, self.bytes.len())
    }

    fn span<E>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<Span, E> {
        let from = self.bytes.len();
        write(self.bytes)?;
        Ok((from, self.bytes.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_fails_leaves_nothing_behind() {
        let mut batch = Batch::default();
        let write = |text: &'static str| {
            move |into: &mut Vec<u8>| {
                into.extend_from_slice(text.as_bytes());
                Ok::<(), ()>(())
            }
        };
        batch
            .add(|record| {
                record.value(write("value"))?;
                record.key(write("key"))
            })
            .unwrap();
        let before = batch.clone();
        let failed = batch.add(|record| {
            record.header("h", Some(b"x"));
            record.value(write("lost"))?;
            Err(())
        });
        assert!(failed.is_err());
        assert_eq!(batch, before);
        batch
            .add(|record| {
                record.header("a", None);
                record.header("b", Some(b"1"));
                Ok::<(), ()>(())
            })
            .unwrap();
        assert_eq!((batch.plain_run(0), batch.plain_run(1)), (1, 0));
        let first = batch.view(0);
        assert_eq!(
            (first.key(), first.value()),
            (Some(&b"key"[..]), Some(&b"value"[..]))
        );
        assert_eq!(first.headers().count(), 0);
        let staged = batch.to_staged().unwrap();
        assert_eq!(Batch::from_staged(&staged).unwrap(), batch);
        assert!(Batch::from_staged(&staged[..staged.len() - 1]).is_err());
        assert!(Batch::from_staged(&[9]).is_err() && Batch::from_staged(&[]).is_err());
        let second = batch.view(1);
        assert_eq!((second.key(), second.value()), (None, None));
        let headers: Vec<_> = second.headers().collect();
        assert_eq!(headers, [(&b"a"[..], None), (&b"b"[..], Some(&b"1"[..]))]);
    }
}
