//! Where a cluster is, and how it is talked to.

mod profile;
mod properties;
mod secret;

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use stream_core::Problem;

pub use self::profile::Profile;
pub(crate) use self::properties::Role;
use self::properties::{Properties, Value};
pub use self::secret::Secret;

/// Where a client looks for a cluster that nobody has named.
const BOOTSTRAP: &str = "localhost:9092";

/// How long a job waits at its start for a cluster that does not answer.
const START_WAIT: Duration = Duration::from_secs(30);

/// What every client prefers. A broker that is away is tried again after 20 ms at first; the same time
/// keeps a new client from its second connection, which its first record waits for.
const PREFERRED: [(&str, &str); 5] = [
    ("client.id", "stream"),
    ("reconnect.backoff.ms", "20"),
    ("reconnect.backoff.max.ms", "1000"),
    ("socket.nagle.disable", "true"),
    ("log.connection.close", "false"),
];

/// A Kafka cluster, and how to talk to it.
///
/// ```
/// use std::time::Duration;
/// use stream_kafka::{Cluster, Profile, Sasl, Secret};
///
/// let cluster = Cluster::at("broker-1:9093,broker-2:9093")
///     .tls()
///     .sasl(Sasl::ScramSha512, "etl", Secret::env("ETL_PASSWORD"))
///     .profile(Profile::HighThroughput)
///     .property("client.rack", "b")
///     .start_wait(Duration::from_secs(10));
/// assert!(!format!("{cluster:?}").contains("ETL_PASSWORD="));
/// ```
///
/// Nothing is asked of the cluster, no file is read and no secret looked up before a job starts; what is
/// wrong in a setting is told then.
#[derive(Clone)]
pub struct Cluster {
    properties: Properties,
    profile: Option<Profile>,
    start_wait: Duration,
}

/// How a client proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sasl {
    /// A name and a password, as they are: only over TLS, please.
    Plain,
    /// A challenge, by SHA-256. Needs the feature `ssl`.
    ScramSha256,
    /// A challenge, by SHA-512. Needs the feature `ssl`.
    ScramSha512,
}

impl Sasl {
    fn name(self) -> &'static str {
        match self {
            Sasl::Plain => "PLAIN",
            Sasl::ScramSha256 => "SCRAM-SHA-256",
            Sasl::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

impl Cluster {
    /// The cluster that these brokers belong to: `host:port`, one or several with commas between.
    pub fn at(bootstrap: impl Into<String>) -> Self {
        Cluster {
            properties: Properties::of("bootstrap.servers", bootstrap.into()),
            profile: None,
            start_wait: START_WAIT,
        }
    }

    /// The cluster that the environment names:
    ///
    /// | variable | what it is |
    /// |---|---|
    /// | `KAFKA_BOOTSTRAP` | the brokers; `localhost:9092` if it is not set |
    /// | `KAFKA_CA` | a file with the certificate that the brokers' are signed by; turns TLS on |
    /// | `KAFKA_USERNAME`, `KAFKA_PASSWORD` | the credentials; turn SASL on |
    /// | `KAFKA_SASL_MECHANISM` | `SCRAM-SHA-512` if it is not set |
    /// | `KAFKA_PROPERTIES` | a file as for [`properties_file`](Cluster::properties_file) |
    pub fn from_env() -> Self {
        let set = |name| env::var(name).ok().filter(|value| !value.is_empty());
        let bootstrap = set("KAFKA_BOOTSTRAP").unwrap_or_else(|| BOOTSTRAP.to_owned());
        let mut cluster = Cluster::at(bootstrap);
        if let Some(path) = set("KAFKA_PROPERTIES") {
            cluster = cluster.properties_file(path);
        }
        if let Some(path) = set("KAFKA_CA") {
            cluster = cluster.tls_trusting(path);
        }
        if let Some(user) = set("KAFKA_USERNAME") {
            let mechanism = set("KAFKA_SASL_MECHANISM");
            let mechanism = mechanism.as_deref().unwrap_or(Sasl::ScramSha512.name());
            cluster = cluster.sasl_by(mechanism, user, Secret::env("KAFKA_PASSWORD"));
        }
        cluster
    }

    /// Encrypts what goes over the network, and trusts whom the system trusts. Needs the feature `ssl`.
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.protocol(true, self.properties.has("sasl.mechanism"));
        self
    }

    /// The same, trusting the certificates in a file (PEM) alone.
    #[must_use]
    pub fn tls_trusting(self, certificates: impl AsRef<Path>) -> Self {
        let path = certificates.as_ref().display().to_string();
        self.tls().property("ssl.ca.location", path)
    }

    /// Says who the client is.
    #[must_use]
    pub fn sasl(self, mechanism: Sasl, user: impl Into<String>, password: Secret) -> Self {
        self.sasl_by(mechanism.name(), user.into(), password)
    }

    fn sasl_by(mut self, mechanism: &str, user: String, password: Secret) -> Self {
        let is_encrypted = self.properties.is("security.protocol", "ssl");
        self.protocol(is_encrypted, true);
        self.properties.set("sasl.mechanism", mechanism);
        self.properties.set("sasl.username", user);
        self.properties
            .set("sasl.password", Value::Secret(password));
        self
    }

    fn protocol(&mut self, encrypted: bool, sasl: bool) {
        let protocol = match (encrypted, sasl) {
            (false, _) => "sasl_plaintext",
            (true, false) => "ssl",
            (true, true) => "sasl_ssl",
        };
        self.properties.set("security.protocol", protocol);
    }

    /// Chooses what to be good at; where nothing is said, that depends on the job's mode.
    #[must_use]
    pub fn profile(mut self, profile: Profile) -> Self {
        self.profile = Some(profile);
        self
    }

    /// Sets a property of [librdkafka](https://docs.confluent.io/platform/current/clients/librdkafka/html/md_CONFIGURATION.html),
    /// over what the profile says. One that would break a guarantee is refused when the job starts.
    #[must_use]
    pub fn property(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.properties.set(name, value.into());
        self
    }

    /// The same with a value that is never shown.
    #[must_use]
    pub fn secret_property(mut self, name: impl Into<String>, value: Secret) -> Self {
        self.properties.set(name, Value::Secret(value));
        self
    }

    /// Sets the properties in a file, a line each, as `name=value`; a line that begins with `#` is a
    /// comment. What is set here and in the file is as set here.
    #[must_use]
    pub fn properties_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.properties.add_file(path.into());
        self
    }

