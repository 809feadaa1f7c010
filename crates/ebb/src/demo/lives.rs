//! What may happen to instances in their lives? Chance buys, stops, starts, deletes, rehearses, takes back, pays and lets time pass.

mod addresses;
mod ahead;
mod debts;
mod disks;
mod gifts;

use super::dice::Dice;
use super::stage::{Customer, Stage};
use crate::failure::Failure;
use ebb_model::money::Amount;
use ebb_model::time::Timestamp;
use ebb_wire::address::{Address, Send};
use ebb_wire::bill::Bill;
use ebb_wire::cap::{Cap, SetCap};
use ebb_wire::catalog::Zone;
use ebb_wire::drill::{Drill, Rehearse};
use ebb_wire::host::{DeclareLost, Host, Leave};
use ebb_wire::instance::{Buy, Convert, Converted, Instance, Renew, Resize, Resized, Stop};
use ebb_wire::person::{Because, Evidence, Learned, Report};
use ebb_wire::problem::Page;
use ebb_wire::record::Adjust;
use ebb_wire::sandbox::Advance;
use ebb_wire::trial::ChooseAtEnd;
use serde_json::Value;
use std::collections::BTreeMap;

/// Purchases that are refused do not count, but do not go on for ever either.
const TRIES_PER_LIFE: u32 = 60;
const LIVES_PER_CUSTOMER: u32 = 12;
const WHIMS: u64 = 0x7768_696d;
const MONTHS: u64 = 0x6d6f_6e74;
const PACKETS: u64 = 0x7061_636b;
const FAVORS: u64 = 0x6661_766f;
const GIFTS: u64 = 0x6769_6674;
const DEBTS: u64 = 0x6465_6274;
const AHEAD: u64 = 0x6168_6561;
const PLACES: u64 = 0x706c_6163;
const DISKS: u64 = 0x6469_736b;

/// What was done, how often, and how much time it took in the sandbox.
pub struct Played {
    pub seed: u64,
    pub done: BTreeMap<String, u32>,
    pub seconds: i64,
}

struct Theatre<'a> {
    stage: &'a Stage,
    dice: Dice,
    /// Others, for whose an account is: so that a seed's lives stay as they were.
    whims: Dice,
    /// And for how it is paid.
    months: Dice,
    /// And others, for what leaves public addresses.
    packets: Dice,
    /// And for what is given back.
    favors: Dice,
    /// And for coupons and cards.
    gifts: Dice,
    /// And for what those do who owe.
    debts: Dice,
    on_credit: u32,
    /// And for what is bought by the month, renews itself, or has a budget.
    ahead: Dice,
    /// And for where public addresses lead, and how they are paid.
    places: Dice,
    /// And for data disks and snapshots.
    disks: Dice,
    customers: Vec<Customer>,
    done: BTreeMap<String, u32>,
    bought: u32,
}

/// Plays until `lives` purchases were accepted.
///
/// # Errors
/// The service failed, or refused so much that the lives never came about.
pub async fn play(stage: &Stage, lives: u32, seed: u64) -> Result<Played, Failure> {
    let opening = stage.now().await?;
    let (dice, whims, months) = (Dice::new(seed), Dice::new(seed ^ WHIMS), Dice::new(seed ^ MONTHS));
    let (packets, favors) = (Dice::new(seed ^ PACKETS), Dice::new(seed ^ FAVORS));
    let (gifts, debts, ahead) = (Dice::new(seed ^ GIFTS), Dice::new(seed ^ DEBTS), Dice::new(seed ^ AHEAD));
    let places = Dice::new(seed ^ PLACES);
    let disks = Dice::new(seed ^ DISKS);
    let (customers, done, on_credit, bought) = (vec![], BTreeMap::new(), 0, 0);
    let mut theatre = Theatre {
        stage,
        dice,
        whims,
        months,
        packets,
        favors,
        gifts,
        debts,
        on_credit,
        ahead,
        places,
        disks,
        customers,
        done,
        bought,
    };
    for at in 0..=(lives / LIVES_PER_CUSTOMER) {
        theatre.enter(at).await?;
    }
    let mut tries = 0;
    while theatre.bought < lives {
        tries += 1;
        if tries > lives.saturating_mul(TRIES_PER_LIFE) {
            let bought = theatre.bought;
            return Err(Failure::Outcome(format!(
                "after {tries} attempts only {bought} of {lives} purchases went through"
            )));
        }
        theatre.something().await?;
        if theatre.whims.percent(3) {
            theatre.word_about_a_trial().await?;
        }
        if theatre.whims.percent(4) {
            theatre.mind_the_money().await?;
        }
        if theatre.months.percent(12) {
            theatre.convert().await?;
        }
        if theatre.gifts.percent(30) {
            theatre.vouchers().await?;
        }
        if theatre.packets.percent(30) {
            theatre.traffic().await?;
        }
        if theatre.places.percent(25) {
            theatre.addresses().await?;
        }
        if theatre.favors.percent(12) {
            theatre.give_back().await?;
        }
        if theatre.debts.percent(10) {
            theatre.owe().await?;
        }
        if theatre.ahead.percent(5) {
            theatre.buy_months().await?;
        }
        if theatre.ahead.percent(4) {
            theatre.choose_renewals(60).await?;
        }
        if theatre.ahead.percent(5) {
            theatre.plan_a_budget().await?;
        }
        if theatre.disks.percent(30) {
            theatre.tinker().await?;
        }
    }
    theatre.curtain().await?;
    let seconds = stage.now().await?.millis_since(opening) / 1_000;
    Ok(Played { seed, done: theatre.done, seconds })
}

