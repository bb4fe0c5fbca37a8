//! Files as sources: every way to name them, every way in which they can be bad.
#![cfg(feature = "files")]
#![allow(clippy::unwrap_used, reason = "what a test cannot do without fails it")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};

use serde::Deserialize;
use stream_core::io::{
    BadRecord, Chunk, Opening, Position, ReadStatus, Reader, Source, Waker, files,
};
use stream_core::prelude::*;
use stream_core::testing::contract::{self, WAIT_MAX};
use stream_core::time::Clock;
use stream_core::{Problem, io};
use tempfile::TempDir;

#[derive(Clone, Debug, Deserialize, PartialEq)]
struct Click {
    user: u32,
    page: String,
}

fn click(user: u32, page: &str) -> Click {
    Click {
        user,
        page: page.to_owned(),
    }
}

/// A folder with the given files.
fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    folder
}

/// A folder with one file, and the file's path.
fn file(name: &str, content: &[u8]) -> (TempDir, PathBuf) {
    let folder = folder(&[(name, content)]);
    let path = folder.path().join(name);
    (folder, path)
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn zstd(content: &[u8]) -> Vec<u8> {
    zstd::encode_all(content, 1).unwrap()
}

fn open<T: 'static>(source: &impl Source<T>) -> (Box<dyn Reader<T>>, Receiver<()>) {
    let (wake, woken) = channel();
    let waker = Waker::new(move || wake.send(()).unwrap_or_default());
    let opening = Opening {
        goes_on: false,
        from: Position::START,
        waker,
        clock: Clock::by_hand(),
    };
    (source.open(0, opening).unwrap(), woken)
}

/// Reads the first partition to its end; gives what was read, and the problem that ended it.
fn read<T: 'static>(source: impl Source<T>) -> (Chunk<T>, Option<Problem>) {
    let mut chunk = Chunk::default();
    if let Err(problem) = source.partitions() {
        return (chunk, Some(problem));
    }
    let (mut reader, woken) = open(&source);
    loop {
        match reader.read(100, &mut chunk) {
            Ok(ReadStatus::Waiting) => woken.recv_timeout(WAIT_MAX).expect("woken in time"),
            Ok(ReadStatus::Ended) => return (chunk, None),
            Ok(_) => {}
            Err(problem) => return (chunk, Some(problem)),
        }
    }
}

fn problem<T: 'static>(source: impl Source<T>) -> String {
    read(source).1.expect("a problem").to_string()
}

/// The one bad record of a source.
fn bad<T: 'static>(source: impl Source<T>) -> BadRecord {
    let (chunk, problem) = read(source);
    assert!(problem.is_none(), "{problem:?}");
    assert_eq!(chunk.bad().len(), 1, "{:?}", chunk.bad());
    chunk.bad()[0].clone()
}

/// The message of a bad record, without the folder.
fn message(bad: &BadRecord) -> String {
    let name = Path::new(&bad.place).file_name().unwrap().to_str().unwrap();
    BadRecord {
        place: name.to_owned(),
        ..bad.clone()
    }
    .to_string()
}

// What is read.

#[test]
fn csv_is_read_alike_plain_and_compressed_in_several_members() {
    let rows: Vec<Click> = (0..20_000)
        .map(|user| click(user, "/a,\"b\"\n/c"))
        .collect();
    let mut text = String::from("user,page\r\n");
    for row in &rows {
        text += &format!("{},\"/a,\"\"b\"\"\n/c\"\r\n", row.user);
    }
    let (half, rest) = text.as_bytes().split_at(text.len() / 2);
    let folder = folder(&[
        ("a.csv", text.as_bytes()),
        ("b.csv.gz", &[gzip(half), gzip(rest)].concat()),
        ("c.csv.zst", &[zstd(half), zstd(rest)].concat()),
    ]);
    for name in ["a.csv", "b.csv.gz", "c.csv.zst"] {
        let (chunk, problem) = read(files::csv::<Click>(folder.path().join(name)));
        assert!(
            problem.is_none() && chunk.bad().is_empty(),
            "{name}: {problem:?}"
        );
        assert!(chunk.records().eq(&rows), "{name}");
    }
}

