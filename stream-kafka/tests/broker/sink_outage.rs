//! Brokers and topics that are away: what was written at least once is there nevertheless.

use std::time::{Duration, Instant};

use stream_core::io::{Commit, Sink, Slot};
use stream_core::prelude::*;
use stream_core::run::StateStore;
use stream_kafka as kafka;

use super::sink_support::{exact, sink, values, write, writing};
use super::source_support::{
    copy, count_read, records, run, source, start_kept, stop, texts, until, until_read,
};
use crate::support::{Catch, Cluster, Proxy};

/// The key of the request in Kafka's protocol.
const PRODUCE: i16 = 0;

#[test]
fn a_checkpoint_is_prepared_when_the_brokers_have_acknowledged_it() {
    let Some(kafka) = Cluster::shared_behind_proxy() else {
        return;
    };
    let topic = kafka.topic("acknowledged", 1);
    let output = sink(&kafka, topic.name()).text::<&str>();
    let mut writer = output.open(Slot::new(0, 1)).unwrap();
    kafka.proxy().catch(PRODUCE, Catch::Hold);
    writer.write(&mut vec!["a"]).unwrap();
    let staged = writer.prepare(1).unwrap();
    let finishes = std::thread::spawn(move || staged.finish().unwrap());
    kafka.proxy().await_caught();
    // Who does not wait is done by then.
    std::thread::sleep(Duration::from_millis(200));
    assert!(!finishes.is_finished());
    assert_eq!(topic.read_committed(), []);
    kafka.proxy().release();
    let staged = finishes.join().unwrap();
    assert_eq!(values(&topic.read_committed()), ["a"]);
    output.commit(&Commit::new(1, vec![staged])).unwrap();
}

#[test]
fn an_answer_that_is_lost_doubles_nothing() {
    let Some(kafka) = Cluster::shared_behind_proxy() else {
        return;
    };
    let topic = kafka.topic("answer-lost", 1);
    kafka.proxy().catch(PRODUCE, Catch::LoseAnswer);
    write(["a", "b"], sink(&kafka, topic.name()).text()).unwrap();
    kafka.proxy().await_caught();
    assert_eq!(values(&topic.read_committed()), ["a", "b"]);
}

#[test]
fn a_broker_that_is_away_for_a_while_costs_nothing_but_time() {
    let Some(kafka) = Cluster::own(1, false) else {
        return;
    };
    let from = kafka.topic("away-from", 2);
    let (to, to_exact) = (kafka.topic("away-to", 2), kafka.topic("away-exact", 2));
    let store = StateStore::memory();
    let input = || source(&kafka, from.name()).text();
    let sends = start_kept(input(), sink(&kafka, to.name()).text(), &store);
    let output = exact(&kafka, &to_exact).text();
    let commits = start_kept(input(), output, &StateStore::memory());
    from.produce(&records(0, 0..300));
    until_read(&sends, 300);
    until_read(&commits, 300);
    kafka.kill(1);
    kafka.start(1);
    from.produce(&records(1, 300..600));
    until_read(&sends, 600);
    until_read(&commits, 600);
    stop(sends);
    stop(commits);
    // A client that repeats what was not acknowledged is known by its number.
    assert_eq!(values(&to.read_settled()), texts(0..600));
    assert_eq!(values(&to_exact.read_settled()), texts(0..600));
}

#[test]
fn a_cluster_that_is_not_there_is_told_in_bounded_time() {
    let gone = Proxy::start("127.0.0.1:1");
    gone.refuse(true);
    let hangs = Proxy::start("127.0.0.1:1");
    hangs.hang(true);
    for (proxy, id) in [(gone, None), (hangs, Some("id"))] {
        let address = proxy.address().to_string();
        let cluster = kafka::Cluster::at(&address).start_wait(Duration::from_secs(1));
        let begun = Instant::now();
        let output = kafka::sink("clicks").at(&cluster);
        let output = match id {
            None => output,
            Some(id) => output.exactly_once(id),
        };
        let job = writing(["a"], output.text()).state(StateStore::memory());
        let told = run(job).unwrap_err().to_string();
        assert!(begun.elapsed() < Duration::from_secs(10), "{told}");
        assert!(
            told.contains("cannot write to the topic `clicks`"),
            "{told}"
        );
    }
}

#[test]
fn a_topic_that_is_missing_is_told_or_made() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    // The name of one that was there, so that nobody else has it.
    let topic = kafka.topic("missing", 3);
    topic.delete();
    let output = || sink(kafka, topic.name());
    let told = write(["a"], output().text()).unwrap_err().to_string();
    assert!(
        told.contains(&format!("there is no topic `{}`", topic.name()))
            && told.contains(".create_topic("),
        "{told}"
    );
    for row in ["a", "b"] {
        let output = output().create_topic(3, 1).text().partition(|_| 2);
        write([row], output).unwrap();
    }
    assert_eq!(values(&topic.read_committed()), ["a", "b"]);
}

#[test]
fn a_job_can_be_dropped_while_its_broker_is_away() {
    let Some(kafka) = Cluster::shared_behind_proxy() else {
        return;
    };
    let (from, to) = (kafka.topic("drop-from", 1), kafka.topic("drop-to", 1));
    from.produce(&records(0, 0..10));
    let inside = kafka::Cluster::at(kafka.internal());
    let input = source(&kafka, from.name()).at(&inside).text();
    let handle = copy(input, sink(&kafka, to.name()).text())
        .start(Mode::PerRecord)
        .unwrap();
    until_read(&handle, 10);
    kafka.proxy().hang(true);
    from.produce(&records(0, 10..20));
    until("the rest is read", || count_read(&handle) >= 20);
    let begun = Instant::now();
    drop(handle);
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_checkpoint_that_waits_for_a_broker_does_not_hold_up_a_job_that_is_dropped() {
    let Some(kafka) = Cluster::shared_behind_proxy() else {
        return;
    };
    let (from, to) = (kafka.topic("wait-from", 1), kafka.topic("wait-to", 1));
    let inside = kafka::Cluster::at(kafka.internal());
    let input = source(&kafka, from.name()).at(&inside).text();
    let output = sink(&kafka, to.name()).text();
    let handle = start_kept(input, output, &StateStore::memory());
    from.produce(&records(0, 0..10));
    until_read(&handle, 10);
    kafka.proxy().hang(true);
    from.produce(&records(0, 10..20));
    until_read(&handle, 20);
    std::thread::sleep(Duration::from_secs(1)); // the next checkpoint waits
    let begun = Instant::now();
    drop(handle);
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_job_that_goes_on_loses_nothing() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let (from, to) = (kafka.topic("once-from", 2), kafka.topic("once-to", 2));
    let store = StateStore::memory();
    for part in 0..3_u64 {
        from.produce(&records(0, part * 200..part * 200 + 100));
        from.produce(&records(1, part * 200 + 100..part * 200 + 200));
        let input = source(kafka, from.name()).text();
        let handle = start_kept(input, sink(kafka, to.name()).text(), &store);
        until_read(&handle, 50);
        match part {
            1 => drop(handle),
            2 => {
                until("all is there", || {
                    let mut written = values(&to.read_committed());
                    written.dedup();
                    written == texts(0..600)
                });
                stop(handle);
            }
            _ => drop(stop(handle)),
        }
    }
}
