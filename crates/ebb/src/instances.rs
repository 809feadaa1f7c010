//! `ebb instances`, `stop`, `start`, `delete`, `reclaim` and `console-log`: what runs, and what is it asked to do?

use crate::conversion::{self, ConvertArgs, RenewArgs, RenewalArgs};
use crate::failure::Failure;
use crate::login::{self, PasswordArgs, ReinstallArgs};
use crate::session::{Session, print};
use crate::table::{Table, facts, instant, optional_instant, plain, plain_lines};
use crate::wait::{Until, wait};
use crate::which::{self, short};
use ebb_model::money::Exact;
use ebb_wire::instance::{
    Change, ConsoleLog, Decided, Instance, PaidMonths, Permitted, PublicAddress, Resize, Resized, Stop, TakeBack,
};
use ebb_wire::problem::Page;
use serde_json::Value;
use std::io::IsTerminal;

#[derive(Debug, clap::Subcommand)]
pub enum Instances {
    /// List what is not released
    #[command(after_help = "Example:\n  ebb instances list --all")]
    List {
        /// Also what is released
        #[arg(long)]
        all: bool,
    },
    /// Show one instance with its prices, its lease and its notice
    #[command(after_help = "Example:\n  ebb instances show web")]
    Show {
        /// Id, start of an id, or name
        id: String,
    },
    /// Say why it had to go, and why others had to go for it
    #[command(after_help = "Example:\n  ebb instances why web")]
    Why {
        /// Id, start of an id, or name
        id: String,
    },
    /// Change its tags, or what stays when it goes
    #[command(after_help = "Example:\n  ebb instances change web --tag fleet=render --keep-data-disks false")]
    Change {
        /// Id, start of an id, or name
        id: String,
        /// All tags as they shall be; may be repeated
        #[arg(long, value_name = "NAME=VALUE", value_parser = crate::sale::tag)]
        tag: Vec<(String, String)>,
        /// Whether its data disks stay, and go on being charged
        #[arg(long, value_name = "YES")]
        keep_data_disks: Option<bool>,
        /// Whether its public address stays
        #[arg(long, value_name = "YES")]
        keep_public_ip: Option<bool>,
    },
    /// Shut a guest down, as `ebb stop` does
    #[command(after_help = "Example:\n  ebb instances stop web --economical --wait")]
    Stop(StopArgs),
    /// Give a stopped instance another flavor, at that flavor's price
    #[command(after_help = "Example:\n  ebb instances resize web c6.xlarge.2 --quote")]
    Resize {
        /// Id, start of an id, or name
        id: String,
        /// A flavor that is sold on demand; `ebb catalog` lists them
        flavor: String,
        /// Say only what it would be
        #[arg(long)]
        quote: bool,
    },
    /// Set root's password; it holds from the next start on
    #[command(
        after_help = "Asks for the password, or reads it from a file or from standard input.\n\nExample:\n  ebb instances reset-password web --from password.txt"
    )]
    ResetPassword(PasswordArgs),
    /// Make the system disk of a stopped instance anew at its next start; what is on it is lost
    #[command(after_help = "Example:\n  ebb instances reinstall web --yes")]
    Reinstall(ReinstallArgs),
    /// Sell it otherwise from now on: out of the trial, or by the month, paid in advance
    #[command(
        after_help = "Example:\n  ebb instances convert web --to subscription --months 3 --quote\n  ebb instances convert trying --to on-demand"
    )]
    Convert(ConvertArgs),
    /// Pay a subscription for more months, before its end or while it is kept after it
    #[command(after_help = "Example:\n  ebb instances renew monthly --months 2")]
    Renew(RenewArgs),
    /// Let a subscription renew itself at its end, or not
    #[command(after_help = "Example:\n  ebb instances renewal monthly --auto 1\n  ebb instances renewal monthly --off")]
    Renewal(RenewalArgs),
    /// Say what may be done with it now, and which rule stands against the rest
    #[command(after_help = "Example:\n  ebb instances operations web")]
    Operations {
        /// Id, start of an id, or name
        id: String,
    },
}

/// What is taken back, and how.
#[derive(Debug, clap::Args)]
pub struct ReclaimArgs {
    #[command(flatten)]
    one: One,
    /// No notice: the release begins at once
    #[arg(long)]
    urgent: bool,
    /// For a breach of the terms: charged like a delete, and without a notice
    #[arg(long, conflicts_with = "urgent")]
    breach: bool,
}

/// What is stopped, and how.
#[derive(Debug, clap::Args)]
pub struct StopArgs {
    #[command(flatten)]
    one: One,
    /// Give its room back: only its disk is charged once it is off, and its start may be refused
    #[arg(long)]
    economical: bool,
}

