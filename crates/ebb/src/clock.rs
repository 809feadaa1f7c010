//! `ebb clock`: what time is it, and how does a sandbox move it on, or an operator accept it after a leap?

use crate::events;
use crate::failure::Failure;
use crate::session::Session;
use crate::table::{facts, instant};
use ebb_wire::sandbox::{Advance, Advanced, Clock};

#[derive(Debug, clap::Subcommand)]
pub enum ClockCommand {
    /// Show the time, in a sandbox also its speed
    #[command(after_help = "Example:\n  ebb clock show")]
    Show,
    /// Say that a wall clock is right which leapt ahead; what is due waits for that
    #[command(after_help = "Example:\n  ebb clock accept --as operator")]
    Accept,
    /// Move the sandbox's clock on, and say what happened on the way
    #[command(after_help = "Example:\n  ebb clock advance 1h30m")]
    Advance {
        /// By so much: 90, 90s, 5m, 3h, 1d, 1h30m
        #[arg(required_unless_present = "to", value_parser = seconds)]
        by: Option<i64>,
        /// To this instant
        #[arg(long, value_name = "INSTANT", conflicts_with = "by")]
        to: Option<String>,
    },
}

pub async fn clock(session: &Session, command: &ClockCommand) -> Result<(), Failure> {
    match command {
        ClockCommand::Show => {
            let clock: Clock = session.client.get("/v1/clock", &[]).await?;
            session.show(&clock, table)
        }
        ClockCommand::Accept => {
            let clock: Clock = session.client.ask("/v1/clock/accept").await?;
            session.show(&clock, table)
        }
        ClockCommand::Advance { by, to } => {
            let body = Advance { seconds: *by, to: to.clone() };
            let advanced: Advanced = session.client.post("/v1/clock/advance", &body).await?;
            session.show(&advanced, |advanced| {
                let more = if advanced.truncated { "More happened; `ebb events` has it all.\n" } else { "" };
                let events = events::table(&advanced.events, "Nothing happened.");
                format!("{events}{more}It is {}.\n", instant(&advanced.now))
            })
        }
    }
}

fn table(clock: &Clock) -> String {
    let speed = match clock.speed {
        0 => "stands still; `ebb clock advance` moves it".to_owned(),
        1 => "as the wall clock".to_owned(),
        n => format!("{n} times the wall clock"),
    };
    let mut known = vec![("now", instant(&clock.now)), ("speed", speed)];
    if let Some(leap) = &clock.leap {
        let (wall, seconds) = (instant(&leap.wall), leap.seconds);
        let says = format!(
            "{wall}, {seconds} s ahead, and not believed; what is due waits for `ebb clock accept --as operator`"
        );
        known.push(("wall clock", says));
    }
    facts(&known)
}

/// Reads `90`, `5m` or `1h30m`.
pub fn seconds(text: &str) -> Result<i64, String> {
    let wrong = || format!("`{text}` is no length of time; write 90, 90s, 5m, 3h, 1d or 1h30m");
    let (mut total, mut number) = (0_i64, String::new());
    for c in text.chars() {
        if c.is_ascii_digit() {
            number.push(c);
            continue;
        }
        let unit = match c {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            _ => return Err(wrong()),
        };
        let part = number.parse::<i64>().ok().and_then(|n| n.checked_mul(unit)).ok_or_else(wrong)?;
        total = total.checked_add(part).ok_or_else(wrong)?;
        number.clear();
    }
    match (number.is_empty(), text.is_empty()) {
        (true, false) => Ok(total),
        // A bare number is seconds; after a unit it would be anybody's guess.
        (false, _) if number.len() == text.len() => text.parse().map_err(|_| wrong()),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn lengths_of_time_are_read() {
        let read = ["90", "90s", "5m", "1h30m", "1d"].map(|text| seconds(text).unwrap());
        assert_eq!(read, [90, 90, 300, 5_400, 86_400]);
        for bad in ["", "h", "1h30", "-5", "1.5h", "99999999999999999999", "9999999999999999d"] {
            assert!(seconds(bad).is_err(), "{bad} was taken");
        }
    }
}
