//! The settings of one client.

use std::collections::BTreeSet;
use std::fmt;

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, KafkaResult};

/// What stands in the place of a secret.
const HIDDEN: &str = "***";

/// What a client is given, with the names of what was given as a secret.
pub(crate) struct ClientSettings {
    config: ClientConfig,
    secrets: BTreeSet<String>,
}

impl ClientSettings {
    pub(super) fn new(secrets: BTreeSet<String>) -> Self {
        let mut config = ClientConfig::new();
        // That a broker has hung up is told as no more than that.
        config.set_log_level(RDKafkaLogLevel::Info);
        ClientSettings { config, secrets }
    }

    pub(super) fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.config.set(name, value);
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.config.get(name)
    }

    /// Makes a client. An error shows no secret.
    pub(crate) fn create<C, T>(&self, context: C) -> KafkaResult<T>
    where
        C: ClientContext,
        T: FromClientConfigAndContext<C>,
    {
        let made = self.config.create_with_context(context);
        made.map_err(|error| self.without_secrets(error))
    }

    fn without_secrets(&self, error: KafkaError) -> KafkaError {
        match error {
            // The reason may show a part of the value.
            KafkaError::ClientConfig(code, _, name, _) if self.secrets.contains(&name) => {
                KafkaError::ClientConfig(code, "it is not accepted".into(), name, HIDDEN.into())
            }
            KafkaError::ClientCreation(reason) => {
                let secrets = self.secrets.iter().filter_map(|name| self.config.get(name));
                let secrets = secrets.filter(|value| !value.is_empty());
                KafkaError::ClientCreation(
                    secrets.fold(reason, |reason, value| reason.replace(value, HIDDEN)),
                )
            }
            error => error,
        }
    }
}

impl fmt::Debug for ClientSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientSettings")
    }
}
