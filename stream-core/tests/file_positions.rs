//! Positions in files: going on behind any row gives the rest, and a file that is no longer the one
//! that was read is refused.
#![cfg(feature = "files")]
#![allow(clippy::unwrap_used, reason = "what a test cannot do without fails it")]

mod common;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;

use common::{MODES, parts, sorted, until_read};
use serde::Deserialize;
use stream_core::io::{self, Chunk, Opening, Position, ReadStatus, Source, Waker, files};
use stream_core::prelude::*;
use stream_core::testing::contract::{self, WAIT_MAX};
use stream_core::time::Clock;
use stream_core::{Problem, Snapshot};
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

/// A folder with files in it, whose path does not stand in messages.
struct Folder(TempDir);

impl Folder {
    fn of(files: &[(&str, &[u8])]) -> Self {
        let folder = Folder(tempfile::tempdir().unwrap());
        files
            .iter()
            .for_each(|(name, content)| folder.write(name, content));
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: &[u8]) {
        fs::write(self.path(name), packed(name, content)).unwrap();
    }

    /// Writes behind what a file holds: another member, where it is compressed.
    fn append(&self, name: &str, content: &[u8]) {
        let mut file = fs::OpenOptions::new()
            .append(true)
            .open(self.path(name))
            .unwrap();
        file.write_all(&packed(name, content)).unwrap();
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).unwrap();
    }

    fn told(&self, problem: &Problem) -> String {
        let folder = format!("{}/", self.0.path().display());
        problem.to_string().replace(&folder, "")
    }
}

/// The content as a file of that name holds it.
fn packed(name: &str, content: &[u8]) -> Vec<u8> {
    match Path::new(name).extension().unwrap().to_str() {
        Some("gz") => {
            let fast = flate2::Compression::fast();
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), fast);
            encoder.write_all(content).unwrap();
            encoder.finish().unwrap()
        }
        Some("zst") => zstd::encode_all(content, 1).unwrap(),
        _ => content.to_owned(),
    }
}

/// Reads the first partition from a position on: so many rows, or all. Gives them with the position
/// behind each.
fn read_from<T: 'static>(
    source: &impl Source<T>,
    from: Position,
    rows: usize,
) -> Result<(Chunk<T>, Vec<Position>), Problem> {
    source.partitions()?;
    let (wake, woken) = channel();
    let opening = Opening {
        goes_on: false,
        from,
        waker: Waker::new(move || wake.send(()).unwrap_or_default()),
        clock: Clock::by_hand(),
    };
    let mut reader = source.open(0, opening)?;
    let (mut chunk, mut positions) = (Chunk::default(), Vec::new());
    while chunk.len() < rows {
        let before = chunk.len();
        let status = reader.read(1, &mut chunk)?;
        if chunk.len() > before {
            positions.push(reader.position()?);
        }
        match status {
            ReadStatus::Waiting => woken.recv_timeout(WAIT_MAX).expect("woken in time"),
            ReadStatus::Ended => break,
            _ => {}
        }
    }
    Ok((chunk, positions))
}

/// The position behind so many rows.
fn behind<T: 'static>(source: &impl Source<T>, rows: usize) -> Position {
    let (chunk, mut positions) = read_from(source, Position::START, rows).unwrap();
    assert_eq!(chunk.len(), rows);
    positions.pop().unwrap_or(Position::START)
}

/// Checks that going on behind every row gives the rest: the same records, messages and positions.
fn going_on_gives_the_rest<T: std::fmt::Debug + PartialEq + 'static>(source: &impl Source<T>) {
    let messages =
        |chunk: &Chunk<T>| -> Vec<String> { chunk.bad().iter().map(ToString::to_string).collect() };
    let (all, positions) = read_from(source, Position::START, usize::MAX).unwrap();
    let (records, bad) = (all.records().collect::<Vec<_>>(), messages(&all));
    assert!(positions.len() > 1);
    for (index, position) in positions.iter().enumerate() {
        let (rest, behind) = read_from(source, position.clone(), usize::MAX).unwrap();
        assert_eq!(
            rest.len(),
            all.len() - index - 1,
            "behind row {}",
            index + 1
        );
        assert_eq!(behind, positions[index + 1..], "behind row {}", index + 1);
        let good = rest.records().collect::<Vec<_>>();
        assert!(records.ends_with(&good), "behind row {}", index + 1);
        assert!(bad.ends_with(&messages(&rest)), "{:?}", messages(&rest));
    }
}

