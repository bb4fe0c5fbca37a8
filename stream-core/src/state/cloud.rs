//! The clouds that state can be kept in: how a URL finds its own, and where its options come from.

use std::sync::Arc;
use std::time::Duration;

use object_store::ObjectStore;
use object_store::path::Path as Name;
use url::Url;

use crate::error::Problem;

/// How long a request is tried again before it fails.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// A value of fewer bytes is no secret.
const SECRET_BYTES: usize = 8;

/// A kind of cloud.
#[derive(Debug)]
pub(super) struct Cloud {
    /// The feature of this crate that builds it in.
    feature: &'static str,
    is_built: bool,
    schemes: &'static [&'static str],
    /// What its variables in the environment begin with. Others are not looked at.
    variables: &'static str,
    /// What it calls a place of objects.
    bucket: &'static str,
    /// Where its credentials are named.
    credentials: &'static str,
    /// The variable that names another server.
    endpoint: &'static str,
}

static CLOUDS: [Cloud; 3] = [
    Cloud {
        feature: "s3",
        is_built: cfg!(feature = "s3"),
        schemes: &["s3", "s3a"],
        variables: "AWS_",
        bucket: "bucket",
        credentials: "`AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`",
        endpoint: "AWS_ENDPOINT_URL",
    },
    Cloud {
        feature: "gcs",
        is_built: cfg!(feature = "gcs"),
        schemes: &["gs"],
        variables: "GOOGLE_",
        bucket: "bucket",
        credentials: "`GOOGLE_APPLICATION_CREDENTIALS`",
        endpoint: "GOOGLE_BASE_URL",
    },
    Cloud {
        feature: "azure",
        is_built: cfg!(feature = "azure"),
        schemes: &["az", "azure", "abfs", "abfss", "adl"],
        variables: "AZURE_",
        bucket: "container",
        credentials: "`AZURE_STORAGE_ACCOUNT_NAME` and `AZURE_STORAGE_ACCOUNT_KEY`",
        endpoint: "AZURE_STORAGE_ENDPOINT",
    },
];

/// The variables of an environment that are a cloud's own.
pub(super) struct Options(Vec<(String, String)>);

impl Options {
    fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The values that no message may show.
    fn secrets(&self) -> Vec<String> {
        let is_secret = |name: &str| {
            ["KEY", "SECRET", "TOKEN"]
                .iter()
                .any(|part| name.contains(part))
        };
        let secret = self
            .0
            .iter()
            .filter(|(name, value)| is_secret(name) && value.len() >= SECRET_BYTES);
        secret.map(|(_, value)| value.clone()).collect()
    }
}

/// A store in a cloud.
pub(super) struct InCloud {
    pub(super) cloud: &'static Cloud,
    secrets: Vec<String>,
}

impl InCloud {
    /// What the cloud says, in one line and without secrets.
    pub(super) fn hide(&self, text: &str) -> String {
        let mut text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for secret in &self.secrets {
            text = text.replace(secret, "…");
        }
        text
    }

    /// What to do about an error, by the status that its text names: few errors have it as a value.
    pub(super) fn hint(&self, error: &str) -> String {
        let Cloud {
            bucket,
            credentials,
            endpoint,
            ..
        } = self.cloud;
        let has_status = |status: u16| error.contains(&format!("status code: {status}"));
        if has_status(404) {
            format!("make the {bucket} before the job runs, or name another one")
        } else if has_status(401) || has_status(403) {
            format!(
                "name credentials by {credentials} that may list, read, write and delete objects there"
            )
        } else {
            format!(
                "see that the network reaches the cloud, and that {credentials} are set, and \
                 `{endpoint}` where it is another server"
            )
        }
    }
}