    /// How long a job waits at its start for a cluster that does not answer, before it fails; 30 s
    /// unless told.
    #[must_use]
    pub fn start_wait(mut self, wait: Duration) -> Self {
        self.start_wait = wait;
        self
    }

    pub(crate) fn start_wait_max(&self) -> Duration {
        self.start_wait
    }

    pub(crate) fn profile_or_default(&self) -> Profile {
        self.profile.unwrap_or(Profile::LowLatency)
    }

    /// The same with the profile that suits a mode, where none was chosen.
    pub(crate) fn for_mode(&self, record_by_record: bool) -> Self {
        let suits = match record_by_record {
            true => Profile::LowLatency,
            false => Profile::HighThroughput,
        };
        self.clone().profile(self.profile.unwrap_or(suits))
    }

    /// The same with a property as the command line names it, `kafka.linger.ms`; `None` where it is
    /// another connector's.
    pub(crate) fn revised(&self, name: &str, value: &str) -> Option<Self> {
        Some(self.clone().property(name.strip_prefix("kafka.")?, value))
    }

    /// The brokers, for people.
    pub(crate) fn bootstrap(&self) -> String {
        self.properties
            .text("bootstrap.servers")
            .unwrap_or_default()
    }

    /// The settings of a client: first what the adapter prefers, over that what was set, and last what
    /// the guarantees need, which cannot be set otherwise.
    pub(crate) fn client_config(
        &self,
        role: Role,
        preferred: &[(&str, String)],
        needed: &[(&str, String)],
    ) -> Result<ClientConfig, Problem> {
        let mut config = ClientConfig::new();
        config.set_log_level(RDKafkaLogLevel::Warning);
        for (name, value) in PREFERRED {
            config.set(name, value);
        }
        for (name, value) in preferred {
            config.set(*name, value);
        }
        for (name, value) in self.properties.resolve(role)? {
            config.set(name, value);
        }
        for (name, value) in needed {
            config.set(*name, value);
        }
        Ok(config)
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("properties", &self.properties)
            .field("profile", &self.profile)
            .field("start_wait", &self.start_wait)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(cluster: &Cluster, name: &str) -> String {
        let config = cluster.client_config(Role::Consumer, &[], &[]).unwrap();
        config.get(name).unwrap_or_default().to_owned()
    }

    #[test]
    fn tls_and_sasl_go_together_in_either_order() {
        let secret = || Secret::text("hush");
        let cluster = Cluster::at("b:1").tls().sasl(Sasl::Plain, "me", secret());
        assert_eq!(resolved(&cluster, "security.protocol"), "sasl_ssl");
        let cluster = Cluster::at("b:1").sasl(Sasl::Plain, "me", secret());
        assert_eq!(resolved(&cluster, "security.protocol"), "sasl_plaintext");
        assert_eq!(resolved(&cluster, "sasl.password"), "hush");
        let cluster = cluster.tls();
        assert_eq!(resolved(&cluster, "security.protocol"), "sasl_ssl");
    }

    #[test]
    fn no_secret_is_shown() {
        let cluster = Cluster::at("b:1")
            .sasl(Sasl::ScramSha512, "me", Secret::text("hush"))
            .property("ssl.key.password", "hush")
            .secret_property("x", Secret::text("hush"));
        assert!(!format!("{cluster:?} {cluster:#?}").contains("hush"));
    }

    #[test]
    fn what_is_needed_wins_over_what_is_set_and_that_over_what_is_preferred() {
        let cluster = Cluster::at("b:1")
            .property("linger.ms", "7")
            .property("a", "set");
        let preferred = [
            ("linger.ms", "1".to_owned()),
            ("fetch.min.bytes", "1".to_owned()),
        ];
        let needed = [("a", "needed".to_owned())];
        let config = cluster
            .client_config(Role::Producer, &preferred, &needed)
            .unwrap();
        let get = |name| config.get(name);
        assert_eq!(get("linger.ms"), Some("7"));
        assert_eq!(get("fetch.min.bytes"), Some("1"));
        assert_eq!(get("a"), Some("needed"));
    }
}
