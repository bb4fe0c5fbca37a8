//! Event time: when something happened, by the record's own word.

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A moment in microseconds since 1970-01-01T00:00:00Z, before and after.
///
/// It is built by the name of its unit, never from a bare integer, so seconds cannot be taken for
/// milliseconds. Arithmetic saturates at both ends of the range (about ±292,000 years).
///
/// Text is RFC 3339, or a date and time without a zone, which is taken as UTC. With serde it is
/// that text in human-readable formats (CSV, JSON) and the microseconds in binary ones; for
/// numeric fields name the unit: `#[serde(with = "stream_core::time::unix_millis")]`.
///
/// ```
/// use stream_core::EventTime;
///
/// let time: EventTime = "2024-03-13 10:21:14".parse()?;
/// assert_eq!(time, EventTime::secs(1_710_325_274));
/// assert_eq!(time.to_string(), "2024-03-13T10:21:14Z");
/// # Ok::<(), stream_core::time::ParseEventTimeError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventTime(i64);

/// As it is written in code, in the longest unit that it is a whole number of.
impl fmt::Debug for EventTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            EventTime::MIN => f.write_str("EventTime::MIN"),
            EventTime::MAX => f.write_str("EventTime::MAX"),
            EventTime(micros) if micros % 1_000_000 == 0 => {
                write!(f, "EventTime::secs({})", micros / 1_000_000)
            }
            EventTime(micros) if micros % 1_000 == 0 => {
                write!(f, "EventTime::millis({})", micros / 1_000)
            }
            EventTime(micros) => write!(f, "EventTime::micros({micros})"),
        }
    }
}

impl EventTime {
    /// The earliest moment there is.
    pub const MIN: EventTime = EventTime(i64::MIN);
    /// The latest moment there is.
    pub const MAX: EventTime = EventTime(i64::MAX);

    /// A moment in microseconds since 1970.
    pub const fn micros(micros: i64) -> Self {
        EventTime(micros)
    }

    /// A moment in milliseconds since 1970.
    pub const fn millis(millis: i64) -> Self {
        EventTime(millis.saturating_mul(1_000))
    }

    /// A moment in seconds since 1970.
    pub const fn secs(secs: i64) -> Self {
        EventTime(secs.saturating_mul(1_000_000))
    }

    /// The microseconds since 1970.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// The milliseconds since 1970, rounded down.
    pub const fn as_millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// The moment `micros` later, or earlier when negative.
    pub(crate) const fn plus(self, micros: i64) -> Self {
        EventTime(self.0.saturating_add(micros))
    }

    /// The moment `micros` earlier.
    pub(crate) const fn minus(self, micros: i64) -> Self {
        EventTime(self.0.saturating_sub(micros))
    }
}

/// So much later; at the most [`EventTime::MAX`].
///
/// ```
/// use std::time::Duration;
/// use stream_core::EventTime;
///
/// assert_eq!(EventTime::secs(5) + Duration::from_millis(500), EventTime::millis(5_500));
/// assert_eq!(EventTime::MAX + Duration::from_secs(1), EventTime::MAX);
/// ```
impl Add<Duration> for EventTime {
    type Output = EventTime;

    fn add(self, later: Duration) -> EventTime {
        self.plus(micros_of(later))
    }
}

/// So much earlier; at the least [`EventTime::MIN`].
impl Sub<Duration> for EventTime {
    type Output = EventTime;

    fn sub(self, earlier: Duration) -> EventTime {
        self.minus(micros_of(earlier))
    }
}

/// Whole microseconds, at most as many as there are.
fn micros_of(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

impl fmt::Display for EventTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Timestamp::from_microsecond(self.0) {
            Ok(timestamp) => timestamp.fmt(f),
            Err(_) => write!(f, "{}us", self.0), // beyond the years that a calendar has
        }
    }
}

