//! The reading thread: opens files, decompresses them, and cuts them into pieces of whole rows.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use flate2::read::MultiGzDecoder;

use super::decode::InputFormat;
use super::paths::InputFile;
use crate::error::Problem;
use crate::io::threaded::{Feed, Halt};

/// How much is read at a time, and so about how long a piece is.
const PIECE_BYTES: usize = 128 * 1024;

/// How long a row may be.
const ROW_BYTES_MAX: usize = 16 * 1024 * 1024;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// What the thread hands to the worker.
pub(super) enum Piece {
    /// A file begins.
    Start(Arc<str>),
    /// Whole rows.
    Rows(Vec<u8>),
    /// The file has ended.
    End,
    /// The file cannot be opened, or not be read any further.
    Failed(io::Error),
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

/// Sends the files, one after the other.
pub(super) fn send_files(
    files: &[InputFile],
    format: &impl InputFormat,
    feed: &Feed<Piece>,
) -> Result<(), Halt> {
    for file in files {
        feed.send(Piece::Start(file.shown.clone()))?;
        match open(&file.path) {
            Ok(bytes) => send_rows(&file.shown, bytes, format.cutter(), feed)?,
            Err(error) => return feed.send(Piece::Failed(error)),
        }
    }
    Ok(())
}

fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    let file = File::open(path)?;
    Ok(
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("gz") => Box::new(MultiGzDecoder::new(BufReader::with_capacity(
                PIECE_BYTES,
                file,
            ))),
            Some("zst") => Box::new(zstd::stream::read::Decoder::new(file)?),
            _ => Box::new(file),
        },
    )
}

/// Sends one file, cut only where rows end. What was read before a failure is sent as well.
fn send_rows(
    name: &str,
    mut bytes: Box<dyn Read>,
    mut cutter: impl Cutter,
    feed: &Feed<Piece>,
) -> Result<(), Halt> {
    let mut pending = Vec::with_capacity(PIECE_BYTES);
    let mut first = true;
    loop {
        let seen = pending.len();
        let result = bytes
            .by_ref()
            .take(PIECE_BYTES as u64)
            .read_to_end(&mut pending);
        if first && pending.starts_with(BYTE_ORDER_MARK) {
            pending.drain(..BYTE_ORDER_MARK.len());
        }
        first = false;
        if let Some(end) = cutter.last_end(&pending[seen..]) {
            let cut = seen + end;
            let mut rest = Vec::with_capacity(pending.len() - cut + PIECE_BYTES);
            rest.extend_from_slice(&pending[cut..]);
            pending.truncate(cut);
            feed.send(Piece::Rows(std::mem::replace(&mut pending, rest)))?;
        }
        match result {
            Err(error) => return feed.send(Piece::Failed(error)),
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
    feed.send(Piece::End)
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
