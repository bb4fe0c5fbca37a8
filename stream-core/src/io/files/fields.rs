//! Records from the fields of a row of CSV, where nothing is wrong with the row.
//!
//! What a row means is what the `csv` crate makes of it. This makes the same of slices that nobody
//! copies, with an error that says nothing: a row that is [`Refused`] here is read once more by the
//! `csv` crate, which takes it after all or says what is wrong. So this must never take what that
//! crate refuses, nor differently; it may refuse what that crate takes, and only time is lost.
//!
//! `nan` and `inf` are refused, too: where they stand in a field of numbers they are no records, though
//! the `csv` crate takes them.
//!
//! A struct whose fields are named just as the header, in this order, is read without a look at
//! the names. As exactly as many fields are asked for as the header has, each name would have led
//! to the same place; where an alias is among the names, fewer are, and the row is refused. Every
//! other struct is read by the names. A `Deserialize` by hand must take a sequence in the order of
//! the fields that it names, as a derived one does.

use std::cell::Cell;
use std::fmt;
use std::slice;

use csv::{ByteRecord, ByteRecordIter};
use serde::de::value::BorrowedBytesDeserializer;
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};

/// The first row of a file, if it holds names.
pub(super) struct Header {
    pub(super) names: ByteRecord,
    /// The fields of a struct that were compared with the names last, and whether they are these.
    compared: Cell<(StructFields, bool)>,
}

type StructFields = &'static [&'static str];

impl Header {
    pub(super) fn new(names: ByteRecord) -> Self {
        Header {
            names,
            compared: Cell::new((&[], false)),
        }
    }

    /// Whether these are the names. The same slice is compared once and not a second time.
    #[inline]
    fn is(&self, fields: StructFields) -> bool {
        let (compared, same) = self.compared.get();
        if std::ptr::eq(compared, fields) {
            return same;
        }
        let same = self
            .names
            .iter()
            .eq(fields.iter().map(|name| name.as_bytes()));
        self.compared.set((fields, same));
        same
    }
}

/// The fields of one row.
pub(super) struct Fields<'de> {
    text: &'de str,
    /// Where the next field starts in the text.
    start: usize,
    /// Where it and those after it end.
    ends: slice::Iter<'de, usize>,
    /// How many bytes there are from the end of a field to the start of the next one.
    gap: usize,
    names: Names<'de>,
    /// The texts that say that there is no value, beside the empty one.
    nulls: &'de [String],
}

/// What is known of the names of the fields to come.
enum Names<'de> {
    /// There is no header.
    Absent,
    /// There is one, and so many of its names are left.
    Left(&'de Header, ByteRecordIter<'de>),
    /// There is one, but the fields are being read by their order.
    InOrder,
}

impl<'de> Fields<'de> {
    #[inline]
    pub(super) fn new(
        text: &'de str,
        ends: &'de [usize],
        gap: usize,
        header: Option<&'de Header>,
    ) -> Self {
        let names = |header: &'de Header| Names::Left(header, header.names.iter());
        Fields {
            text,
            start: 0,
            ends: ends.iter(),
            gap,
            names: header.map_or(Names::Absent, names),
            nulls: &[],
        }
    }

    /// Takes these texts, too, for no value where there may be none.
    #[inline]
    pub(super) fn with_nulls(self, nulls: &'de [String]) -> Self {
        Fields { nulls, ..self }
    }

    fn is_null(&self, end: usize) -> bool {
        let field = self.text.get(self.start..end);
        field.is_some_and(|field| self.nulls.iter().any(|null| null == field))
    }

    fn is_at_end(&self) -> bool {
        self.ends.as_slice().is_empty()
    }

    #[inline]
    fn next(&mut self) -> Result<&'de str, Refused> {
        let end = *self.ends.next().ok_or(Refused)?;
        // A delimiter that is not ASCII may lie within a character.
        let field = self.text.get(self.start..end).ok_or(Refused)?;
        self.start = end + self.gap;
        Ok(field)
    }

    #[inline]
    fn parse<N: std::str::FromStr>(&mut self) -> Result<N, Refused> {
        self.next()?.parse().map_err(|_| Refused)
    }
}

/// The row is for the `csv` crate, which can tell what is wrong.
#[derive(Debug)]
pub(super) struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the row is refused")
    }
}

impl std::error::Error for Refused {}

impl de::Error for Refused {
    #[cold]
    fn custom<T: fmt::Display>(_: T) -> Self {
        Refused
    }
}

/// Leaves a number that is none to whoever tells whether it stands in a field of numbers.
#[inline]
fn finite<N: Copy>(number: N, is_finite: impl Fn(N) -> bool) -> Result<N, Refused> {
    is_finite(number).then_some(number).ok_or(Refused)
}

