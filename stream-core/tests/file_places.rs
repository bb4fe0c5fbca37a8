//! Which places a job writes to and reads from: no sink may overwrite what another sink of the job
//! writes or what a source of it reads, however the paths are spelled.
#![cfg(feature = "files")]
#![allow(clippy::unwrap_used, reason = "what a test cannot do without fails it")]

use std::fs;
use std::path::Path;

use stream_core::io::{self, Sink, Source, SourceExt, files};
use stream_core::{Error, Job, Mode};
use tempfile::TempDir;

/// A folder with `in/a.csv`, `in/b.csv` and `out/d`.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("in")).unwrap();
    fs::create_dir_all(folder.path().join("out/d")).unwrap();
    for name in ["in/a.csv", "in/b.csv"] {
        fs::write(folder.path().join(name), INPUT).unwrap();
    }
    folder
}

const INPUT: &str = "1\n2\n";

/// What is said of a job that must not start.
struct Refusal {
    what: String,
    detail: String,
    hint: String,
}

fn refused(job: Job) -> Refusal {
    let error = job.run(Mode::Batch).expect_err("the job does not start");
    assert!(matches!(error, Error::Plan(_)), "{error}");
    let problem = error.problem().unwrap();
    Refusal {
        what: problem.what().to_owned(),
        detail: problem.detail_text().unwrap(),
        hint: problem.hint_text().unwrap().to_owned(),
    }
}

fn two_outputs(a: impl Sink<u64>, b: impl Sink<u64>) -> Job {
    let job = Job::new("two", |graph| {
        let numbers = graph.input::<u64>("numbers");
        graph.output("a", numbers.clone());
        graph.output("b", numbers);
    });
    let job = job.source("numbers", io::vec(vec![1_u64]));
    job.sink("a", a).sink("b", b)
}

fn copy(source: impl Source<u64>, sink: impl Sink<u64>) -> Job {
    let job = Job::new("copy", |graph| {
        graph.output("copy", graph.input::<u64>("numbers"));
    });
    job.source("numbers", source).sink("copy", sink)
}

/// Tells how two spellings of one file are refused; the first is also what the message begins with.
fn assert_two_sinks_are_refused(folder: &Path, one: &str, other: &str) {
    let (one, other) = (folder.join(one), folder.join(other));
    for (a, b) in [(&one, &other), (&other, &one)] {
        let problem = refused(two_outputs(files::to_csv(a), files::to_csv(b)));
        assert_eq!(problem.what, "two sinks write to one place");
        let detail = format!("`a` to `{}`, `b` to `{}`", a.display(), b.display());
        assert_eq!(problem.detail, detail);
        let hint = problem.hint;
        assert!(hint.starts_with("give each a place of its own"), "{hint}");
    }
}

fn assert_replaces(folder: &Path, source: &str, sink: &str) {
    let (source, sink) = (folder.join(source), folder.join(sink));
    let read = files::csv(&source).without_header();
    let problem = refused(copy(read, files::to_csv(&sink)));
    let what = "the sink of `copy` would write over what the source of `numbers` reads";
    assert_eq!(problem.what, what);
    let detail = problem.detail;
    assert!(
        detail.starts_with(&format!("it writes to `{}`, and ", sink.display())),
        "{detail}"
    );
    let hint = problem.hint;
    assert!(hint.starts_with("write elsewhere"), "{hint}");
    for name in ["in/a.csv", "in/b.csv"] {
        assert_eq!(fs::read_to_string(folder.join(name)).unwrap(), INPUT);
    }
}

#[test]
fn two_sinks_on_one_file_are_refused_under_two_spellings() {
    let folder = folder();
    for other in ["out/./x.csv", "out/d/../x.csv", "none/../out/x.csv"] {
        assert_two_sinks_are_refused(folder.path(), "out/x.csv", other);
    }
}

#[test]
fn two_sinks_on_one_file_are_refused_when_one_path_is_relative() {
    let folder = tempfile::tempdir_in(".").unwrap();
    let name = Path::new(folder.path().file_name().unwrap()).join("x.csv");
    let absolute = std::env::current_dir().unwrap().join(&name);
    let problem = refused(two_outputs(files::to_csv(&name), files::to_csv(absolute)));
    assert_eq!(problem.what, "two sinks write to one place");
}

#[cfg(unix)]
#[test]
fn two_sinks_on_one_file_are_refused_through_a_linked_folder_or_file() {
    let folder = folder();
    std::os::unix::fs::symlink("out", folder.path().join("link")).unwrap();
    assert_two_sinks_are_refused(folder.path(), "out/x.csv", "link/x.csv");
    assert_two_sinks_are_refused(folder.path(), "out/d/", "link/d/");
    assert_two_sinks_are_refused(folder.path(), "out/d/", "link/d/part-0.csv");

    fs::write(folder.path().join("out/x.csv"), "old").unwrap();
    std::os::unix::fs::symlink("../x.csv", folder.path().join("out/d/part-0.csv")).unwrap();
    assert_two_sinks_are_refused(folder.path(), "out/x.csv", "out/d/part-0.csv");
    assert_two_sinks_are_refused(folder.path(), "out/d/", "out/d/part-0.csv");
}

