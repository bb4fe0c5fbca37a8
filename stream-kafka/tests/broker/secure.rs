//! Clusters that ask for TLS and a name: what belongs to them goes through, and who does not is told why.

use std::env;
use std::fs;
use std::process::Command;
use std::time::Duration;

use stream_core::io;
use stream_core::run::StateStore;
use stream_kafka as kafka;
use stream_kafka::{End, Sasl, Secret};

use super::mistakes::{assert_all, told_by_all};
use super::sink_support::{values, writing};
use super::source_support::{all, copy, run, texts};
use crate::support::{Cluster, Topic};

const MECHANISMS: [Sasl; 3] = [Sasl::ScramSha512, Sasl::ScramSha256, Sasl::Plain];

/// What no error may show.
const WRONG: &str = "wrong-hush-hush";

/// The cluster, as somebody is told of it who may use it.
fn at(cluster: &Cluster) -> kafka::Cluster {
    let secrets = cluster.secrets().unwrap();
    encrypted(cluster).sasl(
        Sasl::ScramSha512,
        &*secrets.user,
        Secret::text(&*secrets.password),
    )
}

/// The same without a name.
fn encrypted(cluster: &Cluster) -> kafka::Cluster {
    let secrets = cluster.secrets().unwrap();
    kafka::Cluster::at(cluster.bootstrap()).tls_trusting(&secrets.ca)
}

fn assert_hidden(cluster: &Cluster, told: &[String]) {
    let password = &cluster.secrets().unwrap().password;
    for told in told {
        assert!(!told.contains(WRONG) && !told.contains(password), "{told}");
    }
}

/// What all tell, in which no secret is.
fn told(secure: &Cluster, cluster: &kafka::Cluster, parts: &[&str]) {
    let told = told_by_all(cluster, "clicks");
    assert_hidden(secure, &told);
    assert_all(&told, parts);
}

/// Writes numbers through one topic into another, and asserts that all of them arrive.
fn pass_through(cluster: &kafka::Cluster, from: &Topic<'_>, to: &Topic<'_>, exactly_once: bool) {
    let rows = texts(0..50);
    run(writing(
        rows.clone(),
        kafka::sink(from.name()).at(cluster).text(),
    ))
    .unwrap();
    let source = || kafka::source(from.name()).at(cluster).until(End::Latest);
    assert_eq!(all(source().text()), rows);
    let sink = kafka::sink(to.name()).at(cluster);
    let sink = match exactly_once {
        true => sink.exactly_once(to.name()),
        false => sink,
    };
    let job = copy(source().text(), sink.text()).state(StateStore::memory());
    run(job).unwrap();
    assert_eq!(values(&to.read_settled()), rows);
}

#[test]
fn records_go_through_by_every_mechanism() {
    let Some(kafka) = Cluster::shared_secure() else {
        return;
    };
    let secrets = kafka.secrets().unwrap();
    for (mechanism, exactly_once) in MECHANISMS.into_iter().zip([true, false, true]) {
        let (from, to) = (kafka.topic("from", 2), kafka.topic("to", 2));
        let password = Secret::text(&*secrets.password);
        let cluster = encrypted(kafka).sasl(mechanism, &*secrets.user, password);
        pass_through(&cluster, &from, &to, exactly_once);
    }
}

#[test]
fn records_go_through_with_a_token() {
    let Some(kafka) = Cluster::shared_secure() else {
        return;
    };
    let (from, to) = (kafka.topic("token-from", 2), kafka.topic("token-to", 2));
    let cluster = encrypted(kafka)
        .property("sasl.mechanism", "OAUTHBEARER")
        .property("enable.sasl.oauthbearer.unsecure.jwt", "true")
        .property("sasl.oauthbearer.config", "principal=somebody");
    pass_through(&cluster, &from, &to, true);
}

#[test]
fn records_go_through_by_a_file_of_properties() {
    let Some(kafka) = Cluster::shared_secure() else {
        return;
    };
    let secrets = kafka.secrets().unwrap();
    let (from, to) = (kafka.topic("file-from", 1), kafka.topic("file-to", 1));
    let file = tempfile::NamedTempFile::new().unwrap();
    let lines = format!(
        "security.protocol=SASL_SSL\nsasl.mechanisms=SCRAM-SHA-512\nsasl.username={}\nsasl.password={}\n\
         ssl.ca.location={}\n",
        secrets.user, secrets.password, secrets.ca
    );
    fs::write(&file, lines).unwrap();
    let cluster = kafka::Cluster::at(kafka.bootstrap()).properties_file(file.path());
    assert!(!format!("{cluster:?}").contains(&secrets.password));
    pass_through(&cluster, &from, &to, false);
}

#[test]
fn a_password_or_a_user_that_is_wrong_is_told() {
    let Some(kafka) = Cluster::shared_secure() else {
        return;
    };
    for mechanism in MECHANISMS {
        for user in ["stream", "nobody"] {
            let cluster = encrypted(kafka).sasl(mechanism, user, Secret::text(WRONG));
            let parts = [
                "uthentication failed",
                "check the name, the password",
                "KAFKA_PASSWORD",
            ];
            told(kafka, &cluster, &parts);
        }
    }
}

#[test]
fn a_mechanism_that_the_broker_lacks_is_told() {
    let Some(kafka) = Cluster::shared_secure() else {
        return;
    };
    // The brokers' own listener has no mechanism at all.
    let cluster = kafka::Cluster::at(kafka.internal());
    let cluster = cluster.sasl(Sasl::ScramSha512, "stream", Secret::text(WRONG));
    told(
        kafka,
        &cluster,
        &["the listener asks for no name", "`.sasl(…)`"],
    );
}

