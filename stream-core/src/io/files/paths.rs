//! Which files a path stands for.

use std::collections::BTreeSet;
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

/// Finds the files that a path stands for, in the order of their names; at least one.
pub(super) fn find(path: &Path) -> Result<Vec<InputFile>, Problem> {
    let mut paths = match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => in_folder(path)?,
        Ok(_) => vec![path.to_owned()],
        Err(error) => match path.to_str().filter(|text| text.contains(['*', '?', '['])) {
            Some(pattern) => matching(pattern)?,
            None => return Err(cannot_open(path, error)),
        },
    };
    paths.sort();
    let shown = |path: PathBuf| InputFile {
        shown: path.display().to_string().into(),
        path,
    };
    Ok(paths.into_iter().map(shown).collect())
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
    if paths.is_empty() {
        let what = format!("the folder `{}` holds no file to read", folder.display());
        let hint = "hidden files and the files of its folders are not looked at; \
                    a pattern reaches into folders: `*/*.csv`";
        return Err(Problem::new(what).hint(hint));
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
    if paths.is_empty() {
        let started = std::env::current_dir().unwrap_or_default();
        let hint = format!("a relative pattern is taken from `{}`", started.display());
        return Err(Problem::new(format!("no file matches `{pattern}`")).hint(hint));
    }
    Ok(paths)
}
