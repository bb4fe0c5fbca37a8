//! Periods of the calendar in a time zone: [`Calendar`].
//!
//! Definition. A day begins when the clock of the zone first shows its date, or, where the clock is set past
//! the whole of it, a later one; it ends when the next day begins. Weeks begin with the day that is a Monday,
//! months with that which is a first. So periods follow one another without a gap, whatever is done to the
//! clock, and a day on which it is set is 23 or 25 hours long. Hours are told apart by the clock, too: one
//! ends when the clock shows a full hour, or is set.
//!
//! What happens to clocks is known from the IANA Time Zone Database that is a part of the program, and never
//! asked of the machine, so that the periods are the same everywhere. It knows the years −9999 to 9999; what
//! lies before or behind is one period each.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, ToSpan};

use super::event_time::EventTime;

/// Hours, days, weeks or months in a time zone: the windows of
/// [`Keyed::calendar`](crate::graph::Keyed::calendar).
///
/// A zone is told by its name in the [IANA Time Zone Database](https://www.iana.org/time-zones), such as
/// `Europe/Vienna`, or by `UTC`. The database is a part of the program, so periods do not depend on the
/// machine. A name that it does not have is refused when the job starts.
///
/// Text is a unit and a zone, which is how a setting is given on the command line.
///
/// ```
/// use stream_core::Calendar;
///
/// assert_eq!("days Europe/Vienna".parse(), Ok(Calendar::days("Europe/Vienna")));
/// assert_eq!(Calendar::months("UTC").to_string(), "months UTC");
/// let error = "days Vienna".parse::<Calendar>().unwrap_err();
/// assert_eq!(error.to_string(), "there is no time zone `Vienna`: did you mean `Europe/Vienna`?");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Calendar {
    unit: Unit,
    zone: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Unit {
    Hours,
    Days,
    Weeks,
    Months,
}

impl Calendar {
    /// Hours of the clock: each ends at the next full hour, or when the clock is set. An hour that the clock
    /// shows twice is two.
    pub fn hours(zone: impl Into<String>) -> Self {
        Self::of(Unit::Hours, zone)
    }

    /// Days: from midnight to midnight, 23 or 25 hours where the clock is set by one.
    pub fn days(zone: impl Into<String>) -> Self {
        Self::of(Unit::Days, zone)
    }

    /// Weeks, from Monday to Sunday as in ISO 8601.
    pub fn weeks(zone: impl Into<String>) -> Self {
        Self::of(Unit::Weeks, zone)
    }

    /// Months, each from its first day on.
    pub fn months(zone: impl Into<String>) -> Self {
        Self::of(Unit::Months, zone)
    }

    fn of(unit: Unit, zone: impl Into<String>) -> Self {
        let zone = zone.into();
        Calendar { unit, zone }
    }

    /// Days of 24 hours, of which nothing needs to be looked up.
    pub(crate) fn utc_days() -> (Calendar, Periods) {
        let (unit, zone) = (Unit::Days, TimeZone::UTC);
        (Calendar::days("UTC"), Periods { unit, zone })
    }

    /// The same, in the spelling of the database, with all that is known of the zone.
    pub(crate) fn resolve(self) -> Result<(Calendar, Periods), CalendarError> {
        let database = TimeZoneDatabase::bundled();
        let zone = database.get(&self.zone).ok();
        let found = zone.and_then(|zone| Some((zone.iana_name()?.to_owned(), zone)));
        let Some((name, zone)) = found else {
            return Err(CalendarError::Zone {
                meant: meant(&database, &self.zone),
                zone: self.zone,
            });
        };
        let unit = self.unit;
        Ok((Calendar { unit, zone: name }, Periods { unit, zone }))
    }
}

/// The zone of the same place, if a name has another continent or none.
fn meant(database: &TimeZoneDatabase, name: &str) -> Option<String> {
    let place = |name: &str| {
        let last = name.rsplit('/').next().unwrap_or_default();
        last.replace(' ', "_").to_lowercase()
    };
    let wanted = place(name);
    let mut known = database.available();
    let found = known.find(|known| place(known.as_str()) == wanted);
    found.map(|known| known.to_string())
}

/// A text that is no calendar, or a calendar of a zone that there is not.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CalendarError {
    /// There is no such unit.
    Unit {
        /// The whole text.
        text: String,
    },
    /// There is no such time zone.
    Zone {
        /// Its name, as it was given.
        zone: String,
        /// A zone that was perhaps meant.
        meant: Option<String>,
    },
}

