//! What comes of a reading of an address's counter, and to what does the traffic of open hours come? (rules §3.6)

use crate::app::App;
use crate::arrears;
use crate::denied::Denied;
use crate::unit::{Outcome, Unit};
use ebb_engine::bandwidth;
use ebb_engine::event::Event;
use ebb_engine::traffic::{Counted, Coverage, Flow, Running, charges, count, stretch};
use ebb_model::id::{AccountId, HostId};
use ebb_model::time::Second;
use ebb_model::traffic::{Address, Counter, Pool, Reading, TrafficCharge};
use ebb_store::rows::{account, address, traffic, trial};
use ebb_store::{Decision, Reads, StoreError};
use std::collections::BTreeSet;

/// What left an account's addresses in some stretches, and what it comes to.
pub struct Traffic {
    pub flows: Vec<Flow>,
    pub charges: Vec<TrafficCharge>,
    /// As it is after them.
    pub running: Running,
}

impl App {
    /// Counts what a host read, once.
    pub async fn read_counter(&self, from: HostId, reading: Reading) -> Result<(), Denied> {
        let known = self.store.rows(address::by_id(reading.address)).await?;
        let Some(row) = known.first() else {
            tracing::warn!(host = %from, address = %reading.address, "a counter of no known address was read");
            return Ok(());
        };
        // Under the account's name, so that it takes turns with others that change the account.
        let key = row.text("account_id").to_owned();
        Ok(self.unit("read-counter", &key, move |unit| read_counter(unit, from, reading)).await?)
    }

    /// What is open of an account, up to the hour that ends at `until`.
    pub async fn traffic(&self, reads: &Reads, id: AccountId, until: Option<Second>) -> Result<Traffic, StoreError> {
        let mut flows = traffic::read_flows(&reads.rows(traffic::open_of(id)).await?);
        flows.retain(|flow| until.is_none_or(|until| flow.period.until <= until));
        self.charged(reads, id, flows, None).await
    }

    /// `and` may have nothing open yet that is written down.
    async fn charged(
        &self,
        reads: &Reads,
        id: AccountId,
        flows: Vec<Flow>,
        and: Option<&Address>,
    ) -> Result<Traffic, StoreError> {
        let mut running = Running::default();
        let calendar = &self.catalog.time_zone;
        if let Some(first) = flows.iter().map(|flow| flow.period.since).min() {
            let used = reads.rows(traffic::used_since(id, calendar.month(first))).await?;
            running.used = used.iter().map(traffic::read_used).collect();
            let addresses = reads.rows(address::open_of(id)).await?;
            let addresses = addresses.iter().map(address::read).chain(and.cloned());
            running.months = addresses.map(|address| (address.id, address.month)).collect();
        }
        let charges = charges(&flows, &mut running, &self.catalog.trial.traffic, calendar);
        Ok(Traffic { flows, charges, running })
    }
}

async fn read_counter(mut unit: Unit, from: HostId, reading: Reading) -> Outcome<Decision<()>> {
    let row = unit.reads.row(address::by_id(reading.address)).await?.expect("addresses are never deleted");
    let known = address::read(&row);
    let bytes = match count(known.counter.as_ref(), &reading) {
        Counted::Bytes(bytes) => bytes,
        Counted::Repeated => return Ok(unit.done(())),
        Counted::Doubtful(why) => {
            tracing::warn!(host = %from, ?reading, known = ?known.counter, "a reading counts nothing: {why}");
            return Ok(unit.done(()));
        }
    };
    if unit.account(known.account).await?.closed_at.is_some() {
        tracing::warn!(host = %from, ?reading, "a reading counts nothing: the account is closed");
        return Ok(unit.done(()));
    }
    let now = Counter { epoch: reading.epoch, bytes: reading.bytes, read_at: reading.at };
    unit.guard(address::counted(known.id, known.counter.as_ref(), &now));
    if bytes > 0 && !arrears::is_free(&unit, &known, &reading).await? {
        // When it was read says how it is paid, however late it counts.
        let read_at = reading.at.second().min(unit.now.second()).max(known.allocated_at.second().plus(1));
        if !bandwidth::pays(&unit.bandwidth_spans(known.id).await?, known.charged_until, read_at) {
            count_bytes(&mut unit, &known, bytes, read_at).await?;
        }
    }
    Ok(unit.done(()))
}

/// The second in which a reading counts. What is late counts from the open hour, and what comes from a clock that is ahead counts now.
async fn counts_at(unit: &mut Unit, of: &Address, at: Second) -> Outcome<Second> {
    let open = unit.open_since(of.account).await?;
    let earliest = open.map_or(of.allocated_at.second(), |open| open.max(of.allocated_at.second()));
    // A reading on the first second of an hour is about the hour before.
    Ok(at.min(unit.now.second()).max(earliest.plus(1)))
}

async fn count_bytes(unit: &mut Unit, of: &Address, bytes: i64, read_at: Second) -> Outcome<()> {
    let at = counts_at(unit, of, read_at).await?;
    let app = unit.app.clone();
    let grant = unit.reads.row(account::grant(of.account)).await?.map(|row| account::read_grant(&row));
    let coverage = Coverage::of(grant.as_ref(), at);
    let stretch = stretch(at, &app.catalog.time_zone);
    unit.write(traffic::add(of.account, of.id, stretch, coverage, bytes));
    let cut = stretch.since.next_hour();
    let row = unit.change_account(of.account).await?;
    row.close_at = Some(row.close_at.map_or(cut, |at| at.min(cut)));
    let late = Some(read_at).filter(|read_at| *read_at != at);
    unit.log(of.account, of.instance, &Event::TrafficCounted { address: of.id, bytes, at, read_at: late });
    unit.look_after_cap(of.account);
    if coverage == Coverage::Within {
        let mut flows = traffic::read_flows(&unit.reads.rows(traffic::open_of(of.account)).await?);
        let mut read = [0; 3];
        read[coverage as usize] = bytes;
        match flows.iter_mut().find(|flow| flow.address == of.id && flow.period == stretch) {
            Some(flow) => flow.bytes[coverage as usize] += bytes,
            None => flows.push(Flow {
                address: of.id,
                overseas: of.overseas,
                price: of.price.at(stretch.since),
                period: stretch,
                bytes: read,
            }),
        }
        warn_of_pools(unit, of, flows, at).await?;
    }
    Ok(())
}

