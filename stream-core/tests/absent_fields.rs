//! A field of a record that the input does not have is told, though it may be missing.
#![cfg(feature = "files")]
#![allow(clippy::unwrap_used, reason = "what a test cannot do without fails it")]

use std::fmt::Write as _;
use std::fs;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use stream_core::Error;
use stream_core::io::{self, SourceExt, files};
use stream_core::prelude::*;
use stream_core::run::{Lost, Report};

#[derive(Clone, Debug, Deserialize, PartialEq)]
struct Flight {
    carrier: String,
    #[serde(alias = "dep_delay")]
    delay: Option<f64>,
    #[serde(default)]
    gate: String,
}

/// A job that reads records of a type from files, and passes them on.
fn read<T: Clone + Send + Sync + DeserializeOwned + 'static>(
    source: impl io::Source<T>,
) -> Result<(Report, Vec<T>), Error> {
    let (sink, rows) = io::collect::<T>();
    let job = Job::new("read", |graph| {
        let flights = graph.input::<T>("flights");
        graph.output("rows", flights);
    });
    let report = job
        .source("flights", source)
        .sink("rows", sink)
        .run(Mode::Batch)?;
    Ok((report, rows.take()))
}

fn read_csv(name: &str, text: &str) -> Result<(Report, Vec<Flight>), Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    match name.ends_with(".csv") {
        true => read(files::csv::<Flight>(path)),
        false => read(files::json_lines::<Flight>(path)),
    }
}

#[test]
fn a_misspelt_column_of_an_optional_field_fails_the_job_and_is_named() {
    for header in [
        "carrier, delay",
        "carrier,Delay",
        "carrier,dellay",
        "dealy,carrier",
    ] {
        let error = read_csv("f.csv", &format!("{header}\n1,2\n"))
            .unwrap_err()
            .to_string();
        let name = header.split(',').find(|name| *name != "carrier").unwrap();
        let told = "line 1: the header has no field `delay`";
        assert!(error.contains(told), "{error}");
        let hint = format!("`{name}` looks like it: `#[serde(rename = \"{name}\")]`");
        assert!(error.contains(&hint), "{error}");
    }
}

#[test]
fn a_column_that_an_optional_field_has_under_any_of_its_names_is_not_told() {
    for header in ["carrier,delay", "dep_delay,carrier", "carrier,delay,dellay"] {
        let text = format!("{header}\n1,1,1\n");
        let text = &text[..text.len() - 2 * usize::from(header.matches(',').count() == 1) - 1];
        let (report, _) = read_csv("f.csv", text).unwrap();
        assert_eq!(report.warnings, [], "{header}");
    }
}

#[test]
fn an_optional_field_that_no_column_resembles_is_told_once_for_its_source() {
    let folder = tempfile::tempdir().unwrap();
    for number in 1..=5 {
        let path = folder.path().join(format!("{number}.csv"));
        fs::write(path, "carrier,arrival,tail\nAA,1,N1\nUA,2,N2\n").unwrap();
    }
    let (report, rows) = read(files::csv::<Flight>(folder.path())).unwrap();
    assert_eq!(rows.len(), 10);
    let [warning] = &report.warnings[..] else {
        panic!("{:?}", report.warnings);
    };
    assert_eq!((warning.lost, warning.count), (Lost::Absent, 5));
    assert!(report.is_within_limits());
    let told = warning.to_string();
    assert!(
        told.contains("`flights` has no value for a field"),
        "{told}"
    );
    assert!(told.contains(".csv` has no `delay`"), "{told}"); // whichever is read first
    assert!(told.contains("no field reads `arrival`, `tail`"), "{told}");
    assert!(told.contains("and 2 more"), "{told}");
    assert!(report.to_string().contains(&told));
}

#[test]
fn it_is_told_of_sources_around_the_source_and_not_of_files_without_rows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f.csv");
    fs::write(&path, "carrier,arrival\nAA,1\n").unwrap();
    let at = |_: &Flight| EventTime::secs(0);
    let source = files::csv::<Flight>(&path)
        .replay(1e6, at)
        .rate(1e6)
        .skip_bad_records();
    assert_eq!(read(source).unwrap().0.warnings.len(), 1);
    let (report, _) = read_csv("f.csv", "carrier,arrival\n").unwrap();
    assert_eq!(report.warnings, []);
}

#[test]
fn a_field_of_that_name_says_that_the_column_is_another_one() {
    #[derive(Clone, Deserialize)]
    #[allow(dead_code)]
    struct Both {
        dellay: f64,
        delay: Option<f64>,
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f.csv");
    fs::write(&path, "dellay\n1\n").unwrap();
    let (report, _) = read(files::csv::<Both>(&path)).unwrap();
    assert_eq!(report.warnings.len(), 1);
}

#[test]
fn numbered_columns_are_no_misspellings_of_each_other() {
    #[derive(Clone, Deserialize)]
    #[allow(dead_code)]
    struct Second {
        sensor_2: Option<f64>,
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f.csv");
    fs::write(&path, "sensor_1\n1\n").unwrap();
    assert_eq!(
        read(files::csv::<Second>(&path)).unwrap().0.warnings.len(),
        1
    );
}

#[test]
fn a_misspelt_field_of_json_is_told_when_no_record_has_it() {
    let text = "{\"carrier\":\"AA\",\"dellay\":1}\n{\"carrier\":\"UA\"}\n";
    let (report, rows) = read_csv("f.jsonl", text).unwrap();
    assert_eq!(rows.len(), 2);
    let [warning] = &report.warnings[..] else {
        panic!("{:?}", report.warnings);
    };
    let told = warning.to_string();
    let expected = "f.jsonl` has no `delay` in its first 2 records, and `dellay` looks like it";
    assert!(told.contains(expected), "{told}");
}

#[test]
fn a_field_of_json_that_is_rare_or_resembles_nothing_is_not_told() {
    let text = "{\"carrier\":\"AA\",\"arrival\":1}\n";
    assert_eq!(read_csv("f.jsonl", text).unwrap().0.warnings, []);
    let text = "{\"carrier\":\"AA\",\"dellay\":1}\n{\"carrier\":\"UA\",\"dep_delay\":null}\n";
    assert_eq!(read_csv("f.jsonl", text).unwrap().0.warnings, []);
}

#[test]
fn only_the_first_thousand_records_of_json_are_looked_at() {
    let mut text = String::new();
    for _ in 0..1_000 {
        text += "{\"carrier\":\"AA\"}\n";
    }
    writeln!(text, "{{\"carrier\":\"AA\",\"dellay\":1}}").unwrap();
    assert_eq!(read_csv("f.jsonl", &text).unwrap().0.warnings, []);
}

#[test]
fn a_null_is_none_under_every_name_that_its_field_has() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f.csv");
    // Bytes that are no UTF-8 have the row read the other way.
    fs::write(&path, b"carrier,dep_delay,x\nAA,NA,\xFF\n").unwrap();
    let (_, rows) = read(files::csv::<Flight>(&path).nulls(["NA"])).unwrap();
    assert_eq!(rows[0].delay, None);
}
