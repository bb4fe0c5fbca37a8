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

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::paths::InputFile;
use super::piece::is_line_end;
use crate::error::Problem;

/// How many bytes of a file a fingerprint holds at either end.
pub(super) const FINGERPRINT_BYTES: usize = 1024;

const RESTORE: &str = "put it back as it was, or start afresh, without the state";

/// Behind a record of a file. The default is the beginning, before all files.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(super) struct FilePosition<F = String> {
    pub(super) file: F,
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
    pub(super) head: u64,
    pub(super) tail: u64,
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
        let passed = before
            .iter()
            .fold(Passed::default(), |passed, file| passed.with(&file.shown));
        match passed == self.passed {
            true => Ok(place),
            false => Err(self.other_files(before, passed)),
        }
    }

    #[cold]
    fn other_files(&self, before: &[InputFile], passed: Passed) -> Problem {
        let (read, found) = (self.passed.files, passed.files);
        let is_new = |file: &&InputFile| self.passed.with(&file.shown) == passed;
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
        let found = Fingerprint {
            head: xxh3_64(&head[..head.len().min(FINGERPRINT_BYTES)]),
            tail: xxh3_64(tail),
        };
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
    /// Another file has been passed.
    pub(super) fn with(self, name: &str) -> Self {
        Passed {
            files: self.files + 1,
            names: self.names.wrapping_add(xxh3_64(name.as_bytes())),
        }
    }
}
