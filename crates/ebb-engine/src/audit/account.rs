//! Does all that is stored of one account agree? What is fed comes in the order of the functions here.

use super::bandwidth::Bandwidth;
use super::hours::{BlockSums, Hours, exact, moves, reason};
use super::ledger::{Books, Ledger};
use super::lives::Lives;
use super::months::Months;
use super::sent::Sent;
use super::volumes::Volumes;
use super::vouchers::Vouchers;
use super::{Check, Counts, Found};
use crate::event::Event;
use crate::traffic::{Flow, Used};
use ebb_model::billing::{Adjustment, BillRecord, ResourceId, Settled, Span};
use ebb_model::calendar::Calendar;
use ebb_model::catalog::TrafficAllowance;
use ebb_model::disk::Volume;
use ebb_model::id::{AccountId, EventId, InstanceId, SpanId, VoucherId};
use ebb_model::instance::Instance;
use ebb_model::money::{Amount, Exact};
use ebb_model::time::{HOUR, Second};
use ebb_model::traffic::{Address, TrafficExact, TrafficRecord};
use ebb_model::voucher::{Fine, Voucher};
use std::collections::{BTreeMap, BTreeSet};

pub use super::budget::Told;
pub use super::hours::BlockSums as Block;
pub use super::ledger::{Books as Money, Line};
pub use super::owing::Owing;

/// Later than everything that can be bought.
const END: Second = Second::from_unix(i64::MAX / 4);

/// What there is once of an account.
pub struct Account {
    pub money: Books,
    pub held: Amount,
    pub close_at: Option<Second>,
    /// The last hour that was closed with something in it ended here.
    pub last_hour: Option<Second>,
    /// What is kept for its spending cap, by the first second of the month.
    pub spent: Vec<(Second, Exact)>,
    pub budget: Told,
    pub owing: Owing,
}

pub struct AccountAudit<'a> {
    id: AccountId,
    account: Account,
    calendar: &'a Calendar,
    found: Found,
    counts: Counts,
    lives: Lives,
    volumes: Volumes,
    months: Months,
    bandwidth: Bandwidth,
    /// As the log has them.
    budget: Told,
    owing: Owing,
    sent: Sent<'a>,
    adjustments: Vec<Adjustment>,
    vouchers: Vouchers,
    issued: Exact,
    revoked: Vec<(Second, Exact)>,
    spans: Vec<Span>,
    held: Amount,
}

impl<'a> AccountAudit<'a> {
    pub fn new(account: Account, calendar: &'a Calendar, most: usize) -> Self {
        let id = account.money.account;
        let (found, counts) = (Found::up_to(most), Counts { account: 1, ..Counts::default() });
        let (lives, months, budget, owing, adjustments, issued, revoked, spans, held) = Default::default();
        let (sent, vouchers) = (Sent::new(id, calendar), Vouchers::new(id));
        Self {
            id,
            account,
            calendar,
            found,
            counts,
            lives,
            volumes: Volumes::default(),
            months,
            bandwidth: Bandwidth::default(),
            budget,
            owing,
            sent,
            adjustments,
            vouchers,
            issued,
            revoked,
            spans,
            held,
        }
    }

    /// With the region that it stands in.
    pub fn instance(&mut self, of: &Instance, region: &str) {
        self.counts.instance += 1;
        self.vouchers.instance(of.id, region);
        self.lives.instance(of);
        self.months.instance(of);
    }

    pub fn address(&mut self, of: Address) {
        self.vouchers.resource(ResourceId::Address(of.id), &of.region);
        self.sent.address(of);
    }

    /// A data disk or a snapshot.
    pub fn volume(&mut self, of: Volume) {
        self.counts.volume += 1;
        self.vouchers.resource(of.resource(), &of.region);
        self.volumes.volume(of);
    }

    pub fn hold(&mut self, instance: InstanceId, amount: Amount) {
        self.counts.hold += 1;
        self.held = self.held + amount;
        self.months.hold(self.id, instance, amount, &mut self.found);
        if !self.lives.is_live(instance) {
            self.found.add(
                Check::Held,
                Some(self.id),
                format!("hold of {instance}"),
                amount,
                "nothing: it is released",
            );
        }
    }

    pub fn adjustment(&mut self, one: Adjustment) {
        self.counts.adjustment += 1;
        self.adjustments.push(one);
    }

    /// `live`: it may still pay something, as its row has it.
    pub fn voucher(&mut self, one: Voucher, live: bool) {
        self.counts.voucher += 1;
        self.vouchers.voucher(one, live);
    }

