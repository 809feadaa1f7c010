//! `ebb bill explain` and `ebb bill adjust`: why does a record say what it says, and what of it is given back?

use crate::failure::Failure;
use crate::session::Session;
use crate::table::{Table, facts, instant};
use crate::which::{self, short};
use ebb_model::money::Amount;
use ebb_wire::record::{Adjust, Adjustment, Explanation, ToVoucher};

#[derive(Debug, clap::Subcommand)]
pub enum RecordCommand {
    /// Say where a record comes from: usage, price, coverage, waiver, grant, payment, in figures and in words
    #[command(after_help = "Example:\n  ebb bill explain $RECORD")]
    Explain {
        /// Id, or the start of it that `ebb bill` shows
        record: String,
    },
    /// Give back what was paid of a record, or a part of it; the record stays as it is (operator)
    #[command(
        after_help = "Example:\n  ebb bill adjust $RECORD 0.01 --reason 'the guest was not reachable' --as operator"
    )]
    Adjust {
        /// Id, or with --account the start of it that `ebb bill` shows
        record: String,
        /// In the catalog's currency, at most 8 decimals
        #[arg(allow_negative_numbers = true)]
        amount: String,
        /// Why, as the customer reads it
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

pub async fn run(session: &Session, command: &RecordCommand) -> Result<(), Failure> {
    let client = &session.client;
    match command {
        RecordCommand::Explain { record } => {
            let id = which::record(client, record).await?;
            let explained: Explanation = client.get(&format!("/v1/records/{id}/explanation"), &[]).await?;
            session.show(&explained, explanation_text)
        }
        RecordCommand::Adjust { record, amount, reason } => {
            let id = which::record(client, record).await?;
            let body = Adjust { amount: amount.clone(), reason: reason.clone() };
            let given: Adjustment = client.post(&format!("/v1/records/{id}/adjustments"), &body).await?;
            session.show(&given, |given| {
                let Adjustment { amount, record, debt, cash, grant, expired, .. } = given;
                let vouchers: String = given.vouchers.iter().map(|to| format!("{} to {}, ", to.amount, named(to))).collect();
                format!(
                    "{amount} of record {record} is given back: {cash} to cash, {debt} off the debt, {vouchers}{grant} to the grant, {expired} to a grant that is over.\n"
                )
            })
        }
    }
}

fn explanation_text(record: &Explanation) -> String {
    let currency = &record.currency;
    let money = |amount: &String| format!("{amount} {currency}");
    let of = short(&record.resource);
    let mut lines = vec![
        ("record", record.record.clone()),
        ("use", format!("{} of {of}", record.meter)),
        ("local", format!("{} to {} {}", record.local_since, record.local_until, record.time_zone)),
        ("UTC", format!("{} to {}", instant(&record.since), instant(&record.until))),
        ("quantity", format!("{} {}", record.quantity, plural(&record.unit, &record.quantity))),
        (
            "price",
            format!("{} {currency} per {}, since {}", record.price, record.price_per, instant(&record.price_since)),
        ),
        ("comes to", format!("{} {currency} (exactly {})", record.gross, record.gross_exact)),
        ("waived", money(&record.waived)),
        ("grant", money(&record.grant)),
        ("payable", money(&record.payable)),
    ];
    if let Some(entry) = &record.entry {
        lines.push(("entry", entry.id.clone()));
    }
    lines.push(("can be given back", money(&record.left)));
    let words: String = record.words.iter().map(|words| format!("{}\n", words.text)).collect();
    let mut postings = Table::new(&["PLACE", "AMOUNT>"]);
    let entry = record.entry.as_ref();
    entry
        .iter()
        .flat_map(|entry| &entry.postings)
        .for_each(|line| postings.row([line.place.clone(), line.amount.clone()]));
    let entry = entry.map_or(String::new(), |entry| {
        format!(
            "\nEntry {} at {} ({}):\n{}",
            short(&entry.id),
            instant(&entry.at),
            entry.reason,
            postings.text("It moved nothing.")
        )
    });
    format!("{}\n{words}{entry}", facts(&lines))
}

fn plural(unit: &str, quantity: &str) -> String {
    if unit == "GB" || quantity == "1" { unit.to_owned() } else { format!("{unit}s") }
}

/// What was given back, as a part of the bill. Nothing where nothing was.
pub fn given_back(all: &[Adjustment]) -> String {
    if all.is_empty() {
        return String::new();
    }
    let titles = ["GIVEN BACK", "AMOUNT>", "DEBT>", "CASH>", "VOUCHERS>", "GRANT>", "EXPIRED>", "RECORD", "REASON"];
    let mut table = Table::new(&titles);
    for one in all {
        table.row([
            instant(&one.at),
            one.amount.clone(),
            one.debt.clone(),
            one.cash.clone(),
            to_vouchers(&one.vouchers),
            one.grant.clone(),
            one.expired.clone(),
            short(&one.record),
            one.reason.clone(),
        ]);
    }
    let mut to = Table::new(&["GIVEN BACK", "RECORD", "TO", "AMOUNT>", "GONE"]);
    let mut any = false;
    for one in all {
        for voucher in &one.vouchers {
            let (amount, gone) = (voucher.amount.clone(), voucher.gone.clone().unwrap_or_default());
            to.row([instant(&one.at), short(&one.record), short(&voucher.voucher), amount, gone]);
            any = true;
        }
    }
    let to = if any { format!("\n{}", to.text("")) } else { String::new() };
    format!("\n{}{to}", table.text(""))
}

/// All that came back to coupons and cards, also to those that are over.
fn to_vouchers(all: &[ToVoucher]) -> String {
    let amounts = all.iter().filter_map(|one| one.amount.parse::<Amount>().ok());
    amounts.sum::<Amount>().to_string()
}

/// A voucher, and what became of what came back to it.
fn named(to: &ToVoucher) -> String {
    let gone = to.gone.as_ref().map(|gone| format!(" (which is {gone})")).unwrap_or_default();
    format!("voucher {}{gone}", short(&to.voucher))
}
