//! Windows of the calendar: hours, days, weeks or months of a time zone. What they are is said in
//! [`Calendar`]; they are kept as tumbling windows are, for they never meet either.

use std::cell::Cell;

use super::tumbling::Tumbling;
use super::window::{Assign, Counts, Disjoint, Fold, Windows};
use crate::error::Problem;
use crate::graph::{EventTimed, Key, Keyed, Kind, Lasting, NodeSpec, Record};
use crate::time::{Calendar, EventTime, Periods};

/// Windows of a calendar; made by [`Keyed::calendar`](crate::graph::Keyed::calendar).
#[derive(Clone, Debug)]
pub struct CalendarWindows {
    calendar: Calendar,
    periods: Periods,
    /// The window that was looked for last, and is wanted again by nearly every record.
    last: Cell<(EventTime, EventTime)>,
}

impl<Q: 'static, T: 'static, K: Kind> Keyed<Q, T, K> {
    /// Divides event time into hours, days, weeks or months of a time zone, so that a day on which the clock is
    /// set is 23 or 25 hours. What a [`Calendar`] is made of says which. A zone that there is not is refused
    /// when the job starts.
    ///
    /// ```
    /// use stream_core::prelude::*;
    ///
    /// /// How many there were on each day in Vienna.
    /// #[pipeline]
    /// fn by_day(times: Stream<EventTime>) -> Timed<(String, u64)> {
    ///     let (timed, late) = times.event_time(|time| *time, Lateness::hours(1));
    ///     late.discard();
    ///     let days = timed.key_by(|_| ()).calendar(Calendar::days("Europe/Vienna")).count();
    ///     days.map(|day| (day.start.to_string(), day.value))
    /// }
    ///
    /// let times = ["2026-10-24T21:59:59Z", "2026-10-24T22:00:00Z", "2026-10-25T22:59:59Z"];
    /// let rows = by_day::test().times(times.map(|time| time.parse().unwrap())).rows();
    /// let days = [("2026-10-23T22:00:00Z", 1), ("2026-10-24T22:00:00Z", 2)]; // that of 25 hours
    /// assert_eq!(rows.output, days.map(|(start, count)| (start.to_string(), count)));
    /// ```
    pub fn calendar(self, calendar: Calendar) -> Windows<Q, T, CalendarWindows>
    where
        K: EventTimed + Lasting,
    {
        let (calendar, periods) = calendar.resolve().unwrap_or_else(|error| {
            let problem = Problem::new(error.what()).hint(error.hint());
            self.port.problem(problem);
            Calendar::utc_days()
        });
        let windows = CalendarWindows::of(calendar, periods);
        Windows::new(self.port, windows)
    }
}

impl CalendarWindows {
    pub(super) fn of(calendar: Calendar, periods: Periods) -> Self {
        CalendarWindows {
            calendar,
            periods,
            last: Cell::new((EventTime::MAX, EventTime::MIN)),
        }
    }
}

impl Assign for CalendarWindows {
    const KIND: &'static str = "calendar";
    type Logic<Q: Key, P: Record, A: Record, F: Fold<P, A>> = Tumbling<Q, P, A, F, Self>;

    fn describe(&self, spec: NodeSpec) -> NodeSpec {
        spec.with("calendar", &self.calendar)
    }

    fn logic<Q: Key, P: Record, A: Record, F: Fold<P, A>>(
        self,
        fold: F,
        counts: Counts,
    ) -> Tumbling<Q, P, A, F, Self> {
        Tumbling::new(self, fold, counts)
    }
}

impl Disjoint for CalendarWindows {
    #[inline]
    fn around(&self, time: EventTime) -> (EventTime, EventTime) {
        let (start, end) = self.last.get();
        if start <= time && time < end {
            return (start, end);
        }
        let found = self.periods.around(time);
        self.last.set(found);
        found
    }
}
