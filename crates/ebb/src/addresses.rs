//! `ebb addresses`: which public addresses does the account have, and what left them?

use crate::failure::Failure;
use crate::session::Session;
use crate::table::{Table, facts, instant, optional_instant};
use crate::which::{self, short};
use ebb_wire::address::{Address, Allocate, Bind, PayBy, Send};
use ebb_wire::problem::Page;

#[derive(Debug, clap::Subcommand)]
pub enum Addresses {
    /// List the account's public addresses, and what left them this month
    #[command(after_help = "Example:\n  ebb addresses list")]
    List,
    /// Allocate a public address, which leads nowhere yet
    #[command(
        after_help = "Example:\n  ebb addresses allocate cn-beijing\n  ebb addresses allocate cn-beijing --mbit 5\n  ebb addresses allocate cn-hongkong --bind web"
    )]
    Allocate {
        /// A region of the catalog
        region: String,
        /// Let it lead to this instance at once: id, start of an id, or name
        #[arg(long, value_name = "INSTANCE")]
        bind: Option<String>,
        /// Paid by so many Mbit/s of bandwidth, whatever leaves it [default: by what leaves it]
        #[arg(long, value_name = "MBIT", allow_negative_numbers = true)]
        mbit: Option<i64>,
    },
    /// Pay an address otherwise: by bandwidth from the next full minute on, or by what leaves it
    #[command(
        after_help = "Example:\n  ebb addresses charge site --mbit 5\n  ebb addresses charge $BANDWIDTH --traffic"
    )]
    Charge {
        /// The address, its id, the start of its id, or the name of the instance it leads to
        address: String,
        /// So many Mbit/s, to which what leaves it is held
        #[arg(long, value_name = "MBIT", required_unless_present = "traffic", allow_negative_numbers = true)]
        mbit: Option<i64>,
        /// What leaves it
        #[arg(long, conflicts_with = "mbit")]
        traffic: bool,
    },
    /// Let an address that leads nowhere lead to an instance of its region
    #[command(after_help = "Example:\n  ebb addresses bind $ADDRESS web")]
    Bind {
        /// The address, its id, or the start of its id
        address: String,
        /// Id, start of an id, or name
        instance: String,
    },
    /// Let an address lead nowhere; it stays the account's
    #[command(after_help = "Example:\n  ebb addresses unbind site")]
    Unbind {
        /// The address, its id, the start of its id, or the name of the instance it leads to
        address: String,
    },
    /// Give a public address back; what left it by then is counted
    #[command(after_help = "Example:\n  ebb addresses release site")]
    Release {
        /// The address, its id, the start of its id, or the name of the instance it leads to
        address: String,
    },
    /// Let traffic leave an address of a sandbox, whose guests send nothing by themselves
    #[command(after_help = "Example:\n  ebb addresses send site 20GB")]
    Send {
        /// Id, start of an id, or the name of the instance it leads to
        address: String,
        /// How much: 1500, 20kB, 500MB, 20GB, 1TB
        #[arg(value_parser = bytes)]
        bytes: i64,
        /// Let its counter begin again from nothing first
        #[arg(long)]
        reset: bool,
    },
}

