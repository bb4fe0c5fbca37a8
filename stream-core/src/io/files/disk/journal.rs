//! A journal of what was done in one folder, and what a loss of power may leave there.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use crate::io::sink::Commit;

/// A call that has returned. Names are those in the folder; what is written and synced is known by the
/// name that it was created under.
#[derive(Clone)]
pub(crate) enum Call {
    Create(String),
    Write(String, Vec<u8>),
    Sync(String),
    Rename(String, String),
    Remove(String),
    SyncFolder,
    /// From here on this is the last checkpoint that is complete.
    Complete(Option<Commit>),
    /// It is committed, too.
    Committed,
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Call::Create(name) => write!(f, "create {name}"),
            Call::Write(name, bytes) => write!(f, "write {} bytes to {name}", bytes.len()),
            Call::Sync(name) => write!(f, "sync {name}"),
            Call::Rename(from, to) => write!(f, "rename {from} to {to}"),
            Call::Remove(name) => write!(f, "remove {name}"),
            Call::SyncFolder => f.write_str("sync the folder"),
            Call::Committed => f.write_str("it is committed"),
            Call::Complete(None) => f.write_str("no checkpoint is complete"),
            Call::Complete(Some(commit)) => {
                write!(f, "checkpoint {} is complete", commit.checkpoint)
            }
        }
    }
}

thread_local! {
    static JOURNAL: RefCell<Option<Vec<Call>>> = const { RefCell::new(None) };
}

/// Adds a call to the journal of this thread, if it keeps one.
pub(crate) fn note(call: impl FnOnce() -> Call) {
    JOURNAL.with_borrow_mut(|journal| {
        if let Some(journal) = journal {
            journal.push(call());
        }
    });
}

/// The calls of this thread while it does something.
pub(crate) fn of(work: impl FnOnce()) -> Vec<Call> {
    JOURNAL.set(Some(Vec::new()));
    work();
    JOURNAL.take().unwrap_or_default()
}

/// How many calls the journal of this thread has.
pub(crate) fn len() -> usize {
    JOURNAL.with_borrow(|journal| journal.as_ref().map_or(0, Vec::len))
}

/// The name of a file in its folder.
pub(crate) fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().display().to_string()
}

/// What is in a folder: files by their names.
pub(crate) type Folder = BTreeMap<String, Vec<u8>>;

/// A change of names.
#[derive(Debug)]
enum Change {
    Link {
        name: String,
        file: String,
    },
    Move {
        from: String,
        to: String,
        file: String,
    },
    Unlink {
        name: String,
        file: String,
    },
}

/// The content of a file: it is only appended to.
#[derive(Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    /// How many of them the disk has.
    synced: usize,
}

/// What may become of bytes that the disk does not have yet.
const TAILS: [fn(&[u8]) -> Vec<u8>; 4] = [
    |_| Vec::new(),
    |tail| tail[..tail.len() / 2].to_vec(),
    |tail| vec![0; tail.len()],
    <[u8]>::to_vec,
];

/// Up to so many changes of names all of their subsets are tried; of more, only those that are a head of
/// them, or all but one.
const SUBSETS_MAX: usize = 6;

/// A disk after some calls.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    files: BTreeMap<String, Content>,
    /// The names that are seen, and the files they stand for.
    names: BTreeMap<String, String>,
    /// The names that the disk has.
    synced: BTreeMap<String, String>,
    /// What has changed since.
    changes: Vec<Change>,
}

impl Disk {
    /// One that has these files.
    pub(crate) fn with(folder: Folder) -> Self {
        let mut disk = Disk::default();
        for (name, bytes) in folder {
            disk.names.insert(name.clone(), name.clone());
            let synced = bytes.len();
            disk.files.insert(name, Content { bytes, synced });
        }
        disk.synced.clone_from(&disk.names);
        disk
    }

    fn file(&mut self, name: &str) -> &mut Content {
        self.files.entry(name.to_owned()).or_default()
    }

    pub(crate) fn apply(&mut self, call: &Call) {
        match call.clone() {
            Call::Create(name) => {
                self.file(&name);
                let file = name.clone();
                self.change(Change::Link { name, file });
            }
            Call::Write(file, bytes) => self.file(&file).bytes.extend(bytes),
            Call::Sync(file) => {
                let file = self.file(&file);
                file.synced = file.bytes.len();
            }
            Call::Rename(from, to) => {
                if let Some(file) = self.names.get(&from).cloned() {
                    self.change(Change::Move { from, to, file });
                }
            }
            Call::Remove(name) => {
                if let Some(file) = self.names.get(&name).cloned() {
                    self.change(Change::Unlink { name, file });
                }
            }
            Call::SyncFolder => {
                self.synced.clone_from(&self.names);
                self.changes.clear();
            }
            Call::Complete(_) | Call::Committed => {}
        }
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.names);
        self.changes.push(change);
    }

    /// What a loss of power may leave: any of the changes of names, and of what was not synced nothing, a
    /// part, zeros or all.
    pub(crate) fn left(&self) -> BTreeSet<Folder> {
        let mut left = BTreeSet::new();
        for survives in subsets(self.changes.len()) {
            let mut names = self.synced.clone();
            let changes = self.changes.iter().zip(survives);
            for (change, _) in changes.filter(|(_, survives)| *survives) {
                change.apply(&mut names);
            }
            for tail in TAILS {
                let content = |file: &String| {
                    let Content { bytes, synced } = &self.files[file];
                    let (head, rest) = bytes.split_at(*synced);
                    [head, &tail(rest)].concat()
                };
                let folder = names
                    .iter()
                    .map(|(name, file)| (name.clone(), content(file)));
                left.insert(folder.collect());
            }
        }
        left
    }
}

impl Change {
    fn apply(&self, names: &mut BTreeMap<String, String>) {
        match self {
            Change::Link { name, file } => drop(names.insert(name.clone(), file.clone())),
            Change::Move { from, to, file } => {
                if names.get(from) == Some(file) {
                    names.remove(from);
                }
                names.insert(to.clone(), file.clone());
            }
            Change::Unlink { name, file } => {
                if names.get(name) == Some(file) {
                    names.remove(name);
                }
            }
        }
    }
}

/// Which of so many changes survive.
fn subsets(count: usize) -> Vec<Vec<bool>> {
    if count <= SUBSETS_MAX {
        let bits = |set: usize| (0..count).map(|at| set >> at & 1 == 1).collect();
        return (0..1 << count).map(bits).collect();
    }
    let head = |end| (0..count).map(|at| at < end).collect();
    let but = |one| (0..count).map(|at| at != one).collect();
    (0..=count).map(head).chain((0..count).map(but)).collect()
}
