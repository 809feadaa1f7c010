//! Why does a bill record say what it says? In words, for whoever pays it; the figures go beside them.

mod bounds;

pub use bounds::{Bound, begins, ends};

use crate::event::Event;
use ebb_model::billing::{Adjustment, BillRecord, GivenBack, Meter, Settled, Span, ToVoucher};
use ebb_model::calendar::Calendar;
use ebb_model::instance::{Cause, End, Purchase};
use ebb_model::money::{Amount, EXACT_PER_UNIT, Exact, Price};
use ebb_model::time::{HOUR, Period, Second, Timestamp};
use ebb_model::traffic::{Quantity, TrafficExact, TrafficRecord};
use ebb_model::trial::TrialGrant;

/// One step of the way from use to money, and what it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub about: &'static str,
    pub text: String,
}

fn told(about: &'static str, text: String) -> Told {
    Told { about, text }
}

/// All that a record of time came from.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    pub record: &'a BillRecord,
    pub span: &'a Span,
    /// Its name and, of an instance, its flavor, as it is called today.
    pub name: &'a str,
    pub flavor: Option<&'a str>,
    /// What the log has about the instance, oldest first.
    pub events: &'a [(Timestamp, Event)],
    pub end: Option<&'a End>,
    pub grant: Option<&'a TrialGrant>,
    /// Of the clock hour: what the grant had left at its beginning, and what it paid before this record.
    pub hour: Option<HourOfGrant>,
    pub calendar: &'a Calendar,
    pub zone: &'a str,
    pub currency: &'a str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HourOfGrant {
    pub left: Exact,
    pub paid_to_others: Exact,
}

/// What the entry that settled a record moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    pub entry: String,
    pub reason: String,
    pub cash: Amount,
    pub debt: Amount,
    pub rounding: Amount,
}

/// A record of time: what was used, why from then to then, at which price, and who pays.
pub fn of_time(facts: &Facts) -> Vec<Told> {
    let (record, charge) = (facts.record, &facts.record.charge);
    let mut all = vec![told("what", what(facts))];
    let because = |bounds: Vec<Bound>| {
        let reasons: Vec<String> = bounds.iter().map(|bound| bound.words(facts.calendar)).collect();
        reasons.join(", and ")
    };
    all.push(told("begins", format!("It begins there because {}.", because(begins(facts)))));
    all.push(told("ends", format!("It ends there because {}.", because(ends(facts)))));
    all.push(told("price", price(facts)));
    all.push(told("amount", amount(charge.months, charge.seconds(), charge.price, charge.gross(), facts.currency)));
    all.push(told("coverage", coverage(facts)));
    if let Some(cause) = charge.waiver {
        all.push(told("waiver", waiver(facts, cause)));
    }
    if charge.covered {
        all.extend(grant(facts));
    }
    let payable = match record.split.payable {
        Exact::ZERO => "Nothing of it is payable.".to_owned(),
        payable => format!("{payable} {} of it is payable.", facts.currency),
    };
    all.push(told("payable", payable));
    let vouchers = record.split.vouchers;
    all.extend((vouchers > Exact::ZERO).then(|| by_vouchers(&vouchers.to_string(), facts.currency)));
    all
}

fn by_vouchers(amount: &str, currency: &str) -> Told {
    told("vouchers", format!("Coupons and cards paid {amount} {currency} of that; `ebb bill` says which."))
}

