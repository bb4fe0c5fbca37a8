//! The pipelines of the examples, each against an oracle from scratch, and in every mode.

#![allow(clippy::unwrap_used, reason = "what a test cannot do without fails it")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::Command;

use examples::alarm::{Reading, alarms};
use examples::daily::daily;
use examples::earthquakes::{Earthquake, earthquakes};
use examples::funnel::funnel;
use examples::sessions::{Click, sessions};
use examples::visits::{Visit, visits};
use examples::word_count::word_count;
use stream_core::prelude::*;
use stream_core::testing::{Input, check_modes};

/// Reads a file of JSON Lines without the library.
fn earthquakes_of_the_week() -> Vec<Earthquake> {
    let file = std::fs::File::open(examples::data("earthquakes/earthquakes.jsonl.gz")).unwrap();
    let lines = BufReader::new(flate2::read::GzDecoder::new(file)).lines();
    lines
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect()
}

fn clicks() -> Vec<Click> {
    let file = std::fs::File::open(examples::data("clicks/clicks-0.csv.gz")).unwrap();
    let mut rows = csv::Reader::from_reader(flate2::read::GzDecoder::new(file));
    rows.deserialize().map(Result::unwrap).collect()
}

#[test]
fn earthquakes_are_late_by_their_own_order() {
    const HOUR: i64 = 3_600_000_000;
    let week = earthquakes_of_the_week();
    let (mut high, mut late, mut hours) = (i64::MIN, Vec::new(), BTreeMap::new());
    for earthquake in &week {
        let time = earthquake.time.as_micros();
        if time < high.saturating_sub(6 * HOUR) {
            late.push(earthquake.clone());
        } else {
            *hours
                .entry((earthquake.region(), time.div_euclid(HOUR)))
                .or_insert(0) += 1;
        }
        high = high.max(time);
    }
    assert_eq!(late.len(), 750);

    let rows = earthquakes::test().earthquakes(week).rows();
    assert_eq!(rows.late, late);
    let counted = rows.hours.into_iter().map(|hour| {
        (
            (hour.region, hour.start.as_micros().div_euclid(HOUR)),
            hour.earthquakes,
        )
    });
    assert_eq!(counted.collect::<BTreeMap<_, _>>(), hours);
}

#[test]
fn the_pipelines_give_the_same_in_every_mode() {
    let week: Vec<_> = earthquakes_of_the_week().into_iter().take(100).collect();
    earthquakes::test().earthquakes(week).check_modes();
    let clicks: Vec<_> = clicks().into_iter().take(100).collect();
    sessions::test()
        .clicks(clicks.clone())
        .gap(Gap::mins(30))
        .check_modes();
    funnel::test().clicks(clicks.clone()).check_modes();
    daily::test()
        .clicks(clicks)
        .gap(Gap::mins(30))
        .check_modes();
}

#[test]
fn visits_are_numbered_by_their_user_and_those_of_nobody_left_out() {
    let mut clicks: Vec<_> = clicks().into_iter().take(200).collect();
    clicks[17].user_id = "robot".to_owned();
    let mut counts = BTreeMap::new();
    let mut expected = Vec::new();
    for click in &clicks {
        if let Some(user) = click.user_id.strip_prefix("user_") {
            let count = counts.entry(user).or_insert(0);
            *count += 1;
            expected.push((user.parse().unwrap(), *count, click.timestamp));
        }
    }
    let rows = visits::test().clicks(clicks.clone()).rows();
    let of = |visit: Visit| (visit.user, visit.nth, visit.at);
    let mut found: Vec<_> = rows.visits.into_iter().map(of).collect();
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
    // As a topic has them whose key is the user.
    let input = Input::new(clicks).partition_by(|click: &Click| click.user_id.clone());
    check_modes(input, visits);
}

