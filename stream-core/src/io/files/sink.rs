//! The sink of files: which worker writes which file, and when the files get their names.

use std::fmt;
use std::fs;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::disk;
use super::staged::{cannot_create, folder_of, remove_hidden};
use super::target::{Complete, Part, Uncommitted, Whole, folder, is_folder};
use crate::error::Problem;
use crate::io::canonical::{Canonical, canonical};
use crate::io::place::Place;
use crate::io::sink::{Commit, Sink, SinkInfo, Slot, Writer};
use crate::io::text::{FileRow, OutputFormat, Target, TextWriter, cannot_write};
use crate::io::{Revised, Revision, lock};

/// A sink of files, made by [`files::to_csv`](super::to_csv) or
/// [`files::to_json_lines`](super::to_json_lines).
pub struct FileSink<F> {
    path: PathBuf,
    run: Mutex<Run>,
    format: PhantomData<fn() -> F>,
}

/// What is known of the run that writes.
#[derive(Default)]
struct Run {
    /// Whether it keeps state: what it has prepared may have to be committed by the next one.
    keeps_state: bool,
    /// The file of all slots.
    whole: Option<Arc<Mutex<Whole>>>,
    /// What that begins with: the first bytes of the file of the run before.
    begin: Option<(PathBuf, u64)>,
    uncommitted: Uncommitted,
}

impl Drop for Run {
    fn drop(&mut self) {
        if !self.keeps_state {
            self.uncommitted.remove();
        }
    }
}

impl<F: OutputFormat> FileSink<F> {
    pub(super) fn new(path: &Path) -> Self {
        FileSink {
            path: path.into(),
            run: Mutex::default(),
            format: PhantomData,
        }
    }

    /// The file that a slot writes: its own in a folder, or the one for all.
    fn file(&self, slot: Slot, keeps_state: bool) -> Result<PathBuf, Problem> {
        if is_folder(&self.path) {
            if !keeps_state {
                refuse_other_parts(&self.path, slot.count)?;
            }
            return Ok(self
                .path
                .join(format!("part-{}.{}", slot.index, F::EXTENSION)));
        }
        let problem = || Problem::new(format!("cannot write `{}`", self.path.display()));
        match fs::metadata(&self.path) {
            Ok(there) if there.is_dir() => Err(problem().detail("it is a folder").hint(format!(
                "`{}/` stands for a file a worker in it",
                self.path.display()
            ))),
            Ok(there) if !there.is_file() => Err(problem()
                .detail("it is no file that another could replace")
                .hint("write to stdout, to a channel or to `discard()`")),
            _ if self.path.file_name().is_none() => Err(problem()
                .detail("the path names no file")
                .hint("add the file's name to it")),
            _ => Ok(self.path.clone()),
        }
    }

    fn target(&self, slot: Slot) -> Result<(Arc<Mutex<dyn Target>>, PathBuf), Problem> {
        let mut run = lock(&self.run);
        let path = self.file(slot, run.keeps_state)?;
        let failed = |error| cannot_create(folder_of(&path), error);
        if is_folder(&self.path) {
            let (keeps_state, uncommitted) = (run.keeps_state, run.uncommitted.clone());
            let part = Part::create(slot, path.clone(), keeps_state, uncommitted);
            return Ok((Arc::new(Mutex::new(part.map_err(failed)?)), path));
        }
        let whole = match &run.whole {
            Some(whole) => whole.clone(),
            None => {
                let whole = Whole::create(
                    path.clone(),
                    slot.count,
                    run.begin.as_ref(),
                    run.keeps_state,
                );
                let whole = Arc::new(Mutex::new(whole.map_err(failed)?));
                run.whole.insert(whole).clone()
            }
        };
        Ok((whole, path))
    }

