//! Errors of the client library as help: what failed, what it means, what to do.

use std::time::Duration;

use rdkafka::error::KafkaError;
use rdkafka::types::{RDKafkaConfRes, RDKafkaErrorCode};
use stream_core::Problem;

use super::raw;
use crate::config::is_secret;

/// How long a client is asked first before it is heard what has gone wrong; each time for twice as long.
pub(crate) const FIRST_WAIT: Duration = Duration::from_millis(500);

/// What a reason that the library gives says, by parts of its text, with what to do about it. The first
/// that fits counts.
const REASONS: [(&[&str], &str); 19] = [
    (
        &[
            "no ssl support",
            "openssl not available",
            "libsasl2, scram",
            "no provider for sasl mechanism scram",
            "no provider for sasl mechanism oauthbearer",
            "mechanism not supported",
        ],
        "build with the feature `ssl` of stream-kafka (or `ssl-vendored`)",
    ),
    (
        &[
            "might be caused by incorrect security.protocol",
            "connecting to a ssl listener",
            "in state apiversion_query",
        ],
        "the listener seems to speak TLS: set `KAFKA_CA`, or call `.tls()`, or name a listener that does not",
    ),
    (
        &["not valid in current sasl state"],
        "the listener asks for no name: leave out `.sasl(…)` and `KAFKA_USERNAME`, or name a listener that does",
    ),
    (
        &["mechanism handshake failed", "unsupported sasl mechanism"],
        "name a mechanism that the listener has: `KAFKA_SASL_MECHANISM`, or `.sasl(…)`",
    ),
    (
        &[
            "broker might require sasl",
            "sasl authentication",
            "authentication failed",
        ],
        "check the name, the password and the mechanism: `KAFKA_USERNAME`, `KAFKA_PASSWORD`, `KAFKA_SASL_MECHANISM`, \
         or `.sasl(…)`",
    ),
    (
        &[
            "connecting to a plaintext broker listener",
            "wrong version number",
            "packet length too long",
            "record layer failure",
        ],
        "the listener seems not to speak TLS: leave out `.tls()` and `KAFKA_CA`, or name a listener that does",
    ),
    (
        &["certificate verify failed", "unable to get local issuer"],
        "the brokers' certificate is signed by somebody unknown: name whom to trust by `KAFKA_CA` or `.tls_trusting(…)`",
    ),
    (
        &["ssl.ca.location failed"],
        "the file of certificates that `KAFKA_CA` or `.tls_trusting(…)` names cannot be read, or is no PEM",
    ),
    (
        &["ssl handshake failed"],
        "check that the listener speaks TLS and whom it trusts",
    ),
    (
        &["in state ssl_handshake"],
        "the listener seems not to speak TLS: leave out `.tls()` and `KAFKA_CA`, or name a listener that does",
    ),
    (
        &["failed to resolve", "host resolution"],
        "check the name of the host (`KAFKA_BOOTSTRAP`); a broker gives clients the names in its `advertised.listeners`",
    ),
    (
        &[
            "/bootstrap: connect to",
            "/bootstrap: connection setup timed out",
        ],
        "check host and port, and that a broker listens there (`dev/kafka up` starts one)",
    ),
    (
        &[
            "connect to",
            "connection setup timed out",
            "connection refused",
        ],
        "a broker is down, or its `advertised.listeners` names an address that cannot be reached from here",
    ),
    (
        &["authorization failed", "not authorized"],
        "ask who runs the cluster for the rights: to read or write the topic, to use the group or the transactional id",
    ),
    (
        &["invalid topic"],
        "a topic's name is of at most 249 letters, digits, `.`, `_` and `-`",
    ),
    (
        &["disconnected", "broken pipe", "connection reset"],
        "the listener hangs up: it may ask for TLS or for a name and a password (`.tls()`, `.sasl(…)`), or is no \
         Kafka broker's",
    ),
    (
        &["timed out", "broker transport failure"],
        "check that the brokers run, and that their `advertised.listeners` name addresses that can be reached from \
         here",
    ),
    (
        &["message size too large", "message too large"],
        "raise `message.max.bytes` here (by `.property`) and `max.message.bytes` of the topic",
    ),
    (
        &[
            "not available at build time",
            "not built with",
            "no provider for sasl mechanism",
        ],
        "the client library is built without it",
    ),
];

