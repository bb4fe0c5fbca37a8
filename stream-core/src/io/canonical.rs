//! Records as text that can be compared: equal records give equal text.
//!
//! It reads like JSON, and says what JSON cannot: maps with keys of any type, in the order of their
//! keys' text; numbers of 128 bits; `NaN` and the infinities; the names of structs and variants.
//! What it cannot know is that a sequence has no order: a `HashSet` looks like a list to serde, and
//! a record that holds one may differ from its equal.

use std::any::type_name;
use std::fmt::{self, Write};
use std::sync::Arc;

use serde::ser::{self, Serialize};

use super::place::Place;
use super::reading::Reading;
use super::revise::{Revised, Revision};
use super::sink::{Commit, Sink, SinkInfo, Slot, Writer};
use crate::error::Problem;

/// Appends the canonical text of a record; see [`Sink::canonical`](super::Sink::canonical).
pub type Canonical<T> = fn(&T, &mut String) -> Result<(), Problem>;

/// Appends the text of a record by which runs are compared: equal records give equal text.
///
/// Maps stand in the order of their keys, whatever they were built in. A `HashSet` does not: sort
/// it into a list.
///
/// # Errors
/// When the record's own `Serialize` fails.
///
/// ```
/// use std::collections::HashMap;
///
/// let mut text = String::new();
/// let stock = HashMap::from([(("b", 2), 0.5), (("a", 1), f64::NAN)]);
/// stream_core::io::canonical(&stock, &mut text)?;
/// assert_eq!(text, r#"{["a",1]:NaN,["b",2]:0.5}"#);
/// # Ok::<(), stream_core::Problem>(())
/// ```
pub fn canonical<T: Serialize>(record: &T, into: &mut String) -> Result<(), Problem> {
    record.serialize(Text(into)).map_err(|error| {
        let name = type_name::<T>();
        Problem::new(format!("a `{name}` cannot be compared"))
            .because(error)
            .hint("its implementation of `Serialize` fails for this record")
    })
}

/// Makes a sink whose rows can be compared of one that cannot tell them itself:
/// [`collect`](super::collect()), [`discard`](super::discard()), a channel.
///
/// ```
/// use stream_core::io::{self, Sink};
///
/// assert!(Sink::<u64>::canonical(&io::discard()).is_none());
/// assert!(Sink::<u64>::canonical(&io::comparable(io::discard())).is_some());
/// ```
pub fn comparable<S>(sink: S) -> Comparable<S> {
    Comparable(sink)
}

/// The sink that [`comparable`] makes.
#[derive(Clone, Debug)]
pub struct Comparable<S>(S);

impl<T: Serialize + 'static, S: Sink<T>> Sink<T> for Comparable<S> {
    fn info(&self) -> SinkInfo {
        self.0.info()
    }

    fn recover(&self, last: Option<&Commit>) -> Result<(), Problem> {
        self.0.recover(last)
    }

    fn open(&self, slot: Slot) -> Result<Box<dyn Writer<T>>, Problem> {
        self.0.open(slot)
    }

    fn readings(&self) -> Vec<Reading> {
        self.0.readings()
    }

    fn exclusive(&self) -> Option<Place> {
        self.0.exclusive()
    }

    fn commit(&self, commit: &Commit) -> Result<(), Problem> {
        self.0.commit(commit)
    }

    fn abort(&self) {
        self.0.abort();
    }

    fn canonical(&self) -> Option<Canonical<T>> {
        Some(canonical)
    }

    fn revised(&self, revision: &Revision) -> Revised<dyn Sink<T>> {
        Some(
            self.0
                .revised(revision)?
                .map(|sink| Arc::new(Comparable(sink)) as _),
        )
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Failed(String);

impl ser::Error for Failed {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Failed(text.to_string())
    }
}

type Done = Result<(), Failed>;

/// Writes one value.
struct Text<'a>(&'a mut String);

impl Text<'_> {
    fn put(self, text: fmt::Arguments<'_>) -> Done {
        self.0.write_fmt(text).map_err(ser::Error::custom)
    }
}

