//! `ebb forecast`: what will this month come to, of what is that made, and how long does the money last?

use crate::failure::Failure;
use crate::session::Session;
use crate::table::{Table, facts, instant, optional_instant};
use crate::which::short;
use ebb_wire::forecast::Forecast;

pub async fn forecast(session: &Session) -> Result<(), Failure> {
    let forecast: Forecast = session.client.get("/v1/forecast", &[]).await?;
    session.show(&forecast, text)
}

fn text(forecast: &Forecast) -> String {
    let money = |amount: &String| format!("{amount} {}", forecast.currency);
    let lasts = forecast.money_lasts_until.as_ref().map_or("more than three years".to_owned(), |at| instant(at));
    let head = facts(&[
        ("month", format!("{} to {}", instant(&forecast.month_since), instant(&forecast.month_until))),
        ("expected", format!("{} ({})", money(&forecast.expected), forecast.expected_shown)),
        ("billed", money(&forecast.billed)),
        ("accruing", money(&forecast.accruing)),
        ("of which traffic", money(&forecast.traffic)),
        ("to come", money(&forecast.to_come)),
        ("vCPU and memory", money(&forecast.compute)),
        ("system disks", money(&forecast.disks)),
        ("disks, snapshots, bandwidth", money(&forecast.flat)),
        ("spot blocks", money(&forecast.blocks)),
        ("months in advance", money(&forecast.months)),
        ("less, by the grant", money(&forecast.grant)),
        ("blocks of later months", money(&forecast.later)),
        ("trial ends", optional_instant(forecast.trial_ends_at.as_ref())),
        ("spending cap acts", optional_instant(forecast.cap_acts_at.as_ref())),
        ("by coupons and cards", money(&forecast.vouchers)),
        ("owes since", optional_instant(forecast.owes_since.as_ref())),
        ("frozen at", optional_instant(forecast.frozen_at.as_ref())),
        ("the money lasts until", lasts),
        ("as of", instant(&forecast.as_of)),
    ]);
    let mut coming = Table::new(&["AT", "INSTANCE", "WHAT", "AMOUNT>", "AVAILABLE>"]);
    for lease in &forecast.leases {
        let what = "block ends".to_owned();
        coming.row([instant(&lease.ends_at), short(&lease.instance), what, lease.amount.clone(), String::new()]);
    }
    for one in &forecast.renewals {
        let what = if one.paid { "renews itself" } else { "cannot renew itself" }.to_owned();
        coming.row([instant(&one.at), short(&one.instance), what, one.needed.clone(), one.available.clone()]);
    }
    let assumptions: Vec<String> = forecast.assumptions.iter().map(|one| format!("- {one}\n")).collect();
    format!(
        "{head}\n{}\nThis takes for granted that\n{}",
        coming.text("Nothing else is known to come."),
        assumptions.concat()
    )
}
