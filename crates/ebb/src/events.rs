//! `ebb events`: what happened to the account and its instances?

use crate::failure::Failure;
use crate::session::{Session, print};
use crate::table::{Table, instant, plain};
use crate::which::short;
use ebb_wire::account::LoggedEvent;
use ebb_wire::problem::Page;
use serde_json::Value;
use std::time::Duration;

const FOLLOW_EVERY: Duration = Duration::from_millis(500);
const PAGE: &str = "500";

#[derive(Debug, clap::Args)]
pub struct EventsArgs {
    /// Begin after this event
    #[arg(long, value_name = "EVENT")]
    after: Option<String>,
    /// Go on with what happens from now on, until Ctrl-C; with --json one object a line
    #[arg(long, short)]
    follow: bool,
}

pub async fn events(session: &Session, args: &EventsArgs) -> Result<(), Failure> {
    let mut after = args.after.clone().unwrap_or_default();
    if args.follow {
        loop {
            let page = page(session, &after).await?;
            if let Some(last) = page.items.last() {
                after = last.id.clone();
            }
            for event in &page.items {
                print(&(if session.json { one_line(event) } else { line(event) } + "\n"))?;
            }
            if page.items.is_empty() {
                tokio::time::sleep(FOLLOW_EVERY).await;
            }
        }
    }
    let query = [("after", after.as_str())];
    let all: Page<LoggedEvent> = session.client.all("/v1/events", &query[..usize::from(!after.is_empty())]).await?;
    session.show(&all, |all| table(&all.items, "Nothing has happened yet."))
}

pub fn table(events: &[LoggedEvent], nothing: &str) -> String {
    let mut table = Table::new(&["AT", "INSTANCE", "EVENT", "DETAILS"]);
    for event in events {
        let instance = event.instance.as_deref().map(short).unwrap_or_default();
        table.row([instant(&event.at), instance, name(event), details(&event.body)]);
    }
    table.text(nothing)
}

async fn page(session: &Session, after: &str) -> Result<Page<LoggedEvent>, Failure> {
    let query = [("limit", PAGE), ("after", after)];
    session.client.get("/v1/events", &query[..1 + usize::from(!after.is_empty())]).await
}

fn one_line(event: &LoggedEvent) -> String {
    serde_json::to_string(event).expect("an event is JSON")
}

fn line(event: &LoggedEvent) -> String {
    let instance = event.instance.as_deref().map(short).unwrap_or_else(|| short(&event.account));
    plain(&format!("{}  {instance}  {}  {}", instant(&event.at), name(event), details(&event.body)))
}

fn name(event: &LoggedEvent) -> String {
    event.body["event"].as_str().unwrap_or("?").to_owned()
}

/// The fact's fields as `name=value`, inner ones too.
pub fn details(body: &Value) -> String {
    let fields = body.as_object().into_iter().flatten().filter(|(name, _)| *name != "event");
    let show = |(name, value): (&String, &Value)| match value {
        Value::Object(_) => details(value),
        Value::String(text) => format!("{name}={}", instant(text)),
        other => format!("{name}={other}"),
    };
    fields.map(show).collect::<Vec<_>>().join(" ")
}
