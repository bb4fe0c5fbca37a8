//! Properties of librdkafka that somebody has set, and those that nobody may.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use stream_core::Problem;

use super::Secret;

/// What a client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Consumer,
    Producer,
}

/// Properties by name, in the order of their names.
#[derive(Clone, Default)]
pub(super) struct Properties {
    by_name: BTreeMap<String, Value>,
    files: Vec<PathBuf>,
}

#[derive(Clone)]
pub(super) enum Value {
    Text(String),
    Secret(Secret),
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(text)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.to_owned())
    }
}

/// Parts of the names whose values are not shown, whoever has set them.
const SECRET: [&str; 7] = [
    "pass",
    "pasw",
    "secret",
    "jaas",
    "sasl.oauthbearer.config",
    "ssl.key.pem",
    "private.key.pem",
];

/// Names that mean another one, by which the adapter calls it: a client is given each but once.
const ALIASES: [(&str, &str); 8] = [
    ("metadata.broker.list", "bootstrap.servers"),
    ("sasl.mechanisms", "sasl.mechanism"),
    ("queue.buffering.max.ms", "linger.ms"),
    ("delivery.timeout.ms", "message.timeout.ms"),
    ("message.send.max.retries", "retries"),
    ("compression.codec", "compression.type"),
    ("max.partition.fetch.bytes", "fetch.message.max.bytes"),
    ("max.in.flight.requests.per.connection", "max.in.flight"),
];

/// The names of those that have an alias.
pub(crate) fn common_names() -> impl Iterator<Item = &'static str> {
    ALIASES.iter().map(|(_, common)| *common)
}

/// Whether the value of a property is not to be shown.
pub(crate) fn is_secret(name: &str) -> bool {
    SECRET.iter().any(|part| name.contains(part))
}

fn common(name: String) -> String {
    match ALIASES.iter().find(|(alias, _)| *alias == name) {
        Some((_, common)) => (*common).to_owned(),
        None => name,
    }
}

/// Names that are not to be set, with the reason and what to do instead.
const REFUSED: [(&str, &str, &str); 17] = [
    ("enable.auto.commit", OWN_POSITIONS, OWN_START),
    ("auto.commit.enable", OWN_POSITIONS, OWN_START),
    ("auto.commit.interval.ms", OWN_POSITIONS, OWN_START),
    ("enable.auto.offset.store", OWN_POSITIONS, OWN_START),
    (
        "auto.offset.reset",
        "records that the broker has lost would be passed over without a word",
        "say where to begin by `.start(…)`, and what to do about lost records by `.lost_records(…)`",
    ),
    (
        "group.id",
        GROUP,
        "name the group that is to show the job's lag by `.group(…)`",
    ),
    ("group.instance.id", GROUP, "leave it out"),
    ("partition.assignment.strategy", GROUP, "leave it out"),
    ("group.protocol", GROUP, "leave it out"),
    (
        "isolation.level",
        "records of transactions that were given up would count",
        "say that by `.read_uncommitted()` on the source, if it is meant",
    ),
    (
        "enable.partition.eof",
        "the source needs to know where a partition ends",
        "leave it out",
    ),
    (
        "transactional.id",
        TRANSACTIONS,
        "say `.exactly_once(…)` on the sink",
    ),
    (
        "enable.idempotence",
        "records could be written twice, or in another order",
        "leave it out",
    ),
    (
        "acks",
        "records that count as written could be lost",
        "leave it out: all replicas acknowledge",
    ),
    (
        "request.required.acks",
        "records that count as written could be lost",
        "leave it out: all replicas acknowledge",
    ),
    ("enable.gapless.guarantee", TRANSACTIONS, "leave it out"),
    (
        "delivery.report.only.error",
        "the sink could not know what is written",
        "leave it out",
    ),
];

const OWN_POSITIONS: &str = "positions belong to the job's checkpoints";
const OWN_START: &str =
    "leave it out; `.group(…)` on the source tells a group what a checkpoint covers";
const GROUP: &str = "the job itself decides which worker reads a partition, so it joins no group";
const TRANSACTIONS: &str = "transactions belong to the job's checkpoints";