/// One instance, and whether to wait for the outcome.
#[derive(Debug, clap::Args)]
pub struct One {
    /// Id, start of an id, or name
    id: String,
    /// Come back when it is done
    #[arg(long)]
    wait: bool,
}

/// What is deleted.
#[derive(Debug, clap::Args)]
pub struct DeleteArgs {
    #[command(flatten)]
    one: One,
    /// Do not ask, even where something was paid in advance; for programs
    #[arg(long)]
    yes: bool,
}

pub async fn instances(session: &Session, command: &Instances) -> Result<(), Failure> {
    match command {
        Instances::List { all } => list(session, if *all { "all" } else { "live" }).await,
        Instances::Show { id } => {
            let id = which::instance(&session.client, id).await?;
            let instance: Instance = session.client.get(&format!("/v1/instances/{id}"), &[]).await?;
            session.show(&instance, instance_text)
        }
        Instances::Change { id, tag, keep_data_disks, keep_public_ip } => {
            let id = which::instance(&session.client, id).await?;
            let change = Change {
                tags: (!tag.is_empty()).then(|| tag.iter().cloned().collect()),
                keep_data_disks: *keep_data_disks,
                keep_public_ip: *keep_public_ip,
            };
            let instance: Instance = session.client.post(&format!("/v1/instances/{id}/change"), &change).await?;
            session.show(&instance, instance_text)
        }
        Instances::Stop(args) => stop(session, args).await,
        Instances::ResetPassword(args) => login::reset_password(session, args).await,
        Instances::Reinstall(args) => login::reinstall(session, args).await,
        Instances::Resize { id, flavor, quote } => {
            let id = which::instance(&session.client, id).await?;
            let to = Resize { flavor: flavor.clone(), quote: *quote };
            let resized: Resized = session.client.post(&format!("/v1/instances/{id}/resize"), &to).await?;
            session.show(&resized, |resized| resized_text(resized, *quote))
        }
        Instances::Convert(args) => conversion::convert(session, args).await,
        Instances::Renew(args) => conversion::renew(session, args).await,
        Instances::Renewal(args) => conversion::renewal(session, args).await,
        Instances::Operations { id } => operations(session, id).await,
        Instances::Why { id } => {
            let id = which::instance(&session.client, id).await?;
            let decisions: Page<Decided> = session.client.all(&format!("/v1/instances/{id}/decisions"), &[]).await?;
            session.show(&decisions, |page| match page.items.as_slice() {
                [] => "Nobody had to make room for it, and it need make room for nobody.\n".to_owned(),
                decisions => decisions.iter().map(decision_text).collect(),
            })
        }
    }
}

pub async fn start(session: &Session, one: &One) -> Result<(), Failure> {
    let id = which::instance(&session.client, &one.id).await?;
    let mut instance: Instance = session.client.ask(&format!("/v1/instances/{id}/start")).await?;
    if one.wait {
        instance = wait(session, instance, Until::Running).await?;
    }
    session.show(&instance, instance_text)
}

pub async fn delete(session: &Session, args: &DeleteArgs) -> Result<(), Failure> {
    let id = which::instance(&session.client, &args.one.id).await?;
    conversion::may_delete(session, &id, args.yes).await?;
    let mut instance: Instance = session.client.delete(&format!("/v1/instances/{id}")).await?;
    if args.one.wait {
        instance = wait(session, instance, Until::Released).await?;
    }
    session.show(&instance, instance_text)
}

pub async fn stop(session: &Session, args: &StopArgs) -> Result<(), Failure> {
    let id = which::instance(&session.client, &args.one.id).await?;
    let how = Stop { economical: args.economical };
    let mut instance: Instance = session.client.post(&format!("/v1/instances/{id}/stop"), &how).await?;
    if args.one.wait {
        instance = wait(session, instance, Until::Stopped).await?;
    }
    session.show(&instance, instance_text)
}

pub async fn reclaim(session: &Session, args: &ReclaimArgs) -> Result<(), Failure> {
    let id = which::instance(&session.client, &args.one.id).await?;
    let how = TakeBack { urgent: args.urgent, breach: args.breach };
    let mut instance: Instance = session.client.post(&format!("/v1/instances/{id}/reclaim"), &how).await?;
    if args.one.wait {
        instance = wait(session, instance, Until::Released).await?;
    }
    session.show(&instance, instance_text)
}

