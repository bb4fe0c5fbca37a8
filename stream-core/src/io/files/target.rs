//! What a sink of files writes to: a file a slot and checkpoint in a folder, or one for all.
//!
//! | | at a checkpoint | at its commit |
//! |---|---|---|
//! | folder | each slot completes its hidden file, and begins another one | the files get their names |
//! | file | the hidden file is complete once the last slot has come; rows from behind wait until then | it gets its name in the end |

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};

use super::disk::{self, Written};
use super::staged::{Hidden, Packer, folder_of};
use crate::codec;
use crate::error::Problem;
use crate::io::lock;
use crate::io::sink::{Commit, Slot, Staged};
use crate::io::text::Target;

/// What is kept with a checkpoint of a hidden file that is complete.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Complete {
    /// The name of the hidden file in its folder.
    hidden: String,
    /// The name that it gets.
    name: String,
    /// How many bytes of it belong to the checkpoint.
    bytes: u64,
}

impl Complete {
    /// What the slots have staged for a checkpoint, in their order.
    pub(super) fn of(commit: &Commit) -> Result<Vec<Complete>, Problem> {
        let staged = commit.staged.iter().filter(|bytes| !bytes.is_empty());
        staged.map(|bytes| codec::decode(bytes)).collect()
    }

    /// Gives the file its name in a folder. Tells whether it was still to be done.
    pub(super) fn publish(&self, folder: &Path) -> io::Result<bool> {
        match disk::rename(&folder.join(&self.hidden), &folder.join(&self.name)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The file, hidden or under its name, if it is as the checkpoint left it. Where the job goes back,
    /// later rows may stand behind those that belong to it.
    pub(super) fn find(&self, folder: &Path, goes_back: bool) -> Option<PathBuf> {
        let bytes = |path: &Path| fs::metadata(path).map(|metadata| metadata.len());
        let (hidden, name) = (folder.join(&self.hidden), folder.join(&self.name));
        if bytes(&hidden).is_ok_and(|bytes| bytes >= self.bytes) {
            return Some(hidden); // what is behind them was written after the checkpoint
        }
        let is_it = |bytes| bytes == self.bytes || (goes_back && bytes > self.bytes);
        bytes(&name).is_ok_and(is_it).then_some(name)
    }

    /// How many bytes are to be found.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn hidden(&self) -> &str {
        &self.hidden
    }
}

impl fmt::Display for Complete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Complete {
            hidden,
            name,
            bytes,
        } = self;
        write!(f, "{bytes} bytes of {name}, written as {hidden}")
    }
}

/// The name of a file in its folder.
fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().display().to_string()
}

/// Hidden files that are complete and that nobody has committed yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Uncommitted(Arc<Mutex<Vec<PathBuf>>>);

impl Uncommitted {
    fn add(&self, path: &Path) {
        lock(&self.0).push(path.to_owned());
    }

    pub(super) fn forget(&self) {
        lock(&self.0).clear();
    }

    pub(super) fn remove(&self) {
        for path in mem::take(&mut *lock(&self.0)) {
            disk::remove(&path).unwrap_or_default(); // hidden, so it harms nobody
        }
    }
}

/// What is staged of a hidden file that is complete: once the disk has its content and its name.
fn staged(file: Written, hidden: &Path, complete: Complete) -> Staged {
    let folder = folder_of(hidden).to_owned();
    Staged::by(move || {
        let lost = |error| {
            Problem::new("a file cannot be brought to the disk")
                .detail(format!("`{}`: {error}", folder.display()))
                .hint("look whether the disk is full or damaged; the next run goes on from the last checkpoint")
        };
        file.sync().map_err(lost)?;
        disk::sync_folder(&folder).map_err(lost)?;
        codec::encode(&complete)
    })
}

/// A header, and whether it has been written.
#[derive(Default)]
struct Header {
    /// What stands alone if there are no rows.
    expected: Vec<u8>,
    is_written: bool,
}

impl Header {
    /// The header, if it is still to be written.
    fn take<'a>(&'a mut self, header: &'a [u8]) -> Option<&'a [u8]> {
        (!mem::replace(&mut self.is_written, true)).then_some(header)
    }
}

/// The file of one slot in a folder.
pub(super) struct Part {
    slot: Slot,
    /// Its name in a job that keeps no state; else it has a number of its own at each checkpoint.
    path: PathBuf,
    keeps_state: bool,
    file: Option<(Hidden, Packer)>,
    header: Header,
    uncommitted: Uncommitted,
}

impl Part {
    pub(super) fn create(
        slot: Slot,
        path: PathBuf,
        keeps_state: bool,
        uncommitted: Uncommitted,
    ) -> io::Result<Self> {
        let mut part = Part {
            slot,
            path,
            keeps_state,
            file: None,
            header: Header::default(),
            uncommitted,
        };
        part.file()?; // what is wrong with the folder is told at once
        Ok(part)
    }

