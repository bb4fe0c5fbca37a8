//! Clusters that ask for TLS and a password.

use stream_kafka as kafka;
use stream_kafka::{Sasl, Secret};

use super::mistakes::told_by_all;
use crate::support::Cluster;

/// The cluster, as somebody is told of it who may use it.
fn at(cluster: &Cluster) -> kafka::Cluster {
    with(cluster, Sasl::ScramSha512)
}

fn with(cluster: &Cluster, mechanism: Sasl) -> kafka::Cluster {
    let secrets = cluster.secrets().unwrap();
    kafka::Cluster::at(cluster.bootstrap())
        .tls_trusting(&secrets.ca)
        .sasl(mechanism, &*secrets.user, Secret::text(&*secrets.password))
}

#[test]
fn explore() {
    let Some(kafka) = Cluster::shared_secure() else { return };
    let secrets = kafka.secrets().unwrap();
    let open = Cluster::shared().unwrap();
    for m in [Sasl::ScramSha512, Sasl::ScramSha256, Sasl::Plain] {
        println!("WRONG {:#?}", told_by_all(&at(kafka).sasl(m, &*secrets.user, Secret::text("hush")), "t"));
    }
    println!("UNKNOWN USER {:#?}", told_by_all(&at(kafka).sasl(Sasl::ScramSha512, "nobody", Secret::text("hush")), "t"));
    println!("PLAINTEXT {:#?}", told_by_all(&kafka::Cluster::at(kafka.bootstrap()), "t"));
    println!("SASLPLAINTEXT {:#?}", told_by_all(&kafka::Cluster::at(kafka.bootstrap()).sasl(Sasl::ScramSha512, &*secrets.user, Secret::text(&*secrets.password)), "t"));
    println!("NO SASL {:#?}", told_by_all(&kafka::Cluster::at(kafka.bootstrap()).tls_trusting(&secrets.ca), "t"));
    println!("TLS TO PLAIN {:#?}", told_by_all(&kafka::Cluster::at(open.bootstrap()).tls_trusting(&secrets.ca), "t"));
    println!("SASLTLS TO PLAIN {:#?}", told_by_all(&kafka::Cluster::at(open.bootstrap()).tls_trusting(&secrets.ca).sasl(Sasl::ScramSha512, &*secrets.user, Secret::text(&*secrets.password)), "t"));
    println!("SASL TO PLAIN {:#?}", told_by_all(&kafka::Cluster::at(open.bootstrap()).sasl(Sasl::ScramSha512, &*secrets.user, Secret::text(&*secrets.password)), "t"));
    println!("SYSTEM CA {:#?}", told_by_all(&kafka::Cluster::at(kafka.bootstrap()).tls(), "t"));
    println!("NO CA {:#?}", told_by_all(&kafka::Cluster::at(kafka.bootstrap()).tls_trusting("/nowhere"), "t"));
    println!("HOSTNAME {:#?}", told_by_all(&at(kafka).property("bootstrap.servers", kafka.bootstrap().replace("127.0.0.1", "127.0.0.2")), "t"));
    println!("OAUTH {:#?}", told_by_all(&at(kafka).property("sasl.mechanism", "OAUTHBEARER").property("enable.sasl.oauthbearer.unsecure.jwt", "true").property("sasl.oauthbearer.config", "principal=stream"), "t"));
    let t = kafka.topic("denied", 1);
    kafka.dev_kafka(&["acls", "--add", "--topic", t.name(), "--deny-principal", "User:stream", "--operation", "All", "--force"]);
    println!("DENIED {:#?}", told_by_all(&at(kafka), t.name()));
    let t = kafka.topic("denied-w", 1);
    kafka.dev_kafka(&["acls", "--add", "--topic", t.name(), "--deny-principal", "User:stream", "--operation", "Write", "--operation", "Read", "--force"]);
    println!("DENIEDRW {:#?}", told_by_all(&at(kafka), t.name()));
    let t = kafka.topic("denied-id", 1);
    kafka.dev_kafka(&["acls", "--add", "--transactional-id", t.name(), "--deny-principal", "User:stream", "--operation", "All", "--force"]);
    println!("DENIED ID {:#?}", told_by_all_or(&at(kafka), t.name()));
    let t = kafka.topic("denied-group", 1);
    kafka.dev_kafka(&["acls", "--add", "--group", t.name(), "--deny-principal", "User:stream", "--operation", "All", "--force"]);
    println!("DENIED GROUP {:#?}", told_by_all_or(&at(kafka), t.name()));
}

fn told_by_all_or(cluster: &kafka::Cluster, topic: &str) -> String {
    use stream_core::run::StateStore;
    let sink = kafka::sink(topic).at(cluster).exactly_once(topic).commit_waits(std::time::Duration::from_secs(2), std::time::Duration::from_secs(3)).text();
    let begun = std::time::Instant::now();
    format!("{:?} {:?}", super::source_support::run(super::sink_support::writing(["a"], sink).state(StateStore::memory())).map(drop).map_err(|e| e.to_string()), begun.elapsed())
}
