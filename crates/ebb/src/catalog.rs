//! `ebb catalog`: what is for sale, what has it cost and what will it cost, and can a catalog's file be used?

use crate::failure::Failure;
use crate::profile::Global;
use crate::sale;
use crate::session::{Session, print};
use crate::table::{Table, instant};
use ebb_model::price_book::items;
use ebb_model::time::{Second, Timestamp};
use ebb_server::CatalogFile;
use ebb_wire::catalog::{Catalog, DatedPrice};
use serde_json::json;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub struct CatalogArgs {
    #[command(subcommand)]
    command: Option<CatalogCommand>,
}

#[derive(Debug, clap::Subcommand)]
enum CatalogCommand {
    /// Show what is for sale, where, and at which price; also without `show`
    #[command(after_help = "Example:\n  ebb catalog show")]
    Show,
    /// Show every price with the date from which it holds: those that were, that holds now, and those to come
    #[command(after_help = "Example:\n  ebb catalog prices --flavor c6.large.2")]
    Prices {
        /// Only what this flavor costs, with its system disk
        #[arg(long)]
        flavor: Option<String>,
    },
    /// Say whether a service could start with this file, and else in which line what is wrong; needs no server
    #[command(after_help = "Example:\n  ebb catalog check catalog/sample.toml")]
    Check {
        file: PathBuf,
        /// As of this instant, at which everything must have a price [default: now]
        #[arg(long)]
        at: Option<Timestamp>,
    },
}

impl CatalogArgs {
    /// Looks at a file, if that is what is wanted; nothing else needs no server.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn check(&self, global: &Global) -> Option<Result<(), Failure>> {
        match &self.command {
            Some(CatalogCommand::Check { file, at }) => Some(check(file, at.map(Timestamp::second), global.json)),
            _ => None,
        }
    }
}

fn check(file: &Path, at: Option<Second>, as_json: bool) -> Result<(), Failure> {
    let at = at.unwrap_or_else(CatalogFile::now);
    let read = CatalogFile::read(file).and_then(|found| Ok(found.catalog_at(at)?));
    let catalog = read.map_err(|error| Failure::Outcome(error.to_string()))?;
    let all = items(&catalog);
    let to_come: usize = all.iter().map(|(_, prices)| prices.after(at).count()).sum();
    if as_json {
        let said = json!({"file": file.display().to_string(), "items": all.len(), "to_come": to_come});
        return print(&format!("{said}\n"));
    }
    print(&format!(
        "{} can be used: {} things have a price in {}, and prices to come: {to_come}.\n\
         A service that has sold by other prices says with its start which of them were another.\n",
        file.display(),
        all.len(),
        catalog.currency
    ))
}

pub async fn catalog(session: &Session, args: &CatalogArgs) -> Result<(), Failure> {
    match &args.command {
        Some(CatalogCommand::Prices { flavor }) => prices(session, flavor.as_deref()).await,
        _ => sale::catalog(session).await,
    }
}

async fn prices(session: &Session, flavor: Option<&str>) -> Result<(), Failure> {
    let catalog: Catalog = session.client.get("/v1/catalog", &[]).await?;
    if let Some(flavor) = flavor.filter(|flavor| catalog.flavors.iter().all(|known| known.id != **flavor)) {
        return Err(Failure::Outcome(format!(
            "flavor `{flavor}` is not in the catalog; `ebb catalog` lists the flavors"
        )));
    }
    let of_flavor = |price: &&DatedPrice| match (flavor, &price.flavor) {
        (None, _) => true,
        (Some(wanted), Some(of)) => wanted == of,
        (Some(_), None) => price.item.ends_with("system-disk"),
    };
    let all: Vec<DatedPrice> = catalog.prices.iter().filter(of_flavor).cloned().collect();
    session.show(&all, |all| prices_text(all, &catalog.currency, &catalog.as_of))
}

fn prices_text(all: &[DatedPrice], currency: &str, as_of: &str) -> String {
    let mut table = Table::new(&["ITEM", "FROM", "PRICE>", ""]);
    let at = |price: &DatedPrice| price.from.as_ref().and_then(|from| from.parse::<Timestamp>().ok());
    let now = as_of.parse::<Timestamp>().ok();
    for (nth, price) in all.iter().enumerate() {
        let next = all.get(nth + 1).filter(|next| next.item == price.item);
        let begun = at(price) <= now;
        let word = match (begun, next.is_none_or(|next| at(next) > now)) {
            (false, _)
                if all.get(nth.wrapping_sub(1)).is_some_and(|last| last.item == price.item && at(last) <= now) =>
            {
                "next"
            }
            (false, _) => "later",
            (true, true) => "now",
            (true, false) => "over",
        };
        let from = price.from.as_deref().map(instant).unwrap_or_default();
        table.row([price.item.clone(), from, price.price.clone(), word.to_owned()]);
    }
    format!(
        "{}Prices in {currency}: per hour, of a system disk per GiB; of a subscription per month; of traffic per GB.\n",
        table.text("Nothing has a price.")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_now_and_what_comes_next_is_marked() {
        let price = |item: &str, from: Option<&str>, price: &str| DatedPrice {
            item: item.to_owned(),
            flavor: None,
            from: from.map(|day| format!("2026-{day}T00:00:00Z")),
            price: price.to_owned(),
        };
        let all = [
            price("on-demand a", None, "1.00"),
            price("on-demand a", Some("02-01"), "2.00"),
            price("on-demand a", Some("04-01"), "3.00"),
            price("on-demand a", Some("05-01"), "4.00"),
            price("system-disk", None, "5.00"),
        ];
        let text = prices_text(&all, "CNY", "2026-03-01T00:00:00Z");
        let words: Vec<&str> = text.lines().skip(1).take(5).filter_map(|line| line.split_whitespace().last()).collect();
        assert_eq!(words, ["over", "now", "next", "later", "now"], "{text}");
    }
}
