//! How state is written: a tag that names the format, then bincode 2 with its standard settings.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Problem;

/// The format in use; older ones stay readable when it changes.
const FORMAT: u8 = 1;

/// What a position in a source fits in: one may be written for each record.
const SMALL_BYTES: usize = 64;

/// Writes a value of ours or of a user's key or state.
pub(crate) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Problem> {
    let config = bincode::config::standard();
    let mut bytes = Vec::with_capacity(SMALL_BYTES);
    bytes.push(FORMAT);
    bincode::serde::encode_into_std_write(value, &mut bytes, config).map_err(unwritable)?;
    Ok(bytes)
}

/// Reads what [`encode`] has written.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let unreadable = || Problem::new("state cannot be read");
    let Some((&FORMAT, body)) = bytes.split_first() else {
        return Err(unreadable().detail(format!("it is not in format {FORMAT}")));
    };
    let config = bincode::config::standard();
    match bincode::serde::decode_from_slice(body, config) {
        Ok((value, read)) if read == body.len() => Ok(value),
        Ok((_, read)) => {
            Err(unreadable().detail(format!("{} bytes are left over", body.len() - read)))
        }
        Err(error) => Err(unreadable()
            .because(error)
            .hint("the type of a key or a state has changed since it was written")),
    }
}

fn unwritable(error: bincode::error::EncodeError) -> Problem {
    Problem::new("state cannot be written").because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_what_it_was() {
        let value = ("ab".to_owned(), Some(300_u64), vec![-1_i64]);
        let bytes = [1, 2, b'a', b'b', 1, 251, 44, 1, 1, 1];
        assert_eq!(encode(&value).unwrap(), bytes);
        assert_eq!(
            decode::<(String, Option<u64>, Vec<i64>)>(&bytes).unwrap(),
            value
        );
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        for bytes in [&[][..], &[9, 1], &[1, 251], &[1, 5, 5]] {
            let problem = decode::<u64>(bytes).unwrap_err();
            assert_eq!(problem.what(), "state cannot be read");
            assert!(problem.detail_text().is_some());
        }
    }
}
