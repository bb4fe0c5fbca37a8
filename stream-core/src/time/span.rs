//! Lengths of event time, each named for what it does: [`Gap`], [`Size`], [`Lateness`], [`Leap`].
//!
//! A [`Duration`] becomes whichever is asked for, in whole microseconds: what is less is cut off, and
//! what is more than can be counted is as long as can be.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::{SignedDuration, Span, SpanRelativeTo};

use super::event_time::EventTime;

/// A text that is no length of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no length of time: expected a number with a unit, like 30m, 1h, 250ms")]
pub struct ParseSpanError {
    text: String,
}

/// Reads a length like `30m`, `1h 30m` or `250ms`, in microseconds; never negative.
pub(crate) fn parse_micros(text: &str) -> Result<i64, ParseSpanError> {
    let error = || ParseSpanError {
        text: text.to_owned(),
    };
    let span: Span = text.parse().map_err(|_| error())?;
    let length = span
        .to_duration(SpanRelativeTo::days_are_24_hours())
        .map_err(|_| error())?;
    let micros = length.as_micros();
    i64::try_from(micros)
        .ok()
        .filter(|micros| *micros >= 0)
        .ok_or_else(error)
}

/// Writes a length as [`parse_micros`] reads it.
pub(crate) fn show_micros(micros: i64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{:#}", SignedDuration::from_micros(micros))
}

macro_rules! span {
    ($(#[$doc:meta])* $name:ident $(, $endless:literal)?) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[derive(serde::Serialize, serde::Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub struct $name(i64);

        impl $name {
            /// A length in microseconds.
            pub const fn micros(micros: u64) -> Self {
                Self(if micros > i64::MAX as u64 { i64::MAX } else { micros as i64 })
            }

            /// A length in milliseconds.
            pub const fn millis(millis: u64) -> Self {
                Self::micros(millis.saturating_mul(1_000))
            }

            /// A length in seconds.
            pub const fn secs(secs: u64) -> Self {
                Self::micros(secs.saturating_mul(1_000_000))
            }

            /// A length in minutes.
            pub const fn mins(mins: u64) -> Self {
                Self::secs(mins.saturating_mul(60))
            }

            /// A length in hours.
            pub const fn hours(hours: u64) -> Self {
                Self::secs(hours.saturating_mul(3_600))
            }

            /// A length in days of 24 hours.
            pub const fn days(days: u64) -> Self {
                Self::hours(days.saturating_mul(24))
            }

            /// The length in microseconds.
            pub const fn as_micros(self) -> i64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                $(if self.0 == i64::MAX {
                    return f.write_str($endless);
                })?
                show_micros(self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseSpanError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                $(if text == $endless {
                    return Ok(Self(i64::MAX));
                })?
                parse_micros(text).map(Self)
            }
        }

        impl From<Duration> for $name {
            fn from(length: Duration) -> Self {
                Self::micros(u64::try_from(length.as_micros()).unwrap_or(u64::MAX))
            }
        }

        impl From<$name> for Duration {
            fn from(span: $name) -> Duration {
                Duration::from_micros(span.as_micros().unsigned_abs())
            }
        }

        impl From<$name> for String {
            fn from(span: $name) -> String {
                span.to_string()
            }
        }

        impl TryFrom<String> for $name {
            type Error = ParseSpanError;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }
    };
}

span! {
    /// The silence that ends a session: two records of a key whose distance is this or more
    /// belong to different sessions.
    ///
    /// ```
    /// use stream_core::Gap;
    ///
    /// assert_eq!("30m".parse(), Ok(Gap::mins(30)));
    /// assert_eq!(Gap::mins(90).to_string(), "1h 30m");
    /// assert_eq!(Gap::from(std::time::Duration::from_secs(1_800)), Gap::mins(30));
    /// ```
    Gap
}
span! {
    /// The length of a window, of the step between windows, or of their offset.
    ///
    /// ```
    /// use stream_core::Size;
    ///
    /// assert_eq!("10s".parse(), Ok(Size::secs(10)));
    /// ```
    Size
}
span! {
    /// How far a record may lie behind the highest event time seen earlier in its own lane; one
    /// that lies further behind is late.
    ///
    /// ```
    /// use stream_core::Lateness;
    ///
    /// assert_eq!("30s".parse(), Ok(Lateness::secs(30)));
    /// assert_eq!("unbounded".parse(), Ok(Lateness::unbounded()));
    /// ```
    Lateness, "unbounded"
}

span! {
    /// How far a record may be ahead of its lane: one that leaps further is a bad record. See
    /// [`event_time`](crate::graph::Stream::event_time).
    ///
    /// ```
    /// use stream_core::time::Leap;
    ///
    /// assert_eq!("36h".parse(), Ok(Leap::hours(36)));
    /// assert!(Leap::years(10) < Leap::ANY);
    /// ```
    Leap
}

impl Leap {
    /// As far as time goes: no record leaps too far.
    pub const ANY: Leap = Leap::micros(u64::MAX);

    /// What holds where nothing else is said: ten years.
    pub(crate) const DEFAULT: Leap = Leap::years(10);

    /// A length in years of 365¼ days.
    pub const fn years(years: u64) -> Self {
        Self::hours(years.saturating_mul(8_766))
    }

    /// The length in words: `10 years`, or as it is written.
    pub(crate) fn in_words(self) -> String {
        const YEAR: i64 = Leap::years(1).as_micros();
        match self.0 {
            YEAR => "a year".to_owned(),
            micros if micros > 0 && micros % YEAR == 0 => format!("{} years", micros / YEAR),
            _ => self.to_string(),
        }
    }
}

/// What `event_time` is told about a stream's times: how late a record may be, and how far it may
/// leap. A [`Lateness`] alone is one, too, and so is a [`Duration`], which is a lateness.
///
/// ```
/// use stream_core::Lateness;
/// use stream_core::time::{Leap, TimeBounds};
///
/// let bounds: TimeBounds = Lateness::secs(30).leap(Leap::days(2));
/// assert_ne!(bounds, TimeBounds::from(Lateness::secs(30)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeBounds {
    pub(crate) lateness: Lateness,
    pub(crate) leap: Option<Leap>,
}

impl Lateness {
    /// As late as a record may be: none ever is, in whatever order they come. Windows wait for the
    /// end of input, and hold all of it until then; so an input that never ends is refused.
    ///
    /// ```
    /// use stream_core::graph::Stream;
    /// use stream_core::{EventTime, Lateness, Size, testing};
    ///
    /// let per_minute = |seconds: Stream<i64>| {
    ///     let (timed, late) = seconds.event_time(|s| EventTime::secs(*s), Lateness::unbounded());
    ///     late.discard();
    ///     let counts = timed.key_by(|_| 0).tumbling(Size::mins(1)).count();
    ///     counts.map(|window| (window.start, window.value))
    /// };
    /// let rows = testing::rows(per_minute, [600, 5, 601, 0]);
    /// assert_eq!(rows, [(EventTime::secs(0), 2), (EventTime::secs(600), 2)]);
    /// ```
    pub const fn unbounded() -> Self {
        Lateness(i64::MAX)
    }

    /// Whether nothing is ever late.
    pub(crate) const fn is_unbounded(self) -> bool {
        self.0 == i64::MAX
    }

    /// The earliest time that is not late behind the highest one of a lane.
    #[inline]
    pub(crate) const fn earliest(self, high: EventTime) -> EventTime {
        match self.is_unbounded() {
            true => EventTime::MIN,
            false => high.minus(self.0),
        }
    }

    /// Says how far a record may leap ahead, too; ten years where nothing is said.
    pub const fn leap(self, leap: Leap) -> TimeBounds {
        TimeBounds {
            lateness: self,
            leap: Some(leap),
        }
    }
}

impl From<Lateness> for TimeBounds {
    fn from(lateness: Lateness) -> Self {
        TimeBounds {
            lateness,
            leap: None,
        }
    }
}

impl From<Duration> for TimeBounds {
    fn from(lateness: Duration) -> Self {
        Lateness::from(lateness).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonsense_and_negative_lengths_are_refused() {
        for text in ["", "30", "-5m", "soon", "1 month", "99999999999999h"] {
            let error = text.parse::<Gap>().unwrap_err().to_string();
            assert!(error.contains("expected a number with a unit"), "{error}");
        }
        assert_eq!("1d 2h".parse(), Ok(Gap::hours(26)));
        assert_eq!(Gap::hours(u64::MAX).as_micros(), i64::MAX);
    }

    #[test]
    fn a_duration_is_cut_to_microseconds_and_never_wraps() {
        assert_eq!(Gap::from(Duration::from_nanos(1_999)), Gap::micros(1));
        assert_eq!(Size::from(Duration::from_nanos(999)), Size::micros(0));
        assert_eq!(Leap::from(Duration::MAX), Leap::ANY);
        assert_eq!(Lateness::from(Duration::MAX), Lateness::unbounded());
        let bounds = TimeBounds::from(Duration::from_secs(3));
        assert_eq!(bounds, Lateness::secs(3).into());
    }

    #[test]
    fn nothing_is_late_where_lateness_is_unbounded() {
        let unbounded = Lateness::unbounded();
        assert_eq!(unbounded.earliest(EventTime::MAX), EventTime::MIN);
        assert_eq!(unbounded.to_string(), "unbounded");
    }
}
