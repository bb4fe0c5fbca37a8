//! The lead example, as a program: its answer in every mode, and how it ends.

#![allow(clippy::unwrap_used, reason = "what a test cannot do without fails it")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Output, Stdio};

use examples::sessions::{Click, Session};
use stream_core::EventTime;

const MODES: [&str; 4] = [
    "batch",
    "micro-batch=100ms",
    "per-record",
    "per-record=strict",
];

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sessions"));
    command.args(arguments);
    command
}

fn output(arguments: &[&str]) -> Output {
    program(arguments).output().unwrap()
}

fn rows(output: &Output) -> BTreeSet<Session> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Every click of the four files, read without the library.
fn clicks() -> Vec<Click> {
    let files = (0..4).map(|file| examples::data(&format!("clicks/clicks-{file}.csv.gz")));
    let read = |path| {
        let file = std::fs::File::open(path).unwrap();
        csv::Reader::from_reader(flate2::read::GzDecoder::new(file)).into_deserialize()
    };
    files.flat_map(read).map(Result::unwrap).collect()
}

#[test]
fn the_sessions_are_those_that_the_data_itself_names() {
    let mut named: BTreeMap<String, Vec<Click>> = BTreeMap::new();
    for click in clicks() {
        named
            .entry(click.session_id.clone())
            .or_default()
            .push(click);
    }
    let expected: BTreeSet<_> = named
        .into_values()
        .map(|clicks| {
            let times = clicks.iter().map(|click| click.timestamp.as_micros());
            let half_an_hour = 30 * 60 * 1_000_000;
            Session {
                user: clicks[0].user_id.clone(),
                start: EventTime::micros(times.clone().min().unwrap()),
                end: EventTime::micros(times.max().unwrap() + half_an_hour),
                clicks: clicks.len() as u64,
                purchases: clicks.iter().filter(|c| c.event == "purchase").count() as u64,
            }
        })
        .collect();
    assert_eq!(expected.len(), 3_605);

    for mode in MODES {
        for workers in ["1", "2", "3"] {
            let output = output(&["--mode", mode, "--workers", workers]);
            assert!(output.status.success(), "{mode}, {workers} workers");
            assert_eq!(rows(&output), expected, "{mode}, {workers} workers");
        }
    }
}

#[test]
fn the_summary_stands_on_stderr() {
    let output = output(&["--mode", "per-record"]);
    let summary = String::from_utf8(output.stderr).unwrap();
    assert!(summary.starts_with("finished in "), "{summary}");
    for part in [
        "per-record, 1 worker",
        "clicks 31106",
        "sessions 3605",
        "late 0, bad 0",
    ] {
        assert!(summary.contains(part), "{part} in {summary}");
    }
}

#[test]
fn what_cannot_be_is_told_with_the_remedy() {
    for (arguments, code, parts) in [
        (
            &["--mode", "fast"][..],
            2,
            ["`fast` is no mode", "modes: batch"],
        ),
        (
            &["--mode", "micro-batch=0ms"],
            2,
            ["cannot be 0 long", "take `per-record`"],
        ),
        (
            &["--wait", "idly"],
            2,
            ["`idly` is no way to wait", "`park` or `spin`"],
        ),
        (
            &["--workers", "0"],
            2,
            ["invalid value '0'", "expected 1 to 256"],
        ),
        (&["--workers", "some"], 2, ["some", "--workers"]),
        (
            &["--set", "gpa=45m"],
            2,
            ["has no setting `gpa`", "its settings are `gap`"],
        ),
        (
            &["--set", "gap=45"],
            2,
            ["`gap` cannot be `45`", "like `--set gap=30m`"],
        ),
        (
            &["--output", "sessions=sessions.csv.gz"],
            2,
            ["no name for a file of json", "let it end in `.jsonl`"],
        ),
        (
            &["--input", "click=a.csv"],
            2,
            ["there is no input `click`", "the inputs are `clicks`"],
        ),
        (
            &["--input", "clicks=nowhere.csv"],
            1,
            ["cannot open `nowhere.csv`", "hint: "],
        ),
    ] {
        let output = output(arguments);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{told}");
        assert!(output.stdout.is_empty());
        parts
            .iter()
            .for_each(|part| assert!(told.contains(part), "{part} in {told}"));
    }
}