impl Cloud {
    /// The cloud that a URL is of.
    pub(super) fn of(url: &Url) -> Option<&'static Cloud> {
        CLOUDS
            .iter()
            .find(|cloud| cloud.schemes.contains(&url.scheme()))
    }

    /// Opens the store that a URL names. Nothing is sent yet.
    pub(super) fn open(
        &'static self,
        url: &Url,
        environment: impl Iterator<Item = (String, String)>,
        patience: Duration,
    ) -> Result<(InCloud, Arc<dyn ObjectStore>, Name), Problem> {
        let cannot = || Problem::new(format!("state cannot be kept in `{url}`"));
        let feature = self.feature;
        if !self.is_built {
            return Err(cannot()
                .detail(format!(
                    "this program was built without the feature `{feature}`"
                ))
                .hint(format!("build stream-core with the feature `{feature}`")));
        }
        let own = environment.filter(|(name, _)| name.starts_with(self.variables));
        let options = Options(own.collect());
        self.check(&options)
            .map_err(|(detail, hint)| cannot().detail(detail).hint(hint))?;
        let here = InCloud {
            cloud: self,
            secrets: options.secrets(),
        };
        let told = |error: object_store::Error| {
            let text = here.hide(&error.to_string());
            let hint = here.hint(&text);
            cannot().detail(text).hint(hint)
        };
        let prefix = Name::from_url_path(url.path()).map_err(|error| told(error.into()))?;
        let store = build(feature, url, &options, patience).map_err(told)?;
        Ok((here, store, prefix))
    }

    /// Refuses options that state cannot be kept with.
    fn check(&self, options: &Options) -> Result<(), (String, String)> {
        if let Some(put) = options.get("AWS_CONDITIONAL_PUT")
            && put.trim() != "etag"
        {
            return Err((
                "`AWS_CONDITIONAL_PUT` turns off what keeps two runs apart".to_owned(),
                "unset it, or set it to `etag`".to_owned(),
            ));
        }
        for (name, value) in &options.0 {
            if !name.contains("ENDPOINT") && *name != self.endpoint {
                continue;
            }
            let Ok(endpoint) = Url::parse(value) else {
                continue;
            };
            if has_secret(&endpoint) {
                return Err((
                    format!("`{name}` has credentials in its URL"),
                    format!("name them by {}", self.credentials),
                ));
            }
            let allows = format!("{}ALLOW_HTTP", self.variables);
            if endpoint.scheme() == "http"
                && *name == self.endpoint
                && options.get(&allows).is_none_or(|value| value != "true")
            {
                return Err((
                    format!("`{name}` is not encrypted: {endpoint}"),
                    format!("use https, or allow it by `{allows}=true`"),
                ));
            }
        }
        Ok(())
    }
}

/// Whether a URL holds what may be a secret. The container of an `abfs` URL stands before its host.
pub(super) fn has_secret(url: &Url) -> bool {
    let has_user = !url.username().is_empty() && !url.scheme().starts_with("abfs");
    has_user || url.password().is_some() || url.query().is_some() || url.fragment().is_some()
}

/// Builds the client of a cloud.
#[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
fn build(
    feature: &str,
    url: &Url,
    options: &Options,
    patience: Duration,
) -> object_store::Result<Arc<dyn ObjectStore>> {
    use object_store::{BackoffConfig, RetryConfig};

    // Another one that the program has installed stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let retry = RetryConfig {
        retry_timeout: patience,
        max_retries: usize::MAX, // the time is the bound
        backoff: BackoffConfig {
            max_backoff: Duration::from_secs(3),
            ..BackoffConfig::default()
        },
    };
    // Between two checkpoints nobody sees that the server closes a connection.
    let short = ("pool_idle_timeout".to_owned(), "3s".to_owned());
    let options = options
        .0
        .iter()
        .map(|(name, value)| (name.to_lowercase(), value.clone()));
    let options = std::iter::once(short).chain(options);
    macro_rules! client {
        ($builder:ty) => {{
            let new = <$builder>::new().with_url(url.as_str()).with_retry(retry);
            let builder = options.fold(new, |builder, (name, value)| match name.parse() {
                Ok(name) => builder.with_config(name, value),
                Err(_) => builder,
            });
            Arc::new(builder.build()?)
        }};
    }
    Ok(match feature {
        #[cfg(feature = "s3")]
        "s3" => client!(object_store::aws::AmazonS3Builder),
        #[cfg(feature = "gcs")]
        "gcs" => client!(object_store::gcp::GoogleCloudStorageBuilder),
        #[cfg(feature = "azure")]
        "azure" => client!(object_store::azure::MicrosoftAzureBuilder),
        _ => return not_built(),
    })
}

#[cfg(not(any(feature = "s3", feature = "gcs", feature = "azure")))]
fn build(_: &str, _: &Url, _: &Options, _: Duration) -> object_store::Result<Arc<dyn ObjectStore>> {
    not_built()
}

fn not_built() -> object_store::Result<Arc<dyn ObjectStore>> {
    Err(object_store::Error::NotImplemented {
        operation: "open".to_owned(),
        implementer: "a cloud that was not built in".to_owned(),
    })
}