#[test]
fn a_folder_keeps_the_contract_of_sources_and_hides_what_is_hidden() {
    let folder = folder(&[
        (
            "a.jsonl",
            b"{\"user\":1,\"page\":\"/a\"}\n\n  \r\n{\"user\":2,\"page\":\"/b\"}",
        ),
        ("b.jsonl", b""),
        ("c.jsonl.gz", &gzip(b"{\"user\":3,\"page\":\"/c\"}\r\n")),
        (".hidden.jsonl", b"no record\n"),
        ("inner/d.jsonl", b"no record\n"),
    ]);
    let expected = [
        vec![click(1, "/a"), click(2, "/b")],
        vec![],
        vec![click(3, "/c")],
    ];
    contract::source(|| files::json_lines::<Click>(folder.path()), &expected);
    let names = files::json_lines::<Click>(folder.path())
        .partitions()
        .unwrap();
    assert_eq!(names, ["a.jsonl", "b.jsonl", "c.jsonl.gz"]);
    let in_sequence = || files::json_lines::<Click>(folder.path()).in_sequence();
    contract::source(in_sequence, &[expected.concat()]);
}

#[test]
fn csv_in_sequence_counts_on_across_files() {
    let folder = folder(&[
        ("1.csv", b"user,page\n1,/a\n\n2,/b\n"),
        ("10.csv", b"page,user\n/c,3"),
        ("9.csv", b"user,page\n"),
    ]);
    let make = || files::csv::<Click>(folder.path().join("*.csv")).in_sequence();
    contract::source(
        make,
        &[vec![click(1, "/a"), click(2, "/b"), click(3, "/c")]],
    );
}

#[test]
fn a_delimiter_and_a_missing_header_can_be_named() {
    let (_folder, path) = file("clicks.csv", b"\xEF\xBB\xBF1;/a\n2;/b\n");
    let make = || {
        files::csv::<(u32, String)>(&path)
            .delimiter(b';')
            .without_header()
    };
    contract::source(make, &[vec![(1, "/a".to_owned()), (2, "/b".to_owned())]]);
}

#[test]
fn files_of_one_name_in_different_folders_are_told_apart_by_their_paths() {
    let folder = folder(&[("a/x.jsonl", b"1\n"), ("b/x.jsonl", b"2\n")]);
    let pattern = folder.path().join("*/x.jsonl");
    contract::source(|| files::json_lines::<u8>(&pattern), &[vec![1], vec![2]]);
}

#[test]
fn the_bytes_that_were_read_are_counted() {
    let (_folder, path) = file("clicks.csv", b"user,page\n1,/a\n2,/b\n");
    let (chunk, _) = read(files::csv::<Click>(path));
    assert_eq!(format!("{chunk:?}").split("bytes: ").last(), Some("20 }"));
}

// Files that are not there, or not whole.

#[test]
fn a_missing_file_is_a_problem() {
    let folder = folder(&[]);
    let absolute = problem(files::csv::<Click>(folder.path().join("none.csv")));
    let expected = "none.csv`: there is no such file or folder (hint: check the path; `*` and `?` \
                    make it a pattern)";
    assert!(
        absolute.starts_with("cannot open `/") && absolute.ends_with(expected),
        "{absolute}"
    );
    let relative = problem(files::csv::<Click>("none.csv"));
    assert!(
        relative.contains("(hint: the path is taken from `/"),
        "{relative}"
    );
}

#[test]
fn a_pattern_without_a_match_and_an_empty_folder_are_problems() {
    let folder = folder(&[(".hidden", b"x"), ("inner/a.csv", b"x")]);
    let none = problem(files::csv::<Click>(folder.path().join("*.csv")));
    assert!(
        none.starts_with("no file matches `/") && none.contains("hint"),
        "{none}"
    );
    let empty = problem(files::csv::<Click>(folder.path()));
    assert!(
        empty.contains("holds no file to read (hint: hidden files"),
        "{empty}"
    );
    let wrong = problem(files::csv::<Click>("[.csv"));
    assert!(wrong.starts_with("`[.csv` is no pattern: "), "{wrong}");
}

