//! Which instance, or which account, is meant? An id, the start of one, or a name.

use crate::client::Client;
use crate::failure::Failure;
use ebb_wire::account::Account;
use ebb_wire::address::Address;
use ebb_wire::bill::Bill;
use ebb_wire::catalog::Catalog;
use ebb_wire::disk::{Disk, Snapshot};
use ebb_wire::image::Image;
use ebb_wire::instance::Instance;
use ebb_wire::problem::Page;
use ebb_wire::subscription::Subscription;
use ebb_wire::voucher::Voucher;

/// Ids begin with their microsecond of birth and a count, and go on by chance: 20 digits stay unique, and are shown.
const SHOWN: usize = 20;
const WHOLE: usize = 32;

/// An id as tables show it; commands take it back.
pub fn short(id: &str) -> String {
    let kind = id.find('-').map_or(0, |dash| dash + 1);
    id.get(..kind + SHOWN).unwrap_or(id).to_owned()
}

/// Finds the instance that `text` names: its id, an unambiguous start of it, or its name. One that is not released goes before those that are.
///
/// # Errors
/// None or several match; the sentence lists them.
pub async fn instance(client: &Client, text: &str) -> Result<String, Failure> {
    if is_whole_id(text, "i-") {
        return Ok(text.to_owned());
    }
    let of = |instance: Instance| Candidate { name: instance.name, id: instance.id };
    let live: Page<Instance> = client.all("/v1/instances", &[("state", "live")]).await?;
    let live = pick("instance", text, "i-", live.items.into_iter().map(of).collect());
    if !matches!(live, Ok(None)) {
        return found("instance", text, "ebb instances list", live);
    }
    let all: Page<Instance> = client.all("/v1/instances", &[("state", "all")]).await?;
    let all = pick("instance", text, "i-", all.items.into_iter().map(of).collect());
    found("instance", text, "ebb instances list --all", all)
}

/// Finds an account by its id, an unambiguous start of it, or its name. For the operator, who can list them.
///
/// # Errors
/// None or several match; the sentence lists them.
pub async fn account(client: &Client, text: &str) -> Result<String, Failure> {
    if is_whole_id(text, "a-") {
        return Ok(text.to_owned());
    }
    let all: Page<Account> = client.all("/v1/accounts", &[]).await?;
    let all = all.items.into_iter().map(|account| Candidate { name: account.name, id: account.id });
    found("account", text, "ebb accounts list", pick("account", text, "a-", all.collect()))
}

/// Finds an image of an account by its id, an unambiguous start of it, or its name.
///
/// # Errors
/// None or several match; the sentence lists them.
pub async fn image(client: &Client, text: &str) -> Result<String, Failure> {
    if is_whole_id(text, "img-") {
        return Ok(text.to_owned());
    }
    found("image", text, "ebb images list", own_image(client, text).await?)
}

async fn own_image(client: &Client, text: &str) -> Result<Result<Option<String>, Failure>, Failure> {
    let all: Page<Image> = client.all("/v1/images", &[]).await?;
    let all = all.items.into_iter().map(|image| Candidate { name: image.name, id: image.id });
    Ok(pick("image", text, "img-", all.collect()))
}

/// What a system disk is to begin with: an image of the catalog by its id, else one of the account's own. What is neither is left to the
/// service, which says so.
///
/// # Errors
/// Several match; the sentence lists them.
pub async fn first_image(client: &Client, text: &str) -> Result<String, Failure> {
    let catalog: Catalog = client.get("/v1/catalog", &[]).await?;
    if is_whole_id(text, "img-") || catalog.images.iter().any(|image| image.id == text) {
        return Ok(text.to_owned());
    }
    Ok(own_image(client, text).await??.unwrap_or_else(|| text.to_owned()))
}

/// Finds a subscription by its id, an unambiguous start of it, or its address.
///
/// # Errors
/// None or several match; the sentence lists them.
pub async fn subscription(client: &Client, text: &str) -> Result<String, Failure> {
    if is_whole_id(text, "n-") {
        return Ok(text.to_owned());
    }
    let all: Page<Subscription> = client.all("/v1/subscriptions", &[]).await?;
    let all = all.items.into_iter().map(|known| Candidate { name: known.address, id: known.id });
    found("subscription", text, "ebb subscriptions list", pick("subscription", text, "n-", all.collect()))
}

/// Finds a public address by itself, its id, an unambiguous start of that, or the name of the instance that it leads to.
///
/// # Errors
/// None or several match; the sentence lists them.
pub async fn address(client: &Client, text: &str) -> Result<String, Failure> {
    if is_whole_id(text, "g-") {
        return Ok(text.to_owned());
    }
    let all: Page<Address> = client.all("/v1/addresses", &[]).await?;
    let itself = |one: &Address| one.ip.as_deref() == Some(text);
    if let Some(one) = all.items.iter().find(|one| itself(one)) {
        return found("public address", text, "ebb addresses list", Ok(Some(one.id.clone())));
    }
    let named = |one: Address| Candidate { name: one.instance_name.unwrap_or_default(), id: one.id };
    let all = all.items.into_iter().map(named).collect();
    found("public address", text, "ebb addresses list", pick("public address", text, "g-", all))
}

