//! Processes that are killed (SIGKILL) at each step of a commit: what they are, in one process after the other,
//! is written once.

use std::env;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use stream_core::prelude::*;
use stream_core::run::StateStore;
use stream_kafka::End;

use super::sink_cut::STEPS;
use super::source_support::{copy, records, until};
use crate::support::{Catch, Cluster, Topic};

const RECORDS: std::ops::Range<u64> = 0..2_000;
/// What a process is told by: the brokers, the topic that it reads, the one that it writes, its state.
const TOLD: &str = "STREAM_KAFKA_PROCESS";

/// A run of the job in a process of its own.
fn start(bootstrap: &str, from: &Topic<'_>, to: &Topic<'_>, state: &std::path::Path) -> Child {
    let told = [bootstrap, from.name(), to.name(), &state.to_string_lossy()].join("|");
    Command::new(env::current_exe().unwrap())
        .args(["--ignored", "--exact", "processes::a_process"])
        .env(TOLD, told)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
#[ignore = "the process that the test of kills starts"]
fn a_process() {
    let told = env::var(TOLD).expect("it is told what to do");
    let [bootstrap, from, to, state] = told.split('|').collect::<Vec<_>>()[..] else {
        panic!("`{told}` is not what it is to be told");
    };
    let cluster = stream_kafka::Cluster::at(bootstrap).property("client.id", to);
    let input = stream_kafka::source(from).at(&cluster).text();
    let output = stream_kafka::sink(to).at(&cluster).exactly_once(to).text();
    copy(input.until(End::Latest), output)
        .state(StateStore::folder(state).unwrap())
        .checkpoint_interval(Duration::from_millis(20))
        .run("micro-batch=50records".parse::<Mode>().unwrap())
        .unwrap();
}

#[test]
fn a_process_that_is_killed_in_a_commit_is_followed_by_one_that_writes_the_rest() {
    let Some(kafka) = Cluster::shared_behind_proxy() else {
        return;
    };
    let from = kafka.topic("killed-from", 1);
    from.produce(&records(0, RECORDS));
    for (step, key) in STEPS {
        for what in [Catch::Hold, Catch::LoseAnswer] {
            let to = kafka.topic("killed-to", 1);
            let folder = tempfile::tempdir().unwrap();
            let start = || start(kafka.bootstrap(), &from, &to, folder.path());
            kafka.proxy().catch_of(to.name(), key, what);
            let mut killed = start();
            kafka.proxy().await_caught();
            assert_eq!(
                killed.try_wait().unwrap(),
                None,
                "{step}, {what:?}: it has ended"
            );
            killed.kill().unwrap();
            killed.wait().unwrap();
            kafka.proxy().release();
            let mut after = start();
            until("the second process ends", || {
                after.try_wait().unwrap().is_some()
            });
            assert!(after.wait().unwrap().success(), "{step}, {what:?}");
            let written = to.read_settled().into_iter();
            let written: Vec<_> = written.filter_map(|stored| stored.value).collect();
            let expected = RECORDS.map(|n| n.to_string().into_bytes());
            assert!(written.into_iter().eq(expected), "{step}, {what:?}");
            kafka.proxy().pass_all();
        }
    }
}