#[test]
fn too_many_files_side_by_side_are_refused_with_the_remedy() {
    let folder = folder(&[]);
    for number in 0..=files::MAX_PARALLEL_FILES {
        fs::write(folder.path().join(format!("{number}.jsonl")), "1\n").unwrap();
    }
    let problem = problem(files::json_lines::<u8>(folder.path()));
    let expected = "stands for 257 files: at most 256 are read side by side (hint: read them one \
                    after the other by `.in_sequence()`, or join some)";
    assert!(problem.ends_with(expected), "{problem}");
    let (chunk, problem) = read(files::json_lines::<u8>(folder.path()).in_sequence());
    assert!(problem.is_none() && chunk.len() == 257);
}

#[test]
fn a_csv_file_of_a_header_alone_or_of_nothing_has_no_records() {
    for text in ["", "\n", "user,page\n", "user,page"] {
        let (_folder, path) = file("empty.csv", text.as_bytes());
        contract::source(|| files::csv::<Click>(&path), &[vec![]]);
    }
    let (_folder, path) = file("empty.csv", b"");
    contract::source(|| files::csv::<Click>(&path).without_header(), &[vec![]]);
}

#[test]
fn a_compressed_file_cut_short_is_a_problem_after_its_whole_rows() {
    let text: String = (0..50_000).map(|number| format!("{number}\n")).collect();
    let text = text.as_bytes();
    for (name, whole) in [("a.jsonl.gz", gzip(text)), ("a.jsonl.zst", zstd(text))] {
        let (_folder, path) = file(name, &whole[..whole.len() * 3 / 4]);
        let (chunk, problem) = read(files::json_lines::<u64>(path));
        let problem = problem.expect("a problem").to_string();
        let expected = format!(
            "{name}` is cut short: its compressed data end after {} whole rows (hint: fetch the \
             file again)",
            chunk.len(),
        );
        assert!(problem.ends_with(&expected), "{problem}");
        assert!(chunk.bad().is_empty() && chunk.len() < 50_000);
        assert!(chunk.records().copied().eq(0..chunk.len() as u64), "{name}");
    }
}

#[test]
fn a_name_that_lies_about_compression_is_a_problem() {
    for name in ["a.jsonl.gz", "a.jsonl.zst"] {
        let (_folder, path) = file(name, b"{\"plain\":\"text that is long enough\"}\n");
        let problem = problem(files::json_lines::<u64>(path));
        assert!(problem.starts_with("cannot decompress `"), "{problem}");
        assert!(
            problem.contains("(hint: the end of its name says how"),
            "{problem}"
        );
    }
}

#[test]
fn a_quote_that_is_never_closed_is_a_problem() {
    let (_folder, path) = file("a.csv", b"user,page\n1,\"/a\n2,/b\n");
    let problem = problem(files::csv::<Click>(path));
    assert!(
        problem.contains("a.csv` ends inside a quoted field (hint: close"),
        "{problem}"
    );
}

#[test]
fn a_row_without_end_is_a_problem_and_not_all_of_memory() {
    let (_folder, path) = file("a.jsonl", &vec![b'x'; 17 << 20]);
    let problem = problem(files::json_lines::<u8>(path));
    assert!(
        problem.contains("a.jsonl` has a row of more than 16 MiB (hint: "),
        "{problem}"
    );
}

#[test]
fn a_delimiter_that_means_something_else_is_a_problem() {
    let problem = problem(files::csv::<Click>("a.csv").delimiter(b'"'));
    assert!(
        problem.starts_with("'\"' cannot separate fields (hint: take"),
        "{problem}"
    );
}

// Rows that are no records.

#[test]
fn a_header_that_lacks_a_field_is_a_problem_that_lists_the_fields() {
    let (_folder, path) = file("a.csv", b"id,page\n1,/a\n");
    let problem = problem(files::csv::<Click>(path));
    let expected = "a.csv`, line 1: the header has no field `user`: it has `id`, `page` (hint: \
                    name the field by `#[serde(rename = \"\u{2026}\")]`, set \
                    `.delimiter(\u{2026})`, or, if the first row is a record, \
                    `.without_header()`)";
    assert!(problem.ends_with(expected), "{problem}");
}

