//! The reading thread: opens files, and cuts their content into pieces of whole rows.
//!
//! In the first of them it begins at a position: it goes there without looking for rows, sees that the
//! file is the one that was read before, and sends of what stands before only what the worker needs.

use std::io;
use std::mem;
use std::sync::Arc;

use super::content::Content;
use super::decode::InputFormat;
use super::paths::InputFile;
use super::position::{FINGERPRINT_BYTES, FilePosition};
use crate::error::Problem;
use crate::io::threaded::{Feed, Halt};

/// How much is read at a time, and so about how long a piece is.
pub(super) const PIECE_BYTES: usize = 128 * 1024;

/// How long a row may be.
const ROW_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How much of a file's head is looked at for its first row, which may have empty lines before it.
const HEAD_BYTES_MAX: usize = 2 * ROW_BYTES_MAX;

/// What the thread hands to the worker.
pub(super) enum Piece {
    /// A file begins.
    Start(Arc<str>),
    /// It is read from a position on.
    GoOn(Before),
    /// Whole rows.
    Rows(Vec<u8>),
    /// The file has ended.
    End,
    /// The file cannot be opened, or not be read any further.
    Failed(io::Error),
}

/// A position, and what is known of the file before it.
pub(super) struct Before {
    pub(super) position: FilePosition,
    /// The file's head, in which the first row is whole.
    pub(super) head: Vec<u8>,
    /// The last bytes before the position.
    pub(super) tail: Vec<u8>,
}

/// Finds where rows end, in bytes that come bit by bit.
pub trait Cutter {
    /// Gives the place behind the last row that ends in these bytes.
    fn last_end(&mut self, bytes: &[u8]) -> Option<usize>;

    /// Whether a row that ends with the file here would not be whole.
    fn is_inside_quotes(&self) -> bool {
        false
    }
}

/// Sends the files, one after the other, the first of them from a position on.
pub(super) fn send_files(
    files: &[InputFile],
    mut from: FilePosition,
    format: &impl InputFormat,
    feed: &Feed<Piece>,
) -> Result<(), Halt> {
    for file in files {
        feed.send(Piece::Start(file.shown.clone()))?;
        match send_file(file, mem::take(&mut from), format, feed) {
            Err(Failure::Reading(error)) => return feed.send(Piece::Failed(error)),
            Err(Failure::Halt(halt)) => return Err(halt),
            Ok(()) => {}
        }
    }
    Ok(())
}

/// Why a file is not sent to its end.
enum Failure {
    Reading(io::Error),
    Halt(Halt),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Reading(error)
    }
}

impl From<Halt> for Failure {
    fn from(halt: Halt) -> Self {
        Failure::Halt(halt)
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Failure::Halt(problem.into())
    }
}

fn send_file(
    file: &InputFile,
    from: FilePosition,
    format: &impl InputFormat,
    feed: &Feed<Piece>,
) -> Result<(), Failure> {
    let (mut bytes, mut pending) = Content::open(&file.path)?;
    if from.offset > 0 {
        let before = go_to(from, &file.shown, &mut bytes, &mut pending, format.cutter())?;
        feed.send(Piece::GoOn(before))?;
    }
    send_rows(&file.shown, bytes, pending, format.cutter(), feed)
}

/// Goes to a position in a file of which only `pending` has been read, leaves there what stands
/// behind the position, and sees that the file is the one that was read before.
fn go_to(
    position: FilePosition,
    file: &str,
    bytes: &mut Content,
    pending: &mut Vec<u8>,
    cutter: impl Cutter,
) -> Result<Before, Failure> {
    let behind = pending.split_off(pending.len().min(position.offset as usize));
    let mut head = mem::replace(pending, behind);
    let tail = match read_before(position.offset, bytes, &mut head, cutter) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            return Err(position.shrunk(file).into());
        }
        tail => tail?,
    };
    position.check(file, &head, &tail)?;
    if pending.is_empty() {
        bytes.append(1, pending)?;
    }
    position.check_row(file, &tail, pending)?;
    Ok(Before {
        position,
        head,
        tail,
    })
}

/// Completes the head of a file, goes to the offset, and gives the bytes before it. It is an error if
/// the file ends before.
fn read_before(
    offset: u64,
    bytes: &mut Content,
    head: &mut Vec<u8>,
    mut cutter: impl Cutter,
) -> io::Result<Vec<u8>> {
    let (mut seen, mut has_row) = (0, false);
    let mut left = offset - head.len() as u64;
    while left > 0 && !(has_row && seen >= FINGERPRINT_BYTES) && seen < HEAD_BYTES_MAX {
        let wanted = left.min(FINGERPRINT_BYTES as u64);
        left -= bytes.append_all(wanted as usize, head)?;
        let end = cutter.last_end(&head[seen..]);
        has_row |= end.is_some_and(|end| !head[..seen + end].trim_ascii().is_empty());
        seen = head.len();
    }
    let skipped = left.saturating_sub(FINGERPRINT_BYTES as u64);
    bytes.skip(skipped)?;
    let mut tail = head[head.len().saturating_sub(FINGERPRINT_BYTES)..].to_owned();
    bytes.append_all((left - skipped) as usize, &mut tail)?;
    tail.drain(..tail.len().saturating_sub(FINGERPRINT_BYTES));
    Ok(tail)
}

/// Sends one file, cut only where rows end. What was read before a failure is sent as well.
fn send_rows(
    name: &str,
    mut bytes: Content,
    mut pending: Vec<u8>,
    mut cutter: impl Cutter,
    feed: &Feed<Piece>,
) -> Result<(), Failure> {
    let mut seen = 0;
    loop {
        let result = bytes.append(PIECE_BYTES, &mut pending);
        if let Some(end) = cutter.last_end(&pending[seen..]) {
            let cut = seen + end;
            let mut rest = Vec::with_capacity(pending.len() - cut + PIECE_BYTES);
            rest.extend_from_slice(&pending[cut..]);
            pending.truncate(cut);
            feed.send(Piece::Rows(mem::replace(&mut pending, rest)))?;
        }
        seen = pending.len();
        match result {
            Err(error) => return Err(error.into()),
            Ok(0) => break,
            Ok(_) if pending.len() > ROW_BYTES_MAX => return Err(too_long(name).into()),
            Ok(_) => {}
        }
    }
    if cutter.is_inside_quotes() {
        return Err(never_closed(name).into());
    }
    if !pending.is_empty() {
        feed.send(Piece::Rows(pending))?;
    }
    Ok(feed.send(Piece::End)?)
}

fn too_long(name: &str) -> Problem {
    Problem::new(format!(
        "`{name}` has a row of more than {} MiB",
        ROW_BYTES_MAX >> 20
    ))
    .hint("a quote that is never closed makes the rest of a CSV file one row")
}

fn never_closed(name: &str) -> Problem {
    Problem::new(format!("`{name}` ends inside a quoted field"))
        .hint("close the quote, or see whether the file has been cut short")
}