/// Tells once that little is left of a month's pool, with what open hours use (rules §3.7).
async fn warn_of_pools(unit: &mut Unit, of: &Address, flows: Vec<Flow>, at: Second) -> Outcome<()> {
    let app = unit.app.clone();
    let (trial, id) = (&app.catalog.trial, of.account);
    let month = app.catalog.time_zone.month(at.plus(-1));
    let mut open = app.charged(&unit.reads, id, flows, Some(of)).await?;
    let used = open.running.used.entry(month).or_default();
    for pool in Pool::ALL {
        let (left, low) = used.left(pool, &trial.traffic, trial.warn_below_percent);
        let key = format!("traffic {} {}", pool.name(), month.unix());
        if !low || warned(unit, id).await?.contains(&key) {
            continue;
        }
        unit.guard(trial::warn(id, &key, unit.now));
        let (percent, left_gb) = (trial.warn_below_percent, left.to_string());
        unit.log_and_tell_account(id, &Event::TrafficLow { pool, month, percent, left_gb, at });
    }
    Ok(())
}

async fn warned(unit: &Unit, id: AccountId) -> Outcome<BTreeSet<String>> {
    Ok(unit.reads.rows(trial::warnings(id)).await?.iter().map(trial::read_warning).collect())
}

impl Unit {
    /// Writes down that an hour's traffic is closed; its records are issued with the hour's others.
    pub fn close_traffic(&mut self, id: AccountId, traffic: &Traffic, until: Second) {
        if traffic.flows.is_empty() {
            return;
        }
        self.write(traffic::close(id, until));
        let closed: BTreeSet<_> = traffic.flows.iter().map(|flow| flow.address).collect();
        closed.iter().for_each(|address| self.write(address::add_up(*address, &traffic.running.months[address])));
        traffic.running.used.iter().for_each(|(month, used)| self.write(traffic::set_used(id, *month, used)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ebb_model::time::Timestamp;
    use serde_json::{Value, json};

    /// Whatever a host says again, too late or wrongly, through the same door as all of its words.
    #[tokio::test]
    async fn what_a_host_says_again_or_out_of_order_counts_nothing() {
        let config = crate::SandboxConfig {
            listen: "127.0.0.1:0".parse().expect("an address"),
            catalog: crate::sample_catalog(),
            data: None,
            store: None,
            speed: 0,
            seed: 1,
            start: Timestamp::from_micros(0),
            hosts: 1,
            capacity: vec![ebb_model::resources::Resources::of([("vcpu", 4), ("memory_mib", 8_192), ("disk_gib", 99)])],
            behaviour: Default::default(),
            deliveries: Default::default(),
            verifier: Default::default(),
        };
        let (serving, ready) = crate::sandbox(config).await.expect("a sandbox");
        let app = serving.app.clone();
        tokio::spawn(serving.run(std::future::pending()));
        let order = json!({"option": "on-demand", "zone": "cn-beijing-a", "flavor": "t6.small.1", "public_ip": true});
        let request = reqwest::Client::new().post(format!("{}/v1/instances", ready.endpoint));
        let bought = request.bearer_auth("ebb_sandbox_enterprise").body(order.to_string()).send().await;
        let bought: Value = bought.expect("an answer").json().await.expect("an instance");
        let address = bought["public_address"].as_str().expect("an address").parse().expect("an id");
        app.clock.advance_to(Timestamp::from_micros(100_000_000));

        let host = HostId::new(Default::default());
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        // Epoch, bytes, second, and what has left the address after that.
        for (epoch, bytes, second, left) in [
            (7, 5_000, 10, 5_000),
            (7, 5_000, 10, 5_000),
            (7, 5_000, 20, 5_000),
            (7, 4_000, 30, 5_000),
            (7, 9_000, 5, 5_000),
            (7, 9_000, 30, 9_000),
            (6, 99_000, 40, 9_000),
            (8, 1_000, 20, 9_000),
            (8, 1_000, 50, 10_000),
            (7, 99_000, 60, 10_000),
            (9, 0, 60, 10_000),
            (9, 3_000, 70, 13_000),
            (9, -1, 80, 13_000),
        ] {
            let reading = Reading { address, epoch, bytes, at: at(second) };
            app.hear(host, ebb_driver::protocol::FromHost::Read(reading)).await.expect("it is heard");
            let rows = app.store.rows(address::by_id(address)).await.expect("rows");
            let open = app.store.rows(traffic::open_of(address::read(&rows[0]).account)).await.expect("rows");
            let sum: i64 = traffic::read_flows(&open).iter().flat_map(|flow| flow.bytes).sum();
            assert_eq!(sum, left, "after {reading:?}");
        }
        let stranger =
            Reading { address: ebb_model::id::AddressId::new(Default::default()), epoch: 1, bytes: 1, at: at(1) };
        app.hear(host, ebb_driver::protocol::FromHost::Read(stranger)).await.expect("it is heard");
    }
}
