//! A position in files: behind the last record that was read, good or bad.
//!
//! | | what it is |
//! |---|---|
//! | file | the file's name as it is shown, and a digest of the names of the files that were read before it |
//! | offset | where the next row begins, in bytes of the file's content: decompressed, without a byte order mark at its head |
//! | rows, lines | how many of them stand before that in the file, for messages |
//! | fingerprint | hashes of the [`FINGERPRINT_BYTES`] at the content's head and of those before the offset, or of the fewer that there are |
//!
//! So going on parses nothing again, and a file in the place of the one that was read is found out.
//! What is not found out is a change of the same length between the two parts that are hashed: to
//! see that, all that was read would have to be read again.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::input::Before;
use super::paths::InputFile;
use super::piece::is_line_end;
use crate::error::Problem;

/// How many bytes of a file a fingerprint holds at either end.
pub(super) const FINGERPRINT_BYTES: usize = 1024;

const RESTORE: &str = "put it back as it was, or start afresh, without the state";

/// Behind a record of a file. The default is the beginning, before all files.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(super) struct FilePosition {
    pub(super) file: String,
    pub(super) passed: Passed,
    pub(super) offset: u64,
    pub(super) rows: u64,
    pub(super) lines: u64,
    pub(super) fingerprint: Fingerprint,
}

/// The files that stand before another one: how many, and the sum of their names' hashes. With a
/// sum, the name that is too many can be told.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(super) struct Passed {
    files: u64,
    names: u64,
}

/// What was read of a file, as far as it is hashed.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(super) struct Fingerprint {
    head: u64,
    tail: u64,
}

/// What a position is made of, kept as a partition is read.
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
}

impl Track {
    /// The next file begins.
    pub(super) fn start(&mut self, file: Arc<str>) {
        let mut passed = self.passed;
        if !self.file.is_empty() {
            passed.add(&self.file);
        }
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
        self.head = at_most(head, FINGERPRINT_BYTES).to_owned();
        self.tail.clone_from(tail);
    }

    /// A piece follows another one.
    pub(super) fn next_piece(&mut self, piece: &[u8], next: &[u8]) {
        self.offset += piece.len() as u64;
        self.tail = self.tail(piece).into_owned();
        let missing = FINGERPRINT_BYTES - self.head.len();
        self.head.extend_from_slice(at_most(next, missing));
    }

    /// The position at a place of the piece.
    pub(super) fn position(&self, piece: &[u8], place: usize, lines: u64) -> FilePosition {
        let offset = self.offset + place as u64;
        let head = at_most(&self.head, offset as usize);
        FilePosition {
            file: self.file.to_string(),
            passed: self.passed,
            offset,
            rows: self.rows,
            lines,
            fingerprint: Fingerprint::of(head, &self.tail(&piece[..place])),
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

/// The first of these bytes.
fn at_most(bytes: &[u8], count: usize) -> &[u8] {
    &bytes[..bytes.len().min(count)]
}

impl FilePosition {
    /// Finds the file among those of the partition.
    ///
    /// # Errors
    /// When it is not there any more, or others stand before it than those that were read.
    pub(super) fn find(&self, files: &[InputFile]) -> Result<usize, Problem> {
        if self.offset == 0 {
            return Ok(0);
        }
        let name = &self.file;
        let Some(place) = files.iter().position(|file| *file.shown == **name) else {
            let detail = "it is not among the files any more";
            return Err(self.cannot_go_on().detail(detail).hint(RESTORE));
        };
        let before = &files[..place];
        let mut passed = Passed::default();
        before.iter().for_each(|file| passed.add(&file.shown));
        match passed == self.passed {
            true => Ok(place),
            false => Err(self.other_files(before)),
        }
    }

    #[cold]
    fn other_files(&self, before: &[InputFile]) -> Problem {
        let (read, found) = (self.passed.files, before.len() as u64);
        let is_new = |file: &&InputFile| {
            let mut passed = self.passed;
            passed.add(&file.shown);
            let mut all = Passed::default();
            before.iter().for_each(|file| all.add(&file.shown));
            passed == all
        };
        match before.iter().find(is_new) {
            Some(new) => self
                .cannot_go_on()
                .detail(format!("`{}` stands before it and was not read", new.shown))
                .hint(
                    "give that file a name behind those that were read, or start afresh, without \
                     the state",
                ),
            None => self
                .cannot_go_on()
                .detail(format!(
                    "the files before it are not those that were read: there were {read}, there \
                     are {found}"
                ))
                .hint(
                    "put back what is gone, give what is new a name behind those that were read, \
                     or start afresh, without the state",
                ),
        }
    }

    fn cannot_go_on(&self) -> Problem {
        let (file, rows) = (&self.file, self.rows);
        Problem::new(format!("cannot go on behind row {rows} of `{file}`"))
    }

    /// Holds the file's first bytes, and those before the offset, against what was read.
    ///
    /// # Errors
    /// When they are others.
    pub(super) fn check(&self, file: &str, head: &[u8], tail: &[u8]) -> Result<(), Problem> {
        let found = Fingerprint::of(at_most(head, FINGERPRINT_BYTES), tail);
        let which = match found {
            found if found == self.fingerprint => return Ok(()),
            found if found.head != self.fingerprint.head => "its first bytes".to_owned(),
            _ => format!("the bytes before byte {}", self.offset),
        };
        Err(Problem::new(format!("`{file}` was replaced"))
            .detail(format!("{which} are not those that were read"))
            .hint(
                "put it back as it was and give the new file another name, or start afresh, \
                 without the state",
            ))
    }

    /// The file ends before the offset.
    pub(super) fn shrunk(&self, file: &str) -> Problem {
        Problem::new(format!("`{file}` has shrunk"))
            .detail(format!(
                "{} bytes of its content had been read, in {} rows, and now it holds fewer",
                self.offset, self.rows
            ))
            .hint(RESTORE)
    }

    /// Sees that what follows does not belong to the last row that was read.
    ///
    /// # Errors
    /// When that row had no line end, and has been written on.
    pub(super) fn check_row(&self, file: &str, tail: &[u8], rest: &[u8]) -> Result<(), Problem> {
        let ends = |byte: Option<&u8>| byte.is_none_or(|byte| is_line_end(*byte));
        if ends(tail.last()) || ends(rest.first()) {
            return Ok(());
        }
        let what = format!("`{file}` has grown within row {}", self.rows);
        Err(Problem::new(what)
            .detail("the row was read without a line end, and goes on now")
            .hint("end the row where it had ended, or start afresh, without the state"))
    }
}

impl Passed {
    pub(super) fn add(&mut self, file: &str) {
        self.files += 1;
        self.names = self.names.wrapping_add(xxh3_64(file.as_bytes()));
    }
}

impl Fingerprint {
    pub(super) fn of(head: &[u8], tail: &[u8]) -> Self {
        Fingerprint {
            head: xxh3_64(head),
            tail: xxh3_64(tail),
        }
    }
}