pub async fn addresses(session: &Session, command: &Addresses) -> Result<(), Failure> {
    match command {
        Addresses::List => list(session).await,
        Addresses::Charge { address, mbit, .. } => {
            let id = which::address(&session.client, address).await?;
            let charge = if mbit.is_some() { "bandwidth" } else { "traffic" }.to_owned();
            let how = PayBy { charge, mbit: *mbit };
            let paid: Address = session.client.post(&format!("/v1/addresses/{id}/charge"), &how).await?;
            session.show(&paid, address_text)
        }
        Addresses::Allocate { region, bind, mbit } => {
            // What cannot be found is said before anything is allocated.
            let to = match bind {
                Some(text) => Some(which::instance(&session.client, text).await?),
                None => None,
            };
            let new = Allocate { region: Some(region.clone()), mbit: *mbit, ..Allocate::default() };
            let mut new: Address = session.client.post("/v1/addresses", &new).await?;
            if let Some(instance) = to {
                new = session.client.post(&format!("/v1/addresses/{}/bind", new.id), &Bind { instance }).await?;
            }
            session.show(&new, address_text)
        }
        Addresses::Bind { address, instance } => {
            let id = which::address(&session.client, address).await?;
            let instance = which::instance(&session.client, instance).await?;
            let bound: Address = session.client.post(&format!("/v1/addresses/{id}/bind"), &Bind { instance }).await?;
            session.show(&bound, address_text)
        }
        Addresses::Unbind { address } => {
            let id = which::address(&session.client, address).await?;
            let kept: Address = session.client.ask(&format!("/v1/addresses/{id}/unbind")).await?;
            session.show(&kept, address_text)
        }
        Addresses::Release { address } => {
            let id = which::address(&session.client, address).await?;
            let gone: Address = session.client.delete(&format!("/v1/addresses/{id}")).await?;
            session.show(&gone, address_text)
        }
        Addresses::Send { address, bytes, reset } => {
            let id = which::address(&session.client, address).await?;
            let what = Send { bytes: *bytes, reset: *reset };
            let from: Address = session.client.post(&format!("/v1/addresses/{id}/traffic"), &what).await?;
            session.show(&from, |from| {
                format!("{bytes} bytes leave {}; its counter is read at the next full minute.\n", short(&from.id))
            })
        }
    }
}

async fn list(session: &Session) -> Result<(), Failure> {
    let page: Page<Address> = session.client.all("/v1/addresses", &[]).await?;
    session.show(&page, |page| {
        let mut table =
            Table::new(&["ID", "ADDRESS", "INSTANCE", "REGION", "OVERSEAS", "PAID BY", "BYTES THIS MONTH>", "READ"]);
        for one in &page.items {
            table.row([
                short(&one.id),
                one.ip.clone().unwrap_or_default(),
                one.instance_name.clone().unwrap_or_else(|| "none, kept".to_owned()),
                one.region.clone(),
                if one.overseas { "yes" } else { "" }.to_owned(),
                paid_text(one),
                one.bytes_this_month.to_string(),
                optional_instant(one.read_at.as_ref()),
            ]);
        }
        table.text(
            "No public addresses. `ebb buy --public-ip` buys an instance with one, `ebb addresses allocate` one alone.",
        )
    })
}

/// `traffic, 0.80 a GB`, or `5 Mbit/s, 0.15 an hour`.
fn paid_text(one: &Address) -> String {
    match one.mbit {
        Some(mbit) => {
            let price = one.bandwidth_price.as_ref().map_or_else(String::new, |price| format!(", {price} an hour"));
            format!("{mbit} Mbit/s{price}")
        }
        None => format!("traffic, {} a GB", one.price),
    }
}

fn address_text(one: &Address) -> String {
    facts(&[
        ("id", one.id.clone()),
        ("address", one.ip.clone().unwrap_or_default()),
        ("leads to", one.instance_name.clone().unwrap_or_else(|| "nothing".to_owned())),
        ("region", one.region.clone()),
        ("paid by", paid_text(one)),
        ("allocated", instant(&one.allocated_at)),
        ("released", optional_instant(one.released_at.as_ref())),
        ("bytes this month", one.bytes_this_month.to_string()),
    ])
}

/// Reads `1500`, `20kB`, `20GB`; a kB is 1000 bytes.
fn bytes(text: &str) -> Result<i64, String> {
    let wrong = || format!("`{text}` is no quantity of bytes; write 1500, 20kB, 500MB, 20GB or 1TB");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: i64 = match &text[digits.len()..] {
        "" | "B" => 1,
        "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return Err(wrong()),
    };
    let number: i64 = digits.parse().map_err(|_| wrong())?;
    number.checked_mul(unit).filter(|bytes| *bytes >= 0).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn quantities_are_read() {
        let read = ["1500", "20kB", "500MB", "20GB", "1TB"].map(|text| bytes(text).unwrap());
        assert_eq!(read, [1_500, 20_000, 500_000_000, 20_000_000_000, 1_000_000_000_000]);
        for bad in ["", "GB", "1.5GB", "-1", "20GiB", "99999999999TB"] {
            assert!(bytes(bad).is_err(), "{bad} was taken");
        }
    }
}