/// The same of traffic, with what of the month's pools was used before its hour.
pub fn of_traffic(
    record: &TrafficRecord,
    region: &str,
    overseas: bool,
    before: (Quantity, Quantity),
    calendar: &Calendar,
    zone: &str,
    currency: &str,
) -> Vec<Told> {
    let charge = &record.charge;
    let period = local(charge.period, calendar, zone);
    let (quantity, price, paid) = (charge.quantity, charge.price, charge.paid());
    let from = if overseas { format!("{region}, which is overseas") } else { region.to_owned() };
    let mut all = vec![
        told("what", format!("{quantity} GB left public address {} in {from}, {period}.", charge.address)),
        told("begins", "It is what the address's counter showed at readings of this clock hour, on this side of local midnight; one on the full hour speaks of the hour before it.".to_owned()),
        told("price", format!("A GB costs {price} {currency} in that hour.")),
        told(
            "amount",
            format!("{quantity} GB × {price} {currency} = {} {currency}; bytes below a millionth of a GB wait for more of the same month.", paid.total()),
        ),
    ];
    let pools = if paid.pools == Default::default() {
        "No pool paid for it: pools pay within the validity of a trial's grant, while something is left of them."
            .to_owned()
    } else {
        let (anywhere, overseas) = before;
        format!(
            "The month's pools paid {} GB ({} GB of what is free overseas, then {} GB of what is free anywhere); before this hour {overseas} GB and {anywhere} GB of them were used.",
            charge.anywhere + charge.overseas,
            charge.overseas,
            charge.anywhere,
        )
    };
    all.push(told("pools", pools));
    all.push(told("payable", format!("{} GB, that is {} {currency}, is payable.", charge.payable(), paid.payable)));
    all.extend((paid.vouchers > TrafficExact::ZERO).then(|| by_vouchers(&paid.vouchers.to_string(), currency)));
    all
}

/// How what was payable was paid: by the one entry that settled it with others.
pub fn payment(moved: &Moved, currency: &str) -> Told {
    let Moved { entry, reason, cash, debt, rounding } = moved;
    let whole = match reason.split(' ').next() {
        Some("hour") => "that hour",
        Some("block") => "that block",
        _ => "that payment",
    };
    let debt = if *debt == Amount::ZERO { String::new() } else { format!(" and left {debt} {currency} owed") };
    let rounding = match *rounding {
        Amount::ZERO => String::new(),
        off => format!("; {off} of it is rounding, since each total is rounded once and not each record"),
    };
    told(
        "payment",
        format!(
            "Entry {entry} settled it together with all else of {whole}, which took {cash} {currency} of cash{debt}{rounding}."
        ),
    )
}

/// What was given back of it.
pub fn given_back(all: &[Adjustment], currency: &str) -> Vec<Told> {
    let one = |adjustment: &Adjustment| {
        let GivenBack { debt, cash, vouchers, grant, expired } = &adjustment.back;
        let part = |(amount, to): (&Amount, &str)| (*amount != Amount::ZERO).then(|| format!("{amount} {to}"));
        let to_voucher = |one: &ToVoucher| {
            let gone = one.gone.map_or(String::new(), |gone| format!(", which is {}", gone.name()));
            format!("{} to {}{gone}", one.amount, one.voucher)
        };
        let own = [(debt, "off the debt"), (cash, "to cash")].into_iter().filter_map(part);
        let granted = [(grant, "to the grant"), (expired, "to a grant that is over")].into_iter().filter_map(part);
        let parts: Vec<String> = own.chain(vouchers.iter().map(to_voucher)).chain(granted).collect();
        let (total, at) = (adjustment.back.total(), adjustment.at);
        told(
            "given back",
            format!("{total} {currency} was given back at {at} ({}): {}.", parts.join(", "), adjustment.reason),
        )
    };
    all.iter().map(one).collect()
}

fn what(facts: &Facts) -> String {
    let charge = &facts.record.charge;
    let used = match charge.meter {
        Meter::Compute => "vCPU and memory",
        Meter::SystemDisk => "the system disk",
        Meter::Subscription => "a subscription with its system disk",
        Meter::DataDisk => "the data disk",
        Meter::Snapshot => "the snapshot",
        Meter::Bandwidth => "the bandwidth",
    };
    let long = match charge.months {
        Some(1) => "1 month".to_owned(),
        Some(months) => format!("{months} months"),
        None => format!("{} seconds", charge.seconds()),
    };
    let period = local(charge.period, facts.calendar, facts.zone);
    match flavor_then(facts) {
        Some(flavor) => format!("{long} of {used} of `{}` ({flavor}), {period}.", facts.name),
        None => format!("{long} of {used} {}, {period}.", facts.name),
    }
}

/// `2026-03-02 09:00:00 to 10:00:00 in Asia/Shanghai (2026-03-02T01:00:00Z to 2026-03-02T02:00:00Z)`.
fn local(period: Period, calendar: &Calendar, zone: &str) -> String {
    let (since, until) = (calendar.local(period.since), calendar.local(period.until));
    let until = if since[..10] == until[..10] { &until[11..] } else { &until };
    format!("{since} to {until} in {zone} ({} to {})", period.since, period.until)
}

