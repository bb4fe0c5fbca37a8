//! The deserializer without input: it notes what it is asked for, and answers with samples.

use std::any::type_name;

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};

use super::error::Error;
use super::form::{Form, Type, Variant};
use super::tracer::Tracer;

/// What strings are answered with, one after the other until a type takes one.
pub(super) const TEXTS: [&str; 14] = [
    "",
    "1970-01-01T00:00:00Z",
    "1970-01-01T00:00:00",
    "1970-01-01",
    "00:00:00",
    "1",
    "127.0.0.1",
    "::1",
    "127.0.0.1:1",
    "00000000-0000-0000-0000-000000000000",
    "http://a/",
    "PT1S",
    "UTC",
    "a",
];
/// What numbers are answered with, in step with the texts. The first is 1 because there are types
/// that must not be zero.
const NUMBERS: [u8; TEXTS.len()] = [1, 0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 100, 127];

/// One place, which is to be given a value.
pub(super) struct At<'a> {
    pub(super) tracer: &'a mut Tracer,
    pub(super) form: &'a mut Form,
}

impl At<'_> {
    /// Answers with a plain value. A visitor that refuses it is asked again with another sample.
    fn plain<T>(
        self,
        what: &'static str,
        visit: impl FnOnce(u8, &'static str) -> Result<T, Error>,
    ) -> Result<T, Error> {
        *self.form = Form::Plain(what);
        self.tracer.step(|tracer| {
            tracer.with_sample(type_name::<T>(), |tracer| {
                visit(NUMBERS[tracer.sample], TEXTS[tracer.sample])
            })
        })
    }

    fn tuple<'de, V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        let (made, forms) = self.tracer.elements(len, |all| visitor.visit_seq(all))?;
        *self.form = Form::Tuple(forms);
        Ok(made)
    }

    fn fields<'de, V: Visitor<'de>>(
        self,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let fields = (type_name::<V::Value>(), names.as_ptr());
        if let Some(name) = self.tracer.asks_of(fields, names) {
            let twice = Twice {
                tracer: self.tracer,
                name,
                left: 2,
            };
            let own = visitor
                .visit_map(twice)
                .err()
                .and_then(|error| error.doubled);
            return Err(self.tracer.answered(fields, own));
        }
        let many = names.len();
        let (made, forms) = self.tracer.elements(many, |all| visitor.visit_seq(all))?;
        *self.form = match self.tracer.own_names(fields, names, forms.len())? {
            Some(own) => Form::Fields(own.into_iter().zip(forms).collect()),
            None => Form::Tuple(forms),
        };
        Ok(made)
    }
}

macro_rules! numbers {
    ($($method:ident $visit:ident $name:literal;)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.plain($name, |number, _| visitor.$visit(number.into()))
        })*
    };
}