/// What going on behind so many rows says after the files have been changed.
fn refused<T: 'static>(
    folder: &Folder,
    source: &impl Source<T>,
    rows: usize,
    change: impl FnOnce(),
) -> String {
    let position = behind(source, rows);
    change();
    match read_from(source, position, usize::MAX) {
        Ok((chunk, _)) => panic!("{} rows were read", chunk.len()),
        Err(problem) => folder.told(&problem),
    }
}

/// Rows of numbers, so many that they fill several fingerprints.
fn numbers(range: std::ops::Range<u32>) -> Vec<u8> {
    range
        .flat_map(|n| format!("{n:06}\n").into_bytes())
        .collect()
}

const PACKINGS: [&str; 3] = ["", ".gz", ".zst"];

// Going on.

#[test]
fn csv_goes_on_behind_every_row_of_whatever_shape() {
    let texts: [&[u8]; 6] = [
        b"user,page\n1,/a\n2,/b\n3,/c\n",
        b"\xEF\xBB\xBF\n\r\nuser,page\r\n1,\"/a\n\n,\"\r\n\r\n2,\"/b\"\r\n\n\n3,/c",
        b"\"user\",\"page\"\n1,\"/\"\"a\n\"\"\"\n2,/b\n\n",
        b"page,user\r/a,1\r/b,2\r\r/c,3",
        b"user,page\n1,/a\n\nx,\"/\n\"\n3\n\"4\n\",/d\n5,/\xFF\n6,/e\n",
        b"\xEF\xBB\xBFuser,page\n1,\n2,",
    ];
    for (text, packing) in texts
        .iter()
        .flat_map(|text| PACKINGS.map(|end| (text, end)))
    {
        let name = format!("a.csv{packing}");
        let folder = Folder::of(&[(&name, text)]);
        let path = folder.path(&name);
        going_on_gives_the_rest(&files::csv::<Click>(&path));
        going_on_gives_the_rest(&files::csv::<Click>(&path).in_sequence());
        let bare = files::csv::<(String, String)>(&path).without_header();
        going_on_gives_the_rest(&bare);
    }
}

#[test]
fn json_lines_go_on_behind_every_row() {
    let texts: [&[u8]; 4] = [
        b"1\n2\n3\n",
        b"\xEF\xBB\xBF1\r\n\n  \n2\r\n\n\n3",
        b"1\nx\n\n\n-1\n\n3\n\xFF\n5\n\n",
        b"\n\n1\n2",
    ];
    for (text, packing) in texts
        .iter()
        .flat_map(|text| PACKINGS.map(|end| (text, end)))
    {
        let name = format!("a.jsonl{packing}");
        let folder = Folder::of(&[(&name, text)]);
        going_on_gives_the_rest(&files::json_lines::<u8>(folder.path(&name)));
    }
}

#[test]
fn positions_keep_the_contract_in_every_packing_in_parallel_and_in_sequence() {
    let json: String = (0..600).map(|n| format!("{n}\n\n")).collect();
    let mut csv = String::from("\u{FEFF}\"page\n\",user\n");
    (0..600).for_each(|user| csv += &format!("\"/\n{user}\",{user}\r\n"));
    let clicks: Vec<(String, u32)> = (0..600).map(|user| (format!("/\n{user}"), user)).collect();
    let numbers: Vec<u32> = (0..600).collect();
    for packing in PACKINGS {
        let name = |name: &str| format!("{name}{packing}");
        let folder = Folder::of(&[
            (&name("1.csv"), csv.as_bytes()),
            (&name("2.csv"), b"page,user\n"),
            (&name("3.csv"), csv.as_bytes()),
            (&name("1.jsonl"), json.as_bytes()),
            (&name("2.jsonl"), b"\n"),
            (&name("3.jsonl"), json.as_bytes()),
        ]);
        let csv = || files::csv::<(String, u32)>(folder.path("*.csv*"));
        let expected = [clicks.clone(), vec![], clicks.clone()];
        contract::source(csv, &expected);
        contract::source(|| csv().in_sequence(), &[expected.concat()]);
        let json = || files::json_lines::<u32>(folder.path("*.jsonl*"));
        let expected = [numbers.clone(), vec![], numbers.clone()];
        contract::source(json, &expected);
        contract::source(|| json().in_sequence(), &[expected.concat()]);
    }
}