#[test]
fn who_does_not_encrypt_or_has_no_name_is_told() {
    let Some(kafka) = Cluster::shared_secure() else {
        return;
    };
    let plain = kafka::Cluster::at(kafka.bootstrap());
    told(
        kafka,
        &plain,
        &["the listener seems to speak TLS", "KAFKA_CA", "`.tls()`"],
    );
    let named = plain.sasl(Sasl::Plain, "stream", Secret::text(WRONG));
    told(
        kafka,
        &named,
        &["the listener seems to speak TLS", "KAFKA_CA", "`.tls()`"],
    );
    let nameless = encrypted(kafka);
    told(kafka, &nameless, &["`.sasl(…)`"]);
}

#[test]
fn who_encrypts_where_nobody_asks_for_it_is_told() {
    let Some(kafka) = Cluster::shared_secure() else {
        return;
    };
    for cluster in [encrypted(kafka), at(kafka)] {
        let cluster = cluster.property("bootstrap.servers", kafka.internal());
        told(
            kafka,
            &cluster,
            &["seems not to speak TLS", "leave out `.tls()`"],
        );
    }
}

#[test]
fn a_certificate_that_somebody_else_has_signed_is_told() {
    let Some(kafka) = Cluster::shared_secure() else {
        return;
    };
    let parts = [
        "certificate verify failed",
        "KAFKA_CA",
        "`.tls_trusting(…)`",
    ];
    told(kafka, &kafka::Cluster::at(kafka.bootstrap()).tls(), &parts);
    // The broker's own certificate has signed nothing.
    let other = kafka.secrets().unwrap().ca.replace("ca.pem", "broker.pem");
    let cluster = kafka::Cluster::at(kafka.bootstrap()).tls_trusting(other);
    told(
        kafka,
        &cluster.property("enable.ssl.certificate.verification", "true"),
        &parts[1..],
    );
    let missing = kafka::Cluster::at(kafka.bootstrap()).tls_trusting("/nowhere/ca.pem");
    told(
        kafka,
        &missing,
        &["cannot be read, or is no PEM", "KAFKA_CA"],
    );
}

/// Whether this process is one that a test has started to listen to it.
const CHILD: &str = "STREAM_KAFKA_TEST_CHILD";

#[test]
fn a_password_is_never_shown() {
    let Some(kafka) = Cluster::shared_secure() else {
        return;
    };
    let secrets = kafka.secrets().unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(&file, format!("ssl.key.password={WRONG}\n")).unwrap();
    for password in [&*secrets.password, WRONG] {
        let output = Command::new(env::current_exe().unwrap())
            .args(["--exact", "secure::child_shows_what_it_can", "--nocapture"])
            .env(CHILD, "1")
            .env("KAFKA_BOOTSTRAP", kafka.bootstrap())
            .env("KAFKA_CA", &secrets.ca)
            .env("KAFKA_USERNAME", &secrets.user)
            .env("KAFKA_PASSWORD", password)
            .env("KAFKA_PROPERTIES", file.path())
            .output()
            .unwrap();
        let shown = [output.stdout, output.stderr].concat();
        let shown = String::from_utf8_lossy(&shown);
        let expected = match password {
            WRONG => "uthentication failed",
            _ => "there is no topic `clicks`",
        };
        assert!(
            output.status.success() && shown.contains(expected),
            "{shown}"
        );
        assert!(shown.contains("KAFKA_PASSWORD"), "{shown}");
        assert_hidden(kafka, &[shown.into_owned()]);
    }
}

/// Shows all that a process shows of the cluster that the environment names.
#[test]
fn child_shows_what_it_can() {
    if env::var_os(CHILD).is_none() {
        return;
    }
    let cluster = kafka::Cluster::from_env().property("debug", "security,conf,broker");
    let source = kafka::source("clicks").at(&cluster).text();
    let sink = kafka::sink("clicks").at(&cluster).exactly_once("clicks");
    println!("{cluster:?} {cluster:#?} {source:?} {sink:?}");
    println!("{:?}", told_by_all(&cluster, "clicks"));
    for name in [
        "ssl.key.pem",
        "sasl.pasword",
        "ssl.keystore.password",
        "sasl.oauthbearer.client.secret",
    ] {
        let cluster = cluster.clone().property(name, WRONG);
        println!("{cluster:?} {:?}", told_by_all(&cluster, "clicks"));
    }
}

#[test]
fn rights_that_are_missing_are_told() {
    let Some(kafka) = Cluster::shared_secure() else {
        return;
    };
    let deny = |kind: &str, name: &str| {
        let deny = [
            "acls",
            "--add",
            "--force",
            "--deny-principal",
            "User:stream",
        ];
        kafka.dev_kafka(&[&deny[..], &["--operation", "All", kind, name]].concat());
    };
    let topic = kafka.topic("denied", 1);
    deny("--topic", topic.name());
    let told = told_by_all(&at(kafka), topic.name());
    assert_all(
        &told,
        &[
            "authorization failed",
            "ask who runs the cluster",
            topic.name(),
        ],
    );
    for (kind, says) in [
        ("--transactional-id", "Transactional Id"),
        ("--group", "Group"),
    ] {
        let topic = kafka.topic("denied-id", 1);
        deny(kind, topic.name());
        let sink = kafka::sink(topic.name())
            .at(&at(kafka))
            .exactly_once(topic.name());
        let sink = sink.commit_waits(Duration::from_secs(1), Duration::from_secs(2));
        let job = copy(io::vec(vec!["a".to_owned()]), sink.text()).state(StateStore::memory());
        let told = run(job).unwrap_err().to_string();
        assert_all(
            &[told],
            &[says, "uthorization failed", "ask who runs the cluster"],
        );
    }
}
