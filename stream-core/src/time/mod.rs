//! Time in its three kinds: the records' own ([`EventTime`]), the engine's (`epoch`), and the
//! machine's ([`Clock`]).

mod calendar;
pub(crate) mod clock;
pub(crate) mod epoch;
pub(crate) mod event_time;
pub(crate) mod span;

pub(crate) use calendar::Periods;
pub use calendar::{Calendar, CalendarError};
pub use clock::Clock;
pub use event_time::{EventTime, ParseEventTimeError, unix_micros, unix_millis, unix_secs};
pub use span::{Gap, Lateness, Leap, ParseSpanError, Size, TimeBounds};