/// A text that is no event time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is no time: expected RFC 3339 (2024-03-13T10:21:14Z) or a date and time in UTC \
     (2024-03-13 10:21:14)"
)]
pub struct ParseEventTimeError {
    text: String,
}

impl FromStr for EventTime {
    type Err = ParseEventTimeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseEventTimeError {
            text: text.to_owned(),
        };
        if let Some(micros) = text.strip_suffix("us") {
            return micros.parse().map(EventTime).map_err(|_| error());
        }
        if let Ok(timestamp) = text.parse::<Timestamp>() {
            return Ok(EventTime(timestamp.as_microsecond()));
        }
        // A zone without an offset would be left out, and the time be another.
        if text.contains('[') {
            return Err(error());
        }
        let civil: DateTime = text.parse().map_err(|_| error())?;
        let zoned = civil
            .to_zoned(jiff::tz::TimeZone::UTC)
            .map_err(|_| error())?;
        Ok(EventTime(zoned.timestamp().as_microsecond()))
    }
}

impl Serialize for EventTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_i64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for EventTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_str(FromText)
        } else {
            i64::deserialize(deserializer).map(EventTime)
        }
    }
}

struct FromText;

impl de::Visitor<'_> for FromText {
    type Value = EventTime;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time as RFC 3339 text; for a number name its unit by `#[serde(with = …)]`")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<EventTime, E> {
        text.parse().map_err(E::custom)
    }
}

macro_rules! unix_unit {
    ($(#[$doc:meta])* $module:ident, $make:ident, $get:expr) => {
        $(#[$doc])*
        pub mod $module {
            use super::*;

            /// Writes the event time as an integer.
            ///
            /// # Errors
            /// Whatever the serializer returns.
            pub fn serialize<S: Serializer>(time: &EventTime, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_i64($get(*time))
            }

            /// Reads the event time from an integer.
            ///
            /// # Errors
            /// Whatever the deserializer returns, as when the value is no integer.
            pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<EventTime, D::Error> {
                i64::deserialize(from).map(EventTime::$make)
            }
        }
    };
}

unix_unit! {
    /// For `#[serde(with = "stream_core::time::unix_secs")]`: seconds since 1970 as an integer.
    unix_secs, secs, |time: EventTime| time.as_micros().div_euclid(1_000_000)
}
unix_unit! {
    /// For `#[serde(with = "stream_core::time::unix_millis")]`: milliseconds since 1970 as an
    /// integer.
    unix_millis, millis, EventTime::as_millis
}
unix_unit! {
    /// For `#[serde(with = "stream_core::time::unix_micros")]`: microseconds since 1970 as an
    /// integer.
    unix_micros, micros, EventTime::as_micros
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips_before_1970_and_beyond_the_calendar() {
        for micros in [i64::MIN, -1, 0, 1, 1_710_325_274_000_001, i64::MAX] {
            let time = EventTime::micros(micros);
            assert_eq!(
                time.to_string().parse::<EventTime>().as_ref(),
                Ok(&time),
                "{time}"
            );
        }
        assert_eq!(EventTime::secs(-1).to_string(), "1969-12-31T23:59:59Z");
    }

    #[test]
    fn a_bare_number_is_refused_with_the_remedy() {
        let error = serde_json::from_str::<EventTime>("1710325274")
            .unwrap_err()
            .to_string();
        assert!(error.contains("name its unit"), "{error}");
        let error = "yesterday".parse::<EventTime>().unwrap_err().to_string();
        assert!(
            error.contains("`yesterday` is no time: expected RFC 3339"),
            "{error}"
        );
        let zone = "2024-03-01T10:00:00[America/New_York]".parse::<EventTime>();
        assert!(zone.is_err(), "a zone without an offset");
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(EventTime::secs(i64::MAX), EventTime::MAX);
        assert_eq!(EventTime::MAX.plus(1), EventTime::MAX);
        assert_eq!(EventTime::MIN.minus(1), EventTime::MIN);
    }
}