    fn file(&mut self) -> io::Result<&mut Packer> {
        if self.file.is_none() {
            let (hidden, file) = Hidden::create(&self.path, self.keeps_state)?;
            self.header.is_written = false;
            self.file = Some((hidden, Packer::new(file, &self.path)?));
        }
        match &mut self.file {
            Some((_, file)) => Ok(file),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// The name of its file for a checkpoint; in the order of names they are in that of checkpoints.
    fn name(&self, checkpoint: u64) -> String {
        let name = name_of(&self.path);
        let numbered = format!("part-{checkpoint:06}-{}", self.slot.index);
        match self.keeps_state {
            true => name.replacen(&format!("part-{}", self.slot.index), &numbered, 1),
            false => name,
        }
    }
}

impl Target for Part {
    fn put(&mut self, _: usize, header: &[u8], rows: &[u8]) -> io::Result<()> {
        self.file()?;
        let Some((_, file)) = &mut self.file else {
            return Ok(());
        };
        if let Some(header) = self.header.take(header) {
            file.write_all(header)?;
        }
        file.write_all(rows)
    }

    fn expect(&mut self, header: &[u8]) {
        self.header.expected = header.to_owned();
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn prepare(&mut self, slot: usize, checkpoint: u64) -> io::Result<Staged> {
        if !self.header.is_written {
            if self.keeps_state {
                return Ok(Staged::nothing()); // a checkpoint without rows needs no file
            }
            let expected = mem::take(&mut self.header.expected);
            self.put(slot, &expected, &[])?;
        }
        let Some((mut hidden, file)) = self.file.take() else {
            return Ok(Staged::nothing());
        };
        let file = file.finish()?;
        hidden.keep();
        self.uncommitted.add(hidden.path());
        let complete = Complete {
            hidden: name_of(hidden.path()),
            name: self.name(checkpoint),
            bytes: file.bytes()?,
        };
        Ok(staged(file, hidden.path(), complete))
    }
}

/// One file for all slots.
pub(super) struct Whole {
    path: PathBuf,
    hidden: Hidden,
    /// Kept open from one checkpoint to the next.
    file: Written,
    packer: Option<Packer>,
    header: Header,
    /// By slot: the last checkpoint that it has prepared.
    prepared: Vec<u64>,
    /// The last checkpoint that all have.
    sealed: u64,
    /// By the checkpoint that they stand behind: rows that wait until all have prepared it.
    behind: BTreeMap<u64, Vec<u8>>,
}

impl Whole {
    /// A file for so many slots, which begins with the first bytes of another one.
    pub(super) fn create(
        path: PathBuf,
        slots: usize,
        begin: Option<&(PathBuf, u64)>,
        keeps_state: bool,
    ) -> io::Result<Self> {
        let (mut hidden, mut file) = Hidden::create(&path, keeps_state)?;
        if keeps_state {
            hidden.keep(); // the next run begins with it
        }
        let mut header = Header::default();
        if let Some((other, bytes)) = begin {
            file.append(other, *bytes)?;
            header.is_written = *bytes > 0;
        }
        Ok(Whole {
            path,
            hidden,
            file,
            packer: None,
            header,
            prepared: vec![0; slots],
            sealed: 0,
            behind: BTreeMap::new(),
        })
    }

    fn write(&mut self, header: &[u8], rows: &[u8]) -> io::Result<()> {
        let packer = match &mut self.packer {
            Some(packer) => packer,
            None => {
                let packer = Packer::new(self.file.try_clone()?, &self.path)?;
                self.packer.insert(packer)
            }
        };
        if let Some(header) = self.header.take(header) {
            packer.write_all(header)?;
        }
        packer.write_all(rows)
    }

    /// Completes the file for a checkpoint that all slots have prepared, and writes what waited.
    fn seal(&mut self, checkpoint: u64) -> io::Result<Staged> {
        if !self.header.is_written {
            let expected = mem::take(&mut self.header.expected);
            self.write(&expected, &[])?;
        }
        if let Some(packer) = self.packer.take() {
            packer.finish()?;
        }
        let bytes = self.file.bytes()?;
        let complete = Complete {
            hidden: name_of(self.hidden.path()),
            name: name_of(&self.path),
            bytes,
        };
        let staged = staged(self.file.try_clone()?, self.hidden.path(), complete);
        self.sealed = checkpoint;
        let later = self.behind.split_off(&(checkpoint + 1));
        for rows in mem::replace(&mut self.behind, later).into_values() {
            self.write(&[], &rows)?;
        }
        Ok(staged)
    }
}

impl Target for Whole {
    fn put(&mut self, slot: usize, header: &[u8], rows: &[u8]) -> io::Result<()> {
        let after = self.prepared[slot];
        if after <= self.sealed {
            return self.write(header, rows);
        }
        let behind = self.behind.entry(after).or_default();
        behind.extend_from_slice(rows);
        Ok(())
    }

    fn expect(&mut self, header: &[u8]) {
        if self.header.expected.is_empty() {
            self.header.expected = header.to_owned();
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn prepare(&mut self, slot: usize, checkpoint: u64) -> io::Result<Staged> {
        self.prepared[slot] = checkpoint;
        match self.prepared.iter().all(|prepared| *prepared >= checkpoint) {
            true => self.seal(checkpoint),
            false => Ok(Staged::nothing()),
        }
    }
}

/// The folder that what a sink at a path writes is in.
pub(super) fn folder(path: &Path) -> &Path {
    match is_folder(path) {
        true => path,
        false => folder_of(path),
    }
}

/// Whether a path stands for a file a slot in a folder.
pub(super) fn is_folder(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(b"/")
}
