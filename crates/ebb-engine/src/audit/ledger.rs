//! Do the books say what the records come to? Entries, totals, purse, grant, and what was given back (rules §1.2, §5.1, §5.3)

use super::hours::exact;
use super::vouchers::{Issued, Vouchers};
use super::{Check, Found};
use crate::adjustment;
use crate::settlement::{Purse, Totals};
use ebb_ledger::{Place, Posting, Revenue};
use ebb_model::billing::{Adjustment, BillRecord, GivenBack, Meter, Split};
use ebb_model::id::{AccountId, RecordId, VoucherId};
use ebb_model::money::{Amount, Exact};
use ebb_model::traffic::{TrafficExact, TrafficPaid, TrafficRecord};
use ebb_model::trial::{Ending, TrialGrant};
use ebb_model::voucher::Fine;
use std::collections::{BTreeMap, BTreeSet};

/// A posting as its row has it, with its entry; one without a place is an entry that moved nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub entry: String,
    pub reason: String,
    pub place: Option<String>,
    pub amount: Amount,
}

/// What the row of an account, and those that go with it once, say of its money.
#[derive(Debug, Clone)]
pub struct Books {
    pub account: AccountId,
    pub purse: Purse,
    pub totals: Totals,
    pub grant: Option<TrialGrant>,
    pub ending: Ending,
}

pub(super) struct Ledger {
    books: Books,
    /// What each entry settled, by its reason.
    settled: BTreeMap<String, Totals>,
    totals: Totals,
    adjustments: BTreeMap<String, Adjustment>,
    vouchers: Vouchers,
    back: BTreeMap<RecordId, Back>,
    entry: Vec<Line>,
    places: BTreeMap<Place, Amount>,
    /// Of that, what was posted to settle records.
    settling: BTreeMap<Place, Amount>,
}

/// What was given back of a record, and what was paid of it.
#[derive(Default)]
struct Back {
    given: GivenBack,
    paid: adjustment::Left,
    by_vouchers: Vec<(VoucherId, Fine)>,
}

impl Ledger {
    pub fn new(books: Books, adjustments: &[Adjustment], vouchers: Vouchers) -> Self {
        let mut back: BTreeMap<RecordId, Back> = BTreeMap::new();
        for one in adjustments {
            let sum = &mut back.entry(one.record).or_default().given;
            *sum = std::mem::take(sum).plus(one.back.clone());
        }
        let adjustments = adjustments.iter().map(|one| (format!("adjustment {}", one.id), one.clone())).collect();
        let (settled, totals, entry, places, settling) = Default::default();
        Self { books, settled, totals, adjustments, vouchers, back, entry, places, settling }
    }

    /// A record of time, by which entry it was settled, and what vouchers paid of it.
    pub fn record(&mut self, reason: String, record: &BillRecord, paid: &[(VoucherId, Fine)], found: &mut Found) {
        let gross = record.charge.gross();
        self.vouchers.paid(Issued::of_time(&reason, record), paid, found);
        for totals in [self.settled.entry(reason).or_default(), &mut self.totals] {
            totals.paid = totals.paid.plus(record.split);
            totals.sold[record.charge.meter] += gross;
        }
        if let Some(back) = self.back.get_mut(&record.id) {
            back.paid = adjustment::Left::of(&record.split, &[], &GivenBack::default(), record.issued_at);
            back.by_vouchers = paid.to_vec();
        }
    }

    pub fn traffic(
        &mut self,
        record: &TrafficRecord,
        region: &str,
        by_vouchers: &[(VoucherId, Fine)],
        found: &mut Found,
    ) {
        let (paid, reason) = (record.charge.paid(), format!("hour {}", record.issued_at));
        self.vouchers.paid(Issued::of_traffic(&reason, record, region), by_vouchers, found);
        for totals in [self.settled.entry(reason).or_default(), &mut self.totals] {
            totals.traffic = totals.traffic.plus(paid);
        }
        if let Some(back) = self.back.get_mut(&record.id) {
            back.paid = adjustment::Left::of_traffic(&paid, &[], &GivenBack::default(), record.issued_at);
            back.by_vouchers = by_vouchers.to_vec();
        }
    }

    /// Postings, those of one entry after one another.
    pub fn line(&mut self, line: Line, found: &mut Found) {
        if self.entry.first().is_some_and(|first| first.entry != line.entry) {
            self.end_entry(found);
        }
        self.entry.push(line);
    }