#[test]
fn many_pieces_are_gone_on_with_from_wherever() {
    for name in ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst"] {
        let folder = Folder::of(&[(name, &numbers(100_000..130_000))]);
        let source = files::json_lines::<u32>(folder.path(name));
        let (all, positions) = read_from(&source, Position::START, usize::MAX).unwrap();
        let records: Vec<_> = all.records().collect();
        for index in [146, 18_723, 18_724, 24_998, 24_999] {
            let from = positions[index].clone();
            let (rest, behind) = read_from(&source, from, usize::MAX).unwrap();
            assert!(rest.records().eq(records[index + 1..].iter().copied()));
            assert!(behind == positions[index + 1..], "{name}, behind {index}");
        }
    }
}

#[test]
fn csv_counts_lines_on_from_where_it_goes_on() {
    let mut text = String::from("user,page\n");
    (0..30_000).for_each(|user| text += &format!("{user},\"/\n\"\n"));
    text += "x,/\n";
    for packing in PACKINGS {
        let name = format!("a.csv{packing}");
        let folder = Folder::of(&[(&name, text.as_bytes())]);
        let source = files::csv::<Click>(folder.path(&name));
        for rows in [200, 20_000] {
            let position = behind(&source, rows);
            let (rest, _) = read_from(&source, position, usize::MAX).unwrap();
            assert_eq!(rest.len(), 30_001 - rows);
            assert_eq!(rest.bad()[0].line, 60_002);
        }
    }
}

#[test]
fn a_first_row_longer_than_a_piece_is_read_again() {
    let long = "x".repeat(300_000);
    let text = format!("\n\n\"{long}\n\",user,page\n,1,/a\n,2,/b\n3\n,4,/d\n");
    for packing in PACKINGS {
        let name = format!("a.csv{packing}");
        let folder = Folder::of(&[(&name, text.as_bytes())]);
        going_on_gives_the_rest(&files::csv::<Click>(folder.path(&name)));
    }
}

#[test]
fn in_sequence_goes_on_across_files_and_does_not_open_those_before() {
    let folder = Folder::of(&[
        ("1.csv", b"user,page\n1,/a\n\n2,/b\n"),
        ("2.csv", b"user,page\n"),
        ("9.csv", b"page,user\n/c,3\n/d,x\n"),
        ("10.csv", b"\xEF\xBB\xBFuser,page\n5,/e"),
    ]);
    let source = files::csv::<Click>(folder.path("*.csv")).in_sequence();
    going_on_gives_the_rest(&source);

    let position = behind(&source, 3);
    folder.write("1.csv", b"something else");
    folder.write("2.csv", b"");
    folder.write("11.csv", b"user,page\n6,/f\n");
    let (rest, _) = read_from(&source, position, usize::MAX).unwrap();
    let rest_of_all: Vec<_> = rest.records().cloned().collect();
    assert_eq!(rest_of_all, [click(5, "/e"), click(6, "/f")]);
    assert!(
        rest.bad()[0]
            .to_string()
            .contains("9.csv:3:4, field `user`")
    );
}

#[test]
fn a_file_that_has_grown_is_read_on() {
    for packing in PACKINGS {
        let name = format!("a.csv{packing}");
        let folder = Folder::of(&[(&name, b"user,page\n1,/a\n2,/b")]);
        let source = files::csv::<Click>(folder.path(&name));
        let position = behind(&source, 2);
        folder.append(&name, b"\n3,/c\n\n");
        let (rest, positions) = read_from(&source, position, usize::MAX).unwrap();
        assert_eq!(rest.records().collect::<Vec<_>>(), [&click(3, "/c")]);
        folder.append(&name, b"x,/d\n");
        let (rest, _) = read_from(&source, positions[0].clone(), usize::MAX).unwrap();
        assert!(rest.bad()[0].to_string().contains(":6:1, field `user`"));
    }
}

