//! The calls by which a sink of files changes the disk. They stand here together, so that a test can keep
//! a [journal] of them and work out what a loss of power leaves.
//!
//! | what survives a loss of power | once this has returned |
//! |---|---|
//! | the content of a file | [`Written::sync`] |
//! | that a file was created, renamed or removed | [`sync_folder`] of the folder it is in |

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;
#[cfg(test)]
use std::path::PathBuf;

#[cfg(test)]
pub(crate) mod journal;

/// A file that is written from its beginning on.
pub(super) struct Written {
    file: File,
    /// The name that it was created under, by which the journal knows it.
    #[cfg(test)]
    created: PathBuf,
}

impl Written {
    /// Creates a file that is not there yet.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let file = File::create_new(path)?;
        #[cfg(test)]
        journal::note(|| journal::Call::Create(journal::name(path)));
        Ok(Written {
            file,
            #[cfg(test)]
            created: path.to_owned(),
        })
    }

    /// The same file once more: both write where the other one has stopped.
    #[inline]
    pub(super) fn try_clone(&self) -> io::Result<Self> {
        Ok(Written {
            file: self.file.try_clone()?,
            #[cfg(test)]
            created: self.created.clone(),
        })
    }

    /// Appends the first bytes of another file.
    pub(super) fn append(&mut self, other: &Path, bytes: u64) -> io::Result<()> {
        let mut first = File::open(other)?.take(bytes);
        #[cfg(test)]
        journal::note(|| {
            let bytes = fs::read(other).unwrap_or_default();
            let first = bytes[..first.limit() as usize].to_vec();
            journal::Call::Write(journal::name(&self.created), first)
        });
        io::copy(&mut first, &mut self.file).map(drop)
    }

    /// How many bytes it has.
    pub(super) fn bytes(&self) -> io::Result<u64> {
        self.file.metadata().map(|metadata| metadata.len())
    }

    /// Brings its content to the disk.
    #[inline]
    pub(super) fn sync(&self) -> io::Result<()> {
        if !cfg!(test) {
            self.file.sync_all()?; // unit tests lose the power in their journal alone
        }
        #[cfg(test)]
        journal::note(|| journal::Call::Sync(journal::name(&self.created)));
        Ok(())
    }
}

impl Write for Written {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        #[cfg(test)]
        journal::note(|| {
            journal::Call::Write(journal::name(&self.created), bytes[..written].to_vec())
        });
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Gives a file another name, in place of a file that had it before.
pub(super) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    #[cfg(test)]
    journal::note(|| journal::Call::Rename(journal::name(from), journal::name(to)));
    Ok(())
}

/// Removes a file.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path)?;
    #[cfg(test)]
    journal::note(|| journal::Call::Remove(journal::name(path)));
    Ok(())
}

/// Brings the names in a folder to the disk, where the system can.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) && !cfg!(test) {
        File::open(folder)?.sync_all()?;
    }
    #[cfg(test)]
    journal::note(|| journal::Call::SyncFolder);
    Ok(())
}
