//! `ebb vouchers`: which coupons and cards does the account have, and who gives and takes them?

use crate::failure::Failure;
use crate::money::whole_instant;
use crate::session::Session;
use crate::table::{Table, facts, instant, optional_instant};
use crate::which::{self, short};
use ebb_wire::person::Because;
use ebb_wire::problem::Page;
use ebb_wire::voucher::{IssueVoucher, Pays, Voucher};

#[derive(Debug, clap::Args)]
pub struct VouchersArgs {
    #[command(subcommand)]
    command: Option<VouchersCommand>,
}

#[derive(Debug, clap::Subcommand)]
enum VouchersCommand {
    /// List the account's coupons and cards: what is left, until when, and for what; also without `list`
    #[command(after_help = "Example:\n  ebb vouchers list --all")]
    List {
        /// Also those that are used up, expired or revoked
        #[arg(long)]
        all: bool,
    },
    /// Show one coupon or card
    #[command(after_help = "Example:\n  ebb vouchers show $VOUCHER")]
    Show {
        /// Id, or the start of one
        voucher: String,
    },
    /// Give an account a coupon or a card, which pays before its cash (operator)
    #[command(
        after_help = "Example:\n  ebb vouchers issue Ada cash-coupon 100 --expires 2026-12-31 --option spot-block --as operator"
    )]
    Issue(IssueArgs),
    /// Take back what is left of a coupon or a card, on record (operator)
    #[command(after_help = "Example:\n  ebb vouchers revoke $VOUCHER --reason \"issued twice\" --as operator")]
    Revoke {
        /// Its whole id; the start of one with --account
        voucher: String,
        #[arg(long)]
        reason: String,
    },
}

#[derive(Debug, clap::Args)]
struct IssueArgs {
    // Not `account`: the option of every command has that name.
    /// Id, start of an id, or name
    #[arg(value_name = "ACCOUNT")]
    whose: String,
    /// A discount coupon never pays for the vCPU and memory of a spot block
    #[arg(value_name = "cash-coupon|discount-coupon|card")]
    kind: String,
    /// What it is worth, in the catalog's currency
    #[arg(allow_negative_numbers = true)]
    face: String,
    /// It pays what is settled from this date or instant on, UTC [default: now]
    #[arg(long, value_name = "WHEN")]
    from: Option<String>,
    /// And nothing from this one on [default: it never expires]
    #[arg(long, value_name = "WHEN")]
    expires: Option<String>,
    /// Only for instances bought so: on-demand, trial, spot-block, subscription; may be given several times
    #[arg(long = "option", value_name = "OPTION")]
    options: Vec<String>,
    /// Only for this: compute, system-disk, traffic, subscription; may be given several times
    #[arg(long = "meter", value_name = "METER")]
    meters: Vec<String>,
    /// Only for instances of this flavor; may be given several times
    #[arg(long = "flavor", value_name = "FLAVOR")]
    flavors: Vec<String>,
    /// Only in this region; may be given several times
    #[arg(long = "region", value_name = "REGION")]
    regions: Vec<String>,
}

pub async fn vouchers(session: &Session, args: &VouchersArgs) -> Result<(), Failure> {
    let client = &session.client;
    match args.command.as_ref().unwrap_or(&VouchersCommand::List { all: false }) {
        VouchersCommand::List { all } => {
            let query: &[(&str, &str)] = if *all { &[("all", "true")] } else { &[] };
            let page: Page<Voucher> = client.all("/v1/vouchers", query).await?;
            session.show(&page, |page| list_text(&page.items))
        }
        VouchersCommand::Show { voucher } => {
            let id = which::voucher(client, voucher).await?;
            let one: Voucher = client.get(&format!("/v1/vouchers/{id}"), &[]).await?;
            session.show(&one, voucher_text)
        }
        VouchersCommand::Issue(args) => {
            let id = which::account(client, &args.whose).await?;
            let body = IssueVoucher {
                kind: args.kind.clone(),
                face: args.face.clone(),
                valid_from: args.from.as_deref().map(whole_instant),
                expires_at: args.expires.as_deref().map(whole_instant),
                pays: Pays {
                    options: args.options.clone(),
                    meters: args.meters.clone(),
                    flavors: args.flavors.clone(),
                    regions: args.regions.clone(),
                },
            };
            let issued: Voucher = client.post(&format!("/v1/accounts/{id}/vouchers"), &body).await?;
            session.show(&issued, voucher_text)
        }
        VouchersCommand::Revoke { voucher, reason } => {
            let id = which::voucher(client, voucher).await?;
            let because = Because { reason: reason.clone() };
            let taken: Voucher = client.post(&format!("/v1/vouchers/{id}/revoke"), &because).await?;
            session.show(&taken, voucher_text)
        }
    }
}

fn list_text(vouchers: &[Voucher]) -> String {
    let mut table = Table::new(&["ID", "KIND", "STATE", "FACE>", "LEFT>", "EXPIRES", "PAYS FOR"]);
    for one in vouchers {
        table.row([
            short(&one.id),
            one.kind.clone(),
            one.state.clone(),
            one.face.clone(),
            one.left.clone(),
            one.expires_at.as_deref().map_or("never".to_owned(), instant),
            pays_text(one),
        ]);
    }
    table.text("No coupons or cards that still pay.")
}

fn voucher_text(one: &Voucher) -> String {
    let unless_none =
        |amount: &String| if amount.trim_matches(['0', '.']).is_empty() { String::new() } else { amount.clone() };
    facts(&[
        ("voucher", one.id.clone()),
        ("account", one.account.clone()),
        ("kind", one.kind.clone()),
        ("state", one.state.clone()),
        ("face", one.face.clone()),
        ("left", one.left.clone()),
        ("used", one.used.clone()),
        ("expired", unless_none(&one.expired)),
        ("revoked", unless_none(&one.revoked)),
        ("pays for", pays_text(one)),
        ("valid from", instant(&one.valid_from)),
        ("expires", optional_instant(one.expires_at.as_ref())),
    ])
}

fn pays_text(one: &Voucher) -> String {
    let Pays { options, meters, flavors, regions } = &one.pays;
    let named: Vec<String> = [options, meters, flavors, regions]
        .into_iter()
        .filter(|all| !all.is_empty())
        .map(|all| all.join(", "))
        .collect();
    match (named.is_empty(), one.kind.as_str()) {
        (true, "discount-coupon") => "all but a block's compute, and months".to_owned(),
        (true, _) => "all but months".to_owned(),
        (false, _) => named.join("; "),
    }
}
