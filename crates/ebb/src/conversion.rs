//! `ebb instances convert`, `ebb instances renew`, and a delete of what is paid: what is paid now, up to when, and what is lost with it?

use crate::failure::Failure;
use crate::instances::instance_text;
use crate::question::agreed;
use crate::session::Session;
use crate::table::{instant, plain};
use crate::which;
use ebb_wire::instance::{ChooseRenewal, Convert, Converted, Instance, Payment, Renew, Renewal};

/// How an instance is sold from now on.
#[derive(Debug, clap::Args)]
pub struct ConvertArgs {
    /// Id, start of an id, or name
    id: String,
    /// `on-demand` (a trial instance) or `subscription` (a trial or on-demand instance)
    #[arg(long, value_name = "OPTION")]
    to: String,
    /// Of a subscription: pay so many months in advance
    #[arg(long, required_if_eq("to", "subscription"))]
    months: Option<i64>,
    #[command(flatten)]
    price: Price,
}

/// For how much longer a subscription is paid.
#[derive(Debug, clap::Args)]
pub struct RenewArgs {
    /// Id, start of an id, or name
    id: String,
    /// Pay so many more months
    #[arg(long, default_value_t = 1)]
    months: i64,
    #[command(flatten)]
    price: Price,
}

/// What becomes of a subscription in the second of its end.
#[derive(Debug, clap::Args)]
pub struct RenewalArgs {
    /// Id, start of an id, or name
    id: String,
    /// Pay so many more months then, if the money is there
    #[arg(long, value_name = "MONTHS", required_unless_present = "off", allow_negative_numbers = true)]
    auto: Option<i64>,
    /// Let it end
    #[arg(long, conflicts_with = "auto")]
    off: bool,
}

#[derive(Debug, clap::Args)]
struct Price {
    /// Refuse if a month costs something else by now
    #[arg(long, value_name = "PRICE")]
    expected_price: Option<String>,
    /// Say only what it would be
    #[arg(long)]
    quote: bool,
}

pub async fn convert(session: &Session, args: &ConvertArgs) -> Result<(), Failure> {
    let id = which::instance(&session.client, &args.id).await?;
    let (expected_price, quote) = (args.price.expected_price.clone(), args.price.quote);
    let to = Convert { to: args.to.clone(), months: args.months, expected_price, quote };
    let converted: Converted = session.client.post(&format!("/v1/instances/{id}/convert"), &to).await?;
    session.show(&converted, |converted| text(converted, quote))
}

pub async fn renew(session: &Session, args: &RenewArgs) -> Result<(), Failure> {
    let id = which::instance(&session.client, &args.id).await?;
    let (expected_price, quote) = (args.price.expected_price.clone(), args.price.quote);
    let more = Renew { months: args.months, expected_price, quote };
    let renewed: Converted = session.client.post(&format!("/v1/instances/{id}/renew"), &more).await?;
    session.show(&renewed, |renewed| text(renewed, quote))
}

pub async fn renewal(session: &Session, args: &RenewalArgs) -> Result<(), Failure> {
    let id = which::instance(&session.client, &args.id).await?;
    let choice = ChooseRenewal { auto: args.auto.is_some(), months: args.auto };
    let chosen: Renewal = session.client.post(&format!("/v1/instances/{id}/renewal"), &choice).await?;
    session.show(&chosen, renewal_text)
}

fn renewal_text(chosen: &Renewal) -> String {
    let (currency, available) = (&chosen.currency, &chosen.available);
    let text = match (&chosen.payment, &chosen.instance.subscription) {
        (Some(Payment { months, amount, since, until, .. }), _) => format!(
            "At {} it renews itself: {amount} {currency} by the prices that are entered, for {}, up to {}. {available} {currency} are available \
             now; if they are too few then, it ends.\n",
            instant(since),
            count(*months),
            instant(until)
        ),
        (None, Some(paid)) => format!("At {} it ends, unless it is renewed before.\n", instant(&paid.until)),
        (None, None) => "It does not run yet; what is chosen counts from its first month on.\n".to_owned(),
    };
    text + "\n" + &instance_text(&chosen.instance)
}

fn count(months: i64) -> String {
    if months == 1 { "1 month".to_owned() } else { format!("{months} months") }
}

fn text(converted: &Converted, quote: bool) -> String {
    let (one, currency) = (&converted.instance, &converted.currency);
    let mut text = match &converted.payment {
        Some(payment) => paid_text(payment, currency, quote),
        None => {
            let head = if quote { "It would be" } else { "It is" };
            format!(
                "{head} an on-demand instance from this second on, at {} per hour (system disk {}). {} {currency} are held for its \
                 first hour.\n",
                one.price, one.system_disk_price, converted.hold
            )
        }
    };
    text += &format!("Available afterwards: {} {currency}.\n", converted.available);
    if quote { text } else { text + "\n" + &instance_text(one) }
}

fn paid_text(payment: &Payment, currency: &str, quote: bool) -> String {
    let Payment { months, price, amount, since, until } = payment;
    let head = if quote { "To be paid" } else { "Paid" };
    let months = count(*months);
    format!(
        "{head} in advance: {amount} {currency} for {months} at {price}, system disk included, from {} to {}.\nNothing of it is given \
         back if the instance is deleted before; after its end it is switched off and kept for a while.\n",
        instant(since),
        instant(until)
    )
}

/// Whoever deletes what is still paid gets nothing back, and is asked first.
pub async fn may_delete(session: &Session, id: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    let one: Instance = session.client.get(&format!("/v1/instances/{id}"), &[]).await?;
    let Some(paid) = one.subscription.filter(|paid| !paid.ended && one.ended_at.is_none()) else { return Ok(()) };
    let (name, until) = (plain(&one.name), instant(&paid.until));
    agreed(
        &format!("{name} is paid until {until}, and nothing of that is given back.\n"),
        "Delete it with its system disk?",
        format!(
            "{name} is paid until {until}, nothing of that is given back, and nobody is there to be asked; give --yes to delete it \
             without a question"
        ),
        "nothing was deleted",
    )
}
