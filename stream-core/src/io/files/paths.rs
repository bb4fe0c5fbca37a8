//! Which files a path stands for.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::Problem;

/// A file to be read.
#[derive(Clone, Debug)]
pub(super) struct InputFile {
    pub(super) path: PathBuf,
    /// The path as people read it.
    pub(super) shown: Arc<str>,
}

/// Finds the files that a path stands for, in the order of their names, numbers in them by what they
/// count; at least one.
pub(super) fn find(path: &Path) -> Result<Vec<InputFile>, Problem> {
    let files = list(path)?;
    match files.is_empty() {
        true => Err(nothing_in(path)),
        false => Ok(files),
    }
}

/// The same, even where there are none.
pub(super) fn list(path: &Path) -> Result<Vec<InputFile>, Problem> {
    let mut paths = match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => in_folder(path)?,
        Ok(_) => vec![path.to_owned()],
        Err(error) => match path.to_str().filter(|text| text.contains(['*', '?', '['])) {
            Some(pattern) => matching(pattern)?,
            None => return Err(cannot_open(path, error)),
        },
    };
    paths.sort_by(|left, right| in_order(left, right));
    let shown = |path: PathBuf| InputFile {
        shown: path.display().to_string().into(),
        path,
    };
    Ok(paths.into_iter().map(shown).collect())
}

/// Compares two paths, folder by folder: `2.csv` stands before `10.csv`. Where names are the same but
/// for zeros in front of a number, the text decides.
fn in_order(left: &Path, right: &Path) -> Ordering {
    let names = |path: &Path| -> Vec<_> {
        let names = path.components();
        names.map(|name| name.as_os_str().to_owned()).collect()
    };
    let by_numbers = |(left, right): (&OsString, &OsString)| {
        by_numbers(left.as_encoded_bytes(), right.as_encoded_bytes())
    };
    let (of_left, of_right) = (names(left), names(right));
    let mut names = of_left.iter().zip(&of_right).map(by_numbers);
    let first = names.find(|order| order.is_ne());
    let first = first.unwrap_or_else(|| of_left.len().cmp(&of_right.len()));
    first.then_with(|| left.cmp(right))
}

/// Compares two texts, each run of digits in them as one number.
fn by_numbers(mut left: &[u8], mut right: &[u8]) -> Ordering {
    loop {
        let (number, other) = (number_at(left), number_at(right));
        let (order, lengths) = match (left.first(), right.first()) {
            (None, _) | (_, None) => return left.len().cmp(&right.len()),
            (Some(_), Some(_)) if !number.is_empty() && !other.is_empty() => {
                let (mine, its) = (without_zeros(number), without_zeros(other));
                let order = mine.len().cmp(&its.len()).then_with(|| mine.cmp(its));
                (order, (number.len(), other.len()))
            }
            (Some(byte), Some(other)) => (byte.cmp(other), (1, 1)),
        };
        if order.is_ne() {
            return order;
        }
        (left, right) = (&left[lengths.0..], &right[lengths.1..]);
    }
}

/// The digits that a text begins with.
fn number_at(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| !byte.is_ascii_digit());
    &text[..end.unwrap_or(text.len())]
}

fn without_zeros(digits: &[u8]) -> &[u8] {
    let start = digits.iter().position(|digit| *digit != b'0');
    &digits[start.unwrap_or(digits.len())..]
}

/// The names of the files as partitions: short where that tells them apart.
pub(super) fn names(files: &[InputFile]) -> Vec<String> {
    let short = |file: &InputFile| file.path.file_name().map(|name| name.display().to_string());
    let names: BTreeSet<_> = files.iter().filter_map(short).collect();
    match names.len() == files.len() {
        true => files.iter().filter_map(short).collect(),
        false => files.iter().map(|file| file.shown.to_string()).collect(),
    }
}

/// Explains that a folder has no file, or that a pattern matches none.
fn nothing_in(path: &Path) -> Problem {
    let shown = path.display();
    if path.is_dir() {
        let what = format!("the folder `{shown}` holds no file to read");
        return Problem::new(what).hint(
            "hidden files and the files of its folders are not looked at; \
             a pattern reaches into folders: `*/*.csv`",
        );
    }
    let started = std::env::current_dir().unwrap_or_default();
    let hint = format!("a relative pattern is taken from `{}`", started.display());
    Problem::new(format!("no file matches `{shown}`")).hint(hint)
}

/// Explains why a file or folder cannot be opened.
pub(super) fn cannot_open(path: &Path, error: io::Error) -> Problem {
    let problem = Problem::new(format!("cannot open `{}`", path.display()));
    match error.kind() {
        io::ErrorKind::NotFound if path.is_relative() => {
            let started = std::env::current_dir().unwrap_or_default();
            let hint = format!("the path is taken from `{}`", started.display());
            problem.detail("there is no such file or folder").hint(hint)
        }
        io::ErrorKind::NotFound => problem
            .detail("there is no such file or folder")
            .hint("check the path; `*` and `?` make it a pattern"),
        io::ErrorKind::PermissionDenied => problem
            .because(error)
            .hint("give the user that runs the job the right to read it"),
        _ => problem.because(error),
    }
}

fn in_folder(folder: &Path) -> Result<Vec<PathBuf>, Problem> {
    let failed = |error| cannot_open(folder, error);
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if !hidden && entry.path().is_file() {
            paths.push(entry.path());
        }
    }
    Ok(paths)
}

fn matching(pattern: &str) -> Result<Vec<PathBuf>, Problem> {
    let wrong = |error| Problem::new(format!("`{pattern}` is no pattern")).because(error);
    let options = glob::MatchOptions {
        require_literal_separator: true,
        require_literal_leading_dot: true,
        ..Default::default()
    };
    let mut paths = Vec::new();
    for path in glob::glob_with(pattern, options).map_err(wrong)? {
        let path = path
            .map_err(|error| Problem::new(format!("cannot look for `{pattern}`")).because(error))?;
        if path.is_file() {
            paths.push(path);
        }
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_stand_in_the_order_of_their_names_and_of_the_numbers_in_them() {
        let ordered = [
            "1.csv",
            "02.csv",
            "2.csv",
            "2024-1-5.csv",
            "2024-01-10.csv",
            "2024-11-02.csv",
            "99999999999999999999999999.csv",
            "a/10.csv",
            "a/b.csv",
            "a2/1.csv",
            "a10/0.csv",
            "b",
            "b0",
            "b00",
            "b1a",
            "b1b",
            "part-9.csv",
            "part-10.csv",
        ];
        // `02` and `2` are the same number; then the text decides, and so for `b0` and `b00`.
        for (index, left) in ordered.iter().enumerate() {
            for (other, right) in ordered.iter().enumerate() {
                let order = in_order(Path::new(left), Path::new(right));
                assert_eq!(order, index.cmp(&other), "{left} {right}");
            }
        }
    }
}
