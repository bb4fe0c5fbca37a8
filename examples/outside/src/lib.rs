//! Exponential smoothing of the measurements of each key, by how much time lies between them.
//!
//! ```
//! use std::time::Duration;
//! use stream_core::prelude::*;
//! use stream_smoothing::smoothed;
//!
//! #[pipeline]
//! fn calm(celsius: Stream<(u32, i64, f64)>) -> Timed<(u32, f64)> {
//!     let (timed, late) = celsius.event_time(|(_, second, _)| EventTime::secs(*second), Lateness::secs(5));
//!     late.discard();
//!     let values = timed.map(|(sensor, _, celsius)| (sensor, celsius));
//!     let calm = values
//!         .key_by(|(sensor, _)| *sensor)
//!         .in_order()
//!         .smoothed(Duration::from_secs(60), |(_, celsius)| *celsius);
//!     calm
//! }
//!
//! let rows = calm::test().celsius([(1, 0, 20.0), (1, 60, 30.0)]).rows();
//! assert_eq!(rows.calm, [(1, 20.0), (1, 25.0)]);
//! ```

use std::marker::PhantomData;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use stream_core::EventTime;
use stream_core::graph::{Key, Record};
use stream_core::ops::{Cx, KeyedOperator};

/// Smooths a value of the records of each key: one that is a half-life old counts half.
pub struct Smooth<Q, T, F> {
    half_life: Duration,
    value: F,
    records: PhantomData<fn(Q, T)>,
}

/// Emits the key and the smoothed value for each record. A value counts half as much after each half-life.
///
/// It depends on the order of records, so call it behind `in_order`.
#[stream_core::operator]
pub fn smoothed<Q, T, F>(half_life: Duration, value: F) -> Smooth<Q, T, F>
where
    Q: Key,
    T: Record,
    F: Fn(&T) -> f64 + 'static,
{
    Smooth {
        half_life,
        value,
        records: PhantomData,
    }
}

/// The smoothed value of a key, and when it was last measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Smoothed {
    at: EventTime,
    value: f64,
}

impl<Q: Key, T: Record, F: Fn(&T) -> f64 + 'static> KeyedOperator for Smooth<Q, T, F> {
    type Key = Q;
    type In = T;
    type State = Option<Smoothed>;
    type Out = (Q, f64);

    fn record(&self, key: &Q, record: T, state: &mut Self::State, cx: &mut Cx<(Q, f64)>) {
        let (at, new) = (cx.time(), (self.value)(&record));
        let value = state.map_or(new, |old| {
            let micros = at.as_micros().saturating_sub(old.at.as_micros()) as f64;
            let weight = (-micros / self.half_life.as_micros() as f64).exp2();
            old.value * weight + new * (1.0 - weight)
        });
        *state = Some(Smoothed { at, value });
        cx.emit((key.clone(), value));
    }
}
