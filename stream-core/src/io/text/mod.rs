//! Records as text, for files and stdout.
//!
//! ```text
//! worker 0: encode into its own buffer ──┐ whole rows
//! worker 1: encode into its own buffer ──┴──► lock ──► target: header once, then rows
//! ```
//!
//! Each worker encodes without a lock, and takes it once for a buffer of whole rows, so that rows
//! are never torn and the lock is held for a copy.

mod csv;
mod flat;
mod json;
mod table;

use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Mutex};

use serde::Serialize;

pub(super) use table::Table;

use super::lock;
use super::sink::{Slot, Staged, Writer};
use crate::error::Problem;

/// How much a worker encodes before it hands its rows over, if nobody asks for them sooner.
const BUFFER_BYTES: usize = 64 * 1024;

/// A format that records are written in.
pub trait OutputFormat: Send + Sync + 'static {
    /// The format's name, in one word.
    const NAME: &'static str;

    /// How the names of files of this format end.
    const EXTENSION: &'static str;

    /// Encodes a worker's records.
    type Encoder: Encoder;
}

/// Encodes records as rows.
pub trait Encoder: Default + 'static {
    /// Appends one whole row a record.
    fn encode<T: Serialize>(&mut self, records: &[T], rows: &mut Vec<u8>) -> Result<(), Problem>;

    /// What stands before the first row; known from the first record on.
    fn header(&self) -> &[u8] {
        &[]
    }

    /// What stands before the first row, as far as the type tells.
    fn header_of_type(&self) -> &[u8] {
        &[]
    }
}

/// What can be a row of a file of a format.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a row of such a file",
    label = "a row must be `Serialize`, and for CSV `Deserialize` as well",
    note = "the header of a file without rows is told by the type, as it would be read: derive both"
)]
pub trait FileRow<F: OutputFormat>: Serialize {
    /// Tells the encoder the type, before there is a record.
    #[doc(hidden)]
    fn tell(encoder: &mut F::Encoder);
}

/// Where the rows of all workers go.
pub(super) trait Target: Send {
    /// Takes whole rows of a slot.
    fn put(&mut self, slot: usize, header: &[u8], rows: &[u8]) -> io::Result<()>;

    /// Takes the header that stands alone if there are no rows.
    fn expect(&mut self, _header: &[u8]) {}

    /// Shows what there is to whoever reads along.
    fn flush(&mut self) -> io::Result<()>;

    /// Brings what a slot has put since the last checkpoint to where it can be committed.
    fn prepare(&mut self, _slot: usize, _checkpoint: u64) -> io::Result<Staged> {
        self.flush()?;
        Ok(Staged::nothing())
    }

    /// Brings the rest out, where that waits for the end of a run.
    fn finish(&mut self) -> io::Result<()> {
        self.flush()
    }
}

/// A target that is written to in the order of coming, behind one header.
pub(super) struct Sequence<W> {
    has_header: bool,
    out: W,
}

impl<W> Sequence<W> {
    pub(super) fn new(out: W) -> Self {
        Sequence {
            has_header: false,
            out,
        }
    }
}

impl<W: Write + Send> Target for Sequence<W> {
    fn put(&mut self, _: usize, header: &[u8], rows: &[u8]) -> io::Result<()> {
        if !mem::replace(&mut self.has_header, true) {
            self.out.write_all(header)?;
        }
        self.out.write_all(rows)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// One worker's writer.
pub(super) struct TextWriter<E> {
    slot: usize,
    encoder: E,
    rows: Vec<u8>,
    target: Arc<Mutex<dyn Target>>,
    /// What the target is called in messages.
    name: String,
}

impl<E: Encoder> TextWriter<E> {
    pub(super) fn new(slot: Slot, target: Arc<Mutex<dyn Target>>, name: String) -> Self {
        TextWriter {
            slot: slot.index,
            encoder: E::default(),
            rows: Vec::new(),
            target,
            name,
        }
    }

    /// The same for a file of a format, whose header is there even if there are no rows.
    pub(super) fn of_rows<T: FileRow<F>, F: OutputFormat<Encoder = E>>(
        slot: Slot,
        target: Arc<Mutex<dyn Target>>,
        name: String,
    ) -> Self {
        let mut writer = Self::new(slot, target, name);
        T::tell(&mut writer.encoder);
        lock(&writer.target).expect(writer.encoder.header_of_type());
        writer
    }

    fn hand_over(&mut self, flush: bool) -> Result<(), Problem> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let mut target = lock(&self.target);
        let result = target.put(self.slot, self.encoder.header(), &self.rows);
        let result = result.and_then(|()| if flush { target.flush() } else { Ok(()) });
        drop(target);
        self.rows.clear();
        result.map_err(|error| cannot_write(&self.name, error))
    }
}

impl<T: Serialize, E: Encoder> Writer<T> for TextWriter<E> {
    fn write(&mut self, records: &mut Vec<T>) -> Result<(), Problem> {
        let whole = self.rows.len();
        let encoded = self.encoder.encode(records, &mut self.rows);
        records.clear();
        if let Err(problem) = encoded {
            self.rows.truncate(whole); // no half row for a later flush
            return Err(problem);
        }
        if self.rows.len() >= BUFFER_BYTES {
            self.hand_over(false)
        } else {
            Ok(())
        }
    }

    fn flush(&mut self) -> Result<(), Problem> {
        self.hand_over(true)
    }

    fn prepare(&mut self, checkpoint: u64) -> Result<Staged, Problem> {
        self.hand_over(false)?;
        let staged = lock(&self.target).prepare(self.slot, checkpoint);
        staged.map_err(|error| cannot_write(&self.name, error))
    }
}

/// Explains why nothing more can be written there.
pub(super) fn cannot_write(name: &str, error: io::Error) -> Problem {
    match error.kind() {
        io::ErrorKind::BrokenPipe => {
            Problem::closed(format!("whoever read `{name}` has closed it")).because(error)
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            Problem::new(format!("cannot write `{name}`"))
                .because(error)
                .hint("make room there, or write elsewhere")
        }
        _ => Problem::new(format!("cannot write `{name}`")).because(error),
    }
}