#[test]
fn csv_names_the_line_column_and_field_of_what_does_not_fit() {
    let cases: [(&[u8], &str); 6] = [
        (
            b"page,user\r\n/a,1\r\n\r\n\"/\n\xC3\xA4\",zwei\r\n/c,3",
            "5:4, field `user`: expected a whole number, found `zwei`",
        ),
        (
            b"user,page\n1,/a\n4294967296,/b\n",
            "3:1, field `user`: `4294967296` is too large for the field's type",
        ),
        (
            b"user,page\n-1,/a\n",
            "2:1, field `user`: expected a whole number of 0 or more, found `-1`",
        ),
        (
            b"user,page\n,/a\n",
            "2:1, field `user`: expected a whole number, found nothing",
        ),
        (
            b"user,page\n1,/\xFF\n",
            "2:3, field `page`: expected UTF-8, found `/\u{FFFD}`",
        ),
        (
            b"user,page\n1,/a\n2\n",
            "3: the row has 1 fields, the header has 2",
        ),
    ];
    for (text, expected) in cases {
        let (_folder, path) = file("a.csv", text);
        let message = message(&bad(files::csv::<Click>(path)));
        assert_eq!(message, format!("bad record at a.csv:{expected}"));
    }
}

#[test]
fn csv_names_the_field_when_a_type_of_its_own_refuses_the_value() {
    #[derive(Debug, Deserialize)]
    struct Timed {
        #[serde(rename = "user")]
        _user: u32,
        #[serde(rename = "at")]
        _at: EventTime,
    }
    let (_folder, path) = file("a.csv", b"user,at\n1,yesterday\n");
    let record = bad(files::csv::<Timed>(path));
    assert_eq!(
        (record.line, record.column, record.field.as_deref()),
        (2, Some(3), Some("at"))
    );
    assert!(
        record
            .reason
            .starts_with("`yesterday` is no time: expected RFC 3339"),
        "{record}"
    );
    assert_eq!(record.text, "1,yesterday");
}

#[test]
fn csv_blames_no_field_when_a_type_refuses_the_whole_row() {
    #[derive(Debug, Deserialize)]
    #[serde(try_from = "Click")]
    struct Member;

    impl TryFrom<Click> for Member {
        type Error = String;

        fn try_from(click: Click) -> Result<Self, String> {
            Err(format!("{} is no member", click.user))
        }
    }
    let (_folder, path) = file("a.csv", b"user,page\n1,/a\n");
    let message = message(&bad(files::csv::<Member>(path)));
    assert_eq!(message, "bad record at a.csv:2: 1 is no member");
}

#[test]
fn csv_counts_lines_across_pieces() {
    let mut text = String::from("user,page\n");
    (0..40_000).for_each(|user| text += &format!("{user},/a\n"));
    text += "x,/a\n";
    let (_folder, path) = file("a.csv", text.as_bytes());
    assert_eq!(bad(files::csv::<Click>(path)).line, 40_002);
}

/// Every tenth row is no UTF-8, in several pieces.
fn partly_latin_1() -> (TempDir, PathBuf) {
    let mut text = b"user,page\n".to_vec();
    for user in 0..40_000 {
        let page: &[u8] = if user % 10 == 3 {
            b"/\xE4"
        } else {
            b"/\xC3\xA4"
        };
        text.extend_from_slice(format!("{user},").as_bytes());
        text.extend_from_slice(page);
        text.push(b'\n');
    }
    file("a.csv", &text)
}

#[test]
fn csv_reads_on_behind_rows_that_are_not_utf8() {
    let (_folder, path) = partly_latin_1();
    let (chunk, problem) = read(files::csv::<Click>(path));
    assert!(problem.is_none(), "{problem:?}");
    let good = (0..40_000).filter(|user| user % 10 != 3);
    assert!(
        chunk
            .records()
            .cloned()
            .eq(good.map(|user| click(user, "/ä")))
    );
    let messages = chunk.bad().iter().map(message);
    let expected = (0..4_000).map(|bad| {
        let line = bad * 10 + 5;
        let column = (bad * 10 + 3).to_string().len() + 2;
        format!(
            "bad record at a.csv:{line}:{column}, field `page`: expected UTF-8, found `/\u{FFFD}`"
        )
    });
    assert!(messages.eq(expected));
}