    fn end_entry(&mut self, found: &mut Found) {
        let lines = std::mem::take(&mut self.entry);
        let Some(first) = lines.first() else { return };
        let (account, row) = (self.books.account, format!("entry {} ({})", first.entry, first.reason));
        let sum: Amount = lines.iter().map(|line| line.amount).sum();
        found.compare(Check::Balance, account, &row, sum, Amount::ZERO);
        let mut postings = vec![];
        for line in &lines {
            let Some(name) = &line.place else { continue };
            match name.parse::<Place>() {
                Ok(place) if place.account().is_none_or(|id| id == account) && self.vouchers.has(place) => {
                    postings.push(Posting { place, amount: line.amount });
                }
                _ => found.add(Check::Place, Some(account), format!("{row} place"), name, "a place of the account"),
            }
        }
        postings.sort_by_key(|posting| posting.place);
        for posting in &postings {
            add(&mut self.places, posting);
        }
        let given_back = first.reason.starts_with("adjustment ");
        let settles = ["hour ", "block ", "subscription "].iter().any(|kind| first.reason.starts_with(kind));
        if given_back {
            let adjustment = self.adjustments.remove(&first.reason);
            let mut wanted =
                adjustment.map(|one| adjustment::entry(account, &one.back).postings().to_vec()).unwrap_or_default();
            wanted.sort_by_key(|posting| posting.place);
            found.compare(Check::Entry, account, &row, shown(&postings), shown(&wanted));
        } else if settles {
            postings.iter().for_each(|posting| add(&mut self.settling, posting));
            let settled = self.settled.remove(&first.reason).unwrap_or_default();
            self.settles(&row, &postings, &settled, found);
            self.vouchers.settles(&first.reason, &row, &postings, found);
        } else if let Some(mut wanted) = self.vouchers.entry(&first.reason) {
            wanted.sort_by_key(|posting| posting.place);
            found.compare(Check::Entry, account, &row, shown(&postings), shown(&wanted));
        }
    }

    /// Each part of an entry is the difference of two roundings, so less than a unit from what its records come to.
    fn settles(&self, row: &str, postings: &[Posting], settled: &Totals, found: &mut Found) {
        let account = self.books.account;
        let at = |wanted: &[Place]| {
            let mine = postings.iter().filter(|posting| wanted.contains(&posting.place));
            mine.map(|posting| posting.amount).sum::<Amount>()
        };
        let sold = |kind: Revenue| -at(&[Place::Revenue(kind)]);
        let one = Amount::from_units(1);
        let by_meter = Meter::ALL.into_iter().map(|meter| {
            let kind = Revenue::Of(meter);
            (Place::Revenue(kind).to_string(), sold(kind), settled.sold[meter])
        });
        let paid = [
            ("waiver".to_owned(), at(&[Place::Waiver]), settled.paid.waived),
            ("grant".to_owned(), at(&[Place::Grant(account)]), settled.paid.grant),
        ];
        for (place, posted, comes_to) in paid.into_iter().chain(by_meter) {
            let off = posted.exact() - comes_to;
            if off >= one.exact() || Exact::ZERO - off >= one.exact() {
                found.add(Check::Entry, Some(account), format!("{row} {place}"), posted, exact(comes_to));
            }
        }
        let traffic = [
            ("traffic-pools", at(&[Place::TrafficPools]), settled.traffic.pools),
            ("revenue:traffic", sold(Revenue::Traffic), settled.traffic.total()),
        ];
        for (place, posted, comes_to) in traffic {
            let off = posted - comes_to.posted();
            if off > one || -off > one {
                found.add(Check::Entry, Some(account), format!("{row} {place}"), posted, comes_to);
            }
        }
        // What the customer pays, wherever he has it from: each kind of his money is a place here.
        let payable = at(&[Place::Cash(account), Place::Receivable(account)]);
        let (time, traffic) = (settled.paid, settled.traffic);
        let comes_to = (time.payable - time.vouchers).posted() + (traffic.payable - traffic.vouchers).posted();
        let off = payable - comes_to;
        if off > one + one || -off > one + one {
            found.add(Check::Entry, Some(account), format!("{row} cash and receivable"), payable, comes_to);
        }
    }