impl CalendarError {
    /// What is to be done.
    pub(crate) fn hint(&self) -> String {
        match self {
            CalendarError::Unit { .. } => {
                "expected `hours`, `days`, `weeks` or `months` and a time zone, like `days Europe/Vienna`".to_owned()
            }
            CalendarError::Zone { meant: Some(meant), .. } => format!("did you mean `{meant}`?"),
            CalendarError::Zone { .. } => {
                "expected a name of the IANA database, like `Europe/Vienna`, or `UTC`".to_owned()
            }
        }
    }

    /// What is wrong.
    pub(crate) fn what(&self) -> String {
        match self {
            CalendarError::Unit { text } => format!("`{text}` is no calendar"),
            CalendarError::Zone { zone, .. } => format!("there is no time zone `{zone}`"),
        }
    }
}

impl fmt::Display for CalendarError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what(), self.hint())
    }
}

impl std::error::Error for CalendarError {}

impl fmt::Display for Calendar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.unit {
            Unit::Hours => "hours",
            Unit::Days => "days",
            Unit::Weeks => "weeks",
            Unit::Months => "months",
        };
        write!(f, "{unit} {}", self.zone)
    }
}

impl FromStr for Calendar {
    type Err = CalendarError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || CalendarError::Unit {
            text: text.to_owned(),
        };
        let (unit, zone) = text.trim().split_once(' ').ok_or_else(error)?;
        let unit = match unit {
            "hours" => Unit::Hours,
            "days" => Unit::Days,
            "weeks" => Unit::Weeks,
            "months" => Unit::Months,
            _ => return Err(error()),
        };
        let (calendar, _) = Calendar::of(unit, zone.trim()).resolve()?;
        Ok(calendar)
    }
}

impl From<Calendar> for String {
    fn from(calendar: Calendar) -> String {
        calendar.to_string()
    }
}

impl TryFrom<String> for Calendar {
    type Error = CalendarError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// The periods of a calendar, with all that is known of its zone.
#[derive(Clone, Debug)]
pub(crate) struct Periods {
    unit: Unit,
    zone: TimeZone,
}

const HOUR: i64 = 3_600_000_000;

impl Periods {
    /// The period that a moment lies in: when it begins, and when the next one does.
    pub(crate) fn around(&self, time: EventTime) -> (EventTime, EventTime) {
        let [first, last] =
            [Timestamp::MIN, Timestamp::MAX].map(|end| EventTime::secs(end.as_second()));
        if time < first {
            return (EventTime::MIN, first);
        }
        let timestamp = Timestamp::from_microsecond(time.as_micros());
        let Some(timestamp) = timestamp.ok().filter(|_| time < last) else {
            return (last, EventTime::MAX);
        };
        if self.unit == Unit::Hours {
            return self.hour(time, timestamp);
        }
        let date = self.zone.to_datetime(timestamp).date();
        let mut begun = self.first_day(date);
        let begin = |day: Option<Date>| day.and_then(|day| self.begin(day));
        let mut start = begin(begun).unwrap_or(first);
        loop {
            begun = begun.and_then(|day| self.next(day));
            let end = begin(begun).unwrap_or(last);
            // The clock may be set back to a date when it has shown the next one already.
            if time < end {
                return (start, end);
            }
            start = end;
        }
    }

    /// The first day of the period that a day lies in.
    fn first_day(&self, day: Date) -> Option<Date> {
        match self.unit {
            Unit::Hours | Unit::Days => Some(day),
            Unit::Weeks => {
                let since_monday = day.weekday().to_monday_zero_offset();
                day.checked_sub(i64::from(since_monday).days()).ok()
            }
            Unit::Months => Some(day.first_of_month()),
        }
    }

    /// The first day of the next period.
    fn next(&self, first: Date) -> Option<Date> {
        let length = match self.unit {
            Unit::Hours | Unit::Days => 1.day(),
            Unit::Weeks => 1.week(),
            Unit::Months => 1.month(),
        };
        first.checked_add(length).ok()
    }

    /// When the clock first shows a day, or a later one.
    fn begin(&self, day: Date) -> Option<EventTime> {
        let midnight = DateTime::from_parts(day, Time::midnight());
        let shown = self.zone.to_ambiguous_timestamp(midnight);
        let timestamp = match shown.offset() {
            // The clock is set past midnight.
            AmbiguousOffset::Gap { after, .. } => {
                let before = after.to_timestamp(midnight).ok()?;
                self.zone.following(before).next()?.timestamp()
            }
            _ => shown.compatible().ok()?,
        };
        Some(of_timestamp(timestamp))
    }