    /// Gives what was prepared for a checkpoint its names. Tells what was missing.
    fn publish(&self, commit: &Commit) -> Result<Vec<Complete>, Problem> {
        if !is_folder(&self.path) && !commit.is_last {
            return Ok(Vec::new()); // the file is seen in the end
        }
        let folder = folder(&self.path);
        let failed = |error| cannot_write(&self.path.display().to_string(), error);
        let mut missing = Vec::new();
        for complete in Complete::of(commit)? {
            if !complete.publish(folder).map_err(failed)? {
                missing.push(complete);
            }
        }
        disk::sync_folder(folder).map_err(failed)?; // also what a run that was killed has named
        Ok(missing)
    }

    /// Finds what the run before had written up to a checkpoint, to go on from.
    fn find(&self, commit: &Commit) -> Result<Option<(PathBuf, u64)>, Problem> {
        let Some(complete) = Complete::of(commit)?.pop() else {
            return Ok(None);
        };
        let found = complete
            .find(folder(&self.path), commit.goes_back)
            .map(|path| (path, complete.bytes()));
        found.map(Some).ok_or_else(|| {
            let (path, checkpoint) = (self.path.display(), commit.checkpoint);
            Problem::new(format!(
                "`{path}` is not as checkpoint {checkpoint} left it"
            ))
            .detail(format!("{} bytes had been written to it", complete.bytes()))
            .hint("put it back, or start afresh, without the state")
        })
    }
}

/// What the ends of files' names say of their format.
const ENDS: [(&str, &str); 5] = [
    ("csv", "csv"),
    ("tsv", "csv"),
    ("json", "json"),
    ("jsonl", "json"),
    ("ndjson", "json"),
];

/// A file whose name says another format than it has would be misread.
fn refuse_other_format<F: OutputFormat>(path: &Path) -> Result<(), Problem> {
    let plain = match path.extension().and_then(|end| end.to_str()) {
        Some("gz" | "zst") => path.with_extension(""),
        _ => path.to_owned(),
    };
    let end = plain.extension().and_then(|end| end.to_str());
    let end = end.unwrap_or_default().to_lowercase();
    let (name, extension) = (F::NAME, F::EXTENSION);
    if is_folder(path) {
        return Ok(());
    }
    match ENDS.iter().find(|(known, _)| *known == end) {
        Some((_, format)) if *format != name => {
            let what = format!("`{}` is no name for a file of {name}", path.display());
            Err(Problem::new(what)
                .detail(format!(
                    "the sink writes {name}, whatever the file is called"
                ))
                .hint(format!(
                    "let it end in `.{extension}`, or bind a sink of {format} in the program"
                )))
        }
        _ => Ok(()),
    }
}

/// Parts that another run has left, and that this one would not replace, would be taken for parts of
/// this one.
fn refuse_other_parts(folder: &Path, slots: usize) -> Result<(), Problem> {
    for (name, part) in parts(folder)? {
        let is_anothers = match part {
            PartName::Slot(slot) => slot >= slots,
            PartName::Checkpoint(_) => true,
            PartName::Hidden => false,
        };
        if is_anothers {
            let folder = folder.display();
            return Err(
                Problem::new(format!("`{folder}` holds `{name}` of another run"))
                    .detail(format!(
                        "this one has {slots} workers, and would not replace it"
                    ))
                    .hint("remove the parts of the other run, or write to another folder"),
            );
        }
    }
    Ok(())
}

/// Removes what stands behind a checkpoint: files that were prepared, or committed before the job went
/// back to it. A job without a checkpoint begins in a folder without parts.
fn remove_behind(folder: &Path, checkpoint: Option<u64>) -> Result<(), Problem> {
    let failed = |error| cannot_create(folder, error);
    for (name, part) in parts(folder)? {
        let is_behind = match (part, checkpoint) {
            (PartName::Hidden, _) => true,
            (PartName::Checkpoint(number), Some(checkpoint)) => number > checkpoint,
            (PartName::Slot(_), Some(_)) => false,
            (_, None) => {
                let folder = folder.display();
                return Err(
                    Problem::new(format!("`{folder}` holds `{name}` of another run"))
                        .detail("this one begins afresh, and its rows would stand among those")
                        .hint(
                            "remove the parts of the other run, write to another folder, or go on \
                               from the other run's state",
                        ),
                );
            }
        };
        if is_behind {
            disk::remove(&folder.join(name)).map_err(failed)?;
        }
    }
    disk::sync_folder(folder).map_err(failed) // what came back later would be taken for committed
}

