//! The operator in every mode, through crashes, and cut everywhere.

use std::time::Duration;

use stream_core::prelude::*;
use stream_core::testing::{OperatorCheck, check_modes, check_recovery};
use stream_smoothing::smoothed;

type Measured = (u8, i64, i16);

const HALF_LIFE: Duration = Duration::from_secs(10);

fn value(measured: &Measured) -> f64 {
    measured.2.into()
}

fn at(measured: &Measured) -> EventTime {
    EventTime::secs(measured.1)
}

#[pipeline]
fn smooth(measured: Stream<Measured>) -> Timed<(u8, f64)> {
    let (timed, late) = measured.event_time(at, Lateness::secs(10));
    late.discard();
    let smooth = timed
        .key_by(|measured| measured.0)
        .in_order()
        .smoothed(HALF_LIFE, value);
    smooth
}

fn measured() -> Vec<Measured> {
    let disorder = |n: i64| (n * 7) % 11;
    let one = |n: i64| ((n % 3) as u8, n - disorder(n), (n * n % 17) as i16);
    (0..150).map(one).collect()
}

#[test]
fn it_is_the_same_in_every_mode_and_through_crashes() {
    check_modes(measured(), smooth);
    check_recovery(measured(), smooth);
}

#[test]
fn it_is_the_same_however_it_is_cut() {
    OperatorCheck::new(
        || smoothed(HALF_LIFE, value),
        |measured: &Measured| measured.0,
        at,
    )
    .in_order()
    .run((0..3_u8, 0..40_i64, -5..5_i16));
}

#[test]
fn its_stage_has_its_name() {
    let stages: Vec<_> = smooth::GRAPH.stages.iter().map(|stage| stage.id).collect();
    assert!(stages.contains(&"smooth/smooth/smoothed"), "{stages:?}");
}