impl Theatre<'_> {
    /// A further customer, rich or poor; most claim their trial, some too late.
    async fn enter(&mut self, at: u32) -> Result<(), Failure> {
        let holder = if self.dice.percent(60) { "individual" } else { "enterprise" };
        let most = if self.dice.percent(30) { 5 } else { 400 };
        let cash = format!("{}.{:08}", self.dice.from(0, most), self.dice.from(1, 99_999_999));
        let customer = self.stage.customer(&format!("顾客 {at}"), holder, &cash).await?;
        // Some are another account of somebody who is there already.
        let document = if self.whims.percent(35) { self.whims.from(0, i64::from(at)) } else { i64::from(at) };
        let report = Report {
            seen_at: "registration".to_owned(),
            evidence: vec![Evidence { kind: "document".to_owned(), value: format!("P-{:07}", 1_234_567 + document) }],
        };
        let path = format!("/v1/accounts/{}/evidence", customer.id);
        let _: Learned = self.stage.operator.post(&path, &report).await?;
        if self.dice.percent(70) {
            let claimed = customer.client.ask::<Value>("/v1/trial").await;
            self.tally("claim", claimed)?;
            // Some want nothing to go on when the grant ends, or only the disks.
            if let Some(choice) = [None, Some("release"), Some("stop")][at as usize % 3] {
                let choice = ChooseAtEnd { choice: choice.to_owned() };
                let chosen = customer.client.post::<Value>("/v1/trial/at-end", &choice).await;
                self.tally("choose the trial's end", chosen)?;
            }
        }
        self.customers.push(customer);
        Ok(())
    }

    async fn something(&mut self) -> Result<(), Failure> {
        match self.dice.from(1, 100) {
            1..=38 => self.buy().await,
            39..=68 => self.let_time_pass().await,
            69..=72 => self.stop().await,
            73..=76 => self.start().await,
            77..=79 => self.resize().await,
            80..=83 => self.delete().await,
            84..=87 => self.drill().await,
            88..=89 => self.go_and_come_back().await,
            90..=92 => self.reclaim().await,
            93..=95 => self.trouble().await,
            96..=97 => self.pay().await,
            _ => {
                let at = self.customer();
                let claimed = self.customers[at].client.ask::<Value>("/v1/trial").await;
                self.tally("claim", claimed).map(drop)
            }
        }
    }

    /// The operator gives back some of what somebody paid, or his vouchers or grant: all, a part, or more than there is.
    async fn give_back(&mut self) -> Result<(), Failure> {
        let at = self.favors.from(0, self.customers.len() as i64 - 1) as usize;
        let bill: Bill = self.customers[at].client.get("/v1/bills", &[]).await?;
        let time = bill.records.iter().filter_map(|one| {
            let paid = amount(&one.amount)? + amount(&one.grant)?;
            Some((one.id.clone()?, paid, one.grant != "0.00000000" || !one.vouchers.is_empty()))
        });
        let sent = bill.traffic.iter();
        let sent = sent.filter_map(|one| Some((one.id.clone()?, amount(&one.amount)?, !one.vouchers.is_empty())));
        let paid: Vec<_> = time.chain(sent).filter(|(_, paid, _)| *paid > 0).collect();
        // Half of the time it is something that a grant or a voucher paid.
        let helped = self.favors.percent(50) && paid.iter().any(|(.., helped)| *helped);
        let paid: Vec<_> = paid.into_iter().filter(|(.., by_others)| *by_others || !helped).collect();
        if paid.is_empty() {
            return Ok(());
        }
        let (id, paid, _) = &paid[self.favors.from(0, paid.len() as i64 - 1) as usize];
        let units = if self.favors.percent(30) { *paid } else { self.favors.from(1, paid + paid / 10 + 1) };
        let body = Adjust { amount: Amount::from_units(units).to_string(), reason: "it was slow".to_owned() };
        let given = self.stage.operator.post::<Value>(&format!("/v1/records/{id}/adjustments"), &body).await;
        self.tally("give back", given).map(drop)
    }

    /// The operator lets somebody claim in spite of all, or takes what is left of a grant.
    async fn word_about_a_trial(&mut self) -> Result<(), Failure> {
        let at = self.whims.from(0, self.customers.len() as i64 - 1) as usize;
        let (verb, what) = if self.whims.percent(70) { ("overrule", "overrule") } else { ("revoke", "revoke a grant") };
        let path = format!("/v1/accounts/{}/trial/{verb}", self.customers[at].id);
        let because = Because { reason: "a whim".to_owned() };
        let answer = self.stage.operator.post::<Value>(&path, &because).await;
        // Some come back to it when something else has happened.
        if self.tally(what, answer)?.is_some() && verb == "overrule" && self.whims.percent(80) {
            let claimed = self.customers[at].client.ask::<Value>("/v1/trial").await;
            self.tally("claim", claimed)?;
        }
        Ok(())
    }

    /// Somebody sets a cap, often barely above the least that is possible, or does without; then time passes, often to where it acts.
    async fn mind_the_money(&mut self) -> Result<(), Failure> {
        let at = self.whims.from(0, self.customers.len() as i64 - 1) as usize;
        let client = &self.customers[at].client;
        if self.whims.percent(15) {
            let removed = client.delete::<Cap>("/v1/cap").await;
            return self.tally("remove a cap", removed).map(drop);
        }
        let least: Amount = client.get::<Cap>("/v1/cap", &[]).await?.least.parse().unwrap_or_default();
        let more = if self.whims.percent(70) { self.whims.from(-20, 500) } else { self.whims.from(0, 20_000) };
        let amount = Amount::from_units((least.units() + more * 1_000_000 + self.whims.from(0, 999)).max(0));
        let answer = client.post::<Cap>("/v1/cap", &SetCap { amount: amount.to_string() }).await;
        let Some(set) = self.tally("set a cap", answer)? else { return Ok(()) };
        if let Some(acts_at) = set.acts_at.filter(|_| self.whims.percent(60)) {
            let acts_at = acts_at.parse::<Timestamp>().expect("an instant of the service");
            let seconds = acts_at.millis_since(self.stage.now().await?) / 1_000 + self.whims.from(0, 100);
            self.stage.advance(Advance { seconds: Some(seconds.clamp(1, 40_000)), to: None }).await?;
        }
        Ok(())
    }

    fn customer(&mut self) -> usize {
        self.dice.from(0, self.customers.len() as i64 - 1) as usize
    }

    async fn buy(&mut self) -> Result<(), Failure> {
        let public_ip = self.packets.percent(35);
        let order = self.with_public_ip(public_ip);
        let order = self.with_disks(order);
        let what = format!("buy {}", order.option);
        let at = self.customer();
        let answer = self.customers[at].client.post::<Instance>("/v1/instances", &order).await;
        let Some(bought) = self.tally(&what, answer)? else { return Ok(()) };
        self.bought += 1;
        if bought.state == "pending" && self.dice.percent(60) {
            self.change_its_mind(at, &bought).await?;
        }
        Ok(())
    }

    /// An order for which others may have had to go is deleted as soon as it runs, or before.
    async fn change_its_mind(&mut self, owner: usize, one: &Instance) -> Result<(), Failure> {
        let seconds = self.dice.from(290, 1_000);
        self.stage.advance(Advance { seconds: Some(seconds), to: None }).await?;
        let answer = self.customers[owner].client.delete::<Instance>(&format!("/v1/instances/{}", one.id)).await;
        self.tally("delete what waited", answer).map(drop)
    }

    /// An order, perhaps with a public address; some of those are overseas.
    fn with_public_ip(&mut self, public_ip: bool) -> Buy {
        let public_ip_mbit = (public_ip && self.places.percent(30)).then(|| self.places.from(1, 8));
        let order = Buy { public_ip, public_ip_mbit, ..self.order() };
        let sea = |zone: &&Zone| zone.overseas && zone.traffic.is_some();
        match self.stage.catalog.zones.iter().find(sea) {
            Some(zone) if public_ip && self.packets.percent(40) => Buy { zone: zone.id.clone(), ..order },
            _ => order,
        }
    }

    /// Something leaves a public address, a counter begins again, or somebody gives an address back.
    async fn traffic(&mut self) -> Result<(), Failure> {
        let all: Page<Address> = self.stage.operator.all("/v1/addresses", &[]).await?;
        let Some(one) = self.packets.one(&all.items).cloned() else { return Ok(()) };
        let Some(owner) = self.customers.iter().position(|customer| customer.id == one.account) else { return Ok(()) };
        let client = &self.customers[owner].client;
        let path = format!("/v1/addresses/{}", one.id);
        let chance = self.packets.from(1, 100);
        if chance <= 8 {
            let answer = client.delete::<Address>(&path).await;
            return self.tally("release an address", answer).map(drop);
        }
        let bytes = match chance {
            9..=30 => self.packets.from(1, 5_000),
            31..=70 => self.packets.from(1, 9_999_999_999),
            _ => self.packets.from(10_000_000_000, 120_000_000_000),
        };
        if bytes > 1_000_000_000 && self.packets.percent(80) {
            // Else most would soon be in debt, and buy nothing more.
            self.stage.top_up(&one.account, &format!("{}.50", bytes / 1_000_000_000)).await?;
        }
        let what = Send { bytes, reset: chance % 10 == 0 };
        let answer = client.post::<Address>(&format!("{path}/traffic"), &what).await;
        self.tally("send traffic", answer).map(drop)
    }

    fn order(&mut self) -> Buy {
        let catalog = &self.stage.catalog;
        let option = match self.dice.from(1, 100) {
            1..=50 => "spot-block",
            51..=75 => "trial",
            _ => "on-demand",
        };
        let block = option == "spot-block";
        let sold = catalog.flavors.iter().filter(|flavor| match option {
            "spot-block" => !flavor.spot.is_empty(),
            "trial" => !flavor.trial.is_empty(),
            _ => flavor.on_demand.is_some(),
        });
        let sold: Vec<_> = sold.collect();
        // A firm order is large often enough to need the room of blocks; the catalog lists the large ones last.
        let large = option == "on-demand" && self.dice.percent(60);
        let sold = if large { &sold[sold.len().saturating_sub(4)..] } else { &sold[..] };
        let flavor = self.dice.one(sold).map(|flavor| flavor.id.clone()).unwrap_or_default();
        // Few zones, so that they fill up.
        let zones = &catalog.zones[..catalog.zones.len().min(2)];
        let zone = self.dice.one(zones).map(|zone| zone.id.clone()).unwrap_or_default();
        // Now and then what is not sold: 7 hours, or several periods of less than 6.
        let hours = if self.dice.percent(40) { 6 } else { self.dice.from(1, 7) };
        let periods = if hours == 6 || self.dice.percent(5) { self.dice.from(1, 4) } else { 1 };
        Buy {
            option: option.to_owned(),
            zone,
            flavor,
            hours: block.then_some(hours),
            periods: block.then_some(periods),
            tags: self.tags(50),
            ..Buy::default()
        }
    }

    /// One of two fleets, or, but for `chance` in a hundred, none.
    fn tags(&mut self, chance: i64) -> BTreeMap<String, String> {
        let fleet = ["render", "web"][self.dice.from(0, 1) as usize];
        let tagged = self.dice.percent(chance);
        tagged.then(|| ("fleet".to_owned(), fleet.to_owned())).into_iter().collect()
    }

    /// A customer, out of debt, tries the grant once more; those who may not are refused.
    async fn try_out(&mut self, at: usize) -> Result<(), Failure> {
        let zones: Vec<_> = self.stage.catalog.zones.iter().filter(|zone| zone.trial).collect();
        let flavors: Vec<_> = self.stage.catalog.flavors.iter().filter(|flavor| !flavor.trial.is_empty()).collect();
        let (Some(zone), Some(flavor)) = (self.dice.one(&zones), self.dice.one(&flavors)) else { return Ok(()) };
        let order =
            Buy { option: "trial".to_owned(), zone: zone.id.clone(), flavor: flavor.id.clone(), ..Buy::default() };
        self.stage.top_up(&self.customers[at].id, "1000").await?;
        let answer = self.customers[at].client.post::<Instance>("/v1/instances", &order).await;
        self.tally("buy trial", answer).map(drop)
    }

    /// Seconds, hours, days; often to the very second at which something is due, or one beside it.
    async fn let_time_pass(&mut self) -> Result<(), Failure> {
        let now = self.stage.now().await?;
        let to = match self.dice.from(1, 100) {
            1..=25 => now.plus_seconds(self.dice.from(1, 59)),
            26..=55 => now.plus_seconds(self.dice.from(60, 3_600)),
            56..=70 => now.plus_seconds(self.dice.from(3_600, 30_000)),
            71..=80 => Timestamp::from_micros((now.second().unix() / 3_600 + 1) * 3_600_000_000),
            81..=97 => self.next_lease_end(now).await?.plus_seconds(self.dice.from(-1, 1)),
            _ => now.plus_seconds(self.dice.from(86_400, 6 * 86_400)),
        };
        let seconds = (to.millis_since(now) / 1_000).max(1);
        self.stage.advance(Advance { seconds: Some(seconds), to: None }).await?;
        *self.done.entry("let time pass".to_owned()).or_default() += 1;
        Ok(())
    }

    async fn next_lease_end(&mut self, now: Timestamp) -> Result<Timestamp, Failure> {
        let live = self.live().await?;
        let ends = live.iter().filter_map(|one| one.lease_ends_at.as_ref()?.parse::<Timestamp>().ok());
        Ok(ends.min().unwrap_or(now.plus_seconds(600)))
    }

    async fn live(&self) -> Result<Vec<Instance>, Failure> {
        let page: Page<Instance> = self.stage.operator.all("/v1/instances", &[("state", "live")]).await?;
        Ok(page.items)
    }

    /// Somebody's instance, and who owns it.
    async fn victim(&mut self, wanted: impl Fn(&Instance) -> bool) -> Result<Option<(usize, Instance)>, Failure> {
        let mut live = self.live().await?;
        live.retain(wanted);
        let chosen = self.dice.one(&live).cloned();
        Ok(chosen.and_then(|one| {
            let owner = self.customers.iter().position(|customer| customer.id == one.account)?;
            Some((owner, one))
        }))
    }

    /// One in a state, or now and then any one.
    async fn one_that_is(&mut self, state: &str) -> Result<Option<(usize, Instance)>, Failure> {
        let any = self.dice.percent(20);
        self.victim(|one| any || one.state == state).await
    }

    async fn stop(&mut self) -> Result<(), Failure> {
        // What is off already, too.
        let state = if self.dice.percent(80) { "running" } else { "stopped" };
        let Some((owner, one)) = self.one_that_is(state).await? else { return Ok(()) };
        let how = Stop { economical: self.dice.percent(70) };
        let what = if how.economical { "stop economically" } else { "stop" };
        let path = format!("/v1/instances/{}/stop", one.id);
        let answer = self.customers[owner].client.post::<Instance>(&path, &how).await;
        self.tally(what, answer).map(drop)
    }

    async fn start(&mut self) -> Result<(), Failure> {
        let Some((owner, one)) = self.one_that_is("stopped").await? else { return Ok(()) };
        let answer = self.customers[owner].client.ask::<Instance>(&format!("/v1/instances/{}/start", one.id)).await;
        let what = if one.economical { "start again" } else { "start" };
        let Some(started) = self.tally(what, answer)? else { return Ok(()) };
        if started.state == "pending" && self.dice.percent(60) {
            self.change_its_mind(owner, &started).await?;
        }
        Ok(())
    }

    /// Somebody stops economically, blocks take the room that he left, and he wants it back.
    async fn go_and_come_back(&mut self) -> Result<(), Failure> {
        let runs = |one: &Instance| one.state == "running" && one.option == "on-demand";
        let Some((owner, one)) = self.victim(runs).await? else { return Ok(()) };
        let path = format!("/v1/instances/{}", one.id);
        let stopped = self.customers[owner].client.post(&format!("{path}/stop"), &Stop { economical: true }).await;
        if self.tally::<Instance>("stop economically", stopped)?.is_none() {
            return Ok(());
        }
        self.stage.advance(Advance { seconds: Some(self.dice.from(61, 200)), to: None }).await?;
        let spot = self.stage.catalog.flavors.iter().filter(|flavor| !flavor.spot.is_empty());
        let spot: Vec<String> = spot.map(|flavor| flavor.id.clone()).collect();
        // The large ones first, which the catalog lists last.
        for flavor in spot.iter().rev() {
            let whose = if self.dice.percent(30) { owner } else { self.customer() };
            let mut more = true;
            while more {
                let hours = Some(self.dice.from(2, 6));
                let option = "spot-block".to_owned();
                let (zone, flavor) = (one.zone.clone(), flavor.clone());
                let block = Buy { option, zone, flavor, hours, ..Buy::default() };
                let answer = self.customers[whose].client.post::<Instance>("/v1/instances", &block).await;
                more = self.tally("buy spot-block", answer)?.is_some();
                self.bought += u32::from(more);
            }
        }
        self.stage.advance(Advance { seconds: Some(self.dice.from(1, 600)), to: None }).await?;
        let started = self.customers[owner].client.ask::<Instance>(&format!("{path}/start")).await;
        let Some(started) = self.tally("start again", started)? else { return Ok(()) };
        if started.state == "pending" {
            *self.done.entry("start again: others make room".to_owned()).or_default() += 1;
            if self.dice.percent(50) {
                self.change_its_mind(owner, &started).await?;
            }
        }
        Ok(())
    }

    async fn resize(&mut self) -> Result<(), Failure> {
        let Some((owner, one)) = self.one_that_is("stopped").await? else { return Ok(()) };
        let flavors = &self.stage.catalog.flavors;
        let flavor = self.dice.one(flavors).map(|flavor| flavor.id.clone()).unwrap_or_default();
        let to = Resize { flavor, quote: self.dice.percent(10) };
        let path = format!("/v1/instances/{}/resize", one.id);
        let answer = self.customers[owner].client.post::<Resized>(&path, &to).await;
        self.tally(if to.quote { "ask what a resize costs" } else { "resize" }, answer).map(drop)
    }

    /// Somebody leaves the trial, or pays by the month; most have the money, and now and then it is a block.
    async fn convert(&mut self) -> Result<(), Failure> {
        let mut live = self.live().await?;
        let any = self.months.percent(15);
        live.retain(|one| any || ["trial", "on-demand"].contains(&one.option.as_str()) && one.started_at.is_some());
        let Some(one) = self.months.one(&live).cloned() else { return Ok(()) };
        let Some(owner) = self.customers.iter().position(|customer| customer.id == one.account) else { return Ok(()) };
        if self.months.percent(75) {
            self.stage.top_up(&self.customers[owner].id, "900").await?;
        }
        let count = if self.months.percent(70) { 1 } else { self.months.from(0, 40) };
        let leaves = if one.option == "trial" { 50 } else { 10 };
        let to = match self.months.percent(leaves) {
            true => Convert { to: "on-demand".to_owned(), ..Convert::default() },
            false => Convert { to: "subscription".to_owned(), months: Some(count), ..Convert::default() },
        };
        let to = Convert { quote: self.months.percent(10), ..to };
        let path = format!("/v1/instances/{}/convert", one.id);
        let answer = self.customers[owner].client.post::<Converted>(&path, &to).await;
        let what = if to.quote { "ask what a conversion costs".to_owned() } else { format!("convert to {}", to.to) };
        self.tally(&what, answer).map(drop)
    }

    /// A customer with enough money buys, and pays the first month soon after.
    async fn move_in(&mut self, at: usize) -> Result<(), Failure> {
        let sold: Vec<_> = self.stage.catalog.flavors.iter().filter(|flavor| flavor.subscription.is_some()).collect();
        let Some(flavor) = self.months.one(&sold).map(|flavor| flavor.id.clone()) else { return Ok(()) };
        let zone = self.stage.catalog.zones[0].id.clone();
        self.stage.top_up(&self.customers[at].id, "1000").await?;
        let order = Buy { option: "on-demand".to_owned(), zone, flavor, ..Buy::default() };
        let answer = self.customers[at].client.post::<Instance>("/v1/instances", &order).await;
        let Some(bought) = self.tally("buy on-demand", answer)? else { return Ok(()) };
        self.stage.advance(Advance { seconds: Some(self.months.from(1, 600)), to: None }).await?;
        let to = Convert { to: "subscription".to_owned(), months: Some(1), ..Convert::default() };
        let path = format!("/v1/instances/{}/convert", bought.id);
        let answer = self.customers[at].client.post::<Converted>(&path, &to).await;
        self.tally("convert to subscription", answer).map(drop)
    }

    /// Weeks go by: subscriptions are renewed before their end, or after it, or by nobody.
    async fn weeks_pass(&mut self) -> Result<(), Failure> {
        for at in 0..self.customers.len() {
            self.move_in(at).await?;
        }
        self.buy_months().await?;
        self.choose_renewals(50).await?;
        // Few others stay that long, or the weeks would be all of the bill.
        for one in self.live().await? {
            let owner = self.customers.iter().position(|customer| customer.id == one.account);
            let leaves = match one.option.as_str() {
                "subscription" => 0,
                "trial" => 40,
                _ => 85,
            };
            if let Some(owner) = owner.filter(|_| self.months.percent(leaves)) {
                let answer = self.customers[owner].client.delete(&format!("/v1/instances/{}", one.id)).await;
                self.tally::<Instance>("delete", answer)?;
            }
        }
        for _ in 0..5 {
            let seconds = self.months.from(6 * 86_400, 14 * 86_400);
            self.stage.advance(Advance { seconds: Some(seconds), to: None }).await?;
            let mut live = self.live().await?;
            live.retain(|one| one.option == "subscription");
            for one in live {
                let owner = self.customers.iter().position(|customer| customer.id == one.account);
                let Some(owner) = owner else { continue };
                let path = format!("/v1/instances/{}", one.id);
                let renew = Renew { months: self.months.from(1, 2), ..Renew::default() };
                match self.months.from(1, 100) {
                    1..=25 => {
                        self.stage.top_up(&self.customers[owner].id, "500").await?;
                        let answer = self.customers[owner].client.post(&format!("{path}/renew"), &renew).await;
                        self.tally::<Converted>("renew", answer)?;
                    }
                    26..=45 => {
                        let answer = self.customers[owner].client.ask(&format!("{path}/start")).await;
                        self.tally::<Instance>("start a subscription", answer)?;
                    }
                    46..=55 => {
                        let how = Stop { economical: self.months.percent(20) };
                        let answer = self.customers[owner].client.post(&format!("{path}/stop"), &how).await;
                        self.tally::<Instance>("stop a subscription", answer)?;
                    }
                    56..=60 => {
                        let answer = self.customers[owner].client.delete(&path).await;
                        self.tally::<Instance>("delete a subscription", answer)?;
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    async fn delete(&mut self) -> Result<(), Failure> {
        // Blocks end by themselves; the others fill the house until somebody lets them go.
        let firm = self.dice.percent(75);
        let Some((owner, one)) = self.victim(|one| !firm || one.option != "spot-block").await? else { return Ok(()) };
        let answer = self.customers[owner].client.delete::<Instance>(&format!("/v1/instances/{}", one.id)).await;
        self.tally("delete", answer).map(drop)
    }

    async fn reclaim(&mut self) -> Result<(), Failure> {
        let any = self.dice.percent(10);
        let Some((_, one)) = self.victim(|one| any || one.option == "spot-block").await? else { return Ok(()) };
        let answer = self.stage.operator.ask::<Instance>(&format!("/v1/instances/{}/reclaim", one.id)).await;
        self.tally("reclaim", answer).map(drop)
    }

    /// A host is emptied, goes back to its owner or gets lost; who is in trouble already comes again.
    async fn trouble(&mut self) -> Result<(), Failure> {
        let hosts: Page<Host> = self.stage.operator.all("/v1/hosts", &[]).await?;
        let zones: Vec<String> = self.stage.catalog.zones.iter().take(2).map(|zone| zone.id.clone()).collect();
        let near: Vec<Host> = hosts.items.into_iter().filter(|host| zones.contains(&host.zone)).collect();
        let Some(host) = self.dice.one(&near).cloned() else { return Ok(()) };
        let path = format!("/v1/hosts/{}", host.name);
        let operator = &self.stage.operator;
        let (what, answer) = match self.dice.from(1, 100) {
            _ if !host.connected => ("plug", operator.ask::<Value>(&format!("{path}/plug")).await),
            _ if host.doing != "lent" => ("resume", operator.ask(&format!("{path}/resume")).await),
            1..=25 => ("drain", operator.ask(&format!("{path}/drain")).await),
            26..=40 => ("take back", operator.ask(&format!("{path}/take-back")).await),
            41..=50 => {
                let urgent = Leave { at: None, urgent: true };
                ("take back at once", operator.post(&format!("{path}/take-back"), &urgent).await)
            }
            _ => {
                operator.ask::<Value>(&format!("{path}/unplug")).await?;
                let seconds = self.dice.from(300, 900);
                self.stage.advance(Advance { seconds: Some(seconds), to: None }).await?;
                let fenced = DeclareLost { fenced: true };
                ("lose a host", operator.post(&format!("{path}/lost"), &fenced).await)
            }
        };
        self.tally(what, answer).map(drop)
    }

    /// Somebody rehearses; now and then the operator makes earnest of it.
    async fn drill(&mut self) -> Result<(), Failure> {
        let any = self.dice.percent(10);
        let Some((owner, one)) = self.victim(|one| any || one.option == "spot-block").await? else { return Ok(()) };
        let what = match self.dice.from(1, 10) {
            1..=5 => Rehearse { instance: Some(one.id), ..Rehearse::default() },
            6..=8 => Rehearse { tags: self.tags(100), ..Rehearse::default() },
            _ => Rehearse { all: true, percent: Some(self.dice.from(1, 100)), ..Rehearse::default() },
        };
        let answer = self.customers[owner].client.post::<Drill>("/v1/drills", &what).await;
        let Some(drill) = self.tally("drill", answer)? else { return Ok(()) };
        let taken: Vec<_> = drill.instances.into_iter().filter(|one| one.taken).collect();
        *self.done.entry("drill: instances".to_owned()).or_default() += taken.len() as u32;
        if let Some(one) = self.dice.one(&taken).map(|one| one.instance.clone())
            && self.dice.percent(25)
        {
            let seconds = Some(self.dice.from(1, 299));
            self.stage.advance(Advance { seconds, to: None }).await?;
            let answer = self.stage.operator.ask::<Instance>(&format!("/v1/instances/{one}/reclaim")).await;
            self.tally("drill: taken over", answer)?;
        }
        Ok(())
    }

    async fn pay(&mut self) -> Result<(), Failure> {
        let at = self.customer();
        let amount = format!("{}.{:02}", self.dice.from(0, 40), self.dice.from(1, 99));
        self.stage.top_up(&self.customers[at].id, &amount).await?;
        *self.done.entry("top up".to_owned()).or_default() += 1;
        Ok(())
    }

    /// Some go home and take their things along; some leave them running, so that the bill is seen in the middle.
    async fn curtain(&mut self) -> Result<(), Failure> {
        for one in self.live().await? {
            let owner = self.customers.iter().position(|customer| customer.id == one.account);
            if let Some(owner) = owner.filter(|owner| owner % 2 == 0) {
                let client = &self.customers[owner].client;
                let answer = client.delete::<Instance>(&format!("/v1/instances/{}", one.id)).await;
                self.tally("delete", answer)?;
            }
        }
        if self.months.percent(50) {
            self.weeks_pass().await?;
        }
        // Now and then trials go on until their grant is used up, or its validity over.
        let days = match self.dice.from(1, 100) {
            1..=25 => self.dice.from(15, 95),
            26..=50 => self.dice.from(90, 95),
            _ => 0,
        };
        let seconds = days * 86_400 + self.dice.from(600, 9_000);
        if days > 0 {
            for at in 0..self.customers.len() {
                self.try_out(at).await?;
            }
        }
        for part in 1..=4 {
            for _ in 0..3 {
                self.traffic().await?;
            }
            for _ in 0..2 {
                self.give_back().await?;
            }
            let seconds = if part == 4 { seconds - seconds / 4 * 3 } else { seconds / 4 };
            self.stage.advance(Advance { seconds: Some(seconds), to: None }).await?;
        }
        // What was not read yet is on no bill.
        self.traffic().await?;
        self.stage.advance(Advance { seconds: Some(90), to: None }).await?;
        // The last picture shows some in the middle of being taken back or removed.
        for _ in 0..3 {
            self.reclaim().await?;
            self.drill().await?;
            self.delete().await?;
        }
        Ok(())
    }

    /// Counts what came of an attempt. A refusal by the rules is part of the play; anything else is not.
    fn tally<T>(&mut self, what: &str, answer: Result<T, Failure>) -> Result<Option<T>, Failure> {
        let (line, answer) = match answer {
            Ok(answer) => (what.to_owned(), Some(answer)),
            Err(Failure::Refused(problem)) if problem.code != "internal" => {
                (format!("{what}: refused, {}", problem.code), None)
            }
            Err(other) => return Err(other),
        };
        *self.done.entry(line).or_default() += 1;
        Ok(answer)
    }
}

fn amount(text: &str) -> Option<i64> {
    text.parse::<Amount>().ok().map(Amount::units)
}
