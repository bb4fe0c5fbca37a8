//! Where something is written to or read from, so that two things in one place are found.
//!
//! Two paths may be spelled differently and still lead to one file. So the deepest part of a path
//! that exists is resolved by the file system, links and all, and of the rest `.` and `..` are
//! resolved by their text. A file whose last name is a link counts for both: the link, which a
//! rename would replace, and what it stands for, which a reader would be given.
//!
//! What this leaves out: hard links to one file, and names that a file system takes for one
//! (`A.csv` and `a.csv`) while no file has them yet.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use crate::error::Problem;

/// A place that a sink writes to or a source reads from.
///
/// Paths are resolved when the place is made, so make it when it is asked for.
///
/// ```
/// use stream_core::io::Place;
///
/// assert!(Place::file("out/x.csv").overlaps(&Place::file("out/./x.csv")));
/// assert!(Place::file("out/part-0.csv").overlaps(&Place::folder("out/")));
/// assert!(!Place::file("out/d/part-0.csv").overlaps(&Place::folder("out/")));
/// assert!(!Place::named("stdout").overlaps(&Place::file("stdout")));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// How the user spells it.
    shown: String,
    at: At,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum At {
    Named,
    /// A file, by its own name and, behind links, by its last.
    File {
        name: PathBuf,
        target: PathBuf,
    },
    Folder(PathBuf),
}

impl Place {
    /// A thing of which the process has one, by its name: `stdout`.
    pub fn named(name: &str) -> Self {
        let shown = name.to_owned();
        Place {
            shown,
            at: At::Named,
        }
    }

    /// One file, which need not exist.
    pub fn file(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        let target = real(path);
        let name = match (path.parent(), path.file_name()) {
            (Some(folder), Some(name)) => real(folder).join(name),
            _ => target.clone(),
        };
        Place {
            shown: format!("`{}`", path.display()),
            at: At::File { name, target },
        }
    }

    /// Every file that stands in a folder now or later, but not those in the folders in it.
    pub fn folder(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        Place {
            shown: format!("`{}`", path.display()),
            at: At::Folder(real(path)),
        }
    }

    /// Tells whether something may be in both places.
    pub fn overlaps(&self, other: &Place) -> bool {
        match (&self.at, &other.at) {
            (At::Named, At::Named) => self.shown == other.shown,
            (At::Folder(one), At::Folder(other)) => one == other,
            (At::Folder(folder), At::File { name, target })
            | (At::File { name, target }, At::Folder(folder)) => [name, target]
                .iter()
                .any(|file| file.parent() == Some(folder)),
            (
                At::File { name, target },
                At::File {
                    name: other_name,
                    target: other_target,
                },
            ) => [name, target]
                .iter()
                .any(|file| *file == other_name || *file == other_target),
            (At::Named, _) | (_, At::Named) => false,
        }
    }

    /// What helps when these two overlap.
    fn hint(&self, other: &Place, remedy: &str) -> String {
        match [self, other].map(|place| &place.at) {
            [At::Folder(_), _] | [_, At::Folder(_)] => {
                format!("{remedy}; a folder stands for all files in it")
            }
            _ => remedy.to_owned(),
        }
    }

    /// Finds two sinks, told by port, in one place.
    pub(crate) fn check_sinks(sinks: &[(String, Place)]) -> Result<(), Problem> {
        for (index, (port, place)) in sinks.iter().enumerate() {
            let taken = |(_, other): &&(String, Place)| other.overlaps(place);
            let Some((other_port, other)) = sinks[..index].iter().find(taken) else {
                continue;
            };
            let problem = if other.shown == place.shown {
                Problem::new(format!("two sinks write to {place}"))
                    .detail(format!("those of `{other_port}` and `{port}`"))
            } else {
                Problem::new("two sinks write to one place")
                    .detail(format!("`{other_port}` to {other}, `{port}` to {place}"))
            };
            return Err(problem.hint(other.hint(place, "give each a place of its own")));
        }
        Ok(())
    }

    /// Finds a sink, told by port, that would write over what the source of a port reads.
    pub(crate) fn check_source(
        port: &str,
        read: &[Place],
        sinks: &[(String, Place)],
    ) -> Result<(), Problem> {
        for (sink, written) in sinks {
            if let Some(place) = read.iter().find(|place| place.overlaps(written)) {
                let what = format!(
                    "the sink of `{sink}` would write over what the source of `{port}` reads"
                );
                return Err(Problem::new(what)
                    .detail(format!("it writes to {written}, and {place} is read"))
                    .hint(written.hint(place, "write elsewhere")));
            }
        }
        Ok(())
    }
}

/// Shows the place as the user spells it.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// The path that a path comes to, as far as there is anything that could tell.
fn real(path: &Path) -> PathBuf {
    // Without a current folder a relative path leads nowhere, and what opens it will say so.
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let there = path.ancestors().find_map(|ancestor| {
        let rest = path.strip_prefix(ancestor).ok()?;
        Some((ancestor.canonicalize().ok()?, rest))
    });
    let (mut real, rest) = there.unwrap_or((PathBuf::new(), &path));
    for component in rest.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                real.pop();
            }
            other => real.push(other),
        }
    }
    real
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_exist_is_resolved_by_its_text_behind_what_does() {
        let folder = tempfile::tempdir().expect("a folder");
        let there = folder.path().canonicalize().expect("its path");
        for (spelled, expected) in [
            ("x", "x"),
            ("./a/.//b/../x", "a/x"),
            ("none/../x", "x"),
            ("none/../../x", "../x"),
        ] {
            let expected = match expected.strip_prefix("../") {
                Some(name) => there.parent().expect("a folder above").join(name),
                None => there.join(expected),
            };
            assert_eq!(real(&folder.path().join(spelled)), expected, "{spelled}");
        }
    }

    #[test]
    fn a_path_without_a_name_is_a_place_like_others() {
        assert!(Place::file("..").overlaps(&Place::file("../.")));
        assert!(!Place::file("/").overlaps(&Place::file("")));
    }
}