#[test]
fn what_a_file_that_was_cut_short_lacked_is_read_once_it_is_whole() {
    let whole = packed("a.jsonl.gz", &numbers(100_000..130_000));
    let folder = Folder::of(&[]);
    let path = folder.path("a.jsonl.gz");
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let source = files::json_lines::<u32>(&path);
    let position = behind(&source, 2_000);
    let problem = read_from(&source, position.clone(), usize::MAX).unwrap_err();
    let told = folder.told(&problem);
    let rows = told
        .strip_prefix("`a.jsonl.gz` is cut short: its compressed data end after ")
        .and_then(|told| told.split(' ').next()?.parse().ok());
    assert!(rows.is_some_and(|rows: u64| rows > 2_000), "{told}");
    fs::write(&path, &whole).unwrap();
    let (rest, _) = read_from(&source, position, usize::MAX).unwrap();
    assert!(rest.records().copied().eq(102_000..130_000));
}

// Files that are not those that were read.

#[test]
fn a_file_that_has_shrunk_is_refused() {
    for packing in PACKINGS {
        for (before, after) in [(10, 9), (1_000, 999), (1_000, 100), (1_000, 0)] {
            let name = format!("a.jsonl{packing}");
            let folder = Folder::of(&[(&name, &numbers(100_000..100_000 + before))]);
            let source = files::json_lines::<u32>(folder.path(&name));
            let told = refused(&folder, &source, before as usize, || {
                folder.write(&name, &numbers(100_000..100_000 + after));
            });
            let expected = format!(
                "`{name}` has shrunk: {} bytes of its content had been read, in {before} rows, and \
                 now it holds fewer (hint: put it back as it was, or start afresh, without the state)",
                before * 7
            );
            assert_eq!(told, expected);
        }
    }
}

#[test]
fn a_file_that_was_replaced_by_one_of_the_same_length_is_refused() {
    let original = numbers(100_000..101_000);
    let cases = [
        (0, "its first bytes"),
        (3_499, "the bytes before byte 3500"),
    ];
    for (packing, (place, which)) in PACKINGS
        .iter()
        .flat_map(|end| cases.map(|case| (end, case)))
    {
        let name = format!("a.jsonl{packing}");
        let folder = Folder::of(&[(&name, &original)]);
        let source = files::json_lines::<u32>(folder.path(&name));
        let told = refused(&folder, &source, 500, || {
            let mut other = original.clone();
            other[place] = b' ';
            folder.write(&name, &other);
        });
        let expected = format!(
            "`{name}` was replaced: {which} are not those that were read (hint: put it back as it \
             was and give the new file another name, or start afresh, without the state)"
        );
        assert_eq!(told, expected);
    }
}

#[test]
fn a_row_that_was_read_without_its_end_and_goes_on_is_refused() {
    for packing in PACKINGS {
        let name = format!("a.jsonl{packing}");
        let folder = Folder::of(&[(&name, b"1\n2\n3")]);
        let source = files::json_lines::<u32>(folder.path(&name));
        let told = refused(&folder, &source, 3, || folder.append(&name, b"4\n5\n"));
        let expected = format!(
            "`{name}` has grown within row 3: the row was read without a line end, and goes on now \
             (hint: end the row where it had ended, or start afresh, without the state)"
        );
        assert_eq!(told, expected);
    }
}

#[test]
fn a_file_that_is_gone_is_refused() {
    let folder = Folder::of(&[
        ("1.jsonl", b"1\n"),
        ("2.jsonl", b"2\n3\n"),
        ("3.jsonl", b"4\n"),
    ]);
    let source = files::json_lines::<u32>(folder.path("*.jsonl")).in_sequence();
    let told = refused(&folder, &source, 3, || folder.remove("2.jsonl"));
    let expected = "cannot go on behind row 2 of `2.jsonl`: it is not among the files any more \
                    (hint: put it back as it was, or start afresh, without the state)";
    assert_eq!(told, expected);
}

