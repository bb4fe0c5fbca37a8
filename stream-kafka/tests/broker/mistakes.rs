//! Usual mistakes, each told with what to do.

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
        sink_failure(sink().exactly_once(topic).text()),
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

#[test]
fn explore() {
    let Some(kafka) = Cluster::shared() else {
        return;
    };
    println!("REFUSED {:#?}", told_by_all(&kafka::Cluster::at("127.0.0.1:1"), "t"));
    println!("HOST {:#?}", told_by_all(&kafka::Cluster::at("no-such-host.invalid:9092"), "t"));
    println!("NOPORT {:#?}", told_by_all(&kafka::Cluster::at("127.0.0.1:99999"), "t"));
    println!("EMPTY {:#?}", told_by_all(&kafka::Cluster::at(""), "t"));
    println!("TOPIC {:#?}", told_by_all(&at(kafka), "no-such-topic"));
    println!("BADTOPIC {:#?}", told_by_all(&at(kafka), "no such topic"));
    println!("PROP {:#?}", told_by_all(&at(kafka).property("lingr.ms", "5"), "t"));
    println!("PROPV {:#?}", told_by_all(&at(kafka).property("linger.ms", "soon"), "t"));
    println!("TLS {:#?}", told_by_all(&at(kafka).tls(), "t"));
    println!("SCRAM {:#?}", told_by_all(&at(kafka).sasl(kafka::Sasl::ScramSha256, "me", kafka::Secret::text("hush")), "t"));
    println!("PLAIN {:#?}", told_by_all(&at(kafka).sasl(kafka::Sasl::Plain, "me", kafka::Secret::text("hush")), "t"));
    println!("OAUTH {:#?}", told_by_all(&at(kafka).property("security.protocol", "sasl_plaintext").property("sasl.mechanism", "OAUTHBEARER").property("enable.sasl.oauthbearer.unsecure.jwt", "true").property("sasl.oauthbearer.config", "principal=stream"), "t"));
    println!("OIDC {:#?}", told_by_all(&at(kafka).property("security.protocol", "sasl_plaintext").property("sasl.mechanism", "OAUTHBEARER").property("sasl.oauthbearer.method", "oidc").property("sasl.oauthbearer.client.secret", "hush"), "t"));
    println!("GSSAPI {:#?}", told_by_all(&at(kafka).property("security.protocol", "sasl_plaintext").property("sasl.mechanism", "GSSAPI"), "t"));
}

#[test]
fn explore_advertised() {
    let name_port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let Some(kafka) = Cluster::advertising(&name_port) else { return };
    println!("ADV {:#?}", told_by_all(&kafka::Cluster::at(kafka.listener()), "t"));
}