#[test]
fn explain_prints_the_graph_and_runs_nothing() {
    let text = String::from_utf8(output(&["explain"]).stdout).unwrap();
    assert!(
        text.starts_with("pipeline sessions: 7 stages in 5 operators\n"),
        "{text}"
    );
    assert!(text.contains("session gap=30m"), "{text}");
    let picture = output(&["explain", "--format", "mermaid"]).stdout;
    assert!(
        String::from_utf8(picture)
            .unwrap()
            .starts_with("flowchart TD\n")
    );
}

#[test]
fn inspect_prints_as_many_rows_as_asked_for_and_else_all() {
    let lines = |arguments: &[&str]| {
        let mut all = vec!["inspect", "sessions", "--workers", "3", "--quiet"];
        all.extend(arguments);
        let output = output(&all);
        assert!(output.status.success() && output.stderr.is_empty());
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(lines(&["--rows", "50"]).len(), 50);
    let all = lines(&["--format", "json", "--mode", "per-record"]);
    assert_eq!(all.len(), 3_605);
    for line in all {
        let row: BTreeMap<String, Option<String>> = serde_json::from_str(&line).unwrap();
        let names: Vec<_> = row.keys().map(String::as_str).collect();
        assert_eq!(names, ["epoch", "event_time", "lane", "record"]);
    }
}

#[test]
fn a_limit_reads_the_same_records_whatever_the_mode_and_the_workers() {
    let first = rows(&output(&["--limit", "500"]));
    assert!(!first.is_empty());
    for (mode, workers) in [("per-record", "1"), ("micro-batch=7records", "3")] {
        let arguments = ["--limit", "500", "--mode", mode, "--workers", workers];
        let output = output(&arguments);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.contains("clicks 2000 "), "{told}");
        assert_eq!(rows(&output), first, "{mode}, {workers} workers");
    }
}

#[test]
fn colours_are_where_they_are_asked_for_and_nowhere_else() {
    for (arguments, is_colored) in [
        (&["--workers", "0", "--color", "always"][..], true),
        (&["--workers", "some", "--color=always"], true),
        (&["--workers", "0", "--color", "never"], false),
        (&["--workers", "0"], false),
    ] {
        let told = output(arguments).stderr;
        assert_eq!(told.contains(&0x1b), is_colored, "{arguments:?}");
    }
}

#[test]
fn a_reader_that_has_had_enough_ends_the_job_cleanly() {
    for mode in MODES {
        let mut child = spawn(program(&["--mode", mode]));
        drop(child.stdout.take());
        let (code, told) = end(child);
        assert_eq!(code, Some(0), "{mode}: {told}");
        assert!(
            told.starts_with("ended, for an output was closed,"),
            "{mode}: {told}"
        );
    }
}

#[test]
#[cfg(unix)]
fn ctrl_c_stops_the_job_cleanly_in_every_mode() {
    for mode in MODES {
        let mut child = spawn(replay(&["--mode", mode]));
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        lines.next().unwrap().unwrap();
        interrupt(&child);
        let rest: Vec<Session> = lines
            .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
            .collect();
        let (code, told) = end(child);
        assert_eq!(code, Some(0), "{mode}: {told}");
        assert!(told.contains("\nstopped in "), "{mode}: {told}");
        assert!(
            !told.contains("windows open 0"),
            "windows that are open stay open: {told}"
        );
        assert!(rest.len() < 3_604, "{mode}: it did not run to the end");
    }
}

#[test]
#[cfg(unix)]
fn ctrl_c_with_drain_writes_what_is_open() {
    let mut child = spawn(replay(&["--mode", "per-record", "--drain"]));
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut String::new()).unwrap();
    interrupt(&child);
    stdout.read_to_end(&mut Vec::new()).unwrap();
    let (code, told) = end(child);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("windows open 0"), "{told}");
}

/// The program that takes its time, to be interrupted: also where these tests run in a background that
/// ignores ctrl-c, which a program keeps to.
fn replay(arguments: &[&str]) -> Command {
    let program = env!("CARGO_BIN_EXE_replay");
    let mut command = match cfg!(target_os = "linux") {
        true => {
            let mut command = Command::new("env");
            command.args(["--default-signal=INT", program]);
            command
        }
        false => Command::new(program),
    };
    command.args(arguments);
    command
}

fn spawn(mut command: Command) -> Child {
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn interrupt(child: &Child) {
    let kill = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(kill.success());
}

/// The exit code, and what was told on stderr.
fn end(mut child: Child) -> (Option<i32>, String) {
    let mut told = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut told)
        .unwrap();
    (child.wait().unwrap().code(), told)
}