impl Properties {
    pub(super) fn of(name: &str, value: String) -> Self {
        let mut properties = Properties::default();
        properties.set(name, value);
        properties
    }

    pub(super) fn set(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        self.by_name.insert(common(name.into()), value.into());
    }

    pub(super) fn add_file(&mut self, path: PathBuf) {
        self.files.push(path);
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        match self.by_name.get(name)? {
            Value::Text(text) => Some(text.clone()),
            Value::Secret(_) => None,
        }
    }

    pub(super) fn is_secret(&self, name: &str) -> bool {
        matches!(self.by_name.get(name), Some(Value::Secret(_)))
    }

    /// The names of those that were set as secrets.
    pub(super) fn secrets(&self) -> BTreeSet<String> {
        let names = self.by_name.keys();
        names.filter(|name| self.is_secret(name)).cloned().collect()
    }

    /// What a client is to be given.
    pub(super) fn resolve(&self, role: Role) -> Result<BTreeMap<String, String>, Problem> {
        let mut all = BTreeMap::new();
        for path in &self.files {
            for (name, value) in read_file(path)? {
                check(&name).map_err(|problem| in_file(problem, path))?;
                all.insert(common(name), value);
            }
        }
        for (name, value) in &self.by_name {
            check(name)?;
            let value = match value {
                Value::Text(text) => text.clone(),
                Value::Secret(secret) => secret.reveal()?,
            };
            all.insert(name.clone(), value);
        }
        if role != Role::Producer {
            // Numbers of requests under way are only a producer's; the check is for all.
            return Ok(all);
        }
        let in_flight = all.get("max.in.flight");
        if let Some(number) = in_flight.and_then(|value| value.parse::<u64>().ok())
            && number > 5
        {
            return Err(refusal(
                "max.in.flight",
                "with more than 5 requests under way records could be written in another order",
                "set at most 5",
            ));
        }
        if all
            .get("message.timeout.ms")
            .is_some_and(|value| value == "0")
        {
            return Err(refusal(
                "message.timeout.ms",
                "a broker that is away would hold up the end of the job for ever",
                "set how long it is to be borne, in milliseconds",
            ));
        }
        Ok(all)
    }
}

/// Says that a source or a sink sets a property itself.
pub(super) fn needed(name: &str, value: &str) -> Problem {
    let why = format!("here it has to be `{value}`");
    let instead =
        "leave it out; a sink that writes exactly once has its times by `.transaction_timeout(…)`";
    refusal(name, &why, instead)
}

fn refusal(name: &str, why: &str, instead: &str) -> Problem {
    Problem::new(format!("the Kafka property `{name}` cannot be set"))
        .detail(why)
        .hint(instead)
}

fn check(name: &str) -> Result<(), Problem> {
    if name.ends_with("_cb") || name == "opaque" {
        return Err(refusal(name, "it is no text but code", "leave it out"));
    }
    if name == "sasl.jaas.config" || name.starts_with("ssl.truststore") {
        return Err(refusal(
            name,
            "it is one of the Java clients",
            "librdkafka has `sasl.username`, `sasl.password` and `ssl.ca.location`",
        ));
    }
    match REFUSED.iter().find(|(refused, ..)| *refused == name) {
        Some((_, why, instead)) => Err(refusal(name, why, instead)),
        None => Ok(()),
    }
}

fn in_file(problem: Problem, path: &Path) -> Problem {
    let hint = problem.hint_text().unwrap_or_default().to_owned();
    let detail = problem.detail_text().unwrap_or_default();
    Problem::new(format!("{}, as `{}` does", problem.what(), path.display()))
        .detail(detail)
        .hint(hint)
}

fn read_file(path: &Path) -> Result<Vec<(String, String)>, Problem> {
    let what = || {
        format!(
            "the Kafka properties in `{}` cannot be read",
            path.display()
        )
    };
    let text = fs::read_to_string(path).map_err(|error| Problem::new(what()).because(error))?;
    let mut pairs = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        // The line is not shown: it may hold a secret.
        let (name, value) = line.split_once('=').ok_or_else(|| {
            Problem::new(what())
                .detail(format!("line {} has no `=`", index + 1))
                .hint("write a line each, as `name=value`")
        })?;
        pairs.push((name.trim().to_owned(), value.trim().to_owned()));
    }
    Ok(pairs)
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for (name, value) in &self.by_name {
            match value {
                Value::Secret(secret) => map.entry(name, secret),
                Value::Text(_) if is_secret(name) => map.entry(name, &"***"),
                Value::Text(text) => map.entry(name, text),
            };
        }
        for path in &self.files {
            map.entry(&"file", path);
        }
        map.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REASONS: &str = "
