//! Files under hidden names, until they are whole.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::disk::{self, Written};
use crate::error::Problem;

/// Compresses as a file's name says.
pub(super) enum Packer {
    Plain(BufWriter<Written>),
    Gzip(GzEncoder<BufWriter<Written>>),
    Zstd(zstd::stream::write::Encoder<'static, BufWriter<Written>>),
}

impl Packer {
    /// Writes to a file from where it stands, for it to be given a name.
    pub(super) fn new(file: Written, name: &Path) -> io::Result<Self> {
        let file = BufWriter::new(file);
        Ok(match name.extension().and_then(|end| end.to_str()) {
            Some("gz") => Packer::Gzip(GzEncoder::new(file, Compression::default())),
            Some("zst") => Packer::Zstd(zstd::stream::write::Encoder::new(file, 0)?),
            _ => Packer::Plain(file),
        })
    }

    /// Writes what is left. What is written behind it later can be read as one with it.
    pub(super) fn finish(self) -> io::Result<Written> {
        let file = match self {
            Packer::Plain(file) => file,
            Packer::Gzip(packer) => packer.finish()?,
            Packer::Zstd(packer) => packer.finish()?,
        };
        file.into_inner().map_err(io::IntoInnerError::into_error)
    }
}

impl Write for Packer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Packer::Plain(file) => file.write(bytes),
            Packer::Gzip(packer) => packer.write(bytes),
            Packer::Zstd(packer) => packer.write(bytes),
        }
    }

    /// Does nothing: nobody sees the file yet, and flushing would spoil its compression.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A hidden file; removed when it is dropped, unless it was handed on.
pub(super) struct Hidden {
    path: PathBuf,
    is_kept: bool,
}

impl Hidden {
    /// Creates one beside the file that it is to be.
    pub(super) fn create(name: &Path, keeps_state: bool) -> io::Result<(Self, Written)> {
        let (path, file) = create_hidden(name, keeps_state)?;
        let is_kept = false;
        Ok((Hidden { path, is_kept }, file))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves the file where it is.
    pub(super) fn keep(&mut self) {
        self.is_kept = true;
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        if !self.is_kept {
            disk::remove(&self.path).unwrap_or_default(); // hidden, so it harms nobody
        }
    }
}

/// Creates a hidden file beside the one that is to be: `.name.tmp-where-process-number`. Where says
/// which numbers of processes are meant: those of this machine since it was started, or of a
/// container on it.
///
/// What a process that has gone has left of the same file is removed, unless the job keeps state: then
/// it is looked through when the sink recovers, and some of it is needed. That another is still there is
/// known where the system tells of its processes; elsewhere, and of other machines that share the
/// folder, leftovers stay.
fn create_hidden(path: &Path, keeps_state: bool) -> io::Result<(PathBuf, Written)> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().unwrap_or_default().display().to_string();
    let (place, process) = (place_of_processes(), process::id());
    if let (Some(place), false) = (&place, keeps_state) {
        remove_leftovers(path, &format!(".{name}.tmp-{place}-"));
    }
    let place = place.unwrap_or_default();
    loop {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let hidden = path.with_file_name(format!(".{name}.tmp-{place}-{process}-{number}"));
        match Written::create(&hidden) {
            Err(error)
                if error.kind() == io::ErrorKind::AlreadyExists && number < LEFTOVERS_MAX => {}
            created => return created.map(|file| (hidden, file)),
        }
    }
}

/// How many leftovers of killed jobs are passed over.
const LEFTOVERS_MAX: u64 = 10_000;

/// What tells the processes that are seen here from all others, if the system says which they are: it
/// may hide those of other users, and then the first is among them.
fn place_of_processes() -> Option<String> {
    fs::metadata("/proc/1").ok()?;
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let space = fs::read_link("/proc/self/ns/pid").ok()?;
    let space: String = space.display().to_string();
    let digits = space.chars().filter(char::is_ascii_digit);
    let boot = boot.trim().chars().filter(char::is_ascii_alphanumeric);
    Some(boot.take(8).chain(digits).collect())
}

/// Removes all hidden files of a file but one, whoever has left them.
pub(super) fn remove_hidden(path: &Path, but: Option<&Path>) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().display();
    let begin = format!(".{name}.tmp-");
    for entry in fs::read_dir(folder_of(path))? {
        let entry = entry?;
        let is_hidden = entry
            .file_name()
            .to_str()
            .is_some_and(|name| name.starts_with(&begin));
        if is_hidden && Some(entry.path().as_path()) != but {
            disk::remove(&entry.path())?;
        }
    }
    Ok(())
}

