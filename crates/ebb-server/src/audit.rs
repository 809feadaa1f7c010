//! Does all that is stored agree with itself? It is read account by account and host by host, each as of one instant, while all goes on.

use crate::app::App;
use ebb_engine::audit::account::{Account, AccountAudit, Money, Owing, Told};
use ebb_engine::audit::room::RoomAudit;
use ebb_engine::audit::{Check, Counts, Found};
use ebb_engine::placement::Room;
use ebb_model::id::{AccountId, HostId, VoucherId};
use ebb_model::time::Second;
use ebb_model::voucher::Fine;
use ebb_store::rows::{
    account, address, adjustment, arrears, audit, bill, budget, cap, host, instance, traffic, trial, volume, voucher,
};
use ebb_store::{Query, Reads, Row, StoreError};
use std::collections::BTreeMap;

/// What was added up again, and what did not agree.
#[derive(Default)]
pub struct Audited {
    pub counts: Counts,
    pub found: Found,
}

impl Audited {
    fn join(&mut self, (counts, found): (Counts, Found)) {
        self.counts = self.counts.plus(counts);
        self.found.join(found);
    }
}

impl App {
    /// Audits one account, or all of them with the hosts and the ledger as a whole. Keeps as many findings as `most`; the first come first.
    pub async fn audit(&self, only: Option<AccountId>, most: usize) -> Result<Audited, StoreError> {
        let mut all = Audited { found: Found::up_to(most), ..Audited::default() };
        if let Some(id) = only {
            all.join(self.audit_account(id, most).await?);
            return Ok(all);
        }
        let mut after = String::new();
        loop {
            let page = self.store.rows(audit::accounts(&after)).await?;
            let Some(last) = page.last() else { break };
            after = last.text("id").to_owned();
            for row in &page {
                let id = row.text("id").parse().expect("an id that this program wrote");
                all.join(self.audit_account(id, most).await?);
            }
        }
        for row in self.store.rows(host::all()).await? {
            all.join(self.audit_host(host::read(&row), most).await?);
        }
        for row in self.store.rows(audit::ledger()).await? {
            let (sum, lost) = (audit::read_ledger(&row), row.int("lost"));
            if sum != 0 || lost != 0 {
                let sum = format!("{sum} × 0.00000001");
                all.found.add(Check::Ledger, None, "all postings", format!("{sum}, {lost} of no entry"), "nothing");
            }
        }
        for row in self.store.rows(audit::alarms()).await? {
            let comes_to = if row.text("stored") == "set" { "nothing: there is no such account" } else { "one" };
            all.found.add(Check::Alarm, None, row.text("what"), row.text("stored"), comes_to);
        }
        Ok(all)
    }

    async fn audit_account(&self, id: AccountId, most: usize) -> Result<(Counts, Found), StoreError> {
        let app = self.clone();
        self.store.read(move |reads| async move { audit_one(&app, &reads, id, most).await }).await
    }

    async fn audit_host(&self, known: host::Host, most: usize) -> Result<(Counts, Found), StoreError> {
        self.store
            .read(move |reads| async move {
                let rooms = host::read_rooms(&reads.rows(host::room_of(known.id)).await?);
                let mut one =
                    RoomAudit::new(&known.name, rooms.into_iter().next().unwrap_or_else(|| no_room(known.id)));
                let here = known.id.to_string();
                pages(&reads, "id", |after| audit::on_host(&here, after), |row| one.instance(&instance::read(row)))
                    .await?;
                for row in reads.rows(volume::on_host(known.id)).await? {
                    one.volume(&volume::read(&row));
                }
                let mut found = Found::up_to(most);
                Ok((one.finish(&mut found), found))
            })
            .await
    }
}

fn no_room(host: HostId) -> Room {
    let (capacity, used, claimed, releasing) = Default::default();
    Room { host, capacity, used, claimed, releasing }
}

/// All rows, a page at a time, by the key in the column `key`.
async fn pages(
    reads: &Reads,
    key: &str,
    page: impl Fn(&str) -> Query,
    mut each: impl FnMut(&Row),
) -> Result<(), StoreError> {
    let mut after = String::new();
    loop {
        let rows = reads.rows(page(&after)).await?;
        rows.iter().for_each(&mut each);
        match rows.last() {
            Some(last) => after = last.text(key).to_owned(),
            None => return Ok(()),
        }
    }
}

/// The same of records, in order of their first second, with what vouchers paid of each.
async fn records(
    reads: &Reads,
    of: AccountId,
    page: impl Fn((Second, &str)) -> Query,
    mut each: impl FnMut(&Row, &[(VoucherId, Fine)]),
) -> Result<(), StoreError> {
    let mut after = (Second::from_unix(i64::MIN), String::new());
    let since = |row: &Row| Second::from_unix(row.int("since"));
    loop {
        let rows = reads.rows(page((after.0, &after.1))).await?;
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(()) };
        let mut paid: BTreeMap<String, Vec<(VoucherId, Fine)>> = BTreeMap::new();
        for row in reads.rows(voucher::payments_between(of, since(first), since(last))).await? {
            let (record, by, amount) = voucher::read_payment(&row);
            paid.entry(record.to_string()).or_default().push((by, amount));
        }
        for row in &rows {
            each(row, paid.get(row.text("id")).map_or(&[], Vec::as_slice));
        }
        after = (since(last), last.text("id").to_owned());
    }
}