/// Writes the parts of one value, then what closes it.
struct Parts<'a> {
    into: &'a mut String,
    is_first: bool,
    close: &'static str,
}

impl<'a> Parts<'a> {
    fn open(into: &'a mut String, name: &str, open: &str, close: &'static str) -> Self {
        into.push_str(name);
        into.push_str(open);
        Parts {
            into,
            is_first: true,
            close,
        }
    }

    fn next(&mut self) {
        if !std::mem::replace(&mut self.is_first, false) {
            self.into.push(',');
        }
    }

    fn part<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        self.next();
        value.serialize(Text(self.into))
    }

    fn field<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Done {
        self.next();
        Text(self.into).put(format_args!("{name:?}"))?;
        self.into.push(':');
        value.serialize(Text(self.into))
    }

    fn close(self) -> Done {
        self.into.push_str(self.close);
        Ok(())
    }
}

/// Holds the entries of a map until all are there to be sorted.
struct Entries<'a> {
    into: &'a mut String,
    entries: Vec<(String, String)>,
}

/// Writes a plain value as Rust shows it.
macro_rules! plain {
    ($($form:literal, $method:ident: $type:ty;)*) => {
        $(fn $method(self, value: $type) -> Done {
            self.put(format_args!($form, value))
        })*
    };
}

impl<'a> ser::Serializer for Text<'a> {
    type Ok = ();
    type Error = Failed;
    type SerializeSeq = Parts<'a>;
    type SerializeTuple = Parts<'a>;
    type SerializeTupleStruct = Parts<'a>;
    type SerializeTupleVariant = Parts<'a>;
    type SerializeMap = Entries<'a>;
    type SerializeStruct = Parts<'a>;
    type SerializeStructVariant = Parts<'a>;

    plain! {
        "{}", serialize_bool: bool;
        "{}", serialize_i8: i8;
        "{}", serialize_i16: i16;
        "{}", serialize_i32: i32;
        "{}", serialize_i64: i64;
        "{}", serialize_i128: i128;
        "{}", serialize_u8: u8;
        "{}", serialize_u16: u16;
        "{}", serialize_u32: u32;
        "{}", serialize_u64: u64;
        "{}", serialize_u128: u128;
        "{:?}", serialize_char: char;
        "{:?}", serialize_str: &str;
        "{:?}", serialize_bytes: &[u8];
    }

    fn serialize_f32(self, value: f32) -> Done {
        self.put(format_args!("{:?}", value + 0.0)) // a negative zero equals zero
    }

    fn serialize_f64(self, value: f64) -> Done {
        self.put(format_args!("{:?}", value + 0.0))
    }

