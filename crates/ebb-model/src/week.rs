//! Which hours of a week? In the catalog's time zone: `mon-fri 19:00-08:00, sat-sun 00:00-24:00` (rules §2.10, §2.13).

use crate::calendar::Calendar;
use crate::time::{Second, Timestamp};
use jiff::{ToSpan, civil};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Hours of every week: those in which a machine is lent, or in which drills are held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Week(Vec<Hours>);

/// The same hours on some days. Hours that end no later than they begin go on into the next day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hours {
    /// Monday is 0.
    first_day: u8,
    last_day: u8,
    /// Minutes of the day.
    from: u16,
    until: u16,
}

/// A text that is no week, and why not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{part}`: {why}; write it as mon-fri 19:00-08:00, sat-sun 00:00-24:00")]
pub struct NotAWeek {
    part: String,
    why: &'static str,
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const DAY_MINUTES: u16 = 24 * 60;
/// What holds for so many days on end holds for ever: a week repeats itself, but for the days on which clocks change.
const HORIZON_DAYS: i64 = 15;
const MOST_PARTS: usize = 50;

impl Week {
    pub fn holds(&self, now: Timestamp, calendar: &Calendar) -> bool {
        self.stretch(now.second(), calendar).is_some()
    }

    /// The end of the hours that `now` lies in; now where it lies in none, never if they have no end.
    pub fn next_end(&self, now: Timestamp, calendar: &Calendar) -> Option<Timestamp> {
        match self.stretch(now.second(), calendar) {
            None => Some(now),
            Some((_, end)) if end >= self.horizon(now.second(), calendar) => None,
            Some((_, end)) => Some(end.start()),
        }
    }

    /// The first beginning of hours after `now`.
    pub fn next_beginning(&self, now: Timestamp, calendar: &Calendar) -> Option<Timestamp> {
        let stretches = self.stretches(now.second(), calendar);
        stretches.into_iter().map(|(begin, _)| begin.start()).find(|begin| *begin > now)
    }

    /// The hours without a break that `at` lies in.
    fn stretch(&self, at: Second, calendar: &Calendar) -> Option<(Second, Second)> {
        self.stretches(at, calendar).into_iter().find(|(begin, end)| (*begin..*end).contains(&at))
    }

    /// All hours from the day before `at` to the horizon, in order; those that touch are one.
    fn stretches(&self, at: Second, calendar: &Calendar) -> Vec<(Second, Second)> {
        let today = calendar.date(at);
        let mut all: Vec<(Second, Second)> = (-1..HORIZON_DAYS)
            .filter_map(|ahead| today.checked_add(ahead.days()).ok())
            .flat_map(|day| self.0.iter().filter_map(move |hours| hours.on(day, calendar)))
            .collect();
        all.sort();
        let mut joined: Vec<(Second, Second)> = vec![];
        for (begin, end) in all {
            match joined.last_mut() {
                Some((_, last)) if begin <= *last => *last = end.max(*last),
                _ => joined.push((begin, end)),
            }
        }
        joined
    }

    fn horizon(&self, at: Second, calendar: &Calendar) -> Second {
        let last = calendar.date(at).checked_add((HORIZON_DAYS - 2).days());
        last.ok().and_then(|day| calendar.at(day.at(0, 0, 0, 0))).unwrap_or(at)
    }
}

impl Hours {
    /// From when to when on this day, if it is one of its days. A time that clocks leap over is as much later, one that they show
    /// twice is the first.
    fn on(&self, day: civil::Date, calendar: &Calendar) -> Option<(Second, Second)> {
        let weekday = day.weekday().to_monday_zero_offset() as u8;
        let named = match self.first_day <= self.last_day {
            true => (self.first_day..=self.last_day).contains(&weekday),
            false => weekday >= self.first_day || weekday <= self.last_day,
        };
        let next_day = if self.until <= self.from { 1 } else { 0 };
        let instant = |ahead: i64, minutes: u16| {
            let day = day.checked_add((ahead + i64::from(minutes / DAY_MINUTES)).days()).ok()?;
            let minutes = minutes % DAY_MINUTES;
            calendar.at(day.at((minutes / 60) as i8, (minutes % 60) as i8, 0, 0))
        };
        let (begin, end) = (instant(0, self.from)?, instant(next_day, self.until)?);
        (named && begin < end).then_some((begin, end))
    }
}

impl std::str::FromStr for Week {
    type Err = NotAWeek;

