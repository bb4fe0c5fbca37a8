//! The source of files: which files are which partition.

use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::csv::Csv;
use super::decode::{FileDecoder, InputFormat};
use super::input::send_files;
use super::paths::{InputFile, find, list, names};
use super::position::FilePosition;
use super::turns::Turns;
use crate::error::Problem;
use crate::io::place::Place;
use crate::io::source::{Boundedness, Discovery, Opening, Position, Reader, Source, SourceInfo};
use crate::io::{Revised, Revision, lock, threaded};

/// How many files may be read side by side, each with a thread of its own.
pub const MAX_PARALLEL_FILES: usize = 256;

/// A source of files, made by [`files::csv`](super::csv()) or
/// [`files::json_lines`](super::json_lines()).
pub struct FileSource<T, F> {
    path: PathBuf,
    format: F,
    in_sequence: bool,
    /// How long to wait between two looks for files that have appeared.
    watch: Option<Duration>,
    found: Found,
    turns: Arc<Turns>,
    records: PhantomData<fn() -> T>,
}

/// The files that [`Source::partitions`] has found, and those that have appeared since.
type Found = Arc<Mutex<Vec<InputFile>>>;

/// How long to wait between two looks for files, where nothing is said.
const WATCH_EVERY: Duration = Duration::from_secs(1);

impl<T, F> FileSource<T, F> {
    pub(super) fn new(path: &Path, format: F) -> Self {
        FileSource {
            path: path.into(),
            format,
            in_sequence: false,
            watch: None,
            found: Found::default(),
            turns: Turns::new(MAX_PARALLEL_FILES),
            records: PhantomData,
        }
    }

    /// Makes each file a partition of its own, as it is unless told otherwise. There may be
    /// [`MAX_PARALLEL_FILES`].
    #[must_use]
    pub fn in_parallel(mut self) -> Self {
        self.in_sequence = false;
        self
    }

    /// Reads the files one after the other, in the order of their names, as one partition. A number in
    /// a name counts as what it is: `2.csv` is read before `10.csv`.
    ///
    /// A job that goes on does not open the files that it has finished, but their names must be there,
    /// and no others before that of the file that it goes on with.
    #[must_use]
    pub fn in_sequence(mut self) -> Self {
        self.in_sequence = true;
        self
    }

    /// Goes on looking for files in the folder, or for such as match the pattern, each second: the source
    /// never ends. Each file is a partition of its own that ends with it, however many there are;
    /// [`MAX_PARALLEL_FILES`] are read at once.
    ///
    /// A file has to appear whole: write it under a hidden name, or in another folder, and rename it.
    /// What is added to one that has been read is not seen. One that was read to its end, and of which
    /// a checkpoint says so, may be removed.
    ///
    /// ```
    /// use std::fs;
    /// use stream_core::io::files;
    /// use stream_core::prelude::*;
    ///
    /// #[pipeline]
    /// fn all(numbers: Stream<(u64,)>) -> Stream<u64> {
    ///     let all = numbers.map(|(n,)| n);
    ///     all
    /// }
    ///
    /// let folder = tempfile::tempdir()?;
    /// let (sink, rows) = stream_core::io::to_channel(10);
    /// let numbers = files::csv(folder.path()).without_header().watch();
    /// let handle = all::job().numbers(numbers).all(sink).start(Mode::PerRecord)?;
    /// fs::write(folder.path().join(".new"), "7\n8\n")?;
    /// fs::rename(folder.path().join(".new"), folder.path().join("new.csv"))?;
    /// assert_eq!((rows.recv()?, rows.recv()?), (7, 8));
    /// handle.stop();
    /// handle.wait()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn watch(self) -> Self {
        self.watch_every(WATCH_EVERY)
    }

    /// The same, with so long between two looks.
    #[must_use]
    pub fn watch_every(mut self, interval: Duration) -> Self {
        self.watch = Some(interval);
        self
    }

    /// Refuses to watch what cannot be watched.
    fn check_watch(&self) -> Result<(), Problem> {
        let shown = self.path.display();
        if self.in_sequence {
            return Err(Problem::new(format!("`{shown}` cannot be watched"))
                .detail("files that appear have no place in a sequence")
                .hint("leave out `.in_sequence()`: each file is a partition of its own"));
        }
        if self.path.is_file() {
            return Err(Problem::new(format!("`{shown}` cannot be watched"))
                .detail("it is one file, and what is added to it is not seen")
                .hint(
                    "watch the folder that files come into, or a pattern such as `clicks/*.csv`",
                ));
        }
        Ok(())
    }
}

/// The files of a source that is watched, as partitions: their names in the folder, or their paths.
fn names_in(path: &Path, files: &[InputFile]) -> Result<Vec<String>, Problem> {
    let name = |file: &InputFile| {
        let short = file.path.strip_prefix(path).unwrap_or(&file.path);
        let name = short.to_str().map(str::to_owned);
        name.ok_or_else(|| {
            Problem::new(format!("the file `{}` cannot be read", file.shown))
                .detail("its name is no UTF-8, and what has been read is known by names")
                .hint("rename it")
        })
    };
    files.iter().map(name).collect()
}

/// The folder of all files that a pattern can match, where it is one.
fn fixed_parent(pattern: &Path) -> Option<&Path> {
    let parent = pattern.parent()?;
    let is_fixed = !parent
        .as_os_str()
        .as_encoded_bytes()
        .iter()
        .any(|byte| b"*?[".contains(byte));
    let here = parent.as_os_str().is_empty();
    is_fixed.then(|| if here { Path::new(".") } else { parent })
}

/// Looks for files that have appeared.
struct Watching {
    path: PathBuf,
    interval: Duration,
    found: Found,
}