/// Its flavor as the log has it at the record's first second.
fn flavor_then(facts: &Facts) -> Option<String> {
    let since = facts.record.charge.period.since;
    let mut flavor = None;
    for (at, event) in facts.events {
        match event {
            Event::Bought { flavor: bought, .. } => flavor = Some(bought),
            Event::Resized { flavor: resized, at, .. } if *at <= since => flavor = Some(resized),
            Event::Resized { .. } if at.second() > since => break,
            _ => {}
        }
    }
    flavor.map(String::as_str).or(facts.flavor).map(str::to_owned)
}

/// Since when its price holds, and why it is that.
fn price(facts: &Facts) -> String {
    let charge = &facts.record.charge;
    let (amount, currency) = (charge.price, facts.currency);
    if charge.meter == Meter::Subscription {
        if bounds::begins(facts) == [Bound::MonthsBegan] {
            let ordered = facts.events.iter().find(|(_, event)| matches!(event, Event::Bought { .. }));
            let at = ordered.map_or(facts.record.issued_at.start(), |(at, _)| *at);
            return format!("A month costs {amount} {currency}, fixed when the order was accepted at {at}.");
        }
        return format!(
            "A month costs {amount} {currency}, as it was when the months were paid at {}.",
            facts.record.issued_at
        );
    }
    let (at, why) = price_since(facts);
    format!("An hour costs {amount} {currency}, {why} at {at}.")
}

/// The instant at which the price was fixed.
pub fn price_since(facts: &Facts) -> (Timestamp, &'static str) {
    let charge = &facts.record.charge;
    let mut since = (facts.span.since.start(), "since its use began");
    for (at, event) in facts.events {
        match event {
            Event::Bought { purchase: Purchase::SpotBlock { .. }, .. } => {
                since = (*at, "fixed when the order was accepted");
            }
            Event::Bought { .. } => since = (*at, "as it was when the order was accepted"),
            Event::PriceChanged { since: from, .. } if *from <= charge.period.since => {
                since = (from.start(), "as of the price book from then on");
            }
            Event::Resized { at, .. } if charge.meter == Meter::Compute && *at <= charge.period.since => {
                since = (at.start(), "as of its flavor when it was resized");
            }
            Event::Converted { purchase: Purchase::OnDemand { .. }, at, .. } if *at <= charge.period.since => {
                since = (at.start(), "which it kept when it became on-demand");
            }
            _ => {}
        }
    }
    let of = charge.period.since;
    let changes = facts.span.price.iter().filter_map(|dated| dated.from).filter(|from| *from <= of);
    let newest = changes.filter(|from| from.start() > since.0).max();
    newest.map_or(since, |from| (from.start(), "as of the price book from then on"))
}

fn amount(months: Option<i64>, seconds: i64, price: Price, gross: Exact, currency: &str) -> String {
    let units = gross.units();
    match months {
        Some(months) => format!("{months} × {price} = {gross} {currency}."),
        None => format!(
            "{seconds} s × {price} / {HOUR} s = {gross} {currency}; exactly it is {units}/{EXACT_PER_UNIT}, and nothing is rounded before all is added up."
        ),
    }
}

/// Whether a grant may pay for it, and why, or why not.
fn coverage(facts: &Facts) -> String {
    let (charge, since) = (&facts.record.charge, facts.record.charge.period.since);
    if charge.covered {
        return "A trial's grant may pay for it: it was bought as a trial, its flavor is on the trial's list, and the grant was valid.".to_owned();
    }
    let bought_as_trial =
        facts.events.iter().any(|(_, event)| matches!(event, Event::Bought { purchase: Purchase::Trial { .. }, .. }));
    let why = match (facts.span.settled, facts.grant) {
        (Settled::AtRelease { .. }, _) => "it is a spot block, and a trial's is sold on demand".to_owned(),
        (Settled::InAdvance { .. }, _) => "months are paid in advance".to_owned(),
        (Settled::Hourly { trial: true }, Some(grant)) if since >= grant.valid_until => {
            format!("the grant was valid until {}", grant.valid_until)
        }
        (Settled::Hourly { trial: true }, Some(grant)) => {
            format!("the grant was claimed later, at {}", grant.claimed_at)
        }
        _ if !Meter::OF_INSTANCE.contains(&charge.meter) => {
            "a grant pays for trial instances and their system disks, and for nothing else (rules §3.3)".to_owned()
        }
        _ if !bought_as_trial => "it was not bought as a trial".to_owned(),
        _ => left_trial(facts, since),
    };
    format!("No grant pays for it: {why}.")
}