impl<'de> Deserializer<'de> for At<'_> {
    type Error = Error;

    numbers! {
        deserialize_u8 visit_u8 "u8";
        deserialize_u16 visit_u16 "u16";
        deserialize_u32 visit_u32 "u32";
        deserialize_u64 visit_u64 "u64";
        deserialize_u128 visit_u128 "u128";
        deserialize_i16 visit_i16 "i16";
        deserialize_i32 visit_i32 "i32";
        deserialize_i64 visit_i64 "i64";
        deserialize_i128 visit_i128 "i128";
        deserialize_f32 visit_f32 "f32";
        deserialize_f64 visit_f64 "f64";
        deserialize_char visit_char "char";
    }

    fn deserialize_i8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.plain("i8", |number, _| visitor.visit_i8(number as i8))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.plain("bool", |number, _| visitor.visit_bool(number == 1))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.plain("String", |_, text| visitor.visit_str(text))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.plain("String", |_, text| visitor.visit_string(text.to_owned()))
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.plain("bytes", |_, text| visitor.visit_bytes(text.as_bytes()))
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.plain("bytes", |_, text| visitor.visit_byte_buf(text.into()))
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.plain("()", |_, _| visitor.visit_unit())
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let mut inner = Form::Unknown;
        let made = self.tracer.step(|tracer| {
            if tracer.repeats > 0 {
                return visitor.visit_none();
            }
            tracer.with_sample(type_name::<V::Value>(), |tracer| {
                visitor.visit_some(tracer.at(&mut inner))
            })
        })?;
        *self.form = Form::Option(Box::new(inner));
        Ok(made)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        let name = type_name::<V::Value>();
        self.tracer.structure(name, self.form, |tracer, form| {
            tracer.with_sample(name, |tracer| visitor.visit_newtype_struct(tracer.at(form)))
        })
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let many = usize::from(self.tracer.repeats == 0);
        let (made, mut forms) = self.tracer.elements(many, |all| visitor.visit_seq(all))?;
        *self.form = Form::Seq(Box::new(forms.pop().unwrap_or_default()));
        Ok(made)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        self.tuple(len, visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        let name = type_name::<V::Value>();
        self.tracer.structure(name, self.form, |tracer, form| {
            tracer.at(form).tuple(len, visitor)
        })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let many = 2 * usize::from(self.tracer.repeats == 0);
        let (made, mut forms) = self.tracer.elements(many, |all| visitor.visit_map(all))?;
        let value = forms.pop().unwrap_or_default();
        let key = forms.pop().unwrap_or_default();
        *self.form = Form::Map(Box::new((key, value)));
        Ok(made)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let name = type_name::<V::Value>();
        self.tracer.structure(name, self.form, |tracer, form| {
            tracer.at(form).fields(fields, visitor)
        })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let name = type_name::<V::Value>();
        let (tracer, mut inner) = (self.tracer, Form::Plain("()"));
        *self.form = Form::Named(name);
        let new = || Type::Enum(names.iter().map(|name| Variant::new(name)).collect());
        tracer.types.entry(name).or_insert_with(new);
        let chosen = match tracer.types.get(name) {
            Some(Type::Enum(variants)) => tracer.choose(name, variants),
            _ => None,
        };
        let variant = chosen.ok_or_else(|| Error::custom("no variant ends"))?;
        let (before, begin) = (tracer.deepest, tracer.depth);
        tracer.deepest = begin;
        let made = tracer.named(name, Some(variant), |tracer| {
            visitor.visit_enum(Choice {
                at: tracer.at(&mut inner),
                variant,
            })
        })?;
        let depth = tracer.deepest - begin;
        tracer.deepest = tracer.deepest.max(before);
        let is_inside = tracer.path.iter().any(|(other, _)| *other == name);
        if let Some(Type::Enum(variants)) = tracer.types.get_mut(name)
            && let Some(variant) = variants.get_mut(variant)
        {
            variant.depth = Some(variant.depth.map_or(depth, |least| least.min(depth)));
            if tracer.repeats == 0 && !is_inside {
                variant.form = Some(inner);
            }
        }
        Ok(made)
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("it asks the input what comes next"))
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_any(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_any(visitor)
    }

    /// As the codec.
    fn is_human_readable(&self) -> bool {
        false
    }
}

/// Some elements, one after another; of a map, keys and values in turn.
struct Elements<'a> {
    tracer: &'a mut Tracer,
    forms: &'a mut Vec<Form>,
    left: usize,
}

impl Tracer {
    /// Makes a value of so many elements, one level deeper, and tells what they are.
    fn elements<R>(
        &mut self,
        many: usize,
        make: impl FnOnce(Elements<'_>) -> Result<R, Error>,
    ) -> Result<(R, Vec<Form>), Error> {
        let mut forms = Vec::new();
        let made = self.step(|tracer| {
            make(Elements {
                tracer,
                forms: &mut forms,
                left: many,
            })
        })?;
        Ok((made, forms))
    }
}

impl Elements<'_> {
    fn next<'de, S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let mut form = Form::Unknown;
        let made = self.tracer.with_sample(type_name::<S::Value>(), |tracer| {
            seed.deserialize(tracer.at(&mut form))
        })?;
        self.forms.push(form);
        Ok(Some(made))
    }
}

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        self.next(seed)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

impl<'de> MapAccess<'de> for Elements<'_> {
    type Error = Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        self.next(seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        self.next(seed)?
            .ok_or_else(|| Error::custom("a value without a key"))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left / 2)
    }
}

/// A field that is there twice.
struct Twice<'a> {
    tracer: &'a mut Tracer,
    name: &'static str,
    left: u8,
}

impl<'de> MapAccess<'de> for Twice<'_> {
    type Error = Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        seed.deserialize(StrDeserializer::new(self.name)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        self.tracer.with_sample(type_name::<S::Value>(), |tracer| {
            seed.deserialize(tracer.at(&mut Form::Unknown))
        })
    }
}

/// The variant of an enum that is made.
struct Choice<'a> {
    at: At<'a>,
    variant: usize,
}

impl<'de, 'a> EnumAccess<'de> for Choice<'a> {
    type Error = Error;
    type Variant = At<'a>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, At<'a>), Error> {
        // As the codec tells variants: by their number.
        let number = self.variant as u32;
        let variant = seed.deserialize(IntoDeserializer::<Error>::into_deserializer(number))?;
        Ok((variant, self.at))
    }
}

impl<'de> VariantAccess<'de> for At<'_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        *self.form = Form::Plain("()");
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Error> {
        let form = self.form;
        self.tracer.with_sample(type_name::<S::Value>(), |tracer| {
            seed.deserialize(tracer.at(form))
        })
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        self.tuple(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.fields(fields, visitor)
    }
}
