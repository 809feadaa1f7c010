//! `ebb drills`: how does what runs take an interruption?

use crate::clock::seconds;
use crate::failure::Failure;
use crate::session::Session;
use crate::table::{Table, facts, instant, optional_instant};
use crate::which::{self, short};
use ebb_wire::drill::{Drill, Part, Plan, Rehearse, Schedule, Summary};
use ebb_wire::problem::Page;

#[derive(Debug, clap::Subcommand)]
pub enum Drills {
    /// Rehearse an interruption: real notice, real release; free from now on, up to so much a month
    #[command(after_help = "Example:\n  ebb drills run web")]
    Run(Whose),
    /// List the drills, newest last
    #[command(after_help = "Example:\n  ebb drills list")]
    List,
    /// Show a scorecard: who read its notice, who stopped in time, what was left undone, what it cost
    #[command(after_help = "Example:\n  ebb drills show")]
    Show {
        /// Id, or the start of an id [default: the newest]
        id: Option<String>,
    },
    /// Rehearse again and again
    #[command(
        after_help = "Example:\n  ebb drills schedule --all --percent 20 --every 2h --week 'mon-fri 10:00-16:00'"
    )]
    Schedule {
        #[command(flatten)]
        whose: Whose,
        /// How often: 30m, 2h, 1d
        #[arg(long, value_name = "TIME", value_parser = seconds)]
        every: i64,
        /// Only in these hours of the week, in the catalog's time zone [default: always]
        #[arg(long, value_name = "WINDOW")]
        week: Option<String>,
    },
    /// List the schedules that have not ended
    #[command(after_help = "Example:\n  ebb drills schedules")]
    Schedules,
    /// End a schedule; what it has begun goes on
    #[command(after_help = "Example:\n  ebb drills unschedule --all")]
    Unschedule {
        /// Id, or the start of an id
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        id: Option<String>,
        /// End all of them
        #[arg(long)]
        all: bool,
    },
}

/// Whose interruption is rehearsed.
#[derive(Debug, clap::Args)]
pub struct Whose {
    /// One block: id, start of an id, or name
    #[arg(required_unless_present_any = ["tag", "all"], conflicts_with_all = ["tag", "all", "percent"])]
    instance: Option<String>,
    /// A fleet: every block with this tag; may be repeated, then all of them count
    #[arg(long, value_name = "NAME=VALUE", value_parser = crate::sale::tag, conflicts_with = "all")]
    tag: Vec<(String, String)>,
    /// All blocks of the account
    #[arg(long)]
    all: bool,
    /// Only so many of a hundred, drawn by chance, at least one
    #[arg(long, value_name = "PERCENT")]
    percent: Option<i64>,
}

pub async fn drills(session: &Session, command: &Drills) -> Result<(), Failure> {
    let client = &session.client;
    match command {
        Drills::Run(whose) => {
            let drill: Drill = client.post("/v1/drills", &what(session, whose).await?).await?;
            session.show(&drill, drill_text)
        }
        Drills::List => {
            let page: Page<Drill> = client.all("/v1/drills", &[]).await?;
            session.show(&page, list_text)
        }
        Drills::Show { id } => {
            let page: Page<Drill> = client.all("/v1/drills", &[]).await?;
            let drill = find(page.items, id.as_deref(), "drill", "ebb drills list", |drill| &drill.id)?;
            session.show(&drill, drill_text)
        }
        Drills::Schedule { whose, every, week } => {
            let plan = Plan { what: what(session, whose).await?, every_seconds: *every, week: week.clone() };
            let schedule: Schedule = client.post("/v1/drill-schedules", &plan).await?;
            session.show(&schedule, schedule_text)
        }
        Drills::Schedules => {
            let page: Page<Schedule> = client.all("/v1/drill-schedules", &[]).await?;
            session.show(&page, schedules_text)
        }
        Drills::Unschedule { id, all } => {
            let mut page: Page<Schedule> = client.all("/v1/drill-schedules", &[]).await?;
            if !all {
                let one = find(page.items, id.as_deref(), "drill schedule", "ebb drills schedules", |one| &one.id)?;
                page.items = vec![one];
            }
            for one in &mut page.items {
                *one = client.delete(&format!("/v1/drill-schedules/{}", one.id)).await?;
            }
            session.show(&page, |page| format!("{} ended.\n", count(page.items.len() as i64, "schedule")))
        }
    }
}

async fn what(session: &Session, whose: &Whose) -> Result<Rehearse, Failure> {
    let instance = match &whose.instance {
        Some(text) => Some(which::instance(&session.client, text).await?),
        None => None,
    };
    Ok(Rehearse { instance, tags: whose.tag.iter().cloned().collect(), all: whose.all, percent: whose.percent })
}

/// The one whose id begins so; the newest if nothing is said.
fn find<T>(all: Vec<T>, text: Option<&str>, what: &str, list: &str, id: impl Fn(&T) -> &str) -> Result<T, Failure> {
    let mut matching: Vec<T> =
        all.into_iter().filter(|one| text.is_none_or(|text| id(one).starts_with(text))).collect();
    let text = text.unwrap_or_default();
    match (matching.pop(), text.is_empty() || matching.is_empty()) {
        (Some(one), true) => Ok(one),
        (Some(_), false) => Err(Failure::Usage(format!("`{text}` begins several ids; `{list}` shows them"))),
        (None, _) => Err(Failure::Outcome(format!("there is no {what} `{text}`; `{list}` shows what there is"))),
    }
}