/// Finds a bill record by its id, or by the start of one as `ebb bill` shows it.
///
/// # Errors
/// None or several match; the sentence lists them.
pub async fn record(client: &Client, text: &str) -> Result<String, Failure> {
    if is_whole_id(text, "r-") {
        return Ok(text.to_owned());
    }
    if !text.starts_with("r-") {
        return Err(Failure::Usage(format!("`{text}` is no record: its id begins with r-, and `ebb bill` shows it")));
    }
    let bill: Bill = client.get("/v1/bills", &[]).await?;
    let time = bill.records.into_iter().filter_map(|record| Some(Candidate { name: record.since, id: record.id? }));
    let traffic = bill.traffic.into_iter().filter_map(|record| Some(Candidate { name: record.since, id: record.id? }));
    found("bill record", text, "ebb bill", pick("bill record", text, "r-", time.chain(traffic).collect()))
}

/// Finds a coupon or a card by its id, or an unambiguous start of it.
///
/// # Errors
/// None or several match; the sentence lists them.
pub async fn voucher(client: &Client, text: &str) -> Result<String, Failure> {
    if is_whole_id(text, "c-") {
        return Ok(text.to_owned());
    }
    let all: Page<Voucher> = client.all("/v1/vouchers", &[("all", "true")]).await?;
    let all = all.items.into_iter().map(|known| Candidate { name: String::new(), id: known.id }).collect();
    found("voucher", text, "ebb vouchers list --all", pick("voucher", text, "c-", all))
}

/// Finds a data disk by its id, an unambiguous start of it, or its name.
///
/// # Errors
/// None or several match; the sentence lists them.
pub async fn disk(client: &Client, text: &str) -> Result<String, Failure> {
    if is_whole_id(text, "disk-") {
        return Ok(text.to_owned());
    }
    let all: Page<Disk> = client.all("/v1/disks", &[]).await?;
    let all = all.items.into_iter().map(|one| Candidate { name: one.name, id: one.id }).collect();
    found("data disk", text, "ebb disks list", pick("data disk", text, "disk-", all))
}

/// The same of a snapshot.
///
/// # Errors
/// None or several match; the sentence lists them.
pub async fn snapshot(client: &Client, text: &str) -> Result<String, Failure> {
    if is_whole_id(text, "snap-") {
        return Ok(text.to_owned());
    }
    let all: Page<Snapshot> = client.all("/v1/snapshots", &[]).await?;
    let all = all.items.into_iter().map(|one| Candidate { name: one.name, id: one.id }).collect();
    found("snapshot", text, "ebb snapshots list", pick("snapshot", text, "snap-", all))
}

struct Candidate {
    id: String,
    name: String,
}

fn is_whole_id(text: &str, prefix: &str) -> bool {
    let digits = text.strip_prefix(prefix);
    digits.is_some_and(|digits| digits.len() == WHOLE && digits.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// A name goes before the start of an id: somebody chose it.
fn pick(what: &str, text: &str, prefix: &str, all: Vec<Candidate>) -> Result<Option<String>, Failure> {
    let named: Vec<&Candidate> = all.iter().filter(|one| one.name == text).collect();
    let started = all.iter().filter(|one| text.starts_with(prefix) && one.id.starts_with(text));
    let matching = if named.is_empty() { started.collect() } else { named };
    match matching.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(one.id.clone())),
        several => {
            let lines = several.iter().take(10).map(|one| format!("\n     {}  {}", one.id, one.name));
            let count = several.len();
            Err(Failure::Usage(format!("`{text}` is {count} {what}s; give the id:{}", lines.collect::<String>())))
        }
    }
}

fn found(what: &str, text: &str, list: &str, picked: Result<Option<String>, Failure>) -> Result<String, Failure> {
    let none = || Failure::Outcome(format!("no {what} has the id or the name `{text}`; `{list}` shows them"));
    let id = picked?.ok_or_else(none)?;
    // It becomes a part of ssh's command line and of a shell's, so it must be what it says.
    let kinds = ["i-", "a-", "n-", "g-", "r-", "c-", "img-", "disk-", "snap-"];
    match kinds.iter().any(|prefix| is_whole_id(&id, prefix)) {
        true => Ok(id),
        false => Err(Failure::Outcome(format!("the server says that `{text}` is `{id}`, and that is no id"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pick_from(text: &str) -> String {
        let one = |id: &str, name: &str| Candidate { id: id.to_owned(), name: name.to_owned() };
        let all = vec![one("i-0a1", "web"), one("i-0a2", "web"), one("i-0b1", "db"), one("i-0c1", "i-0a")];
        match pick("instance", text, "i-", all) {
            Ok(id) => id.unwrap_or_else(|| "none".to_owned()),
            Err(failure) => failure.to_string(),
        }
    }

    #[test]
    fn what_a_server_calls_an_id_must_be_one() {
        let found = |id: &str| found("instance", "web", "ebb instances list", Ok(Some(id.to_owned())));
        let whole = format!("i-{}", "0a".repeat(16));
        assert_eq!(found(&whole).unwrap(), whole);
        for bad in ["i-0a1", "-oProxyCommand=reboot", &format!("i-{:x<32}", "$(reboot)")] {
            assert!(found(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_name_or_the_start_of_an_id_finds_one() {
        assert_eq!(pick_from("db"), "i-0b1");
        assert_eq!(pick_from("i-0b"), "i-0b1");
        assert_eq!(pick_from("i-0a"), "i-0c1");
        assert_eq!(pick_from("0b1"), "none");
        assert_eq!(pick_from("web"), "`web` is 2 instances; give the id:\n     i-0a1  web\n     i-0a2  web");
    }
}