#[test]
fn csv_that_is_not_utf8_is_read_by_types_that_do_not_ask_for_text() {
    #[derive(Debug, Deserialize, PartialEq)]
    struct User {
        user: u32,
    }
    let (_folder, path) = partly_latin_1();
    let (chunk, problem) = read(files::csv::<User>(path));
    assert!(problem.is_none() && chunk.bad().is_empty(), "{problem:?}");
    assert!(chunk.records().map(|row| row.user).eq(0..40_000));

    let (_folder, path) = file("b.csv", b"user,\xE4\n1,a\n2,\xE4\n");
    let (chunk, problem) = read(files::csv::<(u32, String)>(path));
    assert!(problem.is_none(), "{problem:?}");
    assert_eq!(chunk.records().collect::<Vec<_>>(), [&(1, "a".to_owned())]);
    let expected = "bad record at b.csv:3:3, field `\u{FFFD}`: expected UTF-8, found `\u{FFFD}`";
    assert_eq!(message(&chunk.bad()[0]), expected);
}

#[test]
fn json_lines_name_the_line_column_and_field_of_what_does_not_fit() {
    #[derive(Debug, Deserialize)]
    struct Cart {
        #[serde(rename = "items")]
        _items: Vec<Click>,
    }
    let cases: [(&[u8], &str); 4] = [
        (
            b"{\"items\":[]}\n\n{\"items\":[{\"user\":-1,\"page\":\"/\"}]}\n",
            "3:20, field `items[0].user`: invalid value: integer `-1`, expected u32",
        ),
        (
            b"{\"item\":[]}\n",
            "1:11, field `items`: missing field `items`",
        ),
        (
            b"{\"items\":\"\xFF\"}\n",
            "1:11: expected UTF-8, found other bytes",
        ),
        (
            b"{\"items\":[\n",
            "1:10, field `items`: EOF while parsing a list (hint: a line holds one whole JSON \
             value; `jq -c .` writes them so)",
        ),
    ];
    for (text, expected) in cases {
        let (_folder, path) = file("a.jsonl", text);
        let message = message(&bad(files::json_lines::<Cart>(path)));
        assert_eq!(message, format!("bad record at a.jsonl:{expected}"));
    }
}

#[test]
fn rows_that_are_larger_than_a_read_all_come() {
    let folder = tempfile::tempdir().unwrap();
    for size in [300_000, 400_000, 1_500_000] {
        let text = "x".repeat(size);
        let rows = 24_000_000 / size;
        let json = folder.path().join("large.jsonl");
        std::fs::write(&json, format!("\"{text}\"\n").repeat(rows)).unwrap();
        let csv = folder.path().join("large.csv");
        std::fs::write(&csv, format!("text\n{}", format!("{text}\n").repeat(rows))).unwrap();
        for workers in [1, 2] {
            let count = |graph: &Graph| {
                let json = graph.input::<String>("json");
                let csv = graph.input::<Large>("csv").map(|row| row.text);
                graph.output("lengths", json.union(csv).map(|text| text.len()));
            };
            let (sink, lengths) = io::collect::<usize>();
            let job = Job::new("large", count)
                .source("json", files::json_lines::<String>(&json))
                .source("csv", files::csv::<Large>(&csv))
                .sink("lengths", sink);
            job.workers(workers).run(Mode::Batch).unwrap();
            assert_eq!(lengths.take(), vec![size; 2 * rows], "rows of {size} bytes");
        }
    }
}

#[derive(Deserialize)]
struct Large {
    text: String,
}

/// A field with another name is read by the `csv` crate, the others are not.
#[derive(Clone, Debug, PartialEq, PartialOrd, serde::Deserialize)]
struct Flight {
    #[serde(alias = "airline")]
    carrier: String,
    tail: Option<String>,
    delay: Option<f64>,
}

