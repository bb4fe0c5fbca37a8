//! Sources that give their records at a pace of their own, on the job's clock.
//!
//! A paced reader never sleeps: it says [`ReadStatus::Until`](super::ReadStatus) the time of its
//! next record. Times are whole microseconds, rounded up, so that a clock which has come to such a
//! time has come to the record.

mod rate;
mod replay;

use std::time::Duration;

pub use rate::Rate;
pub use replay::Replay;

use super::source::{Boundedness, SourceInfo};
use crate::error::Problem;

/// Refuses a pace that is none, and sources whose records come when they come.
fn check(setting: &str, factor: f64, source: &SourceInfo) -> Result<(), Problem> {
    if !(factor.is_finite() && factor > 0.0) {
        return Err(Problem::new(format!("`.{setting}({factor})` is no pace"))
            .detail("the number has to be above 0, and finite"));
    }
    let is_paced = match source.boundedness {
        Boundedness::Bounded => true,
        Boundedness::Unbounded => setting == "rate",
        Boundedness::UntilClosed => false,
    };
    if !is_paced {
        let what = format!("`.{setting}(…)` cannot pace the source `{}`", source.kind);
        return Err(Problem::new(what)
            .detail("it is not bounded: its records come when they come")
            .hint(format!(
                "remove `.{setting}(…)`, or read from files or a vector"
            )));
    }
    Ok(())
}

/// A length of time in whole microseconds, rounded up; none where that is negative.
fn micros(micros: f64) -> Duration {
    Duration::from_micros(micros.ceil() as u64) // `as` saturates
}

#[cfg(test)]
mod tests {
    use crate::EventTime;
    use crate::io::{MemoryLog, Source, SourceExt, vec};

    #[test]
    fn a_pace_that_is_none_is_a_problem() {
        for pace in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let rate = vec(vec![1])
                .rate(pace)
                .partitions()
                .unwrap_err()
                .to_string();
            let replay = vec(vec![1]).replay(pace, |_| EventTime::MIN).partitions();
            let replay = replay.unwrap_err().to_string();
            let expected = "is no pace: the number has to be above 0, and finite";
            assert_eq!(rate, format!("`.rate({pace})` {expected}"));
            assert_eq!(replay, format!("`.replay({pace})` {expected}"));
        }
    }

    #[test]
    fn a_source_without_end_cannot_be_paced() {
        let problem = MemoryLog::<u8>::new(1)
            .rate(1.0)
            .partitions()
            .unwrap_err()
            .to_string();
        let expected = "`.rate(…)` cannot pace the source `memory-log`: it is not bounded: its \
                        records come when they come (hint: remove `.rate(…)`, or read from files \
                        or a vector)";
        assert_eq!(problem, expected);
    }
}
