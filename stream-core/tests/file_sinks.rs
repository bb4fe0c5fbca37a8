//! Files as sinks: whole under their names, or not there at all.
#![cfg(feature = "files")]
#![allow(clippy::unwrap_used, reason = "what a test cannot do without fails it")]

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use stream_core::io::{self, Sink, files};
use stream_core::testing::contract;
use stream_core::{Job, Mode};
use tempfile::TempDir;

#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
struct Count {
    word: String,
    count: u64,
}

fn counts(number: u64) -> Vec<Count> {
    (0..number)
        .map(|count| Count {
            word: format!("word, {count}"),
            count,
        })
        .collect()
}

/// Writes the counts with two workers, and leaves the rest to the caller.
fn write(sink: &impl Sink<Count>, counts: &[Count]) {
    for (worker, counts) in counts.chunks(counts.len().div_ceil(2).max(1)).enumerate() {
        let mut writer = sink.open(worker, 2).unwrap();
        writer.write(&mut counts.to_vec()).unwrap();
        writer.close().unwrap();
    }
}

/// The names in a folder, hidden ones too.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn text(path: &Path) -> String {
    let bytes = fs::read(path).unwrap();
    let mut text = String::new();
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("gz") => flate2::read::MultiGzDecoder::new(&bytes[..])
            .read_to_string(&mut text)
            .map(drop),
        Some("zst") => zstd::decode_all(&bytes[..])
            .map(|bytes| text = String::from_utf8(bytes).expect("UTF-8")),
        _ => (&bytes[..]).read_to_string(&mut text).map(drop),
    }
    .unwrap();
    text
}

/// The counts in all files of JSON Lines that a folder shows.
fn seen(folder: &Path) -> Vec<Count> {
    let shown = names(folder)
        .into_iter()
        .filter(|name| !name.starts_with('.'));
    let texts: Vec<_> = shown.map(|name| text(&folder.join(name))).collect();
    texts
        .iter()
        .flat_map(|text| text.lines())
        .map(|l| serde_json::from_str(l).unwrap())
        .collect()
}

#[test]
fn json_lines_keep_the_contract_of_sinks_plain_compressed_and_in_parts() {
    for name in ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst", ""] {
        let folders = std::cell::RefCell::new(Vec::<TempDir>::new());
        let make = || {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().to_owned();
            folders.borrow_mut().push(folder);
            (files::to_json_lines(path.join(name)), move || seen(&path))
        };
        contract::sink(make, &counts(5_000));
    }
}

#[test]
fn what_was_written_as_csv_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("counts.csv.gz");
    let sink = files::to_csv(&path);
    write(&sink, &counts(1_000));
    Sink::<Count>::commit(&sink).unwrap();
    contract::source(|| files::csv::<Count>(&path), &[counts(1_000)]);
}

#[test]
fn one_file_has_one_header_and_each_part_has_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let parts = folder.path().join("parts/");
    fs::create_dir(&parts).unwrap();
    for (sink, expected) in [
        (
            files::to_csv(folder.path().join("a.csv")),
            vec![("a.csv", "word,count\n\"word, 0\",0\n\"word, 1\",1\n")],
        ),
        (
            files::to_csv(&parts),
            vec![
                ("parts/part-0.csv", "word,count\n\"word, 0\",0\n"),
                ("parts/part-1.csv", "word,count\n\"word, 1\",1\n"),
            ],
        ),
    ] {
        write(&sink, &counts(2));
        Sink::<Count>::commit(&sink).unwrap();
        for (name, expected) in expected {
            assert_eq!(text(&folder.path().join(name)), expected);
        }
    }
}

#[test]
fn nothing_hidden_is_left_behind_and_an_older_file_stays_until_the_commit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jsonl");
    fs::write(&path, "old").unwrap();

    let aborted = files::to_json_lines(&path);
    write(&aborted, &counts(2));
    assert_eq!(
        names(folder.path()).len(),
        2,
        "the older file, and a hidden one"
    );
    Sink::<Count>::abort(&aborted);
    assert_eq!(
        (names(folder.path()), text(&path)),
        (vec!["a.jsonl".to_owned()], "old".to_owned())
    );

    let dropped = files::to_json_lines(&path);
    write(&dropped, &counts(2));
    drop(dropped);
    assert_eq!(
        (names(folder.path()), text(&path)),
        (vec!["a.jsonl".to_owned()], "old".to_owned())
    );

    let committed = files::to_json_lines(&path);
    write(&committed, &counts(2));
    Sink::<Count>::commit(&committed).unwrap();
    assert_eq!(
        (names(folder.path()), seen(folder.path())),
        (vec!["a.jsonl".to_owned()], counts(2))
    );
}

fn problem(path: PathBuf) -> String {
    let sink = files::to_csv(path);
    let opened: Result<Box<dyn stream_core::io::Writer<Count>>, _> = sink.open(0, 2);
    opened.err().expect("a problem").to_string()
}

#[test]
fn a_folder_that_does_not_exist_is_a_problem_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["none/a.csv", "none/"] {
        let problem = problem(folder.path().join(name));
        assert!(
            problem.contains("it does not exist (hint: create it: `mkdir -p /"),
            "{problem}"
        );
    }
}

#[test]
fn a_folder_named_without_a_slash_is_a_problem_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let problem = problem(folder.path().to_owned());
    assert!(problem.contains("`: it is a folder (hint: `/"), "{problem}");
    assert!(
        problem.ends_with("/` stands for a file a worker in it)"),
        "{problem}"
    );
}

#[test]
fn a_device_is_not_replaced_by_a_file() {
    let problem = problem("/dev/null".into());
    assert!(
        problem.starts_with("cannot write `/dev/null`: it is no file that"),
        "{problem}"
    );
}

#[test]
fn parts_of_a_run_with_more_workers_are_not_mixed_with_new_ones() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("part-1.csv"), "old").unwrap();
    fs::write(folder.path().join("part-2.csv"), "old").unwrap();
    let problem = problem(folder.path().join(""));
    let expected = "holds `part-2.csv` of another run: this one has 2 workers, and would not replace \
                    it (hint: remove the parts of the other run, or write to another folder)";
    assert!(problem.ends_with(expected), "{problem}");
}

#[test]
fn two_sinks_on_one_file_are_refused_before_anything_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.csv").display().to_string();
    let job = Job::new("twice", |graph| {
        let numbers = graph.input::<u64>("numbers");
        graph.output("a", numbers.clone());
        graph.output("b", numbers);
    });
    let job = job.source("numbers", io::vec(vec![1_u64]));
    let job = job
        .sink::<u64>("a", files::to_csv(&path))
        .sink::<u64>("b", files::to_csv(&path));
    let error = job.run(Mode::Batch).unwrap_err();
    let problem = error.problem().unwrap();
    assert_eq!(problem.what(), format!("two sinks write to `{path}`"));
    assert_eq!(problem.detail_text().unwrap(), "those of `a` and `b`");
    assert_eq!(problem.hint_text(), Some("give each a place of its own"));
}
