//! Errors of the client library as help: what failed, what it means, what to do.

use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;
use stream_core::Problem;

/// What a reason that the library gives says, by parts of its text, with what to do about it. The first
/// that fits counts.
const REASONS: [(&[&str], &str); 12] = [
    (
        &[
            "no ssl support",
            "openssl not available",
            "libsasl2, scram",
            "mechanism not supported",
        ],
        "build with the feature `ssl` of stream-kafka (or `ssl-vendored`)",
    ),
    (
        &[
            "might be caused by incorrect security.protocol",
            "connecting to a ssl listener",
        ],
        "the listener seems to speak TLS: set `KAFKA_CA`, or call `.tls()`, or name a listener that does not",
    ),
    (
        &["broker might require sasl", "sasl authentication"],
        "check the name, the password and the mechanism: `KAFKA_USERNAME`, `KAFKA_PASSWORD`, `KAFKA_SASL_MECHANISM`, \
         or `.sasl(…)`",
    ),
    (
        &[
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
        &["ssl handshake failed"],
        "check that the listener speaks TLS and whom it trusts",
    ),
    (
        &["failed to resolve", "host resolution"],
        "check the name of the host; a broker gives clients the names in its `advertised.listeners`",
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
        &["message size too large", "message too large"],
        "raise `message.max.bytes` here (by `.property`) and `max.message.bytes` of the topic",
    ),
    (
        &["no such configuration property"],
        "docs/KAFKA.md names where the properties of librdkafka are listed",
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
        KafkaError::ClientConfig(_, reason, name, value) if is_shown(name) => {
            format!("{reason} (`{name}` was set to `{value}`)")
        }
        KafkaError::ClientConfig(_, _, name, _) => format!("the value of `{name}` is not accepted"),
        KafkaError::Transaction(error) => error.string(),
        error => match error.rdkafka_error_code() {
            Some(code) => code.to_string(),
            None => error.to_string(),
        },
    };
    because(problem, &told.unwrap_or(reason))
}

/// Only of properties whose values hold no secret.
fn is_shown(name: &str) -> bool {
    !["password", "secret", "key", "oauthbearer", "jaas"]
        .iter()
        .any(|part| name.contains(part))
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