    fn hour(&self, time: EventTime, timestamp: Timestamp) -> (EventTime, EventTime) {
        let offset_at = |time: EventTime| {
            let timestamp = Timestamp::from_microsecond(time.as_micros()).ok()?;
            Some(self.zone.to_offset(timestamp))
        };
        let offset = self.zone.to_offset(timestamp);
        let shown = time.plus(i64::from(offset.seconds()) * 1_000_000);
        let start = time.minus(shown.as_micros().rem_euclid(HOUR));
        let end = start.plus(HOUR);
        // A transition at this very moment is the last one before the next moment.
        let next = timestamp.checked_add(1.nanosecond()).unwrap_or(timestamp);
        let set_before = || Some(of_timestamp(self.zone.preceding(next).next()?.timestamp()));
        let set_behind = || {
            Some(of_timestamp(
                self.zone.following(timestamp).next()?.timestamp(),
            ))
        };
        let is_set = |at| offset_at(at).is_some_and(|other| other != offset);
        let start = is_set(start).then(set_before).flatten().unwrap_or(start);
        let last = end.minus(1);
        let end = is_set(last).then(set_behind).flatten().unwrap_or(end);
        (start, end)
    }
}

fn of_timestamp(timestamp: Timestamp) -> EventTime {
    EventTime::micros(timestamp.as_microsecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> EventTime {
        text.parse().unwrap()
    }

    fn periods(text: &str) -> Periods {
        text.parse::<Calendar>().unwrap().resolve().unwrap().1
    }

    /// When the period around a moment begins and ends, as text.
    fn around(calendar: &str, time: &str) -> [String; 2] {
        let (start, end) = periods(calendar).around(at(time));
        [start.to_string(), end.to_string()]
    }

    #[test]
    fn days_are_23_or_25_hours_where_the_clock_is_set() {
        let day = |time| around("days Europe/Vienna", time);
        let winter = ["2026-01-31T23:00:00Z", "2026-02-01T23:00:00Z"];
        assert_eq!(day("2026-02-01T12:00:00Z"), winter);
        assert_eq!(day("2026-01-31T23:00:00Z"), winter);
        let spring = ["2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"];
        assert_eq!(day("2026-03-29T21:59:59.999999Z"), spring);
        let autumn = ["2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"];
        assert_eq!(day("2026-10-25T00:30:00Z"), autumn);
        assert_eq!(day("2026-10-25T01:30:00Z"), autumn);
    }

    #[test]
    fn weeks_begin_on_monday_and_months_on_their_first() {
        let week = around("weeks Europe/Vienna", "2026-11-26T08:00:00Z");
        assert_eq!(week, ["2026-11-22T23:00:00Z", "2026-11-29T23:00:00Z"]);
        let monday = around("weeks UTC", "1969-12-29T00:00:00Z");
        assert_eq!(monday, ["1969-12-29T00:00:00Z", "1970-01-05T00:00:00Z"]);
        let month = around("months America/New_York", "2024-03-01T04:59:59Z");
        assert_eq!(month, ["2024-02-01T05:00:00Z", "2024-03-01T05:00:00Z"]);
        let march = around("months America/New_York", "2024-03-31T12:00:00Z");
        assert_eq!(march, ["2024-03-01T05:00:00Z", "2024-04-01T04:00:00Z"]);
    }

    #[test]
    fn hours_are_those_of_the_clock() {
        let india = around("hours Asia/Kolkata", "2026-01-01T00:00:00Z");
        assert_eq!(india, ["2025-12-31T23:30:00Z", "2026-01-01T00:30:00Z"]);
        // Shown twice, so there are two.
        let first = around("hours Europe/Vienna", "2026-10-25T00:30:00Z");
        assert_eq!(first, ["2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z"]);
        let second = around("hours Europe/Vienna", "2026-10-25T01:30:00Z");
        assert_eq!(second, ["2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z"]);
        // Lord Howe sets its clock by half an hour: from 02:00 to 01:30, and from 02:00 to 02:30.
        let half = around("hours Australia/Lord_Howe", "2026-04-04T15:10:00Z");
        assert_eq!(half, ["2026-04-04T15:00:00Z", "2026-04-04T15:30:00Z"]);
        let half = around("hours Australia/Lord_Howe", "2026-10-03T15:40:00Z");
        assert_eq!(half, ["2026-10-03T15:30:00Z", "2026-10-03T16:00:00Z"]);
    }

    #[test]
    fn midnight_may_be_left_out_or_shown_twice_and_a_day_may_be_missing() {
        // The clock is set from 23:30 to 00:30.
        let toronto = around("days America/Toronto", "1919-03-31T12:00:00Z");
        assert_eq!(toronto, ["1919-03-31T04:30:00Z", "1919-04-01T04:00:00Z"]);
        let brazil = around("days America/Sao_Paulo", "2015-10-18T12:00:00Z");
        assert_eq!(brazil, ["2015-10-18T03:00:00Z", "2015-10-19T02:00:00Z"]);
        // From 00:01 back to 23:01: the new day had begun already, and goes on.
        let newfoundland = around("days America/St_Johns", "2010-11-07T02:45:00Z");
        assert_eq!(
            newfoundland,
            ["2010-11-07T02:30:00Z", "2010-11-08T03:30:00Z"]
        );
        // There was no 30 December.
        let samoa = around("days Pacific/Apia", "2011-12-30T09:59:59Z");
        assert_eq!(samoa, ["2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z"]);
        let after = around("days Pacific/Apia", "2011-12-30T10:00:00Z");
        assert_eq!(after, ["2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z"]);
    }

    /// Wherever a moment lies, its period holds it, is that of each moment in it, and the next one begins
    /// where it ends.
    #[test]
    fn periods_follow_one_another_without_a_gap() {
        let zones = [
            "UTC",
            "Europe/Vienna",
            "America/St_Johns",
            "America/Sao_Paulo",
            "America/Havana",
            "Pacific/Apia",
            "Australia/Lord_Howe",
            "Africa/Monrovia",
            "Asia/Kathmandu",
        ];
        let mut rng = fastrand::Rng::with_seed(1);
        for (zone, unit) in zones
            .iter()
            .flat_map(|zone| ["hours", "days", "weeks", "months"].map(|unit| (zone, unit)))
        {
            let periods = periods(&format!("{unit} {zone}"));
            for _ in 0..300 {
                let time = EventTime::secs(rng.i64(-3_000_000_000..3_000_000_000));
                let (start, end) = periods.around(time);
                assert!(start <= time && time < end, "{unit} {zone} {time}");
                assert_eq!(periods.around(start), (start, end), "{unit} {zone} {time}");
                assert_eq!(
                    periods.around(end.minus(1)),
                    (start, end),
                    "{unit} {zone} {time}"
                );
                assert_eq!(periods.around(end).0, end, "{unit} {zone} {time}");
            }
        }
    }

    #[test]
    fn what_lies_beyond_the_calendar_is_one_period_on_either_side() {
        for text in [
            "hours Europe/Vienna",
            "days UTC",
            "weeks Asia/Tokyo",
            "months UTC",
        ] {
            let periods = periods(text);
            let (start, first) = periods.around(EventTime::MIN);
            assert_eq!(start, EventTime::MIN);
            let (last, end) = periods.around(EventTime::MAX);
            assert_eq!(end, EventTime::MAX);
            for time in [first, first.plus(1), last.minus(1)] {
                let (start, end) = periods.around(time);
                assert!(start <= time && time < end, "{text} {time}: {start} {end}");
            }
            assert_eq!(periods.around(first.minus(1)), (EventTime::MIN, first));
            assert_eq!(periods.around(last), (last, end));
        }
    }

    #[test]
    fn a_unit_or_a_zone_that_there_is_not_is_told_with_what_to_write() {
        let error = |text: &str| text.parse::<Calendar>().unwrap_err().to_string();
        for text in ["fortnights Europe/Vienna", "", "weeks", "Europe/Vienna"] {
            let expected = "expected `hours`, `days`, `weeks` or `months` and a time zone, like `days Europe/Vienna`";
            assert_eq!(error(text), format!("`{text}` is no calendar: {expected}"));
        }
        let expected = "there is no time zone `Europa/Vienna`: did you mean `Europe/Vienna`?";
        assert_eq!(error("days Europa/Vienna"), expected);
        assert!(error("days new york").ends_with("did you mean `America/New_York`?"));
        for zone in ["Mars/Olympus", "+01:00", "Etc/Unknown", "localtime"] {
            let expected = "expected a name of the IANA database, like `Europe/Vienna`, or `UTC`";
            assert_eq!(
                error(&format!("weeks {zone}")),
                format!("there is no time zone `{zone}`: {expected}")
            );
        }
        assert_eq!(
            "days europe/VIENNA".parse(),
            Ok(Calendar::days("Europe/Vienna"))
        );
    }
}
