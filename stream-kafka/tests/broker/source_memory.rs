//! A pipeline that is slow holds the source back, and not in memory.

use std::env;
use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use stream_core::io;
use stream_core::prelude::*;
use stream_kafka as kafka;

use super::source_support::{count_read, until};
use crate::support::{Cluster, Record};

/// Names the topic to the process that reads it.
const TOPIC: &str = "STREAM_TEST_SLOW_TOPIC";

const RECORDS: usize = 1_000_000;
const VALUE_BYTES: usize = 100;

/// How much more memory a process may take that reads a topic slowly: what may wait, with what the
/// client library and the engine have beside it. The topic is larger.
const GROWTH_BYTES_MAX: u64 = 80 << 20;

#[test]
fn a_slow_pipeline_holds_its_source_back() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let topic = kafka.topic("slow", 2);
    let value = "x".repeat(VALUE_BYTES);
    for _ in 0..RECORDS / 100_000 {
        let records: Vec<_> = (0..100_000)
            .map(|n| Record::new(n % 2, value.as_str()))
            .collect();
        let settings = [
            ("linger.ms", "20"),
            ("queue.buffering.max.messages", "200000"),
        ];
        topic.produce_with(&records, &settings);
    }
    // Other tests take memory in this process.
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", "source_memory::reads_slowly", "--ignored"])
        .args(["--nocapture"])
        .env(TOPIC, topic.name())
        .env("KAFKA_BOOTSTRAP", kafka.bootstrap())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}");
}

#[test]
#[ignore = "is run by another test, in a process of its own"]
fn reads_slowly() {
    let topic = env::var(TOPIC).unwrap();
    let job = Job::new("slow", |graph| {
        let records = graph.input::<Vec<u8>>("in");
        let slow = records.map(|value| {
            thread::sleep(Duration::from_micros(50));
            value.len()
        });
        graph.output("out", slow);
    });
    let job = job.source("in", kafka::source(topic).bytes());
    let job = job.sink::<usize>("out", io::discard());
    let before = resident_bytes();
    let handle = job.start(Mode::PerRecord).unwrap();
    until("it reads", || count_read(&handle) > 0);
    let (begun, mut most) = (Instant::now(), 0);
    while begun.elapsed() < Duration::from_secs(4) {
        most = most.max(resident_bytes());
        thread::sleep(Duration::from_millis(20));
    }
    let read = count_read(&handle);
    handle.stop();
    handle.wait().unwrap();
    let growth = most.saturating_sub(before);
    println!("{read} records read, {} MiB more", growth >> 20);
    assert!(read < RECORDS as u64, "it was not slow");
    assert!(growth < GROWTH_BYTES_MAX, "{} MiB more", growth >> 20);
}

/// How much memory this process has.
fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: u64 = line
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    kib << 10
}