    fn serialize_none(self) -> Done {
        self.put(format_args!("null"))
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Done {
        let start = self.0.len();
        value.serialize(Text(self.0))?;
        // `Some(None)` and `Some(())` are not `None`.
        if &self.0[start..] == "null" || self.0[start..].starts_with("Some(") {
            self.0.insert_str(start, "Some(");
            self.0.push(')');
        }
        Ok(())
    }

    fn serialize_unit(self) -> Done {
        self.serialize_none()
    }

    fn serialize_unit_struct(self, name: &'static str) -> Done {
        self.put(format_args!("{name}"))
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Done {
        self.put(format_args!("{variant}"))
    }

    fn serialize_newtype_struct<T>(self, _: &'static str, value: &T) -> Done
    where
        T: Serialize + ?Sized,
    {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Done
    where
        T: Serialize + ?Sized,
    {
        let mut parts = Parts::open(self.0, variant, "(", ")");
        parts.part(value)?;
        parts.close()
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Parts<'a>, Failed> {
        Ok(Parts::open(self.0, "", "[", "]"))
    }

    fn serialize_tuple(self, _: usize) -> Result<Parts<'a>, Failed> {
        Ok(Parts::open(self.0, "", "[", "]"))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Parts<'a>, Failed> {
        Ok(Parts::open(self.0, "", "[", "]"))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Parts<'a>, Failed> {
        Ok(Parts::open(self.0, variant, "(", ")"))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Entries<'a>, Failed> {
        Ok(Entries {
            into: self.0,
            entries: Vec::new(),
        })
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Parts<'a>, Failed> {
        Ok(Parts::open(self.0, "", "{", "}"))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Parts<'a>, Failed> {
        Ok(Parts::open(self.0, variant, "{", "}"))
    }
}

impl ser::SerializeMap for Entries<'_> {
    type Ok = ();
    type Error = Failed;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Done {
        let mut text = String::new();
        key.serialize(Text(&mut text))?;
        self.entries.push((text, String::new()));
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        match self.entries.last_mut() {
            Some((_, text)) => value.serialize(Text(text)),
            None => Err(ser::Error::custom("a map gives a value without a key")),
        }
    }

    fn end(mut self) -> Done {
        self.entries.sort();
        let mut parts = Parts::open(self.into, "", "{", "}");
        for (key, value) in &self.entries {
            parts.next();
            parts.into.push_str(key);
            parts.into.push(':');
            parts.into.push_str(value);
        }
        parts.close()
    }
}

/// Writes parts as they come, with their name where they have one.
macro_rules! in_turn {
    ($($parts:ident: $method:ident as $part:ident($($name:ident)?);)*) => {
        $(impl ser::$parts for Parts<'_> {
            type Ok = ();
            type Error = Failed;

            fn $method<T>(&mut self, $($name: &'static str,)? value: &T) -> Done
            where
                T: Serialize + ?Sized,
            {
                self.$part($($name,)? value)
            }

            fn end(self) -> Done {
                self.close()
            }
        })*
    };
}

in_turn! {
    SerializeSeq: serialize_element as part();
    SerializeTuple: serialize_element as part();
    SerializeTupleStruct: serialize_field as part();
    SerializeTupleVariant: serialize_field as part();
    SerializeStruct: serialize_field as field(name);
    SerializeStructVariant: serialize_field as field(name);
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde::Serialize;

    use super::*;
    use crate::EventTime;

    fn text<T: Serialize>(record: &T) -> String {
        let mut text = String::new();
        canonical(record, &mut text).unwrap();
        text
    }

    #[derive(Serialize)]
    enum Shape {
        Empty,
        Dot(f64),
        Line(i8, i8),
        Box { width: u128 },
    }

    #[test]
    fn a_map_is_the_same_in_whichever_order_it_was_built() {
        let forth: HashMap<u32, u32> = (0..100).map(|n| (n, n)).collect();
        let back: HashMap<u32, u32> = (0..100).rev().map(|n| (n, n)).collect();
        assert_eq!(text(&forth), text(&back));
    }

    #[test]
    fn what_json_cannot_tell_apart_is_told_apart() {
        let floats = [f64::NAN, f64::INFINITY, 0.0, -0.0, 1.0, 0.1 + 0.2];
        assert_eq!(text(&floats), "[NaN,inf,0.0,0.0,1.0,0.30000000000000004]");
        assert_eq!(text(&-0.0_f32), "0.0");
        let nested = [None, Some(None), Some(Some(None)), Some(Some(Some(1)))];
        assert_eq!(text(&nested), "[null,Some(null),Some(Some(null)),1]");
        assert_eq!(text(&(u128::MAX, ())), format!("[{},null]", u128::MAX));
    }

    #[test]
    fn structs_and_variants_read_like_json_with_names() {
        let shapes = [
            Shape::Empty,
            Shape::Dot(0.5),
            Shape::Line(-1, 1),
            Shape::Box { width: 7 },
        ];
        assert_eq!(
            text(&shapes),
            r#"[Empty,Dot(0.5),Line(-1,1),Box{"width":7}]"#
        );
        let told = text(&("say \"é\"\n", 'x', EventTime::secs(0)));
        assert_eq!(told, r#"["say \"é\"\n",'x',"1970-01-01T00:00:00Z"]"#);
    }
}
