//! Where a cluster is, and how it is talked to.

mod client;
mod profile;
mod properties;
mod secret;

use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use stream_core::Problem;

pub(crate) use self::client::ClientSettings;
pub use self::profile::Profile;
use self::properties::{Properties, Value};
pub(crate) use self::properties::{Role, common_names, is_secret};
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
    // Else nobody hears of a listener that hangs up on who speaks another protocol.
    ("log.connection.close", "true"),
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
    /// What was asked for is kept, whatever else is set: nobody's password goes over the network as it is
    /// because a property says another thing.
    is_encrypted: bool,
    has_name: bool,
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
        Cluster::with(Properties::of("bootstrap.servers", bootstrap.into()))
    }

    fn with(properties: Properties) -> Self {
        Cluster {
            properties,
            is_encrypted: false,
            has_name: false,
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
        // Where it is not set, the file may have it.
        let mut cluster = match set("KAFKA_BOOTSTRAP") {
            Some(bootstrap) => Cluster::at(bootstrap),
            None => Cluster::with(Properties::default()),
        };
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
        self.is_encrypted = true;
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
        self.has_name = true;
        self.properties.set("sasl.mechanism", mechanism);
        self.properties.set("sasl.username", user);
        self.properties
            .set("sasl.password", Value::Secret(password));
        self
    }

    /// The value of `security.protocol`, if one is needed: what was asked for, and what a property adds.
    fn protocol(&self, all: &BTreeMap<String, String>) -> Option<&'static str> {
        let set = all.get("security.protocol").map(|set| set.to_lowercase());
        let says = |part| set.as_ref().is_some_and(|set| set.contains(part));
        let is_encrypted = self.is_encrypted || says("ssl");
        let has_name = self.has_name
            || says("sasl")
            || (set.is_none() && self.is_encrypted && all.contains_key("sasl.mechanism"));
        match (is_encrypted, has_name) {
            (false, false) => None,
            (false, true) => Some("sasl_plaintext"),
            (true, false) => Some("ssl"),
            (true, true) => Some("sasl_ssl"),
        }
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
        let named = self.properties.text("bootstrap.servers");
        named.unwrap_or_else(|| BOOTSTRAP.to_owned())
    }

    /// The settings of a client: first what the adapter prefers, over that what was set, and last what
    /// the guarantees need, which cannot be set otherwise.
    pub(crate) fn client_config(
        &self,
        role: Role,
        preferred: &[(&str, String)],
        needed: &[(&str, String)],
    ) -> Result<ClientSettings, Problem> {
        let mut config = ClientSettings::new(self.properties.secrets());
        for (name, value) in PREFERRED {
            config.set(name, value);
        }
        for (name, value) in preferred {
            config.set(*name, value);
        }
        let mut all = self.properties.resolve(role)?;
        let brokers = all.entry("bootstrap.servers".to_owned());
        let checked = check_brokers(brokers.or_insert_with(|| BOOTSTRAP.to_owned()));
        checked.map_err(
            |problem| match self.properties.is_secret("bootstrap.servers") {
                true => Problem::new("a secret names no address of a Kafka broker").hint(BROKERS),
                false => problem,
            },
        )?;
        if let Some(protocol) = self.protocol(&all) {
            all.insert("security.protocol".to_owned(), protocol.to_owned());
        }
        for (name, value) in needed {
            if all.get(*name).is_some_and(|set| set != value) {
                return Err(properties::needed(name, value));
            }
        }
        for (name, value) in all {
            config.set(name, value);
        }
        for (name, value) in needed {
            config.set(*name, value);
        }
        Ok(config)
    }
}

const BROKERS: &str = "name brokers as HOST:PORT, with commas between (`KAFKA_BOOTSTRAP`)";

