//! `ebb balance` and `ebb bill`: what is there, what did it cost, and who pays?

mod records;

pub use records::RecordCommand;

use crate::failure::Failure;
use crate::session::Session;
use crate::table::{Table, facts, instant};
use crate::which::short;
use ebb_wire::account::{Balance, GivenBack, Parts};
use ebb_wire::address::TrafficRecord;
use ebb_wire::bill::{Bill, Record};

/// Which part of the bill, or what about one of its records.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct BillArgs {
    #[command(subcommand)]
    pub command: Option<RecordCommand>,
    /// From this date or instant, UTC
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Until this date or instant, UTC; not included
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,
}

pub async fn balance(session: &Session) -> Result<(), Failure> {
    let balance: Balance = session.client.get("/v1/balance", &[]).await?;
    session.show(&balance, |balance| {
        let mut parts =
            Table::new(&["", "WAIVED>", "GRANT>", "PAYABLE>", "BY VOUCHERS>", "FREE TRAFFIC>", "OF WHICH TRAFFIC>"]);
        for (name, part) in [("settled", &balance.settled), ("accruing", &balance.accruing)] {
            let (free, traffic) =
                part.traffic.as_ref().map(|t| (t.pools.clone(), t.payable.clone())).unwrap_or_default();
            let vouchers = part.vouchers.clone().unwrap_or_default();
            let (waived, grant, payable) = (part.waived.clone(), part.grant.clone(), part.payable.clone());
            parts.row([name.to_owned(), waived, grant, payable, vouchers, free, traffic]);
        }
        let mut holds = Table::new(&["HELD FOR", "AMOUNT>", "UNTIL IT IS SETTLED"]);
        for hold in &balance.holds {
            let until = hold.until.as_ref().map_or("while it stays as it is".to_owned(), |at| instant(at));
            holds.row([short(&hold.instance), hold.amount.clone(), until]);
        }
        let Balance { currency, cash, debt, held, available, vouchers, as_of, month, budget, .. } = balance;
        let head = facts(&[
            ("cash", format!("{cash} {currency}")),
            ("held for what runs", format!("{held} {currency}")),
            ("available", format!("{available} {currency}")),
            ("vouchers left", if vouchers.is_empty() { String::new() } else { format!("{vouchers} {currency}") }),
            ("debt", format!("{debt} {currency}")),
            ("settled this month", format!("{} {currency}", month.settled)),
            ("accruing to this second", format!("{} {currency}", month.accruing)),
            ("together", format!("{} {currency}", month.together)),
            ("expected at its end", format!("{} {currency} (`ebb forecast`)", month.expected)),
            ("budget", budget.as_ref().map(|amount| format!("{amount} {currency}")).unwrap_or_default()),
            ("as of", instant(as_of)),
        ]);
        let back = balance.adjusted.as_ref().map_or(String::new(), |back| {
            let GivenBack { debt, cash, vouchers, vouchers_gone, grant, expired } = back;
            format!(
                "\nGiven back of that: {cash} to cash, {debt} off the debt, {vouchers} to vouchers, {grant} to the grant, \
                 {vouchers_gone} to vouchers and {expired} to a grant that are over.\n"
            )
        });
        let owes = balance.arrears.as_ref().map(|owes| format!("\n{}\n", owes.says)).unwrap_or_default();
        format!("{head}\n{}\n{}{back}{owes}", holds.text("Nothing is held."), parts.text(""))
    })
}

pub async fn bill(session: &Session, args: &BillArgs) -> Result<(), Failure> {
    if let Some(command) = &args.command {
        return records::run(session, command).await;
    }
    let (since, until) = (args.since.as_deref().map(whole_instant), args.until.as_deref().map(whole_instant));
    let bounds = [("since", &since), ("until", &until)];
    let query: Vec<(&str, &str)> = bounds.iter().filter_map(|(name, at)| Some((*name, at.as_deref()?))).collect();
    let bill: Bill = session.client.get("/v1/bills", &query).await?;
    session.show(&bill, bill_text)
}

