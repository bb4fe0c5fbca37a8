//! How a stored object looks: a head that says what it is, then its body.
//!
//! ```text
//! 0        8        9      10      11      12         20          28
//! | magic  | format | kind | codec | 0     | length   | checksum  | body …
//! ```
//!
//! Numbers are little-endian; the checksum is the XXH3 of the body, 64 bits. The format is that of the
//! head and of what the kinds mean: a later version of this library reads all earlier ones.

use xxhash_rust::xxh3::xxh3_64;

use crate::error::Problem;

const MAGIC: [u8; 8] = *b"STRMOBJ\n";
const FORMAT: u8 = 1;
/// How long the head is.
pub(super) const HEAD: usize = 28;

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An entry of the log; its body is JSON.
    Entry,
    /// Parts of the state of operators, one after another; each in bincode.
    State,
}

impl Kind {
    /// Kind, codec (1 is bincode 2 with its standard settings, 2 is JSON), and nothing yet.
    const fn tags(self) -> [u8; 3] {
        match self {
            Kind::Entry => [1, 2, 0],
            Kind::State => [2, 1, 0],
        }
    }

    const fn told(self) -> &'static str {
        match self {
            Kind::Entry => "an entry of the log",
            Kind::State => "a piece of state",
        }
    }
}

/// The checksum of bytes.
pub(super) fn checksum(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}

/// An object with a body.
pub(super) fn seal(kind: Kind, body: &[u8]) -> Vec<u8> {
    let mut object = Vec::with_capacity(HEAD + body.len());
    object.extend_from_slice(&MAGIC);
    object.push(FORMAT);
    object.extend_from_slice(&kind.tags());
    object.extend_from_slice(&(body.len() as u64).to_le_bytes());
    object.extend_from_slice(&checksum(body).to_le_bytes());
    object.extend_from_slice(body);
    object
}

/// The body of an object.
pub(super) fn open<'a>(name: &str, kind: Kind, object: &'a [u8]) -> Result<&'a [u8], Problem> {
    let Some((head, body)) = object.split_at_checked(HEAD) else {
        return Err(damaged(name, "it is shorter than its head"));
    };
    if head[..8] != MAGIC {
        return Err(damaged(
            name,
            "it does not begin as one of this library does",
        ));
    }
    let number = |at: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&head[at..at + 8]);
        u64::from_le_bytes(bytes)
    };
    if head[8] != FORMAT {
        let problem = Problem::new(format!("`{name}` has format {}", head[8]));
        return Err(problem
            .detail(format!("this version knows format {FORMAT}"))
            .hint("run it with the version that has written it, or with a later one"));
    }
    if head[9..12] != kind.tags() {
        return Err(damaged(name, &format!("it is not {}", kind.told())));
    }
    if number(12) != body.len() as u64 {
        let detail = format!("it has {} bytes of {}", body.len(), number(12));
        return Err(damaged(name, &detail));
    }
    if number(20) != checksum(body) {
        return Err(damaged(name, "its checksum is another"));
    }
    Ok(body)
}

/// Says that an object is not what it was.
pub(super) fn damaged(name: &str, detail: &str) -> Problem {
    Problem::new(format!("`{name}` is damaged"))
        .detail(detail)
        .hint("restore it, or go on from an earlier checkpoint: `state list` tells which there are")
}

/// Offers an earlier checkpoint in the place of what is damaged, if there is one.
pub(super) fn or_earlier(problem: Problem, earlier: Option<u64>) -> Problem {
    problem.hint(match earlier {
        Some(number) => format!(
            "restore it, or go on from an earlier checkpoint: `run --from {number}`; what came behind \
             that is done again"
        ),
        None => "restore it: there is not an earlier checkpoint to go on from".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_looks_as_it_always_has() {
        let object = seal(Kind::Entry, b"{}");
        let head = b"STRMOBJ\n\x01\x01\x02\x00\x02\x00\x00\x00\x00\x00\x00\x00";
        assert_eq!(object[..20], *head);
        assert_eq!(object[20..28], checksum(b"{}").to_le_bytes());
        assert_eq!(object[28..], *b"{}");
    }

    #[test]
    fn damage_of_any_byte_is_told_by_the_object_s_name() {
        let object = seal(Kind::State, b"some state");
        assert_eq!(open("a", Kind::State, &object).unwrap(), b"some state");
        for (at, flip) in (0..object.len()).flat_map(|at| [(at, 1), (at, 0xFF)]) {
            let mut damaged = object.clone();
            damaged[at] ^= flip;
            let told = open("state/a", Kind::State, &damaged)
                .unwrap_err()
                .to_string();
            assert!(told.contains("`state/a`"), "{told}");
        }
        for length in 0..object.len() {
            assert!(open("a", Kind::State, &object[..length]).is_err());
        }
        let zeroed = vec![0; object.len()];
        assert!(open("a", Kind::State, &zeroed).is_err());
        assert!(open("a", Kind::Entry, &object).is_err());
    }
}
