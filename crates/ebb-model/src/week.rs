//! Which hours of the week? Windows such as `mon-fri 10:00-16:00`, in the catalog's time zone.

use crate::calendar::Calendar;
use crate::time::Second;
use jiff::{ToSpan, civil};
use serde::{Deserialize, Serialize};
use std::fmt;

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const DAY_MINUTES: i16 = 1_440;

/// The same stretch of some days of every week. One that ends before it begins goes on over midnight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Window {
    /// From Monday on.
    days: [bool; 7],
    /// Minutes of the day.
    from: i16,
    until: i16,
    text: String,
}

/// A text that is no window.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no window of the week: write it as `mon-fri 10:00-16:00`, `sat,sun 08:00-24:00` or `22:00-06:00`")]
pub struct NotAWindow(String);

impl Window {
    pub fn holds(&self, calendar: &Calendar, second: Second) -> bool {
        let local = calendar.local_time(second);
        let minute = i16::from(local.hour()) * 60 + i16::from(local.minute());
        let today = weekday(local.date());
        if self.from < self.until {
            return self.days[today] && (self.from..self.until).contains(&minute);
        }
        (self.days[today] && minute >= self.from) || (self.days[(today + 6) % 7] && minute < self.until)
    }

    /// `second` itself where the window holds it, else the window's next beginning.
    pub fn next(&self, calendar: &Calendar, second: Second) -> Second {
        if self.holds(calendar, second) {
            return second;
        }
        let today = calendar.local_time(second).date();
        let begins = |ahead: i64| {
            let day = today.checked_add(ahead.days()).expect("a date within the calendar's range");
            let (hour, minute) = ((self.from / 60) as i8, (self.from % 60) as i8);
            let at = calendar.at(day.at(hour, minute, 0, 0));
            at.filter(|at| self.days[weekday(day)] && *at > second)
        };
        (0..=8).find_map(begins).expect("a window has a day in every week")
    }
}

fn weekday(date: civil::Date) -> usize {
    usize::try_from(date.weekday().to_monday_zero_offset()).expect("0 to 6")
}

impl std::str::FromStr for Window {
    type Err = NotAWindow;

    fn from_str(text: &str) -> Result<Self, NotAWindow> {
        let plain = text.trim().to_ascii_lowercase().replace('\u{2013}', "-");
        let (days, hours) = plain.rsplit_once(' ').unwrap_or(("mon-sun", &plain));
        let read = || {
            let (from, until) = hours.split_once('-')?;
            let (from, until) = (minutes(from)?, minutes(until)?);
            Some((days_of(days)?, from, until)).filter(|_| from != until && from < DAY_MINUTES)
        };
        let (days, from, until) = read().ok_or_else(|| NotAWindow(text.chars().take(60).collect()))?;
        Ok(Window { days, from, until, text: plain })
    }
}

/// `mon`, `mon-fri`, `sat,sun`, `fri-mon`.
fn days_of(text: &str) -> Option<[bool; 7]> {
    let mut days = [false; 7];
    let named = |name: &str| DAYS.iter().position(|day| *day == name.trim());
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (named(first)?, named(last)?);
        (0..=(last + 7 - first) % 7).for_each(|ahead| days[(first + ahead) % 7] = true);
    }
    Some(days)
}

/// `HH:MM`, up to 24:00.
fn minutes(text: &str) -> Option<i16> {
    let (hour, minute) = text.split_once(':')?;
    let two = |digits: &str| {
        let digits = Some(digits).filter(|d| d.len() == 2 && d.bytes().all(|b| b.is_ascii_digit()))?;
        digits.parse::<i16>().ok()
    };
    let (hour, minute) = (two(hour)?, two(minute)?);
    Some(hour * 60 + minute).filter(|total| minute < 60 && *total <= DAY_MINUTES)
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl TryFrom<String> for Window {
    type Error = NotAWindow;
    fn try_from(text: String) -> Result<Self, NotAWindow> {
        text.parse()
    }
}

impl From<Window> for String {
    fn from(window: Window) -> String {
        window.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(zone: &str, window: &str, from: &str) -> String {
        let calendar = Calendar::new(zone).unwrap();
        let window: Window = window.parse().unwrap();
        let at = window.next(&calendar, calendar.at(from.parse().unwrap()).unwrap());
        assert!(window.holds(&calendar, at));
        calendar.local(at)
    }

    #[test]
    fn a_window_holds_its_hours_and_no_others() {
        // The 6th is a Friday.
        let work = |from| next("Asia/Shanghai", "mon-fri 10:00-16:00", from);
        assert_eq!(work("2026-03-06T15:59:59"), "2026-03-06 15:59:59");
        assert_eq!(work("2026-03-06T16:00:00"), "2026-03-09 10:00:00");
        assert_eq!(work("2026-03-06T09:59:59"), "2026-03-06 10:00:00");
        let night = |from| next("Asia/Shanghai", "fri 22:00-06:00", from);
        assert_eq!(night("2026-03-07T05:59:00"), "2026-03-07 05:59:00");
        assert_eq!(night("2026-03-07T06:00:00"), "2026-03-13 22:00:00");
        assert_eq!(next("Asia/Shanghai", "sat,sun 08:00-24:00", "2026-03-06T12:00:00"), "2026-03-07 08:00:00");
        assert_eq!(next("Asia/Shanghai", "10:00\u{2013}11:00", "2026-03-06T12:00:00"), "2026-03-07 10:00:00");
    }

    #[test]
    fn clocks_that_are_changed_do_not_lose_a_window() {
        // 02:30 does not exist on the 29th.
        assert_eq!(next("Europe/Berlin", "sun 02:30-05:00", "2026-03-28T12:00:00"), "2026-03-29 03:30:00");
        assert_eq!(next("Europe/Berlin", "mon 00:00-01:00", "2026-10-25T12:00:00"), "2026-10-26 00:00:00");
    }

    #[test]
    fn what_is_no_window_is_refused() {
        for bad in [
            "",
            "mon",
            "mon-fri",
            "mon 10-16",
            "mon 10:00-10:00",
            "nox 10:00-16:00",
            "mon 24:00-02:00",
            "mon 9:00-10:00",
        ] {
            assert!(bad.parse::<Window>().is_err(), "{bad} was taken");
        }
    }
}
