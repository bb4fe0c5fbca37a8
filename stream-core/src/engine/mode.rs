//! The modes: when a batch is cut, and when a table's change is emitted. Nothing else.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::error::Problem;
use crate::time::span;

/// How a job cuts its input. The results are the same in every mode.
///
/// | mode | when a batch is cut | when a table's change is emitted |
/// |---|---|---|
/// | `batch` | never | at the end of input |
/// | `micro-batch=…` | by interval, records or bytes | at the batch's close, once a key |
/// | `per-record` | as soon as what came before is through | at once |
/// | `per-record=strict` | after every record | at once |
///
/// ```
/// use std::time::Duration;
/// use stream_core::Mode;
///
/// assert_eq!("micro-batch=100ms".parse(), Ok(Mode::micro_batch(Duration::from_millis(100))));
/// assert_eq!("per-record".parse(), Ok(Mode::PerRecord));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// All input is one batch.
    #[default]
    Batch,
    /// A batch is cut when one of the conditions holds.
    MicroBatch(BatchCut),
    /// Records go through as they come; under load those that wait go together.
    PerRecord,
    /// Records go through one by one.
    PerRecordStrict,
}

/// When a micro-batch is cut: at the first condition that holds. An empty batch is never cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchCut {
    /// So long after the first record of the batch.
    pub interval: Option<Duration>,
    /// After so many records.
    pub records: Option<u64>,
    /// After so many bytes, as the sources count them.
    pub bytes: Option<u64>,
}

/// How a worker waits when it has nothing to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wait {
    /// It sleeps until it is woken; that takes 20 µs or so.
    #[default]
    Park,
    /// It keeps its core busy and reacts at once.
    Spin,
}

impl Mode {
    /// Whether records go through as they come, or wait for others.
    pub(crate) fn goes_record_by_record(self) -> bool {
        matches!(self, Mode::PerRecord | Mode::PerRecordStrict)
    }

    /// Micro-batches of one interval.
    pub fn micro_batch(interval: Duration) -> Mode {
        Mode::MicroBatch(BatchCut {
            interval: Some(interval),
            ..BatchCut::default()
        })
    }

    pub(crate) fn table_emission(&self) -> Emission {
        match self {
            Mode::Batch => Emission::End,
            Mode::MicroBatch(_) => Emission::BatchClose,
            Mode::PerRecord | Mode::PerRecordStrict => Emission::AtOnce,
        }
    }

    /// Says what is wrong with a mode that was made by hand.
    pub(crate) fn check(&self) -> Result<(), ParseModeError> {
        let Mode::MicroBatch(cut) = self else {
            return Ok(());
        };
        let error = |reason: &str| Err(ParseModeError::new(&self.to_string(), reason));
        match cut {
            BatchCut {
                interval: None,
                records: None,
                bytes: None,
            } => error("a micro-batch needs an interval, a number of records or a size"),
            BatchCut {
                interval: Some(Duration::ZERO),
                ..
            }
            | BatchCut {
                records: Some(0), ..
            }
            | BatchCut { bytes: Some(0), .. } => {
                error("a micro-batch cannot be 0 long; for the least latency take `per-record`")
            }
            BatchCut {
                interval: Some(interval),
                ..
            } if *interval < SHORTEST => {
                error("an interval below 100us costs more than it holds; take `per-record`")
            }
            BatchCut {
                interval: Some(interval),
                ..
            } if *interval > LONGEST => error("an interval above 1 day is none; take `batch`"),
            _ => Ok(()),
        }
    }
}

/// When an operator emits, which is half of what a mode is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Emission {
    /// As soon as the logic says so.
    AtOnce,
    /// At the close of each batch.
    BatchClose,
    /// When every lane has ended.
    End,
}

const SHORTEST: Duration = Duration::from_micros(100);
const LONGEST: Duration = Duration::from_secs(86_400);

const MODES: &str = "batch, micro-batch=100ms, micro-batch=1000records, micro-batch=8MiB, \
                     micro-batch=100ms,1000records, per-record, per-record=strict";

/// A text that names no mode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no mode: {reason} (modes: {MODES})")]
pub struct ParseModeError {
    text: String,
    reason: String,
}

impl ParseModeError {
    /// The same in three parts, for a mode that was made by hand.
    pub(crate) fn problem(&self) -> Problem {
        Problem::new(format!("`{}` is no mode", self.text))
            .detail(&self.reason)
            .hint(format!("modes: {MODES}"))
    }

    fn new(text: &str, reason: &str) -> Self {
        ParseModeError {
            text: text.to_owned(),
            reason: reason.to_owned(),
        }
    }
}

