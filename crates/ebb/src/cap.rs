//! `ebb cap`: what may be payable in a month, what is, and when does the cap act?

use crate::failure::Failure;
use crate::session::Session;
use crate::table::{facts, instant, optional_instant};
use ebb_wire::cap::{Cap, SetCap};

#[derive(Debug, clap::Args)]
pub struct CapArgs {
    #[command(subcommand)]
    command: Option<CapCommand>,
}

#[derive(Debug, clap::Subcommand)]
enum CapCommand {
    /// Show the cap, what is payable of this month, and when the cap acts; also without `show`
    #[command(after_help = "Example:\n  ebb cap show")]
    Show,
    /// Let no more than this be payable in a calendar month: instances stop and blocks go at the last second that it allows
    #[command(after_help = "Example:\n  ebb cap set 100")]
    Set {
        /// In the catalog's currency; 0 with a trial that is released at its end: nothing is ever charged
        #[arg(allow_negative_numbers = true)]
        amount: String,
    },
    /// Do without a cap; what it stopped stays so
    #[command(after_help = "Example:\n  ebb cap remove")]
    Remove,
}

pub async fn cap(session: &Session, args: &CapArgs) -> Result<(), Failure> {
    let client = &session.client;
    let cap: Cap = match args.command.as_ref().unwrap_or(&CapCommand::Show) {
        CapCommand::Show => client.get("/v1/cap", &[]).await?,
        CapCommand::Set { amount } => client.post("/v1/cap", &SetCap { amount: amount.clone() }).await?,
        CapCommand::Remove => client.delete("/v1/cap").await?,
    };
    session.show(&cap, cap_text)
}

fn cap_text(cap: &Cap) -> String {
    let money = |amount: &String| format!("{amount} {}", cap.currency);
    let head = facts(&[
        ("cap", cap.amount.as_ref().map_or("none".to_owned(), money)),
        ("set", optional_instant(cap.set_at.as_ref())),
        ("month", format!("{} to {}", instant(&cap.month_since), instant(&cap.month_until))),
        ("payable and billed", money(&cap.settled)),
        ("payable, not billed yet", money(&cap.accruing)),
        ("payable together", money(&cap.payable)),
        ("goes on when stopped", format!("{} an hour", cap.goes_on)),
        ("to the month's end", money(&cap.reserved)),
        ("least possible cap", money(&cap.least)),
        ("last acted", optional_instant(cap.acted_at.as_ref())),
        ("as of", instant(&cap.as_of)),
    ]);
    let end = match (&cap.amount, &cap.acts_at) {
        (None, _) => "Nothing is stopped for what it costs; `ebb cap set` sets a cap.".to_owned(),
        (_, Some(at)) => format!(
            "As it goes on the cap acts at {}: instances are stopped economically, blocks released.",
            instant(at)
        ),
        (_, None) => "As it goes on the cap does not act in this month.".to_owned(),
    };
    format!("{head}\n{end}\n")
}
