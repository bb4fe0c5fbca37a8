//! What must not be shown.

use std::env;
use std::fmt;
use std::fs;
use std::path::PathBuf;

use stream_core::Problem;

/// A password or a token. It is looked up when a job connects, and never shown.
///
/// ```
/// use stream_kafka::Secret;
///
/// assert_eq!(format!("{:?}", Secret::text("hush")), "Secret(***)");
/// assert_eq!(format!("{:?}", Secret::env("PASSWORD")), "Secret(environment variable `PASSWORD`)");
/// ```
#[derive(Clone)]
pub struct Secret(Place);

#[derive(Clone)]
enum Place {
    Text(String),
    Variable(String),
    File(PathBuf),
}

impl Secret {
    /// The value of an environment variable.
    pub fn env(name: impl Into<String>) -> Self {
        Secret(Place::Variable(name.into()))
    }

    /// What a file holds, without the end of its last line.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Secret(Place::File(path.into()))
    }

    /// A secret that the program has got elsewhere. Do not write one into a program.
    pub fn text(text: impl Into<String>) -> Self {
        Secret(Place::Text(text.into()))
    }

    pub(super) fn reveal(&self) -> Result<String, Problem> {
        match &self.0 {
            Place::Text(text) => Ok(text.clone()),
            Place::Variable(name) => env::var(name).map_err(|error| {
                Problem::new(format!("the environment variable `{name}` cannot be read"))
                    .detail(match error {
                        env::VarError::NotPresent => "it is not set",
                        env::VarError::NotUnicode(_) => "it is no text",
                    })
                    .hint("it holds a secret that the connection to Kafka needs")
            }),
            Place::File(path) => match fs::read_to_string(path) {
                Ok(text) => Ok(text.trim_end_matches(['\r', '\n']).to_owned()),
                Err(error) => {
                    let what = format!("the secret in `{}` cannot be read", path.display());
                    Err(Problem::new(what).because(error))
                }
            },
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Text(_) => f.write_str("Secret(***)"),
            Place::Variable(name) => write!(f, "Secret(environment variable `{name}`)"),
            Place::File(path) => write!(f, "Secret(file `{}`)", path.display()),
        }
    }
}