/// Looks whether brokers are named at all; of a port that is none the client library would make another.
fn check_brokers(brokers: &str) -> Result<(), Problem> {
    let wrong = |what: String| {
        let problem = Problem::new(what);
        Err(problem.hint(BROKERS))
    };
    let mut named = brokers.split(',').map(str::trim).peekable();
    if named.peek().is_none_or(|broker| broker.is_empty()) {
        return wrong("no Kafka broker is named".to_owned());
    }
    for broker in named {
        let address = broker
            .split_once("://")
            .map_or(broker, |(_, address)| address);
        // The colons of an IPv6 address stand in brackets.
        let outside = address
            .rsplit_once(']')
            .map_or(address, |(_, outside)| outside);
        let port = outside
            .rsplit_once(':')
            .map(|(_, port)| port.parse::<u16>());
        if address.is_empty() || matches!(port, Some(Err(_) | Ok(0))) {
            return wrong(format!("`{broker}` is no address of a Kafka broker"));
        }
    }
    Ok(())
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("properties", &self.properties)
            .field("tls", &self.is_encrypted)
            .field("sasl", &self.has_name)
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
    fn what_a_client_needs_is_not_set_otherwise_without_a_word() {
        let cluster = |value| Cluster::at("a:9092").property("message.timeout.ms", value);
        let needed = [("message.timeout.ms", "60000".to_owned())];
        let config = |value| cluster(value).client_config(Role::Producer, &[], &needed);
        assert!(config("60000").is_ok());
        let told = config("5").unwrap_err().to_string();
        assert!(
            told.contains("here it has to be `60000`") && told.contains("transaction_timeout"),
            "{told}"
        );
        let for_ever = cluster("0").client_config(Role::Producer, &[], &[]);
        assert!(for_ever.unwrap_err().to_string().contains("for ever"));
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
    fn what_goes_encrypted_stays_so_whatever_else_is_set() {
        let sasl = |cluster: Cluster| cluster.sasl(Sasl::Plain, "me", Secret::text("hush"));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, "security.protocol=SSL").unwrap();
        let at = || Cluster::at("b:1");
        for cluster in [
            sasl(sasl(at().tls())),
            sasl(at().property("security.protocol", "SSL")),
            sasl(at().property("security.protocol", "SASL_SSL")),
            sasl(at().properties_file(file.path())),
            sasl(at()).tls().property("security.protocol", "plaintext"),
            at().tls().property("sasl.mechanism", "OAUTHBEARER"),
        ] {
            assert_eq!(
                resolved(&cluster, "security.protocol"),
                "sasl_ssl",
                "{cluster:?}"
            );
        }
        assert_eq!(resolved(&at(), "security.protocol"), "");
        assert_eq!(resolved(&at().tls(), "security.protocol"), "ssl");
    }

    #[test]
    fn a_name_that_means_another_one_counts_as_that() {
        let cluster = Cluster::at("b:1")
            .property("queue.buffering.max.ms", "9")
            .property("metadata.broker.list", "c:2")
            .property("sasl.mechanisms", "PLAIN");
        let preferred = [("linger.ms", "1".to_owned())];
        let config = cluster.client_config(Role::Producer, &preferred, &[]);
        let config = config.unwrap();
        assert_eq!(config.get("linger.ms"), Some("9"));
        assert_eq!(config.get("queue.buffering.max.ms"), None);
        assert_eq!(config.get("bootstrap.servers"), Some("c:2"));
        assert_eq!(config.get("sasl.mechanism"), Some("PLAIN"));
    }

    #[test]
    fn brokers_have_a_host_and_a_port() {
        let check = |brokers| Cluster::at(brokers).client_config(Role::Consumer, &[], &[]);
        for brokers in [
            "b:1",
            "b",
            "b:1, c:2",
            "[::1]:9092",
            "[::1]",
            "SASL_SSL://b:1",
        ] {
            assert!(check(brokers).is_ok(), "{brokers}");
        }
        for brokers in ["b:99999", "b:", "b:0", "b:port", "b:1,,c:2", ":x"] {
            let told = check(brokers).unwrap_err().to_string();
            assert!(
                told.contains("is no address of a Kafka broker"),
                "{brokers}: {told}"
            );
        }
        let told = check(" ").unwrap_err().to_string();
        assert_eq!(
            told,
            "no Kafka broker is named (hint: name brokers as HOST:PORT, with commas between \
             (`KAFKA_BOOTSTRAP`))"
        );
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
    fn a_secret_that_is_no_address_is_not_shown() {
        let cluster =
            Cluster::at("b:1").secret_property("bootstrap.servers", Secret::text("hush:port"));
        let told = cluster.client_config(Role::Consumer, &[], &[]).unwrap_err();
        assert!(!told.to_string().contains("hush"), "{told}");
    }

    #[test]
    fn what_is_set_wins_over_what_is_preferred_and_what_is_needed_is_there() {
        let cluster = Cluster::at("b:1").property("linger.ms", "7");
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
