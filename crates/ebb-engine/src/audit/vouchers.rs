//! Does each coupon and card come to what it paid, to what came back to it, and to what became of the rest? (rules §2.9, §5.1, §5.3)
//!
//! That the right one of several paid is not asked; only that each might. `tests/bill_oracle.py` asks that, too.

use super::{Check, Found};
use crate::event::Event;
use crate::settlement::{issue, source};
use crate::voucher::{Use, may_pay};
use ebb_ledger::{Entry, Place, Posting};
use ebb_model::billing::{Adjustment, BillRecord, Charge, ResourceId};
use ebb_model::id::{AccountId, EventId, InstanceId, VoucherId};
use ebb_model::instance::Purchase;
use ebb_model::money::Amount;
use ebb_model::time::Second;
use ebb_model::traffic::TrafficRecord;
use ebb_model::voucher::{Fine, Gone, Scope, Voucher, VoucherKind};
use std::collections::BTreeMap;

/// Who changes an instance while it is settled may come a little before or after in the log.
const SLACK_MILLIS: u128 = 1_000;

pub(super) struct Vouchers {
    account: AccountId,
    all: BTreeMap<VoucherId, Seen>,
    sold: BTreeMap<InstanceId, Sold>,
    /// Where everything else is that is charged by time.
    regions: BTreeMap<ResourceId, String>,
    /// What each paid of what an entry settles, by the entry's reason.
    settled: BTreeMap<String, BTreeMap<VoucherId, Fine>>,
}

struct Seen {
    stored: Voucher,
    live: bool,
    /// As the log has it: kind, face, what it pays, and when.
    issued: Option<(VoucherKind, Amount, Scope, Second, Option<Second>)>,
    /// Where in the log what was left of it went, how, and how much.
    ended: Option<(EventId, Gone, Amount)>,
    paid: Fine,
    back: Fine,
    /// Of that, what was gone at once.
    back_gone: Fine,
}

/// Where an instance stands, and how it was sold, from which place in the log on.
#[derive(Default)]
struct Sold {
    region: String,
    was: Vec<(EventId, Purchase, String)>,
}

/// A record that vouchers may have paid a part of.
pub(super) struct Issued<'a> {
    reason: &'a str,
    row: String,
    at: Second,
    /// The place in the log.
    place: u128,
    about: About<'a>,
    by_vouchers: Fine,
    payable: Fine,
}

