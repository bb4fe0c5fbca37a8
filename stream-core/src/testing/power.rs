//! A sink of files loses nothing when the machine loses its power.
//!
//! Runs of a job keep a [journal] of what they do to a folder. For every place in it the test works out what a loss
//! of power there may leave, puts that into another folder, and goes on from the checkpoint that was the last
//! complete one.

#![allow(clippy::unwrap_used, reason = "what a test cannot do without fails it")]

use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

use tempfile::TempDir;

use super::contract::{Crash, must, must_recover, open, prepare, run_until, write, write_rest};
use crate::Problem;
use crate::io::files::disk::journal::{self, Call, Disk, Folder};
use crate::io::files::{self, FileSink, JsonLines};
use crate::io::{Commit, Sink, SinkInfo, Slot, Writer};

type Lines = FileSink<JsonLines>;

/// What a checkpoint without records has for a number, beside that of the one before it.
const EMPTY: u64 = 100;

const NAMES: [&str; 3] = ["a.jsonl", "a.jsonl.gz", ""];

fn lines(folder: &Path, name: &str) -> Lines {
    files::to_json_lines(format!("{}/{name}", folder.display()))
}

/// A sink that notes what is complete.
struct Noted(Lines);

impl Sink<u64> for Noted {
    fn info(&self) -> SinkInfo {
        Sink::<u64>::info(&self.0)
    }

    fn recover(&self, last: Option<&Commit>) -> Result<(), Problem> {
        journal::note(|| Call::Complete(last.cloned()));
        Sink::<u64>::recover(&self.0, last)
    }

    fn open(&self, slot: Slot) -> Result<Box<dyn Writer<u64>>, Problem> {
        self.0.open(slot)
    }

    fn commit(&self, commit: &Commit) -> Result<(), Problem> {
        journal::note(|| Call::Complete(Some(commit.clone())));
        Sink::<u64>::commit(&self.0, commit)?;
        journal::note(|| Call::Committed);
        Ok(())
    }
}

/// So many that some of what a checkpoint holds is written before it, and some behind it.
fn records() -> Vec<u64> {
    (0..1_800)
        .map(|number| number * 1_000_000_000_000_007)
        .collect()
}

fn parts() -> Vec<Vec<u64>> {
    records().chunks(600).map(<[u64]>::to_vec).collect()
}

/// What is still to be written behind a checkpoint.
fn rest(last: Option<&Commit>) -> Vec<u64> {
    let done = match last {
        None => 0,
        Some(last) if last.is_last => parts().len(),
        Some(last) => (last.checkpoint % EMPTY) as usize,
    };
    parts()[done..].concat()
}

/// Recovers a sink and writes what is left.
fn go_on(folder: &Path, name: &str, last: Option<&Commit>) {
    let sink = must_recover(Noted(lines(folder, name)), last);
    let next = last.map_or(0, |last| last.checkpoint) + 1;
    write_rest(&*sink, 2, next, &rest(last));
}

/// What the files in a folder hold.
fn seen(folder: &Path) -> Vec<u64> {
    let mut seen = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = journal::name(&path);
        assert!(!name.starts_with('.'), "{name} is left over");
        let bytes = fs::read(&path).unwrap();
        let mut text = String::new();
        let read = match name.ends_with(".gz") {
            true => {
                let mut packed = flate2::read::MultiGzDecoder::new(&bytes[..]);
                std::io::Read::read_to_string(&mut packed, &mut text).map(drop)
            }
            false => std::io::Read::read_to_string(&mut &bytes[..], &mut text).map(drop),
        };
        read.unwrap_or_else(|error| panic!("{name}: {error}"));
        seen.extend(text.lines().map(|line| line.parse::<u64>().unwrap()));
    }
    seen.sort_unstable();
    seen
}

/// The files that are not hidden.
fn shown(left: &Folder) -> Folder {
    let mut shown = left.clone();
    shown.retain(|name, _| !name.starts_with('.'));
    shown
}

