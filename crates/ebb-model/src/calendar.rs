//! Where does an hour, a day, a month end? Clock hours and the catalog's time zone (rules §1.4).

use crate::time::{HOUR, Second};
use jiff::{ToSpan, civil, tz::TimeZone};
use serde::{Deserialize, Serialize};

/// The time zone of a catalog. The rules of all zones are built in, so every machine cuts alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Calendar(TimeZone);

/// A name that is no time zone of the IANA database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a time zone: use a name of the IANA database, such as Asia/Shanghai")]
pub struct UnknownTimeZone(String);

impl Calendar {
    pub fn new(zone: &str) -> Result<Self, UnknownTimeZone> {
        let bundled = jiff::tz::TimeZoneDatabase::bundled();
        bundled.get(zone).map(Self).map_err(|_| UnknownTimeZone(zone.to_owned()))
    }

    /// The first cut after `second`: the next clock hour, or local midnight where that comes sooner.
    pub fn next_cut(&self, second: Second) -> Second {
        let hour = second.next_hour();
        let (here, there) = (self.offset_seconds(second), self.offset_seconds(hour));
        // Where clocks differ from UTC by whole hours no midnight comes sooner, and most are asked about no midnight.
        if here == there && here % HOUR == 0 { hour } else { hour.min(self.next_midnight(second)) }
    }

    fn offset_seconds(&self, second: Second) -> i64 {
        let instant = jiff::Timestamp::from_second(second.unix()).expect("a second within the calendar's range");
        self.0.to_offset(instant).seconds().into()
    }

    /// The same clock time `months` later, the day clamped to the month's end (rules §3.1).
    pub fn plus_months(&self, second: Second, months: i64) -> Second {
        let local = zoned(second, &self.0);
        let later = local.checked_add(months.months()).expect("a date within the calendar's range");
        Second::from_unix(later.timestamp().as_second())
    }

    /// The local date and time of day, for people: `2026-03-01 08:58:30`.
    pub fn local(&self, second: Second) -> String {
        zoned(second, &self.0).strftime("%Y-%m-%d %H:%M:%S").to_string()
    }

    /// The local date.
    pub fn date(&self, second: Second) -> civil::Date {
        zoned(second, &self.0).date()
    }

    /// The instant of a local date and time of day.
    pub fn at(&self, date_time: civil::DateTime) -> Option<Second> {
        let zoned = date_time.to_zoned(self.0.clone()).ok()?;
        Some(Second::from_unix(zoned.timestamp().as_second()))
    }

    /// The local date and time of day, to compute with.
    pub(crate) fn local_time(&self, second: Second) -> civil::DateTime {
        zoned(second, &self.0).datetime()
    }

    /// The first second of the local day that holds this one.
    pub fn day(&self, second: Second) -> Second {
        self.first_second(self.local_time(second).date())
    }

    /// The first second of the local month that holds this one.
    pub fn month(&self, second: Second) -> Second {
        self.first_second(self.local_time(second).date().first_of_month())
    }

    /// The first second of the local day after that of `second`.
    fn next_midnight(&self, second: Second) -> Second {
        self.first_second(zoned(second, &self.0).date().checked_add(1.days()).expect("a date within range"))
    }

    fn first_second(&self, day: civil::Date) -> Second {
        // Where clocks jump over midnight the day begins at the first instant it has.
        let start = day.to_zoned(self.0.clone()).expect("a local day has a first instant");
        Second::from_unix(start.timestamp().as_second())
    }
}

fn zoned(second: Second, zone: &TimeZone) -> jiff::Zoned {
    jiff::Timestamp::from_second(second.unix()).expect("a second within the calendar's range").to_zoned(zone.clone())
}

impl TryFrom<String> for Calendar {
    type Error = UnknownTimeZone;
    fn try_from(name: String) -> Result<Self, UnknownTimeZone> {
        Self::new(&name)
    }
}

