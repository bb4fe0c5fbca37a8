//! Shapes: what a type looks like to the codec, found out without a value of it.
//!
//! Definition. Two types have the same *shape* when the codec writes them with the same steps, and
//! their fields and variants have the same names in the same order. Names of types, modules and
//! lifetimes do not count, nor does a newtype around a type. So what was written for one of them
//! can be read for the other and means what it meant, as far as names can tell.
//!
//! The shape is traced: the type's `Deserialize` is run against a [`Deserializer`] that has no
//! input, but notes what it is asked for and answers with samples. Every run takes one way through
//! the enums on it, so there are as many as there are variants to see. Types are told apart by
//! [`type_name`] of what their visitor makes, which is how a type that contains itself is found;
//! there the smallest value that ends is made.
//!
//! What it leaves out: a `Deserialize` that takes none of the samples, or asks the input what comes
//! next, has no shape here, and such a type is known by its name alone ([`Shape::ByName`]).

use std::any::type_name;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::de::value::Error;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer,
    MapAccess, SeqAccess, VariantAccess, Visitor,
};
use serde::{Deserialize, Serialize};

/// How often a type is asked for a value at most, for its variants and for samples it takes.
const RUNS_MAX: usize = 2_000;
/// How many values are made at most, in all runs together.
const STEPS_MAX: usize = 200_000;
/// How deep values are nested at most.
const DEPTH_MAX: usize = 96;
/// How long the text of a shape is at most, in bytes.
const TEXT_MAX: usize = 65_536;

/// What strings are answered with, one after the other until a type takes one.
const TEXTS: [&str; 14] = [
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

/// What is known of how a type is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Shape {
    /// The steps of writing it, as text: `{user: u64, at: Option<i64>}`.
    Traced(String),
    /// The name of the Rust type, where its steps cannot be found out.
    ByName(String),
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shape::Traced(text) => f.write_str(text),
            Shape::ByName(name) => write!(f, "{name}, known by its name alone"),
        }
    }
}

/// Finds out the shape of a type.
pub(crate) fn shape_of<T: DeserializeOwned>() -> Shape {
    let mut tracer = Tracer::default();
    // It is a user's code that runs, on values it may not be ready for.
    let traced = catch_unwind(AssertUnwindSafe(|| tracer.trace::<T>()));
    match traced {
        Ok(Some(text)) => Shape::Traced(text),
        Ok(None) | Err(_) => Shape::ByName(type_name::<T>().to_owned()),
    }
}