    pub fn span(&mut self, span: Span) {
        self.counts.span += 1;
        self.spans.push(span);
    }

    /// In order of the log: where charge begins, stops and goes on, when a grant is valid, and what counters showed.
    pub fn event(&mut self, id: EventId, about: Option<InstanceId>, at: Second, event: &Event) {
        self.counts.event += 1;
        self.sent.event(at, event);
        self.vouchers.event(id, about, event);
        self.budget.event(at, event);
        self.owing.event(at, event);
        self.bandwidth.event(event);
        self.volumes.event(event);
        match event {
            Event::TrialClaimed { amount, .. } => self.issued += amount.exact(),
            Event::TrialRevoked { at, amount, .. } => self.revoked.push((*at, amount.exact())),
            _ => {}
        }
        if let Some(about) = about {
            self.lives.event(about, event);
            self.months.event(about, event);
        }
    }

    /// All that was fed is compared; records may follow.
    pub fn records(mut self) -> RecordAudit<'a> {
        self.lives.check(self.id, &self.spans, &mut self.found);
        self.volumes.check(self.id, &self.spans, &mut self.found);
        self.months.check(self.id, &self.spans, &mut self.found);
        self.bandwidth.check(self.id, &self.spans, &mut self.found);
        self.budget.check(self.id, &self.account.budget, &mut self.found);
        self.owing.check(self.id, self.account.money.purse.debt, &self.account.owing, &mut self.found);
        self.found.compare(Check::Held, self.id, "account held", self.account.held, self.held);
        let open = self.spans.iter().find(|span| {
            let hourly = matches!(span.settled, Settled::Hourly { .. });
            hourly && span.until.is_none() && self.account.close_at.is_none()
        });
        let is_open = open.is_some();
        if let Some(span) = open {
            self.found.add(Check::OpenHour, Some(self.id), "account close_at", "null", span.since.next_hour());
        }
        // Where no hour is to be closed all are; what is open all the same was found above, and is followed to what is known.
        let closed_until = match (self.account.close_at, is_open) {
            (Some(at), _) => at.plus(-HOUR),
            (None, false) => END,
            (None, true) => self.account.last_hour.unwrap_or(Second::from_unix(0)),
        };
        let grant = self.account.money.grant.clone();
        let (issued, revoked) = grant.as_ref().map(|grant| (grant.issued, grant.revoked)).unwrap_or_default();
        let logged = self.revoked.iter().map(|(_, amount)| *amount).sum();
        self.found.compare(Check::Grant, self.id, "trial_grant issued", exact(issued), exact(self.issued));
        self.found.compare(Check::Grant, self.id, "trial_grant revoked", exact(revoked), exact(logged));
        let spans: BTreeMap<SpanId, Span> = self.spans.iter().map(|span| (span.id, span.clone())).collect();
        let hours = Hours::new(
            self.id,
            self.calendar,
            grant.as_ref(),
            moves(&self.adjustments, &self.revoked),
            closed_until,
            std::mem::take(&mut self.spans),
            &self.lives,
        );
        self.vouchers.given_back(&self.adjustments, &mut self.found);
        let vouchers = std::mem::replace(&mut self.vouchers, Vouchers::new(self.id));
        let ledger = Ledger::new(self.account.money.clone(), &self.adjustments, vouchers);
        let (blocks, months) = Default::default();
        RecordAudit { of: self, hours, ledger, spans, closed_until, blocks, months }
    }
}

/// The second half: what was issued and posted.
pub struct RecordAudit<'a> {
    of: AccountAudit<'a>,
    hours: Hours<'a>,
    ledger: Ledger,
    spans: BTreeMap<SpanId, Span>,
    closed_until: Second,
    blocks: BTreeMap<InstanceId, BlockSums>,
    /// What is payable by records, by month: exact, and how far it may be off for what is rounded of traffic.
    months: BTreeMap<Second, (Exact, i128)>,
}