/// What was given back to an account, page by page.
async fn adjustments(reads: &Reads, of: AccountId, one: &mut AccountAudit<'_>) -> Result<(), StoreError> {
    let mut after = String::new();
    loop {
        let rows = reads.rows(adjustment::of_account(of, &after, audit::PAGE)).await?;
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(()) };
        let (first, last) = (adjustment::read(first).id, adjustment::read(last).id);
        let vouchers = reads.rows(adjustment::vouchers_of_account(of, first, last)).await?;
        adjustment::with_vouchers(&rows, &vouchers).into_iter().for_each(|given| one.adjustment(given));
        after = last.to_string();
    }
}

async fn audit_one(app: &App, reads: &Reads, id: AccountId, most: usize) -> Result<(Counts, Found), StoreError> {
    let Some(row) = reads.row(account::by_id(id)).await? else {
        // It was there a moment ago, and accounts are never deleted.
        let mut found = Found::up_to(most);
        found.add(Check::Total, Some(id), format!("account {id}"), "nothing", "an account");
        return Ok((Counts::default(), found));
    };
    let known = account::read(&row);
    let money = Money {
        account: id,
        purse: known.purse,
        totals: known.totals,
        grant: reads.row(account::grant(id)).await?.map(|row| account::read_grant(&row)),
        ending: trial::read_ending(reads.row(trial::ending(id)).await?.as_ref()),
    };
    let last_hour = reads.row(bill::last_hour(id)).await?.map(|row| Second::from_unix(row.int("at")));
    let spent = reads.rows(cap::spent(id)).await?.iter().map(cap::read_spent).collect();
    let told = reads.rows(budget::all_told(id)).await?.iter().map(budget::read_told).collect();
    let budget = Told { budget: reads.row(budget::of(id)).await?.as_ref().map(budget::read), told };
    let owing = Owing {
        arrears: reads.row(arrears::open_of(id)).await?.map(|row| arrears::read(&row).arrears),
        cap: reads.row(cap::of(id)).await?.map(|row| cap::read(&row)).map(|cap| (cap.amount, cap.set_at)),
    };
    let about = Account { money, held: known.held, close_at: known.close_at, last_hour, spent, budget, owing };
    let mut one = AccountAudit::new(about, &app.catalog.time_zone, most);
    let of_account = |after: &str| instance::of_account(id, after, audit::PAGE);
    let region = |zone: &str| app.catalog.zone(zone).map_or("", |zone| zone.region.as_str());
    let instance = |row: &Row| {
        let of = instance::read(row);
        one.instance(&of, region(&of.zone));
    };
    pages(reads, "id", of_account, instance).await?;
    pages(reads, "id", |after| audit::addresses(id, after), |row| one.address(address::read(row))).await?;
    let of_volumes = |after: &str| volume::of_account(id, after, audit::PAGE);
    pages(reads, "id", of_volumes, |row| one.volume(volume::read(row))).await?;
    for hold in reads.rows(account::holds(id)).await?.iter().map(account::read_hold) {
        one.hold(hold.instance, hold.amount);
    }
    adjustments(reads, id, &mut one).await?;
    let vouchers = |after: &str| voucher::page_of(id, after, audit::PAGE);
    pages(reads, "id", vouchers, |row| one.voucher(voucher::read(row), row.int("live") == 1)).await?;
    pages(reads, "id", |after| audit::spans(id, after), |row| one.span(bill::read_span(row))).await?;
    let heard = |row: &Row| {
        let (id, about, at, event) = audit::read_event(row);
        one.event(id, about, at.second(), &event);
    };
    pages(reads, "id", |after| audit::events(id, after), heard).await?;

    let mut issued = one.records();
    let by_time = |after: (Second, &str)| audit::records(id, after);
    records(reads, id, by_time, |row, paid| issued.record(bill::read_record(row), paid)).await?;
    let by_traffic = |after: (Second, &str)| audit::traffic_records(id, after);
    records(reads, id, by_traffic, |row, paid| issued.traffic(&traffic::read_record(row), paid)).await?;
    for row in reads.rows(audit::paid_of_nothing(id)).await? {
        let (record, by, amount) = voucher::read_payment(&row);
        issued.paid_of_nothing(&record.to_string(), by, amount);
    }
    let mut after = String::new();
    loop {
        let entries = reads.rows(audit::entries(id, &after)).await?;
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else { break };
        issued.entries(entries.len() as u64);
        after = last.text("reason").to_owned();
        let postings = reads.rows(audit::postings(id, first.text("reason"), &after)).await?;
        postings.iter().for_each(|row| issued.line(audit::read_line(row)));
    }
    let kept = |row: &Row| {
        let (id, stored) = audit::read_block(row);
        issued.block(id, stored);
    };
    pages(reads, "instance_id", |after| audit::blocks(id, after), kept).await?;
    let flows = traffic::read_flows(&reads.rows(traffic::open_of(id)).await?);
    let used = reads.rows(traffic::used_since(id, Second::from_unix(i64::MIN))).await?;
    let used = used.iter().map(traffic::read_used).collect();
    Ok(issued.finish(&flows, &used, &app.catalog.trial.traffic))
}
