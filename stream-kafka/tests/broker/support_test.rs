//! The support does what tests of the adapter rely on.

use std::env;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::slice;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::support::{Cluster, Proxy, Record};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn both_consumers_read_what_was_produced() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let topic = kafka.topic("round", 2);
    let a = Record::new(0, "a")
        .key("k")
        .header("h", "1")
        .header("i", "2")
        .at(1_000);
    let b = Record::new(0, "b").at(2_000);
    let gone = Record::tombstone(1, "gone").at(3_000);
    let never = Record::new(1, "never").at(4_000);
    let empty = Record::new(1, "").key("").at(5_000);
    topic.produce(&[a.clone(), gone.clone()]);
    topic.transaction(&[never]).abort();
    topic.produce_with(slice::from_ref(&empty), &[("compression.type", "gzip")]);
    topic.transaction(slice::from_ref(&b)).commit();

    let committed = topic.read_committed();
    // An aborted record has an offset, and so has the mark that says so.
    let expected = [a.stored(0), b.stored(1), gone.stored(0), empty.stored(3)];
    assert_eq!(committed, expected);
    assert_eq!(topic.console_consume(), committed);
    let all: Vec<_> = topic
        .read_uncommitted()
        .iter()
        .map(|record| record.text().to_owned())
        .collect();
    assert_eq!(all, ["a", "b", "", "never", ""]);
}

#[test]
fn an_open_transaction_hides_what_comes_after_it() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let topic = kafka.topic("open", 1);
    let open = topic.transaction(&[Record::new(0, "a")]);
    topic.produce(&[Record::new(0, "b")]);
    assert_eq!(topic.read_committed(), []);
    assert_eq!(topic.read_uncommitted().len(), 2);
    open.commit();
    assert_eq!(topic.read_committed().len(), 2);
}

#[test]
fn topics_change() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let mut topic = kafka.topic_with("changes", 1, &[("cleanup.policy", "compact,delete")]);
    topic.produce(&["a", "b", "c"].map(|value| Record::new(0, value).key(value)));
    topic.delete_records(0, 2);
    topic.grow(3);
    topic.produce(&[Record::new(2, "d").key("d")]);
    let places: Vec<_> = topic
        .read_committed()
        .iter()
        .map(|record| (record.partition, record.offset))
        .collect();
    assert_eq!(places, [(0, 2), (2, 0)]);
    topic.recreate();
    assert_eq!(topic.read_uncommitted(), []);
    topic.delete();
}

#[test]
fn a_broker_that_was_killed_comes_back_on_its_data() {
    let Some(kafka) = Cluster::own(1, false) else {
        return;
    };
    let topic = kafka.topic("kept", 1);
    topic.produce(&[Record::new(0, "a")]);
    let client: BaseConsumer = kafka.client().create().unwrap();
    kafka.pause(1);
    assert!(client.fetch_metadata(None, SECOND).is_err());
    kafka.resume(1);
    assert!(client.fetch_metadata(None, 10 * SECOND).is_ok());
    kafka.kill(1);
    assert!(client.fetch_metadata(None, SECOND).is_err());
    kafka.start(1);
    topic.produce(&[Record::new(0, "b")]);
    let texts: Vec<_> = topic
        .read_committed()
        .iter()
        .map(|record| record.text().to_owned())
        .collect();
    assert_eq!(texts, ["a", "b"]);
}

#[test]
fn clients_reach_a_broker_through_its_proxy_only() {
    let Some(kafka) = Cluster::behind_proxy() else {
        return;
    };
    let topic = kafka.topic("proxied", 1);
    let client: BaseConsumer = kafka.client().create().unwrap();
    let answers = |within| client.fetch_metadata(None, within).is_ok();
    assert!(answers(10 * SECOND));

    kafka.proxy().hang(true);
    assert!(!answers(SECOND));
    topic.produce(&[Record::new(0, "a")]); // the support itself is not behind it
    kafka.proxy().hang(false);
    assert!(answers(10 * SECOND));

    kafka.proxy().refuse(true);
    kafka.proxy().drop_connections();
    assert!(!answers(SECOND));
    kafka.proxy().refuse(false);
    assert!(answers(10 * SECOND));
}

#[test]
fn a_proxy_delays_and_throttles() {
    let proxy = Proxy::start(&echo());
    let mut client = TcpStream::connect(proxy.address()).unwrap();
    let mut took = |bytes: usize| {
        let begun = Instant::now();
        client.write_all(&vec![7; bytes]).unwrap();
        client.read_exact(&mut vec![0; bytes]).unwrap();
        begun.elapsed()
    };
    assert!(took(1) < Duration::from_millis(200));
    proxy.delay(Duration::from_millis(200));
    assert!(took(1) >= Duration::from_millis(400)); // there and back
    proxy.delay(Duration::ZERO);
    proxy.throttle(100_000);
    assert!(took(50_000) >= Duration::from_millis(500));
}

#[test]
#[cfg(feature = "ssl")]
fn a_secure_cluster_asks_for_a_password() {
    let Some(kafka) = Cluster::own(1, true) else {
        return;
    };
    let mut config = kafka.client();
    let client: BaseConsumer = config.create().unwrap();
    assert!(client.fetch_metadata(None, 10 * SECOND).is_ok());
    let client: BaseConsumer = config.set("sasl.password", "wrong").create().unwrap();
    assert!(client.fetch_metadata(None, 2 * SECOND).is_err());
}

#[test]
fn without_java_the_tests_are_skipped_and_that_is_said() {
    let output = without_java(&[]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{told}");
    assert_eq!(
        told.matches("THE KAFKA TESTS WERE SKIPPED").count(),
        1,
        "{told}"
    );
}

#[test]
fn without_java_the_tests_fail_in_ci() {
    assert!(!without_java(&[("CI", "true")]).status.success());
}

/// Runs two tests of this program where there is no Java.
fn without_java(variables: &[(&str, &str)]) -> Output {
    let path =
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("no-java-{}", variables.len()));
    fs::create_dir_all(&path).unwrap();
    for program in ["bash", "dirname"] {
        let found = env::split_paths(&env::var_os("PATH").unwrap())
            .map(|at| at.join(program))
            .find(|at| at.exists());
        link(&found.unwrap(), &path.join(program));
    }
    Command::new(env::current_exe().unwrap())
        .args([
            "--exact",
            "support_test::topics_change",
            "support_test::an_open_transaction_hides_what_comes_after_it",
        ])
        .env("PATH", path)
        .env_remove("KAFKA_BOOTSTRAP")
        .env_remove("CI")
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

/// Links a file that an earlier run may have linked already.
fn link(to: &Path, from: &Path) {
    if !from.exists() {
        symlink(to, from).unwrap();
    }
}

/// The address of a server that sends back to one client what that sends.
fn echo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut chunk = [0; 4_096];
        while let Ok(read @ 1..) = stream.read(&mut chunk) {
            stream.write_all(&chunk[..read]).unwrap();
        }
    });
    address
}
