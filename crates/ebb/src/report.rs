//! `ebb report`: what was promised, and what was kept?

use crate::failure::Failure;
use crate::money::whole_instant;
use crate::session::Session;
use crate::table::{Table, instant};
use crate::which::short;
use ebb_wire::report::{Lateness, SpotReport, SpotRow};

#[derive(Debug, clap::Subcommand)]
pub enum Report {
    /// Spot blocks: sold, how they ended, what was given away, how late notices and releases were
    #[command(after_help = "Example:\n  ebb report spot --since 2026-03-01 --by flavor")]
    Spot {
        /// From this date or instant, UTC
        #[arg(long, value_name = "WHEN")]
        since: Option<String>,
        /// Until this date or instant, UTC; not included
        #[arg(long, value_name = "WHEN")]
        until: Option<String>,
        /// A row for each flavor and length, or for each account
        #[arg(long, value_name = "WHAT", default_value = "flavor", value_parser = ["flavor", "account"])]
        by: String,
    },
}

pub async fn report(session: &Session, command: &Report) -> Result<(), Failure> {
    let Report::Spot { since, until, by } = command;
    let (since, until) = (since.as_deref().map(whole_instant), until.as_deref().map(whole_instant));
    let bounds = [("since", &since), ("until", &until)];
    let mut query: Vec<(&str, &str)> = bounds.iter().filter_map(|(name, at)| Some((*name, at.as_deref()?))).collect();
    query.push(("by", by));
    let report: SpotReport = session.client.get("/v1/reports/spot", &query).await?;
    session.show(&report, text)
}

fn text(report: &SpotReport) -> String {
    let titles = [
        "BLOCKS",
        "SOLD>",
        "ENDED>",
        "BY",
        "SECONDS>",
        "CHARGED>",
        "FREE SECONDS>",
        "GIVEN AWAY>",
        "NOTICE LATE",
        "RELEASE LATE",
    ];
    let mut table = Table::new(&titles);
    for row in &report.rows {
        let causes = row.ended_by.iter().map(|(cause, blocks)| format!("{cause} {blocks}"));
        table.row([
            whose(row),
            row.sold.to_string(),
            row.ended.to_string(),
            causes.collect::<Vec<_>>().join(", "),
            row.seconds.to_string(),
            row.charged.clone(),
            row.waived_seconds.to_string(),
            row.waived.clone(),
            late(row.notices.as_ref()),
            late(row.releases.as_ref()),
        ]);
    }
    let mut waived = Table::new(&["LOST BY", "TAKEN FOR", "CAUSE", "BLOCKS>", "FREE SECONDS>", "GIVEN AWAY>"]);
    for one in &report.waived {
        waived.row([
            short(&one.lost),
            one.took.as_ref().map(|took| short(took)).unwrap_or_default(),
            one.cause.clone(),
            one.blocks.to_string(),
            one.waived_seconds.to_string(),
            one.waived.clone(),
        ]);
    }
    format!(
        "{}\n{}\nFrom {} to {}, in {}. Late: median, 99th of a hundred, most, in ms.\n",
        table.text("No blocks in this time."),
        waived.text("Nothing was given away."),
        instant(&report.since),
        instant(&report.until),
        report.currency,
    )
}

fn whose(row: &SpotRow) -> String {
    match (&row.flavor, row.hours, &row.account) {
        (Some(flavor), Some(hours), _) => format!("{flavor} {hours} h"),
        (_, _, Some(account)) => short(account),
        _ => String::new(),
    }
}

/// `2, 9, 31`.
fn late(of: Option<&Lateness>) -> String {
    of.map(|late| format!("{}, {}, {}", late.p50_ms, late.p99_ms, late.max_ms)).unwrap_or_default()
}
