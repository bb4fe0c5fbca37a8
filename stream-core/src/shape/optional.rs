//! Which fields of a struct may be missing where it is read, and what they may be called.
//!
//! Definition. A field is *optional* when nothing is a value of it: it is an `Option`. The type is
//! asked by its `Deserialize`: first for the names of its fields, those of aliases among them, and
//! then for a value of a map that has one name twice, each time with nothing. A field that takes
//! nothing then finds itself doubled, and says its own name; any other one refuses before.
//!
//! What it leaves out: fields that are flattened, and a `Deserialize` that asks for no struct.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde::forward_to_deserialize_any;

type Names = &'static [&'static str];

/// The names of a struct's fields, and which fields are optional.
#[derive(Debug)]
pub(crate) struct FieldNames {
    all: Names,
    /// By each field's own name: all names that it has.
    optional: BTreeMap<&'static str, Vec<&'static str>>,
}

impl FieldNames {
    /// Asks a type; none where it is no struct.
    pub(crate) fn of<T: DeserializeOwned>() -> Option<Self> {
        let all = match ask::<T>(Asked::Names)? {
            Told::Names(names) => names,
            Told::Doubled(_) | Told::Nothing => return None,
        };
        let mut optional = BTreeMap::<_, Vec<_>>::new();
        for name in all {
            if let Some(Told::Doubled(field)) = ask::<T>(Asked::Twice(name)) {
                optional.entry(field).or_default().push(*name);
            }
        }
        Some(FieldNames { all, optional })
    }

    /// Whether a field has this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.all.contains(&name)
    }

    /// Whether an optional field has this name.
    pub(crate) fn is_optional(&self, name: &str) -> bool {
        self.optional.values().flatten().any(|other| *other == name)
    }

    /// The optional fields that have none of the names that are there.
    pub(crate) fn absent(&self, is_there: impl Fn(&str) -> bool) -> Vec<&'static str> {
        let fields = self.optional.iter();
        let absent = fields.filter(|(_, names)| !names.iter().any(|name| is_there(name)));
        absent.map(|(field, _)| *field).collect()
    }
}

fn ask<T: DeserializeOwned>(asked: Asked) -> Option<Told> {
    // It is a user's code that runs, on values it may not be ready for.
    let answer = catch_unwind(AssertUnwindSafe(|| T::deserialize(asked).err()));
    answer.ok().flatten()
}

/// What a type is asked.
#[derive(Clone, Copy)]
enum Asked {
    /// What the names of its fields are.
    Names,
    /// What it says to a field of this name twice.
    Twice(&'static str),
}

/// What it has told, as the error in which that ends.
#[derive(Debug)]
enum Told {
    Names(Names),
    /// The own name of the field that was there twice.
    Doubled(&'static str),
    Nothing,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the type was only asked")
    }
}

impl std::error::Error for Told {}

impl de::Error for Told {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Told::Nothing
    }

    fn duplicate_field(field: &'static str) -> Self {
        Told::Doubled(field)
    }
}

impl<'de> Deserializer<'de> for Asked {
    type Error = Told;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Told> {
        Err(Told::Nothing)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Told> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: Names,
        visitor: V,
    ) -> Result<V::Value, Told> {
        match self {
            Asked::Names => Err(Told::Names(fields)),
            Asked::Twice(name) => visitor.visit_map(Twice { name, left: 2 }),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// A map that has one name twice.
struct Twice {
    name: &'static str,
    left: u8,
}

impl<'de> MapAccess<'de> for Twice {
    type Error = Told;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Told> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        seed.deserialize(StrDeserializer::new(self.name)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Told> {
        seed.deserialize(Nothing)
    }
}

/// The value that is none.
struct Nothing;

impl<'de> Deserializer<'de> for Nothing {
    type Error = Told;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Told> {
        Err(Told::Nothing)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Told> {
        visitor.visit_none()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Told> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    #[allow(dead_code)]
    struct Row {
        id: u64,
        #[serde(alias = "a", alias = "z")]
        dep_delay: Option<f64>,
        #[serde(default)]
        gate: String,
        #[serde(default)]
        tail: Option<String>,
        #[serde(skip)]
        kept: Option<u8>,
    }

    #[derive(Deserialize)]
    struct Around(#[allow(dead_code)] Row);

    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Flat {
        #[serde(flatten)]
        row: Row,
    }

    #[test]
    fn optional_fields_are_known_by_all_their_names() {
        let names = FieldNames::of::<Around>().unwrap();
        assert_eq!(names.absent(|_| false), ["depDelay", "tail"]);
        assert_eq!(names.absent(|name| name == "z"), ["tail"]);
        assert!(names.has("gate") && names.has("a") && !names.has("kept"));
        assert!(names.is_optional("a") && !names.is_optional("gate"));
    }

    #[test]
    fn what_is_no_struct_has_no_fields() {
        assert!(FieldNames::of::<(u8, Option<u8>)>().is_none());
        assert!(FieldNames::of::<Flat>().is_none());
        assert!(FieldNames::of::<BTreeMap<String, u8>>().is_none());
    }
}
