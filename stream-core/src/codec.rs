//! How state is written: a tag that names the format, then bincode 2 with its standard settings.

use std::cmp::Ordering;

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

/// How many bytes are compared without an allocation.
const COMPARED_BYTES: usize = 256;

/// Compares two values by how they are written.
pub(crate) fn compare<T: Serialize>(a: &T, b: &T) -> Ordering {
    let config = bincode::config::standard();
    let [mut left, mut right] = [[0; COMPARED_BYTES]; 2];
    let written = bincode::serde::encode_into_slice(a, &mut left, config)
        .and_then(|a| Ok((a, bincode::serde::encode_into_slice(b, &mut right, config)?)));
    match written {
        Ok((a, b)) => left[..a].cmp(&right[..b]),
        Err(_) => encode(a).ok().cmp(&encode(b).ok()),
    }
}

/// What is written behind the tag.
fn body(bytes: &[u8]) -> Result<&[u8], Problem> {
    match bytes.split_first() {
        Some((&FORMAT, body)) => Ok(body),
        _ => Err(unreadable().detail(format!("it is not in format {FORMAT}"))),
    }
}

fn unreadable() -> Problem {
    Problem::new("state cannot be read")
}

/// Reads what [`encode`] has written.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let body = body(bytes)?;
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

/// Reads what [`encode`] has written step by step, for those who know the steps but not the type.
#[cfg(all(feature = "cli", feature = "state"))]
pub(crate) struct Reader<'a> {
    left: &'a [u8],
}

#[cfg(all(feature = "cli", feature = "state"))]
impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Self, Problem> {
        Ok(Reader { left: body(bytes)? })
    }

    /// The next number, character, or piece of bytes.
    pub(crate) fn next<T: bincode::BorrowDecode<'a, ()>>(&mut self) -> Result<T, Problem> {
        let config = bincode::config::standard();
        let read = bincode::borrow_decode_from_slice(self.left, config);
        let (value, bytes) = read.map_err(|error| unreadable().because(error))?;
        self.left = self.left.get(bytes..).unwrap_or_default();
        Ok(value)
    }

    /// Checks that nothing is left over.
    pub(crate) fn end(self) -> Result<(), Problem> {
        match self.left.len() {
            0 => Ok(()),
            left => Err(unreadable().detail(format!("{left} bytes are left over"))),
        }
    }
}

/// A sequence that is written one element after another. [`decode`] reads it as it reads a `Vec`'s
/// [`encode`]: only its length, which is not known before, takes more bytes.
#[derive(Debug, Default)]
pub(crate) struct Sequence {
    bytes: Vec<u8>,
    length: u64,
}

/// What bincode writes in front of a number of eight bytes.
const EIGHT_BYTES: u8 = 253;
/// The format, that, and the length.
const HEAD_BYTES: usize = 2 + size_of::<u64>();

impl Sequence {
    /// Writes one more element, and tells how many bytes it takes. After an error the sequence is of no use.
    pub(crate) fn push<T: Serialize>(&mut self, element: &T) -> Result<usize, Problem> {
        if self.bytes.is_empty() {
            self.bytes.extend([FORMAT, EIGHT_BYTES]);
            self.bytes.resize(HEAD_BYTES, 0);
        }
        self.length += 1;
        let config = bincode::config::standard();
        bincode::serde::encode_into_std_write(element, &mut self.bytes, config).map_err(unwritable)
    }

    /// Writes a pair as one more element: a value, and another sequence, if there is any element in that.
    pub(crate) fn push_with<T: Serialize>(
        &mut self,
        value: &T,
        sequence: Sequence,
    ) -> Result<(), Problem> {
        if let Some(bytes) = sequence.finish() {
            self.push(value)?;
            self.bytes.extend_from_slice(&bytes[1..]); // it has the format already
        }
        Ok(())
    }

    /// The bytes, if there is any element.
    pub(crate) fn finish(mut self) -> Option<Vec<u8>> {
        let length = self.bytes.get_mut(2..HEAD_BYTES)?;
        length.copy_from_slice(&self.length.to_le_bytes());
        Some(self.bytes)
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
    fn a_sequence_is_read_as_a_vector() {
        for length in [1, 250, 251, 70_000] {
            let elements: Vec<_> = (0..length).map(|n: u64| (n, n.to_string())).collect();
            let mut sequence = Sequence::default();
            for element in &elements {
                sequence.push(element).unwrap();
            }
            let bytes = sequence.finish().unwrap();
            assert_eq!(decode::<Vec<(u64, String)>>(&bytes).unwrap(), elements);
        }
        assert_eq!(Sequence::default().finish(), None);
        let mut sequence = Sequence::default();
        sequence.push(&7_u8).unwrap();
        let bytes = [1, 253, 1, 0, 0, 0, 0, 0, 0, 0, 7];
        assert_eq!(sequence.finish().unwrap(), bytes, "it is what it was");
    }

    #[test]
    fn a_sequence_of_sequences_is_read_as_vectors() {
        let mut all = Sequence::default();
        let mut expected = Vec::new();
        for length in [3, 0, 300] {
            let elements: Vec<_> = (0..length).map(|n: u64| n.to_string()).collect();
            let mut sequence = Sequence::default();
            for element in &elements {
                sequence.push(element).unwrap();
            }
            all.push_with(&length, sequence).unwrap();
            expected.extend((length > 0).then_some((length, elements)));
        }
        let bytes = all.finish().unwrap();
        assert_eq!(decode::<Vec<(u64, Vec<String>)>>(&bytes).unwrap(), expected);
    }

    #[test]
    fn values_are_compared_as_they_are_written() {
        let texts = [0, 1, 2, 250, 252, 255, 300, 9_000].map(|length| "x".repeat(length));
        for a in &texts {
            for b in &texts {
                let expected = encode(a).unwrap().cmp(&encode(b).unwrap());
                assert_eq!(compare(a, b), expected, "{} and {}", a.len(), b.len());
            }
        }
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
