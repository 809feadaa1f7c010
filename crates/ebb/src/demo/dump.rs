//! What did the lives leave behind? All of it as the API tells it, for a checker that shares no code with us.

use super::lives::Played;
use super::stage::Stage;
use crate::failure::Failure;
use crate::session::print;
use crate::table::Table;
use ebb_wire::account::{Account, Balance, LoggedEvent};
use ebb_wire::address::Address;
use ebb_wire::bill::Bill;
use ebb_wire::catalog::Catalog;
use ebb_wire::problem::Page;
use ebb_wire::trial::TrialProgress;
use ebb_wire::voucher::Voucher;
use serde::Serialize;
use std::path::Path;

/// Read by `tests/bill_oracle.py`.
#[derive(Serialize)]
struct Dump<'a> {
    format: u32,
    seed: u64,
    catalog: &'a Catalog,
    accounts: Vec<Books>,
    /// Of all accounts, in the order in which they were written.
    events: Vec<LoggedEvent>,
}

#[derive(Serialize)]
struct Books {
    account: Account,
    balance: Balance,
    trial: Option<TrialProgress>,
    bill: Bill,
    addresses: Vec<Address>,
    vouchers: Vec<Voucher>,
}

pub async fn write(stage: &Stage, played: &Played, file: Option<&Path>, json: bool) -> Result<(), Failure> {
    let dump = collect(stage, played.seed).await?;
    let text = serde_json::to_string(&dump).expect("answers of the API are JSON") + "\n";
    match file {
        Some(file) => std::fs::write(file, text).map_err(Failure::io(format!("the dump {}", file.display())))?,
        None if json => return print(&text),
        None => {}
    }
    print(&summary(&dump, played, file, json))
}

async fn collect(stage: &Stage, seed: u64) -> Result<Dump<'_>, Failure> {
    let operator = &stage.operator;
    let accounts: Page<Account> = operator.all("/v1/accounts", &[]).await?;
    let mut books = vec![];
    for account in accounts.items {
        let about = [("account", account.id.as_str())];
        let trial = match operator.get::<TrialProgress>("/v1/trial", &about).await {
            Err(Failure::Refused(problem)) if problem.code == "no-trial-grant" => None,
            known => Some(known?),
        };
        let balance = operator.get("/v1/balance", &about).await?;
        let bill = operator.get("/v1/bills", &about).await?;
        let addresses: Page<Address> = operator.all("/v1/addresses", &about).await?;
        let vouchers: Page<Voucher> =
            operator.all("/v1/vouchers", &[("account", &account.id), ("all", "true")]).await?;
        let (addresses, vouchers) = (addresses.items, vouchers.items);
        books.push(Books { balance, trial, bill, addresses, vouchers, account });
    }
    let events: Page<LoggedEvent> = operator.all("/v1/events", &[]).await?;
    Ok(Dump { format: 1, seed, catalog: &stage.catalog, accounts: books, events: events.items })
}

fn summary(dump: &Dump, played: &Played, file: Option<&Path>, json: bool) -> String {
    let records: usize = dump.accounts.iter().map(|books| books.bill.records.len()).sum();
    let (accounts, events) = (dump.accounts.len(), dump.events.len());
    if json {
        let counts = serde_json::json!({"seed": played.seed, "accounts": accounts, "events": events, "records": records, "done": played.done});
        return format!("{counts}\n");
    }
    let mut table = Table::new(&["WHAT", "TIMES>"]);
    for (what, times) in &played.done {
        table.row([what.clone(), times.to_string()]);
    }
    let where_to = match file {
        Some(file) => format!("python3 tests/bill_oracle.py {} recomputes every record.", file.display()),
        None => "--dump FILE keeps them for tests/bill_oracle.py, which recomputes every record.".to_owned(),
    };
    let days = played.seconds / 86_400;
    format!(
        "{}\n{days} days of {accounts} accounts left {events} events and {records} bill records (seed {}).\n{where_to}\n",
        table.text("Nothing was done."),
        played.seed,
    )
}