/// Adds to a problem what the library says, and the hint that belongs to it.
pub(crate) fn because(problem: Problem, reason: &str) -> Problem {
    let lower = reason.to_lowercase();
    let fits = |(parts, _): &&(&[&str], &str)| parts.iter().any(|part| lower.contains(part));
    let problem = problem.detail(reason);
    match REASONS.iter().find(fits) {
        Some((_, hint)) => problem.hint(*hint),
        None => problem,
    }
}

/// The same of an error, with what the client has told lately where that says more.
pub(crate) fn because_error(problem: Problem, error: &KafkaError, told: Option<String>) -> Problem {
    let reason = match error {
        KafkaError::ClientCreation(reason) => reason.clone(),
        KafkaError::ClientConfig(code, reason, name, value) => {
            return because_config(problem, *code, reason, name, value);
        }
        KafkaError::Transaction(error) => error.string(),
        error => match error.rdkafka_error_code() {
            Some(code) => code.to_string(),
            None => error.to_string(),
        },
    };
    because(problem, &told.unwrap_or(reason))
}

/// The same of a property that is not accepted. Of one that nobody knows the value is not shown: it may be a
/// secret whose name is misspelt.
fn because_config(
    problem: Problem,
    code: RDKafkaConfRes,
    reason: &str,
    name: &str,
    value: &str,
) -> Problem {
    if code == RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN {
        let problem = problem.detail(format!("there is no Kafka property `{name}`"));
        return problem.hint(match raw::property_like(name) {
            Some(like) => format!("do you mean `{like}`?"),
            None => "docs/KAFKA.md names where the properties of librdkafka are listed".to_owned(),
        });
    }
    let reason = match is_secret(name) {
        false => format!("{reason} (`{name}` was set to `{value}`)"),
        true if value.is_empty() || reason.contains(value) => {
            format!("the value of `{name}` is not accepted")
        }
        true => format!("{reason} (`{name}`)"),
    };
    because(problem, &reason)
}

/// Whether trying again is of no use.
pub(crate) fn is_lasting(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::Authentication
            | Code::SaslAuthenticationFailed
            | Code::UnsupportedSASLMechanism
            | Code::ClusterAuthorizationFailed
            | Code::TopicAuthorizationFailed
            | Code::InvalidTopic
            | Code::SSL
            | Code::Resolve
            | Code::InvalidArgument
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_mistakes_read_as_help() {
        let hint = |reason: &str| {
            because(Problem::new("x"), reason)
                .hint_text()
                .unwrap_or_default()
                .to_owned()
        };
        let refused =
            "localhost:9/bootstrap: Connect to ipv4#127.0.0.1:9 failed: Connection refused";
        assert!(hint(refused).contains("dev/kafka up"));
        let advertised = "10.0.0.1:9092/1: Connect to ipv4#10.0.0.1:9092 failed: No route to host";
        assert!(hint(advertised).contains("advertised.listeners"));
        assert_eq!(hint("something new"), "");
    }

    #[test]
    fn a_secret_that_is_not_accepted_is_not_shown() {
        let raw = rdkafka_sys::rd_kafka_conf_res_t::RD_KAFKA_CONF_INVALID;
        let error =
            KafkaError::ClientConfig(raw, "bad".into(), "ssl.key.pem".into(), "hush".into());
        let told = because_error(Problem::new("x"), &error, None).to_string();
        assert!(
            told.contains("ssl.key.pem") && !told.contains("hush"),
            "{told}"
        );
    }
}