/// Runs the program where no file may grow beyond so many KiB: a full disk that needs no rights to be made.
#[cfg(unix)]
fn on_a_small_disk(kib: u32, arguments: &[&str]) -> Output {
    let limited = format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", 2 * kib);
    let mut shell = Command::new("sh");
    shell.args(["-c", &limited, env!("CARGO_BIN_EXE_sessions")]);
    shell.args(arguments).output().unwrap()
}

/// The files that a folder shows, by their paths.
#[cfg(unix)]
fn shown(folder: &std::path::Path) -> BTreeMap<std::path::PathBuf, String> {
    let paths = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path());
    let paths = paths.filter(|path| path.extension().is_some_and(|end| end == "jsonl"));
    paths
        .map(|path| (path.clone(), std::fs::read_to_string(path).unwrap()))
        .filter(|(path, _)| {
            !path
                .file_name()
                .unwrap()
                .as_encoded_bytes()
                .starts_with(b".")
        })
        .collect()
}

#[test]
#[cfg(unix)]
fn a_full_disk_ends_the_job_and_the_next_run_does_what_is_left() {
    let rows = |files: &BTreeMap<_, String>| {
        let mut rows: Vec<_> = files
            .values()
            .flat_map(|text| text.lines())
            .map(str::to_owned)
            .collect();
        rows.sort();
        rows
    };
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole.jsonl").display().to_string();
    assert!(
        output(&["--quiet", "--output", &format!("sessions={whole}")])
            .status
            .success()
    );
    let expected = rows(&shown(folder.path()));
    let mut failed = BTreeSet::new();
    for kib in [1, 4, 16, 64, 150] {
        for out in ["out.jsonl", ""] {
            let folder = tempfile::tempdir().unwrap();
            let path = format!("{}/{out}", folder.path().display());
            let state = format!("{}/state", folder.path().display());
            let out = format!("sessions={path}");
            let go_on = [
                "--quiet",
                "--state",
                &state,
                "--output",
                &out,
                "--mode",
                "micro-batch=5ms",
            ];
            let first = [&go_on[..], &["--checkpoint-interval", "20ms"]].concat();
            let full = on_a_small_disk(kib, &first);
            let told = String::from_utf8(full.stderr).unwrap();
            let committed = shown(folder.path());
            if !full.status.success() {
                let (what, place) = match told.contains("error: sink `sessions`") {
                    true => ("sink", &path),
                    false => ("store", &state),
                };
                failed.insert(what);
                assert!(told.contains(&**place), "{told}");
                assert!(told.contains("hint: ") && told.contains("room"), "{told}");
                assert_eq!(full.status.code(), Some(1), "{told}");
            }
            let next = output(&[&go_on[..], &["--workers", "2"]].concat());
            assert!(
                next.status.success(),
                "{}",
                String::from_utf8_lossy(&next.stderr)
            );
            let all = shown(folder.path());
            for (path, text) in committed {
                assert_eq!(all.get(&path), Some(&text), "{} was harmed", path.display());
            }
            assert!(rows(&all) == expected, "{kib} KiB, {out}: other rows");
        }
    }
    // Which of the two comes first is a matter of time; where rows go to a pipe, it is the store.
    assert!(failed.contains("sink"), "{failed:?}");
    let state = format!("{}/state", folder.path().display());
    let kept = ["--quiet", "--state", &state, "--mode", "micro-batch=5ms"];
    let first = [&kept[..], &["--checkpoint-interval", "20ms"]].concat();
    let full = on_a_small_disk(4, &first);
    let told = String::from_utf8(full.stderr).unwrap();
    assert_eq!(full.status.code(), Some(1), "{told}");
    assert!(told.contains(&state), "{told}");
    assert!(told.contains("hint: ") && told.contains("room"), "{told}");
    assert!(output(&kept).status.success());
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_behind_stdout_is_told_with_the_remedy() {
    let full = std::fs::File::create("/dev/full").unwrap();
    let told = program(&["--quiet"]).stdout(full).output().unwrap();
    assert_eq!(told.status.code(), Some(1));
    let told = String::from_utf8(told.stderr).unwrap();
    let expected =
        "cannot write `stdout`\n  No space left on device (os error 28)\n  hint: make room there";
    assert!(told.contains(expected), "{told}");
}
