//! Where does a demo play? On a running service with a clock that can be advanced; always over its API.

use crate::client::Client;
use crate::failure::Failure;
use crate::profile::Login;
use ebb_driver::fake::Behaviour;
use ebb_model::catalog::ArrearsLimits;
use ebb_model::money::{Amount, Price};
use ebb_model::price::Prices;
use ebb_model::price_book::{Item, items, prices_mut};
use ebb_model::resources::Resources;
use ebb_model::time::{HOUR, Timestamp};
use ebb_server::SandboxConfig;
use ebb_wire::account::{Account, OpenAccount, OpenedAccount, TopUp, Verify};
use ebb_wire::catalog::Catalog;
use ebb_wire::sandbox::{Advance, Advanced, Clock};

/// Some prices change in the middle of an hour, some on a full one, and some only after a while; traffic's on full hours.
fn date_prices(catalog: &mut ebb_model::catalog::Catalog) {
    let opening = OPENING.parse::<Timestamp>().expect("an instant").second();
    let after = |seconds: i64| opening.plus(seconds);
    let all: Vec<Item> = items(catalog).into_iter().map(|(item, _)| item).collect();
    for (nth, item) in all.iter().enumerate() {
        let prices = prices_mut(catalog, item).expect("an item of the same catalog");
        let first = prices.first().price;
        let percent = |of: i64| Price::from_micros(first.micros() * of / 100);
        let (hours, seconds) = if let Item::Traffic(_) = item { (1, 0) } else { (0, 1_043 * (nth as i64 % 3)) };
        let dates = [(11 + hours, 110), (30, 110), (53, 85), (29 * 24, 120)];
        let dates = dates.map(|(hour, of)| (after(hour * HOUR + seconds), percent(of)));
        *prices = Prices::new(first, dates);
    }
    catalog.prices.announce_days = 1;
}

const OPENING: &str = "2026-03-01T08:00:00+08:00";

pub struct Stage {
    pub operator: Client,
    pub catalog: Catalog,
}

/// Somebody who buys.
pub struct Customer {
    pub id: String,
    pub client: Client,
}

impl Stage {
    /// A sandbox with room for everybody, where things happen at once.
    pub async fn roomy() -> Result<Self, Failure> {
        let behaviour = Behaviour { shutdown_millis: Some(0), ..Behaviour::default() };
        Self::own(ebb_server::sample_catalog(), 1, &[64], behaviour).await
    }

    /// A sandbox in which room is short, so that firm orders take it from spot blocks, guests take their time, and two drills use
    /// up what is free in a month.
    pub async fn narrow(seed: u64) -> Result<Self, Failure> {
        let behaviour = Behaviour {
            start_millis: 2_300,
            shutdown_millis: Some(4_100),
            remove_millis: 700,
            fail_next_start: true,
            ..Behaviour::default()
        };
        let mut catalog = ebb_server::sample_catalog();
        catalog.limits.drill_free_seconds = 400;
        // Who owes is soon frozen, and soon without anything.
        catalog.limits.arrears = ArrearsLimits {
            grace_days: 2,
            window_days: 8,
            debt_limit: Amount::from_units(400_000_000),
            frozen_days: 2,
            warn_days_before: [1].into(),
        };
        date_prices(&mut catalog);
        Self::own(catalog, seed, &[10, 6], behaviour).await
    }

    /// A sandbox that runs elsewhere.
    pub async fn given(login: Login) -> Result<Self, Failure> {
        let operator = Client::new(login, None)?;
        let catalog = operator.get("/v1/catalog", &[]).await?;
        Ok(Self { operator, catalog })
    }

    async fn own(
        catalog: ebb_model::catalog::Catalog,
        seed: u64,
        vcpus: &[i64],
        behaviour: Behaviour,
    ) -> Result<Self, Failure> {
        let start: Timestamp = OPENING.parse().expect("an instant");
        let lent = |vcpus: &i64| [("vcpu", *vcpus), ("memory_mib", vcpus * 4_096), ("disk_gib", 4_000)];
        let config = SandboxConfig {
            listen: std::net::SocketAddr::from(([127, 0, 0, 1], 0)),
            catalog,
            data: None,
            store: None,
            speed: 0,
            seed,
            start,
            hosts: vcpus.len(),
            capacity: vcpus.iter().map(|vcpus| Resources::of(lent(vcpus))).collect(),
            behaviour,
            deliveries: Default::default(),
            verifier: Default::default(),
        };
        let started = ebb_server::sandbox(config).await;
        let (serving, ready) = started.map_err(|error| Failure::Outcome(format!("the sandbox: {error}")))?;
        // It ends with the program.
        tokio::spawn(serving.run(std::future::pending()));
        let key = ready.keys.get("operator").cloned().unwrap_or_default();
        Self::given(Login { endpoint: ready.endpoint, key }).await
    }

    /// Opens an account, verifies it and puts money into it.
    pub async fn customer(&self, name: &str, holder: &str, cash: &str) -> Result<Customer, Failure> {
        let body = OpenAccount { name: name.to_owned(), evidence: vec![] };
        let opened: OpenedAccount = self.operator.post("/v1/accounts", &body).await?;
        let id = opened.account.id;
        let body = Verify { holder: holder.to_owned() };
        let _: Account = self.operator.post(&format!("/v1/accounts/{id}/verification"), &body).await?;
        self.top_up(&id, cash).await?;
        let login = Login { key: opened.key.secret, ..self.operator.login().clone() };
        Ok(Customer { id, client: Client::new(login, None)? })
    }

    pub async fn top_up(&self, account: &str, amount: &str) -> Result<(), Failure> {
        let path = format!("/v1/accounts/{account}/top-ups");
        let _: serde_json::Value = self.operator.post(&path, &TopUp { amount: amount.to_owned() }).await?;
        Ok(())
    }

    pub async fn now(&self) -> Result<Timestamp, Failure> {
        let clock: Clock = self.operator.get("/v1/clock", &[]).await?;
        clock.now.parse().map_err(|error| Failure::Outcome(format!("the service's clock: {error}")))
    }

    pub async fn advance(&self, advance: Advance) -> Result<Advanced, Failure> {
        self.operator.post("/v1/clock/advance", &advance).await
    }

    pub async fn advance_to(&self, to: Timestamp) -> Result<(), Failure> {
        self.advance(Advance { seconds: None, to: Some(to.to_string()) }).await.map(drop)
    }
}
