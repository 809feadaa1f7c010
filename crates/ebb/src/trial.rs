//! `ebb trial`: what is left of it, how long does that last, and what goes when it is over?

use crate::failure::Failure;
use crate::session::Session;
use crate::table::{Table, facts, instant, optional_instant, plain};
use crate::which::{self, short};
use ebb_wire::account::Trial;
use ebb_wire::instance::Instance;
use ebb_wire::problem::Page;
use ebb_wire::trial::{ChooseAtEnd, FlavorLasts, TrialProgress};
use std::io::{BufRead, IsTerminal, Write};

#[derive(Debug, clap::Args)]
pub struct TrialArgs {
    #[command(subcommand)]
    command: Option<TrialCommand>,
}

#[derive(Debug, clap::Subcommand)]
enum TrialCommand {
    /// Show what is left of the grant, how long it lasts, and what would make it last longer; also without `show`
    #[command(after_help = "Example:\n  ebb trial show")]
    Show,
    /// Claim the trial grant, once per person
    #[command(after_help = "Example:\n  ebb trial claim")]
    Claim,
    /// Choose what becomes of trial instances when the grant ends
    #[command(after_help = "Example:\n  ebb trial at-end release")]
    AtEnd {
        /// `continue`: they go on, on demand; `release`: they go, at that second
        #[arg(value_name = "continue|release")]
        choice: String,
    },
    /// Release trial instances at once, with what is on their disks
    #[command(after_help = "Example:\n  ebb trial release --all --yes")]
    Release(ReleaseArgs),
}

#[derive(Debug, clap::Args)]
struct ReleaseArgs {
    /// Ids, starts of ids, or names
    #[arg(value_name = "ID", required_unless_present = "all", conflicts_with = "all")]
    ids: Vec<String>,
    /// Every trial instance of the account
    #[arg(long)]
    all: bool,
    /// Do not ask; for programs
    #[arg(long)]
    yes: bool,
}

pub async fn trial(session: &Session, args: &TrialArgs) -> Result<(), Failure> {
    match &args.command {
        None | Some(TrialCommand::Show) => {
            let progress: TrialProgress = session.client.get("/v1/trial", &[]).await?;
            session.show(&progress, progress_text)
        }
        Some(TrialCommand::Claim) => {
            let trial: Trial = session.client.ask("/v1/trial").await?;
            session.show(&trial, |trial| {
                facts(&[
                    ("holder", trial.holder.clone()),
                    ("issued", trial.issued.clone()),
                    ("most per clock hour", trial.hourly_cap.clone()),
                    ("valid until", instant(&trial.valid_until)),
                ])
            })
        }
        Some(TrialCommand::AtEnd { choice }) => {
            let body = ChooseAtEnd { choice: choice.clone() };
            let progress: TrialProgress = session.client.post("/v1/trial/at-end", &body).await?;
            session.show(&progress, |progress| format!("{}\n", end_text(progress)))
        }
        Some(TrialCommand::Release(args)) => release(session, args).await,
    }
}

async fn release(session: &Session, args: &ReleaseArgs) -> Result<(), Failure> {
    let going = going(session, args).await?;
    if going.is_empty() {
        return session.show(&Page { items: going, next: None }, |_| "No trial instances.\n".to_owned());
    }
    let mut table = Table::new(&["ID", "NAME", "STATE", "ZONE", "FLAVOR"]);
    for one in &going {
        table.row([short(&one.id), one.name.clone(), one.state.clone(), one.zone.clone(), one.flavor.clone()]);
    }
    if !args.yes {
        confirm(&going, &table)?;
    }
    let (mut released, mut stayed) = (vec![], vec![]);
    for one in &going {
        match session.client.delete::<Instance>(&format!("/v1/instances/{}", one.id)).await {
            Ok(gone) => released.push(gone),
            Err(Failure::Refused(problem)) => {
                stayed.push(format!("{} ({}) stays: {}", short(&one.id), plain(&one.name), problem.message));
            }
            Err(other) => return Err(other),
        }
    }
    session.show(&Page { items: released, next: None }, |page| {
        let mut table = Table::new(&["ID", "NAME", "STATE", "CHARGED UNTIL"]);
        for one in &page.items {
            let until = optional_instant(one.ended_at.as_ref());
            table.row([short(&one.id), one.name.clone(), one.state.clone(), until]);
        }
        let settled = "The grant still pays for this hour when it closes; until then it may shrink.";
        table.text("Nothing was released.") + settled + "\n"
    })?;
    if stayed.is_empty() { Ok(()) } else { Err(Failure::Outcome(stayed.join("\n     "))) }
}

