//! The source of files: which files are which partition.

use std::fmt;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde::de::DeserializeOwned;

use super::csv::Csv;
use super::decode::{FileDecoder, InputFormat};
use super::input::send_files;
use super::paths::{InputFile, find, names};
use super::position::FilePosition;
use crate::error::Problem;
use crate::io::place::Place;
use crate::io::source::{Boundedness, Opening, Reader, Source, SourceInfo};
use crate::io::{Revised, Revision, lock, threaded};

/// How many files may be read side by side, each with a thread of its own.
pub const MAX_PARALLEL_FILES: usize = 256;

/// A source of files, made by [`files::csv`](super::csv()) or
/// [`files::json_lines`](super::json_lines()).
pub struct FileSource<T, F> {
    path: PathBuf,
    format: F,
    in_sequence: bool,
    /// What [`Source::partitions`] has found.
    found: Mutex<Arc<[InputFile]>>,
    records: PhantomData<fn() -> T>,
}

impl<T, F> FileSource<T, F> {
    pub(super) fn new(path: &Path, format: F) -> Self {
        let found = Mutex::new(Arc::new([]) as Arc<[InputFile]>);
        FileSource {
            path: path.into(),
            format,
            in_sequence: false,
            found,
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
            boundedness: Boundedness::Bounded,
            repeatable: true,
        }
    }

    fn partitions(&self) -> Result<Vec<String>, Problem> {
        self.format.check()?;
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
        *lock(&self.found) = files.into();
        Ok(partitions)
    }

    fn open(&self, partition: usize, opening: Opening) -> Result<Box<dyn Reader<T>>, Problem> {
        let files = lock(&self.found).clone();
        let from: FilePosition = opening.from.read()?;
        let range = match self.in_sequence {
            true => from.find(&files)?..files.len(),
            false => partition..partition + 1,
        };
        let decoder = FileDecoder::new(self.format.rows::<T>(), opening.from);
        let format = self.format.clone();
        threaded::reader("read-files", opening.waker, decoder, move |feed| {
            send_files(&files[range], from, &format, feed)
        })
    }

    /// The files that were found, and the folder, whose later files the next run would read.
    fn reads(&self) -> Vec<Place> {
        let files = lock(&self.found).clone();
        let folder = self.path.is_dir().then(|| Place::folder(&self.path));
        let files = files.iter().map(|file| Place::file(&file.path));
        files.chain(folder).collect()
    }

    fn revised(&self, revision: &Revision) -> Revised<dyn Source<T>> {
        let Revision::Path(path) = revision else {
            return None;
        };
        let there = FileSource::new(path, self.format.clone());
        Some(Ok(Arc::new(FileSource {
            in_sequence: self.in_sequence,
            ..there
        })))
    }
}
