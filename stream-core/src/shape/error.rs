//! Why a type could not be made a value of.

use std::fmt;

use serde::de;

/// What a type's code has said, where that matters.
#[derive(Debug)]
pub(super) struct Error {
    told: String,
    /// The own name of the field that was there twice.
    pub(super) doubled: Option<&'static str>,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.told)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(told: T) -> Self {
        Error {
            told: told.to_string(),
            doubled: None,
        }
    }

    fn duplicate_field(field: &'static str) -> Self {
        Error {
            told: format!("the field `{field}` is there twice"),
            doubled: Some(field),
        }
    }
}
