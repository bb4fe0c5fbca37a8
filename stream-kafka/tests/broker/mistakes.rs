//! Usual mistakes, each told with what to do.

use std::net::TcpListener;
use std::time::Duration;

use stream_core::io::Sink;
use stream_core::run::StateStore;
use stream_kafka as kafka;

use super::sink_support::writing;
use super::source_support::{at, failure, run};
use crate::support::Cluster;

/// What a source, a sink and one that writes exactly once tell of a cluster.
pub(crate) fn told_by_all(cluster: &kafka::Cluster, topic: &str) -> [String; 3] {
    let cluster = cluster.clone().start_wait(Duration::from_secs(2));
    let source = kafka::source(topic).at(&cluster).text();
    let sink = || kafka::sink(topic).at(&cluster);
    [
        failure(source),
        sink_failure(sink().text()),
        sink_failure(
            sink()
                .exactly_once(topic)
                .commit_waits(Duration::from_secs(2), Duration::from_secs(4))
                .text(),
        ),
    ]
}

fn sink_failure(sink: impl Sink<&'static str>) -> String {
    let job = writing(["a"], sink).state(StateStore::memory());
    run(job).unwrap_err().to_string()
}

/// Asserts that each of them names the reason and what to do.
pub(crate) fn assert_all(told: &[String], parts: &[&str]) {
    for told in told {
        for part in parts {
            assert!(told.contains(part), "no `{part}` in: {told}");
        }
    }
}

/// Whatever is wrong is told in words that name it and the setting.
fn told(cluster: &kafka::Cluster, parts: &[&str]) {
    assert_all(&told_by_all(cluster, "clicks"), parts);
}

#[test]
fn a_port_that_nobody_listens_at_is_told() {
    let cluster = kafka::Cluster::at("127.0.0.1:1");
    told(
        &cluster,
        &["127.0.0.1:1", "Connection refused", "check host and port"],
    );
}

#[test]
fn a_host_that_nobody_knows_is_told() {
    let cluster = kafka::Cluster::at("no-such-host.invalid:9092");
    let parts = [
        "Failed to resolve 'no-such-host.invalid:9092'",
        "check the name of the host",
    ];
    told(&cluster, &parts);
}

#[test]
fn an_address_that_is_none_is_told() {
    told(
        &kafka::Cluster::at("127.0.0.1:99999"),
        &["`127.0.0.1:99999` is no address", "HOST:PORT"],
    );
    told(
        &kafka::Cluster::at(""),
        &["no Kafka broker is named", "KAFKA_BOOTSTRAP"],
    );
}

#[test]
fn a_topic_that_is_missing_or_has_no_name_is_told() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    let missing = told_by_all(&at(kafka), "no-such-topic");
    assert_all(
        &missing,
        &[
            "there is no topic `no-such-topic`",
            "check its name and the cluster",
        ],
    );
    let wrong = told_by_all(&at(kafka), "no such topic");
    assert_all(
        &wrong,
        &[
            "the topic `no such topic`",
            "Invalid topic",
            "at most 249 letters",
        ],
    );
}

#[test]
fn an_advertised_address_that_cannot_be_reached_is_told() {
    // That of a listener that is gone when its line ends.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
    let port = port.unwrap().port().to_string();
    let Some(kafka) = Cluster::advertising(&port) else {
        return;
    };
    let topic = kafka.topic("advertised", 1);
    let told = told_by_all(&kafka::Cluster::at(kafka.listener()), topic.name());
    assert_all(
        &told,
        &[&format!("127.0.0.1:{port}"), "`advertised.listeners`"],
    );
}

#[test]
fn a_property_that_nobody_knows_is_told_and_its_value_is_not() {
    for (wrong, right) in [
        ("lingr.ms", "linger.ms"),
        ("sasl.pasword", "sasl.password"),
        ("request.timout.ms", "request.timeout.ms"),
    ] {
        let cluster = kafka::Cluster::at("127.0.0.1:1").property(wrong, "hush");
        let told = told_by_all(&cluster, "clicks");
        let says = format!("there is no Kafka property `{wrong}`");
        assert_all(&told, &[&says, &format!("do you mean `{right}`?")]);
        assert!(told.iter().all(|told| !told.contains("hush")), "{told:?}");
    }
    let cluster = kafka::Cluster::at("127.0.0.1:1");
    let other = cluster.clone().property("key.serializer", "x");
    told(
        &other,
        &[
            "there is no Kafka property `key.serializer`",
            "docs/KAFKA.md",
        ],
    );
    let value = cluster.property("linger.ms", "soon");
    told(&value, &["`linger.ms` was set to `soon`"]);
}

#[test]
fn a_secret_is_not_shown_whatever_it_is_the_value_of() {
    // With TLS it is taken, and looked at when a connection is made.
    let of_a_key = match cfg!(any(feature = "ssl", feature = "ssl-vendored")) {
        true => "cannot set up",
        false => "it is not accepted (`ssl.key.pem`)",
    };
    for (name, value, says) in [
        ("linger.ms", "hush", "`linger.ms` was set to `***`"),
        ("client.dns.lookup", "hush", "`client.dns.lookup` was set"),
        ("debug", "broker,hush", "`debug` was set to `***`"),
        ("ssl.key.pem", "hush", of_a_key),
        ("lingr.ms", "hush", "no Kafka property `lingr.ms`"),
        ("sasl.mechanism", "HUSH", "mechanism: ***"),
        (
            "bootstrap.servers",
            "hush:port",
            "no address of a Kafka broker",
        ),
    ] {
        let cluster = kafka::Cluster::at("127.0.0.1:1")
            .property("security.protocol", "sasl_plaintext")
            .secret_property(name, kafka::Secret::text(value));
        let told = told_by_all(&cluster, "clicks");
        assert_all(&told, &[says]);
        let is_hidden = |told: &String| !told.to_lowercase().contains("hush");
        assert!(told.iter().all(is_hidden), "{told:?}");
    }
}

#[test]
#[cfg(not(any(feature = "ssl", feature = "ssl-vendored")))]
fn what_needs_the_feature_ssl_names_it() {
    let at = || kafka::Cluster::at("127.0.0.1:1");
    let secret = || kafka::Secret::text("hush");
    for cluster in [
        at().tls(),
        at().tls_trusting("/nowhere/ca.pem"),
        at().sasl(kafka::Sasl::ScramSha256, "me", secret()),
        at().sasl(kafka::Sasl::ScramSha512, "me", secret()).tls(),
        at().property("security.protocol", "ssl"),
        at().property("sasl.mechanism", "OAUTHBEARER")
            .property("security.protocol", "sasl_plaintext")
            .property("enable.sasl.oauthbearer.unsecure.jwt", "true")
            .property("sasl.oauthbearer.config", "principal=hush"),
    ] {
        let told = told_by_all(&cluster, "clicks");
        assert_all(
            &told,
            &["cannot set up", "the feature `ssl` of stream-kafka"],
        );
        assert!(told.iter().all(|told| !told.contains("hush")), "{told:?}");
    }
}

#[test]
#[cfg(any(feature = "ssl", feature = "ssl-vendored"))]
fn a_token_is_accepted_without_a_broker() {
    let cluster = kafka::Cluster::at("127.0.0.1:1")
        .property("sasl.mechanism", "OAUTHBEARER")
        .property("security.protocol", "sasl_plaintext")
        .property("enable.sasl.oauthbearer.unsecure.jwt", "true")
        .property("sasl.oauthbearer.config", "principal=somebody");
    told(&cluster, &["Connection refused", "check host and port"]);
}
