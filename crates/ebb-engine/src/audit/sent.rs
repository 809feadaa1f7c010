//! Are the records of traffic, the pools and the counters what was read? (rules §3.6)
//!
//! The quantities are worked out anew from the readings in the log. What the pools paid is only added up: how much they hold is the
//! catalog's, and that may have been another then.

use super::{Check, Found};
use crate::event::Event;
use crate::traffic::{Coverage, Flow, Running, Used, charges, stretch};
use ebb_model::calendar::Calendar;
use ebb_model::catalog::TrafficAllowance;
use ebb_model::id::{AccountId, AddressId, RecordId};
use ebb_model::time::{Period, Second};
use ebb_model::traffic::{Address, Quantity, TrafficRecord};
use std::collections::BTreeMap;

pub(super) struct Sent<'a> {
    account: AccountId,
    calendar: &'a Calendar,
    addresses: BTreeMap<AddressId, Address>,
    /// When pools pay, as the log has told so far.
    valid: Option<Period>,
    flows: BTreeMap<(Second, AddressId), Flow>,
    /// What the records say.
    records: BTreeMap<(Second, AddressId), (RecordId, Quantity)>,
    used: BTreeMap<Second, Used>,
}

impl<'a> Sent<'a> {
    pub fn new(account: AccountId, calendar: &'a Calendar) -> Self {
        let (addresses, flows, records, used) = Default::default();
        Self { account, calendar, addresses, valid: None, flows, records, used }
    }

    pub fn address(&mut self, address: Address) {
        self.addresses.insert(address.id, address);
    }

    /// Where an address is; nowhere, if it is not the account's.
    pub fn region(&self, of: AddressId) -> &str {
        self.addresses.get(&of).map_or("", |address| address.region.as_str())
    }

    pub fn event(&mut self, at: Second, event: &Event) {
        match event {
            Event::TrialClaimed { valid_until, .. } => self.valid = Some(Period { since: at, until: *valid_until }),
            Event::TrialRevoked { at, .. } => {
                self.valid = self.valid.map(|valid| Period { until: valid.until.min(*at), ..valid });
            }
            Event::TrafficCounted { address, bytes, at, .. } => {
                let Some(known) = self.addresses.get(address) else { return };
                let period = stretch(*at, self.calendar);
                let coverage = match self.valid {
                    Some(valid) if *at >= valid.until => Coverage::After,
                    Some(valid) if *at >= valid.since => Coverage::Within,
                    _ => Coverage::Before,
                };
                let (overseas, price) = (known.overseas, known.price.at(period.since));
                let new = Flow { address: *address, overseas, price, period, bytes: [0; 3] };
                self.flows.entry((period.since, *address)).or_insert(new).bytes[coverage as usize] += bytes;
            }
            _ => {}
        }
    }

    pub fn record(&mut self, record: &TrafficRecord, found: &mut Found) {
        let (charge, id, account) = (&record.charge, record.id, self.account);
        let month = self.used.entry(self.calendar.month(charge.period.since)).or_default();
        month.anywhere += charge.anywhere;
        month.overseas += charge.overseas;
        self.records.insert((charge.period.since, charge.address), (id, charge.quantity));
        let mut compare = |what: &str, stored: String, comes_to: String| {
            found.compare(Check::Traffic, account, format!("traffic_record {id} {what}"), stored, comes_to);
        };
        let Some(flow) = self.flows.get(&(charge.period.since, charge.address)) else {
            return compare("quantity", charge.quantity.to_string(), "nothing: nothing was read then".to_owned());
        };
        compare("price", charge.price.to_string(), flow.price.to_string());
        compare("until", charge.period.until.to_string(), flow.period.until.to_string());
        if charge.payable() < Quantity::ZERO || !flow.overseas && charge.overseas != Quantity::ZERO {
            compare("overseas", charge.overseas.to_string(), "what the pools may pay of it".to_owned());
        }
    }

    /// `open`: what is written down of hours that are not closed. `used`: what closed hours used of the pools.
    pub fn finish(
        self,
        closed_until: Second,
        open: &[Flow],
        used: &BTreeMap<Second, Used>,
        allowance: &TrafficAllowance,
        found: &mut Found,
    ) {
        let account = self.account;
        let (closed, still): (Vec<_>, Vec<_>) =
            self.flows.into_values().partition(|flow| flow.period.since.next_hour() <= closed_until);
        let mut running = Running::default();
        let mut records = self.records;
        for charge in charges(&closed, &mut running, allowance, self.calendar) {
            let (row, stored) = match records.remove(&(charge.period.since, charge.address)) {
                Some((id, quantity)) => (format!("traffic_record {id} quantity"), quantity.to_string()),
                None => {
                    let row = format!("traffic_record of address {} since {}", charge.address, charge.period.since);
                    (row, "nothing".to_owned())
                }
            };
            found.compare(Check::Traffic, account, row, stored, charge.quantity.to_string());
        }
        for (id, quantity) in records.into_values() {
            found.add(Check::Traffic, Some(account), format!("traffic_record {id} quantity"), quantity, "nothing");
        }
        let mut open: BTreeMap<_, _> =
            open.iter().map(|flow| ((flow.period.since, flow.address), flow.bytes)).collect();
        for flow in still {
            let stored = open.remove(&(flow.period.since, flow.address)).unwrap_or_default();
            let row = format!("traffic of address {} since {}", flow.address, flow.period.since);
            found.compare(Check::Traffic, account, row, format!("{stored:?}"), format!("{:?}", flow.bytes));
        }
        for ((since, address), bytes) in open {
            let row = format!("traffic of address {address} since {since}");
            found.add(Check::Traffic, Some(account), row, format!("{bytes:?}"), "nothing");
        }
        for (id, month) in running.months {
            let stored = self.addresses[&id].month;
            let row = format!("address {id} month_bytes");
            let shown = |since: Second, bytes: i64| format!("{bytes} since {since}");
            found.compare(
                Check::Traffic,
                account,
                row,
                shown(stored.since, stored.bytes),
                shown(month.since, month.bytes),
            );
        }
        let months: std::collections::BTreeSet<_> = used.keys().chain(self.used.keys()).copied().collect();
        for month in months {
            let shown = |of: &BTreeMap<Second, Used>| {
                let used = of.get(&month).copied().unwrap_or_default();
                format!("{} anywhere, {} overseas", used.anywhere, used.overseas)
            };
            found.compare(Check::Pool, account, format!("traffic_pool of {month}"), shown(used), shown(&self.used));
        }
    }
}