impl FromStr for Mode {
    type Err = ParseModeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = |reason: &str| Err(ParseModeError::new(text, reason));
        let mode = match text.split_once('=') {
            None if text == "batch" => Mode::Batch,
            None if text == "per-record" => Mode::PerRecord,
            None if text == "micro-batch" => {
                return error("a micro-batch needs an interval, a number of records or a size");
            }
            Some(("per-record", "strict")) => Mode::PerRecordStrict,
            Some(("micro-batch", cut)) => match parse_cut(cut) {
                Ok(cut) => Mode::MicroBatch(cut),
                Err(reason) => return error(&reason),
            },
            _ => return error("the name is not known"),
        };
        mode.check().map(|()| mode).map_err(|error| ParseModeError {
            text: text.into(),
            ..error
        })
    }
}

fn parse_cut(text: &str) -> Result<BatchCut, String> {
    let mut cut = BatchCut::default();
    for part in text.split(',').map(str::trim) {
        let digits = part
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(part.len());
        let (number, unit) = part.split_at(digits);
        let scaled = |unit: u64| {
            let number = number
                .parse::<u64>()
                .ok()
                .and_then(|number| number.checked_mul(unit));
            number.ok_or_else(|| format!("`{part}` is out of range"))
        };
        let again = match unit.trim() {
            "records" | "record" => cut.records.replace(scaled(1)?).is_some(),
            "B" => cut.bytes.replace(scaled(1)?).is_some(),
            "KiB" => cut.bytes.replace(scaled(1 << 10)?).is_some(),
            "MiB" => cut.bytes.replace(scaled(1 << 20)?).is_some(),
            "GiB" => cut.bytes.replace(scaled(1 << 30)?).is_some(),
            _ => {
                let micros = span::parse_micros(part).map_err(|error| error.to_string())?;
                cut.interval
                    .replace(Duration::from_micros(micros.unsigned_abs()))
                    .is_some()
            }
        };
        if again {
            return Err(format!("`{part}` says a second time what was said before"));
        }
    }
    Ok(cut)
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cut = match self {
            Mode::Batch => return f.write_str("batch"),
            Mode::PerRecord => return f.write_str("per-record"),
            Mode::PerRecordStrict => return f.write_str("per-record=strict"),
            Mode::MicroBatch(cut) => cut,
        };
        f.write_str("micro-batch")?;
        let mut sign = "=";
        if let Some(interval) = cut.interval {
            f.write_str(std::mem::replace(&mut sign, ","))?;
            span::show_micros(i64::try_from(interval.as_micros()).unwrap_or(i64::MAX), f)?;
        }
        if let Some(records) = cut.records {
            write!(f, "{}{records}records", std::mem::replace(&mut sign, ","))?;
        }
        match cut.bytes {
            Some(bytes) => write!(f, "{sign}{bytes}B"),
            None => Ok(()),
        }
    }
}

/// A text that names no way to wait.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no way to wait: expected `park` or `spin`")]
pub struct ParseWaitError(String);

impl FromStr for Wait {
    type Err = ParseWaitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "park" => Ok(Wait::Park),
            "spin" => Ok(Wait::Spin),
            _ => Err(ParseWaitError(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_round_trip_as_text() {
        for text in [
            "batch",
            "micro-batch=100ms",
            "micro-batch=1000records",
            "micro-batch=8388608B",
            "micro-batch=1s,10records,5B",
            "per-record",
            "per-record=strict",
        ] {
            let mode: Mode = text.parse().unwrap();
            assert_eq!(mode.to_string().parse(), Ok(mode), "{mode}");
        }
        let eight = BatchCut {
            bytes: Some(8 << 20),
            ..BatchCut::default()
        };
        assert_eq!("micro-batch=8MiB".parse(), Ok(Mode::MicroBatch(eight)));
    }

    #[test]
    fn a_mode_that_is_none_is_told_with_the_remedy() {
        for (text, part) in [
            ("fast", "the name is not known"),
            ("micro-batch", "needs an interval"),
            ("micro-batch=0ms", "for the least latency take `per-record`"),
            ("micro-batch=0records", "cannot be 0 long"),
            ("micro-batch=1us", "below 100us"),
            ("micro-batch=30days", "above 1 day"),
            ("micro-batch=99999999999999999999records", "out of range"),
            ("micro-batch=soon", "expected a number with a unit"),
            ("micro-batch=1s,2s", "a second time"),
            ("per-record=lazy", "the name is not known"),
        ] {
            let error = text.parse::<Mode>().unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
            assert!(error.contains("modes: batch, micro-batch=100ms"), "{error}");
        }
    }
}