enable.auto.commit: positions belong to the job's checkpoints
auto.commit.enable: positions belong to the job's checkpoints
auto.commit.interval.ms: positions belong to the job's checkpoints
enable.auto.offset.store: positions belong to the job's checkpoints
auto.offset.reset: records that the broker has lost would be passed over without a word
group.id: the job itself decides which worker reads a partition, so it joins no group
group.instance.id: the job itself decides which worker reads a partition, so it joins no group
partition.assignment.strategy: the job itself decides which worker reads a partition, so it joins no group
group.protocol: the job itself decides which worker reads a partition, so it joins no group
isolation.level: records of transactions that were given up would count
enable.partition.eof: the source needs to know where a partition ends
transactional.id: transactions belong to the job's checkpoints
enable.idempotence: records could be written twice, or in another order
acks: records that count as written could be lost
request.required.acks: records that count as written could be lost
enable.gapless.guarantee: transactions belong to the job's checkpoints
delivery.report.only.error: the sink could not know what is written";

    #[test]
    fn what_may_be_a_secret_is_one() {
        for name in [
            "sasl.password",
            "sasl.pasword",
            "ssl.key.password",
            "ssl.key.pem",
            "ssl.keystore.password",
            "sasl.jaas.config",
            "sasl.oauthbearer.config",
            "sasl.oauthbearer.client.secret",
            "sasl.oauthbearer.client.credentials.client.secret",
            "sasl.oauthbearer.assertion.private.key.passphrase",
            "sasl.oauthbearer.assertion.private.key.pem",
        ] {
            let shown = format!("{:?}", Properties::of(name, "hush".into()));
            assert_eq!(shown, format!("{{{name:?}: \"***\"}}"));
        }
        for name in ["ssl.ca.location", "sasl.username", "linger.ms"] {
            assert!(!is_secret(name), "{name}");
        }
    }

    #[test]
    fn what_would_break_a_guarantee_is_refused_with_the_reason() {
        for (name, ..) in REFUSED {
            let problem = Properties::of(name, "x".into())
                .resolve(Role::Consumer)
                .unwrap_err();
            let told = problem.to_string();
            assert!(told.contains(name) && told.contains("hint"), "{told}");
        }
        // Each with its reason, so that none comes or goes without a word.
        let reasons = REFUSED.map(|(name, why, _)| format!("{name}: {why}"));
        assert_eq!(reasons.join("\n"), REASONS.trim());
        let many = Properties::of("max.in.flight", "6".into());
        assert!(many.resolve(Role::Producer).is_err());
        assert!(many.resolve(Role::Consumer).is_ok());
        assert!(
            Properties::of("sasl.jaas.config", "x".into())
                .resolve(Role::Consumer)
                .is_err()
        );
        assert!(
            Properties::of("log_cb", "x".into())
                .resolve(Role::Consumer)
                .is_err()
        );
    }

    #[test]
    fn a_file_has_a_property_a_line_and_yields_to_the_program() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(&file, "# a comment\n\n linger.ms = 9\nclient.id=a=b\n").unwrap();
        let mut properties = Properties::of("linger.ms", "3".into());
        properties.add_file(file.path().to_owned());
        let all = properties.resolve(Role::Producer).unwrap();
        assert_eq!(all["linger.ms"], "3");
        assert_eq!(all["client.id"], "a=b");

        fs::write(&file, "acks=1").unwrap();
        let told = properties.resolve(Role::Producer).unwrap_err().to_string();
        assert!(told.contains(&file.path().display().to_string()), "{told}");
        fs::write(&file, "ok=1\nsasl.password hush").unwrap();
        let told = properties.resolve(Role::Producer).unwrap_err().to_string();
        assert!(
            told.contains("line 2 has no `=`") && !told.contains("hush"),
            "{told}"
        );
    }
}
