//! May a catalog's prices be entered, and what changes with them? (rules §5.3)
//!
//! What was entered is kept for ever. A list that is entered replaces what was to come, and nothing that was: so what something cost in a
//! second that is over never changes, whoever edits the file.

use crate::refusal::Refused;
use ebb_model::catalog::Catalog;
use ebb_model::money::Price;
use ebb_model::price::Prices;
use ebb_model::price_book::{Item, items, prices_mut};
use ebb_model::time::{Second, Timestamp};
use std::collections::BTreeMap;

/// One price that was entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entered {
    pub item: String,
    /// None: from ever.
    pub since: Option<Second>,
    pub price: Price,
    pub entered_at: Timestamp,
}

/// What each item cost and will cost, by all that was entered, in order.
pub fn book(entered: &[Entered]) -> BTreeMap<String, Prices> {
    let mut lists: BTreeMap<&str, (Timestamp, BTreeMap<Option<Second>, Price>)> = BTreeMap::new();
    for one in entered {
        let (at, list) = lists.entry(&one.item).or_insert((one.entered_at, BTreeMap::new()));
        if *at != one.entered_at {
            *at = one.entered_at;
            list.retain(|since, _| since.is_none_or(|since| since <= one.entered_at.second()));
        }
        list.insert(one.since, one.price);
    }
    let read = |(item, (_, list)): (&str, (Timestamp, BTreeMap<Option<Second>, Price>))| {
        let mut dates = list.into_iter();
        let (_, first) = dates.next()?;
        Some((item.to_owned(), Prices::new(first, dates.filter_map(|(since, price)| Some((since?, price))))))
    };
    lists.into_iter().filter_map(read).collect()
}

/// What comes of entering a catalog.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The catalog, with all that its prices ever were.
    pub catalog: Catalog,
    /// To be kept.
    pub new: Vec<Entered>,
    /// What will cost something else than was known, or is new, with all its prices.
    pub changed: Vec<(Item, Prices)>,
}

/// A price that is said of the past and was another.
#[derive(Debug, Clone, PartialEq)]
pub struct InThePast {
    /// Where it stands in the file: its table, with the id, and its key.
    pub place: (String, String),
    pub refused: Refused,
}

/// Compares a catalog with what it was sold by. What it says about a second that is not in the future must be so; older dates may be
/// left out of it.
///
/// # Errors
/// Each price in the past that was another.
pub fn enter(known: &BTreeMap<String, Prices>, catalog: &Catalog, now: Timestamp) -> Result<Entry, Vec<InThePast>> {
    let (mut entry, mut wrong) = (Entry { catalog: catalog.clone(), new: vec![], changed: vec![] }, vec![]);
    let add = |entry: &mut Entry, item: &Item, list: &mut dyn Iterator<Item = (Option<Second>, Price)>| {
        let item = item.to_string();
        entry.new.extend(list.map(|(since, price)| Entered { item: item.clone(), since, price, entered_at: now }));
    };
    for (item, wanted) in items(catalog) {
        let Some(was) = known.get(&item.to_string()) else {
            add(&mut entry, &item, &mut wanted.iter().map(|dated| (dated.from, dated.price)));
            entry.changed.push((item, wanted.clone()));
            continue;
        };
        if let Some(refused) = differs(&item, was, wanted, now.second()) {
            wrong.push(InThePast { place: item.place(), refused });
            continue;
        }
        let future = |prices: &Prices| prices.after(now.second()).collect::<Vec<_>>();
        let merged = Prices::new(was.first().price, past(was, now.second()).chain(future(wanted)));
        if future(was) != future(wanted) {
            // What holds now is said again: it stands for what was to come and is taken back.
            let holds =
                past(was, now.second()).last().map_or((None, was.first().price), |(at, price)| (Some(at), price));
            let later = future(wanted).into_iter().map(|(since, price)| (Some(since), price));
            add(&mut entry, &item, &mut std::iter::once(holds).chain(later));
            entry.changed.push((item.clone(), merged.clone()));
        }
        *prices_mut(&mut entry.catalog, &item).expect("an item of the same catalog") = merged;
    }
    if wrong.is_empty() { Ok(entry) } else { Err(wrong) }
}

/// The dates that are over.
fn past(prices: &Prices, now: Second) -> impl Iterator<Item = (Second, Price)> + '_ {
    prices.iter().filter_map(move |dated| Some((dated.from.filter(|from| *from <= now)?, dated.price)))
}

/// From the first second of which the list says something by a date of its own: the second before that, or now if all its dates are to
/// come. What was before that second it may leave out.
fn differs(item: &Item, was: &Prices, wanted: &Prices, now: Second) -> Option<Refused> {
    let first = wanted.first().from.or_else(|| past(wanted, now).next().map(|(from, _)| from.plus(-1))).unwrap_or(now);
    let dates = past(was, now).chain(past(wanted, now)).map(|(from, _)| from);
    let mut said = dates.chain([now]).filter(|at| *at >= first).chain([first.min(now)]);
    let at = said.find(|at| was.at(*at) != wanted.at(*at))?;
    Some(Refused::PriceInThePast {
        item: item.to_string(),
        at: at.start(),
        price: wanted.at(at).to_string(),
        was: was.at(at).to_string(),
        now: now.start(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Second::from_unix(seconds).start()
    }

    fn list(first: i64, later: &[(i64, i64)]) -> Prices {
        let later = later.iter().map(|(from, price)| (Second::from_unix(*from), Price::from_micros(*price)));
        Prices::new(Price::from_micros(first), later)
    }

    fn entered(rows: &[(i64, Option<i64>, i64)]) -> BTreeMap<String, Prices> {
        let row = |(entered, since, price): &(i64, Option<i64>, i64)| Entered {
            item: "system-disk".to_owned(),
            since: since.map(Second::from_unix),
            price: Price::from_micros(*price),
            entered_at: at(*entered),
        };
        book(&rows.iter().map(row).collect::<Vec<_>>())
    }

    #[test]
    fn what_is_entered_replaces_what_was_to_come_and_nothing_that_was() {
        let known =
            entered(&[(10, None, 5), (10, Some(100), 6), (10, Some(200), 7), (150, Some(100), 6), (150, Some(300), 8)]);
        assert_eq!(known["system-disk"], list(5, &[(100, 6), (300, 8)]));
        // Taken back altogether.
        let known = entered(&[(10, None, 5), (10, Some(100), 6), (50, None, 5)]);
        assert_eq!(known["system-disk"], list(5, &[]));
    }

    #[test]
    fn of_the_past_a_list_may_leave_out_and_not_change() {
        let (item, was) = (Item::SystemDisk, list(5, &[(100, 6), (200, 7)]));
        let now = Second::from_unix(250);
        let right = [
            list(5, &[(100, 6), (200, 7)]),
            list(7, &[]),
            list(6, &[(200, 7)]),
            list(7, &[(251, 1)]),
            list(5, &[(100, 6), (200, 7), (251, 9)]),
        ];
        for wanted in right {
            assert_eq!(differs(&item, &was, &wanted, now), None, "{wanted:?}");
        }
        let wrong = [
            list(8, &[]),
            list(6, &[]),
            list(7, &[(250, 1)]),
            list(5, &[(200, 7)]),
            list(5, &[(100, 6), (201, 7)]),
            list(5, &[(100, 6), (200, 7), (250, 8)]),
            list(5, &[(100, 6), (150, 5), (200, 7)]),
        ];
        for wanted in wrong {
            assert!(differs(&item, &was, &wanted, now).is_some(), "{wanted:?}");
        }
    }
}
