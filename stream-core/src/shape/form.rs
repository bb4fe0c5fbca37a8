//! What a type was found to be made of, and the text of that.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

/// How long the text of a shape is at most, in bytes.
const TEXT_MAX: usize = 65_536;

/// What has been asked for at one place.
#[derive(Clone, Debug, Default)]
pub(super) enum Form {
    #[default]
    Unknown,
    Plain(&'static str),
    Option(Box<Form>),
    Seq(Box<Form>),
    Map(Box<(Form, Form)>),
    Tuple(Vec<Form>),
    Fields(Vec<(&'static str, Form)>),
    /// A type of [`Types`].
    Named(&'static str),
}

/// A type with a name of its own.
#[derive(Debug)]
pub(super) enum Type {
    Struct(Form),
    Enum(Vec<Variant>),
}

#[derive(Debug)]
pub(super) struct Variant {
    pub(super) name: &'static str,
    /// None until it has been looked at.
    pub(super) form: Option<Form>,
    /// How deep the smallest value of it was that has been made.
    pub(super) depth: Option<usize>,
}

/// The types with a name of their own that have been seen.
pub(super) type Types = BTreeMap<&'static str, Type>;

impl Variant {
    pub(super) fn new(name: &'static str) -> Self {
        Variant {
            name,
            form: None,
            depth: None,
        }
    }
}

/// The text of a form; none where it is too long.
pub(super) fn text(types: &Types, form: &Form) -> Option<String> {
    let mut writer = Writer {
        types,
        text: String::new(),
        within: Vec::new(),
        depth: 0,
    };
    writer.write(form).ok()?;
    Some(writer.text)
}

/// Writes a form as text, in which no name of a type is left.
struct Writer<'a> {
    types: &'a Types,
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
