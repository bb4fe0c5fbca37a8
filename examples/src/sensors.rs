//! Operators of one's own: an alert with a timer, a state machine with two inputs, an enrichment with two
//! outputs. [`sensors()`] puts them together.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use stream_core::prelude::*;

/// What a sensor says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// When it was measured.
    pub at: EventTime,
    /// Which sensor.
    pub sensor: u32,
    /// What it measured.
    pub celsius: f64,
}

/// From when on a sensor hangs in a room.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// When it was hung there.
    pub at: EventTime,
    /// Which sensor.
    pub sensor: u32,
    /// The room.
    pub room: String,
}

/// From when on a room may be how warm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// From when on.
    pub at: EventTime,
    /// Which room.
    pub room: String,
    /// How warm at most.
    pub limit: f64,
}

/// A reading, and where it was taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Located {
    /// The room.
    pub room: String,
    /// What the sensor there says.
    pub reading: Reading,
}

/// A room has become too warm, or no longer is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Crossing {
    /// The room.
    pub room: String,
    /// Whether it is too warm from now on.
    pub is_hot: bool,
}

/// A room has been too warm for a while.
#[derive(Clone, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct Alert {
    /// When it was told.
    pub at: EventTime,
    /// The room.
    pub room: String,
}

/// Adds the room to the readings of sensors that hang in one.
pub struct Locate;

/// What comes of a reading.
#[derive(Outputs)]
pub enum Found {
    /// Its room is known.
    Located(Located),
    /// Its sensor hangs nowhere.
    Unknown(Reading),
}

impl KeyedOperator for Locate {
    type Key = u32;
    type In = Either<Place, Reading>;
    type State = Option<String>;
    type Out = Found;

    fn record(&self, _: &u32, input: Self::In, room: &mut Self::State, cx: &mut Cx<Found>) {
        match (input, room) {
            (Either::Left(place), room) => *room = Some(place.room),
            (Either::Right(reading), None) => cx.emit(Found::Unknown(reading)),
            (Either::Right(reading), Some(room)) => {
                let room = room.clone();
                cx.emit(Found::Located(Located { room, reading }));
            }
        }
    }
}

/// Says when a room crosses its limit, which may change meanwhile.
pub struct Watch;

/// What is known of a room.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Watched {
    limit: Option<f64>,
    celsius: Option<f64>,
    is_hot: bool,
}

impl KeyedOperator for Watch {
    type Key = String;
    type In = Either<Rule, Located>;
    type State = Watched;
    type Out = Crossing;

    fn record(&self, room: &String, input: Self::In, watched: &mut Watched, cx: &mut Cx<Crossing>) {
        match input {
            Either::Left(rule) => watched.limit = Some(rule.limit),
            Either::Right(located) => watched.celsius = Some(located.reading.celsius),
        }
        let is_hot =
            matches!((watched.celsius, watched.limit), (Some(now), Some(limit)) if now > limit);
        if std::mem::replace(&mut watched.is_hot, is_hot) != is_hot {
            let room = room.clone();
            cx.emit(Crossing { room, is_hot });
        }
    }
}

/// Tells of what has lasted for a while without a break.
pub struct Debounce {
    hold: Duration,
}

/// Tells of rooms that have been too warm for so long.
#[operator]
pub fn debounce(hold: Duration) -> Debounce {
    Debounce { hold }
}

impl KeyedOperator for Debounce {
    type Key = String;
    type In = Crossing;
    type State = ();
    type Out = Alert;

    fn record(&self, _: &String, crossing: Crossing, _: &mut (), cx: &mut Cx<Alert>) {
        match crossing.is_hot {
            true => cx.set_timer(cx.time() + self.hold),
            false => cx.cancel_timers(),
        }
    }

    fn timer(&self, room: &String, at: EventTime, _: &mut (), cx: &mut Cx<Alert>) {
        let room = room.clone();
        cx.emit(Alert { at, room });
    }
}

/// Alerts of rooms that have been too warm for a while, and readings of sensors that hang nowhere.
///
/// What comes too late for its source's order goes nowhere.
#[pipeline]
pub fn sensors(
    readings: Stream<Reading>,
    places: Stream<Place>,
    rules: Stream<Rule>,
    #[default(Gap::mins(5))] hold: Gap,
) -> (Timed<Alert>, Timed<Reading>) {
    let (read, late_readings) = readings.event_time(|reading| reading.at, Lateness::mins(1));
    late_readings.discard();
    let (placed, late_places) = places.event_time(|place| place.at, Lateness::mins(1));
    late_places.discard();
    let (ruled, late_rules) = rules.event_time(|rule| rule.at, Lateness::mins(1));
    late_rules.discard();
    let (located, unknown) = placed
        .key_by(|place| place.sensor)
        .either(read.key_by(|reading| reading.sensor))
        .in_order()
        .apply(Locate)
        .outputs();
    let crossings = ruled
        .key_by(|rule| rule.room.clone())
        .either(located.key_by(|located| located.room.clone()))
        .in_order()
        .apply(Watch);
    let alerts = crossings
        .key_by(|crossing| crossing.room.clone())
        .assume_in_order()
        .debounce(hold.into());
    (alerts, unknown)
}
