//! Shapes: what a type looks like to the codec, found out without a value of it.
//!
//! Definition. Two types have the same *shape* when the codec writes them with the same steps, and
//! their fields and variants have the same names in the same order. Names of types, modules and
//! lifetimes do not count, nor does a newtype around a type. So what was written for one of them
//! can be read for the other and means what it meant, as far as names can tell.
//!
//! The shape is traced: the type's `Deserialize` is run against a deserializer that has no
//! input, but notes what it is asked for and answers with samples. Every run takes one way through
//! the enums on it, so there are as many as there are variants to see. Types are told apart by
//! [`type_name`] of what their visitor makes, which is how a type that contains itself is found;
//! there the smallest value that ends is made.
//!
//! What it leaves out: a `Deserialize` that takes none of the samples, or asks the input what comes
//! next, has no shape here, and such a type is known by its name alone ([`Shape::ByName`]).

#[cfg(feature = "files")]
mod columns;
mod error;
mod form;
#[cfg(feature = "files")]
mod optional;
mod place;
#[cfg(all(feature = "cli", feature = "state"))]
mod schema;
mod tracer;

use std::any::type_name;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

#[cfg(feature = "files")]
pub(crate) use self::columns::{Columns, Names, columns_of};
#[cfg(feature = "files")]
pub(crate) use self::optional::FieldNames;
#[cfg(all(feature = "cli", feature = "state"))]
pub(crate) use self::schema::{Schema, json};
use self::tracer::Tracer;

/// What is known of how a type is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Shape {
    /// The steps of writing it, as text: `{user: u64, at: Option<i64>}`.
    Traced(String),
    /// The name of the Rust type, where its steps cannot be found out.
    ByName(String),
}

/// What is told of a shape that is a name.
const BY_NAME: &str = ", known by its name alone";

#[cfg(all(feature = "cli", feature = "state"))]
impl Shape {
    /// The shape of which a text was told.
    pub(crate) fn told(text: &str) -> Self {
        match text.strip_suffix(BY_NAME) {
            Some(name) => Shape::ByName(name.to_owned()),
            None => Shape::Traced(text.to_owned()),
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shape::Traced(text) => f.write_str(text),
            Shape::ByName(name) => write!(f, "{name}{BY_NAME}"),
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

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet, HashMap};
    use std::num::NonZeroU32;

    use serde::de::{DeserializeOwned, Deserializer, Error};

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

    #[derive(Deserialize)]
    #[allow(dead_code, reason = "it is only traced")]
    struct Aliased {
        #[serde(alias = "a", alias = "z")]
        x: u64,
        y: Option<Box<Aliased>>,
        #[serde(rename = "mail", alias = "e_mail")]
        text: String,
        kind: AliasedKind,
    }

    #[derive(Deserialize)]
    #[allow(dead_code, reason = "it is only traced")]
    enum AliasedKind {
        Small,
        Large {
            #[serde(alias = "b")]
            size: i8,
            #[serde(alias = "c")]
            unit: Option<u8>,
        },
        Other(u8),
    }

    #[test]
    fn aliases_are_no_fields() {
        let kind = "enum {Small, Large {size: i8, unit: Option<u8>}, Other(u8)}";
        let told = format!("{{x: u64, y: Option<^2>, mail: String, kind: {kind}}}");
        assert_eq!(text::<Aliased>(), told);
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