/// What is in a folder when the power is back.
fn folder_of(left: &Folder) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in left {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

/// What runs have done to a disk.
struct Done {
    disk: Disk,
    /// The checkpoint that was complete before.
    last: Option<Commit>,
    calls: Vec<Call>,
}

impl Done {
    fn of(runs: impl FnOnce()) -> Self {
        Done {
            disk: Disk::default(),
            last: None,
            calls: journal::of(runs),
        }
    }

    /// Loses the power at every place from a call on, and goes on from what is left; so often one after another.
    /// Gives how many different states were gone on from.
    fn lose_power(mut self, from: usize, name: &str, times: usize) -> usize {
        let mut tried = BTreeSet::new();
        for at in 0..=self.calls.len() {
            let left = if at < from {
                BTreeSet::new()
            } else {
                self.disk.left()
            };
            for left in left {
                if !tried.insert((format!("{:?}", self.last), left.clone())) {
                    continue;
                }
                let is_seen = matches!(&self.last, Some(last) if last.is_last)
                    && matches!(self.calls[..at].last(), Some(Call::Committed));
                if is_seen {
                    let shown = folder_of(&shown(&left));
                    assert!(
                        seen(shown.path()) == records(),
                        "what was committed has gone"
                    );
                }
                let folder = folder_of(&left);
                let went = catch_unwind(|| {
                    let calls = journal::of(|| go_on(folder.path(), name, self.last.as_ref()));
                    let is_whole = seen(folder.path()) == records();
                    assert!(is_whole, "records are lost, or come twice");
                    calls
                });
                let Ok(calls) = went else {
                    let left: Vec<_> = left.iter().map(|(name, b)| (name, b.len())).collect();
                    let before = &self.calls[..at];
                    let last = &self.last;
                    panic!("power lost after {before:#?}, {left:?} left, {last:?} complete");
                };
                if times > 1 {
                    let (disk, last) = (Disk::with(left), self.last.clone());
                    Done { disk, last, calls }.lose_power(0, name, times - 1);
                }
            }
            let Some(call) = self.calls.get(at) else {
                break;
            };
            self.disk.apply(call);
            if let Call::Complete(commit) = call {
                self.last.clone_from(commit);
            }
        }
        tried.len()
    }
}

#[test]
fn a_run_loses_nothing_when_the_power_goes() {
    for name in NAMES {
        let done = Done::of(|| {
            let folder = tempfile::tempdir().unwrap();
            let parts = parts();
            let parts: Vec<&[u64]> = parts.iter().map(Vec::as_slice).collect();
            run_until(
                &Noted(lines(folder.path(), name)),
                &parts,
                Crash::Committed(3),
            );
        });
        let tried = done.lose_power(0, name, if name.ends_with(".gz") { 1 } else { 2 });
        assert!(tried > 10, "{tried} states of `{name}`");
    }
}

#[test]
fn a_run_that_recovers_loses_nothing_when_the_power_goes() {
    let parts = parts();
    let parts: Vec<&[u64]> = parts.iter().map(Vec::as_slice).collect();
    for name in NAMES {
        for crash in Crash::all(parts.len()) {
            let mut from = 0;
            let done = Done::of(|| {
                let folder = tempfile::tempdir().unwrap();
                let commits = run_until(&Noted(lines(folder.path(), name)), &parts, crash);
                from = journal::len();
                go_on(folder.path(), name, commits.last());
            });
            done.lose_power(from, name, 1);
        }
    }
}

/// The job goes back to a checkpoint, makes one without records, one with the rest, and
/// another one without.
fn go_back(folder: &Path, name: &str, back_to: &Commit) {
    let sink = must_recover(Noted(lines(folder, name)), Some(back_to));
    let mut writers = open(&*sink, 2);
    let number = EMPTY + back_to.checkpoint;
    let empty = Commit::new(number, prepare(&mut writers, number));
    must(sink.commit(&empty), "commit");
    write(&mut writers, &rest(Some(&empty)));
    let number = 2 * EMPTY + parts().len() as u64;
    let all = Commit::new(number, prepare(&mut writers, number));
    must(sink.commit(&all), "commit");
    let empty = Commit::new(number + 1, prepare(&mut writers, number + 1));
    must(sink.commit(&empty.last()), "commit");
}

#[test]
fn a_run_that_goes_back_loses_nothing_when_the_power_goes() {
    let parts = parts();
    let parts: Vec<&[u64]> = parts.iter().map(Vec::as_slice).collect();
    // One file of all has nothing to go back to once it has its name.
    for (name, last) in [("a.jsonl", 2), ("a.jsonl.gz", 2), ("", 2), ("", 3)] {
        for back in 1..last {
            let mut from = 0;
            let done = Done::of(|| {
                let folder = tempfile::tempdir().unwrap();
                let sink = Noted(lines(folder.path(), name));
                let mut commits = run_until(&sink, &parts, Crash::Committed(last as u64));
                from = journal::len();
                go_back(
                    folder.path(),
                    name,
                    &commits.swap_remove(back - 1).going_back(),
                );
            });
            done.lose_power(from, name, 1);
        }
    }
}

#[test]
fn a_job_without_state_leaves_the_older_file_or_the_whole_new_one() {
    let name = "a.jsonl";
    let old = b"1\n2\n".to_vec();
    let calls = journal::of(|| {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(name), &old).unwrap();
        write_rest(&Noted(lines(folder.path(), name)), 2, 1, &records());
    });
    let mut disk = Disk::with(Folder::from([(name.to_owned(), old.clone())]));
    let mut new = BTreeSet::new();
    for call in &calls {
        disk.apply(call);
        for left in disk.left() {
            let shown = folder_of(&shown(&left));
            let shown = seen(shown.path());
            let is_whole = shown == [1, 2] || shown == records();
            assert!(is_whole, "{} records are seen", shown.len());
            new.insert(shown);
        }
    }
    assert_eq!(new.len(), 2, "both were seen");
}
