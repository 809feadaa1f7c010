//! How are a trial and what becomes of it told on a terminal?

use crate::table::{Table, facts, instant, optional_instant, plain};
use crate::which::short;
use ebb_wire::trial::{FlavorLasts, TrialProgress};

pub fn progress_text(progress: &TrialProgress) -> String {
    let grant = &progress.grant;
    let gone = if is_zero(&progress.expired) { String::new() } else { format!("{}, at the end", progress.expired) };
    let taken = if is_zero(&grant.revoked) { String::new() } else { grant.revoked.clone() };
    let head = facts(&[
        ("holder", grant.holder.clone()),
        ("time left", format!("{}, until {}", duration(progress.seconds_left), instant(&grant.valid_until))),
        ("instances and disks", format!("{} left of {}", grant.left, grant.issued)),
        ("used by closed hours", grant.settled.clone()),
        ("used by this hour", grant.accruing.clone()),
        ("used together", progress.used.clone()),
        ("taken by the operator", taken),
        ("expired", gone),
        ("most per clock hour", grant.hourly_cap.clone()),
        ("claimed", instant(&grant.claimed_at)),
        ("first charged", optional_instant(progress.first_charged_at.as_ref())),
        ("first covered", optional_instant(progress.first_covered_at.as_ref())),
        ("as of", instant(&progress.as_of)),
    ]);
    let mut text = format!("{head}\n{}", running_text(progress));
    text += &format!("\n{}\n", end_text(progress));
    if !progress.advice.is_empty() {
        text += &format!("\nTo make it last until {}:\n", instant(&grant.valid_until));
        for one in &progress.advice {
            let name = plain(&one.name);
            let how = match (one.change.as_str(), &one.flavor) {
                ("resize", Some(flavor)) => format!("ebb instances resize {} {flavor}", short(&one.instance)),
                ("stop", _) => format!("ebb stop --economical {}", short(&one.instance)),
                _ => format!("ebb trial release {}", short(&one.instance)),
            };
            text += &format!("  {how}   # {name}, {} an hour less\n", one.saves);
        }
    }
    if !progress.flavors.is_empty() {
        text += &format!("\nAlone, what is left lasts:\n\n{}", flavors_text(&progress.flavors));
    }
    text
}

fn running_text(progress: &TrialProgress) -> String {
    let mut table = Table::new(&["ID", "NAME", "STATE", "OPTION", "FLAVOR", "AN HOUR>", "GRANT PAYS"]);
    for one in &progress.running {
        table.row([
            short(&one.instance),
            one.name.clone(),
            one.state.clone(),
            one.option.clone(),
            one.flavor.clone(),
            one.price.clone(),
            if one.covered { "yes" } else { "no" }.to_owned(),
        ]);
    }
    let hour = &progress.hour;
    let sum = format!(
        "An hour costs {} now: covered {}, above the cap {}, not covered {}.\n",
        hour.price, hour.covered, hour.above_cap, hour.not_covered
    );
    table.text("Nothing runs.") + &sum
}

/// One sentence: to when it pays, and what then.
pub fn end_text(progress: &TrialProgress) -> String {
    let then = match progress.at_end.as_str() {
        "release" => "are released",
        "stop" => "are stopped, and their disks go on, on demand",
        _ => "go on, on demand",
    };
    match (&progress.ended_at, &progress.used_up_at) {
        (Some(at), _) => {
            let why = match progress.ended_by.as_deref() {
                Some("used-up") => "the grant was used up",
                Some("revoked") => "the operator took what was left of its grant (`ebb events` has the reason)",
                _ => "its validity was over",
            };
            format!("The trial ended at {}: {why}.", instant(at))
        }
        (None, Some(at)) => format!("As it goes on the grant pays until {}; then trial instances {then}.", instant(at)),
        (None, None) => format!(
            "As it goes on the grant lasts until the end of its validity, {}; then trial instances {then}.",
            instant(&progress.grant.valid_until)
        ),
    }
}

fn flavors_text(flavors: &[FlavorLasts]) -> String {
    let mut table = Table::new(&["FLAVOR", "AN HOUR>", "LASTS>", ""]);
    for one in flavors {
        let end = if one.to_the_end { "to the end" } else { "" };
        table.row([one.flavor.clone(), one.price.clone(), duration(one.seconds), end.to_owned()]);
    }
    table.text("")
}

/// `15 d 00:08:38`.
fn duration(seconds: i64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    format!("{days} d {:02}:{:02}:{:02}", rest / 3_600, rest / 60 % 60, rest % 60)
}

fn is_zero(amount: &str) -> bool {
    amount.bytes().all(|b| matches!(b, b'0' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn durations_are_days_and_a_clock() {
        assert_eq!(duration(1_296_518), "15 d 00:08:38");
        assert_eq!(duration(0), "0 d 00:00:00");
    }
}
