//! What a source or a sink tells of how it stands.

use std::fmt;
use std::time::Duration;

/// Something that a connector measures and the engine cannot know: how far it lags, what its
/// transactions take, what went wrong last.
///
/// ```
/// use std::time::Duration;
/// use stream_core::io::Reading;
///
/// let lag = Reading::new("lag", 12_u64);
/// assert_eq!(lag.to_string(), "lag 12");
/// assert_eq!(lag.of("clicks/3").to_string(), "lag of clicks/3 12");
/// assert_eq!(Reading::new("longest commit", Duration::from_micros(1_200)).to_string(), "longest commit 1.2 ms");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reading {
    /// What is measured.
    pub name: String,
    /// Of which part of the whole, such as a partition; none where it is of the whole, which alone is
    /// shown in a summary.
    pub part: Option<String>,
    /// What was found.
    pub value: Measure,
}

/// The value of a [`Reading`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Measure {
    /// So many.
    Count(u64),
    /// So long.
    Time(Duration),
    /// In words.
    Text(String),
}

impl Reading {
    /// A reading of the whole.
    pub fn new(name: impl Into<String>, value: impl Into<Measure>) -> Self {
        Reading {
            name: name.into(),
            part: None,
            value: value.into(),
        }
    }

    /// The reading of a part.
    #[must_use]
    pub fn of(mut self, part: impl Into<String>) -> Self {
        self.part = Some(part.into());
        self
    }
}

impl From<u64> for Measure {
    fn from(count: u64) -> Self {
        Measure::Count(count)
    }
}

impl From<Duration> for Measure {
    fn from(time: Duration) -> Self {
        Measure::Time(time)
    }
}

impl From<String> for Measure {
    fn from(text: String) -> Self {
        Measure::Text(text)
    }
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(part) = &self.part {
            write!(f, " of {part}")?;
        }
        match &self.value {
            Measure::Count(count) => write!(f, " {count}"),
            Measure::Time(time) => write!(f, " {:.1} ms", time.as_secs_f64() * 1e3),
            Measure::Text(text) => write!(f, " `{text}`"),
        }
    }
}
