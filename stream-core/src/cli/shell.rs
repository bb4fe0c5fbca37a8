//! What a shell and a manual want of the command line. Both are made of the same description as
//! `--help`, so they cannot fall behind it.

use std::path::{Path, PathBuf};

use clap::CommandFactory;

use super::line::Line;
use crate::error::{Error, Problem};

/// A script that completes the command line, for the program's own name.
pub(super) fn completions(shell: clap_complete::Shell) -> String {
    let program = std::env::args_os().next().map(PathBuf::from);
    let name = program.as_deref().and_then(Path::file_name);
    let name = name.map_or("job".into(), |name| name.to_string_lossy());
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Line::command(), name.into_owned(), &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// The man page of a job.
pub(super) fn man_page(job: &str) -> Result<String, Error> {
    let mut page = Vec::new();
    let made = clap_mangen::Man::new(Line::command().name(job.to_owned())).render(&mut page);
    made.map_err(|error| {
        Error::Engine(Problem::new("the man page cannot be printed").because(error))
    })?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}