    pub fn finish(mut self, found: &mut Found) {
        self.end_entry(found);
        let (account, books) = (self.books.account, &self.books);
        for (reason, settled) in &self.settled {
            if *settled != Totals::default() {
                let (row, sum) = (format!("entry ({reason})"), settled.paid.total());
                found.add(Check::Entry, Some(account), row, "nothing", format!("records of {sum}, and traffic"));
            }
        }
        for (reason, one) in &self.adjustments {
            found.add(Check::Entry, Some(account), format!("entry ({reason})"), "nothing", one.back.total());
        }
        let (stored, sum) = (&books.totals, &self.totals);
        let total = |of: &mut Found, name: &str, stored: Exact, sum: Exact| {
            of.compare(Check::Total, account, format!("account {name}"), exact(stored), exact(sum));
        };
        total(found, "waived_total", stored.paid.waived, sum.paid.waived);
        total(found, "grant_total", stored.paid.grant, sum.paid.grant);
        total(found, "payable_total", stored.paid.payable, sum.paid.payable);
        total(found, "voucher_total", stored.paid.vouchers, sum.paid.vouchers);
        for meter in Meter::ALL {
            total(found, &format!("total of {}", meter.name()), stored.sold[meter], sum.sold[meter]);
        }
        let flowed = |of: &mut Found, name: &str, stored: TrafficExact, sum: TrafficExact| {
            let units = |of: TrafficExact| format!("{of} ({} exact)", of.units());
            of.compare(Check::Total, account, format!("account {name}"), units(stored), units(sum));
        };
        flowed(found, "traffic_pools_total", stored.traffic.pools, sum.traffic.pools);
        flowed(found, "traffic_payable_total", stored.traffic.payable, sum.traffic.payable);
        flowed(found, "traffic_voucher_total", stored.traffic.vouchers, sum.traffic.vouchers);

        let at = |places: &BTreeMap<Place, Amount>, place| places.get(&place).copied().unwrap_or_default();
        let posted = |of: &mut Found, row: &str, stored: Amount, comes_to: Amount| {
            of.compare(Check::Posted, account, format!("postings to {row}"), stored, comes_to);
        };
        let settling = &self.settling;
        let Split { waived, grant, payable, vouchers } = stored.paid;
        let TrafficPaid { pools, payable: sent, vouchers: sent_by } = stored.traffic;
        posted(found, "waiver", at(settling, Place::Waiver), waived.posted());
        posted(found, "grant", at(settling, Place::Grant(account)), grant.posted());
        posted(found, "traffic-pools", at(settling, Place::TrafficPools), pools.posted());
        let paid = at(settling, Place::Cash(account)) + at(settling, Place::Receivable(account));
        posted(found, "cash and receivable", paid, (payable - vouchers).posted() + (sent - sent_by).posted());
        let sold = |kind| -at(settling, Place::Revenue(kind));
        for meter in Meter::ALL {
            let kind = Revenue::Of(meter);
            posted(found, &Place::Revenue(kind).to_string(), sold(kind), stored.sold[meter].posted());
        }
        posted(found, "revenue:traffic", sold(Revenue::Traffic), stored.traffic.total().posted());

        let purse = books.purse;
        found.compare(Check::Purse, account, "account cash", purse.cash, -at(&self.places, Place::Cash(account)));
        found.compare(Check::Purse, account, "account debt", purse.debt, at(&self.places, Place::Receivable(account)));
        if purse.cash < Amount::ZERO || purse.debt < Amount::ZERO {
            let stored = format!("cash {}, debt {}", purse.cash, purse.debt);
            found.add(Check::Purse, Some(account), "account cash and debt", stored, "nothing below nothing");
        }
        let given_back = self.back.values().fold(GivenBack::default(), |sum, back| sum.plus(back.given.clone()));
        self.vouchers.finish(&self.places, &self.settling, found);
        self.check_grant(sum.paid.grant, &given_back, found);
        let stored = at(&self.places, Place::Adjustments);
        found.compare(Check::Adjustment, account, "postings to adjustments", stored, given_back.total());
        for (record, Back { given: back, paid, by_vouchers }) in &self.back {
            for voucher in back.vouchers.iter().map(|one| one.voucher).collect::<BTreeSet<_>>() {
                let most = by_vouchers.iter().find(|(by, _)| *by == voucher).map(|(_, paid)| paid.whole());
                let (given, most) = (back.to_voucher(voucher), most.unwrap_or_default());
                if given > most {
                    let row = format!("adjustments of record {record} to {voucher}");
                    found.add(Check::Adjustment, Some(account), row, given, format!("at most {most}"));
                }
            }
            if back.payable() > paid.payable || back.granted() > paid.grant {
                let row = format!("adjustments of record {record}");
                let comes_to = format!("at most {}, and {} of a grant", paid.payable, paid.grant);
                let stored = format!("{}, and {} of a grant", back.payable(), back.granted());
                found.add(Check::Adjustment, Some(account), row, stored, comes_to);
            }
        }
    }

    fn check_grant(&self, granted: Exact, given_back: &GivenBack, found: &mut Found) {
        let account = self.books.account;
        let place = self.places.get(&Place::Grant(account)).copied().unwrap_or_default();
        let Some(grant) = &self.books.grant else {
            found.compare(
                Check::Grant,
                account,
                "trial_grant",
                "nothing",
                if granted == Exact::ZERO { "nothing" } else { "one that paid" },
            );
            return found.compare(Check::Grant, account, "postings to grant", place, Amount::ZERO);
        };
        let used = granted - given_back.granted().exact();
        found.compare(Check::Grant, account, "trial_grant used", exact(grant.used), exact(used));
        let expired = self.books.ending.expired;
        if let Some(expired) = expired {
            let left = grant.left();
            found.compare(Check::Grant, account, "trial_ending expired", exact(expired), exact(left));
        }
        if grant.left() < Exact::ZERO {
            found.add(Check::Grant, Some(account), "trial_grant left", exact(grant.left()), "nothing below nothing");
        }
        let left = match expired {
            Some(_) => Amount::ZERO,
            None => (grant.issued - grant.revoked).posted() - grant.used.posted(),
        };
        found.compare(Check::Grant, account, "postings to grant", -place, left);
    }
}

fn add(places: &mut BTreeMap<Place, Amount>, posting: &Posting) {
    let sum = places.entry(posting.place).or_default();
    *sum = *sum + posting.amount;
}

fn shown(postings: &[Posting]) -> String {
    let lines: Vec<String> = postings.iter().map(|line| format!("{} {}", line.place, line.amount)).collect();
    if lines.is_empty() { "nothing".to_owned() } else { lines.join(", ") }
}
