//! Files as sinks: whole under their names, or not there at all.
#![cfg(feature = "files")]
#![allow(clippy::unwrap_used, reason = "what a test cannot do without fails it")]

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use stream_core::io::{self, Commit, Sink, Slot, files};
use stream_core::ops::Entry;
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

/// Writes records with two writers, and leaves the rest to the caller.
fn write<T: Clone>(sink: &impl Sink<T>, halves: [&[T]; 2]) -> Commit {
    let mut writers = [0, 1].map(|index| sink.open(Slot::new(index, 2)).unwrap());
    for (writer, records) in writers.iter_mut().zip(halves) {
        writer.write(&mut records.to_vec()).unwrap();
    }
    let staged = writers.map(|mut writer| writer.prepare(1).unwrap().finish().unwrap());
    Commit::new(1, staged.to_vec()).last()
}

/// The same of counts, half of them with each.
fn write_counts(sink: &impl Sink<Count>, number: u64) -> Commit {
    let counts = counts(number);
    let (first, second) = counts.split_at(counts.len().div_ceil(2));
    write(sink, [first, second])
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
    let commit = write_counts(&sink, 1_000);
    Sink::<Count>::commit(&sink, &commit).unwrap();
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
        let commit = write_counts(&sink, 2);
        Sink::<Count>::commit(&sink, &commit).unwrap();
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
    write_counts(&aborted, 2);
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
    write_counts(&dropped, 2);
    drop(dropped);
    assert_eq!(
        (names(folder.path()), text(&path)),
        (vec!["a.jsonl".to_owned()], "old".to_owned())
    );

    let committed = files::to_json_lines(&path);
    let commit = write_counts(&committed, 2);
    Sink::<Count>::commit(&committed, &commit).unwrap();
    assert_eq!(
        (names(folder.path()), seen(folder.path())),
        (vec!["a.jsonl".to_owned()], counts(2))
    );
}

fn problem(path: PathBuf) -> String {
    let sink = files::to_csv(path);
    let opened: Result<Box<dyn stream_core::io::Writer<Count>>, _> = sink.open(Slot::new(0, 2));
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

#[derive(Clone, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
struct Stats {
    flights: u64,
    delay: f64,
    from: Option<Airport>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
struct Airport {
    code: String,
    gates: (u8, u8),
}

/// What a file of CSV holds when these records were written, by a worker that has none as well.
fn csv<T: Clone + Serialize + serde::de::DeserializeOwned + 'static>(records: &[T]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    let sink = files::to_csv(&path);
    let commit = write(&sink, [&[], records]);
    Sink::<T>::commit(&sink, &commit).unwrap();
    text(&path)
}

#[test]
fn a_file_without_records_has_its_header() {
    assert_eq!(csv::<Count>(&[]), "word,count\n");
    assert_eq!(csv::<u8>(&[]), "");
    let dotted = "key,value.flights,value.delay,value.from.code,value.from.gates.0,\
                  value.from.gates.1\n";
    assert_eq!(csv::<Entry<u8, Stats>>(&[]), dotted);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("empty.csv");
    fs::write(&path, csv::<Count>(&[])).unwrap();
    contract::source(|| files::csv::<Count>(&path), &[Vec::<Count>::new()]);
}

#[test]
fn a_table_of_structs_is_csv_with_the_names_of_their_fields() {
    let entry = |key: &str, value| Entry {
        key: key.to_owned(),
        value,
    };
    let count = |word: &str, count| Count {
        word: word.to_owned(),
        count,
    };
    let rows = [entry("a", count("x, y", 1)), entry("b", count("z", 2))];
    assert_eq!(csv(&rows), "key,word,count\na,\"x, y\",1\nb,z,2\n");
    let twice = Entry {
        key: count("x", 1),
        value: count("y", 2),
    };
    let expected = "key.word,key.count,value.word,value.count\nx,1,y,2\n";
    assert_eq!(csv(&[twice]), expected);
    let pair = Entry {
        key: (1_u8, 2_u8),
        value: 0.1_f32,
    };
    assert_eq!(csv(&[pair]), "key.0,key.1,value\n1,2,0.1\n");
}

#[test]
fn what_is_not_there_leaves_its_cells_empty() {
    let airport = Airport {
        code: "JFK".to_owned(),
        gates: (1, 60),
    };
    let stats = Stats {
        flights: 2,
        delay: 1.0,
        from: Some(airport),
    };
    let change = |key, value| stream_core::ops::Change { key, value };
    let none = Stats::default();
    let rows = [
        change(1_u8, None),
        change(2, Some(none)),
        change(3, Some(stats)),
    ];
    let header = "key,value.flights,value.delay,value.from.code,value.from.gates.0,\
                  value.from.gates.1";
    let expected = format!("{header}\n1,,,,,\n2,0,0.0,,,\n3,2,1.0,JFK,1,60\n");
    assert_eq!(csv(&rows), expected);
}

#[test]
fn a_list_within_a_table_is_refused_by_its_field() {
    let folder = tempfile::tempdir().unwrap();
    let sink = files::to_csv(folder.path().join("a.csv"));
    let mut writer = sink.open(Slot::new(0, 1)).unwrap();
    let entry = Entry {
        key: 1_u8,
        value: vec![1_u8],
    };
    let problem = writer.write(&mut vec![entry]).unwrap_err().to_string();
    assert!(
        problem.starts_with("CSV cannot hold the field `value` of"),
        "{problem}"
    );
}

#[test]
fn tuples_have_their_numbers_for_a_header_and_are_read_back() {
    assert_eq!(csv::<(u8, Option<u8>)>(&[]), "0,1\n");
    let rows = [(1_u8, Some(2_u8)), (3, None)];
    assert_eq!(csv(&rows), "0,1\n1,2\n3,\n");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    fs::write(&path, csv(&rows)).unwrap();
    contract::source(|| files::csv(&path), &[rows.to_vec()]);
}

#[test]
fn files_give_every_row_once_through_crashes() {
    for name in ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst", ""] {
        contract::sink_recovers(
            || tempfile::tempdir().unwrap(),
            |folder| files::to_json_lines(format!("{}/{name}", folder.path().display())),
            |folder| {
                let hidden = names(folder.path())
                    .into_iter()
                    .find(|name| name.starts_with('.'));
                assert_eq!(hidden, None, "something is left over");
                seen(folder.path())
            },
            &counts(40),
        );
    }
    contract::sink_recovers(
        || tempfile::tempdir().unwrap(),
        |folder| files::to_csv(folder.path().join("a.csv")),
        |folder| {
            let file = fs::read(folder.path().join("a.csv")).unwrap_or_default();
            csv::Reader::from_reader(&file[..])
                .deserialize()
                .map(Result::unwrap)
                .collect()
        },
        &counts(40),
    );
}
