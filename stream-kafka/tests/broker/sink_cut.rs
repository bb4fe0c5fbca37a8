//! Commits that are cut at each of their steps, and runs that wake up when another one has taken over.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use stream_core::Problem;
use stream_core::io::{Commit, Revision, Sink};

use super::sink_support::{exact, exact_inside, staged, values};
use super::source_support::{at, until};
use crate::support::{Catch, Cluster, Topic};

/// The requests of a commit, by their keys in Kafka's protocol.
pub(crate) const STEPS: [(&str, i16); 5] = [
    ("Produce", PRODUCE),
    ("AddPartitionsToTxn", 24),
    ("AddOffsetsToTxn", 25),
    ("EndTxn", END_TXN),
    ("TxnOffsetCommit", TXN_OFFSET_COMMIT),
];
const PRODUCE: i16 = 0;
const INIT_PRODUCER_ID: i16 = 22;
const OFFSET_FETCH: i16 = 9;
const END_TXN: i16 = 26;
const TXN_OFFSET_COMMIT: i16 = 28;

/// For how long runs try.
const WAIT: Duration = Duration::from_secs(20);

/// A sink behind the proxy, which knows it by the topic's name.
fn behind(kafka: &Cluster, topic: &Topic<'_>) -> impl Sink<String> + use<> {
    let cluster = at(kafka).property("client.id", topic.name());
    let sink = exact(kafka, topic).at(&cluster).commit_waits(WAIT, WAIT);
    sink.text()
}

/// A run behind the proxy that has committed checkpoint 1 and staged checkpoint 2.
fn begun(kafka: &Cluster, topic: &Topic<'_>) -> (impl Sink<String> + use<>, Commit) {
    let before = exact_inside(kafka, topic).text();
    before.recover(None).unwrap();
    let first = behind(kafka, topic);
    first.recover(Some(&staged(&before, 1, ["a"]))).unwrap();
    let commit = staged(&first, 2, ["b", "c"]);
    (first, commit)
}

/// Catches a request of the run of a topic.
fn catch(kafka: &Cluster, topic: &Topic<'_>, key: i16, catch: Catch) {
    kafka.proxy().catch_of(topic.name(), key, catch);
}

/// Lets the process be gone whose request is caught, while that is still under way.
fn kill(kafka: &Cluster) {
    kafka.proxy().await_caught();
    kafka.proxy().refuse(true);
    kafka.proxy().drop_clients();
}

/// Commits on a thread of its own.
fn commits(sink: impl Sink<String>, commit: &Commit) -> JoinHandle<Result<(), Problem>> {
    let commit = commit.clone();
    thread::spawn(move || sink.commit(&commit))
}

#[test]
fn a_broker_that_gives_up_a_transaction_loses_nothing_of_it() {
    let Some(kafka) = Cluster::behind_proxy() else {
        return;
    };
    let topic = kafka.topic("given-up", 1);
    let cluster = at(&kafka).property("client.id", topic.name());
    let first = exact(&kafka, &topic).at(&cluster).commit_waits(WAIT, WAIT);
    let first = first.transaction_timeout(Duration::from_secs(1)).text();
    first.recover(None).unwrap();
    let commit = staged(&first, 1, ["a", "b"]);
    catch(&kafka, &topic, END_TXN, Catch::Hold);
    let held = commits(first, &commit);
    kafka.proxy().await_caught();
    // A request that is repeated does not come through either. The broker looks for such transactions
    // every ten seconds.
    kafka.proxy().hang(true);
    topic.await_settled();
    assert_eq!(topic.read_committed(), []);
    kafka.proxy().pass_all();
    held.join().unwrap().unwrap();
    assert_eq!(values(&topic.read_settled()), ["a", "b"]);
}

#[test]
fn a_process_that_is_killed_at_any_step_of_a_commit_has_written_once() {
    let Some(kafka) = Cluster::shared_behind_proxy() else {
        return;
    };
    for (step, key) in STEPS {
        for what in [Catch::Hold, Catch::LoseAnswer] {
            let topic = kafka.topic("killed", 2);
            let (first, commit) = begun(&kafka, &topic);
            catch(&kafka, &topic, key, what);
            commits(first, &commit);
            kill(&kafka);
            let second = exact_inside(&kafka, &topic).text();
            second.recover(Some(&commit)).unwrap();
            kafka.proxy().release();
            second.commit(&staged(&second, 3, ["d"])).unwrap();
            let written = values(&topic.read_settled());
            assert_eq!(written, ["a", "b", "c", "d"], "{step}, {what:?}");
            kafka.proxy().pass_all();
        }
    }
}

