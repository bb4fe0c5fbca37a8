//! A share of an input, as limits on late and bad records are given.

use std::fmt;
use std::str::FromStr;

/// A share of the records of an input: `5%`, or `0`.
///
/// ```
/// use stream_core::run::Share;
///
/// assert_eq!("0.5%".parse(), Ok(Share::percent(0.5)));
/// assert_eq!("0".parse(), Ok(Share::NONE));
/// assert_eq!(Share::percent(5.0).to_string(), "5%");
/// assert!("5".parse::<Share>().is_err(), "5 of what?");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Share {
    percent: f64,
}

impl Share {
    /// Not one record.
    pub const NONE: Share = Share { percent: 0.0 };

    /// So many of a hundred; what lies outside of 0 to 100 is taken for the nearer end, and what is
    /// no number for 0.
    pub fn percent(percent: f64) -> Self {
        let percent = if percent.is_nan() { 0.0 } else { percent };
        Share {
            percent: percent.clamp(0.0, 100.0),
        }
    }

    /// Whether so many of a total are more than this share of it.
    pub(super) fn is_passed(self, count: u64, total: u64) -> bool {
        count as f64 * 100.0 > self.percent * total as f64
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.percent)
    }
}

/// A text that is no share.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no share: expected a percentage, like 5% or 0.1%, or 0")]
pub struct ParseShareError(String);

impl FromStr for Share {
    type Err = ParseShareError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseShareError(text.to_owned());
        if text.trim() == "0" {
            return Ok(Share::NONE);
        }
        let number = text.trim().strip_suffix('%').ok_or_else(error)?;
        let percent: f64 = number.trim_end().parse().map_err(|_| error())?;
        match (0.0..=100.0).contains(&percent) {
            true => Ok(Share { percent }),
            false => Err(error()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_share_is_told_with_examples() {
        for text in ["5", "0.05", "-1%", "101%", "NaN%", "many", "%", ""] {
            let error = text.parse::<Share>().unwrap_err().to_string();
            assert!(error.ends_with("is no share: expected a percentage, like 5% or 0.1%, or 0"));
        }
    }

    #[test]
    fn a_share_is_passed_by_more_than_it() {
        let one = Share::percent(1.0);
        assert!(!one.is_passed(1, 100) && one.is_passed(2, 100));
        assert!(Share::NONE.is_passed(1, u64::MAX) && !Share::NONE.is_passed(0, 0));
    }
}
