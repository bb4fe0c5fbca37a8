//! Alerts of rooms that have been too warm for a while, from three files: readings, where sensors hang, and
//! how warm a room may be.

use std::process::ExitCode;

use examples::data;
use examples::sensors::{Place, Reading, Rule, sensors};
use stream_core::io::{at, discard, files, stdout};
use stream_core::prelude::*;

fn main() -> ExitCode {
    sensors::job()
        .readings(at(data("sensors/readings.csv"), |path| {
            files::csv::<Reading>(path)
        }))
        .places(at(data("sensors/places.csv"), |path| {
            files::csv::<Place>(path)
        }))
        .rules(at(data("sensors/rules.csv"), |path| {
            files::csv::<Rule>(path)
        }))
        .alerts(stdout::json())
        .unknown(discard())
        .main()
}