/// Removes the hidden files whose names begin so and whose processes have gone. A file that cannot be
/// removed harms nobody.
fn remove_leftovers(path: &Path, begin: &str) {
    let Ok(entries) = fs::read_dir(folder_of(path)) else {
        return; // what is wrong with the folder is told where the file is made
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let rest = name.to_str().and_then(|name| name.strip_prefix(begin));
        let process = rest.and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        let has_gone = |process: u32| !Path::new(&format!("/proc/{process}")).exists();
        if process.is_some_and(has_gone) {
            disk::remove(&entry.path()).unwrap_or_default();
        }
    }
}

/// The folder that a file is in.
pub(super) fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Explains why no file can be made in a folder.
pub(super) fn cannot_create(folder: &Path, error: io::Error) -> Problem {
    const ELSEWHERE: &str =
        "give the user that runs the job the right to write there, or write elsewhere";
    let shown = folder.display();
    let problem = Problem::new(format!("cannot write to the folder `{shown}`"));
    let there = folder.ancestors().find(|folder| folder.exists());
    match (error.kind(), there) {
        (io::ErrorKind::NotFound | io::ErrorKind::NotADirectory, Some(file)) if file.is_file() => {
            problem
                .detail(format!("`{}` is a file", file.display()))
                .hint("write to a path whose folders are folders")
        }
        // Some folders of the system are there and let no file be made, and say this of it.
        (io::ErrorKind::NotFound, Some(there)) if there == folder => problem
            .detail("no file can be made in it")
            .hint("write elsewhere"),
        (io::ErrorKind::NotFound, Some(there)) if is_read_only(there) => problem
            .detail(format!(
                "it does not exist, and `{}` cannot be written to",
                there.display()
            ))
            .hint(ELSEWHERE),
        (io::ErrorKind::NotFound, _) => problem
            .detail("it does not exist")
            .hint(format!("create it: `mkdir -p {shown}`")),
        (io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem, _) => {
            problem.because(error).hint(ELSEWHERE)
        }
        _ => problem.because(error),
    }
}

/// Whether nobody may write there, as far as the permissions tell.
fn is_read_only(folder: &Path) -> bool {
    let permissions = fs::metadata(folder).map(|metadata| metadata.permissions());
    permissions.is_ok_and(|permissions| permissions.readonly())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_read_only_is_a_problem_with_a_remedy() {
        let problem = cannot_create(Path::new("out"), io::ErrorKind::PermissionDenied.into());
        let expected = "cannot write to the folder `out`: permission denied (hint: give the user \
                        that runs the job the right to write there, or write elsewhere)";
        assert_eq!(problem.to_string(), expected);
    }
    #[test]
    fn a_folder_that_is_there_is_not_to_be_made() {
        let folder = tempfile::tempdir().unwrap();
        let told = |path: &Path, kind: io::ErrorKind| {
            let told = cannot_create(path, kind.into()).to_string();
            told.replace(&folder.path().display().to_string(), "here")
        };
        assert_eq!(
            told(folder.path(), io::ErrorKind::NotFound),
            "cannot write to the folder `here`: no file can be made in it (hint: write elsewhere)"
        );
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let expected = "cannot write to the folder `here/file/out`: `here/file` is a file (hint: \
                        write to a path whose folders are folders)";
        for kind in [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory] {
            assert_eq!(told(&file.join("out"), kind), expected);
        }
        let missing = told(&folder.path().join("out"), io::ErrorKind::NotFound);
        assert!(missing.ends_with("it does not exist (hint: create it: `mkdir -p here/out`)"));
    }
    #[test]
    #[cfg(target_os = "linux")]
    fn what_a_killed_run_has_left_is_removed_by_the_next_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        let place = place_of_processes().unwrap();
        let name = |file: &str, process: u32| format!(".{file}.tmp-{place}-{process}-0");
        let gone = u32::MAX; // no process has this number
        let others = [
            name("b.csv", gone),
            name("a.csv", std::os::unix::process::parent_id()),
            format!(".a.csv.tmp-elsewhere-{gone}-0"),
            "a.csv".to_owned(),
        ];
        for name in others.iter().chain([&name("a.csv", gone)]) {
            fs::write(folder.path().join(name), "").unwrap();
        }
        drop(Hidden::create(&path, false).unwrap());
        let left = fs::read_dir(folder.path()).unwrap();
        let left = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let (mut left, mut others): (Vec<_>, _) = (left.collect(), others.to_vec());
        left.sort();
        others.sort();
        assert_eq!(left, others);
    }
}