enum About<'a> {
    Instance(&'a Charge),
    Traffic(&'a str),
}

impl<'a> Issued<'a> {
    pub fn of_time(reason: &'a str, record: &'a BillRecord) -> Self {
        let split = &record.split;
        Issued {
            reason,
            row: format!("bill_record {}", record.id),
            at: record.issued_at,
            place: record.id.uuid().as_u128(),
            about: About::Instance(&record.charge),
            by_vouchers: Fine::of_time(split.vouchers),
            payable: Fine::of_time(split.payable),
        }
    }

    pub fn of_traffic(reason: &'a str, record: &'a TrafficRecord, region: &'a str) -> Self {
        let paid = record.charge.paid();
        Issued {
            reason,
            row: format!("traffic_record {}", record.id),
            at: record.issued_at,
            place: record.id.uuid().as_u128(),
            about: About::Traffic(region),
            by_vouchers: Fine::of_traffic(paid.vouchers),
            payable: Fine::of_traffic(paid.payable),
        }
    }
}

impl Vouchers {
    pub fn new(account: AccountId) -> Self {
        let (all, sold, regions, settled) = Default::default();
        Self { account, all, sold, regions, settled }
    }

    pub fn instance(&mut self, id: InstanceId, region: &str) {
        self.sold.insert(id, Sold { region: region.to_owned(), was: vec![] });
    }

    pub fn resource(&mut self, id: ResourceId, region: &str) {
        self.regions.insert(id, region.to_owned());
    }

    pub fn voucher(&mut self, stored: Voucher, live: bool) {
        let (issued, ended) = (None, None);
        let [paid, back, back_gone] = [Fine::ZERO; 3];
        self.all.insert(stored.id, Seen { stored, live, issued, ended, paid, back, back_gone });
    }

    /// In order of the log. Whatever else changes how an instance is sold is a line here.
    pub fn event(&mut self, id: EventId, about: Option<InstanceId>, event: &Event) {
        match event {
            Event::VoucherIssued { voucher, kind, face, pays, valid_from, expires_at } => {
                if let Some(seen) = self.all.get_mut(voucher) {
                    seen.issued = Some((*kind, *face, pays.clone(), *valid_from, *expires_at));
                }
            }
            Event::VoucherExpired { voucher, amount, .. } => self.ended(*voucher, (id, Gone::Expired, *amount)),
            Event::VoucherRevoked { voucher, amount, .. } => self.ended(*voucher, (id, Gone::Revoked, *amount)),
            _ => {}
        }
        let Some(sold) = about.and_then(|about| self.sold.get_mut(&about)) else { return };
        let before = sold.was.last().cloned();
        let flavor = before.map(|(.., flavor)| flavor).unwrap_or_default();
        match event {
            Event::Bought { flavor, purchase, .. } | Event::Resized { flavor, purchase, .. } => {
                sold.was.push((id, *purchase, flavor.clone()));
            }
            Event::Converted { purchase, .. } => sold.was.push((id, *purchase, flavor)),
            // Whatever it costs: only how it is sold is asked.
            Event::BecameOnDemand { .. } => {
                sold.was.push((id, Purchase::OnDemand { price: Default::default() }, flavor));
            }
            _ => {}
        }
    }

    fn ended(&mut self, voucher: VoucherId, how: (EventId, Gone, Amount)) {
        if let Some(seen) = self.all.get_mut(&voucher) {
            seen.ended = Some(how);
        }
    }

    pub fn given_back(&mut self, adjustments: &[Adjustment], found: &mut Found) {
        for adjustment in adjustments {
            let place = adjustment.id.uuid().as_u128();
            for one in &adjustment.back.vouchers {
                let row = format!("adjustment_voucher of {} to {}", adjustment.id, one.voucher);
                let Some(seen) = self.all.get_mut(&one.voucher) else {
                    found.add(
                        Check::Adjustment,
                        Some(self.account),
                        row,
                        one.amount,
                        "nothing: it has no such voucher",
                    );
                    continue;
                };
                let amount = Fine::of_amount(one.amount);
                seen.back += amount;
                seen.back_gone += if one.gone.is_some() { amount } else { Fine::ZERO };
                let revoked =
                    seen.ended.is_some_and(|(at, how, _)| how == Gone::Revoked && at.uuid().as_u128() < place);
                let expired = seen.stored.expires_at.is_some_and(|at| at <= adjustment.at.second());
                let gone = revoked.then_some(Gone::Revoked).or(expired.then_some(Gone::Expired));
                let name = |gone: Option<Gone>| gone.map_or("there to pay", |gone| gone.name());
                found.compare(Check::Adjustment, self.account, row, name(one.gone), name(gone));
            }
        }
    }

    /// What vouchers paid of a record.
    pub fn paid(&mut self, of: Issued, paid: &[(VoucherId, Fine)], found: &mut Found) {
        let (account, row) = (self.account, &of.row);
        let sum: Fine = paid.iter().map(|(_, amount)| *amount).sum();
        found.compare(Check::VoucherPaid, account, format!("{row} vouchers"), fine(of.by_vouchers), fine(sum));
        if of.by_vouchers > of.payable {
            let (row, most) = (format!("{row} vouchers"), format!("at most {}", fine(of.payable)));
            found.add(Check::VoucherPaid, Some(account), row, fine(of.by_vouchers), most);
        }
        for (id, amount) in paid {
            let row = format!("record_voucher of {row} by {id}");
            let mut wrong = |why: &str| found.add(Check::VoucherPaid, Some(account), &row, fine(*amount), why);
            let uses = self.uses(&of);
            let Some(seen) = self.all.get_mut(id) else {
                wrong("nothing: the account has no such voucher");
                continue;
            };
            seen.paid += *amount;
            let entry = self.settled.entry(of.reason.to_owned()).or_default();
            *entry.entry(*id).or_default() += *amount;
            let Voucher { kind, pays, .. } = &seen.stored;
            if *amount <= Fine::ZERO {
                wrong("more than nothing");
            } else if !seen.stored.valid_at(of.at) {
                wrong(&format!("nothing: it is not valid at {}", of.at));
            } else if !uses.iter().any(|what| may_pay(*kind, pays, what)) {
                wrong("nothing: it does not pay for that");
            }
        }
    }

    /// What a record may have been about when it was settled.
    fn uses(&self, of: &Issued) -> Vec<Use> {
        let charge = match of.about {
            About::Traffic(region) => return vec![Use::of_traffic(region)],
            About::Instance(charge) => charge,
        };
        let sold = match charge.resource {
            ResourceId::Instance(id) => self.sold.get(&id),
            other => {
                let region = self.regions.get(&other);
                return region.map(|region| Use::of_resource(charge.meter, region)).into_iter().collect();
            }
        };
        let Some(sold) = sold else { return vec![] };
        let millis = |place: u128| place >> 80;
        let until = sold.was.iter().skip(1).map(|(id, ..)| Some(id.uuid().as_u128())).chain([None]);
        let then = sold.was.iter().zip(until).filter(|((since, ..), until)| {
            let lasted = until.is_none_or(|until| millis(until) + SLACK_MILLIS >= millis(of.place));
            millis(since.uuid().as_u128()) <= millis(of.place) && lasted
        });
        then.map(|((_, purchase, flavor), _)| Use::of_sold(charge, *purchase, flavor, &sold.region)).collect()
    }

    /// Whether a place of the books is not that of somebody else's voucher.
    pub fn has(&self, place: Place) -> bool {
        match place {
            Place::Voucher(id) => self.all.contains_key(&id),
            _ => true,
        }
    }

    /// What an entry moves in which a voucher is issued, or what was left of it goes; nothing, for other entries.
    pub fn entry(&self, reason: &str) -> Option<Vec<Posting>> {
        let (what, id) = reason.strip_prefix("voucher ")?.split_once(' ')?;
        let seen = self.all.get(&id.parse().ok()?)?;
        let entry = match (what, &seen.ended) {
            ("issued", _) => issue(&seen.stored),
            (_, Some((_, how, amount))) if how.name() == what => {
                Entry::transfer(source(seen.stored.kind), Place::Voucher(seen.stored.id), *amount)
            }
            _ => return Some(vec![]),
        };
        Some(entry.postings().to_vec())
    }

    /// What an entry took of each is the difference of two roundings, so less than a unit from what its records come to.
    pub fn settles(&mut self, reason: &str, row: &str, postings: &[Posting], found: &mut Found) {
        let mut by_voucher: BTreeMap<VoucherId, (Amount, Fine)> = BTreeMap::new();
        for posting in postings {
            if let Place::Voucher(id) = posting.place {
                by_voucher.entry(id).or_default().0 = posting.amount;
            }
        }
        for (id, paid) in self.settled.remove(reason).unwrap_or_default() {
            by_voucher.entry(id).or_default().1 = paid;
        }
        let one = Fine::of_amount(Amount::from_units(1));
        for (id, (posted, paid)) in by_voucher {
            let off = Fine::of_amount(posted) - paid;
            if off >= one || Fine::ZERO - off >= one {
                found.add(Check::Entry, Some(self.account), format!("{row} voucher:{id}"), posted, fine(paid));
            }
        }
    }

    /// `places`: what all postings to each come to; `settling`: of that, what settled records.
    pub fn finish(&self, places: &BTreeMap<Place, Amount>, settling: &BTreeMap<Place, Amount>, found: &mut Found) {
        let at = |of: &BTreeMap<Place, Amount>, id| of.get(&Place::Voucher(id)).copied().unwrap_or_default();
        for (id, seen) in &self.all {
            let mut compare = |what: &str, stored: String, comes_to: String| {
                found.compare(Check::Voucher, self.account, format!("{what}{id}"), stored, comes_to);
            };
            let (stored, live) = (&seen.stored, |live: bool| if live { "may pay" } else { "is over" }.to_owned());
            compare("used of voucher ", fine(stored.used), fine(seen.paid - seen.back));
            compare("live of voucher ", live(seen.live), live(!stored.is_over()));
            if stored.left() < Fine::ZERO {
                compare("left of voucher ", fine(stored.left()), "nothing below nothing".to_owned());
            }
            let [expired, revoked] = seen.gone();
            compare("expired of voucher ", fine(stored.expired), fine(expired));
            compare("revoked of voucher ", fine(stored.revoked), fine(revoked));
            let as_issued = (stored.kind, stored.face, stored.pays.clone(), stored.valid_from, stored.expires_at);
            compare("terms of voucher ", terms(Some(&as_issued)), terms(seen.issued.as_ref()));
            compare("postings to voucher:", (-at(places, *id)).to_string(), stored.left_posted().to_string());
            let paid = at(settling, *id).to_string();
            compare("postings of settlements to voucher:", paid, seen.paid.posted().to_string());
        }
    }
}

impl Seen {
    /// What is expired and revoked of it, as everything else says.
    fn gone(&self) -> [Fine; 2] {
        let Voucher { face, .. } = self.stored;
        let rest = Fine::of_amount(face) - (self.paid - self.back);
        let unseen = face - (self.paid - self.back).posted() - self.back_gone.posted();
        match &self.ended {
            Some((_, Gone::Expired, _)) => [rest, Fine::ZERO],
            Some((_, Gone::Revoked, _)) => [Fine::ZERO, rest],
            // When it expired less was left than the ledger shows, and nobody was told.
            None if self.stored.expired == rest && unseen == Amount::ZERO => [rest, Fine::ZERO],
            None => [self.back_gone, Fine::ZERO],
        }
    }
}

fn terms(of: Option<&(VoucherKind, Amount, Scope, Second, Option<Second>)>) -> String {
    let Some((kind, face, pays, valid_from, expires_at)) = of else {
        return "nothing: it was not issued".to_owned();
    };
    let until = expires_at.map_or("for ever".to_owned(), |at| format!("until {at}"));
    format!("a {} of {face} from {valid_from} {until} for {}", kind.name(), names(pays))
}

fn names(pays: &Scope) -> String {
    let options = pays.options.iter().map(|one| one.name());
    let meters = pays.meters.iter().map(|one| one.name());
    let others = pays.flavors.iter().chain(&pays.regions).map(String::as_str);
    let all: Vec<&str> = options.chain(meters).chain(others).collect();
    if all.is_empty() { "everything".to_owned() } else { all.join(", ") }
}

fn fine(of: Fine) -> String {
    format!("{of} ({} exact)", of.units())
}