impl<'a> RecordAudit<'a> {
    /// In order of their first second, with what vouchers paid of each.
    pub fn record(&mut self, record: BillRecord, paid: &[(VoucherId, Fine)]) {
        self.of.counts.bill_record += 1;
        if let Some(span) = self.spans.get(&record.charge.span) {
            self.ledger.record(reason(span, &record), &record, paid, &mut self.of.found);
            if let Settled::AtRelease { .. } = span.settled
                && let Some(block) = record.charge.instance()
            {
                self.blocks.entry(block).or_default().add(&record);
            }
            let at = match span.settled {
                Settled::Hourly { .. } => Some(record.charge.period.since),
                Settled::AtRelease { .. } => {
                    span.instance().and_then(|block| self.of.lives.settled_end(block)).map(|(end, _)| end.at)
                }
                Settled::InAdvance { .. } => Some(record.issued_at),
            };
            if let Some(at) = at {
                self.months.entry(self.of.calendar.month(at)).or_default().0 += record.split.payable;
            }
        }
        self.hours.record(record, &mut self.of.found);
    }

    pub fn traffic(&mut self, record: &TrafficRecord, paid: &[(VoucherId, Fine)]) {
        self.of.counts.traffic_record += 1;
        let region = self.of.sent.region(record.charge.address);
        self.ledger.traffic(record, region, paid, &mut self.of.found);
        self.of.sent.record(record, &mut self.of.found);
        let (payable, off) = self.months.entry(self.of.calendar.month(record.charge.period.since)).or_default();
        let sent = record.charge.paid().payable;
        *payable += sent.in_time();
        *off += i128::from(sent != TrafficExact::ZERO);
    }

    /// What a voucher is said to have paid of something that is no record.
    pub fn paid_of_nothing(&mut self, id: &str, voucher: VoucherId, amount: Fine) {
        let row = format!("record_voucher of {id} by {voucher}");
        self.of.found.add(Check::VoucherPaid, Some(self.of.id), row, amount, "nothing: there is no such record");
    }

    /// Postings, those of one entry after one another.
    pub fn line(&mut self, line: Line) {
        self.of.counts.posting += u64::from(line.place.is_some());
        self.ledger.line(line, &mut self.of.found);
    }

    pub fn entries(&mut self, count: u64) {
        self.of.counts.entry += count;
    }

    /// What is kept of a block that is gone.
    pub fn block(&mut self, id: InstanceId, stored: Block) {
        let comes_to = self.blocks.remove(&id).unwrap_or_default();
        let (found, account) = (&mut self.of.found, self.of.id);
        found.compare(Check::Block, account, format!("block {id} seconds"), stored.seconds, comes_to.seconds);
        let row = format!("block {id} waived_seconds");
        found.compare(Check::Block, account, row, stored.waived_seconds, comes_to.waived_seconds);
        for (name, stored, comes_to) in
            [("waived", stored.waived, comes_to.waived), ("payable", stored.payable, comes_to.payable)]
        {
            let (stored, comes_to) = (exact(stored), exact(comes_to));
            found.compare(Check::Block, account, format!("block {id} {name}"), stored, comes_to);
        }
    }

    /// `flows` and `used`: what is written down of open hours, and what closed ones used of the pools.
    pub fn finish(
        mut self,
        flows: &[Flow],
        used: &BTreeMap<Second, Used>,
        allowance: &TrafficAllowance,
    ) -> (Counts, Found) {
        let mut found = self.of.found;
        self.hours.walk(END, &mut found);
        self.of.sent.finish(self.closed_until, flows, used, allowance, &mut found);
        self.ledger.finish(&mut found);
        for (id, comes_to) in &self.blocks {
            let comes_to = format!("one of {} s", comes_to.seconds);
            found.add(Check::Block, Some(self.of.id), format!("block {id}"), "nothing", comes_to);
        }
        if let Some((_, since)) = self.of.account.owing.cap {
            let kept: BTreeSet<Second> = self.of.account.spent.iter().map(|(month, _)| *month).collect();
            let counted = self.months.iter().filter(|(month, _)| **month >= self.of.calendar.month(since));
            for (month, (comes_to, may_be_off)) in counted {
                if !kept.contains(month) && comes_to.units() > *may_be_off {
                    let (row, comes_to) = (format!("month_spending of {month}"), exact(*comes_to));
                    found.add(Check::Cap, Some(self.of.id), row, "nothing", comes_to);
                }
            }
        }
        for (month, stored) in &self.of.account.spent {
            let (comes_to, may_be_off) = self.months.get(month).copied().unwrap_or_default();
            if (*stored - comes_to).units().abs() > may_be_off {
                let row = format!("month_spending of {month} payable");
                let (stored, comes_to) = (exact(*stored), exact(comes_to));
                found.add(Check::Cap, Some(self.of.id), row, stored, comes_to);
            }
        }
        (self.of.counts, found)
    }
}