/// A bill as a person reads it.
pub fn bill_text(bill: &Bill) -> String {
    let total = |parts: &Parts| {
        let by_vouchers =
            parts.vouchers.as_ref().map(|paid| format!(" ({paid} of it by vouchers)")).unwrap_or_default();
        let Parts { payable, grant, waived, .. } = parts;
        let sum = format!("payable {payable}{by_vouchers}, paid by the grant {grant}, waived {waived}");
        match &parts.traffic {
            Some(traffic) => format!("{sum}; traffic is {} of it, and {} was free", traffic.payable, traffic.pools),
            None => sum,
        }
    };
    format!(
        "{}{}{}{}\nSettled: {}\n\n{}{}{}\nAccruing at {}: {}\nAll in {}.\n",
        records_text(&bill.records, "No records yet."),
        traffic_text(&bill.traffic),
        paid_text(&bill.records, &bill.traffic),
        records::given_back(&bill.adjustments),
        total(&bill.settled_total),
        records_text(&bill.accruing, "Nothing accrues."),
        traffic_text(&bill.traffic_accruing),
        paid_text(&bill.accruing, &bill.traffic_accruing),
        instant(&bill.as_of),
        total(&bill.accruing_total),
        bill.currency,
    )
}

fn records_text(records: &[Record], nothing: &str) -> String {
    let titles = [
        "SINCE",
        "UNTIL",
        "QUANTITY>",
        "PRICE>",
        "AMOUNT>",
        "GRANT>",
        "ABOVE>",
        "WAIVED>",
        "REASON",
        "METER",
        "OF",
        "RECORD",
    ];
    let mut table = Table::new(&titles);
    for record in records {
        table.row([
            instant(&record.since),
            instant(&record.until),
            // Seconds at a price per hour, or months at a price per month.
            record.months.map_or(record.seconds.to_string(), |months| format!("{months} mo")),
            record.price.clone(),
            record.amount.clone(),
            record.grant.clone(),
            record.above_grant.clone(),
            record.waived.clone(),
            record.reason.clone().unwrap_or_default(),
            record.meter.clone(),
            short(&record.resource),
            record.id.as_deref().map(short).unwrap_or_default(),
        ]);
    }
    table.text(nothing)
}

/// A table of its own: its quantity is GB and no time. Nothing without traffic.
fn traffic_text(records: &[TrafficRecord]) -> String {
    if records.is_empty() {
        return String::new();
    }
    let titles =
        ["SINCE", "UNTIL", "GB>", "A GB>", "AMOUNT>", "FREE>", "FREE OVERSEAS>", "PAYABLE GB>", "ADDRESS", "RECORD"];
    let mut table = Table::new(&titles);
    for record in records {
        table.row([
            instant(&record.since),
            instant(&record.until),
            record.quantity.clone(),
            record.price.clone(),
            record.amount.clone(),
            record.anywhere.clone(),
            record.overseas.clone(),
            record.payable.clone(),
            short(&record.address),
            record.id.as_deref().map(short).unwrap_or_default(),
        ]);
    }
    format!("\n{}", table.text(""))
}

/// What coupons and cards paid of these records. Nothing without any.
fn paid_text(records: &[Record], traffic: &[TrafficRecord]) -> String {
    let of_time = records.iter().map(|record| (&record.since, &record.meter[..], &record.resource, &record.vouchers));
    let of_traffic = traffic.iter().map(|record| (&record.since, "traffic", &record.address, &record.vouchers));
    let mut table = Table::new(&["SINCE", "METER", "OF", "PAID BY", "AMOUNT>"]);
    let mut any = false;
    for (since, meter, of, paid) in of_time.chain(of_traffic) {
        for one in paid {
            table.row([instant(since), meter.to_owned(), short(of), short(&one.voucher), one.amount.clone()]);
            any = true;
        }
    }
    if any { format!("\n{}", table.text("")) } else { String::new() }
}

/// A bare date begins at its midnight, UTC, as everything in the tables.
pub fn whole_instant(text: &str) -> String {
    let date = text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    match text.split_once(' ') {
        _ if date => format!("{text}T00:00:00Z"),
        // As the tables show an instant.
        Some((day, time)) if !time.contains(['Z', '+']) => format!("{day}T{time}Z"),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::whole_instant;

    #[test]
    fn dates_and_what_tables_show_are_instants_too() {
        assert_eq!(whole_instant("2026-03-01"), "2026-03-01T00:00:00Z");
        assert_eq!(whole_instant("2026-03-01 08:58:30"), "2026-03-01T08:58:30Z");
        assert_eq!(whole_instant("2026-03-01T08:58:30+08:00"), "2026-03-01T08:58:30+08:00");
    }
}