/// Which instances are meant. If one is no trial, none is released.
async fn going(session: &Session, args: &ReleaseArgs) -> Result<Vec<Instance>, Failure> {
    let live: Page<Instance> = session.client.all("/v1/instances", &[("state", "live")]).await?;
    let mut trials = live.items;
    trials.retain(|one| one.option == "trial");
    if args.all {
        return Ok(trials);
    }
    let mut wanted = vec![];
    for text in &args.ids {
        let id = which::instance(&session.client, text).await?;
        if !trials.iter().any(|one| one.id == id) {
            let why =
                format!("`{text}` is no trial instance; nothing was released. `ebb delete {text}` releases others");
            return Err(Failure::Outcome(why));
        }
        wanted.push(id);
    }
    trials.retain(|one| wanted.contains(&one.id));
    Ok(trials)
}

/// Warns, and asks whoever sits at the terminal.
fn confirm(going: &[Instance], table: &Table) -> Result<(), Failure> {
    let count = match going.len() {
        1 => "1 trial instance".to_owned(),
        count => format!("{count} trial instances"),
    };
    let warning = format!(
        "These stop at once and are gone, with everything on their system disks:\n\n{}\nThere are no snapshots: copy what you need before.\n",
        table.text("")
    );
    if !std::io::stdin().is_terminal() {
        return Err(Failure::Usage(format!(
            "{count} would be released with all data, and nobody is there to be asked; give --yes to release without a question"
        )));
    }
    let mut err = std::io::stderr().lock();
    write!(err, "{warning}Release {count}? [y/N] ")
        .and_then(|()| err.flush())
        .map_err(Failure::io("standard error"))?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).map_err(Failure::io("standard input"))?;
    match is_yes(&answer) {
        true => Ok(()),
        false => Err(Failure::Outcome("nothing was released".to_owned())),
    }
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}

fn progress_text(progress: &TrialProgress) -> String {
    let grant = &progress.grant;
    let gone = if is_zero(&progress.expired) { String::new() } else { format!("{}, at the end", progress.expired) };
    let head = facts(&[
        ("holder", grant.holder.clone()),
        ("time left", format!("{}, until {}", duration(progress.seconds_left), instant(&grant.valid_until))),
        ("instances and disks", format!("{} left of {}", grant.left, grant.issued)),
        ("used by closed hours", grant.settled.clone()),
        ("used by this hour", grant.accruing.clone()),
        ("used together", progress.used.clone()),
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
            let how = match one.change.as_str() {
                "stop" => format!("ebb stop --economical {}", short(&one.instance)),
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
fn end_text(progress: &TrialProgress) -> String {
    let then = match progress.at_end.as_str() {
        "release" => "are released",
        _ => "go on, on demand",
    };
    match (&progress.ended_at, &progress.used_up_at) {
        (Some(at), _) => {
            let why = match progress.ended_by.as_deref() {
                Some("used-up") => "the grant was used up",
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
    use super::*;

    #[test]
    fn durations_are_days_and_a_clock() {
        assert_eq!(duration(1_296_518), "15 d 00:08:38");
        assert_eq!(duration(0), "0 d 00:00:00");
    }

    #[test]
    fn only_a_clear_yes_releases() {
        assert!(["y\n", "Yes\r\n", " YES "].into_iter().all(is_yes));
        assert!(!["", "\n", "n\n", "yes please\n", "ja\n"].into_iter().any(is_yes));
    }
}
