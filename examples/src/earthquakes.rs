//! Late data: earthquakes come in the order in which their records were updated, up to days after
//! they happened.

use serde::{Deserialize, Serialize};
use stream_core::prelude::*;

/// One row of `examples/data/earthquakes`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Earthquake {
    /// What the network calls it.
    pub id: String,
    /// When the earth shook.
    #[serde(with = "stream_core::time::unix_millis")]
    pub time: EventTime,
    /// How strongly.
    pub magnitude: f64,
    /// Where, in words.
    pub place: String,
}

impl Earthquake {
    /// The last part of the place: a state or a country.
    pub fn region(&self) -> String {
        let last = self.place.rsplit(", ").next().unwrap_or(&self.place);
        last.to_owned()
    }
}

/// The earthquakes of one region in one hour.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Hour {
    /// A state or a country.
    pub region: String,
    /// When the hour began.
    pub start: EventTime,
    /// How many there were.
    pub earthquakes: u64,
}

/// Counts earthquakes by hour and region. Those that come too late to count are told apart.
#[pipeline]
pub fn earthquakes(
    earthquakes: Stream<Earthquake>,
    #[default(Lateness::hours(6))] lateness: Lateness,
) -> (Timed<Hour>, Stream<Earthquake>) {
    let (timed, late) = earthquakes.event_time(|earthquake| earthquake.time, lateness);
    let hours = timed
        .key_by(Earthquake::region)
        .tumbling(Size::hours(1))
        .count()
        .map(|hour| Hour {
            region: hour.key,
            start: hour.start,
            earthquakes: hour.value,
        });
    (hours, late)
}