    fn from_str(text: &str) -> Result<Self, NotAWeek> {
        let parts: Vec<&str> = text.split(',').collect();
        if parts.len() > MOST_PARTS {
            return Err(NotAWeek { part: text.chars().take(40).collect(), why: "it has more than 50 parts" });
        }
        parts.into_iter().map(hours).collect::<Result<_, _>>().map(Self)
    }
}

fn hours(part: &str) -> Result<Hours, NotAWeek> {
    let wrong = |why| NotAWeek { part: part.trim().chars().take(40).collect(), why };
    let (days, times) =
        part.trim().split_once(char::is_whitespace).ok_or_else(|| wrong("days and hours are wanted"))?;
    let day = |name: &str| {
        let at = DAYS.iter().position(|day| name.trim().eq_ignore_ascii_case(day));
        at.map(|at| at as u8).ok_or_else(|| wrong("days are mon, tue, wed, thu, fri, sat, sun"))
    };
    let (first, last) = days.split_once('-').unwrap_or((days, days));
    let (from, until) = times.trim().split_once('-').ok_or_else(|| wrong("hours have a beginning and an end"))?;
    let (from, until) = (minutes(from), minutes(until));
    let (Some(from), Some(until)) = (from, until) else { return Err(wrong("hours are 00:00 to 24:00")) };
    if from == until {
        return Err(wrong("hours that end as they begin are none; a whole day is 00:00-24:00"));
    }
    if from == DAY_MINUTES {
        return Err(wrong("no hours begin at 24:00"));
    }
    Ok(Hours { first_day: day(first)?, last_day: day(last)?, from, until })
}

/// `19:00`.
fn minutes(text: &str) -> Option<u16> {
    let (hour, minute) = text.trim().split_once(':')?;
    let digits = |text: &str| {
        let plain = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| text.parse::<u16>().ok()).flatten()
    };
    let (hour, minute) = (digits(hour)?, digits(minute)?);
    (minute < 60).then_some(hour * 60 + minute).filter(|at| *at <= DAY_MINUTES)
}

impl fmt::Display for Week {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, hours) in self.0.iter().enumerate() {
            let (first, last) = (DAYS[usize::from(hours.first_day)], DAYS[usize::from(hours.last_day)]);
            let comma = if at == 0 { "" } else { ", " };
            match hours.first_day == hours.last_day {
                true => write!(f, "{comma}{first}")?,
                false => write!(f, "{comma}{first}-{last}")?,
            }
            let (from, until) = (hours.from, hours.until);
            write!(f, " {:02}:{:02}-{:02}:{:02}", from / 60, from % 60, until / 60, until % 60)?;
        }
        Ok(())
    }
}

impl TryFrom<String> for Week {
    type Error = NotAWeek;
    fn try_from(text: String) -> Result<Self, NotAWeek> {
        text.parse()
    }
}