#[test]
fn texts_that_mean_nothing_are_none_where_there_may_be_none() {
    for text in ["carrier", "airline"] {
        let text = format!("{text},tail,delay\nNA,N1,1.5\nUA,NA,NA\n-,-,\n\"NA\",\"NA\",2\n");
        let (_folder, path) = file("flights.csv", text.as_bytes());
        let flight = |carrier: &str, tail: Option<&str>, delay| Flight {
            carrier: carrier.to_owned(),
            tail: tail.map(str::to_owned),
            delay,
        };
        let flights = vec![
            flight("NA", Some("N1"), Some(1.5)),
            flight("UA", None, None),
            flight("-", None, None),
            flight("NA", None, Some(2.0)),
        ];
        let source = || files::csv::<Flight>(&path).nulls(["NA", "", "-"]);
        contract::source(source, &[flights]);
    }
    let (_folder, path) = file("pairs.csv", b"1,NA\nNA,2\n");
    let source = || files::csv::<(Option<u8>, Option<u8>)>(&path).nulls(["NA"]);
    contract::source(
        || source().without_header(),
        &[vec![(Some(1), None), (None, Some(2))]],
    );
}

#[test]
fn nan_and_inf_are_no_numbers_unless_they_are_nulls() {
    #[derive(Clone, Debug, Deserialize, PartialEq)]
    struct Rest {
        celsius: Option<f32>,
    }
    #[derive(Clone, Debug, Deserialize, PartialEq)]
    struct Weather {
        name: String,
        wind: f64,
        #[serde(flatten)]
        rest: Rest,
    }
    #[derive(Clone, Debug, Deserialize, PartialEq)]
    struct Plain {
        name: String,
        wind: f64,
        celsius: Option<f32>,
    }
    for text in ["nan", "NaN", "inf", "-Infinity", "1e999"] {
        let rows = format!("name,wind,celsius\nnan,1,2\ninf,2,{text}\nx,{text},3\n");
        let (_folder, path) = file("a.csv", rows.as_bytes());
        let wind = format!(
            "bad record at a.csv:4:3, field `wind`: expected a finite number, found `{text}`"
        );
        let celsius = format!(
            "bad record at a.csv:3:7, field `celsius`: expected a finite number, found `{text}`"
        );
        let both = [celsius, wind.clone()];
        let told = |bad: &BadRecord| {
            message(bad)
                .split(" (hint: where")
                .next()
                .map(str::to_owned)
        };
        let all = |bad: &[BadRecord]| bad.iter().filter_map(told).collect::<Vec<_>>();
        assert_eq!(all(read(files::csv::<Plain>(&path)).0.bad()), both);
        assert_eq!(
            all(read(files::csv::<Plain>(&path).nulls([text])).0.bad()),
            [wind]
        );
        let (chunk, _) = read(files::csv::<Weather>(&path));
        assert_eq!(all(chunk.bad()), both);
    }
}

#[test]
fn a_text_that_usually_means_no_value_names_the_setting_for_it() {
    #[derive(Clone, Debug, Deserialize)]
    #[allow(dead_code)]
    struct Row {
        count: u32,
        wind: Option<f64>,
        at: Option<EventTime>,
    }
    let text = b"count,wind,at\n1,NA,\n2,, NULL\nn/a,,\n1,zwei,\n1,nan,\n";
    let (_folder, path) = file("a.csv", text);
    let hints: Vec<_> = read(files::csv::<Row>(&path))
        .0
        .bad()
        .iter()
        .map(|bad| bad.hint.clone().unwrap_or_default())
        .collect();
    let hint = |text: &str, option: &str| {
        format!(
            "where it stands for no value, say so by `.nulls([\"{text}\"])` on the source{option}; \
             or leave such records out by `.skip_bad_records()`"
        )
    };
    let option = " and an `Option` for the field";
    let expected = [
        hint("NA", ""),
        hint(" NULL", ""),
        hint("n/a", option),
        String::new(),
        hint("nan", ""),
    ];
    assert_eq!(hints, expected);
}
