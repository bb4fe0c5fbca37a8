//! What is known while a type is traced, and which way each run takes.

use std::any::type_name;
use std::collections::{BTreeMap, BTreeSet};

use serde::de::{DeserializeOwned, Error as _};

use super::error::Error;
use super::form::{Form, Type, Types, Variant, text};
use super::place::{At, TEXTS};

/// How often a type is asked for a value at most, for its variants and for samples it takes.
const RUNS_MAX: usize = 2_000;
/// How many values are made at most, in all runs together.
const STEPS_MAX: usize = 200_000;
/// How deep values are nested at most.
const DEPTH_MAX: usize = 96;

/// Traces one type, run after run.
#[derive(Default)]
pub(super) struct Tracer {
    pub(super) types: Types,
    /// By type: the first sample that it has not refused.
    samples: BTreeMap<&'static str, usize>,
    /// The types with a name whose values are being made, and for enums the variant.
    pub(super) path: Vec<(&'static str, Option<usize>)>,
    /// How many of them stand on the path for the second time: nothing is noted within.
    pub(super) repeats: usize,
    /// The sample in use.
    pub(super) sample: usize,
    pub(super) depth: usize,
    /// The greatest depth since a variant was begun.
    pub(super) deepest: usize,
    steps: usize,
    /// Whether the run has failed for a sample or a question, and another one is to be tried.
    is_refused: bool,
    /// Of fields that have more names than there are of them: to which field each belongs, as far as that
    /// has been asked.
    names: BTreeMap<Fields, Vec<Option<&'static str>>>,
}

/// The names of the fields of a type, or of a variant of it.
pub(super) type Fields = (&'static str, *const &'static str);

impl Tracer {
    pub(super) fn trace<T: DeserializeOwned>(&mut self) -> Option<String> {
        let form = self.form::<T>()?;
        text(&self.types, &form)
    }

    /// What a type is made of; types with a name stand in [`types`](Tracer::types).
    pub(super) fn form<T: DeserializeOwned>(&mut self) -> Option<Form> {
        for _ in 0..RUNS_MAX {
            let mut form = Form::Unknown;
            self.is_refused = false;
            let made = self.with_sample(type_name::<T>(), |tracer| {
                T::deserialize(tracer.at(&mut form)).map(|_| ())
            });
            match made {
                Ok(()) if self.is_complete(&form, &mut BTreeSet::new()) => {
                    return Some(form);
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

    pub(super) fn at<'a>(&'a mut self, form: &'a mut Form) -> At<'a> {
        At { tracer: self, form }
    }

    /// Makes a value with the samples that its type takes, or sees to it that the next run tries
    /// others. The innermost type whose code fails is the one that refuses.
    pub(super) fn with_sample<R>(
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

    /// The next of the names that it is still to be asked to which field it belongs.
    pub(super) fn asks_of(&self, fields: Fields, names: &[&'static str]) -> Option<&'static str> {
        let asked = self.names.get(&fields)?;
        names.get(asked.len()).copied()
    }

    /// Notes to which field that name belongs, if the question was not refused. Another run is to follow.
    pub(super) fn answered(&mut self, fields: Fields, own: Option<&'static str>) -> Error {
        if !std::mem::replace(&mut self.is_refused, true) {
            self.names.entry(fields).or_default().push(own);
        }
        Error::custom("it was only asked")
    }

    /// The own names of so many fields, which may have aliases beside them; none where that cannot be told.
    /// Where it is not known yet, the run ends and it will be asked.
    pub(super) fn own_names(
        &mut self,
        fields: Fields,
        names: &[&'static str],
        many: usize,
    ) -> Result<Option<Vec<&'static str>>, Error> {
        if names.len() == many {
            return Ok(Some(names.to_vec()));
        }
        let asked = self.names.entry(fields).or_default();
        if asked.len() < names.len() {
            self.is_refused = true;
            return Err(Error::custom("it is to be asked"));
        }
        let mut own: Vec<_> = asked.iter().copied().flatten().collect();
        own.dedup();
        Ok((own.len() == many).then_some(own))
    }

    /// Makes a value one level deeper.
    pub(super) fn step<R>(
        &mut self,
        make: impl FnOnce(&mut Self) -> Result<R, Error>,
    ) -> Result<R, Error> {
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
    pub(super) fn named<R>(
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
    pub(super) fn structure<R>(
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
    pub(super) fn choose(&self, name: &'static str, variants: &[Variant]) -> Option<usize> {
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
}