fn list_text(page: &Page<Drill>) -> String {
    let titles = ["ID", "ASKED", "WHOSE", "STATE", "TAKEN>", "REFUSED>", "READ>", "STOPPED>", "CHARGED>", "FREE>"];
    let mut table = Table::new(&titles);
    for drill in &page.items {
        let sum = &drill.summary;
        table.row([
            short(&drill.id),
            instant(&drill.asked_at),
            whose_text(&drill.what),
            state(drill).to_owned(),
            sum.taken.to_string(),
            sum.refused.to_string(),
            sum.read.to_string(),
            sum.stopped.to_string(),
            sum.charged.clone(),
            sum.free.clone(),
        ]);
    }
    table.text("No drills. `ebb drills run` rehearses an interruption.")
}

fn state(drill: &Drill) -> &'static str {
    if drill.over { "over" } else { "under way" }
}

/// The scorecard: what was asked, each instance, and the sum where there are several.
fn drill_text(drill: &Drill) -> String {
    let mut text = facts(&[
        ("id", drill.id.clone()),
        ("whose", whose_text(&drill.what)),
        ("asked", instant(&drill.asked_at)),
        ("by schedule", drill.schedule.clone().unwrap_or_default()),
        ("state", state(drill).to_owned()),
    ]);
    text += &drill.instances.iter().map(part_text).collect::<String>();
    if drill.instances.len() > 1 {
        text += &summary_text(&drill.summary);
    }
    text
}

fn part_text(part: &Part) -> String {
    let title = format!("\n{} {}\n", short(&part.instance), part.name);
    if let (Some(code), Some(message)) = (&part.code, &part.message) {
        return format!("{title}{}", facts(&[("refused", format!("{code}: {message}"))]));
    }
    let before = |at: Option<&String>, seconds: Option<i64>| match (at, seconds) {
        (Some(at), Some(seconds)) => format!("{}, {seconds} s before the deadline", instant(at)),
        _ => "not seen".to_owned(),
    };
    let released = part.released_at.as_ref().map(|at| match part.release_late_millis.unwrap_or(0) {
        late if late < 0 => format!("{}, {} ms before the deadline", instant(at), -late),
        late => format!("{}, {late} ms after the deadline", instant(at)),
    });
    let undone = if part.undone.is_empty() { "nothing".to_owned() } else { part.undone.join("; ") };
    let free = part.free.clone().unwrap_or_default();
    title
        + &facts(&[
            ("notice given", optional_instant(part.notice_at.as_ref())),
            ("notice readable", optional_instant(part.readable_at.as_ref())),
            ("notice read", before(part.read_at.as_ref(), part.read_seconds_before)),
            ("stopped by itself", before(part.stopped_at.as_ref(), part.stopped_seconds_before)),
            ("let itself go", optional_instant(part.approved_at.as_ref())),
            ("deadline", optional_instant(part.deadline.as_ref())),
            ("taken over by the platform", part.taken_over_by.clone().unwrap_or_default()),
            ("left undone", if released.is_some() { undone } else { String::new() }),
            ("released", released.unwrap_or_default()),
            ("charged after the request", part.charged.clone().unwrap_or_default()),
            ("free", format!("{free} ({} s)", part.free_seconds.unwrap_or(0))),
            ("the platform would waive", part.platform_would_waive.clone().unwrap_or_default()),
        ])
}

fn summary_text(sum: &Summary) -> String {
    let slowest = sum.slowest.as_ref().map(|one| format!("{} {}, {} s", short(&one.instance), one.name, one.seconds));
    let of = |some: i64| format!("{some} of {}", sum.taken);
    let lines = facts(&[
        ("taken", sum.taken.to_string()),
        ("refused", sum.refused.to_string()),
        ("read the notice", of(sum.read)),
        ("stopped by themselves", of(sum.stopped)),
        ("slowest", slowest.unwrap_or_default()),
        ("charged after the request", sum.charged.clone()),
        ("free", sum.free.clone()),
        ("the platform would waive", sum.platform_would_waive.clone()),
    ]);
    format!("\nTogether\n{lines}")
}

fn schedules_text(page: &Page<Schedule>) -> String {
    let mut table = Table::new(&["ID", "WHOSE", "EVERY", "IN", "NEXT"]);
    for one in &page.items {
        table.row([
            short(&one.id),
            whose_text(&one.what),
            format!("{} s", one.every_seconds),
            one.week.clone().unwrap_or_else(|| "always".to_owned()),
            instant(&one.next_at),
        ]);
    }
    table.text("No schedules. `ebb drills schedule` makes one.")
}

fn schedule_text(one: &Schedule) -> String {
    facts(&[
        ("id", one.id.clone()),
        ("whose", whose_text(&one.what)),
        ("every", format!("{} s", one.every_seconds)),
        ("in", one.week.clone().unwrap_or_else(|| "always".to_owned())),
        ("next", instant(&one.next_at)),
    ])
}

/// `20 % of fleet=render`.
fn whose_text(what: &Rehearse) -> String {
    let whose = match &what.instance {
        Some(id) => short(id),
        None if what.all => "all blocks".to_owned(),
        None => what.tags.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" "),
    };
    what.percent.map_or(whose.clone(), |percent| format!("{percent} % of {whose}"))
}

fn count(number: i64, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}