impl From<Week> for String {
    fn from(week: Week) -> String {
        week.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OFFICE: &str = "mon-fri 19:00-08:00, sat-sun 00:00-24:00";

    /// What a week says at a local time: whether it is lent, when it returns, when it opens next.
    fn says(week: &str, zone: &str, local: &str) -> (bool, String, String) {
        let (week, calendar): (Week, _) = (week.parse().unwrap(), Calendar::new(zone).unwrap());
        let now = calendar.at(local.parse().unwrap()).unwrap().start();
        let show =
            |at: Option<Timestamp>| at.map_or("never".to_owned(), |at| calendar.local(at.second())[..16].to_owned());
        let (back, opens) = (week.next_end(now, &calendar), week.next_beginning(now, &calendar));
        (week.holds(now, &calendar), show(back), show(opens))
    }

    #[test]
    fn a_week_is_lent_at_night_and_on_the_weekend() {
        // 2026-03-02 is a Monday.
        for (now, lent, back, opens) in [
            ("2026-03-02T07:59", false, "2026-03-02 07:59", "2026-03-02 19:00"),
            ("2026-03-02T19:00", true, "2026-03-03 08:00", "2026-03-03 19:00"),
            ("2026-03-03T07:59", true, "2026-03-03 08:00", "2026-03-03 19:00"),
            ("2026-03-03T08:00", false, "2026-03-03 08:00", "2026-03-03 19:00"),
            // From Friday evening the whole weekend; Sunday ends at midnight, since Monday's night begins on Monday.
            ("2026-03-06T20:00", true, "2026-03-09 00:00", "2026-03-09 19:00"),
            ("2026-03-07T12:00", true, "2026-03-09 00:00", "2026-03-09 19:00"),
            ("2026-03-09T00:00", false, "2026-03-09 00:00", "2026-03-09 19:00"),
        ] {
            assert_eq!(says(OFFICE, "Asia/Shanghai", now), (lent, back.to_owned(), opens.to_owned()), "{now}");
        }
    }

    #[test]
    fn hours_that_touch_are_one_and_days_may_wrap() {
        assert_eq!(says("mon-sun 00:00-24:00", "Asia/Shanghai", "2026-03-04T12:00").1, "never");
        assert_eq!(says("mon-sun 08:00-20:00, mon-sun 20:00-08:00", "Asia/Shanghai", "2026-03-04T12:00").1, "never");
        assert_eq!(says("sat-mon 00:00-24:00", "Asia/Shanghai", "2026-03-08T12:00").1, "2026-03-10 00:00");
        assert_eq!(says("wed 10:00-11:00", "Asia/Shanghai", "2026-03-04T11:00").2, "2026-03-11 10:00");
    }

    #[test]
    fn a_day_on_which_clocks_change_is_as_long_as_it_is() {
        // 2026-03-29 in Berlin: 02:00 is 03:00. 2026-10-25: 03:00 is 02:00 once more.
        let night = "sat-sun 22:00-06:00";
        assert_eq!(says(night, "Europe/Berlin", "2026-03-28T23:00").1, "2026-03-29 06:00");
        let length = |from: &str| {
            let (week, calendar): (Week, _) = (night.parse().unwrap(), Calendar::new("Europe/Berlin").unwrap());
            let from = calendar.at(from.parse().unwrap()).unwrap().start();
            week.next_end(from, &calendar).unwrap().millis_since(from) / 3_600_000
        };
        assert_eq!((length("2026-03-28T22:00"), length("2026-10-24T22:00"), length("2026-11-07T22:00")), (7, 9, 8));
        // Hours that begin where there are none begin as much later; a gap that clocks leap over is none.
        assert_eq!(says("sun 02:30-05:00", "Europe/Berlin", "2026-03-28T12:00").2, "2026-03-29 03:30");
        let gap = "mon-sat 00:00-24:00, sun 00:00-02:00, sun 03:00-24:00";
        assert_eq!(says(gap, "Europe/Berlin", "2026-03-27T12:00").1, "2026-04-05 02:00");
    }

    #[test]
    fn what_is_no_week_is_refused_with_the_way_to_write_it() {
        for wrong in [
            "",
            "mon",
            "mon 8:00-9:00",
            "monday 08:00-09:00",
            "mon 08:00",
            "mon 08:00-08:00",
            "mon 24:00-08:00",
            "mon 08:00-24:01",
            "mon-fri 19:00-08:00,",
            "mon 08:61-09:00",
        ] {
            let said = wrong.parse::<Week>().unwrap_err().to_string();
            assert!(said.contains("write it as mon-fri 19:00-08:00"), "{said}");
        }
        assert_eq!(
            "Mon-Fri  19:00-08:00 ,sun 00:00-24:00".parse::<Week>().unwrap().to_string(),
            "mon-fri 19:00-08:00, sun 00:00-24:00"
        );
    }

    fn any_week() -> impl Strategy<Value = Week> {
        let hours = (0..7_u8, 0..7_u8, 0..DAY_MINUTES, 0..=DAY_MINUTES)
            .prop_map(|(first_day, last_day, from, until)| Hours { first_day, last_day, from, until })
            .prop_filter("some hours", |hours| hours.from != hours.until);
        proptest::collection::vec(hours, 1..4).prop_map(Week)
    }

    proptest! {
        #[test]
        fn a_week_reads_back(week in any_week()) {
            prop_assert_eq!(week.to_string().parse::<Week>(), Ok(week));
        }

        /// It is lent from now to the return in every minute, and not at the return; then until it opens it is not.
        #[test]
        fn it_is_lent_up_to_the_return_and_again_from_the_opening(
            week in any_week(), at in 1_767_225_600..1_798_761_600_i64, part in 0..1000_i64,
            zone in prop::sample::select(vec!["Asia/Shanghai", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
        ) {
            let calendar = Calendar::new(zone).unwrap();
            let now = Second::from_unix(at).start();
            let between = |from: Timestamp, to: Timestamp| from.plus_seconds(to.millis_since(from) / 1000 * part / 1000);
            match week.next_end(now, &calendar) {
                None => prop_assert!(week.holds(now.plus_seconds(part * 1_000), &calendar)),
                Some(back) if back > now => {
                    prop_assert!(week.holds(between(now, back), &calendar));
                    prop_assert!(!week.holds(back, &calendar));
                }
                Some(_) => {
                    prop_assert!(!week.holds(now, &calendar));
                    if let Some(opens) = week.next_beginning(now, &calendar) {
                        prop_assert!(!week.holds(between(now, opens).min(opens.plus_seconds(-1)), &calendar));
                        prop_assert!(week.holds(opens, &calendar));
                    }
                }
            }
        }
    }
}