/// Why a trial instance is none any more, or is not covered all the same.
fn left_trial(facts: &Facts, since: Second) -> String {
    for (_, event) in facts.events.iter().rev() {
        match event {
            Event::BecameOnDemand { since: at } if *at <= since => {
                return format!("its trial ended, and it is on demand since {at}");
            }
            Event::Converted { at, .. } if *at <= since => return format!("its owner converted it at {at}"),
            _ => {}
        }
    }
    let flavor = flavor_then(facts).unwrap_or_default();
    format!("its flavor {flavor} was not on the trial's list in its region")
}

fn waiver(facts: &Facts, cause: Cause) -> String {
    let charge = &facts.record.charge;
    let Some(end) = facts.end else { return format!("It is waived: {}.", bounds::cause(cause)) };
    let notice = match end.notice {
        Some(notice) => format!("; the notice came at {}, with {} as its deadline", notice.notice_at, notice.deadline),
        None => String::new(),
    };
    if cause == Cause::Drill {
        let limit = match end.waived_until {
            Some(until) => format!("; the month's free seconds of drills were used up at {until}"),
            None => String::new(),
        };
        return format!(
            "It is free because {}: what is before the request is charged as if it had been deleted then{notice}{limit}.",
            bounds::cause(cause)
        );
    }
    let period = match facts.span.settled {
        Settled::AtRelease { hours } => {
            let since = end.waived_since.unwrap_or(charge.period.since);
            format!(" of {hours} hours from {since}", since = facts.calendar.local(since))
        }
        _ => String::new(),
    };
    format!(
        "It is free because {}, within the guarantee period{period}{notice}. The disk and traffic are charged all the same.",
        bounds::cause(cause)
    )
}

fn grant(facts: &Facts) -> Option<Told> {
    let (grant, hour) = (facts.grant?, facts.hour?);
    let (paid, cap, currency) = (facts.record.split.grant, grant.cap(), facts.currency);
    let (others, left) = (hour.paid_to_others, hour.left);
    let rest = facts.record.charge.gross() - paid;
    let why = if rest == Exact::ZERO {
        "all of it".to_owned()
    } else if others + paid >= cap {
        format!("and no more: {rest} is above the hourly cap")
    } else {
        format!("and no more: {rest} is more than was left")
    };
    Some(told(
        "grant",
        format!(
            "The grant paid {paid} {currency}, {why}. Of this clock hour it pays {cap} at most, and paid {others} for what comes before; at the hour's beginning {left} of it was left."
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_told_where_its_reader_lives() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap().second();
        let calendar = Calendar::new("Asia/Shanghai").unwrap();
        let period = Period { since: at("2026-03-02T01:00:00Z"), until: at("2026-03-02T02:00:00Z") };
        assert_eq!(
            local(period, &calendar, "Asia/Shanghai"),
            "2026-03-02 09:00:00 to 10:00:00 in Asia/Shanghai (2026-03-02T01:00:00Z to 2026-03-02T02:00:00Z)"
        );
        let over = Period { until: at("2026-03-02T17:00:00Z"), ..period };
        assert!(local(over, &calendar, "x").starts_with("2026-03-02 09:00:00 to 2026-03-03 01:00:00 in x"));
    }

    #[test]
    fn an_amount_is_told_to_the_last_digit() {
        let price = Price::from_micros(70_000);
        let said = amount(None, 90, price, price.charge(90), "CNY");
        assert!(said.starts_with("90 s × 0.07 / 3600 s = 0.00175000 CNY; exactly it is 6300000/3600000000"), "{said}");
        assert_eq!(amount(Some(2), 0, price, price.charge(2 * HOUR), "CNY"), "2 × 0.07 = 0.14000000 CNY.");
    }
}