macro_rules! whole_numbers {
    ($($method:ident $visit:ident $number:ty),*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
            let field = self.next()?;
            let number = match field.strip_prefix("0x") {
                Some(digits) => <$number>::from_str_radix(digits, 16),
                None => field.parse(),
            };
            visitor.$visit(number.map_err(|_| Refused)?)
        }
    )*};
}

impl<'de> Deserializer<'de> for &mut Fields<'de> {
    type Error = Refused;

    /// Takes the first type that the text could be of, as the `csv` crate does.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        let field = self.next()?;
        if let Ok(value) = field.parse() {
            visitor.visit_bool(value)
        } else if let Ok(number) = field.parse() {
            visitor.visit_u64(number)
        } else if let Ok(number) = field.parse() {
            visitor.visit_i64(number)
        } else if let Ok(number) = field.parse() {
            visitor.visit_u128(number)
        } else if let Ok(number) = field.parse() {
            visitor.visit_i128(number)
        } else if let Ok(number) = field.parse::<f64>() {
            visitor.visit_f64(finite(number, f64::is_finite)?)
        } else {
            visitor.visit_str(field)
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_bool(self.parse()?)
    }

    whole_numbers! {
        deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32, deserialize_u64 visit_u64 u64,
        deserialize_u128 visit_u128 u128,
        deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16,
        deserialize_i32 visit_i32 i32, deserialize_i64 visit_i64 i64,
        deserialize_i128 visit_i128 i128
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_f32(finite(self.parse()?, f32::is_finite)?)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_f64(finite(self.parse()?, f64::is_finite)?)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_char(self.parse()?)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_borrowed_str(self.next()?)
    }

    #[inline]
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_str(self.next()?)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_borrowed_bytes(self.next()?.as_bytes())
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_byte_buf(self.next()?.as_bytes().to_vec())
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        match self.ends.as_slice().first() {
            None => visitor.visit_none(),
            Some(end) if *end == self.start || !self.nulls.is_empty() && self.is_null(*end) => {
                self.next()?;
                visitor.visit_none()
            }
            Some(_) => visitor.visit_some(self),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_seq(self)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_seq(self)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        visitor.visit_seq(self)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        match self.names {
            Names::Absent => visitor.visit_seq(self),
            Names::Left(..) => visitor.visit_map(self),
            Names::InOrder => Err(Refused), // which names are left is not known
        }
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: StructFields,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        match &self.names {
            Names::Left(header, left) if left.len() == fields.len() && header.is(fields) => {
                self.names = Names::InOrder;
                let mut in_order = InOrder {
                    fields: self,
                    left: fields.len(),
                };
                let value = visitor.visit_seq(&mut in_order)?;
                if in_order.left > 0 {
                    Err(Refused)
                } else {
                    Ok(value)
                }
            }
            _ => self.deserialize_map(visitor),
        }
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Refused> {
        Err(Refused)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        visitor.visit_enum(self)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.next()?;
        visitor.visit_unit()
    }
}

/// The fields of a struct that has just those of the header.
struct InOrder<'a, 'de> {
    fields: &'a mut Fields<'de>,
    /// How many are still to be asked for.
    left: usize,
}

impl<'de> SeqAccess<'de> for &mut InOrder<'_, 'de> {
    type Error = Refused;

    /// Refuses to end: behind the last field the struct would take its own defaults.
    #[inline]
    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Refused> {
        if self.left == 0 || self.fields.is_at_end() {
            return Err(Refused);
        }
        self.left -= 1;
        seed.deserialize(&mut *self.fields).map(Some)
    }
}

impl<'de> SeqAccess<'de> for &mut Fields<'de> {
    type Error = Refused;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Refused> {
        if self.is_at_end() {
            return Ok(None);
        }
        seed.deserialize(&mut **self).map(Some)
    }
}

impl<'de> MapAccess<'de> for &mut Fields<'de> {
    type Error = Refused;

    #[inline]
    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Refused> {
        let Names::Left(_, left) = &mut self.names else {
            return Err(Refused);
        };
        let name = left.next().map(BorrowedBytesDeserializer::new);
        name.map(|name| seed.deserialize(name)).transpose()
    }

    #[inline]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Refused> {
        seed.deserialize(&mut **self)
    }
}

impl<'de> EnumAccess<'de> for &mut Fields<'de> {
    type Error = Refused;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Refused> {
        let name: de::value::StrDeserializer<'_, Refused> = self.next()?.into_deserializer();
        seed.deserialize(name).map(|variant| (variant, self))
    }
}

/// A field can hold the name of a variant, and nothing more.
impl<'de> VariantAccess<'de> for &mut Fields<'de> {
    type Error = Refused;

    fn unit_variant(self) -> Result<(), Refused> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, _: S) -> Result<S::Value, Refused> {
        Err(Refused)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Refused> {
        Err(Refused)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Refused> {
        Err(Refused)
    }
}

#[cfg(test)]
mod tests;