#[test]
fn a_run_that_is_killed_while_it_recovers_has_written_once() {
    let Some(kafka) = Cluster::shared_behind_proxy() else {
        return;
    };
    for key in [INIT_PRODUCER_ID, OFFSET_FETCH] {
        for what in [Catch::Hold, Catch::LoseAnswer] {
            let topic = kafka.topic("killed-early", 2);
            let (first, commit) = begun(&kafka, &topic);
            drop(first);
            let second = behind(&kafka, &topic);
            catch(&kafka, &topic, key, what);
            let recovering = commit.clone();
            thread::spawn(move || second.recover(Some(&recovering)));
            kill(&kafka);
            kafka.proxy().release();
            let third = exact_inside(&kafka, &topic).text();
            third.recover(Some(&commit)).unwrap();
            third.commit(&staged(&third, 3, ["d"])).unwrap();
            let written = values(&topic.read_settled());
            assert_eq!(written, ["a", "b", "c", "d"], "{key}, {what:?}");
            kafka.proxy().pass_all();
        }
    }
}

#[test]
fn a_run_that_begins_afresh_and_sleeps_takes_nothing_from_the_one_that_has_followed() {
    let Some(kafka) = Cluster::shared_behind_proxy() else {
        return;
    };
    let topic = kafka.topic("asleep-afresh", 2);
    let sleepy = behind(&kafka, &topic);
    catch(&kafka, &topic, INIT_PRODUCER_ID, Catch::Hold);
    let sleeping = thread::spawn(move || sleepy.recover(None));
    kafka.proxy().await_caught();
    let second = exact_inside(&kafka, &topic).text();
    second.recover(None).unwrap();
    second.commit(&staged(&second, 1, ["a"])).unwrap();
    kafka.proxy().release();
    let told = sleeping.join().unwrap().unwrap_err().to_string();
    assert!(told.contains("is written by another run"), "{told}");
    second.commit(&staged(&second, 2, ["b"])).unwrap();
    assert_eq!(values(&topic.read_settled()), ["a", "b"]);
}

#[test]
fn a_run_that_sleeps_before_it_looks_at_its_sinks_takes_nothing_either() {
    let Some(kafka) = Cluster::shared_behind_proxy() else {
        return;
    };
    let topic = kafka.topic("asleep-earlier", 2);
    let sink = || exact_inside(&kafka, &topic).text();
    let as_a_job_has_it = Revision::Connected {
        record_by_record: false,
    };
    let sleepy = Sink::<String>::revised(&sink(), &as_a_job_has_it);
    let sleepy = sleepy.unwrap().unwrap();
    let second = sink();
    second.recover(None).unwrap();
    second.commit(&staged(&second, 1, ["a"])).unwrap();
    let told = sleepy.recover(None).unwrap_err().to_string();
    assert!(told.contains("is written by another run"), "{told}");
    second.commit(&staged(&second, 2, ["b"])).unwrap();
    assert_eq!(values(&topic.read_settled()), ["a", "b"]);
}

#[test]
fn an_answer_that_is_lost_at_any_step_costs_nothing_but_time() {
    let Some(kafka) = Cluster::shared_behind_proxy() else {
        return;
    };
    for (step, key) in STEPS {
        let topic = kafka.topic("lost", 2);
        let (first, commit) = begun(&kafka, &topic);
        catch(&kafka, &topic, key, Catch::LoseAnswer);
        first.commit(&commit).unwrap();
        kafka.proxy().await_caught();
        first.commit(&staged(&first, 3, ["d"])).unwrap();
        let written = values(&topic.read_settled());
        assert_eq!(written, ["a", "b", "c", "d"], "{step}");
    }
}

#[test]
fn a_commit_of_which_nothing_is_heard_for_long_is_not_done_twice() {
    let Some(kafka) = Cluster::shared_behind_proxy() else {
        return;
    };
    let topic = kafka.topic("unheard", 2);
    let wait = Duration::from_secs(1);
    let cluster = at(&kafka).property("client.id", topic.name());
    let first = exact(&kafka, &topic).at(&cluster).commit_waits(wait, WAIT);
    let first = first.text();
    first.recover(None).unwrap();
    let commit = staged(&first, 1, ["a", "b"]);
    catch(&kafka, &topic, END_TXN, Catch::LoseAnswer);
    let unheard = commits(first, &commit);
    kafka.proxy().await_caught();
    kafka.proxy().hang(true);
    thread::sleep(2 * wait);
    assert_eq!(values(&topic.read_settled()), ["a", "b"]);
    kafka.proxy().hang(false);
    unheard.join().unwrap().unwrap();
    assert_eq!(values(&topic.read_settled()), ["a", "b"]);
}

