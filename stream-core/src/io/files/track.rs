//! Where a reader is in its files, kept piece by piece: a position costs something only when somebody
//! asks for it.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use super::input::Before;
use super::position::{FINGERPRINT_BYTES, FilePosition, Fingerprint, Passed};

/// What a position is made of.
#[derive(Default)]
pub(super) struct Track {
    file: Arc<str>,
    /// The files before this one.
    passed: Passed,
    /// How many rows of the file have been read.
    pub(super) rows: u64,
    /// Where in the file the piece begins that is read.
    offset: u64,
    /// The file's first bytes up to the end of the piece, and its last ones before the piece, as many
    /// of both as a fingerprint holds.
    head: Vec<u8>,
    tail: Vec<u8>,
    /// The hash of the head once it is full.
    head_hash: OnceCell<u64>,
}

impl Track {
    /// The next file begins.
    pub(super) fn start(&mut self, file: Arc<str>) {
        let passed = match self.file.is_empty() {
            true => self.passed,
            false => self.passed.with(&self.file),
        };
        *self = Track {
            file,
            passed,
            ..Track::default()
        };
    }

    /// The file is read from a position on.
    pub(super) fn go_on(&mut self, before: &Before) {
        let Before {
            position,
            head,
            tail,
        } = before;
        self.passed = position.passed;
        self.rows = position.rows;
        self.offset = position.offset;
        self.head = head[..head.len().min(FINGERPRINT_BYTES)].to_owned();
        self.tail.clone_from(tail);
    }

    /// A piece follows another one.
    pub(super) fn next_piece(&mut self, piece: &[u8], next: &[u8]) {
        self.offset += piece.len() as u64;
        self.tail = self.tail(piece).into_owned();
        let missing = FINGERPRINT_BYTES - self.head.len();
        self.head.extend(next.iter().take(missing));
    }

    /// The position at a place of the piece.
    pub(super) fn position(&self, piece: &[u8], place: usize, lines: u64) -> FilePosition<&str> {
        let offset = self.offset + place as u64;
        FilePosition {
            file: &self.file,
            passed: self.passed,
            offset,
            rows: self.rows,
            lines,
            fingerprint: Fingerprint {
                head: self.head_hash(offset),
                tail: xxh3_64(&self.tail(&piece[..place])),
            },
        }
    }

    fn head_hash(&self, offset: u64) -> u64 {
        match offset < FINGERPRINT_BYTES as u64 {
            true => xxh3_64(&self.head[..offset as usize]),
            false => *self.head_hash.get_or_init(|| xxh3_64(&self.head)),
        }
    }

    pub(super) fn file(&self) -> &str {
        &self.file
    }

    /// The last bytes before the end of these, with which the piece begins.
    fn tail<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        match bytes.last_chunk::<FINGERPRINT_BYTES>() {
            Some(tail) => Cow::Borrowed(tail),
            None => {
                let missing = FINGERPRINT_BYTES - bytes.len();
                let left_out = self.tail.len().saturating_sub(missing);
                Cow::Owned([&self.tail[left_out..], bytes].concat())
            }
        }
    }
}
