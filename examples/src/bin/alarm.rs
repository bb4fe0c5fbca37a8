//! Runs a pipeline inside of a program: readings go in by one channel, alarms come out by another,
//! each as soon as it is known.

use std::error::Error;

use examples::alarm::{Reading, alarms};
use stream_core::io::{channel, to_channel};
use stream_core::prelude::*;

fn main() -> Result<(), Box<dyn Error>> {
    let (readings, source) = channel(16);
    let (sink, alarm) = to_channel(16);
    let job = alarms::job()
        .readings(source)
        .limit(80.0)
        .alarms(sink)
        .start(Mode::PerRecord)?;
    for (sensor, celsius) in [(1, 20.0), (2, 85.0), (1, 90.0)] {
        readings.send(Reading { sensor, celsius })?;
        if celsius > 80.0 {
            println!("sensor {} is too warm", alarm.recv()?);
        }
    }
    drop(readings);
    job.wait()?;
    Ok(())
}