#[test]
fn a_request_that_comes_long_after_its_repetition_does_not_reach_the_next_commit() {
    let Some(kafka) = Cluster::shared_behind_proxy() else {
        return;
    };
    let topic = kafka.topic("repeated", 2);
    let (first, commit) = begun(&kafka, &topic);
    let first = Arc::new(first);
    catch(&kafka, &topic, TXN_OFFSET_COMMIT, Catch::Hold);
    let repeats = commits(first.clone(), &commit);
    kafka.proxy().await_caught();
    kafka.proxy().drop_clients();
    repeats.join().unwrap().unwrap();
    // It would set the marker of the next commit back.
    let next = staged(&first, 3, ["d"]);
    catch(&kafka, &topic, END_TXN, Catch::Hold);
    let commits_next = commits(first, &next);
    kafka.proxy().await_caught();
    kafka.proxy().release_first();
    thread::sleep(Duration::from_millis(500));
    kafka.proxy().release();
    commits_next.join().unwrap().unwrap();
    exact_inside(&kafka, &topic)
        .text::<String>()
        .recover(Some(&next))
        .unwrap();
    assert_eq!(values(&topic.read_settled()), ["a", "b", "c", "d"]);
}

#[test]
fn a_run_that_wakes_up_in_a_commit_is_refused_when_another_one_has_taken_over() {
    let Some(kafka) = Cluster::shared_behind_proxy() else {
        return;
    };
    for (step, key) in STEPS {
        let topic = kafka.topic("wakes", 2);
        let (first, commit) = begun(&kafka, &topic);
        catch(&kafka, &topic, key, Catch::Hold);
        let woken = commits(first, &commit);
        kafka.proxy().await_caught();
        let second = exact_inside(&kafka, &topic).text();
        second.recover(Some(&commit)).unwrap();
        kafka.proxy().release();
        until("the first run ends", || woken.is_finished());
        let told = woken.join().unwrap().unwrap_err().to_string();
        assert!(told.contains("is written by another run"), "{step}: {told}");
        second.commit(&staged(&second, 3, ["d"])).unwrap();
        let written = values(&topic.read_settled());
        assert_eq!(written, ["a", "b", "c", "d"], "{step}");
    }
}

#[test]
fn a_commit_gives_up_when_its_broker_stays_away() {
    let Some(kafka) = Cluster::shared_behind_proxy() else {
        return;
    };
    // While it sends records, and while it sends the marker.
    for key in [PRODUCE, TXN_OFFSET_COMMIT] {
        let topic = kafka.topic("gives-up", 2);
        let before = exact_inside(&kafka, &topic).text();
        before.recover(None).unwrap();
        let cluster = at(&kafka).property("client.id", topic.name());
        let wait = Duration::from_secs(1);
        let first = exact(&kafka, &topic).at(&cluster);
        let first = first.commit_waits(wait, wait).transaction_timeout(wait);
        let first = first.text();
        first.recover(Some(&staged(&before, 1, ["a"]))).unwrap();
        catch(&kafka, &topic, key, Catch::Hold);
        let gives_up = commits(first, &staged(&before, 2, ["b"]));
        kill(&kafka);
        until("it has given up", || gives_up.is_finished());
        let told = gives_up.join().unwrap().unwrap_err().to_string();
        assert!(told.contains("cannot commit checkpoint 2"), "{told}");
        kafka.proxy().pass_all();
    }
}

#[test]
fn a_run_that_was_cut_off_is_refused_when_another_one_has_taken_over() {
    let Some(kafka) = Cluster::shared_behind_proxy() else {
        return;
    };
    let topic = kafka.topic("cut-off", 1);
    let (first, commit) = begun(&kafka, &topic);
    kafka.proxy().hang(true);
    let cut_off = commits(first, &commit);
    let second = exact_inside(&kafka, &topic).text();
    second.recover(Some(&commit)).unwrap();
    second.commit(&staged(&second, 3, ["d"])).unwrap();
    kafka.proxy().hang(false);
    until("the first run ends", || cut_off.is_finished());
    let told = cut_off.join().unwrap().unwrap_err().to_string();
    assert!(told.contains("is written by another run"), "{told}");
    assert_eq!(values(&topic.read_settled()), ["a", "b", "c", "d"]);
}
