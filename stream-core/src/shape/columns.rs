//! The columns that a type has as a row: its fields, and theirs, in order.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::de::DeserializeOwned;

use super::form::{Form, Type, Types};
use super::tracer::Tracer;

/// What stands in a row for a value of a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Columns {
    /// One cell, whatever it holds.
    One,
    /// The columns of each field.
    Fields(Vec<(&'static str, Columns)>),
    /// The columns of each part, which has no name.
    Tuple(Vec<Columns>),
    /// The same, or nothing.
    Optional(Box<Columns>),
}

/// Finds out the columns of a type; none where it cannot be traced.
pub(crate) fn columns_of<T: DeserializeOwned>() -> Option<Columns> {
    let mut tracer = Tracer::default();
    // It is a user's code that runs, on values it may not be ready for.
    let traced = catch_unwind(AssertUnwindSafe(|| tracer.form::<T>()));
    let form = traced.ok().flatten()?;
    Some(columns(&tracer.types, &form, &mut Vec::new()))
}

fn columns(types: &Types, form: &Form, within: &mut Vec<&'static str>) -> Columns {
    match form {
        Form::Option(inner) => Columns::Optional(Box::new(columns(types, inner, within))),
        Form::Tuple(forms) => {
            let parts = forms.iter().map(|form| columns(types, form, within));
            Columns::Tuple(parts.collect())
        }
        Form::Fields(fields) => {
            let named = |(name, form): &(&'static str, Form)| (*name, columns(types, form, within));
            Columns::Fields(fields.iter().map(named).collect())
        }
        // A type within itself has no end of columns, and is refused when it is written.
        Form::Named(name) if within.contains(name) => Columns::One,
        Form::Named(name) => match types.get(name) {
            Some(Type::Struct(form)) => {
                within.push(name);
                let columns = columns(types, form, within);
                within.pop();
                columns
            }
            Some(Type::Enum(_)) | None => Columns::One,
        },
        Form::Unknown | Form::Plain(_) | Form::Seq(_) | Form::Map(_) => Columns::One,
    }
}

impl Columns {
    /// How many there are.
    pub(crate) fn width(&self) -> usize {
        match self {
            Columns::One => 1,
            Columns::Fields(fields) => fields.iter().map(|(_, field)| field.width()).sum(),
            Columns::Tuple(parts) => parts.iter().map(Columns::width).sum(),
            Columns::Optional(inner) => inner.width(),
        }
    }

    fn is_one(&self) -> bool {
        match self {
            Columns::One => true,
            Columns::Optional(inner) => inner.is_one(),
            Columns::Fields(_) | Columns::Tuple(_) => false,
        }
    }

    /// Whether the field of a name, or the part of a number, may be nothing.
    pub(crate) fn is_optional(&self, name: Option<&str>, number: usize) -> bool {
        let part = match (self, name) {
            (Columns::Fields(fields), None) => fields.get(number).map(|(_, field)| field),
            (Columns::Tuple(parts), _) => parts.get(number),
            _ => self.of(name, number),
        };
        matches!(part, Some(Columns::Optional(_)))
    }

    /// Whether a field has parts of its own.
    pub(crate) fn is_nested(&self) -> bool {
        match self {
            Columns::Fields(fields) => fields.iter().any(|(_, field)| !field.is_one()),
            Columns::One | Columns::Tuple(_) | Columns::Optional(_) => false,
        }
    }

    /// The columns of a field, by its name, or of a part, by its number.
    pub(crate) fn of(&self, name: Option<&str>, number: usize) -> Option<&Columns> {
        match (self, name) {
            (Columns::Optional(inner), _) => inner.of(name, number),
            (Columns::Fields(fields), Some(name)) => {
                let field = fields.iter().find(|(other, _)| *other == name);
                field.map(|(_, columns)| columns)
            }
            (Columns::Tuple(parts), None) => parts.get(number),
            _ => None,
        }
    }

    /// Whether the row itself has parts without names.
    pub(crate) fn is_tuple(&self) -> bool {
        matches!(self, Columns::Tuple(_))
    }

    /// The names of the columns, of parts without one their numbers; none where the row is no more
    /// than a value.
    pub(crate) fn names(&self) -> Option<Vec<String>> {
        if self.is_one() {
            return None;
        }
        let mut names = Names::default();
        names.add(Some(self));
        Some(names.finish())
    }
}

/// Gathers the names of columns: those that the fields have themselves where each has another one,
/// and else with all that they stand in, `key.user`. Which it is follows from the type alone.
#[derive(Debug, Default)]
pub(crate) struct Names {
    path: Vec<(String, bool)>,
    found: Vec<(Option<String>, String)>,
}

impl Names {
    /// Goes into a field, or a part that has no name.
    pub(crate) fn enter(&mut self, name: Option<&str>, number: usize) {
        self.path.push(match name {
            Some(name) => (name.to_owned(), true),
            None => (number.to_string(), false),
        });
    }

    /// Leaves it.
    pub(crate) fn leave(&mut self) {
        self.path.pop();
    }

    /// Adds all columns of where it is; one, where they are not known.
    pub(crate) fn add(&mut self, columns: Option<&Columns>) {
        match columns {
            Some(Columns::Optional(inner)) => self.add(Some(inner)),
            None | Some(Columns::One) => {
                let parts: Vec<_> = self.path.iter().map(|(name, _)| name.as_str()).collect();
                let own = self.path.last().filter(|(_, is_named)| *is_named);
                let own = own.map(|(name, _)| name.clone());
                self.found.push((own, parts.join(".")));
            }
            Some(Columns::Fields(fields)) => {
                for (name, field) in fields {
                    self.enter(Some(name), 0);
                    self.add(Some(field));
                    self.leave();
                }
            }
            Some(Columns::Tuple(parts)) => {
                for (number, part) in parts.iter().enumerate() {
                    self.enter(None, number);
                    self.add(Some(part));
                    self.leave();
                }
            }
        }
    }

    /// The names, in order.
    pub(crate) fn finish(self) -> Vec<String> {
        let mut times = BTreeMap::new();
        for (own, _) in &self.found {
            *times.entry(own.clone()).or_insert(0) += 1;
        }
        let is_clear = |own: &Option<String>| own.is_some() && times[own] == 1;
        match self.found.iter().all(|(own, _)| is_clear(own)) {
            true => self.found.into_iter().filter_map(|(own, _)| own).collect(),
            false => self.found.into_iter().map(|(_, path)| path).collect(),
        }
    }
}