async fn operations(session: &Session, id: &str) -> Result<(), Failure> {
    let id = which::instance(&session.client, id).await?;
    let page: Page<Permitted> = session.client.all(&format!("/v1/instances/{id}/operations"), &[]).await?;
    session.show(&page, |page| {
        let mut table = Table::new(&["OPERATION", "RULES", "WHY NOT"]);
        for one in &page.items {
            let rules = if one.allowed { "allow it" } else { "forbid it" };
            let why = if one.code.is_empty() { one.message.clone() } else { format!("{}: {}", one.code, one.message) };
            table.row([one.operation.clone(), rules.to_owned(), why]);
        }
        table.text("Nothing.")
    })
}

pub async fn console_log(session: &Session, id: &str) -> Result<(), Failure> {
    let id = which::instance(&session.client, id).await?;
    let log: ConsoleLog = session.client.get(&format!("/v1/instances/{id}/console-log"), &[]).await?;
    match session.json {
        true => session.show(&log, |log| log.text.clone()),
        // What the guest's own programs printed; raw for a file, not for a terminal.
        false if std::io::stdout().is_terminal() => print(&plain_lines(&log.text)),
        false => print(&log.text),
    }
}

async fn list(session: &Session, state: &str) -> Result<(), Failure> {
    let page: Page<Instance> = session.client.all("/v1/instances", &[("state", state)]).await?;
    session.show(&page, |page| {
        let mut table = Table::new(&[
            "ID", "NAME", "STATE", "OPTION", "ZONE", "FLAVOR", "PRICE>", "ADDRESS", "PUBLIC", "CREATED", "ENDS",
        ]);
        for one in &page.items {
            let deadline = one.interruption.as_ref().and_then(|notice| notice.deadline.as_ref());
            let paid = one.subscription.as_ref().map(|paid| if paid.ended { &paid.kept_until } else { &paid.until });
            let ends = one.ended_at.as_ref().or(deadline).or(one.lease_ends_at.as_ref()).or(paid);
            table.row([
                short(&one.id),
                one.name.clone(),
                state_text(one),
                option_text(one),
                one.zone.clone(),
                one.flavor.clone(),
                price_text(one),
                one.private_address.clone().unwrap_or_default(),
                one.public_addresses.iter().filter_map(|public| public.ip.clone()).collect::<Vec<_>>().join(", "),
                instant(&one.created_at),
                optional_instant(ends),
            ]);
        }
        table.text("No instances. `ebb buy` buys one, `ebb instances list --all` also shows released ones.")
    })
}

pub fn instance_text(one: &Instance) -> String {
    let resources = one.resources.iter().map(|(name, amount)| format!("{name} {amount}"));
    let tags = one.tags.iter().map(|(name, value)| format!("{name}={value}"));
    let stays = match (one.keep_data_disks, one.keep_public_ip) {
        (true, true) => "data disks, public address",
        (true, false) => "data disks",
        (false, true) => "public address",
        (false, false) => "nothing",
    };
    let paid = |what: fn(&PaidMonths) -> String| one.subscription.as_ref().map(what).unwrap_or_default();
    let renews =
        |paid: &PaidMonths| paid.renews.map(|months| format!("for {months} more, at {}", instant(&paid.until)));
    let renews = one.subscription.as_ref().and_then(renews).unwrap_or_default();
    let per_hour = match (&one.subscription, one.ordered_months) {
        (Some(_), _) | (_, Some(_)) => String::new(),
        (None, None) => format!("{}, system disk {}", one.price, one.system_disk_price),
    };
    let mut lines = vec![
        ("id", one.id.clone()),
        ("name", one.name.clone()),
        ("state", state_text(one)),
        ("option", option_text(one)),
        ("zone", one.zone.clone()),
        ("flavor", one.flavor.clone()),
        ("image", one.image.clone()),
        ("resources", resources.collect::<Vec<_>>().join(", ")),
        ("price per hour", per_hour),
        ("price per month", paid(|paid| format!("{}, system disk included", paid.price))),
        ("paid since", paid(|paid| instant(&paid.since))),
        ("paid until", paid(|paid| instant(&paid.until))),
        ("renews itself", renews),
        ("months ordered", one.ordered_months.map(|months| months.to_string()).unwrap_or_default()),
        ("kept until", paid(|paid| if paid.ended { instant(&paid.kept_until) } else { String::new() })),
        ("ICP filing", if one.icp_eligible { "eligible" } else { "not eligible" }.to_owned()),
        ("private address", one.private_address.clone().unwrap_or_default()),
        ("public address", public_text(one)),
        ("security groups", one.security_groups.join(", ")),
        ("data disks", one.data_disks.iter().map(|id| short(id)).collect::<Vec<_>>().join(", ")),
        ("key pair", one.key_pair.clone().unwrap_or_default()),
        ("created", instant(&one.created_at)),
        ("charged since", optional_instant(one.started_at.as_ref())),
        ("lease ends", optional_instant(one.lease_ends_at.as_ref())),
        ("tags", tags.collect::<Vec<_>>().join(", ")),
        ("stays when it goes", stays.to_owned()),
    ];
    if let Some(notice) = &one.interruption {
        lines.extend([
            ("notice for", notice.cause.clone().unwrap_or_default()),
            ("notice given", optional_instant(notice.notice_at.as_ref())),
            ("notice decided", optional_instant(notice.decided_at.as_ref())),
            ("notice committed", optional_instant(notice.committed_at.as_ref())),
            ("notice readable", optional_instant(notice.readable_at.as_ref())),
            ("notice read", optional_instant(notice.read_at.as_ref())),
            ("release begins", optional_instant(notice.deadline.as_ref())),
            ("the platform would waive", notice.platform_would_waive.clone().unwrap_or_default()),
        ]);
    }
    lines.push(("charged until", optional_instant(one.ended_at.as_ref())));
    lines.push(("released", optional_instant(one.released_at.as_ref())));
    lines.push(("frozen since", optional_instant(one.frozen_since.as_ref())));
    lines.push(("ended by", one.end_cause.clone().unwrap_or_default()));
    facts(&lines)
}