#[test]
fn other_files_before_the_position_are_refused() {
    let files: [(&str, &[u8]); 3] = [
        ("1.jsonl", b"1\n"),
        ("3.jsonl", b"2\n"),
        ("5.jsonl", b"3\n"),
    ];
    let changed = |change: fn(&Folder)| {
        let folder = Folder::of(&files);
        let source = files::json_lines::<u32>(folder.path("*.jsonl")).in_sequence();
        refused(&folder, &source, 3, || change(&folder))
    };
    let expected = "cannot go on behind row 1 of `5.jsonl`: `2.jsonl` stands before it and was not \
                    read (hint: give that file a name behind those that were read, or start afresh, \
                    without the state)";
    assert_eq!(changed(|folder| folder.write("2.jsonl", b"9\n")), expected);

    let expected = |found| {
        format!(
            "cannot go on behind row 1 of `5.jsonl`: the files before it are not those that were \
             read: there were 2, there are {found} (hint: put back what is gone, give what is new a \
             name behind those that were read, or start afresh, without the state)"
        )
    };
    assert_eq!(changed(|folder| folder.remove("3.jsonl")), expected(1));
    let renamed = changed(|folder| {
        folder.remove("3.jsonl");
        folder.write("4.jsonl", b"2\n");
    });
    assert_eq!(renamed, expected(2));
}

#[test]
fn a_position_of_another_kind_is_refused() {
    let folder = Folder::of(&[("a.jsonl", b"1\n")]);
    let source = files::json_lines::<u32>(folder.path("a.jsonl"));
    let problem = read_from(&source, Position::of(&3_u64).unwrap(), 1).unwrap_err();
    assert_eq!(
        problem.what(),
        "the position in a partition is not one of this source"
    );
}

// Jobs.

/// Hands on the numbers of a source, from a snapshot on if there is one.
fn job(source: impl Source<u32>, start: Option<Snapshot>) -> (Job, io::Rows<u32>) {
    let (sink, rows) = io::collect();
    let hand_on = |graph: &Graph| graph.output("numbers", graph.input::<u32>("numbers"));
    let job = Job::new("hand-on", hand_on).source("numbers", source);
    let job = job.sink("numbers", sink);
    match start {
        Some(start) => (job.start_from(start), rows),
        None => (job, rows),
    }
}

/// Stops a job amid its files; gives what it has written, and where it stands.
fn stopped(files: impl Source<u32>, mode: &str) -> (Vec<u32>, Snapshot) {
    let (job, rows) = job(files.rate(2_000.0), None);
    let handle = job.start(mode.parse().unwrap()).unwrap();
    until_read(&handle, "numbers", 100);
    handle.stop();
    let snapshot = handle.wait().unwrap().snapshot.unwrap();
    (rows.take(), snapshot)
}

#[test]
fn a_job_goes_on_with_files_in_every_mode_and_reads_what_was_appended() {
    for mode in MODES {
        for in_sequence in [false, true] {
            let folder = Folder::of(&[
                ("1.jsonl", &numbers(100_000..102_000)),
                ("2.jsonl.gz", &numbers(102_000..104_000)),
            ]);
            let files = || match in_sequence {
                true => files::json_lines::<u32>(folder.0.path()).in_sequence(),
                false => files::json_lines::<u32>(folder.0.path()),
            };
            let (mut written, snapshot) = stopped(files(), mode);
            folder.append("2.jsonl.gz", &numbers(104_000..104_500));
            let (job, rows) = job(files(), Some(snapshot));
            job.run(mode.parse().unwrap()).unwrap();
            written.extend(rows.take());
            assert!(sorted(written).into_iter().eq(100_000..104_500), "{mode}");
        }
    }
}

#[test]
fn a_job_does_not_go_on_with_a_file_that_was_replaced() {
    let folder = Folder::of(&[("1.jsonl", &numbers(100_000..110_000))]);
    let files = || files::json_lines::<u32>(folder.path("1.jsonl"));
    let (_, snapshot) = stopped(files(), "per-record");
    folder.write("1.jsonl", &numbers(200_000..210_000));
    let (job, _) = job(files(), Some(snapshot));
    let error = job.run(Mode::PerRecord).unwrap_err();
    let (what, detail, _) = parts(&error);
    assert!(what.ends_with("1.jsonl` was replaced"), "{what}");
    assert_eq!(
        detail.as_deref(),
        Some("its first bytes are not those that were read")
    );
}