/// What has been asked for at one place.
#[derive(Clone, Debug, Default)]
enum Form {
    #[default]
    Unknown,
    Plain(&'static str),
    Option(Box<Form>),
    Seq(Box<Form>),
    Map(Box<(Form, Form)>),
    Tuple(Vec<Form>),
    Fields(Vec<(&'static str, Form)>),
    /// A type of [`Tracer::types`].
    Named(&'static str),
}

/// A type with a name of its own.
#[derive(Debug)]
enum Type {
    Struct(Form),
    Enum(Vec<Variant>),
}

#[derive(Debug)]
struct Variant {
    name: &'static str,
    /// None until it has been looked at.
    form: Option<Form>,
    /// How deep the smallest value of it was that has been made.
    depth: Option<usize>,
}

#[derive(Default)]
struct Tracer {
    types: BTreeMap<&'static str, Type>,
    /// By type: the first sample that it has not refused.
    samples: BTreeMap<&'static str, usize>,
    /// The types with a name whose values are being made, and for enums the variant.
    path: Vec<(&'static str, Option<usize>)>,
    /// How many of them stand on the path for the second time: nothing is noted within.
    repeats: usize,
    /// The sample in use.
    sample: usize,
    depth: usize,
    /// The greatest depth since a variant was begun.
    deepest: usize,
    steps: usize,
    /// Whether the run has failed for a sample, and another one is to be tried.
    is_refused: bool,
}

impl Tracer {
    fn trace<T: DeserializeOwned>(&mut self) -> Option<String> {
        for _ in 0..RUNS_MAX {
            let mut form = Form::Unknown;
            self.is_refused = false;
            let made = self.with_sample(type_name::<T>(), |tracer| {
                T::deserialize(tracer.at(&mut form)).map(|_| ())
            });
            match made {
                Ok(()) if self.is_complete(&form, &mut BTreeSet::new()) => {
                    return self.text(&form);
                }
                Ok(()) => {}
                Err(_) if self.is_refused && self.steps < STEPS_MAX => {
                    (self.repeats, self.depth, self.sample) = (0, 0, 0);
                    self.path.clear();
                }
                Err(_) => return None,
            }
        }
        None
    }

    fn at<'a>(&'a mut self, form: &'a mut Form) -> At<'a> {
        At { tracer: self, form }
    }

    /// Makes a value with the samples that its type takes, or sees to it that the next run tries
    /// others. The innermost type whose code fails is the one that refuses.
    fn with_sample<R>(
        &mut self,
        name: &'static str,
        make: impl FnOnce(&mut Self) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let sample = self.samples.get(name).copied().unwrap_or(self.sample);
        let before = std::mem::replace(&mut self.sample, sample);
        let made = make(self);
        self.sample = before;
        if made.is_err() && !self.is_refused && sample + 1 < TEXTS.len() {
            self.samples.insert(name, sample + 1);
            self.is_refused = true;
        }
        made
    }

    /// Makes a value one level deeper.
    fn step<R>(&mut self, make: impl FnOnce(&mut Self) -> Result<R, Error>) -> Result<R, Error> {
        self.steps += 1;
        if self.steps > STEPS_MAX || self.depth >= DEPTH_MAX {
            // No sample helps here, so no run follows.
            self.steps = STEPS_MAX;
            return Err(Error::custom("too large"));
        }
        self.depth += 1;
        self.deepest = self.deepest.max(self.depth);
        let made = make(self);
        self.depth -= 1;
        made
    }

    /// Makes a value of a type with a name, which may contain itself.
    fn named<R>(
        &mut self,
        name: &'static str,
        variant: Option<usize>,
        make: impl FnOnce(&mut Self) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let is_repeat = self.path.iter().any(|(other, _)| *other == name);
        self.repeats += usize::from(is_repeat);
        self.path.push((name, variant));
        let made = self.step(make);
        self.path.pop();
        self.repeats -= usize::from(is_repeat);
        made
    }

    /// Makes a value of a struct, and notes what it is made of.
    fn structure<R>(
        &mut self,
        name: &'static str,
        form: &mut Form,
        make: impl FnOnce(&mut Self, &mut Form) -> Result<R, Error>,
    ) -> Result<R, Error> {
        *form = Form::Named(name);
        let mut inner = Form::Unknown;
        let made = self.named(name, None, |tracer| make(tracer, &mut inner))?;
        let is_inside = self.path.iter().any(|(other, _)| *other == name);
        if self.repeats == 0 && !is_inside {
            self.types.insert(name, Type::Struct(inner));
        }
        Ok(made)
    }

    /// Decides which variant of an enum is made: one that has something unseen, or within the enum
    /// itself one that ends.
    fn choose(&self, name: &'static str, variants: &[Variant]) -> Option<usize> {
        let is_inside = self.path.iter().any(|(other, _)| *other == name);
        let smallest = variants.iter().enumerate();
        let smallest = smallest.filter_map(|(index, variant)| Some((variant.depth?, index)));
        let smallest = smallest.min().map(|(_, index)| index);
        if self.repeats == 0 && !is_inside {
            // What is unseen of a type that stands on the path cannot be seen from here.
            let path = self.path.iter().map(|(name, _)| *name);
            let path: BTreeSet<_> = path.chain([name]).collect();
            let unseen = variants.iter().position(|variant| match &variant.form {
                None => true,
                Some(form) => !self.is_complete(form, &mut path.clone()),
            });
            return unseen.or(smallest);
        }
        let is_tried = |index: &usize| self.path.contains(&(name, Some(*index)));
        smallest.or_else(|| (0..variants.len()).find(|index| !is_tried(index)))
    }

    /// Whether every variant has been seen that can be reached.
    fn is_complete(&self, form: &Form, seen: &mut BTreeSet<&'static str>) -> bool {
        match form {
            Form::Unknown | Form::Plain(_) => true,
            Form::Option(inner) | Form::Seq(inner) => self.is_complete(inner, seen),
            Form::Map(pair) => self.is_complete(&pair.0, seen) && self.is_complete(&pair.1, seen),
            Form::Tuple(forms) => forms.iter().all(|form| self.is_complete(form, seen)),
            Form::Fields(fields) => fields.iter().all(|(_, form)| self.is_complete(form, seen)),
            Form::Named(name) if !seen.insert(name) => true,
            Form::Named(name) => match self.types.get(name) {
                None => true,
                Some(Type::Struct(form)) => self.is_complete(form, seen),
                Some(Type::Enum(variants)) => variants.iter().all(|variant| {
                    let form = variant.form.as_ref();
                    form.is_some_and(|form| self.is_complete(form, seen))
                }),
            },
        }
    }

    fn text(&self, form: &Form) -> Option<String> {
        let mut writer = Writer {
            types: &self.types,
            text: String::new(),
            within: Vec::new(),
            depth: 0,
        };
        writer.write(form).ok()?;
        Some(writer.text)
    }
}

/// One place, which is to be given a value.
struct At<'a> {
    tracer: &'a mut Tracer,
    form: &'a mut Form,
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
        let mut forms = Vec::new();
        let tracer = self.tracer;
        let made = tracer.step(|tracer| {
            let left = len;
            let forms = &mut forms;
            visitor.visit_seq(Elements {
                tracer,
                forms,
                left,
            })
        })?;
        *self.form = Form::Tuple(forms);
        Ok(made)
    }

    fn fields<'de, V: Visitor<'de>>(
        self,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let form = self.form;
        let at = At {
            tracer: self.tracer,
            form: &mut *form,
        };
        let made = at.tuple(names.len(), visitor)?;
        if let Form::Tuple(forms) = std::mem::take(form) {
            *form = Form::Fields(names.iter().copied().zip(forms).collect());
        }
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
        let mut forms = Vec::new();
        let made = self.tracer.step(|tracer| {
            let left = usize::from(tracer.repeats == 0);
            let forms = &mut forms;
            visitor.visit_seq(Elements {
                tracer,
                forms,
                left,
            })
        })?;
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
        let mut forms = Vec::new();
        let made = self.tracer.step(|tracer| {
            let left = 2 * usize::from(tracer.repeats == 0);
            let forms = &mut forms;
            visitor.visit_map(Elements {
                tracer,
                forms,
                left,
            })
        })?;
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

impl Variant {
    fn new(name: &'static str) -> Self {
        Variant {
            name,
            form: None,
            depth: None,
        }
    }
}

/// Some elements, one after another; of a map, keys and values in turn.
struct Elements<'a> {
    tracer: &'a mut Tracer,
    forms: &'a mut Vec<Form>,
    left: usize,
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

/// Writes a form as text, in which no name of a type is left.
struct Writer<'a> {
    types: &'a BTreeMap<&'static str, Type>,
    text: String,
    /// The types that are being written, with how deep in brackets they began.
    within: Vec<(&'static str, usize)>,
    depth: usize,
}

impl Writer<'_> {
    fn put(&mut self, text: &str) -> fmt::Result {
        match self.text.len() + text.len() > TEXT_MAX {
            true => Err(fmt::Error),
            false => self.text.write_str(text),
        }
    }

    fn write(&mut self, form: &Form) -> fmt::Result {
        match form {
            Form::Unknown => self.put("?"),
            Form::Plain(name) => self.put(name),
            Form::Option(inner) => self.list("Option<", ">", [("", &**inner)]),
            Form::Seq(inner) => self.list("[", "]", [("", &**inner)]),
            Form::Map(pair) => self.list("map<", ">", [("", &pair.0), ("", &pair.1)]),
            Form::Tuple(forms) => self.list("(", ")", forms.iter().map(|form| ("", form))),
            Form::Fields(fields) => {
                self.list("{", "}", fields.iter().map(|(name, form)| (*name, form)))
            }
            Form::Named(name) => self.named(name),
        }
    }

    fn list<'f>(
        &mut self,
        open: &str,
        close: &str,
        forms: impl IntoIterator<Item = (&'f str, &'f Form)>,
    ) -> fmt::Result {
        self.put(open)?;
        self.depth += 1;
        for (index, (name, form)) in forms.into_iter().enumerate() {
            if index > 0 {
                self.put(", ")?;
            }
            if !name.is_empty() {
                self.put(name)?;
                self.put(": ")?;
            }
            self.write(form)?;
        }
        self.depth -= 1;
        self.put(close)
    }

    /// A type within itself is told by how many brackets further out it began: `^2`.
    fn named(&mut self, name: &'static str) -> fmt::Result {
        if let Some((_, depth)) = self.within.iter().find(|(other, _)| *other == name) {
            let up = self.depth - depth;
            return self.put(&format!("^{up}"));
        }
        self.within.push((name, self.depth));
        match self.types.get(name) {
            None => self.put("?")?,
            Some(Type::Struct(form)) => self.write(form)?,
            Some(Type::Enum(variants)) => self.variants(variants)?,
        }
        self.within.pop();
        Ok(())
    }

    fn variants(&mut self, variants: &[Variant]) -> fmt::Result {
        self.put("enum {")?;
        self.depth += 1;
        for (index, variant) in variants.iter().enumerate() {
            if index > 0 {
                self.put(", ")?;
            }
            self.put(variant.name)?;
            match &variant.form {
                None | Some(Form::Plain("()")) => {}
                Some(form @ Form::Tuple(_)) => self.write(form)?,
                Some(form @ Form::Fields(_)) => {
                    self.put(" ")?;
                    self.write(form)?;
                }
                Some(form) => self.list("(", ")", [("", form)])?,
            }
        }
        self.depth -= 1;
        self.put("}")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet, HashMap};
    use std::num::NonZeroU32;

    use super::*;
    use crate::time::{EventTime, Gap};

    fn text<T: DeserializeOwned>() -> String {
        shape_of::<T>().to_string()
    }

    #[test]
    fn plain_types_and_collections_are_told_as_they_are_written() {
        assert_eq!(text::<u64>(), "u64");
        assert_eq!(text::<(u8, (i64, f64), ())>(), "(u8, (i64, f64), ())");
        assert_eq!(text::<Option<Vec<String>>>(), "Option<[String]>");
        assert_eq!(text::<HashMap<u32, BTreeSet<char>>>(), "map<u32, [char]>");
        assert_eq!(text::<smallvec::SmallVec<[bool; 4]>>(), "[bool]");
        assert_eq!(text::<[i8; 2]>(), "(i8, i8)");
        assert_eq!(text::<(u128, i128, NonZeroU32)>(), "(u128, i128, u32)");
        assert_eq!(text::<Result<u8, String>>(), "enum {Ok(u8), Err(String)}");
        assert_eq!(text::<std::time::Duration>(), "{secs: u64, nanos: u32}");
    }

    #[derive(Deserialize)]
    struct Pair<A, B = A> {
        #[allow(dead_code)]
        left: A,
        #[allow(dead_code)]
        right: B,
    }

    #[derive(Deserialize)]
    struct Wrapped(#[allow(dead_code)] u64);

    #[derive(Deserialize)]
    #[allow(dead_code)]
    enum Deed {
        Stand,
        Say(String),
        Move(i8, i8),
        Give { to: u64, what: Inner },
    }

    #[derive(Deserialize)]
    #[allow(dead_code)]
    enum Inner {
        One(Option<Wrapped>),
        Two,
    }

    #[test]
    fn every_variant_is_seen_in_every_place_and_newtypes_are_seen_through() {
        let inner = "enum {One(Option<u64>), Two}";
        let deed =
            format!("enum {{Stand, Say(String), Move(i8, i8), Give {{to: u64, what: {inner}}}}}");
        assert_eq!(text::<Deed>(), deed);
        assert_eq!(
            text::<Pair<Pair<u8>, Vec<Inner>>>(),
            format!("{{left: {{left: u8, right: u8}}, right: [{inner}]}}")
        );
    }

    #[derive(Deserialize)]
    #[allow(dead_code)]
    enum Formula {
        Sum(Box<Formula>, Box<Formula>),
        Less(Box<Formula>),
        Many(Vec<Formula>),
        Named { terms: BTreeMap<String, Formula> },
        Number(f64),
    }

    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Tree {
        value: u8,
        children: Vec<Tree>,
        next: Option<Box<Tree>>,
        formula: Formula,
    }

    /// Through [`Answer`] it contains itself, and something else besides.
    #[derive(Deserialize)]
    #[allow(dead_code)]
    enum Question {
        Asks(Answer),
        Ends,
    }

    #[derive(Deserialize)]
    #[allow(dead_code)]
    enum Answer {
        Asks(Box<Question>),
        Says(Inner),
    }

    #[derive(Deserialize)]
    struct Nest(#[allow(dead_code)] Vec<Nest>);

    #[test]
    fn types_that_contain_themselves_end() {
        assert_eq!(text::<Nest>(), "[^1]");
        let answer = "enum {Asks(^4), Says(enum {One(Option<u64>), Two})}";
        let question = format!("enum {{Asks({answer}), Ends}}");
        assert_eq!(text::<Question>(), question);
        let formula = "enum {Sum(^2, ^2), Less(^2), Many([^3]), \
                       Named {terms: map<String, ^3>}, Number(f64)}";
        assert_eq!(text::<Formula>(), formula);
        assert_eq!(
            text::<Tree>(),
            format!("{{value: u8, children: [^2], next: Option<^2>, formula: {formula}}}")
        );
    }

    #[test]
    fn a_type_that_takes_only_some_texts_is_asked_with_others() {
        assert_eq!(
            text::<(EventTime, u8)>(),
            format!("({}, u8)", text::<EventTime>())
        );
        assert_eq!(text::<Gap>(), "String");
        assert_eq!(
            text::<std::net::IpAddr>(),
            format!(
                "enum {{V4(u8{}), V6(u8{})}}",
                ", u8".repeat(3),
                ", u8".repeat(15)
            )
        );
    }

    #[derive(Deserialize)]
    #[serde(untagged)]
    #[allow(dead_code)]
    enum Untagged {
        Number(u8),
        Text(String),
    }

    #[derive(Debug)]
    struct Odd;

    impl<'de> Deserialize<'de> for Odd {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let text = String::deserialize(deserializer)?;
            match text.as_str() {
                "odd indeed" => Ok(Odd),
                _ => Err(D::Error::custom("not odd")),
            }
        }
    }

    #[test]
    fn what_cannot_be_traced_is_known_by_its_name() {
        let told = text::<Untagged>();
        assert!(
            told.ends_with("Untagged, known by its name alone"),
            "{told}"
        );
        let Shape::ByName(name) = shape_of::<Vec<Odd>>() else {
            panic!("it was traced");
        };
        assert!(name.ends_with("::Odd>"), "{name}");
    }

    #[test]
    fn a_type_without_measure_is_given_up() {
        type Eight<T> = Two<Two<Two<Two<Two<Two<Two<Two<T>>>>>>>>;
        type Two<T> = Pair<Box<T>>;
        assert!(matches!(shape_of::<Eight<u8>>(), Shape::Traced(_)));
        assert!(matches!(
            shape_of::<Eight<Eight<Two<Two<u8>>>>>(),
            Shape::ByName(_)
        ));
    }
}
