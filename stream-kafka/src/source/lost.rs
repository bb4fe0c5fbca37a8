//! Records that are gone before they were read.

use stream_core::Problem;

use crate::client::Place;

/// What to do where the broker has lost records that were to be read: retention was shorter than the job
/// stood still, somebody has deleted records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LostRecords {
    /// The job fails, naming the records that are lost.
    #[default]
    Fail,
    /// The job goes on with the first record that is still there, and tells how many were lost.
    Skip,
}

/// What the log holds where a record is missing.
pub(super) struct Log {
    pub(super) first: i64,
    pub(super) end: i64,
}

/// The offset to go on with, or why the job cannot.
pub(super) fn go_on(
    policy: LostRecords,
    place: &Place,
    next: i64,
    log: &Log,
) -> Result<i64, Problem> {
    let name = format!("{}/{}", place.topic, place.partition);
    if next > log.end {
        return Err(Problem::new(format!(
            "the log of `{name}` is shorter than what was read of it"
        ))
        .detail(format!(
            "the next record would be {next}, and it ends before {}",
            log.end
        ))
        .hint(
            "it was cut, or the topic was made anew: what was read is there no more. \
                 Start afresh, with a state of its own",
        ));
    }
    if next >= log.first {
        return Ok(next);
    }
    let lost = log.first - next;
    match policy {
        LostRecords::Skip => {
            eprintln!(
                "kafka: {lost} records of {name} are lost, from offset {next} on; going on with {}",
                log.first
            );
            Ok(log.first)
        }
        LostRecords::Fail => Err(Problem::new(format!("{lost} records of `{name}` are lost"))
            .detail(format!(
                "the next record would be {next}, and the first that is still there is {}",
                log.first
            ))
            .hint(
                "keep records for longer than a job may stand still (`retention.ms` of the topic); \
                 to go on without them, say `.lost_records(LostRecords::Skip)`",
            )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_named_or_passed_over_and_a_log_that_was_cut_is_always_an_error() {
        let place = Place {
            topic: "clicks".into(),
            partition: 3,
        };
        let log = Log {
            first: 300,
            end: 500,
        };
        let told = go_on(LostRecords::Fail, &place, 10, &log)
            .unwrap_err()
            .to_string();
        assert!(told.contains("290 records of `clicks/3`"), "{told}");
        assert_eq!(go_on(LostRecords::Skip, &place, 10, &log).unwrap(), 300);
        assert_eq!(go_on(LostRecords::Fail, &place, 300, &log).unwrap(), 300);
        let told = go_on(LostRecords::Skip, &place, 501, &log)
            .unwrap_err()
            .to_string();
        assert!(told.contains("shorter"), "{told}");
    }
}