impl From<Calendar> for String {
    fn from(calendar: Calendar) -> String {
        calendar.0.iana_name().unwrap_or("UTC").to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cuts(zone: &str, from: &str, until: &str) -> usize {
        let calendar = Calendar::new(zone).unwrap();
        let second = |text: &str| calendar.at(text.parse().unwrap()).unwrap();
        let (mut at, until, mut count) = (second(from), second(until), 0);
        while at < until {
            at = calendar.next_cut(at);
            count += 1;
        }
        count
    }

    #[test]
    fn a_local_day_has_the_hours_its_clock_has() {
        assert_eq!(cuts("Asia/Shanghai", "2026-03-01T00:00", "2026-03-02T00:00"), 24);
        assert_eq!(cuts("Europe/Berlin", "2026-10-25T00:00", "2026-10-26T00:00"), 25);
        assert_eq!(cuts("Europe/Berlin", "2026-03-29T00:00", "2026-03-30T00:00"), 23);
        // Midnight at UTC+05:30 is no clock hour, so it cuts one of the 24 in two.
        assert_eq!(cuts("Asia/Kolkata", "2026-03-01T00:00", "2026-03-02T00:00"), 25);
    }

    #[test]
    fn days_and_months_begin_at_local_midnight() {
        let calendar = Calendar::new("Asia/Shanghai").unwrap();
        let second = |text: &str| calendar.at(text.parse().unwrap()).unwrap();
        assert_eq!(calendar.day(second("2026-03-01T07:59")), second("2026-03-01T00:00"));
        assert_eq!(calendar.month(second("2026-03-31T23:59:59")), second("2026-03-01T00:00"));
        assert_eq!(calendar.month(second("2026-04-01T00:00")), second("2026-04-01T00:00"));
    }

    #[test]
    fn months_are_clamped_to_their_end() {
        let calendar = Calendar::new("Asia/Shanghai").unwrap();
        let second = |text: &str| calendar.at(text.parse().unwrap()).unwrap();
        assert_eq!(calendar.plus_months(second("2025-11-30T12:00"), 3), second("2026-02-28T12:00"));
        assert_eq!(calendar.plus_months(second("2026-02-28T12:00"), 3), second("2026-05-28T12:00"));
        // Counted from the first day, so the 31st comes back.
        let ends =
            [1, 2, 3, 13].map(|months| calendar.local(calendar.plus_months(second("2027-01-31T10:20:30"), months)));
        let wanted = ["2027-02-28 10:20:30", "2027-03-31 10:20:30", "2027-04-30 10:20:30", "2028-02-29 10:20:30"];
        assert_eq!(ends, wanted);
    }

    #[test]
    fn a_month_ends_at_the_same_time_of_the_clock_or_where_that_leaps_over_it_right_after() {
        let calendar = Calendar::new("Europe/Berlin").unwrap();
        let second = |text: &str| calendar.at(text.parse().unwrap()).unwrap();
        let local = |second| calendar.local(second);
        assert_eq!(local(calendar.plus_months(second("2026-03-10T08:00"), 1)), "2026-04-10 08:00:00");
        // From 02:00 on it is 03:00 that night; and the hour from 02:00 comes twice in October, the first one counts.
        assert_eq!(local(calendar.plus_months(second("2026-02-28T02:30"), 1)), "2026-03-28 02:30:00");
        assert_eq!(local(calendar.plus_months(second("2026-01-29T02:30"), 2)), "2026-03-29 03:30:00");
        let twice = calendar.plus_months(second("2026-09-25T02:30"), 1);
        assert_eq!((local(twice).as_str(), local(twice.plus(3_600))), ("2026-10-25 02:30:00", local(twice)));
    }

    proptest! {
        /// The days of a month are as many as its calendar has; the clock time stays, but where it does not exist.
        #[test]
        fn months_keep_the_time_of_day_and_never_leave_their_month(
            zone in prop::sample::select(&["Asia/Shanghai", "Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe"][..]),
            seconds in 1_577_836_800..1_893_456_000_i64, months in 1..=60_i64,
        ) {
            let (calendar, from) = (Calendar::new(zone).unwrap(), Second::from_unix(seconds));
            let until = calendar.plus_months(from, months);
            let (was, is) = (calendar.local_time(from), calendar.local_time(until));
            let counted = |at: civil::DateTime| i64::from(at.year()) * 12 + i64::from(at.month());
            prop_assert_eq!(counted(is) - counted(was), months);
            prop_assert_eq!(is.day(), was.day().min(is.date().last_of_month().day()));
            let leaps = calendar.at(is.date().to_datetime(was.time())) != Some(until)
                || calendar.local_time(until).time() != was.time();
            prop_assert!(!leaps || is.time() > was.time(), "{} to {}", was, is);
            // No month is shorter than 28 days, but for the hour of a clock that is put forward.
            let before = calendar.plus_months(from, months - 1);
            prop_assert!(until.unix() - before.unix() >= 28 * 86_400 - 3_600, "{} to {}", was, is);
        }
    }
}