#[test]
fn words_are_counted_by_their_letters() {
    let lines = ["To be, or not to be".to_owned(), "that's it".to_owned()];
    let rows = word_count::test().lines(lines).shortest(2).rows();
    let counts = rows
        .counts
        .into_iter()
        .map(|entry| (entry.key, entry.value));
    let expected = [
        ("to", 2),
        ("be", 2),
        ("or", 1),
        ("not", 1),
        ("that", 1),
        ("it", 1),
    ];
    let expected = expected.map(|(word, count)| (word.to_owned(), count));
    assert_eq!(counts.collect::<BTreeMap<_, _>>(), expected.into());
}

#[test]
fn every_click_takes_one_step() {
    let rows = funnel::test().clicks(clicks()).rows();
    let steps: u64 = rows.steps.iter().map(|entry| entry.value).sum();
    assert_eq!(steps, 7_441);
    let purchases = rows.steps.iter().filter(|entry| entry.key.stage == 2);
    let purchases: u64 = purchases.map(|entry| entry.value).sum();
    assert_eq!(purchases, rows.buyers.len() as u64);
}

#[test]
fn the_days_hold_all_sessions() {
    let rows = daily::test()
        .clicks(clicks())
        .gap(Gap::mins(30))
        .busy(20)
        .rows();
    let sum = |days: &[Windowed<(), u64>]| days.iter().map(|day| day.value).sum::<u64>();
    assert_eq!(sum(&rows.all_days), 869);
    assert!(sum(&rows.busy_days) < 869);
    let ids: Vec<_> = daily::GRAPH.stages.iter().map(|stage| stage.id).collect();
    assert!(ids.contains(&"daily/all_days/by_day"), "{ids:?}");
}

#[test]
fn an_alarm_is_given_once_until_it_has_cooled_down() {
    let readings = [
        (1, 20.0),
        (1, 85.0),
        (1, 86.0),
        (2, 90.0),
        (1, 70.0),
        (1, 95.0),
    ];
    let readings = readings.map(|(sensor, celsius)| Reading { sensor, celsius });
    let mut rows = alarms::test().readings(readings).limit(80.0).rows().alarms;
    rows.sort_unstable();
    assert_eq!(rows, [1, 1, 2]);
}

#[test]
fn a_program_talks_to_its_pipeline() {
    let output = Command::new(env!("CARGO_BIN_EXE_alarm")).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(told, "sensor 2 is too warm\nsensor 1 is too warm\n");
    assert!(output.status.success());
}

#[test]
fn settings_are_given_on_the_command_line() {
    let count = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_word_count"))
            .args(arguments)
            .output();
        String::from_utf8(output.unwrap().stdout)
            .unwrap()
            .lines()
            .count()
    };
    assert!(count(&["--set", "shortest=9"]) < count(&[]));
    let wrong = ["--set", "shortest=nine"];
    let output = Command::new(env!("CARGO_BIN_EXE_word_count"))
        .args(wrong)
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        told.contains("the setting `shortest` cannot be `nine`"),
        "{told}"
    );
}

/// As a shell starts a job in its background: ctrl-c is ignored.
#[test]
#[cfg(target_os = "linux")]
fn a_job_that_ignores_ctrl_c_ends_cleanly_when_it_is_to_terminate() {
    use std::io::{BufRead, BufReader, Read};
    use std::process::Stdio;

    let script = "trap '' INT; exec \"$0\" --mode per-record";
    let mut job = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_replay")])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut rows = BufReader::new(job.stdout.take().unwrap());
    let mut row = String::new();
    rows.read_line(&mut row).unwrap(); // it runs
    let process = job.id().to_string();
    let tell = |signal: &str| {
        let told = Command::new("kill").args([signal, &process]).status();
        assert!(told.unwrap().success());
    };
    tell("-INT");
    row.clear();
    rows.read_line(&mut row).unwrap();
    assert!(!row.is_empty(), "it goes on");
    tell("-TERM");
    let mut rest = String::new();
    rows.read_to_string(&mut rest).unwrap();
    let output = job.wait_with_output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{told}");
    assert!(told.contains("stopped in"), "{told}");
}
