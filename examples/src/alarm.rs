//! A pipeline inside of a program: it is given readings by a channel, and gives alarms by another.

use serde::{Deserialize, Serialize};
use stream_core::prelude::*;

/// What a sensor says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// Which sensor.
    pub sensor: u32,
    /// What it measures.
    pub celsius: f64,
}

/// Tells of each sensor that has become too warm, once, until it has cooled down again.
#[pipeline]
pub fn alarms(readings: Stream<Reading>, limit: f64) -> Stream<u32, Mixed> {
    let changes = readings.key_by(|reading| reading.sensor).scan(
        || false,
        |was_warm, reading| {
            let is_warm = reading.celsius > limit;
            let has_begun = is_warm && !*was_warm;
            *was_warm = is_warm;
            has_begun
        },
    );
    let alarms = changes.filter_map(|(sensor, has_begun)| has_begun.then_some(sensor));
    alarms
}
