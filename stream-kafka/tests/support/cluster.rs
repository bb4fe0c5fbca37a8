//! Clusters of Kafka for tests, which `dev/kafka` starts and ends.

use std::collections::HashMap;
use std::env;
use std::io::{self, Write};
use std::path::Path;
use std::process::{self, Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use rdkafka::ClientConfig;
use rdkafka::admin::AdminClient;
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::BaseConsumer;

use super::Proxy;

/// What `dev/kafka` ends with where Java or Maven are missing.
const MISSING: i32 = 4;

const SKIPPED: &str = "
==========================================================================
  THE KAFKA TESTS WERE SKIPPED: Java or Maven are missing.
  Install Java 17 and Maven, or name a cluster:
      KAFKA_BOOTSTRAP=host:9092 cargo test -p stream-kafka
==========================================================================
";

/// A running cluster. One that a test has started for itself ends when it is dropped.
pub(crate) struct Cluster {
    /// Its name for `dev/kafka`, unless `KAFKA_BOOTSTRAP` has given it.
    name: Option<String>,
    bootstrap: String,
    /// The brokers' own listener, which has no proxy in front and asks for no password.
    internal: Option<String>,
    secrets: Option<Secrets>,
    proxy: Option<Proxy>,
    admin: OnceLock<Admin>,
    ends: OnceLock<[BaseConsumer; 2]>,
}

/// A client that makes and changes topics.
pub(super) type Admin = AdminClient<DefaultClientContext>;

/// What clients of a secure cluster need.
#[derive(Clone, Debug)]
pub(crate) struct Secrets {
    pub(crate) user: String,
    pub(crate) password: String,
    /// The path of the certificate that the brokers' are signed by.
    pub(crate) ca: String,
}

impl Cluster {
    /// The cluster that all tests of a process use: that of `KAFKA_BOOTSTRAP`, or one that is started
    /// for the process and ends with it. There is none where Java or Maven are missing.
    ///
    /// # Panics
    ///
    /// If there is none and `CI` is set: tests that do not run would go unnoticed there.
    pub(crate) fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Cluster>> = OnceLock::new();
        let find = || match variable("KAFKA_BOOTSTRAP") {
            Some(_) => Some(Self::given()),
            None => Self::start_new(&[]),
        };
        SHARED.get_or_init(find).as_ref()
    }

    /// A cluster of 1 or 3 brokers for one test, which may let brokers fail or asks for TLS and a
    /// password. `KAFKA_BOOTSTRAP` does not replace it.
    ///
    /// # Panics
    ///
    /// Where [`shared`](Self::shared) does.
    pub(crate) fn own(brokers: u32, secure: bool) -> Option<Self> {
        let brokers = brokers.to_string();
        let mut options = vec!["--brokers", &brokers];
        options.extend(secure.then_some("--secure"));
        Self::start_new(&options)
    }

    /// A cluster that asks for TLS and a password, which all tests of a process use.
    ///
    /// # Panics
    ///
    /// Where [`shared`](Self::shared) does.
    pub(crate) fn shared_secure() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Cluster>> = OnceLock::new();
        SHARED.get_or_init(|| Self::own(1, true)).as_ref()
    }

    /// A cluster of one broker that sends clients to a port where it does not listen.
    ///
    /// # Panics
    ///
    /// Where [`shared`](Self::shared) does.
    pub(crate) fn advertising(port: &str) -> Option<Self> {
        Self::start_new(&["--advertise", port])
    }

    /// Where the broker listens, wherever it sends clients.
    ///
    /// # Panics
    ///
    /// If it was not started by [`advertising`](Self::advertising).
    pub(crate) fn listener(&self) -> String {
        variables(&self.dev_kafka(&["env"]))["KAFKA_LISTENER"].clone()
    }

    /// A cluster of one broker, which clients reach through a proxy.
    ///
    /// # Panics
    ///
    /// Where [`shared`](Self::shared) does.
    pub(crate) fn behind_proxy() -> Option<Self> {
        // The broker must know the proxy's port, and the proxy the broker's: the broker's is told later.
        let proxy = Proxy::start("nowhere");
        let port = proxy.address().port().to_string();
        let mut cluster = Self::start_new(&["--advertise", &port])?;
        proxy.forward_to(&variables(&cluster.dev_kafka(&["env"]))["KAFKA_LISTENER"]);
        cluster.proxy = Some(proxy);
        Some(cluster)
    }

    /// A cluster behind a proxy that all tests of a process use, one after the other. Its proxy passes
    /// everything on.
    ///
    /// # Panics
    ///
    /// Where [`shared`](Self::shared) does.
    pub(crate) fn shared_behind_proxy() -> Option<MutexGuard<'static, Self>> {
        static SHARED: OnceLock<Option<Mutex<Cluster>>> = OnceLock::new();
        let shared = SHARED.get_or_init(|| Self::behind_proxy().map(Mutex::new));
        // A test that has failed has left it as good as any.
        let cluster = shared.as_ref()?.lock();
        let cluster = cluster.unwrap_or_else(PoisonError::into_inner);
        cluster.proxy().pass_all();
        Some(cluster)
    }

    /// Where clients find it.
    pub(crate) fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// Where clients find it that neither a proxy nor a password is in the way of.
    pub(crate) fn internal(&self) -> &str {
        self.internal.as_deref().unwrap_or(&self.bootstrap)
    }

    /// What clients of a secure cluster need.
    pub(crate) fn secrets(&self) -> Option<&Secrets> {
        self.secrets.as_ref()
    }

    /// The proxy that the broker is behind.
    ///
    /// # Panics
    ///
    /// If the cluster was not started by [`behind_proxy`](Self::behind_proxy).
    pub(crate) fn proxy(&self) -> &Proxy {
        self.proxy.as_ref().unwrap()
    }

    /// Settings of a client as the code under test would be one.
    pub(crate) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap);
        if let Some(secrets) = &self.secrets {
            config
                .set("security.protocol", "SASL_SSL")
                .set("sasl.mechanism", "SCRAM-SHA-512")
                .set("sasl.username", &secrets.user)
                .set("sasl.password", &secrets.password)
                .set("ssl.ca.location", &secrets.ca);
        }
        config
    }

    /// Settings of a client that looks from outside: neither a proxy nor a password are in its way.
    pub(crate) fn observer(&self) -> ClientConfig {
        let Some(internal) = &self.internal else {
            return self.client();
        };
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", internal);
        config
    }

    pub(super) fn admin(&self) -> &Admin {
        self.admin.get_or_init(|| self.observer().create().unwrap())
    }

    /// Observers that see partitions end before the first transaction that is open, and behind it.
    pub(super) fn ends(&self) -> &[BaseConsumer; 2] {
        let observer = |isolation| {
            let mut config = self.observer();
            config.set("group.id", "observer");
            config.set("isolation.level", isolation);
            config.create().unwrap()
        };
        self.ends
            .get_or_init(|| ["read_committed", "read_uncommitted"].map(observer))
    }

    /// Kills a broker by SIGKILL. Brokers are counted from 1.
    pub(crate) fn kill(&self, broker: u32) {
        self.dev_kafka(&["kill", &broker.to_string()]);
    }

    /// Starts a broker that was killed, on the data that it has left, and waits until it takes
    /// connections. That lasts some seconds, as the session of the one that was killed must end.
    pub(crate) fn start(&self, broker: u32) {
        self.dev_kafka(&["start", &broker.to_string()]);
    }

    /// Stops a broker, which keeps its connections and does not answer.
    pub(crate) fn pause(&self, broker: u32) {
        self.dev_kafka(&["pause", &broker.to_string()]);
    }

    /// Lets a broker go on that was paused.
    pub(crate) fn resume(&self, broker: u32) {
        self.dev_kafka(&["resume", &broker.to_string()]);
    }

    /// Runs `dev/kafka` for this cluster.
    ///
    /// # Panics
    ///
    /// If that fails.
    pub(crate) fn dev_kafka(&self, arguments: &[&str]) -> Output {
        let output = dev_kafka(self.name.as_deref(), arguments);
        assert!(
            output.status.success(),
            "dev/kafka {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        output
    }

    /// The cluster of `KAFKA_BOOTSTRAP`, and of the other variables that `dev/kafka env` prints.
    fn given() -> Self {
        Self::from_variables(None, &env::vars().collect())
    }

    /// Starts a cluster that ends with this process at the latest.
    fn start_new(options: &[&str]) -> Option<Self> {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let process = process::id().to_string();
        let name = format!("test-{process}-{}", STARTED.fetch_add(1, Ordering::Relaxed));
        let up = [&["up", "--port", "free", "--while", &process], options].concat();
        let output = dev_kafka(Some(&name), &up);
        if output.status.code() == Some(MISSING) {
            skip();
            return None;
        }
        assert!(
            output.status.success(),
            "dev/kafka {up:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let variables = variables(&dev_kafka(Some(&name), &["env"]));
        Some(Self::from_variables(Some(name), &variables))
    }

    fn from_variables(name: Option<String>, variables: &HashMap<String, String>) -> Self {
        let internal = name.as_ref().map(|_| variables["KAFKA_INTERNAL"].clone());
        let secrets = variables.get("KAFKA_CA").map(|ca| Secrets {
            user: variables["KAFKA_USERNAME"].clone(),
            password: variables["KAFKA_PASSWORD"].clone(),
            ca: ca.clone(),
        });
        Self {
            name,
            bootstrap: variables["KAFKA_BOOTSTRAP"].clone(),
            internal,
            secrets,
            proxy: None,
            admin: OnceLock::new(),
            ends: OnceLock::new(),
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.name.is_some() {
            // A test that has failed already is not to fail twice.
            dev_kafka(self.name.as_deref(), &["down"]);
        }
    }
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn dev_kafka(name: Option<&str>, arguments: &[&str]) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dev/kafka");
    let mut command = Command::new(script);
    if let Some(name) = name {
        command.args(["--name", name]);
    }
    command.args(arguments).output().unwrap()
}

/// The variables that `dev/kafka env` prints, as lines of `export A=1 B=2`.
fn variables(printed: &Output) -> HashMap<String, String> {
    let text = str::from_utf8(&printed.stdout).unwrap();
    let pairs = text
        .split_whitespace()
        .filter_map(|word| word.split_once('='));
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Says once that tests are skipped.
fn skip() {
    static SAID: OnceLock<()> = OnceLock::new();
    assert!(
        variable("CI").is_none(),
        "Java or Maven are missing, and CI must not skip the Kafka tests"
    );
    // What is written this way is shown at once, unlike what `eprintln!` prints in a test.
    SAID.get_or_init(|| io::stderr().write_all(SKIPPED.as_bytes()).unwrap());
}