#[test]
fn a_file_in_the_folder_that_another_sink_fills_is_refused() {
    let folder = folder();
    assert_two_sinks_are_refused(folder.path(), "out/d/", "out/d/part-0.csv");
    assert_two_sinks_are_refused(folder.path(), "out/d/", "out/./d/");
    let problem = refused(two_outputs(
        files::to_csv(folder.path().join("out/d/")),
        files::to_json_lines(folder.path().join("out/d/notes.jsonl")),
    ));
    let hint = "give each a place of its own; a folder stands for all files in it";
    assert_eq!(problem.hint, hint);
}

#[test]
fn a_sink_that_is_made_comparable_keeps_its_place() {
    let folder = folder();
    let path = folder.path().join("out/x.csv");
    let sink = || io::comparable(files::to_csv(&path));
    let problem = refused(two_outputs(sink(), sink()));
    let what = format!("two sinks write to `{}`", path.display());
    assert_eq!(problem.what, what);
}

#[test]
fn sinks_beside_and_below_each_other_are_accepted() {
    let folder = folder();
    for (one, other) in [
        ("out/x.csv", "out/y.csv"),
        ("out/x.csv", "out/d/"),
        ("out/d/x.csv", "out/"),
    ] {
        let sink = |name| files::to_csv(folder.path().join(name));
        two_outputs(sink(one), sink(other))
            .run(Mode::Batch)
            .unwrap();
    }
}

#[test]
fn a_sink_over_a_source_is_refused_and_the_input_stays() {
    let folder = folder();
    assert_replaces(folder.path(), "in/a.csv", "in/a.csv");
    assert_replaces(folder.path(), "in/a.csv", "in/./a.csv");
    assert_replaces(folder.path(), "in/*.csv", "out/../in/b.csv");
    assert_replaces(folder.path(), "in", "in/b.csv");
    assert_replaces(folder.path(), "in/", "in/new.csv");
    assert_replaces(folder.path(), "in", "in/");
    assert_replaces(folder.path(), "in/*.csv", "in/");
}

#[test]
fn a_folder_sink_over_a_source_that_is_one_of_its_parts_is_refused() {
    let folder = folder();
    fs::write(folder.path().join("out/part-0.csv"), INPUT).unwrap();
    assert_replaces(folder.path(), "out/part-0.csv", "out/");
    assert_replaces(folder.path(), "out/part-?.csv", "out/./");
}

#[cfg(unix)]
#[test]
fn a_sink_over_a_source_is_refused_through_links() {
    let folder = folder();
    let link = |to: &str, name: &str| {
        std::os::unix::fs::symlink(to, folder.path().join(name)).unwrap();
    };
    link("in", "link");
    assert_replaces(folder.path(), "in/a.csv", "link/a.csv");
    assert_replaces(folder.path(), "link", "in/new.csv");
    link("../in/a.csv", "out/linked.csv");
    assert_replaces(folder.path(), "out/linked.csv", "in/a.csv"); // what the link stands for
    assert_replaces(folder.path(), "out/linked.csv", "out/linked.csv"); // the link itself
    assert_replaces(folder.path(), "out", "in/a.csv");
}

#[test]
fn a_source_keeps_its_places_through_its_settings() {
    let folder = folder();
    let path = folder.path().join("in/a.csv");
    let read = || files::csv::<u64>(&path).without_header();
    let second = |n: &u64| stream_core::EventTime::secs(i64::try_from(*n).unwrap());
    let skips = copy(read().skip_bad_records(), files::to_csv(&path));
    let paced = copy(read().rate(1e6), files::to_csv(&path));
    let replayed = copy(read().replay(1e6, second), files::to_csv(&path));
    let shared = copy(std::sync::Arc::new(read()), files::to_csv(&path));
    for job in [skips, paced, replayed, shared] {
        let what = "the sink of `copy` would write over what the source of `numbers` reads";
        assert_eq!(refused(job).what, what);
    }
}

#[test]
fn dead_letters_over_a_source_are_refused() {
    let folder = folder();
    let path = folder.path().join("in/a.csv");
    let read = files::csv::<u64>(&path).without_header();
    let read = read.dead_letter(files::to_csv(&path));
    let problem = refused(copy(read, io::discard()));
    let what = "would write over what the source of `numbers` reads";
    assert!(problem.what.ends_with(what), "{}", problem.what);
}

#[test]
fn a_sink_beside_and_below_what_is_read_is_accepted() {
    let folder = folder();
    fs::create_dir(folder.path().join("in/d")).unwrap();
    for (source, sink) in [
        ("in/*.csv", "in/new.txt"),
        ("in/a.csv", "in/c.csv"),
        ("in", "in/d/"),
        ("in", "in/d/a.csv"),
        ("in", "in.csv"),
    ] {
        let read = files::csv(folder.path().join(source)).without_header();
        let job = copy(read, files::to_csv(folder.path().join(sink)));
        job.run(Mode::Batch).unwrap();
    }
}