impl Discovery for Watching {
    fn interval(&self) -> Duration {
        self.interval
    }

    fn look(&self) -> Result<Vec<String>, Problem> {
        let files = list(&self.path)?;
        let mut found = lock(&self.found);
        let known: HashSet<_> = found.iter().map(|file| file.path.clone()).collect();
        let new: Vec<_> = files
            .into_iter()
            .filter(|file| !known.contains(&file.path))
            .collect();
        let names = names_in(&self.path, &new)?;
        found.extend(new);
        Ok(names)
    }
}

impl<T> FileSource<T, Csv> {
    /// Separates the fields by this byte instead of a comma.
    #[must_use]
    pub fn delimiter(mut self, delimiter: u8) -> Self {
        self.format.delimiter = delimiter;
        self
    }

    /// Says which texts mean that there is no value: a field of an `Option` that holds one of them
    /// is `None`, as an empty one is in any case. In any other field they are what they are.
    ///
    /// ```
    /// use serde::Deserialize;
    /// use stream_core::io::files;
    ///
    /// #[derive(Debug, Deserialize, PartialEq)]
    /// struct Flight { carrier: String, delay: Option<f64> }
    ///
    /// let folder = tempfile::tempdir()?;
    /// let path = folder.path().join("flights.csv");
    /// std::fs::write(&path, "carrier,delay\nNA,2\nUA,NA\n")?;
    ///
    /// let flight = |carrier: &str, delay| Flight { carrier: carrier.into(), delay };
    /// let flights = vec![flight("NA", Some(2.0)), flight("UA", None)];
    /// stream_core::testing::contract::source(|| files::csv(&path).nulls(["NA", ""]), &[flights]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn nulls(mut self, texts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let texts = texts.into_iter().map(Into::into);
        self.format.nulls = texts.filter(|text| !text.is_empty()).collect();
        self
    }

    /// Takes the first row for a record like the others, and the fields by their order.
    #[must_use]
    pub fn without_header(mut self) -> Self {
        self.format.header = false;
        self
    }
}

impl<T, F> fmt::Debug for FileSource<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileSource({})", self.path.display())
    }
}

impl<T: DeserializeOwned + 'static, F: InputFormat> Source<T> for FileSource<T, F> {
    fn info(&self) -> SourceInfo {
        SourceInfo {
            kind: F::KIND,
            detail: self.path.display().to_string(),
            boundedness: match self.watch {
                Some(_) => Boundedness::Unbounded,
                None => Boundedness::Bounded,
            },
            repeatable: true,
        }
    }

    fn partitions(&self) -> Result<Vec<String>, Problem> {
        self.format.check()?;
        if self.watch.is_some() {
            self.check_watch()?;
            let files = list(&self.path)?;
            let names = names_in(&self.path, &files)?;
            *lock(&self.found) = files;
            return Ok(names);
        }
        let files = find(&self.path)?;
        let partitions = match self.in_sequence {
            true => vec![self.path.display().to_string()],
            false if files.len() > MAX_PARALLEL_FILES => {
                let what = format!("`{}` stands for {} files", self.path.display(), files.len());
                let detail = format!("at most {MAX_PARALLEL_FILES} are read side by side");
                let hint = "read them one after the other by `.in_sequence()`, or join some";
                return Err(Problem::new(what).detail(detail).hint(hint));
            }
            false => names(&files),
        };
        *lock(&self.found) = files;
        Ok(partitions)
    }

    fn open(&self, partition: usize, opening: Opening) -> Result<Box<dyn Reader<T>>, Problem> {
        let from: FilePosition = opening.from.read()?;
        let files = lock(&self.found);
        let files = match self.in_sequence {
            true => files[from.find(&files)?..].to_vec(),
            false => vec![files[partition].clone()],
        };
        let (format, position, waker) = (self.format.clone(), opening.from, opening.waker);
        let decoder = FileDecoder::new(self.format.rows::<T>(), position.clone());
        let begin = {
            let waker = waker.clone();
            move || {
                threaded::reader("read-files", waker, decoder, move |feed| {
                    send_files(&files, from, &format, feed)
                })
            }
        };
        match self.watch {
            Some(_) => Ok(self.turns.reader(position, waker, begin)),
            None => begin(),
        }
    }

    fn discovery(&self) -> Option<Arc<dyn Discovery>> {
        let watching = |interval| Watching {
            path: self.path.clone(),
            interval,
            found: self.found.clone(),
        };
        self.watch.map(|interval| Arc::new(watching(interval)) as _)
    }

    /// The files that were found, and the folder, whose later files the next run would read; that of a pattern where
    /// files may appear.
    fn reads(&self) -> Vec<Place> {
        let files = lock(&self.found).clone();
        let folder = match self.watch {
            Some(_) if !self.path.is_dir() => fixed_parent(&self.path),
            _ => self.path.is_dir().then_some(self.path.as_path()),
        };
        let folder = folder.map(Place::folder);
        let files = files.iter().map(|file| Place::file(&file.path));
        files.chain(folder).collect()
    }

    fn told(&self, position: &Position) -> Option<String> {
        let place: FilePosition = position.read().ok()?;
        let (file, offset, rows) = (&place.file, place.offset, place.rows);
        Some(format!("byte {offset} of {file}, behind {rows} rows"))
    }

    fn revised(&self, revision: &Revision) -> Revised<dyn Source<T>> {
        let Revision::Path(path) = revision else {
            return None;
        };
        let there = FileSource::new(path, self.format.clone());
        Some(Ok(Arc::new(FileSource {
            in_sequence: self.in_sequence,
            watch: self.watch,
            ..there
        })))
    }
}