/// What a file in a folder of parts is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PartName {
    /// All that a slot has written.
    Slot(usize),
    /// What a slot has written for a checkpoint.
    Checkpoint(u64),
    Hidden,
}

impl PartName {
    fn of(name: &str) -> Option<Self> {
        if name.starts_with(".part-") {
            return name.contains(".tmp-").then_some(PartName::Hidden);
        }
        let numbers = name.strip_prefix("part-")?.split('.').next()?;
        match numbers.split_once('-') {
            None => numbers.parse().ok().map(PartName::Slot),
            Some((checkpoint, slot)) => {
                let _: usize = slot.parse().ok()?;
                checkpoint.parse().ok().map(PartName::Checkpoint)
            }
        }
    }
}

/// The parts in a folder, with their names.
fn parts(folder: &Path) -> Result<Vec<(String, PartName)>, Problem> {
    let failed = |error| cannot_create(folder, error);
    let mut parts = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        if let Some(name) = name.to_str()
            && let Some(part) = PartName::of(name)
        {
            parts.push((name.to_owned(), part));
        }
    }
    Ok(parts)
}

impl<F> fmt::Debug for FileSink<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileSink({})", self.path.display())
    }
}

impl<T: FileRow<F> + 'static, F: OutputFormat> Sink<T> for FileSink<F> {
    fn info(&self) -> SinkInfo {
        let detail = self.path.display().to_string();
        SinkInfo {
            kind: F::NAME,
            detail,
            atomic: true,
        }
    }

    fn revised(&self, revision: &Revision) -> Revised<dyn Sink<T>> {
        match revision {
            Revision::Path(path) => Some(match refuse_other_format::<F>(path) {
                Ok(()) => Ok(Arc::new(FileSink::<F>::new(path))),
                Err(problem) => Err(problem),
            }),
            _ => None,
        }
    }

    fn exclusive(&self) -> Option<Place> {
        Some(match is_folder(&self.path) {
            true => Place::folder(&self.path),
            false => Place::file(&self.path),
        })
    }

    fn recover(&self, last: Option<&Commit>) -> Result<(), Problem> {
        let mut run = lock(&self.run);
        run.keeps_state = true;
        if is_folder(&self.path) {
            if let Some(last) = last {
                self.publish(last)?; // what is missing has its name, or was taken away by who reads it
            }
            let checkpoint = last.map(|last| last.checkpoint);
            return remove_behind(&self.path, checkpoint);
        }
        if let Some(last) = last {
            self.publish(last)?;
            run.begin = self.find(last)?;
        }
        let needed = run.begin.as_ref().map(|(path, _)| path.as_path());
        remove_hidden(&self.path, needed).map_err(|error| cannot_create(folder(&self.path), error))
    }

    fn open(&self, slot: Slot) -> Result<Box<dyn Writer<T>>, Problem> {
        let (target, path) = self.target(slot)?;
        Ok(Box::new(TextWriter::<F::Encoder>::of_rows::<T, F>(
            slot,
            target,
            path.display().to_string(),
        )))
    }

    fn commit(&self, commit: &Commit) -> Result<(), Problem> {
        let missing = self.publish(commit)?;
        if let Some(complete) = missing.first() {
            return Err(Problem::new(format!("`{}` has gone", complete.hidden()))
                .detail("it held what was to be committed"));
        }
        let mut run = lock(&self.run);
        run.uncommitted.forget();
        if commit.is_last {
            run.whole = None;
        }
        if let Some((before, _)) = run.begin.take_if(|(before, _)| *before != self.path) {
            disk::remove(&before).unwrap_or_default(); // hidden, so it harms nobody
        }
        Ok(())
    }

    fn abort(&self) {
        let mut run = lock(&self.run);
        run.uncommitted.remove();
        run.whole = None;
    }

    fn canonical(&self) -> Option<Canonical<T>> {
        Some(canonical)
    }
}
