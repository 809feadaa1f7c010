//! `ebb budget`: what is meant to be spent in a month, how much of it is payable, and when is somebody told?

use crate::failure::Failure;
use crate::session::Session;
use crate::table::{Table, facts, instant, optional_instant};
use ebb_wire::budget::{Budget, SetBudget};

#[derive(Debug, clap::Args)]
pub struct BudgetArgs {
    #[command(subcommand)]
    command: Option<BudgetCommand>,
}

#[derive(Debug, clap::Subcommand)]
enum BudgetCommand {
    /// Show the budget, what is payable and expected of this month, and when its shares are reached; also without `show`
    #[command(after_help = "Example:\n  ebb budget show")]
    Show,
    /// Be told when shares of this are payable in a calendar month; nothing is stopped for it (`ebb cap` does that)
    #[command(after_help = "Example:\n  ebb budget set 100 --alert 50 --alert 80")]
    Set {
        /// In the catalog's currency
        amount: String,
        /// At how many percent of it; may be repeated [default: 50, 80, 100]
        #[arg(long, value_name = "PERCENT", allow_negative_numbers = true)]
        alert: Vec<i64>,
        /// Do not tell that the month is expected to come to more
        #[arg(long)]
        no_expected: bool,
    },
    /// Do without a budget
    #[command(after_help = "Example:\n  ebb budget remove")]
    Remove,
}

pub async fn budget(session: &Session, args: &BudgetArgs) -> Result<(), Failure> {
    let client = &session.client;
    let budget: Budget = match args.command.as_ref().unwrap_or(&BudgetCommand::Show) {
        BudgetCommand::Show => client.get("/v1/budget", &[]).await?,
        BudgetCommand::Set { amount, alert, no_expected } => {
            let alerts = (!alert.is_empty()).then(|| alert.clone());
            let set = SetBudget { amount: amount.clone(), alerts, expected: Some(!no_expected) };
            client.post("/v1/budget", &set).await?
        }
        BudgetCommand::Remove => client.delete("/v1/budget").await?,
    };
    session.show(&budget, budget_text)
}

fn budget_text(budget: &Budget) -> String {
    let money = |amount: &String| format!("{amount} {}", budget.currency);
    let head = facts(&[
        ("budget", budget.amount.as_ref().map_or("none".to_owned(), money)),
        ("set", optional_instant(budget.set_at.as_ref())),
        ("month", format!("{} to {}", instant(&budget.month_since), instant(&budget.month_until))),
        ("payable and billed", money(&budget.settled)),
        ("payable, not billed yet", money(&budget.accruing)),
        ("payable together", money(&budget.payable)),
        ("expected at the end", money(&budget.expected)),
        ("as of", instant(&budget.as_of)),
    ]);
    if budget.amount.is_none() {
        return format!("{head}\nNobody is told what a month comes to; `ebb budget set` sets a budget.\n");
    }
    let mut shares = Table::new(&["SHARE>", "REACHED", "WILL BE REACHED"]);
    for percent in &budget.alerts {
        let of = |shares: &[ebb_wire::budget::BudgetShare]| {
            shares.iter().find(|share| share.percent == *percent).map(|share| instant(&share.at)).unwrap_or_default()
        };
        shares.row([format!("{percent} %"), of(&budget.reached), of(&budget.coming)]);
    }
    let expected = if budget.tells_expected { "It is told, too, when more is expected. " } else { "" };
    format!("{head}\n{}\n{expected}A budget stops nothing; `ebb cap` does.\n", shares.text("No shares."))
}
