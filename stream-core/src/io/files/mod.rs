//! Files of CSV and JSON Lines, plain or compressed, as sources and sinks.
//!
//! | | what it promises |
//! |---|---|
//! | source | bounded; repeatable as long as nobody changes what was read; a position is a place in a file |
//! | sink | atomic: a file is seen whole, under its name, after the job has succeeded, or not at all |
//!
//! A path to read is a file, a pattern (`data/*.csv.gz`) or a folder, which stands for the files in
//! it that are not hidden, without those of its folders. `.gz` and `.zst` at the end of a name say
//! how the file is compressed.
//!
//! Going on from a position (`position.rs`) reads what stands behind it, whatever was appended
//! meanwhile. A file that has shrunk or was replaced is refused, and so is one in a sequence that
//! stands before the position and was not read.
//!
//! Reading threads open and decompress the files (`content.rs`) and cut them into pieces of whole
//! rows (`input.rs`); the workers decode the pieces (`decode.rs`). Rows of CSV are split (`row.rs`, `plain.rs`), and become
//! records (`fields.rs`), where they stand in their piece.

mod absent;
mod content;
mod csv;
mod decode;
pub(crate) mod disk;
mod fields;
mod input;
mod json_lines;
mod paths;
mod piece;
mod plain;
mod position;
mod quotes;
mod row;
mod sink;
mod source;
mod staged;
mod target;
mod track;
mod turns;

use std::path::Path;

use serde::de::DeserializeOwned;

pub use csv::Csv;
pub use json_lines::JsonLines;
pub use sink::FileSink;
pub use source::{FileSource, MAX_PARALLEL_FILES};

/// What a sink of files has staged, for people.
#[cfg(all(feature = "cli", feature = "state"))]
pub(crate) fn told_staged(staged: &[u8]) -> Option<String> {
    let complete: target::Complete = crate::codec::decode(staged).ok()?;
    Some(complete.to_string())
}

/// Reads records from files of CSV (RFC 4180), one a row, its fields found by the names in the
/// file's first row.
///
/// Each file is a partition, unless told otherwise. A row that is no `T` is a
/// [bad record](crate::io::BadRecord) with its file, line, column and field, as is one with `nan` or `inf` in a
/// field of numbers. A field that is an `Option` may be missing in the first row, which is told in
/// [`Report::warnings`](crate::run::Report::warnings); where a name there is a misspelling of it, the job fails.
///
/// ```
/// use serde::Deserialize;
/// use stream_core::io::files;
///
/// #[derive(Debug, Deserialize, PartialEq)]
/// struct Click { user: u32, page: String }
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("clicks.csv");
/// std::fs::write(&path, "user,page\n1,/home\n")?;
///
/// let expected = Click { user: 1, page: "/home".into() };
/// stream_core::testing::contract::source(|| files::csv(&path), &[vec![expected]]);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn csv<T: DeserializeOwned + 'static>(path: impl AsRef<Path>) -> FileSource<T, Csv> {
    FileSource::new(path.as_ref(), Csv::default())
}

/// Reads records from files of JSON Lines, one a line. Blank lines are left out.
///
/// Each file is a partition, unless told otherwise. A line that is no `T` is a
/// [bad record](crate::io::BadRecord) with its file, line, column and field.
///
/// ```
/// use stream_core::io::files;
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("words.jsonl");
/// std::fs::write(&path, "\"one\"\n\"two\"\n")?;
///
/// let expected = ["one", "two"].map(String::from).to_vec();
/// stream_core::testing::contract::source(|| files::json_lines(&path), &[expected]);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn json_lines<T: DeserializeOwned + 'static>(
    path: impl AsRef<Path>,
) -> FileSource<T, JsonLines> {
    FileSource::new(path.as_ref(), JsonLines)
}

/// Writes records to a file of CSV, its first row the names of the fields; compressed where the
/// path ends in `.gz` or `.zst`.
///
/// The file is written under a hidden name in its folder and takes its place, at once and whole,
/// when the job has succeeded. A path that ends in `/` is a folder, in which each worker writes a
/// file: `part-0.csv`, `part-1.csv`, … A file without records has its header all the same, as far as
/// the type tells how it is read; so records are `Deserialize`, too.
///
/// ```
/// use stream_core::io::{Commit, Sink, Slot, files};
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Count { word: String, count: u64 }
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("counts.csv");
/// let sink = files::to_csv(&path);
/// let mut writer = sink.open(Slot::new(0, 1))?;
/// writer.write(&mut vec![Count { word: "a".to_owned(), count: 1 }])?;
/// let staged = writer.prepare(1)?;
/// assert!(!path.exists());
/// let staged = vec![staged.finish()?];
/// Sink::<Count>::commit(&sink, &Commit::new(1, staged).last())?;
/// assert_eq!(std::fs::read_to_string(path)?, "word,count\na,1\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn to_csv(path: impl AsRef<Path>) -> FileSink<Csv> {
    FileSink::new(path.as_ref())
}

/// Writes records to a file of JSON Lines; compressed where the path ends in `.gz` or `.zst`.
///
/// The file is written under a hidden name in its folder and takes its place, at once and whole,
/// when the job has succeeded. A path that ends in `/` is a folder, in which each worker writes a
/// file: `part-0.jsonl`, `part-1.jsonl`, …
///
/// ```
/// use stream_core::io::{Commit, Sink, Slot, files};
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("counts.jsonl");
/// let sink = files::to_json_lines(&path);
/// let mut writer = sink.open(Slot::new(0, 1))?;
/// writer.write(&mut vec![("a", 1_u64)])?;
/// let staged = writer.prepare(1)?;
/// assert!(!path.exists());
/// let staged = vec![staged.finish()?];
/// Sink::<(&str, u64)>::commit(&sink, &Commit::new(1, staged).last())?;
/// assert_eq!(std::fs::read_to_string(path)?, "[\"a\",1]\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn to_json_lines(path: impl AsRef<Path>) -> FileSink<JsonLines> {
    FileSink::new(path.as_ref())
}
