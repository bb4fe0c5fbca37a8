//! Values in JSON.

use std::fmt;
use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use super::{Decode, DecodeError, RecordRef};

/// Values in JSON.
pub struct Json<T>(pub(super) PhantomData<fn() -> T>);

impl<T> Clone for Json<T> {
    fn clone(&self) -> Self {
        Json(PhantomData)
    }
}

impl<T> fmt::Debug for Json<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Json")
    }
}

impl<T: DeserializeOwned + 'static> Decode for Json<T> {
    type Record = T;

    #[inline]
    fn decode(&mut self, record: &RecordRef<'_>) -> Result<Option<T>, DecodeError> {
        decode(record.expect_value()?).map(Some)
    }
}

#[inline]
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    serde_json::from_slice(bytes).map_err(|error| explain::<T>(bytes, &error))
}

/// Decodes once more to find the field that is to blame.
#[cold]
fn explain<T: DeserializeOwned>(bytes: &[u8], error: &serde_json::Error) -> DecodeError {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let found = serde_path_to_error::deserialize::<_, T>(&mut json).err();
    let path = found
        .map(|error| error.path().to_string())
        .filter(|path| path != ".");
    let told = DecodeError::new(format!("not the JSON that is expected: {error}"));
    match path {
        Some(path) => told.field(path),
        None => told,
    }
}
