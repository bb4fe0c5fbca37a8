//! The sink of files: which worker writes which file, and when the files get their names.

use std::fmt;
use std::fs;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::staged::{StagedFile, cannot_create, folder_of};
use crate::error::Problem;
use crate::io::canonical::{Canonical, canonical};
use crate::io::place::Place;
use crate::io::sink::{Sink, SinkInfo, Writer};
use crate::io::text::{FileRow, OutputFormat, Sequence, Target, TextWriter, cannot_write};
use crate::io::{Revised, Revision, lock};

/// A sink of files, made by [`files::to_csv`](super::to_csv) or
/// [`files::to_json_lines`](super::to_json_lines).
pub struct FileSink<F> {
    path: PathBuf,
    /// The files of this run, open or closed, none of them seen yet.
    staged: Mutex<Vec<Arc<Mutex<Staged>>>>,
    format: PhantomData<fn() -> F>,
}

type Staged = Sequence<StagedFile>;

impl<F: OutputFormat> FileSink<F> {
    pub(super) fn new(path: &Path) -> Self {
        FileSink {
            path: path.into(),
            staged: Mutex::default(),
            format: PhantomData,
        }
    }

    /// Whether the path is a folder, in which each worker writes a file.
    fn is_folder(&self) -> bool {
        is_folder(&self.path)
    }

    /// The file that a worker writes: its own in a folder, or the one for all.
    fn file(&self, worker: usize, workers: usize) -> Result<PathBuf, Problem> {
        if self.is_folder() {
            refuse_other_parts(&self.path, workers)?;
            return Ok(self.path.join(format!("part-{worker}.{}", F::EXTENSION)));
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
}

fn is_folder(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(b"/")
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

/// Parts that a run with more workers has left would be taken for parts of this one.
fn refuse_other_parts(folder: &Path, workers: usize) -> Result<(), Problem> {
    for entry in fs::read_dir(folder).map_err(|error| cannot_create(folder, error))? {
        let name = entry
            .map_err(|error| cannot_create(folder, error))?
            .file_name();
        let number = name
            .to_str()
            .and_then(|name| name.strip_prefix("part-")?.split('.').next());
        if number
            .and_then(|number| number.parse().ok())
            .is_some_and(|part: usize| part >= workers)
        {
            let (folder, name) = (folder.display(), name.display());
            return Err(
                Problem::new(format!("`{folder}` holds `{name}` of another run"))
                    .detail(format!(
                        "this one has {workers} workers, and would not replace it"
                    ))
                    .hint("remove the parts of the other run, or write to another folder"),
            );
        }
    }
    Ok(())
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
        Some(match self.is_folder() {
            true => Place::folder(&self.path),
            false => Place::file(&self.path),
        })
    }

    fn open(&self, worker: usize, workers: usize) -> Result<Box<dyn Writer<T>>, Problem> {
        let path = self.file(worker, workers)?;
        let mut staged = lock(&self.staged);
        let known = staged
            .iter()
            .find(|file| lock(file).out.path() == path)
            .cloned();
        let file = match known {
            Some(file) => file,
            None => {
                let file = StagedFile::create(path.clone())
                    .map_err(|error| cannot_create(folder_of(&path), error))?;
                let file = Arc::new(Mutex::new(Sequence::new(file)));
                staged.push(file.clone());
                file
            }
        };
        Ok(Box::new(TextWriter::<F::Encoder>::of_rows::<T, F>(
            file,
            path.display().to_string(),
        )))
    }

    /// Completes every file before the first gets its name, since that one is seen then.
    fn commit(&self) -> Result<(), Problem> {
        let staged = std::mem::take(&mut *lock(&self.staged));
        let each = |step: fn(&mut Staged) -> std::io::Result<()>| {
            staged.iter().try_for_each(|file| {
                let mut file = lock(file);
                let done = step(&mut file);
                done.map_err(|error| cannot_write(&file.out.path().display().to_string(), error))
            })
        };
        each(|file| file.finish().and_then(|()| file.out.complete()))?;
        each(|file| file.out.publish())
    }

    fn abort(&self) {
        lock(&self.staged).clear();
    }

    fn canonical(&self) -> Option<Canonical<T>> {
        Some(canonical)
    }
}