/// `198.18.0.7 (g-…)`, of each.
fn public_text(one: &Instance) -> String {
    let text = |public: &PublicAddress| match &public.ip {
        Some(ip) => format!("{ip} ({})", short(&public.id)),
        None => short(&public.id),
    };
    one.public_addresses.iter().map(text).collect::<Vec<_>>().join(", ")
}

/// `0.39`, or `176.40/month`.
fn price_text(one: &Instance) -> String {
    one.subscription.as_ref().map_or(one.price.clone(), |paid| format!("{}/month", paid.price))
}

/// `stopped (economically)`.
fn state_text(one: &Instance) -> String {
    if one.subscription.is_some() && one.economical {
        // Nothing of it is charged, and its start needs room.
        return format!("{} (room given back)", one.state);
    }
    if one.economical { format!("{} (economically)", one.state) } else { one.state.clone() }
}

fn resized_text(resized: &Resized, quote: bool) -> String {
    let one = &resized.instance;
    let (was, is) = (&resized.price_before, &one.price);
    let head = if quote { "It would be resized" } else { "It is resized" };
    let mut text = format!(
        "{head} to {}, at {is} per hour instead of {was} (system disk {}).\n",
        one.flavor, one.system_disk_price
    );
    if let Some(trial) = &resized.trial {
        let whether = if trial.covered {
            "The trial grant covers it."
        } else {
            "The trial grant does not cover it: it is payable."
        };
        text += &format!(
            "{whether} If all your trial instances run, an hour of those covered costs {} (the grant pays at most {}, so {} is \
             payable), of the others {}.\n",
            trial.covered_per_hour, trial.hourly_cap, trial.above_cap_per_hour, trial.uncovered_per_hour
        );
    }
    if quote { text } else { text + &instance_text(one) }
}

/// `spot-block 6 h × 2`.
fn option_text(one: &Instance) -> String {
    match (one.hours, one.periods) {
        (Some(hours), Some(periods)) if periods > 1 => format!("{} {hours} h × {periods}", one.option),
        (Some(hours), _) => format!("{} {hours} h", one.option),
        _ => one.option.clone(),
    }
}

fn decision_text(decided: &Decided) -> String {
    let head = match decided.part.as_str() {
        "took" => "others had to make room for it",
        _ => "it had to make room",
    };
    let mut text = format!("{}: {head} ({})\n  {}\n", instant(&decided.at), decided.cause, plain(&decided.why));
    let none = vec![];
    let hosts = decided.hosts.as_ref().and_then(Value::as_array).unwrap_or(&none);
    for (at, host) in hosts.iter().enumerate() {
        let ids = |field: &str| match host[field].as_array() {
            Some(ids) if !ids.is_empty() => {
                ids.iter().filter_map(Value::as_str).map(short).collect::<Vec<_>>().join(", ")
            }
            _ => "none".to_owned(),
        };
        let waived = host["waived_units"].as_str().and_then(|units| units.parse().ok()).map(Exact::from_units);
        // For an order one host is chosen, for the operator all that somebody leaves.
        let chosen = if at == 0 || decided.order.is_none() { "chosen" } else { "not chosen" };
        text += &format!("  host {} ({chosen})\n", host["host"].as_str().unwrap_or("?"));
        text += &format!("    could be taken, in this order: {}\n", ids("candidates"));
        text += &format!("    taken: {}\n    put back, not needed: {}\n", ids("victims"), ids("put_back"));
        text += &format!("    waived: {}\n", waived.map(|w| w.to_string()).unwrap_or_default());
    }
    text
}
